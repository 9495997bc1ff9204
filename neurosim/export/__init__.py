"""From a finished run to what a chip is programmed with, and back from what was measured on it."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from neurosim.config import validate
from neurosim.errors import ExperimentError, ImageError, did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel

    from neurosim.export.design import Design

__all__ = ["EXPORTERS", "ExportWarning", "default_out", "read_settings", "write"]

# By name, because some need packages that others do not. Each is called with a design and the file or
# folder to write, and returns what it wrote.
EXPORTERS = {
    "macro": "neurosim.export.macro:write_macro",
    "csv": "neurosim.export.tables:write_csv",
    "nir": "neurosim.export.nir:write_nir",
    "mem": "neurosim.export.memory:write_memory",
    "spice": "neurosim.export.netlist:write_spice",
}
# Config models of the formats that have settings, which are then called with one of these, too.
SETTINGS = {"nir": "neurosim.export.nir:NirConfig", "mem": "neurosim.export.fixed:FixedConfig"}

ENDINGS = {"macro": ".h5", "nir": ".nir", "spice": ".cir"}  # of formats that are one file


class ExportWarning(UserWarning):
    """A format cannot say all of a design, or some of its readers misread it."""


def default_out(run: str, to: str) -> Path:
    """Where an export of a run goes: into its folder, or into the current one."""
    _known(to)
    source = Path(run)
    folder = source if source.is_dir() else source.parent
    name = "export" if source.is_dir() else source.stem
    return folder / (f"{name}{ENDINGS[to]}" if to in ENDINGS else f"{name}_{to}")


def read_settings(to: str, settings: Sequence[str]) -> "BaseModel | None":
    """Settings of a format, ``key=value`` in TOML; None if it has none.

    Raises:
        ExperimentError: If the format or a setting is unknown, or a value is wrong.
    """
    _known(to)
    if to not in SETTINGS:
        if settings:
            raise ExperimentError(
                f"--set {settings[0]}: '{to}' has no settings, only {' and '.join(SETTINGS)} have; remove it"
            )
        return None
    where = f"--to {to} --set"
    try:
        data = tomllib.loads("\n".join(settings))
    except tomllib.TOMLDecodeError:
        problem = f"{where} {' '.join(settings)}: expected key=value in TOML, e.g. leak_bits=20 or dt=1e-4"
        raise ExperimentError(problem) from None
    config: BaseModel = validate(resolve_name(SETTINGS[to]), data, where=where, error=ExperimentError)
    return config


def write(design: "Design", to: str, out: Path, config: "BaseModel | None" = None) -> list[Path]:
    """Write a design in one of the formats of ``EXPORTERS``.

    Args:
        design: What is to be programmed.
        to: Name of the format.
        out: File or folder; replaced atomically.
        config: Settings of the format, from `read_settings`; None: as they are by default.

    Returns:
        What was written.

    Raises:
        ExperimentError: If the format is unknown, or the design has what it cannot say.
    """
    _known(to)
    given = () if config is None else (config,)
    written: list[Path] = resolve_name(EXPORTERS[to])(design, out, *given)
    return written


def check_folder(folder: Path, schema: str) -> None:
    """Let an export replace an earlier one as a whole, and nothing else.

    Raises:
        ImageError: If something stands there that has no manifest of that schema.
    """
    if not folder.exists():
        return
    try:
        earlier = json.loads((folder / "manifest.json").read_text("utf-8"))["schema"] == schema
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        earlier = False
    if not earlier:
        raise ImageError(
            f"{folder}: is there and is no earlier export ({schema}); name another folder by --out"
        )


def _known(to: str) -> None:
    if to not in EXPORTERS:
        raise ExperimentError(f"unknown format '{to}'; {did_you_mean(to, EXPORTERS)}")

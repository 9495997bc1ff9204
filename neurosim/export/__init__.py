"""From a finished run to what a chip is programmed with, and back from what was measured on it."""

from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from neurosim.errors import ExperimentError, did_you_mean

if TYPE_CHECKING:
    from neurosim.export.design import Design

__all__ = ["EXPORTERS", "default_out", "write"]

# By name, because some need packages that others do not. Each is called with a design and the file or
# folder to write, and returns what it wrote.
EXPORTERS = {
    "macro": "neurosim.export.macro:write_macro",
    "csv": "neurosim.export.tables:write_csv",
    "nir": "neurosim.export.nir:write_nir",
    "mem": "neurosim.export.memory:write_memory",
    "spice": "neurosim.export.netlist:write_spice",
}


ENDINGS = {"macro": ".h5"}  # of formats that are one file


def default_out(run: str, to: str) -> Path:
    """Where an export of a run goes: into its folder, or into the current one."""
    _known(to)
    source = Path(run)
    folder = source if source.is_dir() else source.parent
    name = "export" if source.is_dir() else source.stem
    return folder / (f"{name}{ENDINGS[to]}" if to in ENDINGS else f"{name}_{to}")


def write(design: "Design", to: str, out: Path) -> list[Path]:
    """Write a design in one of the formats of ``EXPORTERS``.

    Args:
        design: What is to be programmed.
        to: Name of the format.
        out: File or folder; replaced atomically.

    Returns:
        What was written.

    Raises:
        ExperimentError: If the format is unknown, or the design has what it cannot say.
    """
    _known(to)
    written: list[Path] = resolve_name(EXPORTERS[to])(design, out)
    return written


def _known(to: str) -> None:
    if to not in EXPORTERS:
        raise ExperimentError(f"unknown format '{to}'; {did_you_mean(to, EXPORTERS)}")

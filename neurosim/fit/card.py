"""A device card from a user's measurements: ``neurosim devices fit``."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from neurosim.cards import Card, DeviceCard
from neurosim.config import StrictModel, validate
from neurosim.errors import CardError, MeasurementError
from neurosim.fit.laws import (
    MIN_CELLS,
    Fit,
    fit_conductances,
    fit_forming,
    fit_iv,
    fit_window,
    quantity,
)
from neurosim.fit.measurements import Measurement, read_measurement
from neurosim.fit.programming import fit_programming
from neurosim.fit.reads import fit_reads
from neurosim.quantity import Sourced
from neurosim.store import write_text

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FittedCard:
    """A card and how well it fits.

    Attributes:
        card: The device card.
        goodness: Figures by file.
    """

    card: DeviceCard
    goodness: dict[str, dict[str, str]]


def fit_card(
    places: Iterable[str],
    name: str,
    *,
    title: str | None = None,
    unit: str | None = None,
    formed_above: float = 0.0,
    v_read: float | None = None,
) -> FittedCard:
    """Fit a device card to files of measurements, one of each kind at most.

    Args:
        places: ``FILE.csv``, ``FILE.h5`` or ``FILE.h5:DATASET``; see docs/formats.md.
        name: Name of the card.
        title: One line for lists; None says which files it was fitted to.
        unit: Unit of conductances whose name carries none, e.g. ``uS``.
        formed_above: Conductance [S] above which a cell counts as formed.
        v_read: Voltage [V] at which conductances were read; None takes them as slopes at 0 V.

    Raises:
        DataNotFoundError: If a file is missing.
        MeasurementError: If a file is wrong, says too little, or does not go with another.
        CardError: If a number leaves the range of its field.

    Assumes: see the fits.
    Source: the files, whose SHA-256 stand under the card's ``[sources]``.
    """
    files: dict[str, Measurement] = {}
    for place in places:
        file = read_measurement(place, unit)
        if file.kind in files:
            raise MeasurementError(
                f"{files[file.kind].place} and {place} are both {file.kind}; join them in one"
            )
        files[file.kind] = file
    if "programming" in files and (other := files.keys() & {"conductances", "forming"}):
        raise MeasurementError(
            f"{files['programming'].place} is of cells that are programmed, {files[min(other)].place} of "
            "cells that are formed only: a card is of one of them; fit two cards"
        )
    fits = _fits(files, formed_above, v_read)
    sections: dict[str, Any] = {}
    for kind, fit in fits.items():
        for section, content in _with_source(fit.card, kind).items():
            if isinstance(content, list):
                sections[section] = content
            else:
                sections.setdefault(section, {}).update(content)
    if "forming" in sections and "p_stuck_hrs" in sections.get("faults", {}):
        _form_as_measured(sections)
    of = ", ".join(Path(file.place).name for file in files.values())
    table = {
        "name": name,
        "title": title or f"fitted to {of}",
        "notes": f"Fitted to {of} by neurosim devices fit, neurosim {version('neurosim-codesign')}. "
        "What no file says is left out, which means that the effect is ideal.",
        "sources": {kind: file.address for kind, file in files.items()},
        **sections,
    }
    card = validate(DeviceCard, table, where=f"card '{name}' fitted to {of}", error=CardError)
    return FittedCard(card, {files[kind].place: fit.goodness for kind, fit in fits.items()})


def _fits(files: Mapping[str, Measurement], formed_above: float, v_read: float | None) -> dict[str, Fit]:
    """The fit of each kind. Where no array was measured, reads or I-V curves say what cells conduct."""
    fits: dict[str, Fit] = {}
    cells: dict[str, Array] = {}
    for kind, file in files.items():
        data = file.columns
        with _named(file.place):
            match kind:
                case "conductances":
                    fits[kind] = fit_conductances(data["g"], formed_above)
                case "reads":
                    fits[kind] = fit_reads(data["t"], data["g"], formed_above)
                    cells[kind] = data["g"][:, ~np.isnan(data["g"]).any(axis=0)].mean(axis=0)
                case "programming":
                    target = data["target"]
                    fits[kind] = fit_programming(target, data["g"], data.get("t"), float(target.max()))
                    fits[kind].card["conductance"] = fit_window(target, target >= 0)
                case "forming":
                    fits[kind] = fit_forming(data["v_forming"], data.get("cells"))
                case "iv":
                    fits[kind], cells[kind] = fit_iv(data["v"], data["i"], data.get("cell"), v_read)
    if any("conductance" in fit.card for fit in fits.values()):
        return fits
    if not cells:
        raise MeasurementError(
            f"{', '.join(file.place for file in files.values()) or 'no files'}: nothing says what cells "
            "conduct; add a file of conductances, programming, reads or I-V data"
        )
    kind = "reads" if "reads" in cells else "iv"
    with _named(files[kind].place):
        fit = _conducting(cells[kind], formed_above)
    return fits | {kind: Fit(fits[kind].card | fit.card, fits[kind].goodness | fit.goodness)}


def _conducting(g: Array, formed_above: float) -> Fit:
    """The law of conductances [S], or only their window where they are few."""
    if np.count_nonzero(g > formed_above) >= MIN_CELLS:
        return fit_conductances(g, formed_above)
    few = f"{g.size} cells only"
    low = quantity(0.0, "S", few, status="assumed")
    return Fit({"conductance": {"g_min": low, "g_max": quantity(g.max(), "S", few, status="measured")}})


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Put the file before the message of what is wrong with its numbers."""
    try:
        yield
    except MeasurementError as why:
        raise MeasurementError(f"{place}: {why}") from None


def _form_as_measured(sections: dict[str, Any]) -> None:
    """Cells that are not formed follow from the law of forming, at the pulse that leaves so many."""
    unformed, forming = sections["faults"].pop("p_stuck_hrs"), sections["forming"]
    low, high = forming["v_min"]["value"], forming["v_max"]["value"]
    z = float(stats.norm.isf(unformed["value"]))
    v = forming["v_forming"]["value"] + z * forming["sigma_v_forming"]["value"]
    where = f"forms as many cells as found: {unformed['where']}"
    source = {"source": [*forming["v_forming"]["source"], *unformed["source"]]}
    forming["v_default"] = quantity(min(max(v, low), high), "V", where) | source
    if not sections["faults"]:
        del sections["faults"]


def _with_source(node: Any, key: str) -> Any:
    """The sections of a card with the source of every quantity."""
    if isinstance(node, list):
        return [_with_source(item, key) for item in node]
    if not isinstance(node, dict):
        return node
    if "unit" in node:
        return node | {"source": [key]}
    return {name: _with_source(value, key) for name, value in node.items()}


# ---- TOML ------------------------------------------------------------------------------------------


def write_card(card: Card, path: Path) -> None:
    """Write a device or macro card as TOML, atomically.

    Raises:
        CardError: If ``path`` does not end in ``.toml``, by which a card is told from a name.
    """
    if path.suffix != ".toml":
        raise CardError(f"{path}: a card's file ends in .toml; name it {path.with_suffix('.toml')}")
    lines = [f"schema = {_value(card.schema_id)}"]
    tables: list[str] = []
    for name, node in _given(card):
        match node:
            case StrictModel():
                tables += ["", f"[{name}]", *_lines(node)]
            case dict():
                tables += ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in node.items())]
            case [StrictModel(), *_]:
                tables += [line for item in node for line in ("", f"[[{name}]]", *_lines(item))]
            case _:
                lines.append(f"{name} = {_value(node)}")
    write_text(path, "\n".join([*lines, *tables]) + "\n")


def _given(model: StrictModel) -> Iterator[tuple[str, Any]]:
    """The fields that say something."""
    pairs = ((name, getattr(model, name)) for name in type(model).model_fields)
    return ((name, value) for name, value in pairs if value is not None and value not in ((), {}))


def _lines(model: StrictModel) -> Iterator[str]:
    return (f"{name} = {_value(value)}" for name, value in _given(model))


def _value(value: Any) -> str:
    """A TOML value; quantities become inline tables."""
    if isinstance(value, Sourced):
        return "{ " + ", ".join(_lines(value)) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)

"""A user's measurements, read from CSV or HDF5: see docs/formats.md, "Measured data"."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from neurosim.errors import DataNotFoundError, MeasurementError, did_you_mean
from neurosim.store import sha256

Array = npt.NDArray[np.float64]

# kind -> columns that it must have and columns that it may have
KINDS = {
    "conductances": ({"g"}, set[str]()),
    "reads": ({"t", "g"}, {"cell"}),
    "programming": ({"target", "g"}, {"t"}),
    "forming": ({"v_forming"}, {"cells"}),
    "iv": ({"v", "i"}, {"cell"}),
}
# column -> unit, lowest and highest value
COLUMNS = {
    "g": ("S", 0.0, 0.1),
    "target": ("S", 0.0, 0.1),
    "t": ("s", 0.0, 1e10),
    "v_forming": ("V", 0.0, 20.0),
    "v": ("V", -20.0, 20.0),
    "i": ("A", -1.0, 1.0),
    "cell": ("", 0.0, 1e9),
    "cells": ("", 0.0, 1e9),
}
PREFIXES = {"": 1.0, "k": 1e3, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12}
NAME = re.compile(r"(?:(?P<name>.*)_)?(?P<prefix>[kmuµnp]?)(?P<unit>[SVAs])")
ADDRESS = re.compile(r"file:(?P<place>[^?]+)\?(?:unit=(?P<unit>\w+)&)?sha256=(?P<sha256>[0-9a-f]{64})")
MAX_ITEMS = 10**8  # 0.8 GB; a compressed file of some kilobytes can hold any number


@dataclass(frozen=True, eq=False)
class Measurement:
    """The numbers of one file.

    Attributes:
        kind: A key of ``KINDS``.
        columns: float64 in SI units by name. Reads have ``t`` (n_reads,) and ``g`` (n_reads, n_cells), the
            others columns of one length; a ``g`` of 0 or NaN is a cell that is not formed.
        place: The file, with the dataset that was read: ``maps.h5:group/dataset``.
        address: What a card's ``[sources]`` says: ``file:maps.h5:group?sha256=...``.
    """

    kind: str
    columns: dict[str, Array]
    place: str
    address: str


def read_measurement(place: str, unit: str | None = None) -> Measurement:
    """Read a file of measurements; what they are is said by the names of its columns.

    Args:
        place: ``FILE.csv``, ``FILE.h5`` or ``FILE.h5:DATASET`` (or a group of datasets).
        unit: Unit of conductances whose name carries none, e.g. ``uS``.

    Raises:
        DataNotFoundError: If there is no such file.
        MeasurementError: If it does not hold what docs/formats.md says; the message names the entry.
    """
    path, dataset = _split_place(place)
    if unit and not (unit.endswith("S") and unit[:-1] in PREFIXES):
        raise MeasurementError(f"unit '{unit}' is no unit of conductance; use S, mS, uS or nS")
    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file; check the path")
    if path.suffix in (".h5", ".hdf5"):
        raw = _read_hdf5(path, dataset, unit)
        entries = None
    else:
        raw, entries = read_csv(path)
    columns: dict[str, Array] = {}
    for header, values in raw.items():
        name, factor = _column(header, unit, place)
        if name in columns:
            raise MeasurementError(f"{place}: two columns say '{name}'; keep one of them")
        columns[name] = _check(name, values * factor, entries, f"{place}: column '{header}'")
    kind = _kind(columns, place)
    if kind == "reads":
        columns = _by_read(columns, place)
    elif len({column.size for column in columns.values()}) > 1:
        sizes = ", ".join(f"{name} has {column.size}" for name, column in columns.items())
        raise MeasurementError(f"{place}: columns differ in length: {sizes}; give one entry for each row")
    else:
        columns = {name: column.ravel() for name, column in columns.items()}
    used = f"unit={unit}&" if unit else ""
    at = path.name + (f":{dataset}" if dataset else "")
    return Measurement(kind, columns, place, f"file:{at}?{used}sha256={sha256(path)}")


def reread(address: str, folder: Path) -> Measurement | None:
    """The measurement that a card's source names; None: its file is not in ``folder`` or was changed."""
    match = ADDRESS.fullmatch(address)
    if not match:
        return None
    place = str(folder / match["place"])
    path, _ = _split_place(place)
    if not path.is_file() or sha256(path) != match["sha256"]:
        return None
    return read_measurement(place, match["unit"])


def si_column(header: str, values: Array, entries: list[int], place: str) -> tuple[str, Array]:
    """Name of a column of a CSV without its unit, and its values in SI units, checked."""
    name, factor = _column(header, None, place)
    return name, _check(name, values * factor, entries, f"{place}: column '{header}'")


# ---- names -----------------------------------------------------------------------------------------


def _split_place(place: str) -> tuple[Path, str]:
    match = re.fullmatch(r"(.+\.(?:h5|hdf5)):(.+)", place)
    return (Path(match[1]), match[2].strip("/")) if match else (Path(place), "")


def _column(header: str, unit: str | None, place: str) -> tuple[str, float]:
    """Name of a column without its unit, and what its values are multiplied by."""
    match = NAME.fullmatch(header) if header not in COLUMNS else None
    name, prefix, got = (match["name"] or "", match["prefix"], match["unit"]) if match else (header, "", "")
    if name not in COLUMNS:
        raise MeasurementError(f"{place}: unknown column '{header}'; {did_you_mean(name, COLUMNS)}")
    expected = COLUMNS[name][0]
    if expected == "S" and not got and unit:
        return name, PREFIXES[unit[:-1]]
    if got != expected:
        example = f"{name}_{'u' if expected == 'S' else ''}{expected}" if expected else name
        raise MeasurementError(f"{place}: column '{header}': needs its unit in its name, e.g. '{example}'")
    return name, PREFIXES[prefix]


def _kind(columns: Iterable[str], place: str) -> str:
    given = set(columns)
    for kind, (needed, allowed) in KINDS.items():
        if needed <= given <= needed | allowed:
            return kind
    kinds = "; ".join(f"{kind}: {', '.join(sorted(needed))}" for kind, (needed, _) in KINDS.items())
    raise MeasurementError(f"{place}: columns {', '.join(sorted(given))} are no kind of data; known: {kinds}")


def _check(name: str, values: Array, entries: list[int] | None, where: str) -> Array:
    """The values, if all are in the column's range; only a conductance may be missing."""
    unit, low, high = COLUMNS[name]
    bad = ~((values >= low) & (values <= high))
    if not unit and not bad.any() and (values % 1).any():
        raise MeasurementError(f"{where}: not all are whole numbers; number and count cells by 1, 2, ...")
    if name == "g":
        bad &= ~np.isnan(values)
    if bad.any():
        first = int(bad.ravel().argmax())
        entry = f"line {entries[first]}" if entries else f"entry {first}"
        remedy = (
            "subtract the offset of the reading (weights of pairs of cells are no conductances)"
            if name in ("g", "target") and values.flat[first] < 0
            else "check the unit"
        )
        raise MeasurementError(
            f"{where}, {entry}: {values.flat[first]:g} {unit} is outside {low:g} .. {high:g} {unit}; {remedy}"
        )
    return values


def _by_read(columns: Mapping[str, Array], place: str) -> dict[str, Array]:
    """Reads as ``t`` (n_reads,) and ``g`` (n_reads, n_cells); a cell's time starts at its first read."""
    if "cell" not in columns:  # a matrix, or one cell
        t, g = columns["t"], columns["g"]
        if len(g) != t.size or (np.diff(t.ravel()) <= 0).any():
            raise MeasurementError(
                f"{place}: g of shape {g.shape} needs {len(g)} rising times, t has {t.size}; the first axis "
                "of g is time (in CSV, cells are told apart by a column 'cell')"
            )
        return {"t": t.ravel() - t.flat[0], "g": g.reshape(t.size, -1)}
    order = np.lexsort((columns["t"], columns["cell"]))
    cells, counts = np.unique(columns["cell"], return_counts=True)
    if len(set(counts)) > 1:
        odd = int((counts != np.median(counts)).argmax())
        raise MeasurementError(
            f"{place}: cell {cells[odd]:g} has {counts[odd]} reads, others have {np.median(counts):g}; give "
            "every cell the same reads, with an empty conductance where one is missing"
        )
    t = columns["t"][order].reshape(len(cells), -1)
    t = t - t[:, :1]
    usual = np.median(t, axis=0)
    if (np.diff(usual) <= 0).any():
        raise MeasurementError(
            f"{place}: cells were read twice at one time; give every read a time of its own"
        )
    far = (np.abs(t - usual)[:, 1:] > 0.1 * np.diff(usual)).any(axis=1)
    if far.any():
        raise MeasurementError(
            f"{place}: cell {cells[far.argmax()]:g} was read at other times than most cells; give cells of "
            "one rhythm of reads in one file"
        )
    return {"t": usual, "g": columns["g"][order].reshape(len(cells), -1).T}


# ---- files -----------------------------------------------------------------------------------------


def read_csv(path: Path) -> tuple[dict[str, Array], list[int]]:
    """Columns by their header, and the line of every row; empty lines and lines with # are skipped."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if any(row) and not row[0].startswith("#")]
    except (OSError, UnicodeDecodeError, csv.Error) as why:
        raise MeasurementError(f"{path}: cannot be read as CSV: {why}") from None
    if len(rows) < 2:
        raise MeasurementError(f"{path}: no rows; the first line names the columns, e.g. 'g_uS'")
    header = [name.strip() for name in rows[0][1]]
    if len(set(header)) < len(header):
        raise MeasurementError(f"{path}: two columns of one name in {', '.join(header)}; keep one of them")
    values = np.empty((len(rows) - 1, len(header)))
    for i, (line, row) in enumerate(rows[1:]):
        if len(row) != len(header):
            raise MeasurementError(f"{path}: line {line} has {len(row)} fields, the header {len(header)}")
        for j, text in enumerate(row):
            try:
                values[i, j] = float(text) if text.strip() else np.nan
            except ValueError:
                where = f"{path}: line {line}, column '{header[j]}'"
                raise MeasurementError(f"{where}: '{text}' is no number; write it as 1.5e-6") from None
    return dict(zip(header, values.T, strict=True)), [line for line, _ in rows[1:]]


def _read_hdf5(path: Path, name: str, unit: str | None) -> dict[str, Array]:
    """The columns of a group, or the conductances of one dataset or of a group of datasets of any names."""
    try:
        with h5py.File(path, "r") as file:
            item = _item(file, name, path)
            if isinstance(item, h5py.Dataset):
                return {_header(name): _values(item, path)}
            arrays = {
                key: _values(child, path)
                for key in _names(item)
                if isinstance(child := _item(item, key, path), h5py.Dataset)
            }
            groups = ", ".join(f"{path}:{key}" for key in _names(item) if key not in arrays)
    except MeasurementError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as why:  # by where the file is broken
        raise MeasurementError(f"{path}: not a readable HDF5 file: {why}; get the file again") from None
    if not arrays:
        raise MeasurementError(f"{path}: no datasets in '{name or '/'}'; name a group: {groups or 'none'}")
    matches = {key: NAME.fullmatch(key) for key in arrays}
    if all((match["name"] if match else key) in COLUMNS for key, match in matches.items()):
        return arrays
    headers = {_header(f"{name}/{key}") for key in arrays}
    if len(headers) > 1:
        raise MeasurementError(f"{path}:{name}: conductances in several units; name one dataset")
    return {headers.pop(): np.concatenate([array.ravel() for array in arrays.values()])}


def _header(name: str) -> str:
    """The column that a dataset of conductances stands for, with the unit that its path names."""
    units = [match for part in name.split("/")[::-1] if (match := NAME.fullmatch(part))]
    return f"g_{units[0]['prefix']}{units[0]['unit']}" if units else "g"


def _names(group: Any) -> list[str]:
    """Names in a group; one that is no text is left out."""
    return [name for name in group if isinstance(name, str)]


def _item(start: Any, name: str, path: Path) -> Any:
    """The object of that name, if it stands in this very file."""
    item = start
    for part in filter(None, name.split("/")):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if link is None:
            known = did_you_mean(part, _names(item)) if isinstance(item, h5py.Group) else "it is a dataset"
            raise MeasurementError(f"{path}: no '{part}' in '{item.name}'; {known}")
        if not isinstance(link, h5py.HardLink):
            raise MeasurementError(f"{path}: '{name}' is a link, which is not followed; name its target")
        item = item[part]
        if not isinstance(item, h5py.Dataset | h5py.Group):
            raise MeasurementError(f"{path}: '{name}' is neither a dataset nor a group; name one")
    return item


def _values(dataset: Any, path: Path) -> Array:
    """Its values as float64, if they are numbers in this very file."""
    where = f"{path}: {dataset.name}"
    if dataset.is_virtual or dataset.external or dataset.dtype.kind not in "iuf":
        raise MeasurementError(f"{where}: {dataset.dtype}; must be plain numbers in this file")
    if not dataset.shape or not 0 < dataset.size <= MAX_ITEMS:
        raise MeasurementError(f"{where}: shape {dataset.shape}; must be 1 to {MAX_ITEMS:,} numbers")
    return np.asarray(dataset[()], np.float64)

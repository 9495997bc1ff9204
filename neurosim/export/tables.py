"""A design as CSV: one table for each tile and for each list beside it, with a manifest."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.export import check_folder
from neurosim.export.design import Design
from neurosim.export.macro import contents
from neurosim.export.plan import make_plan
from neurosim.export.schema import TILES, fields_by_name
from neurosim.store import atomic_path, sha256

Array = npt.NDArray[Any]

SCHEMA = "neurosim.macro_csv/1"
# by the length that the columns of a table share
TABLES = {
    "n_neurons": "neurons",
    "n_states": "states",
    "inputs": "synapses_input",
    "recurrent": "synapses_recurrent",
    "events": "vectors_events",
    "spikes": "vectors_spikes",
    "vectors": "vectors",
    "levels": "levels",
}


def write_csv(design: Design, out: Path) -> list[Path]:
    """Write a design as a folder of CSV.

    Args:
        design: What is to be programmed.
        out: The folder; an earlier export there is replaced as a whole, anything else is left alone.

    Returns:
        The manifest.

    Raises:
        ImageError: If something else stands there.
    """
    check_folder(out, SCHEMA)
    arrays, attributes, texts = contents(design, make_plan(design))
    values = {name: array for name, (array, _) in arrays.items()}
    with atomic_path(out) as folder:
        folder.mkdir()
        for name, columns in _tables(values).items():
            _write(folder / f"{name}.csv", columns)
        manifest = {
            "schema": SCHEMA,
            "attributes": attributes,
            **{name.removeprefix("design/"): json.loads(text) for name, text in texts.items()},
            "units": {name: unit for name, (_, unit) in arrays.items()},
            "sha256": {file.name: sha256(file) for file in sorted(folder.iterdir())},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n", "utf-8")
    return [out / "manifest.json"]


def _tables(values: dict[str, Array]) -> dict[str, dict[str, Array]]:
    """Columns of every table; a column is called as its dataset, with the unit behind it where it has one."""
    fields = fields_by_name(sum(name.endswith("/bias") for name in values))
    tables: dict[str, dict[str, Array]] = {}
    tiles = [name for name in values if fields[name].dims == TILES]
    n_tiles, n_rows, n_cols = values["tiles/target"].shape
    row, col = (place.ravel() for place in np.indices((n_rows, n_cols)))
    for k in range(n_tiles):
        tables[f"tile{k}"] = {"row": row, "col": col} | {
            _header(fields[n]): values[n][k].ravel() for n in tiles
        }
    for name in ("row", "col"):
        role = values[f"tiles/{name}_role"]
        tile, line = np.indices(role.shape)
        tables[f"{name}_lines"] = {"tile": tile.ravel(), "line": line.ravel(), "role": role.ravel()}
    for name, value in values.items():
        field = fields[name]
        if field.dims in (TILES, TILES[:2], TILES[::2]):
            continue
        if len(field.dims) == 1:
            group = name.rpartition("/")[0].replace("/", "_")
            table = TABLES.get(field.dims[0], f"{group}_{field.dims[0].removeprefix('n_')}")
            tables.setdefault(table, {})[_header(field)] = value
        elif field.dims[0] == "vectors":
            vector, step = np.indices((len(value), value.shape[1] - 1))
            n = np.diff(value, axis=1).ravel()
            what = "events" if name.endswith("step_ptr") else "spikes"
            tables.setdefault(f"vectors_{what}", {}).update(
                {"vector": np.repeat(vector.ravel(), n), "step": np.repeat(step.ravel(), n)}
            )
        else:
            columns = {str(j): column for j, column in enumerate(value.T)}
            tables[name.replace("/", "_")] = columns
    return tables


def _header(field: Any) -> str:
    name = field.name.rpartition("/")[2]
    return name if field.unit == "1" else f"{name}_{field.unit}"


def _write(path: Path, columns: dict[str, Array]) -> None:
    """Numbers in the shortest form that reads back as the same number."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*map(_texts, columns.values()), strict=True))


def _texts(values: Array) -> Iterable[Any] | Sequence[str]:
    return values.tolist() if values.dtype.kind in "iu" else [str(value) for value in values]

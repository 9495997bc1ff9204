"""What was measured on a chip: conductances of its tiles at several times, from HDF5 or CSV, and written."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataNotFoundError, ImageError
from neurosim.export.design import Design
from neurosim.export.hdf5 import Field, opened, write_file
from neurosim.export.schema import G_MAX, MAX_CELLS, SCHEMA, TILES
from neurosim.fit.measurements import read_csv, read_measurement, si_column

Float = npt.NDArray[np.float32]

MAX_READS = 10_000
MAX_CSV = 1 << 28
FIELDS = (
    Field("measured/g", "<f4", ("reads", *TILES), "S", 0, G_MAX, "conductance; NaN: not measured"),
    Field("measured/t", "<f8", ("reads",), "s", 0, 1e10, "time of the read after the first, rising", True),
)


@dataclass(frozen=True, eq=False)
class Measured:
    """Reads of all cells of a chip.

    Attributes:
        t: float64 (n_reads,) [s], rising.
        g: float32 (n_reads, n_tiles, rows, cols) [S], I/V at the read voltage; NaN: not measured.
    """

    t: npt.NDArray[np.float64]
    g: Float


def read_measured(place: str, design: Design) -> Measured:
    """Measurements of the chip that was made from a design.

    Args:
        place: HDF5 with ``measured/g``; ``FILE.h5:DATASET`` with as many numbers as the tiles have cells; a
            folder of ``tile0.csv``, ``tile1.csv``, ...; or one CSV for one tile (docs/formats.md).
        design: Of the image.

    Raises:
        DataNotFoundError: If there is no such file.
        ImageError: If a file is damaged or wrong, or does not fit the design; also if a cell in use was never
            read.
        MeasurementError: If a CSV or a dataset that is named is wrong.
    """
    path, tiles = Path(place), (design.layout.n_tiles, *design.layout.shape)
    if path.is_dir():
        files = [path / f"tile{k}.csv" for k in range(tiles[0])]
        measured = _joined([_read_tile(file, tiles) for file in files], files)
    elif path.suffix == ".csv":
        if tiles[0] != 1:
            raise ImageError(
                f"{place}: one CSV for {tiles[0]} tiles; give the folder of tile0.csv, tile1.csv, ..."
            )
        measured = _joined([_read_tile(path, tiles)], [path])
    elif path.suffix in (".h5", ".hdf5"):
        measured = _read_image(path, design, tiles)
    else:
        found = read_measurement(place)
        if "g" not in found.columns:
            raise ImageError(f"{place}: holds {found.kind} and no conductances; name a dataset of those")
        g = found.columns["g"]
        if g.size != math.prod(tiles):
            raise ImageError(f"{place}: {g.size:,} conductances; {tiles} cells make {math.prod(tiles):,}")
        measured = Measured(np.zeros(1), g.reshape(1, *tiles).astype(np.float32))
    missing = np.isnan(measured.g).all(axis=0) & design.layout.used
    if missing.any():
        tile, row, col = np.argwhere(missing)[0]
        raise ImageError(
            f"{place}: {np.count_nonzero(missing):,} cells in use were never read, the first on tile "
            f"{tile} in row {row}, column {col}; measure them, or write 0 for cells that do not conduct"
        )
    return measured


def write_measured(measured: Measured, path: Path, *, fingerprint: str = "") -> None:
    """Write measurements as HDF5, atomically.

    Args:
        measured: Reads.
        path: The file.
        fingerprint: Of the run that the chip's design is from; '' leaves it out.
    """
    said = {"fingerprint": fingerprint} if fingerprint else {}
    write_file(path, SCHEMA, said, {}, {"measured/g": (measured.g, "S"), "measured/t": (measured.t, "s")})


def _read_image(path: Path, design: Design, tiles: tuple[int, ...]) -> Measured:
    with opened(path, SCHEMA, sealed=False) as reader:
        if reader.has_attribute("fingerprint"):
            mark = reader.attribute("", "fingerprint", str)
            if mark != design.fingerprint:
                raise reader.fail(
                    "@fingerprint", f"{mark}, but the image is of {design.fingerprint}: another chip"
                )
        sizes = dict(zip(TILES, tiles, strict=True))
        n_reads, *_ = reader.shape("measured/g") or (0,)
        if not 1 <= n_reads <= MAX_READS or n_reads * math.prod(tiles) > 4 * MAX_CELLS:
            raise reader.fail(
                "measured/g", f"{n_reads} reads; give 1 to {MAX_READS}, and fewer of many tiles"
            )
        g = reader.array(FIELDS[0], sizes, missing=True)
        t = reader.array(FIELDS[1], sizes) if reader.has("measured/t") else np.zeros(1)
        if len(t) != len(g) or (np.diff(t) <= 0).any():
            raise reader.fail("measured/t", f"{len(g)} reads need as many rising times")
    return Measured(t, g)


def _read_tile(path: Path, tiles: tuple[int, ...]) -> dict[float, Float]:
    """Reads of one of the tiles by their time: columns row, col, a conductance such as g_uS, perhaps t_s."""
    shape = tiles[1:]
    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file; every tile needs its own")
    if path.stat().st_size > MAX_CSV:
        raise ImageError(f"{path}: larger than {MAX_CSV:,} bytes; write measured/g as HDF5")
    raw, lines = read_csv(path)
    if not {"row", "col"} <= raw.keys() or len(raw) not in (3, 4):
        raise ImageError(f"{path}: columns {', '.join(raw)}; must be row, col, g_uS and perhaps t_s")
    index = []
    for name, limit in zip(("row", "col"), shape, strict=True):
        values = raw.pop(name)
        bad = ~((values >= 0) & (values < limit) & (values % 1 == 0))
        if bad.any():
            i = int(bad.argmax())
            raise ImageError(f"{path}: line {lines[i]}: {name} {values[i]:g}; must be 0 to {limit - 1}")
        index.append(values.astype(np.int64))
    columns = dict(si_column(header, values, lines, str(path)) for header, values in raw.items())
    if "g" not in columns or not columns.keys() <= {"g", "t"}:
        raise ImageError(f"{path}: columns {', '.join(columns)}; one must be a conductance, e.g. g_uS")
    times = columns.get("t", np.zeros(len(columns["g"])))
    reads: dict[float, Float] = {}
    moments = np.unique(times).tolist()
    if len(moments) > MAX_READS or len(moments) * math.prod(tiles) > 4 * MAX_CELLS:
        raise ImageError(f"{path}: {len(moments):,} times of reads; give fewer, or write measured/g as HDF5")
    for t in moments:
        now = times == t
        row, col = (lines_[now] for lines_ in index)
        if len(np.unique(row * shape[1] + col)) < len(row):
            raise ImageError(
                f"{path}: a cell stands twice at {t:g} s; give every read a time of its own (t_s)"
            )
        tile = np.full(shape, np.nan, np.float32)
        tile[row, col] = columns["g"][now]
        reads[t] = tile
    return reads


def _joined(tiles: list[dict[float, Float]], files: list[Path]) -> Measured:
    times = list(tiles[0])
    for tile, file in zip(tiles, files, strict=True):
        if list(tile) != times:
            raise ImageError(
                f"{file}: other times of reads than {files[0].name}; read all tiles at the same times"
            )
    return Measured(np.array(times), np.stack([[tile[t] for tile in tiles] for t in times]))

"""HDF5 as plain data: numbers and fixed strings in this very file, bounded before anything is allocated.

What is read is looked up by name; nothing in a file is followed, executed, or used as a path.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from neurosim.errors import DataNotFoundError, ImageError, NeurosimError
from neurosim.store import atomic_path

Array = npt.NDArray[Any]

MAX_BYTES = 1 << 30  # of a file, and of all that is read from one
MAX_TEXT = 1 << 24
MAX_CHUNK = 1 << 26
HEAD = 512  # bytes before the HDF5 data, which HDF5 calls the user block
# a deflated chunk is at most so many times smaller than what it holds
RATIO = 1032
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
# 1.8 is old enough for every reader and the first whose structures carry check sums
LIBVER = ("v108", "v110")
CHUNK = 512  # lines of a chunk
LEVEL = 4  # of deflation: 9 takes four times as long for 1 % less


@dataclass(frozen=True)
class Field:
    """One dataset of a format.

    Attributes:
        name: Its path in the file.
        dtype: NumPy type.
        dims: Names of its lengths.
        unit: SI unit; ``"1"`` for ratios, counts and numbers of things.
        low, high: Range of its values.
        meaning: What it says, for the documents.
        optional: Whether it may be missing.
    """

    name: str
    dtype: str
    dims: tuple[str, ...]
    unit: str
    low: float
    high: float
    meaning: str
    optional: bool = False


# ---- writing ---------------------------------------------------------------------------------------


def write_file(
    path: Path,
    schema: str,
    attributes: Mapping[str, str | int | float],
    texts: Mapping[str, str],
    arrays: Mapping[str, tuple[Array, str]],
) -> None:
    """Write a file, atomically, with the SHA-256 of its HDF5 part in the 512 bytes before it.

    Args:
        path: The file.
        schema: What it follows.
        attributes: Of the root, or ``group@name`` of a group.
        texts: Scalar datasets of UTF-8.
        arrays: Values and unit by name.
    """
    with atomic_path(path) as tmp:
        with h5py.File(tmp, "w", libver=LIBVER, userblock_size=HEAD) as file:
            file.attrs["schema"] = np.bytes_(schema)
            for name, (values, unit) in arrays.items():
                _write(file, name, values, unit)
            for name, text in texts.items():
                raw = np.array(text.encode(), h5py.string_dtype("utf-8", max(1, len(text.encode()))))
                dataset = file.create_dataset(name, data=raw)
                dataset.attrs["unit"] = np.bytes_("1")
                dataset.attrs["sha256"] = np.bytes_(hashlib.sha256(text.encode()).hexdigest())
            for name, value in attributes.items():
                group, _, key = name.rpartition("@")
                place = file.require_group(group) if group else file
                place.attrs[key] = np.bytes_(value) if isinstance(value, str) else np.array(value)[()]
        with tmp.open("r+b") as raw_file:
            raw_file.seek(HEAD)
            mark = hashlib.file_digest(raw_file, "sha256").hexdigest()
            raw_file.seek(0)
            raw_file.write(f"{schema} sha256={mark}\n".encode().ljust(HEAD, b"\0"))


def write_plain(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays alone, atomically, as ``neurosim devices fit`` reads them: their names end in the unit."""
    with atomic_path(path) as tmp, h5py.File(tmp, "w", libver=LIBVER) as file:
        for name, values in arrays.items():
            _write(file, name, values, name.rpartition("_")[2])


def _write(file: Any, name: str, values: Array, unit: str) -> None:
    values = np.ascontiguousarray(values)
    options: dict[str, Any] = {}
    if values.size:
        chunks = (
            *[1] * (values.ndim - 2),
            *(min(n, CHUNK * CHUNK ** (values.ndim == 1)) for n in values.shape[-2:]),
        )
        options = {"chunks": chunks, "compression": "gzip", "compression_opts": LEVEL, "shuffle": True}
    dataset = file.create_dataset(name, data=values, **options)
    dataset.attrs["unit"] = np.bytes_(unit)
    dataset.attrs["sha256"] = np.bytes_(checksum(values))


def checksum(values: Array) -> str:
    """SHA-256 of the values, little-endian, the last axis fastest."""
    return hashlib.sha256(
        np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
    ).hexdigest()


# ---- reading ---------------------------------------------------------------------------------------


@contextmanager
def opened(path: Path, schema: str, *, sealed: bool) -> Iterator["Reader"]:
    """A file open for reading, after its size, check sum and schema were found right.

    Args:
        path: The file.
        schema: What it must follow.
        sealed: Whether the sum before the HDF5 part must be there; where it is, it must be right anyway.

    Raises:
        DataNotFoundError: If there is no such file.
        ImageError: If anything is wrong.
    """
    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file; check the path")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ImageError(f"{path}: {size:,} bytes; at most {MAX_BYTES:,} are read")
    with path.open("rb") as raw:
        head = raw.read(HEAD)
        marked = head.partition(b" sha256=")
        if sealed or head.startswith(b"neurosim."):
            if marked[0] != schema.encode():
                raise ImageError(f"{path}: does not begin with '{schema}'; is it such a file, and whole?")
            if marked[2][:64] != hashlib.file_digest(raw, "sha256").hexdigest().encode():
                raise ImageError(f"{path}: was cut off or changed: its SHA-256 is wrong; get the file again")
    try:
        with h5py.File(path, "r", locking=False) as file:
            reader = Reader(file, path, size, sealed=sealed)
            if (got := reader.attribute("", "schema", str)) != schema:
                raise ImageError(f"{path}: schema '{got}'; must be '{schema}'")
            yield reader
    except NeurosimError:
        raise
    # by where the file is broken; UnicodeDecodeError is a ValueError
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, SystemError) as why:
        raise ImageError(f"{path}: not a readable HDF5 file: {why}; get the file again") from None


class Reader:
    """An open file; every method raises ImageError, naming file and entry, where something is wrong."""

    def __init__(self, file: Any, path: Path, size: int, *, sealed: bool) -> None:
        """``sealed``: every dataset must have its sum."""
        self._file = file
        self._path = path
        self._size = size
        self._sealed = sealed
        self._left = MAX_BYTES

    def fail(self, name: str, problem: str) -> ImageError:
        """The error to raise."""
        return ImageError(f"{self._path}: {name or '/'}: {problem}")

    def has(self, name: str) -> bool:
        """Whether the file itself holds an object of that name."""
        return self._find(name) is not None

    def has_attribute(self, name: str) -> bool:
        """Whether the root has an attribute of that name."""
        return name in self._file.attrs

    def attribute(self, group: str, name: str, kind: type[Any]) -> Any:
        """A scalar attribute: ``str``, ``int`` or ``float``, finite."""
        place = self._find(group)
        where = f"{group}@{name}"
        if place is None or name not in place.attrs:
            raise self.fail(where, "missing")
        raw = place.attrs.get_id(name)
        letter = "O" if raw.dtype.kind == "O" and h5py.check_string_dtype(raw.dtype) else raw.dtype.kind
        if raw.shape != () or letter not in {str: "SO", int: "iu", float: "fiu"}[kind]:
            raise self.fail(where, f"{raw.dtype} of shape {raw.shape}; must be one {kind.__name__}")
        if raw.dtype.itemsize > HEAD:
            raise self.fail(where, f"longer than {HEAD} bytes")
        value = place.attrs[name]
        if kind is str:
            return value if isinstance(value, str) else bytes(value).decode()
        if not math.isfinite(value):
            raise self.fail(where, f"{value} is no finite number")
        return kind(value)

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number of the root in a range."""
        value: int = self.attribute("", name, int)
        if not low <= value <= high:
            raise self.fail(f"@{name}", f"{value} is outside {low} .. {high}")
        return value

    def number(self, group: str, name: str, low: float, high: float) -> float:
        """A number in a range."""
        value: float = self.attribute(group, name, float)
        if not low <= value <= high:
            raise self.fail(f"{group}@{name}", f"{value:g} is outside {low:g} .. {high:g}")
        return value

    def text(self, name: str) -> str:
        """A scalar dataset of UTF-8."""
        dataset = self._dataset(name)
        if dataset.shape != () or dataset.dtype.kind != "S" or dataset.dtype.itemsize > MAX_TEXT:
            raise self.fail(name, f"{dataset.dtype} of shape {dataset.shape}; must be one string")
        self._bound(name, dataset)
        raw = bytes(dataset[()])
        self._sum(name, hashlib.sha256(raw).hexdigest())
        return raw.decode()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a dataset."""
        return tuple(self._dataset(name).shape)

    def array(self, field: Field, sizes: dict[str, int], *, missing: bool = False) -> Array:
        """Values of a dataset.

        Args:
            field: What it must be.
            sizes: Lengths by name; the ones that are not in it are taken from the dataset and added.
            missing: Whether values may be NaN.
        """
        name = field.name
        dataset = self._dataset(name)
        dtype = np.dtype(field.dtype)
        if dataset.dtype.kind != dtype.kind or dataset.dtype.itemsize > 8:
            raise self.fail(name, f"type {dataset.dtype}; must be {dtype}, or that kind in another width")
        if len(dataset.shape) != len(field.dims):
            raise self.fail(name, f"shape {dataset.shape}; must be ({', '.join(field.dims)})")
        for axis, dim in zip(dataset.shape, field.dims, strict=True):
            if sizes.setdefault(dim, int(axis)) != axis:
                wanted = tuple(sizes.get(dim, dim) for dim in field.dims)
                raise self.fail(name, f"shape {dataset.shape}; must be {wanted} ({', '.join(field.dims)})")
        self._bound(name, dataset)
        unit = self.attribute(name, "unit", str)
        if unit != field.unit:
            raise self.fail(name, f"unit '{unit}'; must be '{field.unit}'")
        values = np.empty(dataset.shape, dataset.dtype)
        if values.size:
            dataset.read_direct(values)
        if self._sealed or "sha256" in dataset.attrs:
            self._sum(name, checksum(values))
        self._check(field, values, missing)
        return values.astype(dtype, copy=False)

    def _check(self, field: Field, values: Array, missing: bool) -> None:
        """Refuse values outside of the field's range."""
        bad = ~((values >= field.low) & (values <= field.high))
        if missing:
            bad &= ~np.isnan(values)
        if bad.any():
            place = np.unravel_index(int(bad.argmax()), bad.shape)
            entry = ", ".join(map(str, place))
            raise self.fail(
                field.name,
                f"[{entry}] is {values[place]:g}, outside {field.low:g} .. {field.high:g} [{field.unit}]",
            )

    def _sum(self, name: str, got: str) -> None:
        if self.attribute(name, "sha256", str) != got:
            raise self.fail(name, "its SHA-256 is wrong: it was changed; get the file again")

    def _find(self, name: str) -> Any:
        """The object of that name, if the file itself holds it."""
        item = self._file
        for part in filter(None, name.split("/")):
            link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise self.fail(name, "is a link, which is not followed; write the data themselves")
            item = item[part]
            if not isinstance(item, h5py.Group | h5py.Dataset):
                raise self.fail(name, "is neither a dataset nor a group")
        return item

    def _dataset(self, name: str) -> Any:
        item = self._find(name)
        if not isinstance(item, h5py.Dataset):
            raise self.fail(name, "missing" if item is None else "must be a dataset")
        plain = item.dtype.kind in "iufS" and item.dtype.fields is None and item.dtype.subdtype is None
        if item.is_virtual or item.external or not plain or item.shape is None:
            raise self.fail(name, f"{item.dtype}; must be plain numbers or text in this very file")
        return item

    def _bound(self, name: str, dataset: Any) -> None:
        """Refuse what would take more memory than the file can stand for."""
        n_bytes = math.prod(int(n) for n in dataset.shape) * dataset.dtype.itemsize
        if n_bytes > self._left:
            raise self.fail(name, f"shape {dataset.shape} takes {n_bytes:,} bytes; {self._left:,} are left")
        plist = dataset.id.get_create_plist()
        filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
        if not filters <= FILTERS:
            raise self.fail(
                name, f"filters {sorted(filters - FILTERS)}; only gzip, shuffle and fletcher32 are read"
            )
        if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > MAX_CHUNK:
            raise self.fail(name, f"chunks of {dataset.chunks}; at most {MAX_CHUNK:,} bytes a chunk are read")
        if n_bytes > RATIO * max(dataset.id.get_storage_size(), 64) or n_bytes > RATIO * self._size:
            raise self.fail(name, f"shape {dataset.shape} declares more than the file holds")
        self._left -= n_bytes

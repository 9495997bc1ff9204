"""IDX files: the images and labels of MNIST and its relatives, plain or compressed (gzip, xz)."""

import gzip
import lzma
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataNotFoundError, EventFileError

_UNSIGNED_BYTE = 0x08
# more than any known IDX file (EMNIST by class: 0.55 GB); a damaged header must not fill the memory
_MAX_BYTES = 2**30


def open_compressed(path: Path, suffix: str) -> IO[bytes]:
    """Open a file for reading, decompressed where ``suffix`` is .gz or .xz."""
    match suffix:
        case ".gz":
            return cast(IO[bytes], gzip.open(path))
        case ".xz":
            return lzma.open(path)
        case _:
            return path.open("rb")


def exists(path: Path) -> bool:
    """Whether there is such a file or folder, perhaps inside a zip file: ``files.zip/folder/name.gz``."""
    if path.exists():
        return True
    archive = _archive(path)
    try:
        return archive is not None and bool(
            zipfile.Path(archive, path.relative_to(archive).as_posix()).exists()
        )
    except (OSError, zipfile.BadZipFile) as why:
        raise EventFileError(f"{archive}: not a readable zip file: {why}; fetch it again") from None


def read_images(path: Path) -> npt.NDArray[np.uint8]:
    """Grey images of an IDX file.

    Returns:
        uint8 (n, height, width) [grey level, 0..255].

    Raises:
        DataNotFoundError: If there is no such file.
        EventFileError: If the file is not an IDX file of images, or shorter or longer than its header says.
    """
    return _read(path, ("n", "height", "width"))


def read_labels(path: Path) -> npt.NDArray[np.uint8]:
    """Labels of an IDX file.

    Returns:
        uint8 (n,).

    Raises:
        DataNotFoundError: If there is no such file.
        EventFileError: If the file is not an IDX file of labels, or shorter or longer than its header says.
    """
    return _read(path, ("n",))


def _read(path: Path, axes: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes with these axes."""
    try:
        if archive := _archive(path):
            name = path.relative_to(archive).as_posix()
            with zipfile.ZipFile(archive) as files, files.open(name) as member:
                return _parse(gzip.open(member) if path.suffix == ".gz" else member, axes, path)
        with open_compressed(path, path.suffix) as file:
            return _parse(file, axes, path)
    except (FileNotFoundError, KeyError):
        raise DataNotFoundError(f"{path}: no such file; 'neurosim datasets fetch' gets it") from None
    except (OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as why:
        raise EventFileError(f"{path}: cannot be read or decompressed: {why}; get the file again") from None


def _archive(path: Path) -> Path | None:
    """The zip file that ``path`` leads into."""
    return next((parent for parent in path.parents if parent.suffix == ".zip" and parent.is_file()), None)


def _parse(file: IO[bytes] | gzip.GzipFile, axes: tuple[str, ...], path: Path) -> npt.NDArray[np.uint8]:
    magic = bytes([0, 0, _UNSIGNED_BYTE, len(axes)])
    head = file.read(4 + 4 * len(axes))
    if head[:4] != magic:
        raise EventFileError(
            f"{path}: byte 0: magic number {head[:4].hex()}, expected {magic.hex()} "
            f"(unsigned bytes, axes {', '.join(axes)}); is it the right file?"
        )
    if len(head) < 4 + 4 * len(axes):
        raise EventFileError(f"{path}: byte {len(head)}: the file ends within the header; get the file again")
    shape = tuple(int(size) for size in np.frombuffer(head, ">u4", offset=4))
    n_bytes = math.prod(shape)
    if n_bytes > _MAX_BYTES:
        raise EventFileError(
            f"{path}: byte 4: sizes {shape} make {n_bytes} bytes, at most {_MAX_BYTES} allowed; "
            "get the file again"
        )
    data = file.read(n_bytes + 1)
    if len(data) != n_bytes:
        found = f"more than {n_bytes}" if len(data) > n_bytes else f"only {len(data)}"
        raise EventFileError(
            f"{path}: byte {len(head) + min(len(data), n_bytes)}: {found} bytes of data, "
            f"the header's sizes {shape} make {n_bytes}; get the file again"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)

"""N-MNIST: saccade recordings of the MNIST digits (Orchard et al. 2015, doi:10.3389/fnins.2015.00437).

A recording is a file ``<digit>/<id>.bin`` of 40-bit events: x (8 bits), y (8), polarity (1) and time
(23, microseconds), big-endian. An event with y = 240 is no pixel: it marks that the clock ran over, and
2^13 us are added to its own and every later time. Recording ``id`` is MNIST image ``id - 1``.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataNotFoundError, EventFileError
from neurosim.events.types import Events, Sensor

SENSOR = Sensor(width=34, height=34, polarities=2)
CLASSES = tuple("0123456789")

_EVENT_BYTES = 5
_OVERFLOW_Y = 240
_OVERFLOW_US = 2**13
# recordings have some 4,000 events; what a zip file claims must not fill the memory
_MAX_BYTES = 2**20 * _EVENT_BYTES
_NAME = re.compile(r"(?:\w+/)?(?P<digit>[0-9])/(?P<id>[0-9]{1,9})\.bin")


@dataclass(frozen=True)
class Recording:
    """Where one recording stands.

    Attributes:
        id: Number of the recording; it shows MNIST image ``id - 1`` of its part (train or test).
        digit: Class index.
        path: The ``.bin`` file, or the zip file that holds it.
        member: Name inside the zip file; empty for a file of its own.
        size: Number of bytes.
        modified: When the file was changed last [ns].
    """

    id: int
    digit: int
    path: Path
    member: str
    size: int
    modified: int

    def __str__(self) -> str:
        """Name for messages."""
        return f"{self.path}!{self.member}" if self.member else str(self.path)


def list_recordings(path: Path) -> list[Recording]:
    """Recordings of one part of N-MNIST, in the order of their ids; only names and sizes are read.

    Args:
        path: A folder ``Train`` or ``Test`` with ``<digit>/<id>.bin`` in it, or a zip file of such a folder.
            Files that are not ``.bin`` or whose names begin with a dot are passed over.

    Raises:
        DataNotFoundError: If there is no such folder or zip file, or no recording in it.
        EventFileError: If a ``.bin`` file has an unexpected name, an id stands twice, a zip file is damaged.
    """
    if not path.exists():
        raise DataNotFoundError(f"{path}: no such folder or zip file of N-MNIST recordings")
    found: dict[int, Recording] = {}
    for file, member, size, modified in _zip_members(path) if path.is_file() else _folder_files(path):
        name = member or file.relative_to(path).as_posix()
        if not name.endswith(".bin") or name.rpartition("/")[2].startswith("."):
            continue
        where = f"{path}: {name}"
        fields = _NAME.fullmatch(name)
        if fields is None:
            raise EventFileError(f"{where}: unexpected name, recordings are named <digit>/<id>.bin")
        if size > _MAX_BYTES:
            raise EventFileError(f"{where}: {size} bytes, a recording has at most {_MAX_BYTES}")
        recording = Recording(int(fields["id"]), int(fields["digit"]), file, member, size, modified)
        if (other := found.setdefault(recording.id, recording)) is not recording:
            raise EventFileError(f"{where}: recording {recording.id} stands twice, also as {other}")
    if not found:
        raise DataNotFoundError(f"{path}: no recordings, expected files <digit>/<id>.bin")
    return [found[i] for i in sorted(found)]


def read_recordings(recordings: Sequence[Recording]) -> Events:
    """Events of these recordings; a zip file is read in memory and never unpacked.

    Raises:
        EventFileError: If a file cannot be read or does not hold what its format says.
    """
    archives = {path: zipfile.ZipFile(path) for path in {r.path for r in recordings if r.member}}
    try:
        pairs = [_decode(_read(r, archives.get(r.path)), str(r)) for r in recordings]
    finally:
        for archive in archives.values():
            archive.close()
    return Events.pack(pairs, [r.digit for r in recordings], SENSOR, CLASSES)


def _folder_files(folder: Path) -> Iterator[tuple[Path, str, int, int]]:
    for file in folder.rglob("*.bin"):
        stat = file.stat()
        yield file, "", stat.st_size, stat.st_mtime_ns


def _zip_members(path: Path) -> list[tuple[Path, str, int, int]]:
    modified = path.stat().st_mtime_ns
    try:
        with zipfile.ZipFile(path) as archive:
            return [(path, info.filename, info.file_size, modified) for info in archive.infolist()]
    except (OSError, zipfile.BadZipFile) as why:
        raise EventFileError(f"{path}: not a readable zip file: {why}; fetch it again") from None


def _read(recording: Recording, archive: zipfile.ZipFile | None) -> bytes:
    """Bytes of one recording; never more than its listed size, whatever the file says."""
    try:
        if archive is None:
            return recording.path.read_bytes()
        with archive.open(recording.member) as file:
            return file.read(recording.size)
    except (OSError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as why:
        raise EventFileError(f"{recording}: cannot be read: {why}; fetch it again") from None


def _decode(raw: bytes, where: str) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """Channels and times [us] of one recording's bytes; ``where`` names it in messages."""
    if len(raw) % _EVENT_BYTES:
        start = len(raw) // _EVENT_BYTES * _EVENT_BYTES
        raise EventFileError(
            f"{where}: byte {start}: the last event is cut off, expected {_EVENT_BYTES} bytes; "
            "get the file again"
        )
    fields = np.frombuffer(raw, np.uint8).reshape(-1, _EVENT_BYTES).T.astype(np.int64)
    overflow = fields[1] == _OVERFLOW_Y
    events = np.flatnonzero(~overflow)
    x, y, high, middle, low = fields[:, events]
    t = ((high & 0x7F) << 16 | middle << 8 | low) + _OVERFLOW_US * np.cumsum(overflow)[events]

    def refuse(bad: npt.NDArray[np.bool_], explain: Callable[[int], str]) -> None:
        if bad.any():
            first = int(bad.argmax())
            place = f"{where}: byte {events[first] * _EVENT_BYTES}"
            raise EventFileError(f"{place}: {explain(first)}; get the file again")

    off_sensor = (x >= SENSOR.width) | (y >= SENSOR.height)
    refuse(off_sensor, lambda i: f"x={x[i]}, y={y[i]} is off the {SENSOR.width} x {SENSOR.height} sensor")
    refuse(np.diff(t, prepend=0) < 0, lambda i: f"time runs backwards, from {t[i - 1]} to {t[i]} us")
    refuse(t > np.iinfo(np.int32).max, lambda i: f"time {t[i]} us does not fit 32 bits")
    channel = (y * SENSOR.width + x) * SENSOR.polarities + (high >> 7)
    return channel.astype(np.uint16), t.astype(np.int32)

"""N-TIDIGITS18: spoken digits heard by a silicon cochlea (Anumula et al. 2018, doi:10.3389/fnins.2018.00023).

One HDF5 file: ``train_labels`` holds names such as ``man-ae-a-3`` (gender, speaker, take, spoken digits),
``train_addresses/<name>`` the channel of every event and ``train_timestamps/<name>`` its time in seconds;
the same for ``test``.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from neurosim.errors import DataNotFoundError, EventFileError
from neurosim.events.types import Events, Sensor

SENSOR = Sensor(width=64)
CLASSES = ("z", "1", "2", "3", "4", "5", "6", "7", "8", "9", "o")

_NAME = re.compile(r"[A-Za-z0-9_-]+-([1-9zo]+)")
# what damaged files make of HDF5's reader
_DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError)
_MAX_ITEMS = 10_000_000  # a recording of some seconds has some 10,000 events


def list_recordings(path: Path, split: str) -> list[str]:
    """Names of the recordings of isolated digits, in the file's order; only the list of names is read.

    Args:
        path: The HDF5 file.
        split: ``"train"`` or ``"test"``.

    Raises:
        DataNotFoundError: If there is no such file.
        EventFileError: If the list is missing or holds a name that is not one.
    """
    with _open(path) as file:
        names = _array(file, f"/{split}_labels", path)
    found = []
    for i, raw in enumerate(names):
        name = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
        fields = _NAME.fullmatch(name)
        if fields is None:
            raise EventFileError(
                f"{path}: /{split}_labels: entry {i} is {name!r}, expected gender-speaker-take-digits "
                "with digits out of 1..9, z, o"
            )
        if len(fields[1]) == 1:
            found.append(name)
    return found


def digit(name: str) -> int:
    """Class index of a recording of one isolated digit: z is 0, o is 10."""
    return CLASSES.index(name[-1])


def read_recordings(path: Path, split: str, names: Sequence[str]) -> Events:
    """Events of these recordings.

    Raises:
        DataNotFoundError: If there is no such file.
        EventFileError: If an object is missing, is a link to another place, or holds what cannot be events.
    """
    with _open(path) as file:
        pairs = [_events(file, split, name, path) for name in names]
    return Events.pack(pairs, [digit(name) for name in names], SENSOR, CLASSES)


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except FileNotFoundError:
        raise DataNotFoundError(f"{path}: no such file; 'neurosim datasets fetch' gets it") from None
    except _DAMAGED as why:
        raise EventFileError(f"{path}: not a readable HDF5 file: {why}; get the file again") from None


def _events(
    file: h5py.File, split: str, name: str, path: Path
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """Channels and times [us] of one recording."""
    at_address, at_time = f"/{split}_addresses/{name}", f"/{split}_timestamps/{name}"
    address, seconds = _array(file, at_address, path), _array(file, at_time, path)
    if address.dtype.kind not in "iuf" or seconds.dtype.kind not in "iuf":
        raise EventFileError(
            f"{path}: {at_address}, {at_time}: {address.dtype}, {seconds.dtype}, not numbers; "
            "get the file again"
        )
    if len(address) != len(seconds):
        raise EventFileError(
            f"{path}: {at_address} has {len(address)} entries, {at_time} has {len(seconds)}; "
            "get the file again"
        )
    channel, t = address.astype(np.float64), seconds.astype(np.float64) * 1e6
    is_channel = (channel >= 0) & (channel < SENSOR.width) & (channel == np.floor(channel))
    _refuse(~is_channel, channel, f"{path}: {at_address}", f"not a channel 0..{SENSOR.width - 1}")
    is_time = (t >= 0) & (t <= np.iinfo(np.int32).max)
    _refuse(~is_time, t / 1e6, f"{path}: {at_time}", "not a time from 0 to 2147 s")
    _refuse(np.diff(t, prepend=0) < 0, t / 1e6, f"{path}: {at_time}", "earlier than the one before it")
    return channel.astype(np.uint16), np.rint(t).astype(np.int32)


def _refuse(bad: npt.NDArray[np.bool_], values: npt.NDArray[np.float64], where: str, why: str) -> None:
    if bad.any():
        first = int(bad.argmax())
        raise EventFileError(f"{where}: entry {first} is {values[first]:g}, {why}; get the file again")


def _array(file: h5py.File, name: str, path: Path) -> npt.NDArray[Any]:
    """A one-dimensional dataset that stands in this very file."""
    try:
        return _read(file, name, path)
    except EventFileError:  # which is a ValueError
        raise
    except _DAMAGED as why:
        raise EventFileError(f"{path}: {name}: cannot be read: {why}; get the file again") from None


def _read(file: h5py.File, name: str, path: Path) -> npt.NDArray[Any]:
    item: Any = file
    for part in name.strip("/").split("/"):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if link is None:
            raise EventFileError(f"{path}: {name}: missing; get the file again")
        if not isinstance(link, h5py.HardLink):
            raise EventFileError(f"{path}: {name}: a link to another place, which is not followed")
        item = item[part]
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        raise EventFileError(f"{path}: {name}: not a dataset with its values in this file")
    if item.ndim != 1 or item.size > _MAX_ITEMS:
        raise EventFileError(f"{path}: {name}: shape {item.shape}, expected one axis of at most {_MAX_ITEMS}")
    return np.asarray(item[:])

"""Motor cortex while letters are written (Willett et al. 2021, doi:10.1038/s41586-021-03506-2).

One MATLAB file per session: ``neuralActivityCube_a`` holds the spike counts of letter a, trials x bins of
10 ms x 192 electrodes; one such variable per letter. Files of version 5 and of version 7.3 (HDF5, axes
reversed) are read. The last three trials of every letter, one block, are the test part.
"""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from neurosim.errors import DataNotFoundError, EventFileError
from neurosim.events.types import Events, Sensor

SENSOR = Sensor(width=192)
CLASSES = tuple("abcdefghijklmnopqrstuvwxyz")
BIN = 0.01  # [s]
TEST_TRIALS = 3
MAX_TRIALS, MAX_BINS, MAX_COUNT = 10_000, 2_000, 255

_NUMBERS = {
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "single",
    "double",
    "logical",
}
# what damaged files make of SciPy's and HDF5's readers
_DAMAGED = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    MatReadError,
)


def list_trials(path: Path, classes: Sequence[str], split: str) -> dict[str, range]:
    """Trials of every letter in one part, by their number in its variable; only the shapes are read.

    Args:
        path: A file ``singleLetters.mat``.
        classes: The letters.
        split: ``"test"`` (the last three trials of every letter) or ``"train"`` (the others).

    Raises:
        DataNotFoundError: If there is no such file.
        EventFileError: If it is no MATLAB file, or a letter's variable is missing or has another shape.
    """
    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file; see 'neurosim datasets show handwriting'")
    shapes = _shapes(path, classes)
    found = {}
    for letter in classes:
        shape = shapes[letter]
        if not (
            len(shape) == 3
            and TEST_TRIALS < shape[0] <= MAX_TRIALS
            and 0 < shape[1] <= MAX_BINS
            and shape[2] == SENSOR.width
        ):
            raise EventFileError(
                f"{path}: {_name(letter)}: shape {shape}, expected {TEST_TRIALS + 1} to {MAX_TRIALS} trials "
                f"x up to {MAX_BINS} bins x {SENSOR.width} electrodes; is it the right file?"
            )
        first = shape[0] - TEST_TRIALS
        found[letter] = range(first, shape[0]) if split == "test" else range(first)
    return found


def read_trials(path: Path, letter: str, trials: range, classes: tuple[str, ...]) -> Events:
    """Recordings of these trials of one letter.

    Raises:
        EventFileError: If the variable cannot be read, or holds what cannot be spike counts.
    """
    cube = _read(path, letter)
    if cube.dtype.kind not in "iufb" or cube.ndim != 3:
        raise EventFileError(f"{path}: {_name(letter)}: {cube.dtype} {cube.shape}, not spike counts")
    counts = cube[trials.start : trials.stop].astype(np.float64)
    bad = ~((counts >= 0) & (counts <= MAX_COUNT) & (counts == np.floor(counts)))
    if bad.any():
        trial, time, electrode = (int(i) for i in np.argwhere(bad)[0])
        raise EventFileError(
            f"{path}: {_name(letter)}: trial {trials.start + trial}, bin {time}, electrode {electrode}: "
            f"{counts[trial, time, electrode]:g}, expected a count of 0 to {MAX_COUNT}; get the file again"
        )
    labels = np.full(len(counts), classes.index(letter))
    return from_counts(counts.astype(np.int64), labels, BIN, SENSOR, classes)


def from_counts(
    counts: npt.NDArray[np.int64],
    labels: npt.ArrayLike,
    step: float,
    sensor: Sensor,
    classes: tuple[str, ...],
) -> Events:
    """Events of spike counts (n, steps, channels) in steps of ``step`` [s], evenly spread within each."""
    width = round(step * 1e6)
    recordings = []
    for trial in counts:
        time, channel = np.nonzero(trial)
        k = trial[time, channel]
        time, channel, total = (np.repeat(a, k) for a in (time, channel, k))
        number = np.arange(len(total)) - np.repeat(np.cumsum(k) - k, k)
        t = time * width + (2 * number + 1) * width // (2 * total)
        order = np.lexsort((channel, t))
        recordings.append((channel[order], t[order]))
    return Events.pack(recordings, labels, sensor, classes)


def _name(letter: str) -> str:
    return f"neuralActivityCube_{letter}"


def _shapes(path: Path, classes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shape of every letter's variable: trials, bins, electrodes."""
    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return {letter: _dataset(file, letter, path).shape[::-1] for letter in classes}
        listed = {name: (shape, kind) for name, shape, kind in whosmat(path)}
    except EventFileError:
        raise
    except _DAMAGED as why:
        raise EventFileError(f"{path}: not a readable MATLAB file: {why}; get it again") from None
    for letter in classes:
        if _name(letter) not in listed:
            raise EventFileError(f"{path}: {_name(letter)}: missing; is it the right file?")
        if (kind := listed[_name(letter)][1]) not in _NUMBERS:
            raise EventFileError(f"{path}: {_name(letter)}: {kind}, not numbers; is it the right file?")
    return {letter: tuple(listed[_name(letter)][0]) for letter in classes}


def _read(path: Path, letter: str) -> npt.NDArray[Any]:
    """The variable of one letter: trials, bins, electrodes."""
    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return np.asarray(_dataset(file, letter, path)[()]).T
        return np.asarray(loadmat(path, variable_names=[_name(letter)])[_name(letter)])
    except EventFileError:
        raise
    except _DAMAGED as why:
        raise EventFileError(f"{path}: {_name(letter)}: cannot be read: {why}; get the file again") from None


def _dataset(file: h5py.File, letter: str, path: Path) -> h5py.Dataset:
    """A dataset of numbers that stands in this very file."""
    name = _name(letter)
    link = file.get(name, getlink=True)
    if link is None:
        raise EventFileError(f"{path}: {name}: missing; is it the right file?")
    if not isinstance(link, h5py.HardLink):
        raise EventFileError(f"{path}: {name}: a link to another place, which is not followed")
    item = file[name]
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external or item.dtype.kind not in "iuf":
        raise EventFileError(f"{path}: {name}: not a dataset of numbers with its values in this file")
    return item

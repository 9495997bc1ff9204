"""Recordings from tonic: its data sets, with whatever transforms they carry, as packed events."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import EventFileError, ExperimentError, did_you_mean
from neurosim.events.types import Events, Sensor


def from_tonic(dataset: Any, *, sensor: Sensor | None = None, classes: Sequence[str] | None = None) -> Events:
    """Read a tonic data set once, from the first recording to the last.

    Args:
        dataset: Anything with a length whose items are ``(events, target)``, events being a structured array
            with integer fields t [us], x, and where the sensor has them y and p.
        sensor: Pixel grid; the default is ``dataset.sensor_size``. Needed where a transform changes it.
        classes: Class names in the order of the integer targets; the default is ``dataset.classes``.

    Returns:
        The recordings in the data set's order.

    Raises:
        ExperimentError: If the sensor or the classes are neither given nor known to the data set.
        EventFileError: If a recording or target does not fit them, or time runs backwards.
    """
    if sensor is None:
        if not hasattr(dataset, "sensor_size"):
            raise ExperimentError("the tonic data set has no sensor_size; give sensor")
        sensor = Sensor(*map(int, dataset.sensor_size))
    names = tuple(classes if classes is not None else getattr(dataset, "classes", ()))
    if not names:
        raise ExperimentError("the tonic data set names no classes; give classes")
    recordings, labels = [], []
    for i in range(len(dataset)):
        events, target = dataset[i]
        recordings.append(_channels(events, sensor, f"tonic recording {i}"))
        labels.append(_label(target, names, f"tonic recording {i}"))
    return Events.pack(recordings, labels, sensor, names)


def _channels(
    events: npt.NDArray[Any], sensor: Sensor, where: str
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """Channels and times [us] of one structured array."""
    limits = {"t": np.iinfo(np.int32).max + 1, "x": sensor.width, "y": sensor.height, "p": sensor.polarities}
    # tonic leaves out y where the sensor is a row, and writes p = 1 where there is one polarity
    given = [name for name in limits if name in "tx" or limits[name] > 1]
    fields = {name: np.zeros(len(events), np.int64) for name in limits}
    for name in given:
        if name not in (events.dtype.names or ()) or events[name].dtype.kind not in "biu":
            raise EventFileError(
                f"{where}: no integer field '{name}' in {events.dtype}; a sensor of one row has no y"
            )
        fields[name] = events[name].astype(np.int64)
        bad = (fields[name] < 0) | (fields[name] >= limits[name])
        if bad.any():
            first = int(bad.argmax())
            raise EventFileError(
                f"{where}: event {first} has {name}={fields[name][first]}, allowed is 0..{limits[name] - 1}; "
                "give sensor where a transform changes it"
            )
    backwards = np.diff(fields["t"], prepend=0) < 0
    if backwards.any():
        raise EventFileError(f"{where}: time runs backwards at event {int(backwards.argmax())}; sort by t")
    channel = (fields["y"] * sensor.width + fields["x"]) * sensor.polarities + fields["p"]
    return channel.astype(np.uint16), fields["t"].astype(np.int32)


def _label(target: Any, names: tuple[str, ...], where: str) -> int:
    if isinstance(target, str):
        if target not in names:
            raise EventFileError(f"{where}: unknown class '{target}'; {did_you_mean(target, names)}")
        return names.index(target)
    if not 0 <= target < len(names):
        raise EventFileError(
            f"{where}: target {target}, there are {len(names)} classes; name them all in classes"
        )
    return int(target)

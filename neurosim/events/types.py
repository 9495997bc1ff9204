"""What a set of recordings is, before and after it is cut into time steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from neurosim.errors import ShapeError

MAX_CHANNELS = 1 << 16


@dataclass(frozen=True)
class Sensor:
    """Pixel grid of an event sensor; a cochlea is a row of ``width`` channels.

    Channels are numbered ``(y * width + x) * polarities + p``.
    """

    width: int
    height: int = 1
    polarities: int = 1

    @property
    def n_channels(self) -> int:
        """Number of distinct (x, y, p)."""
        return self.width * self.height * self.polarities


@dataclass(frozen=True, eq=False)
class Events:
    """Recordings of one data set, one after another in flat arrays.

    Recording ``i`` is the slice ``offsets[i]:offsets[i + 1]``; its times start at 0 and do not run
    backwards. Indexing with an integer array or slice gives another ``Events``, so that scikit-learn can
    split one.

    Attributes:
        channel: uint16 (n_events,), channel number (see ``Sensor``).
        t: int32 (n_events,) [us], the sensors' own clock. The one quantity that is not in SI
            seconds: integers fall into time steps without rounding.
        offsets: int64 (n + 1,).
        labels: int64 (n,), class indices into ``classes``.
        sensor: Pixel grid.
        classes: Class names.
    """

    channel: npt.NDArray[np.uint16]
    t: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    sensor: Sensor
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that the flat arrays belong together and that channel numbers fit."""
        if self.sensor.n_channels > MAX_CHANNELS:
            raise ShapeError(
                f"events: a sensor of {self.sensor.n_channels} channels, at most {MAX_CHANNELS} are allowed; "
                "crop or downsample the recordings first"
            )
        if len(self.offsets) != len(self.labels) + 1 or len(self.channel) != len(self.t):
            raise ShapeError(
                f"events: {len(self.channel)} channels, {len(self.t)} times, {len(self.labels)} labels "
                f"and {len(self.offsets)} offsets do not belong together"
            )
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.t):
            raise ShapeError(
                f"events: offsets run from {self.offsets[0]} to {self.offsets[-1]}, "
                f"expected from 0 to {len(self.t)}"
            )

    def __len__(self) -> int:
        """Number of recordings."""
        return len(self.labels)

    @property
    def shape(self) -> tuple[int]:
        """``(n_recordings,)``; makes scikit-learn index with arrays."""
        return (len(self),)

    @property
    def x(self) -> npt.NDArray[np.int64]:
        """Column of every event."""
        return self.channel.astype(np.int64) // self.sensor.polarities % self.sensor.width

    @property
    def y(self) -> npt.NDArray[np.int64]:
        """Row of every event."""
        return self.channel.astype(np.int64) // (self.sensor.polarities * self.sensor.width)

    @property
    def p(self) -> npt.NDArray[np.int64]:
        """Polarity of every event."""
        return self.channel.astype(np.int64) % self.sensor.polarities

    def __getitem__(self, index: Any) -> Self:
        """The recordings at an integer, slice, integer array or boolean mask."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        lengths = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        if len(chosen) and np.array_equal(chosen, np.arange(chosen[0], chosen[0] + len(chosen))):
            events = slice(self.offsets[chosen[0]], self.offsets[chosen[-1] + 1])  # a view
        else:
            shift = np.repeat(self.offsets[chosen] - offsets[:-1], lengths)
            events = np.arange(offsets[-1]) + shift
        return type(self)(
            self.channel[events], self.t[events], offsets, self.labels[chosen], self.sensor, self.classes
        )

    @classmethod
    def pack(
        cls,
        recordings: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]],
        labels: npt.ArrayLike,
        sensor: Sensor,
        classes: tuple[str, ...],
    ) -> Self:
        """Join ``(channel, t)`` pairs, one per recording."""
        offsets = np.concatenate([[0], np.cumsum([len(t) for _, t in recordings], dtype=np.int64)])
        channel = np.concatenate([np.empty(0, np.uint16), *(c.astype(np.uint16) for c, _ in recordings)])
        t = np.concatenate([np.empty(0, np.int32), *(t.astype(np.int32) for _, t in recordings)])
        return cls(channel, t, offsets.astype(np.int64), np.asarray(labels, np.int64), sensor, classes)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """All recordings of parts of one sensor and one list of classes, one part after another."""
        first, *others = parts
        if not others:
            return first
        if any((part.sensor, part.classes) != (first.sensor, first.classes) for part in others):
            raise ShapeError("events: parts with different sensors or classes cannot be joined")
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(
            np.concatenate([part.channel for part in parts]),
            np.concatenate([part.t for part in parts]),
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate([part.labels for part in parts]),
            first.sensor,
            first.classes,
        )


@dataclass(frozen=True, eq=False)
class Binned:
    """Recordings cut into time steps: the active channels of every step, not dense frames.

    Step ``s`` of recording ``i`` holds ``channels[ptr[i, s]:ptr[i, s + 1]]`` (``ptr[i, n_steps]`` is the
    end of recording ``i``). A channel with k events in a step stands k times, or once if binning is binary.

    Attributes:
        channels: uint16 (n_active,), sorted within a step.
        ptr: int64 (n, n_steps + 1).
        labels: int64 (n,).
        sensor: Pixel grid after cropping.
        dt: Length of a step [s]; for stretched recordings the mean over the recordings.
        classes: Class names.
        max_count: Largest number of times one channel stands in one step.
    """

    channels: npt.NDArray[np.uint16]
    ptr: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    sensor: Sensor
    dt: float
    classes: tuple[str, ...]
    max_count: int

    def __len__(self) -> int:
        """Number of recordings."""
        return len(self.labels)

    @property
    def n_steps(self) -> int:
        """Number of time steps of every recording."""
        return int(self.ptr.shape[1]) - 1

    def __getitem__(self, index: slice | npt.NDArray[Any]) -> Self:
        """The recordings at a slice, integer array or boolean mask; the flat arrays are not copied."""
        return type(self)(
            self.channels,
            self.ptr[index],
            self.labels[index],
            self.sensor,
            self.dt,
            self.classes,
            self.max_count,
        )

    def packed(self) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
        """Channels of these recordings alone and the ends of their steps, (n * n_steps + 1,).

        A selection of recordings leaves the others between them; here there are none.
        """
        channels = [self.channels[steps[0] : steps[-1]] for steps in self.ptr]
        ends = np.append(0, np.cumsum(np.diff(self.ptr)))
        return np.concatenate([np.empty(0, np.uint16), *channels]), ends

    def dense(self, index: int) -> npt.NDArray[np.uint8]:
        """Counts of one recording as frames, (n_steps, n_channels), in the narrowest unsigned type."""
        frames = np.zeros((self.n_steps, self.sensor.n_channels), np.min_scalar_type(self.max_count))
        for step in range(self.n_steps):
            start, stop = self.ptr[index, step : step + 2]
            np.add.at(frames[step], self.channels[start:stop], 1)
        return frames

"""Cut recordings into time steps: events in, active channels of every step out."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from pydantic import Field

from neurosim.config import StrictModel
from neurosim.errors import ShapeError
from neurosim.events.types import Binned, Events, Sensor


class BinningConfig(StrictModel):
    """How recordings are cut into steps.

    Attributes:
        n_steps: Time steps of every recording.
        duration: Length cut into them [s]; later events are dropped. None (``false`` in TOML) stretches:
            every recording fills the steps, each a whole number of milliseconds long (the N-TIDIGITS recipe
            of Lin et al.).
        crop: Side of the centred square of pixels that is kept; None keeps the sensor.
        polarity: Which polarities are kept; ``merge`` gives both the same channel.
        binary: Whether a channel counts at most once a step, as a word line is either driven or not.
    """

    n_steps: int = Field(50, ge=1, le=100_000)
    duration: float | None = Field(0.3, ge=1e-6)
    crop: int | None = Field(None, ge=1)
    polarity: Literal["both", "off", "on", "merge"] = "both"
    binary: bool = True


def bin_events(events: Events, config: BinningConfig) -> Binned:
    """Cut every recording into ``config.n_steps`` steps.

    An event at time t falls into step floor(t n_steps / duration), computed in integers, so that none
    is lost or doubled at an edge.

    Args:
        events: Recordings.
        config: Steps, crop and polarity.

    Returns:
        The active channels of every step. Without ``binary`` and ``crop`` the number of channels is
        the number of events before ``duration``.

    Raises:
        ShapeError: If there is no recording, an event is off the sensor or before its recording, the crop is
            larger than the sensor, or a polarity is asked of a sensor without.
    """
    sensor, side, n_steps = events.sensor, config.crop, config.n_steps
    if not len(events):
        raise ShapeError("events: there is no recording to bin; give at least one")
    if (channel := events.channel.max(initial=0)) >= sensor.n_channels or events.t.min(initial=0) < 0:
        raise ShapeError(
            f"events: channels go up to {channel} and times from {events.t.min()} us, allowed are channels "
            f"below {sensor.n_channels} and times from 0; check the reader"
        )
    if side is not None and side > min(sensor.width, sensor.height):
        raise ShapeError(
            f"crop (={side}) is larger than the sensor ({sensor.width} x {sensor.height}); lower it"
        )
    if config.polarity != "both" and sensor.polarities != 2:
        raise ShapeError(
            f"polarity (='{config.polarity}') needs a sensor with two polarities, this one has "
            f"{sensor.polarities}; use polarity = 'both'"
        )
    kept, channel_map = _channel_map(sensor, side, config.polarity)
    if config.duration is None:
        full = np.flatnonzero(np.diff(events.offsets))
        duration = np.full(len(events), 1000 * n_steps)
        last = events.t[events.offsets[full + 1] - 1]
        duration[full] *= last // (1000 * n_steps) + 1  # so that the last event is inside
    else:
        duration = np.full(len(events), round(config.duration * 1e6), np.int64)
    args = (events.channel, events.t, events.offsets, channel_map, duration, n_steps)
    counts = _count(*args)
    ptr = np.concatenate([[0], np.cumsum(counts)])
    channels = _fill(*args, ptr)
    max_count = 1
    if config.binary:
        channels, ptr = _distinct(channels, ptr)
    else:
        max_count = _largest_run(channels, ptr)
    starts = ptr[np.arange(len(events))[:, None] * n_steps + np.arange(n_steps + 1)]
    dt = float(duration.mean()) * 1e-6 / n_steps
    return Binned(channels, starts, events.labels, kept, dt, events.classes, max_count)


def _channel_map(sensor: Sensor, side: int | None, polarity: str) -> tuple[Sensor, npt.NDArray[np.int32]]:
    """The sensor that is left, and each old channel's new number (-1: dropped)."""
    y, x, p = np.indices((sensor.height, sensor.width, sensor.polarities))
    width, height, left, top = sensor.width, sensor.height, 0, 0
    if side is not None:  # the odd pixel goes to the left, as in the reference's ceil
        width = height = side
        left, top = -(-(sensor.width - side) // 2), -(-(sensor.height - side) // 2)
    keep = (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
    polarities = sensor.polarities if polarity == "both" else 1
    if polarity in ("off", "on"):
        keep &= p == (polarity == "on")
    kept = Sensor(width, height, polarities)
    new = ((y - top) * width + x - left) * polarities + (p if polarities == sensor.polarities else 0)
    return kept, np.where(keep, new, -1).ravel().astype(np.int32)


@njit(cache=True, parallel=True)
def _count(
    channel: Any, t: Any, offsets: Any, channel_map: Any, duration: Any, n_steps: int
) -> npt.NDArray[np.int64]:
    """Kept events of every (recording, step), flat."""
    n = len(offsets) - 1
    counts = np.zeros(n * n_steps, np.int64)
    for i in prange(n):
        for e in range(offsets[i], offsets[i + 1]):
            step = np.int64(t[e]) * n_steps // duration[i]
            if step < n_steps and channel_map[channel[e]] >= 0:
                counts[i * n_steps + step] += 1
    return counts


@njit(cache=True, parallel=True)
def _fill(
    channel: Any, t: Any, offsets: Any, channel_map: Any, duration: Any, n_steps: int, ptr: Any
) -> npt.NDArray[np.uint16]:
    """Kept channels in the order (recording, step, channel)."""
    n = len(offsets) - 1
    out = np.empty(ptr[-1], np.uint16)
    for i in prange(n):
        free = ptr[i * n_steps : (i + 1) * n_steps].copy()
        for e in range(offsets[i], offsets[i + 1]):
            step = np.int64(t[e]) * n_steps // duration[i]
            if step < n_steps and channel_map[channel[e]] >= 0:
                out[free[step]] = channel_map[channel[e]]
                free[step] += 1
        for step in range(n_steps):
            start, stop = ptr[i * n_steps + step], ptr[i * n_steps + step + 1]
            out[start:stop] = np.sort(out[start:stop])
    return out


@njit(cache=True)
def _distinct(channels: Any, ptr: Any) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """The same steps with every channel once."""
    out, new_ptr, n = np.empty_like(channels), np.zeros_like(ptr), 0
    for s in range(len(ptr) - 1):
        for k in range(ptr[s], ptr[s + 1]):
            if k == ptr[s] or channels[k] != channels[k - 1]:
                out[n] = channels[k]
                n += 1
        new_ptr[s + 1] = n
    return out[:n].copy(), new_ptr


@njit(cache=True)
def _largest_run(channels: Any, ptr: Any) -> int:
    """Largest number of times that one channel stands in one step; at least 1."""
    largest, run = 1, 1
    for s in range(len(ptr) - 1):
        for k in range(ptr[s], ptr[s + 1]):
            run = run + 1 if k > ptr[s] and channels[k] == channels[k - 1] else 1
            largest = max(largest, run)
    return largest

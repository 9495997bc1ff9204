"""An event camera that looks at a still image during three small saccades, as N-MNIST was recorded.

A pixel sees the logarithm of the light, smooths it, and answers every change by a threshold with an event:

    L(t) = ln(dark_level + 1 - I(x - a(t)))         bright strokes of the image are dark on a bright screen
    tau dV/dt = L - V                               photoreceptor
    ON  where V - ref >= threshold_on,   then ref += threshold_on
    OFF where ref - V >= threshold_off,  then ref -= threshold_off

with I the image blurred by the lens and a(t) the measured path of the image over the sensor.
"""

import math
from collections.abc import Callable
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from pydantic import Field
from scipy.ndimage import gaussian_filter

from neurosim import counter, rng
from neurosim.cards import shipped_folder
from neurosim.config import StrictModel
from neurosim.errors import ShapeError
from neurosim.events.types import Events, Sensor

SENSOR = Sensor(width=34, height=34, polarities=2)
DIGITS = tuple("0123456789")
SIDE = 28
# recordings simulated at once, and the events for which each has room at first
CHUNK, CAPACITY = 256, 1 << 14
# where the event rate of the real recordings peaks [s]
SACCADES = (0.050, 0.152, 0.257)
# numbers of the independent streams of one recording
PHASE, JITTER, BACKGROUND = range(3)

Threshold = Annotated[float, Field(ge=0.01)]
NonNegative = Annotated[float, Field(ge=0)]


class CameraConfig(StrictModel):
    """Constants of the pixel model.

    Attributes:
        dark_level: Light of the darkest stroke; the screen adds 1 to it where the image is black [1].
        threshold_on: Rise of the log light that makes an ON event [1].
        threshold_off: Fall of the log light that makes an OFF event [1].
        sigma_threshold: Log-normal spread of the thresholds over the pixels of a sensor [1].
        tau: Time constant of the photoreceptor [s].
        refractory: Shortest time between two events of a pixel [s].
        blur: Standard deviation of the lens's point spread [pixel].
        background_rate: Events without a change of light [Hz per pixel], ON and OFF alike.
        sigma_jitter: Standard deviation of the time of a saccade [s].
        duration: Length of a recording [s].
        time_step: Step of the integration [s]; events fall between the steps.

    Assumes:
        One pixel model for the whole sensor. ``dark_level``, ``blur`` and the thresholds trade off against
        each other: only what they do together is known.

    Source:
        Fitted to 600 real N-MNIST recordings (Orchard et al. 2015, doi:10.3389/fnins.2015.00437); the counts,
        rates and intervals that they agree in are those of tests/test_camera.py.
    """

    dark_level: Annotated[float, Field(ge=1e-3)] = 0.29
    threshold_on: Threshold = 0.198
    threshold_off: Threshold = 0.2045
    sigma_threshold: NonNegative = 0.07
    tau: Annotated[float, Field(gt=0)] = 0.73e-3
    refractory: NonNegative = 1.11e-3
    blur: Annotated[float, Field(ge=0, le=5)] = 0.55
    background_rate: NonNegative = 0.28
    sigma_jitter: NonNegative = 2.4e-3
    duration: Annotated[float, Field(gt=0, le=10)] = 0.310
    time_step: Annotated[float, Field(ge=1e-5, le=1e-2)] = 1e-3


class _Pixel(NamedTuple):
    """What the kernel takes of a ``CameraConfig``, and the margin of its images [pixel]."""

    tau: float
    refractory: float
    background_rate: float
    sigma_jitter: float
    time_step: float
    n_steps: int
    margin: int


def saccade_path() -> npt.NDArray[np.float64]:
    """Measured path of the image over the sensor.

    Returns:
        float64 (n, 3): time [s], x and y of the image's corner [pixel].
    """
    file = shipped_folder("datasets") / "nmnist_saccades.csv"
    return np.genfromtxt(file, delimiter=",", skip_header=4)


def simulate_camera(
    images: npt.NDArray[np.uint8],
    labels: npt.ArrayLike,
    config: CameraConfig,
    *,
    seed: int,
    name: str = "events/camera",
    ids: npt.ArrayLike | None = None,
    classes: tuple[str, ...] = DIGITS,
    progress: Callable[[int], None] | None = None,
) -> Events:
    """Record every image once.

    Args:
        images: uint8 (n, 28, 28), bright strokes on black as in MNIST.
        labels: int (n,), class indices.
        config: Pixel model.
        seed: Seed of the experiment.
        name: Name of the random stream; it also stands for the sensor, whose thresholds it draws.
        ids: int (n,), number of every recording in the stream; None is 0..n-1. A recording depends on its
            own number only, so images with their ids give the same recordings in any company.
        classes: Class names.
        progress: Called with the number of recordings finished since its last call.

    Returns:
        One recording per image from a 34 x 34 sensor; polarity 1 is ON. At one place in time, events are
        sorted by channel.

    Raises:
        ShapeError: If ``images`` is not uint8 (n, 28, 28), or there is not one label and one id per image.
    """
    if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE):
        raise ShapeError(
            f"images: {images.dtype} {images.shape}, expected uint8 (n, {SIDE}, {SIDE}), grey levels 0..255"
        )
    n = len(images)
    labels = np.asarray(labels, np.int64)
    numbers = np.arange(n) if ids is None else np.asarray(ids, np.int64)
    if labels.shape != (n,) or numbers.shape != (n,):
        raise ShapeError(
            f"{n} images, labels {labels.shape} and ids {numbers.shape}: give one label and one id per image"
        )
    path = saccade_path()
    key = rng.key(seed, name)
    pixel = _Pixel(
        tau=config.tau,
        refractory=config.refractory,
        background_rate=config.background_rate,
        sigma_jitter=config.sigma_jitter,
        time_step=config.time_step,
        n_steps=math.ceil(config.duration / config.time_step),
        margin=math.ceil(path[:, 1:].max() + 4 * config.blur),
    )
    normal = rng.stream(seed, f"{name}/sensor").standard_normal((2, SENSOR.height, SENSOR.width))
    typical = np.array([config.threshold_off, config.threshold_on]).reshape(2, 1, 1)
    thresholds = typical * np.exp(config.sigma_threshold * normal)

    recordings = []
    capacity = CAPACITY
    for start in range(0, n, CHUNK):
        chunk = slice(start, start + CHUNK)
        level = _log_light(images[chunk], config, pixel.margin)
        while True:
            events = np.empty((len(level), capacity), np.int64)
            counts = _record_all(level, numbers[chunk], key, thresholds, path, pixel, events)
            if counts.max() <= capacity:
                break
            capacity = int(counts.max())
        for row, k in zip(events, counts, strict=True):
            recordings.append(((row[:k] & 0xFFFF).astype(np.uint16), (row[:k] >> 16).astype(np.int32)))
        if progress is not None:
            progress(len(level))
    return Events.pack(recordings, labels, SENSOR, classes)


def _log_light(images: npt.NDArray[np.uint8], config: CameraConfig, margin: int) -> npt.NDArray[np.float64]:
    """Log of the light that reaches the sensor from the images and ``margin`` pixels around them."""
    ink = np.pad(images / 255.0, ((0, 0), (margin, margin), (margin, margin)))
    blurred: npt.NDArray[np.float64] = gaussian_filter(ink, (0, config.blur, config.blur), mode="constant")
    return np.log(config.dark_level + 1 - blurred)


@njit(cache=True, parallel=True)
def _record_all(
    level: npt.NDArray[np.float64],
    ids: npt.NDArray[np.int64],
    key: int,
    thresholds: npt.NDArray[np.float64],
    path: npt.NDArray[np.float64],
    pixel: _Pixel,
    events: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Fill one row of ``events`` per recording; the numbers of events, also of those without room."""
    counts = np.empty(len(level), np.int64)
    for i in prange(len(level)):
        counts[i] = _record(level[i], counter.mix(key, ids[i]), thresholds, path, pixel, events[i])
    return counts


@njit(cache=True)
def _record(
    level: npt.NDArray[np.float64],
    key: int,
    thresholds: npt.NDArray[np.float64],
    path: npt.NDArray[np.float64],
    pixel: _Pixel,
    events: npt.NDArray[np.int64],
) -> int:
    """One recording: fill ``events`` with ``t_us << 16 | channel``, sorted, and count them."""
    off, on = thresholds
    side = len(on)
    times = pixel.time_step * np.arange(pixel.n_steps + 1, dtype=np.float64)
    x, y = _walk(times, key, path, pixel)
    gain = 1 - math.exp(-pixel.time_step / pixel.tau)
    phase = counter.mix(key, PHASE)
    v, ref, free = np.empty((side, side)), np.empty((side, side)), np.zeros((side, side))
    seen, before, crossed = np.empty(side), np.empty(side), np.empty(side, np.bool_)
    n = 0
    for s in range(len(times)):
        column, row = math.floor(x[s]), math.floor(y[s])
        fx, fy = x[s] - column, y[s] - row
        w00, w01, w10, w11 = (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx
        for py in range(side):
            upper = level[row + py, column : column + side + 1]
            lower = level[row + py + 1, column : column + side + 1]
            for px in range(side):
                seen[px] = w00 * upper[px] + w01 * upper[px + 1] + w10 * lower[px] + w11 * lower[px + 1]
            if s == 0:
                # a pixel has been watching: its reference lies anywhere within the thresholds
                for px in range(side):
                    u = counter.uniform(phase, py * side + px)
                    v[py, px] = seen[px]
                    ref[py, px] = seen[px] - on[py, px] + u * (on[py, px] + off[py, px])
                continue
            # no branch in this loop, so that it becomes vector code
            for px in range(side):
                before[px] = v[py, px]
                v[py, px] += gain * (seen[px] - v[py, px])
                change = v[py, px] - ref[py, px]
                crossed[px] = (change >= on[py, px]) | (-change >= off[py, px])
            for px in range(side):
                while crossed[px]:
                    p = 1 if v[py, px] > ref[py, px] else 0
                    target = ref[py, px] + on[py, px] if p else ref[py, px] - off[py, px]
                    # V crosses on the line between two steps, unless it was across at the first
                    ahead = target - before[px] if p else before[px] - target
                    t = times[s - 1]
                    if ahead > 0:
                        t += pixel.time_step * ahead / abs(v[py, px] - before[px])
                    t = max(t, free[py, px])
                    if t >= times[s]:
                        break
                    if n < len(events):
                        events[n] = np.int64(t * 1e6) << 16 | 2 * (py * side + px) + p
                    n += 1
                    free[py, px] = t + pixel.refractory
                    ref[py, px] = target
                    change = v[py, px] - target
                    crossed[px] = (change >= on[py, px]) | (-change >= off[py, px])
    n = _add_background(key, times[-1], pixel.background_rate, side, events, n)
    events[:n].sort()
    return n


@njit(cache=True)
def _walk(
    times: npt.NDArray[np.float64], key: int, path: npt.NDArray[np.float64], pixel: _Pixel
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Where pixel (0, 0) looks at on the image with its margin; every saccade has a delay of its own."""
    delays = np.empty(len(SACCADES))
    for k in range(len(delays)):
        delays[k] = pixel.sigma_jitter * counter.normal(counter.mix(key, JITTER), k)
    shifted = times - np.interp(times, np.array(SACCADES), delays)
    x = pixel.margin - np.interp(shifted, path[:, 0], path[:, 1])
    return x, pixel.margin - np.interp(shifted, path[:, 0], path[:, 2])


@njit(cache=True)
def _add_background(
    key: int, duration: float, rate: float, side: int, events: npt.NDArray[np.int64], n: int
) -> int:
    """Append a Poisson process over all channels to the first ``n`` events; the new number of events."""
    noise = counter.mix(key, BACKGROUND)
    t = 0.0
    draw = 0
    while rate > 0:
        t -= math.log(counter.uniform(noise, draw)) / (rate * side * side)
        if t >= duration:
            break
        if n < len(events):
            channel = np.int64(counter.uniform(noise, draw + 1) * 2 * side * side)
            events[n] = np.int64(t * 1e6) << 16 | channel
        n += 1
        draw += 2
    return n

"""A silicon cochlea: sound in, spikes of 64 frequency channels out.

A channel is a gammatone filter, a half-wave rectifier, a compressive gain and a leaky integrate-and-fire
neuron:

    g_c(t) = t^3 exp(-2 pi b t) cos(2 pi f_c t)     b = 1.019 ERB(f_c), gain 1 at f_c
    I_c = gain_c max(g_c * x, 0)^compression        gain_c = sensitivity (f_c / 1 kHz)^tilt, with mismatch
    tau dv/dt = I_c - v                             fires at v >= 1, v = 0 for ``refractory`` after it

with x the sound at a root mean square of 1, and f_c spaced evenly on the scale of equivalent rectangular
bandwidths ERB(f) = 24.7 (4.37 f / 1 kHz + 1). Channel 0 hears the highest frequency.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from pydantic import Field, model_validator
from scipy.signal import resample_poly

from neurosim import counter, rng
from neurosim.config import StrictModel
from neurosim.errors import ShapeError
from neurosim.events.sound import Waveform
from neurosim.events.types import Events, Sensor

SENSOR = Sensor(width=64)
ORDER = 4
# recordings simulated at once, and the events for which each has room at first
CHUNK, CAPACITY = 64, 1 << 13
# largest change of speed or pitch by augmentation, either way [1]
MOST_DISTORTED = 1.5
# numbers of the independent streams of one recording
MEMBRANE, BACKGROUND, SPEED, PITCH = range(4)

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class CochleaConfig(StrictModel):
    """Constants of the cochlea model.

    Attributes:
        f_min, f_max: Centre frequencies of the last and of the first channel [Hz].
        sample_rate: Rate at which filters and neurons are computed [Hz]; sounds are resampled to it.
        tilt: Exponent of the gain over frequency, 0 is flat [1]; speech is weak where it is high.
        sensitivity: Input current at 1 kHz of a filtered sound of amplitude 1, in units of the threshold [1].
        compression: Exponent of the rectified sound [1].
        sigma_gain: Log-normal spread of the gain over the channels of a sensor [1].
        tau: Membrane time constant [s].
        refractory: Time after a spike in which a channel is silent [s].
        background_rate: Spikes without a sound [Hz per channel].

    Assumes:
        Loudness is regulated: every recording is brought to the same root mean square. A chip's cascade of
        second-order sections has steeper upper slopes than gammatone filters.

    Source:
        Glasberg & Moore, Hear. Res. 47, 103 (1990) for the bandwidths; Liu et al., IEEE Trans. Biomed.
        Circuits Syst. 8, 453 (2014), doi:10.1109/TBCAS.2013.2281834 for the chip. Sensitivity, compression
        and refractory period are chosen so that rate and intervals of the events of real speech are those of
        the one N-TIDIGITS recording (Anumula et al. 2018, doi:10.3389/fnins.2018.00023) that was at hand:
        tests/test_cochlea.py.
    """

    f_min: Annotated[float, Field(ge=20)] = 100.0
    f_max: Annotated[float, Field(le=20_000)] = 3800.0
    sample_rate: Annotated[int, Field(ge=4000, le=96_000)] = 16_000
    tilt: Annotated[float, Field(ge=-2, le=2)] = 0.5
    sensitivity: Positive = 8.0
    compression: Annotated[float, Field(gt=0, le=1)] = 0.5
    sigma_gain: NonNegative = 0.2
    tau: Annotated[float, Field(ge=1e-4, le=1)] = 2e-3
    refractory: Annotated[float, Field(ge=0, le=1)] = 0.6e-3
    background_rate: Annotated[float, Field(ge=0, le=1000)] = 0.5

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.f_min < self.f_max <= 0.45 * self.sample_rate:
            raise ValueError(
                f"f_min (={self.f_min:g}) must be below f_max (={self.f_max:g}), and f_max at most 0.45 "
                f"sample_rate (={0.45 * self.sample_rate:g} Hz)"
            )
        return self


class AugmentConfig(StrictModel):
    """More training recordings from the same sounds, faster or slower, higher or lower.

    Attributes:
        copies: Distorted copies of every recording, beside itself.
        sigma_speed: Standard deviation of the logarithm of the speed at unchanged pitch [1].
        sigma_pitch: The same of pitch and formants together, at unchanged speed [1].
    """

    copies: int = Field(2, ge=1, le=100)
    sigma_speed: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    sigma_pitch: Annotated[float, Field(ge=0, le=0.5)] = 0.1


class _Ear(NamedTuple):
    """What the kernel takes of a ``CochleaConfig``, and the channels' arrays (64,)."""

    centre: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]
    sample_rate: float
    compression: float
    tau: float
    refractory: float
    background_rate: float


def centre_frequencies(config: CochleaConfig) -> npt.NDArray[np.float64]:
    """Centre frequency of every channel, the highest first, float64 (64,) [Hz]."""
    low, high = (math.log1p(4.37e-3 * f) for f in (config.f_min, config.f_max))
    return np.expm1(np.linspace(high, low, SENSOR.width)) / 4.37e-3


def distortion(
    ids: npt.ArrayLike, copy: int, config: AugmentConfig, *, seed: int, name: str = "events/augment"
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Speed and pitch of one copy of every recording, both float64 (n,) [1], within ``MOST_DISTORTED``."""
    key = rng.key(seed, f"{name}/{copy}")
    own = [counter.mix(key, number) >> 1 for number in np.asarray(ids, np.int64)]

    def draw(sigma: float, use: int) -> npt.NDArray[np.float64]:
        z = np.array([counter.normal(k, use) for k in own], np.float64)
        return np.exp(np.clip(sigma * z, -math.log(MOST_DISTORTED), math.log(MOST_DISTORTED)))

    return draw(config.sigma_speed, SPEED), draw(config.sigma_pitch, PITCH)


def simulate_cochlea(
    waveforms: Sequence[Waveform],
    labels: npt.ArrayLike,
    config: CochleaConfig,
    *,
    seed: int,
    name: str = "events/cochlea",
    ids: npt.ArrayLike | None = None,
    speed: npt.ArrayLike = 1.0,
    pitch: npt.ArrayLike = 1.0,
    classes: tuple[str, ...] = tuple("0123456789"),
) -> Events:
    """Listen to every sound once.

    Args:
        waveforms: n sounds.
        labels: int (n,), class indices.
        config: Model of a channel.
        seed: Seed of the experiment.
        name: Name of the random stream; it also stands for the sensor, whose gains it draws.
        ids: int (n,), number of every recording in the stream; None is 0..n-1. A recording depends on its
            own number only.
        speed: float (n,) or one for all: how much faster the sound is played, at unchanged pitch [1].
        pitch: The same of its pitch and formants, at unchanged speed [1].
        classes: Class names.

    Returns:
        One recording per sound from a sensor of 64 channels. At one place in time, events are sorted by
        channel.

    Raises:
        ShapeError: If there is not one label and one id per sound, or a speed or pitch is not positive.
    """
    n = len(waveforms)
    labels = np.asarray(labels, np.int64)
    numbers = np.arange(n) if ids is None else np.asarray(ids, np.int64)
    if labels.shape != (n,) or numbers.shape != (n,):
        raise ShapeError(
            f"{n} sounds, labels {labels.shape} and ids {numbers.shape}: give one label and one id per sound"
        )
    played = np.stack([np.broadcast_to(np.asarray(a, np.float64), n) for a in (speed, pitch)], axis=1)
    if not (played > 0).all():
        raise ShapeError(f"speed (={speed!r}) and pitch (={pitch!r}) must be positive")
    ear, key = make_ear(config, seed=seed, name=name), rng.key(seed, name)
    recordings = []
    capacity = CAPACITY
    for start in range(0, n, CHUNK):
        chunk = slice(start, start + CHUNK)
        sounds = [_prepare(waveform, config.sample_rate) for waveform in waveforms[chunk]]
        ends = np.concatenate([[0], np.cumsum([len(sound) for sound in sounds])])
        flat = np.concatenate(sounds)
        while True:
            events = np.empty((len(sounds), capacity), np.int64)
            counts = _hear_all(flat, ends, numbers[chunk], played[chunk], key, ear, events)
            if counts.max() <= capacity:
                break
            capacity = int(counts.max())
        for row, k in zip(events, counts, strict=True):
            recordings.append(((row[:k] & 0xFFFF).astype(np.uint16), (row[:k] >> 16).astype(np.int32)))
    return Events.pack(recordings, labels, SENSOR, classes)


def make_ear(config: CochleaConfig, *, seed: int, name: str = "events/cochlea") -> _Ear:
    """The channels of one sensor, whose mismatch the stream ``name`` draws."""
    centre = centre_frequencies(config)
    normal = rng.stream(seed, f"{name}/sensor").standard_normal(SENSOR.width)
    gain = config.sensitivity * (centre / 1000) ** config.tilt * np.exp(config.sigma_gain * normal)
    return _Ear(
        centre,
        gain,
        float(config.sample_rate),
        config.compression,
        config.tau,
        config.refractory,
        config.background_rate,
    )


def _prepare(waveform: Waveform, rate: int) -> npt.NDArray[np.float64]:
    """A sound without its mean, at ``rate`` and a root mean square of 1; silence stays silence."""
    common = math.gcd(rate, waveform.rate)
    sound = np.asarray(waveform.samples, np.float64)
    sound = resample_poly(sound - sound.mean(), rate // common, waveform.rate // common)
    loudness = math.sqrt(np.mean(sound**2))
    return sound / loudness if loudness > 1e-6 else np.zeros_like(sound)


@njit(cache=True, parallel=True)
def _hear_all(
    flat: npt.NDArray[np.float64],
    ends: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    played: npt.NDArray[np.float64],
    key: int,
    ear: _Ear,
    events: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Fill one row of ``events`` per recording; the numbers of events, also of those without room."""
    counts = np.empty(len(ids), np.int64)
    for i in prange(len(ids)):
        sound = flat[ends[i] : ends[i + 1]]
        counts[i] = _hear(sound, counter.mix(key, ids[i]), played[i, 0], played[i, 1], ear, events[i])
    return counts


@njit(cache=True)
def _poles(ear: _Ear, pitch: float) -> Any:
    """Real and imaginary part of every filter's four poles, and what makes its gain 1 at its centre."""
    n = len(ear.centre)
    re, im, norm = np.empty(n), np.empty(n), np.empty(n)
    for c in range(n):
        f = ear.centre[c]
        width = 1.019 * 24.7 * (4.37e-3 * f + 1)
        turn = 2 * math.pi / (ear.sample_rate * pitch)
        decay = math.exp(-turn * width)
        re[c], im[c] = decay * math.cos(turn * f), decay * math.sin(turn * f)
        # nothing is heard above half the sampling rate
        norm[c] = 2 * (1 - decay) ** 4 if turn * f < math.pi else 0.0
    return re, im, norm


@njit(cache=True)
def _hear(
    sound: npt.NDArray[np.float64],
    key: int,
    speed: float,
    pitch: float,
    ear: _Ear,
    events: npt.NDArray[np.int64],
) -> int:
    """One recording: fill ``events`` with ``t_us << 16 | channel``, sorted, and count them.

    A sound played faster at unchanged pitch has shorter steps of time, one of higher pitch has filters whose
    centre and width are lower by as much.
    """
    n_channels = len(ear.centre)
    re, im, norm = _poles(ear, pitch)
    dt = 1 / (ear.sample_rate * speed)
    leak = 1 - math.exp(-dt / ear.tau)
    u, w = np.zeros((ORDER, n_channels)), np.zeros((ORDER, n_channels))  # real and imaginary part
    v, free = np.empty(n_channels), np.zeros(n_channels)
    start = counter.mix(key, MEMBRANE)
    for c in range(n_channels):
        v[c] = 0.5 * counter.uniform(start, c)
    n = 0
    for s in range(len(sound)):
        # no branch in this loop, so that it becomes vector code: a pole after the other
        for c in range(n_channels):
            a, b = sound[s], 0.0
            for k in range(ORDER):
                a, b = a + re[c] * u[k, c] - im[c] * w[k, c], b + re[c] * w[k, c] + im[c] * u[k, c]
                u[k, c], w[k, c] = a, b
        now = (s + 1) * dt
        for c in range(n_channels):
            if now <= free[c]:
                continue
            heard = norm[c] * u[ORDER - 1, c]
            drive = ear.gain[c] * heard**ear.compression if heard > 0 else 0.0
            before = v[c]
            v[c] += leak * (drive - before)
            if v[c] >= 1:
                # V crosses on the line between two steps
                t = now - dt * (v[c] - 1) / (v[c] - before)
                if n < len(events):
                    events[n] = np.int64(t * 1e6) << 16 | c
                n += 1
                v[c] = 0.0
                free[c] = t + ear.refractory
    n = _add_background(key, len(sound) * dt, ear.background_rate, n_channels, events, n)
    events[:n].sort()
    return n


@njit(cache=True)
def _add_background(
    key: int, duration: float, rate: float, n_channels: int, events: npt.NDArray[np.int64], n: int
) -> int:
    """Append a Poisson process over all channels to the first ``n`` events; the new number of events."""
    noise = counter.mix(key, BACKGROUND)
    t = 0.0
    draw = 0
    while rate > 0:
        t -= math.log(counter.uniform(noise, draw)) / (rate * n_channels)
        if t >= duration:
            break
        if n < len(events):
            channel = np.int64(counter.uniform(noise, draw + 1) * n_channels)
            events[n] = np.int64(t * 1e6) << 16 | channel
        n += 1
        draw += 2
    return n

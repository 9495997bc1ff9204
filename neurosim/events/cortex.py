"""A simulated motor cortex: 192 units that fire as the pen moves.

    rate_i(t) = gain (base_i + |v| / v_ref (speed_i + modulation_i cos(angle(v) - preferred_i))), at least 0

with v the velocity of the pen ``lag`` after t, and a Poisson number of spikes in every bin.
"""

import math
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from pydantic import Field

from neurosim import counter, rng
from neurosim.config import StrictModel
from neurosim.events.handwriting import BIN, SENSOR, from_counts
from neurosim.events.pen import Glyph, PenConfig, write
from neurosim.events.types import Events

N_BINS = 201
SPIKES, GAIN = range(2)

Rate = Annotated[float, Field(ge=0, le=1000)]


class CortexConfig(StrictModel):
    """Constants of the simulated motor cortex.

    Attributes:
        rate_base: Median firing rate at rest [Hz].
        sigma_base: Its log-normal spread over the units [1].
        modulation: Median depth of the cosine tuning at the pen's mean speed [Hz].
        sigma_modulation: Its log-normal spread over the units [1].
        speed_share: Part of a unit's modulation that follows the speed in any direction [1].
        lag: Time by which the cortex is ahead of the pen [s].
        sigma_gain: Log-normal spread of all rates together from trial to trial [1].

    Assumes:
        Units fire independently but for the common gain, and are tuned to the velocity of the pen only.

    Source:
        Moran & Schwartz, J. Neurophysiol. 82, 2676 (1999) for the law; the values are assumed, such that a
        bin of 10 ms holds a spike in every sixth case or so.
    """

    rate_base: Rate = 12.0
    sigma_base: Annotated[float, Field(ge=0, le=3)] = 0.6
    modulation: Rate = 8.0
    sigma_modulation: Annotated[float, Field(ge=0, le=3)] = 0.6
    speed_share: Annotated[float, Field(ge=0, le=1)] = 0.3
    lag: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    sigma_gain: Annotated[float, Field(ge=0, le=1)] = 0.1


class _Units(NamedTuple):
    """Tuning of the units, all float64 (192,): [Hz], [Hz], [Hz] and [rad]."""

    base: npt.NDArray[np.float64]
    speed: npt.NDArray[np.float64]
    modulation: npt.NDArray[np.float64]
    preferred: npt.NDArray[np.float64]


def simulate_cortex(
    glyphs: list[Glyph],
    labels: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    pen: PenConfig,
    config: CortexConfig,
    *,
    seed: int,
    classes: tuple[str, ...],
    name: str = "events/cortex",
) -> Events:
    """Record one trial of every label: 201 bins of 10 ms from 192 units.

    Args:
        glyphs: Control points of every class.
        labels: int64 (n,), what is written.
        ids: int64 (n,), numbers of the trials; a recording depends on its own number only.
        pen: How letters are written.
        config: Tuning of the units.
        seed: Seed of the experiment.
        classes: Class names.
        name: Name of the random stream; it also stands for the brain, whose units it draws.
    """
    units, key = make_units(config, seed=seed, name=name), rng.key(seed, name)
    edges = np.asarray(BIN * np.arange(N_BINS + 1) + config.lag, np.float64)
    counts = np.empty((len(labels), N_BINS, SENSOR.width), np.int64)
    for i, (label, number) in enumerate(zip(labels, ids, strict=True)):
        velocity = write(glyphs[label], pen, seed=seed, number=int(number)).velocity(edges) / pen.speed
        own = counter.mix(key, number) >> 1
        gain = math.exp(config.sigma_gain * counter.normal(counter.mix(own, GAIN) >> 1, 0))
        counts[i] = _fire(velocity, gain, units, counter.mix(own, SPIKES) >> 1)
    return from_counts(counts, labels, BIN, SENSOR, classes)


def make_units(config: CortexConfig, *, seed: int, name: str = "events/cortex") -> _Units:
    """The units of one brain, which the stream ``name`` draws."""
    draw = rng.stream(seed, f"{name}/units")
    n = SENSOR.width
    depth = config.modulation * np.exp(config.sigma_modulation * draw.standard_normal(n))
    return _Units(
        base=config.rate_base * np.exp(config.sigma_base * draw.standard_normal(n)),
        speed=config.speed_share * depth,
        modulation=(1 - config.speed_share) * depth,
        preferred=2 * math.pi * draw.random(n),
    )


@njit(cache=True)
def _fire(velocity: npt.NDArray[np.float64], gain: float, units: _Units, key: int) -> npt.NDArray[np.int64]:
    """Spike counts (bins, units) at these velocities (bins, 2), relative to the mean speed."""
    n = len(units.base)
    counts = np.zeros((len(velocity), n), np.int64)
    for b in range(len(velocity)):
        vx, vy = velocity[b]
        speed = math.hypot(vx, vy)
        for i in range(n):
            along = vx * math.cos(units.preferred[i]) + vy * math.sin(units.preferred[i])
            rate = gain * (units.base[i] + speed * units.speed[i] + along * units.modulation[i])
            mean = max(0.0, rate) * BIN
            # the smallest number whose cumulative probability exceeds u
            u, p, k = counter.uniform(key, b * n + i), math.exp(-mean), 0
            below = p
            while u > below and k < 100:
                k += 1
                p *= mean / k
                below += p
            counts[b, i] = k
    return counts

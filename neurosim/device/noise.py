"""Read noise: how large it is, which part of it is white, and the slow part as a process in time."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from neurosim import rng
from neurosim.cards import DeviceCard
from neurosim.counter import fill_normals
from neurosim.device.config import number
from neurosim.errors import ExperimentError, OutOfRangeError

Array = npt.NDArray[np.float32]

MODES_PER_DECADE = 2  # keeps the slope of the spectrum within 5 % of 1/f
BLOCK = 4096  # cells that share one block of random numbers
STEPS = 16  # steps that the kernel takes at once


def read_noise(
    card: DeviceCard,
    g: Array,
    programmed: Array,
    t: float,
    *,
    sigma_read: float | None = None,
    white_fraction: float | None = None,
) -> tuple[Array, Array]:
    """Standard deviations [S] of the white and of the slow part of the read noise.

    sigma^2 = (G s(t))^2, white = f (G s(0))^2, slow = the rest, where s is sigma_read, or sigma_curve of
    G/g_max, or for a card with the 1/f law s(t) = Q sqrt(ln((t + t0 + t_read)/(2 t_read))) with Q of
    G_prog/g_max: noise slower than the chip's age has not been seen yet, so the slow part grows with it.

    Args:
        card: Device card; without ``[read_noise]`` there is none.
        g: Conductances [S].
        programmed: Conductances right after programming [S], which set Q.
        t: Time after programming [s].
        sigma_read: Relative standard deviation [1] in place of the card's law.
        white_fraction: Share f of the variance [1] in place of the card's.

    Raises:
        ExperimentError: If a slow part is asked for and the card gives no correlation times.

    Assumes: normal, proportional to the conductance.
    Source: the card; the law is Nandakumar et al. 2019 (doi:10.1109/ICECS46596.2019.8964852); the split into
    slow and white is ours, after the lag-1 correlation of 0.84-0.96 measured in 1T1R arrays.
    """
    noise = card.read_noise
    if noise is None and white_fraction is not None and white_fraction < 1:
        raise ExperimentError(
            f"device.read_white_fraction = {white_fraction:g}, but device card '{card.name}' has no "
            "[read_noise] that says how slow the rest is; set it to 1 or choose another card"
        )
    fraction = (noise.white_fraction.value if noise else 1.0) if white_fraction is None else white_fraction
    fresh = aged = np.zeros_like(g)
    if sigma_read is not None:
        fresh = aged = sigma_read * g
    elif noise and noise.sigma_read:
        fresh = aged = noise.sigma_read.value * g
    elif noise and noise.sigma_curve:
        fresh = aged = g * np.maximum(noise.sigma_curve(g / card.conductance.g_max.value), 0)
    elif noise and card.drift:
        x = np.maximum(programmed / card.conductance.g_max.value, 1e-6)
        power: Array = np.minimum(number(noise.q) * x ** -number(noise.q_exponent), number(noise.q_max))
        strength: Array = g * (noise.q_log(x) if noise.q_log else power)
        t_read, t0 = number(noise.t_read), card.drift.t0.value
        fresh = strength * math.sqrt(math.log((t0 + t_read) / (2 * t_read)))
        aged = strength * math.sqrt(math.log((t + t0 + t_read) / (2 * t_read)))
    return math.sqrt(fraction) * fresh, np.sqrt(aged**2 - fraction * fresh**2)


def slow_steps(
    card: DeviceCard, shape: tuple[int, ...], times: npt.ArrayLike, *, seed: int, name: str
) -> Iterator[Array]:
    """The slow part of the read noise, one array at a time, with unit variance.

    Most cells: sum of Ornstein-Uhlenbeck modes of equal variance, times tau spaced evenly in ln tau from
    tau_min to tau_max, whose spectrum is 1/f between 1/(2 pi tau_max) and 1/(2 pi tau_min),

        y(t + dt) = y(t) exp(-dt/tau) + sqrt(1 - exp(-2 dt/tau)) xi.

    A fraction p_telegraph: one two-state fluctuator of levels +-1 with its own tau, log-uniform in the same
    range, that changes sign with probability (1 - exp(-dt/tau))/2. Both are exact for any spacing: the
    correlation over a time dt is the mean of exp(-dt/tau).

    Args:
        card: Device card; without ``[read_noise]`` every value is 0.
        shape: Shape of the array of cells.
        times: Times of the reads [s], never falling.
        seed: Seed of the experiment.
        name: Stream prefix, e.g. ``"chip0/pos"``.

    Yields:
        float32 of ``shape`` [1] for each time; multiply by `Cells.sigma_slow`.

    Raises:
        OutOfRangeError: If a time lies before the one before it.

    Assumes: stationary, the two levels equally likely, cells independent.
    Source: textbook superposition of relaxation processes; exact update of both from their Markov property.
    """
    times = np.asarray(times, np.float64)
    back = np.flatnonzero(np.diff(times) < 0)
    if back.size:
        i = back[0]
        raise OutOfRangeError(
            f"read {i + 1} at {times[i + 1]:g} s is before read {i} at {times[i]:g} s; sort the times"
        )
    return _slow_steps(card, shape, np.diff(times, prepend=-np.inf), seed=seed, name=name)


def mode_times(low: float, high: float) -> npt.NDArray[np.float64]:
    """Correlation times [s] of the modes that stand for all times between two, evenly spaced in ln tau."""
    return np.geomspace(low, high, 1 + math.ceil(MODES_PER_DECADE * math.log10(high / low)))


def slow_noise(
    card: DeviceCard, shape: tuple[int, ...], times: npt.ArrayLike, *, seed: int, name: str
) -> Array:
    """All of `slow_steps` at once: float32 (len(times), *shape) [1]."""
    steps = slow_steps(card, shape, times, seed=seed, name=name)
    out = np.empty((np.size(times), *shape), np.float32)
    for i, step in enumerate(steps):
        out[i] = step
    return out


def _slow_steps(
    card: DeviceCard, shape: tuple[int, ...], gaps: npt.NDArray[np.float64], *, seed: int, name: str
) -> Iterator[Array]:
    """The generator behind `slow_steps`, apart so that the checks run at once."""
    noise = card.read_noise
    if noise is None:
        yield from (np.zeros(shape, np.float32) for _ in gaps)
        return
    low, high = noise.tau_min.value, noise.tau_max.value
    taus = mode_times(low, high)
    modes = np.zeros((len(taus), int(np.prod(shape))), np.float32)
    key = rng.key(seed, f"{name}/slow")

    random = rng.stream(seed, f"{name}/telegraph")
    cells = np.flatnonzero(random.random(modes.shape[1]) < number(noise.p_telegraph))
    own_tau = np.exp(random.uniform(np.log(low), np.log(high), len(cells)))
    level = random.choice(np.array([-1, 1], np.float32), len(cells))

    for first in range(0, len(gaps), STEPS):  # the first gap is infinite, which draws the stationary state
        chunk = gaps[first : first + STEPS, None]
        kick = np.sqrt(-np.expm1(-2 * chunk / taus) / len(taus))
        decay = np.exp(-chunk / taus)
        sums = ou_steps(key, first, decay.astype(np.float32), kick.astype(np.float32), modes)
        for out, flip in zip(sums, -np.expm1(-chunk / own_tau) / 2, strict=True):
            level = np.where(random.random(len(cells)) < flip, -level, level)
            out[cells] = level
            yield out.reshape(shape)


@njit(cache=True, parallel=True, error_model="numpy")
def ou_steps(key: int, first: int, decay: Array, kick: Array, modes: Array) -> Array:
    """Advance every mode of every cell some steps, y <- decay y + kick xi; sum the modes of each cell.

    Args:
        key: Key of the stream.
        first: Number of the first step, which chooses the random numbers.
        decay: float32 (n_steps, n_modes).
        kick: float32 (n_steps, n_modes).
        modes: float32 (n_modes, n_cells), changed in place.

    Returns:
        float32 (n_steps, n_cells).
    """
    n_steps, n_modes = decay.shape
    n_cells = modes.shape[1]
    n_blocks = (n_cells + BLOCK - 1) // BLOCK
    out = np.zeros((n_steps, n_cells), np.float32)
    for block in prange(n_blocks):
        xi = np.empty(BLOCK, np.float32)
        low = block * BLOCK
        high = min(low + BLOCK, n_cells)
        for step in range(n_steps):
            for k in range(n_modes):
                fill_normals(key, ((first + step) * n_modes + k) * n_blocks + block, xi)
                for i in range(low, high):
                    y = decay[step, k] * modes[k, i] + kick[step, k] * xi[i - low]
                    modes[k, i] = y
                    out[step, i] += y
    return out

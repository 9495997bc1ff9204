"""What a programming pulse does to a cell, and trains of pulses without looking (open loop).

A SET pulse of amplitude V and duration w moves the conductance g of a cell with the bounds low and high up, a
RESET pulse moves it down, each towards the limit L of its amplitude:

    SET:   L = high - left (high - low), acts where L >= g
    RESET: L = low + left (high - low),  acts where L <= g
    left = (w/width)^-m exp(-(V - v_on)/v_scale), below 1, else the pulse does nothing
    g <- g + A (L - g) + sigma_c2c (g_max - g_min) xi, kept in low .. high;  A = 1 - (1 - step)^s

At one amplitude this is the law of soft bounds. On a card without v_on left is 0: all pulses are identical.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from neurosim import rng
from neurosim.cards import DeviceCard, Switching
from neurosim.counter import normal
from neurosim.device.config import check_range, number
from neurosim.errors import ExperimentError, ShapeError

Array = npt.NDArray[np.float64]


class PulsedCells(NamedTuple):
    """Cells as pulses see them; the first axis is 0 for RESET and 1 for SET.

    Attributes:
        bounds: float64 (2, n_cells) [S], low and high.
        share: float64 (2, n_cells) [1], A.
        v_on: float64 (2, n_cells) [V]; minus infinity where all pulses are identical.
        v_scale: float64 (2,) [V].
        sigma: float64 (2,) [S], sigma_c2c (g_max - g_min).
        width: Duration [s] for which v_on holds.
        exponent: m [1].
    """

    bounds: Array
    share: Array
    v_on: Array
    v_scale: Array
    sigma: Array
    width: float
    exponent: float


def switching(card: DeviceCard) -> Switching:
    """The card's ``[switching]``.

    Raises:
        ExperimentError: If it has none.
    """
    if card.switching is None:
        raise ExperimentError(
            f"device card '{card.name}' has no [switching] that says what a pulse does; choose a card that "
            "has one, or remove device.write_verify"
        )
    return card.switching


def pulsed_cells(card: DeviceCard, n_cells: int, *, seed: int, name: str) -> PulsedCells:
    """Draw the cells of an array.

    low = g_min + sigma_bound (g_max - g_min) xi and high = g_max + ..., not below 0; v_on + sigma_v xi;
    s = exp(sigma_step xi), the same for both polarities.

    Args:
        card: Device card.
        n_cells: Number of cells.
        seed: Seed of the experiment.
        name: Stream prefix, e.g. ``"chip0/pos"``.

    Raises:
        ExperimentError: If the card has no ``[switching]``.

    Assumes: bounds, thresholds and strengths are independent of each other and do not age with the pulses.
    Source: Gong & Rasch et al., IEDM 2022, as coded in github.com/IBM/aihwkit, SoftBoundsReferenceDevice, for
    one amplitude (there A is s step / bound and may exceed 1); limits that depend on the amplitude are ours,
    after the sweeps in github.com/akashlevy/RRAM-RADAR-Tuning (doi:10.1109/TED.2021.3097975).
    """
    section = switching(card)
    laws = (section.reset, section.set)
    random = rng.stream(seed, f"{name}/switching")
    strength = np.exp(number(section.sigma_step) * random.standard_normal(n_cells))
    xi_bound, xi_v = random.standard_normal((2, 2, n_cells))
    ends = np.array([card.conductance.g_min.value, card.conductance.g_max.value])
    window = ends[1] - ends[0]

    def column(values: list[float]) -> Array:
        return np.array(values)[:, None]

    bounds = ends[:, None] + column([number(law.sigma_bound) for law in laws]) * window * xi_bound
    v_on = column([law.v_on.value if law.v_on else -math.inf for law in laws])
    return PulsedCells(
        bounds=np.sort(np.maximum(bounds, 0), axis=0),
        share=1 - (1 - column([law.step.value for law in laws])) ** strength,
        v_on=v_on + column([number(law.sigma_v) for law in laws]) * xi_v,
        v_scale=np.array([law.v_scale.value if law.v_scale else 1.0 for law in laws]),
        sigma=np.array([law.sigma_c2c.value * window for law in laws]),
        width=section.width.value,
        exponent=number(section.width_exponent),
    )


def check_pulses(
    card: DeviceCard, v: npt.ArrayLike, widths: tuple[float, ...], *, extrapolate: bool = False
) -> None:
    """Refuse pulses that the card's ``[switching]`` does not back.

    Args:
        card: Device card with ``[switching]``.
        v: Amplitudes [V], any shape; positive ones SET, negative ones RESET.
        widths: Durations [s].
        extrapolate: Allow everything.

    Raises:
        ExperimentError: If the card has no ``[switching]``.
        OutOfRangeError: If an amplitude or a duration leaves the card's range.
    """
    section, v = switching(card), np.asarray(v, np.float64)
    for law, key, part in ((section.set, "SET", v[v > 0]), (section.reset, "RESET", -v[v < 0])):
        low, high = (0.0, law.v_max.value) if law.v_max else (law.v_start.value, law.v_start.value)
        for amplitude in np.round([part.min(), part.max()], 9).tolist() if part.size else ():
            what = f"amplitude of a {key} pulse"
            check_range(what, amplitude, low, high, "V", card=card.name, extrapolate=extrapolate)
    low = section.width_min.value if section.width_min else section.width.value
    high = section.width_max.value if section.width_max else section.width.value
    for width in widths:
        check_range("duration of a pulse", width, low, high, "s", card=card.name, extrapolate=extrapolate)


def open_loop(
    card: DeviceCard,
    train: npt.ArrayLike,
    n_cells: int,
    *,
    seed: int,
    name: str,
    width: float | None = None,
    extrapolate: bool = False,
) -> npt.NDArray[np.float32]:
    """Conductances of cells under a train of pulses, from their low bounds on.

    Equal amplitudes give curves of potentiation and depression, rising ones staircases.

    Args:
        card: Device card.
        train: Amplitudes (n_pulses,) or (n_pulses, n_cells) [V]; positive ones SET, negative ones RESET, 0 is
            no pulse.
        n_cells: Number of cells.
        seed: Seed of the experiment.
        name: Stream prefix, e.g. ``"chip0/pos"``.
        width: Duration of the pulses [s]; None takes the card's.
        extrapolate: Allow pulses that the card does not back.

    Returns:
        float32 (n_pulses + 1, n_cells) [S], before the first pulse and after each.

    Raises:
        ExperimentError: If the card has no ``[switching]``.
        OutOfRangeError: If an amplitude or the duration leaves the card's range.
        ShapeError: If ``train`` is for another number of cells.

    Assumes: nothing relaxes between pulses.
    Source: see `pulsed_cells`.
    """
    train = np.asarray(train, np.float64)
    if train.ndim not in {1, 2} or train.shape[1:] not in {(), (n_cells,)}:
        raise ShapeError(
            f"train of pulses has shape {train.shape}; give (n_pulses,) or (n_pulses, {n_cells})"
        )
    cells = pulsed_cells(card, n_cells, seed=seed, name=name)
    width = cells.width if width is None else width
    check_pulses(card, train, (width,), extrapolate=extrapolate)
    train = np.broadcast_to(train if train.ndim == 2 else train[:, None], (len(train), n_cells))
    return apply_train(rng.key(seed, f"{name}/pulses"), cells, np.ascontiguousarray(train), width)


def blind_train(card: DeviceCard, target: npt.ArrayLike) -> Array:
    """SET pulses that bring the median cell from g_min to its target, for `open_loop`.

    With x = (target - g_min)/(g_max - g_min): one pulse of V = v_on - v_scale ln(1 - x/step), at most v_max;
    where pulses are identical, n = ln(1 - x)/ln(1 - step) of them, rounded.

    Args:
        card: Device card.
        target: Wanted conductances (n_cells,) [S].

    Returns:
        float64 (n_pulses, n_cells) [V].

    Raises:
        ExperimentError: If the card has no ``[switching]``.

    Assumes: no spread: the cells end around their targets by all the spread of the technology.
    Source: inverse of the module's law.
    """
    law = switching(card).set
    low, high = card.conductance.g_min.value, card.conductance.g_max.value
    x = (np.asarray(target, np.float64) - low) / (high - low)
    tiny = float(np.finfo(np.float64).tiny)
    if law.v_on and law.v_scale and law.v_max:
        v: Array = law.v_on.value - law.v_scale.value * np.log(np.maximum(1 - x / law.step.value, tiny))
        return np.minimum(v, law.v_max.value)[None]
    n = np.rint(np.log(np.maximum(1 - x, tiny)) / math.log(max(1 - law.step.value, tiny)))
    return np.where(np.arange(n.max())[:, None] < n, law.v_start.value, 0.0)


@njit(cache=True, error_model="numpy")
def pulse(
    cells: PulsedCells, i: int, up: int, g: float, v: float, width: float, key: int, draw: int
) -> float:
    """Conductance [S] of cell ``i`` after a pulse; its random number is (key, draw).

    Args:
        cells: See `PulsedCells`.
        i: Number of the cell.
        up: 1 for SET, 0 for RESET.
        g: Conductance before [S].
        v: Amplitude [V].
        width: Duration [s].
        key: Key of the stream.
        draw: Counter.
    """
    low, high = cells.bounds[0, i], cells.bounds[1, i]
    ratio = width / cells.width
    left: float = math.exp((cells.v_on[up, i] - v) / cells.v_scale[up]) * ratio**-cells.exponent
    limit = high - left * (high - low) if up else low + left * (high - low)
    if left >= 1.0 or (limit < g if up else limit > g):
        return g
    g += cells.share[up, i] * (limit - g)
    if cells.sigma[up] > 0:
        g += cells.sigma[up] * normal(key, draw)
    inside: float = max(low, min(high, g))
    return inside


@njit(cache=True, parallel=True, error_model="numpy")
def apply_train(key: int, cells: PulsedCells, train: Array, width: float) -> npt.NDArray[np.float32]:
    """Every pulse of ``train`` (n_pulses, n_cells) [V] on every cell; see `open_loop`."""
    n_pulses, n_cells = train.shape
    out = np.empty((n_pulses + 1, n_cells), np.float32)
    for i in prange(n_cells):
        g = cells.bounds[0, i]
        out[0, i] = g
        for k in range(n_pulses):
            v = train[k, i]
            if v != 0:
                g = pulse(cells, i, 1 if v > 0 else 0, g, abs(v), width, key, k * n_cells + i)
            out[k + 1, i] = g
    return out

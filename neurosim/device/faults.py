"""Cells that do not follow the distribution: outliers, cells stuck or worn out, lines that are dead."""

import numpy as np
import numpy.typing as npt

from neurosim.cards import DeviceCard
from neurosim.device.config import check_range, number
from neurosim.errors import ExperimentError

Array = npt.NDArray[np.float32]


def outliers(card: DeviceCard, g: Array, target: Array, random: np.random.Generator) -> Array:
    """Conductances [S] with a few cells far above the distribution.

    With probability p_outlier: g = target (1 + sigma_d2d u), u uniform in outlier_min .. outlier_max.

    Assumes: outliers conduct more, never less: the measured ones exceed what a cell can fall short by.
    Source: measured, 411,280 differential weights of hustmeng/RGNN.
    """
    faults = card.faults
    if faults is None or faults.p_outlier is None:
        return g
    hit = random.random(g.shape) < faults.p_outlier.value
    u = random.uniform(number(faults.outlier_min), number(faults.outlier_max), g.shape)
    far = target * (1 + number(card.conductance.sigma_d2d) * u)
    return np.where(hit, far.astype(np.float32), g)


def wear(
    card: DeviceCard, g: Array, n: float, random: np.random.Generator, *, extrapolate: bool = False
) -> Array:
    """Conductances [S] with some cells stuck for good after ``n`` set and reset cycles.

    A cell fails at its own n_fail = n_median exp(sigma_ln xi), so P(failed) = Phi(ln(n/n_median)/sigma_ln); a
    fraction p_lrs of the failed cells is stuck at g_max, the others at g_min.

    Args:
        card: Device card.
        g: Conductances [S].
        n: Cycles; the draws do not depend on it, so cells that failed stay failed.
        random: Stream.
        extrapolate: Allow more cycles than the card's n_max.

    Raises:
        ExperimentError: If ``n`` is above 0 and the card has no ``[endurance]``.
        OutOfRangeError: If ``n`` is above the card's n_max.

    Assumes: lognormal cycles to failure; a failing cell jumps, without a window that closes before.
    Source: the card.
    """
    endurance = card.endurance
    if not n:
        return g
    if endurance is None:
        raise ExperimentError(
            f"device.n_cycles = {n:g}, but device card '{card.name}' has no [endurance] that says which "
            "cells fail; remove n_cycles or choose a card with [endurance]"
        )
    check_range("n_cycles", n, 0.0, endurance.n_max.value, "cycles", card=card.name, extrapolate=extrapolate)
    n_fail = endurance.n_median.value * np.exp(endurance.sigma_ln.value * random.standard_normal(g.shape))
    to_lrs = random.random(g.shape) < endurance.p_lrs.value
    low, high = np.float32(card.conductance.g_min.value), np.float32(card.conductance.g_max.value)
    return np.where(n_fail <= n, np.where(to_lrs, high, low), g)


def stuck(card: DeviceCard, g: Array, p_stuck: float | None, random: np.random.Generator) -> Array:
    """Conductances [S] with some cells stuck at g_max or g_min.

    ``p_stuck`` [1], where given, is the fraction of both kinds together, split as on the card or evenly.

    Assumes: a stuck cell neither moves nor forms.
    Source: the card; without numbers on the card there are none.
    """
    lrs = number(card.faults.p_stuck_lrs) if card.faults else 0.0
    hrs = number(card.faults.p_stuck_hrs) if card.faults else 0.0
    if p_stuck is not None:
        share = lrs / (lrs + hrs) if lrs + hrs else 0.5
        lrs, hrs = p_stuck * share, p_stuck * (1 - share)
    u = random.random(g.shape)
    g = np.where(u < lrs, np.float32(card.conductance.g_max.value), g)
    return np.where((u >= lrs) & (u < lrs + hrs), np.float32(card.conductance.g_min.value), g)


def dead_lines(
    card: DeviceCard,
    g: Array,
    p_row: float | None,
    p_col: float | None,
    rows: np.random.Generator,
    cols: np.random.Generator,
) -> Array:
    """Conductances [S] with none in the cells of dead word and bit lines.

    Every line is dead with its own probability p, on its own: u < p, so the lines dead at p are dead at 2p.

    Args:
        card: Device card.
        g: Conductances [S]; the first axis counts word lines, the last one bit lines.
        p_row: Fraction of dead word lines [1] in place of the card's.
        p_col: Fraction of dead bit lines [1] in place of the card's.
        rows: Stream of the word lines.
        cols: Stream of the bit lines.

    Raises:
        ExperimentError: If lines are to be dead and ``g`` has less than two axes.

    Assumes: a dead line carries no current anywhere, as if open at its driver; lines are independent.
    Source: the card; without numbers on the card there are none.
    """
    if p_row is None:
        p_row = number(card.faults.p_dead_row) if card.faults else 0.0
    if p_col is None:
        p_col = number(card.faults.p_dead_col) if card.faults else 0.0
    if not p_row and not p_col:
        return g
    if g.ndim < 2:
        raise ExperimentError(
            f"dead lines (p_dead_row = {p_row:g}, p_dead_col = {p_col:g}) in an array of shape {g.shape}; "
            "give it rows and columns, or set both to 0"
        )
    dead_row = rows.random((g.shape[0], *[1] * (g.ndim - 1))) < p_row
    dead_col = cols.random(g.shape[-1]) < p_col
    return np.where(dead_row | dead_col, np.float32(0), g)

"""What time does to a conductance: relaxation of filamentary cells, drift of phase-change cells."""

import numpy as np
import numpy.typing as npt

from neurosim.cards import DeviceCard
from neurosim.device.conductance import sigma_polynomial
from neurosim.device.config import check_range
from neurosim.quantity import Pair

Array = npt.NDArray[np.float32]


def relax(
    card: DeviceCard,
    g: Array,
    target: Array,
    t: float,
    random: np.random.Generator,
    *,
    extrapolate: bool = False,
) -> Array:
    """Conductances [S] ``t`` seconds after programming, by relaxation.

    G(t) = max(0, G + sqrt(sigma(t)^2 - sigma(t_1)^2) xi), where sigma(t)^2 at the target runs linearly in
    ln t between the card's times t_1, t_2, ... and stands still outside them.

    Args:
        card: Device card; without ``[[relaxation]]`` nothing changes.
        g: Programmed conductances [S], which carry the spread at t_1 already.
        target: Targets [S].
        t: Time after programming [s].
        random: Stream; the same one gives every cell one path in time.
        extrapolate: Allow times after the card's last.

    Raises:
        OutOfRangeError: If ``t`` is after the card's last time.

    Assumes: normal deviations (measured tails are heavier), mean unchanged.
    Source: Wan et al. 2022, Extended Data Fig. 3d (doi:10.1038/s41586-022-04992-8); variance linear in log t
    also in the arrays of github.com/akashlevy/RRAM-Relaxation-Master-Model.
    """
    points = card.relaxation
    if not points:
        return g
    times = np.array([point.t.value for point in points])
    check_range("t_after_programming", t, 0.0, times[-1], "s", card=card.name, extrapolate=extrapolate)
    variances = [sigma_polynomial(card, point.sigma, target) ** 2 for point in points]
    # hat functions of ln t: the weight of every time in the interpolation
    weights = [np.interp(np.log(max(t, times[0])), np.log(times), hat) for hat in np.eye(len(times))]
    grown = sum(float(w) * v for w, v in zip(weights, variances, strict=True)) - variances[0]
    xi = random.standard_normal(g.shape, np.float32)
    moved: Array = np.maximum(g + np.sqrt(np.maximum(grown, 0)) * xi, 0)
    return moved


def drift_exponents(card: DeviceCard, target: Array, random: np.random.Generator) -> Array:
    """Drift exponent of every cell [1].

    nu = |mean(x) + std(x) xi|, mean and std = clip(a + b ln x), x = target/g_max; frozen per cell, and 0
    where the card has no ``[drift]``.

    Assumes: exponents normal and independent, set by the target.
    Source: Nandakumar et al. 2019 (doi:10.1109/ICECS46596.2019.8964852).
    """
    if card.drift is None:
        return np.zeros_like(target)
    log_x = np.log(np.maximum(target / card.conductance.g_max.value, 1e-6))

    def law(line: Pair, clip: Pair) -> Array:
        a, b = line.value
        low, high = clip.value
        clipped: Array = np.clip(a + b * log_x, low, high)
        return clipped

    mean, std = (
        law(card.drift.nu_mean, card.drift.nu_mean_clip),
        law(card.drift.nu_std, card.drift.nu_std_clip),
    )
    xi = random.standard_normal(target.shape, np.float32)
    nu: Array = np.abs(mean + std * xi)
    return nu


def drift(card: DeviceCard, g: Array, nu: Array, t: float, *, extrapolate: bool = False) -> Array:
    """Conductances [S] ``t`` seconds after programming, by structural drift.

    G(t) = G ((t + t0)/t0)^-nu.

    Args:
        card: Device card; without ``[drift]`` nothing changes.
        g: Conductances right after programming [S].
        nu: Exponents [1], see `drift_exponents`.
        t: Time after programming [s].
        extrapolate: Allow times after the card's t_max.

    Raises:
        OutOfRangeError: If ``t`` is after the card's t_max.

    Assumes: constant room temperature.
    Source: Nandakumar et al. 2019 (doi:10.1109/ICECS46596.2019.8964852).
    """
    if card.drift is None:
        return g
    limit = card.drift.t_max.value
    check_range("t_after_programming", t, 0.0, limit, "s", card=card.name, extrapolate=extrapolate)
    return g * (1 + t / card.drift.t0.value) ** -nu

"""The conductance of a cell: forming, spread from device to device, programming."""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from neurosim import rng
from neurosim.cards import DeviceCard
from neurosim.device.config import check_range
from neurosim.errors import ExperimentError, OutOfRangeError
from neurosim.quantity import Curve

Array = npt.NDArray[np.float32]


def formed_probability(card: DeviceCard, v: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Fraction of cells formed by one pulse.

    P(formed) = Phi((V - v_forming) / sigma_v_forming); 1 where the card has no ``[forming]``.

    Args:
        card: Device card.
        v: Pulse amplitude [V], any shape.

    Assumes: forming voltages normal and independent from cell to cell.
    Source: measured, 400 cells of Wang et al. 2023, Extended Data Fig. 1 (doi:10.1038/s42256-023-00609-5).
    """
    v = np.asarray(v, np.float64)
    if card.forming is None:
        return np.ones_like(v)
    z = (v - card.forming.v_forming.value) / card.forming.sigma_v_forming.value
    return np.asarray(special.ndtr(z), np.float64)


def form(
    card: DeviceCard,
    v: float | None,
    shape: tuple[int, ...],
    random: np.random.Generator,
    *,
    extrapolate: bool = False,
) -> npt.NDArray[np.bool_]:
    """Which cells a forming pulse forms: those whose own forming voltage it reaches.

    V_cell = v_forming + sigma_v_forming xi,  formed = (V >= V_cell).

    The draw does not depend on ``v``, so a higher pulse forms the same cells and more.

    Args:
        card: Device card.
        v: Pulse amplitude [V]; None takes the card's default.
        shape: Shape of the array.
        random: Stream.
        extrapolate: Allow an amplitude outside the card's range.

    Returns:
        bool of ``shape``; all true where the card has no ``[forming]``.

    Raises:
        ExperimentError: If a pulse is given and the card has no ``[forming]``.
        OutOfRangeError: If the pulse leaves the card's range.

    Assumes: see `formed_probability`.
    Source: see `formed_probability`.
    """
    forming = card.forming
    if forming is None:
        if v is not None:
            raise ExperimentError(
                f"device.v_forming = {v:g} V, but device card '{card.name}' has no [forming]: its cells are "
                "programmed; remove v_forming or choose a card with [forming]"
            )
        return np.ones(shape, np.bool_)
    amplitude = forming.v_default.value if v is None else v
    low, high = forming.v_min.value, forming.v_max.value
    check_range("v_forming", amplitude, low, high, "V", card=card.name, extrapolate=extrapolate)
    threshold = forming.v_forming.value + forming.sigma_v_forming.value * random.standard_normal(shape)
    return amplitude >= threshold


def targets(
    card: DeviceCard,
    shape: tuple[int, ...],
    random: np.random.Generator,
    compliance: float | None = None,
    *,
    extrapolate: bool = False,
) -> Array:
    """Conductance that a cell is meant to have [S]: the card's g_mean, else uniform in the window.

    Forming under a relative compliance current c leaves g_mean c^k, k the card's compliance_exponent: the
    filament grows until the voltage across it has fallen to one that no longer drives it, so its
    conductance is in proportion to the current (k = 1). A technology that is programmed becomes a random
    encoder through its random targets.

    Args:
        card: Device card.
        shape: Shape of the array.
        random: Stream.
        compliance: Compliance current of forming relative to that of the card's g_mean [1]; None is 1.
        extrapolate: Allow a mean outside the card's window.

    Raises:
        ExperimentError: If a compliance is given and the card has no ``forming.compliance_exponent``.
        OutOfRangeError: If the mean leaves the window g_min .. g_max.

    Assumes: uniform random targets between g_min and g_max; the relative spread at any compliance is that
        of the card, and so is the fraction of cells formed.
    Source: filament growth that the compliance current stops: Ielmini 2011 (doi:10.1109/TED.2011.2167513);
        the uniform law is a choice.
    """
    g, exponent = card.conductance, card.forming.compliance_exponent if card.forming else None
    if compliance is not None and exponent is None:
        raise ExperimentError(
            f"device.compliance = {compliance:g}, but device card '{card.name}' has no "
            "forming.compliance_exponent that says what it does to the conductance; remove compliance or add "
            "the exponent to a card of your own"
        )
    low, high = g.g_min.value, g.g_max.value
    if g.g_mean:
        mean = g.g_mean.value
        if compliance is not None and exponent:
            mean *= compliance**exponent.value
            what = f"mean conductance at compliance {compliance:g}"
            check_range(what, mean, low, high, "S", card=card.name, extrapolate=extrapolate)
        return np.full(shape, mean, np.float32)
    return low + (high - low) * random.random(shape, np.float32)


def spread(
    g: Array, sigma: float, distribution: Literal["normal", "lognormal"], random: np.random.Generator
) -> Array:
    """Conductances [S] after the spread from device to device.

    normal: g (1 + sigma xi), not below 0.  lognormal: g exp(s xi - s^2/2), s^2 = ln(1 + sigma^2); both have
    mean g and relative standard deviation sigma.

    Assumes: cells independent (measured maps show no correlation between neighbours).
    Source: near-normal in the measured maps of Wang et al. 2023 (doi:10.1038/s42256-023-00609-5).
    """
    xi = random.standard_normal(g.shape, np.float32)
    if distribution == "lognormal":
        s = math.sqrt(math.log1p(sigma**2))
        factor: Array = np.exp(s * xi - s**2 / 2)
    else:
        factor = np.maximum(1 + sigma * xi, 0)
    return g * factor


def state_law(card: DeviceCard, law: Curve, target: Array) -> Array:
    """A card's law [S] of the state x = target/g_max."""
    return law(target / np.float32(card.conductance.g_max.value))


def programming_error(
    card: DeviceCard, target: Array, random: np.random.Generator, sigma_prog: float | None = None
) -> Array:
    """Deviation [S] from the target left by one programming cycle.

    e = sqrt(sigma_prog(target)^2 + (sigma_c2c target)^2) xi; ``sigma_prog`` [1], where given, stands for
    both as sigma_prog * target.

    Assumes: normal, independent from cell to cell and from cycle to cycle.
    Source: the card.
    """
    if sigma_prog is not None:
        sigma = sigma_prog * target
    elif card.programming:
        sigma = np.maximum(state_law(card, card.programming.sigma_prog, target), 0)
        if c2c := card.programming.sigma_c2c:
            sigma = np.hypot(sigma, c2c.value * target)
    else:
        return np.zeros_like(target)
    return sigma * random.standard_normal(target.shape, np.float32)


def check_window(card: DeviceCard, target: Array, *, extrapolate: bool = False) -> None:
    """Refuse targets [S] outside the card's window.

    Raises:
        OutOfRangeError: If one is and ``extrapolate`` is false.
    """
    low, high = np.float32(card.conductance.g_min.value), np.float32(card.conductance.g_max.value)
    outside = target[~((target >= low) & (target <= high))]
    if outside.size and not extrapolate:
        raise OutOfRangeError(
            f"target {outside[0]:g} S is outside {low:g} .. {high:g} S, the window of device card "
            f"'{card.name}' ({outside.size} of {target.size} targets); scale the targets into it"
        )


def program(
    card: DeviceCard,
    target: npt.ArrayLike,
    *,
    seed: int,
    name: str,
    cycle: int = 0,
    sigma_prog: float | None = None,
    extrapolate: bool = False,
) -> Array:
    """Conductances after programming cells to given targets.

    G = max(0, target + e), see `programming_error`. Another ``cycle`` draws another error.

    Args:
        card: Device card.
        target: Wanted conductances [S], any shape.
        seed: Seed of the experiment.
        name: Stream prefix, e.g. ``"chip0/pos"``.
        cycle: Number of the programming cycle.
        sigma_prog: Relative error [1] in place of the card's.
        extrapolate: Allow targets outside the card's window.

    Returns:
        float32 of the shape of ``target`` [S].

    Raises:
        OutOfRangeError: If a target leaves the window g_min .. g_max.

    Assumes: see `programming_error`.
    Source: the card.
    """
    target = np.asarray(target, np.float32)
    check_window(card, target, extrapolate=extrapolate)
    error = programming_error(card, target, rng.stream(seed, f"{name}/programming/{cycle}"), sigma_prog)
    return np.maximum(target + error, 0)

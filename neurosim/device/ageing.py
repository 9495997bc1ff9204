"""What time and temperature do to a conductance: relaxation (filaments) and drift (phase change)."""

import math

import numpy as np
import numpy.typing as npt

from neurosim.cards import DeviceCard, Temperature
from neurosim.device.conductance import state_law
from neurosim.device.config import check_range, number
from neurosim.errors import ExperimentError

Array = npt.NDArray[np.float32]

BOLTZMANN = 8.617333e-5  # [eV/K]


def acceleration(card: DeviceCard, temperature: float | None, *, extrapolate: bool = False) -> float:
    """How many seconds at the card's t_ref a second at another temperature ages a cell by [1].

    AF = exp((e_a/k) (1/t_ref - 1/T)), k = 8.617333e-5 eV/K; 1 where the card has no e_a.

    Args:
        card: Device card.
        temperature: T [K]; None is t_ref.
        extrapolate: Allow temperatures outside the card's range.

    Raises:
        ExperimentError: If a temperature is given and the card has no ``[temperature]``.
        OutOfRangeError: If it leaves the card's range.

    Assumes: one activated process, whose barrier is the same for every cell and state.
    Source: Arrhenius' law.
    """
    if temperature is None:
        return 1.0
    law = _temperature_law(card, temperature, extrapolate)
    return math.exp(number(law.e_a) / BOLTZMANN * (1 / law.t_ref.value - 1 / temperature))


def at_temperature(
    card: DeviceCard, g: Array, temperature: float | None, *, extrapolate: bool = False
) -> Array:
    """Conductances [S] at a temperature.

    G(T) = G max(0, 1 + tcr (T - t_ref)); unchanged where the card has no tcr. Arguments and errors as of
    `acceleration`.

    Assumes: linear over the card's range, and the same for every state.
    Source: the card.
    """
    if temperature is None:
        return g
    law = _temperature_law(card, temperature, extrapolate)
    return g * max(0.0, 1 + number(law.tcr) * (temperature - law.t_ref.value))


def relax(
    card: DeviceCard,
    g: Array,
    target: Array,
    t: float,
    random: np.random.Generator,
    *,
    temperature: float | None = None,
    extrapolate: bool = False,
) -> Array:
    """Conductances [S] ``t`` seconds after programming, by relaxation.

    G(t) = max(0, G + mean(t) + sqrt(sigma(t)^2 - sigma(t_1)^2) exp(s(t) eta - s(t)^2) xi),

    where mean and sigma^2 at the target and the tail s run linearly in ln t between the card's times t_1,
    t_2, ... and stand still outside them. A cell keeps its xi and eta: it has one path in time. The factor
    with s, a variance that is lognormal from cell to cell, keeps the variance over cells and makes the
    kurtosis 3 exp(4 s^2).

    Args:
        card: Device card; without ``[[relaxation]]`` nothing changes.
        g: Programmed conductances [S], which carry the spread at t_1 already.
        target: Targets [S].
        t: Time after programming [s].
        random: Stream; the same one gives every cell one path in time.
        temperature: Temperature [K]; times count `acceleration` fold. None is the card's t_ref.
        extrapolate: Allow times after the card's last, and temperatures outside its range.

    Raises:
        ExperimentError: If a temperature is given and the card has no ``[temperature]``.
        OutOfRangeError: If time or temperature leave the card's range.

    Assumes: programming leaves a normal error without mean; a path in time is smooth.
    Source: Wan et al. 2022, Extended Data Fig. 3d (doi:10.1038/s41586-022-04992-8); variance linear in log t
        and heavy tails in the arrays of github.com/akashlevy/RRAM-Relaxation-Master-Model.
    """
    points = card.relaxation
    if not points:
        return g
    times = np.array([point.t.value for point in points])
    t = _age(card, t, times[-1], temperature, extrapolate)
    # hat functions of ln t: the weight of every time in the interpolation
    weights = [float(np.interp(np.log(max(t, times[0])), np.log(times), hat)) for hat in np.eye(len(times))]
    variances = [np.maximum(state_law(card, point.sigma, target), 0) ** 2 for point in points]
    grown = sum(w * v for w, v in zip(weights, variances, strict=True)) - variances[0]
    step = np.sqrt(np.maximum(grown, 0)) * random.standard_normal(g.shape, np.float32)
    if s := sum(w * number(point.tail) for w, point in zip(weights, points, strict=True)):
        step = step * np.exp(s * random.standard_normal(g.shape, np.float32) - s**2)
    for w, point in zip(weights, points, strict=True):
        if point.mean:
            step = step + w * state_law(card, point.mean, target)
    moved: Array = np.maximum(g + step, 0)
    return moved


def drift_exponents(card: DeviceCard, target: Array, random: np.random.Generator) -> Array:
    """Drift exponent of every cell [1].

    nu = |nu_mean(x) + nu_std(x) xi|, x = target/g_max; frozen per cell. 0 where the card has no ``[drift]``.

    Assumes: exponents normal and independent, set by the target.
    Source: Nandakumar et al. 2019 (doi:10.1109/ICECS46596.2019.8964852).
    """
    if card.drift is None:
        return np.zeros_like(target)
    x = np.maximum(target / card.conductance.g_max.value, 1e-6)
    mean, std = card.drift.nu_mean(x), card.drift.nu_std(x)
    xi = random.standard_normal(target.shape, np.float32)
    nu: Array = np.abs(mean + std * xi)
    return nu


def drift(
    card: DeviceCard,
    g: Array,
    nu: Array,
    t: float,
    *,
    temperature: float | None = None,
    extrapolate: bool = False,
) -> Array:
    """Conductances [S] ``t`` seconds after programming, by structural drift.

    G(t) = G ((t + t0)/t0)^-nu.

    Args:
        card: Device card; without ``[drift]`` nothing changes.
        g: Conductances right after programming [S].
        nu: Exponents [1], see `drift_exponents`.
        t: Time after programming [s].
        temperature: Temperature [K]; times count `acceleration` fold. None is the card's t_ref.
        extrapolate: Allow times after the card's t_max, and temperatures outside its range.

    Raises:
        ExperimentError: If a temperature is given and the card has no ``[temperature]``.
        OutOfRangeError: If time or temperature leave the card's range.

    Assumes: one temperature from programming on; the exponent itself does not depend on it.
    Source: Nandakumar et al. 2019 (doi:10.1109/ICECS46596.2019.8964852).
    """
    if card.drift is None:
        return g
    t = _age(card, t, card.drift.t_max.value, temperature, extrapolate)
    return g * (1 + t / card.drift.t0.value) ** -nu


def _age(card: DeviceCard, t: float, limit: float, temperature: float | None, extrapolate: bool) -> float:
    """Seconds at the card's t_ref that age a cell like ``t`` seconds at ``temperature``, within ``limit``."""
    factor, what = acceleration(card, temperature, extrapolate=extrapolate), "t_after_programming"
    if factor != 1:
        what += f" x {factor:.3g} (acceleration at {temperature:g} K)"
    check_range(what, t * factor, 0.0, limit, "s", card=card.name, extrapolate=extrapolate)
    return t * factor


def _temperature_law(card: DeviceCard, temperature: float, extrapolate: bool) -> Temperature:
    """The card's section, after the checks that `acceleration` names."""
    law = card.temperature
    if law is None:
        raise ExperimentError(
            f"device.temperature = {temperature:g} K, but device card '{card.name}' has no [temperature] "
            "that says what it does; remove temperature or choose a card with [temperature]"
        )
    low, high = law.t_min.value, law.t_max.value
    check_range("temperature", temperature, low, high, "K", card=card.name, extrapolate=extrapolate)
    return law

"""Laws fitted to measurements: conductances, forming voltages, current against voltage."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from neurosim.device.sampling import sample_conductances
from neurosim.errors import MeasurementError

Array = npt.NDArray[np.float64]

Z95 = 1.96
FAR = 5.0  # robust standard deviations beyond which a cell is an outlier
MIN_CELLS = 20  # to fit a distribution to
N_NULL = 999  # virtual populations that a Kolmogorov-Smirnov distance is compared with


@dataclass(frozen=True)
class Fit:
    """What one kind of measurement says.

    Attributes:
        card: Sections of a card; its quantities lack the source.
        goodness: How well the laws fit, by figure.
    """

    card: dict[str, Any]
    goodness: dict[str, str] = field(default_factory=dict)


def quantity(
    value: float | list[float],
    unit: str,
    where: str,
    interval: tuple[float, float] | None = None,
    status: str = "fitted",
) -> dict[str, Any]:
    """A quantity of a card, to five digits, with its 95 % interval under ``where``."""
    digits = [float(f"{x:.5g}") for x in (value if isinstance(value, list) else [value])]
    if interval:
        where += f"; 95 %: {interval[0]:.4g} .. {interval[1]:.4g}"
    return {
        "value": digits if isinstance(value, list) else digits[0],
        "unit": unit,
        "where": where,
        "status": status,
    }


# ---- a distribution --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Distribution:
    """A normal or lognormal law of a sample.

    Attributes:
        mean: Its mean.
        sigma: Its standard deviation, relative to the mean where lognormal, else absolute.
        z: Standardised sample without outliers.
        outlier: Which members of the sample are outliers.
        aic: Akaike's criterion.
    """

    mean: float
    sigma: float
    z: Array
    outlier: npt.NDArray[np.bool_]
    aic: float

    def goodness(self) -> dict[str, str]:
        """Figures of the sample against the law."""
        z = np.sort(self.z)
        distance, n = float(_ks(z)), len(z)
        p = (1 + np.count_nonzero(_ks_null(min(n, 1000)) >= distance * math.sqrt(n))) / (N_NULL + 1)
        place = stats.norm.ppf((np.arange(n) + 0.5) / n)
        inside = np.abs(place) < stats.norm.ppf(0.99)
        worst = np.abs(z - place)[inside].max()
        return {
            "Kolmogorov-Smirnov distance": f"{distance:.4f} (p = {p:.3f}, parameters fitted)",
            "quantile-quantile plot": f"r = {np.corrcoef(z, place)[0, 1]:.5f}, at most {worst:.2f} sigma off "
            "between 1 % and 99 %",
        }


def fit_distribution(x: Array, *, log: bool) -> Distribution:
    """Maximum-likelihood normal law of x, or of ln x, beside a few outliers.

    A member beyond 5 robust standard deviations (1.4826 MAD) is an outlier, uniform in the sample's range:

        ln L = sum_core ln((1 - p) f(x)) + n_out ln(p / range),  AIC = 2 k - 2 ln L, k = 3.

    Raises:
        MeasurementError: If half of the sample or more is one number.
    """
    u = np.log(x) if log else x
    centre = np.median(u)
    robust = 1.4826 * np.median(np.abs(u - centre))
    if robust == 0:
        raise MeasurementError(
            f"half of the {len(x)} values are {np.median(x):g}: no spread to fit; give them as measured"
        )
    outlier = np.abs(u - centre) > FAR * robust
    core = u[~outlier]
    n_out, n = np.count_nonzero(outlier), len(x)
    mu, s = float(core.mean()), float(core.std(ddof=1))
    likelihood = stats.norm.logpdf(core, mu, s).sum() - (core.sum() if log else 0.0)
    likelihood += (n - n_out) * math.log1p(-n_out / n)
    if n_out:
        likelihood += n_out * math.log(n_out / n / np.ptp(x))
    mean, sigma = (math.exp(mu + s**2 / 2), math.sqrt(math.expm1(s**2))) if log else (mu, s)
    return Distribution(mean, sigma, (core - mu) / s, outlier, 2 * 3 - 2 * float(likelihood))


def _ks(z: Array) -> Array:
    """Largest distance of sorted samples (..., n) from the normal law, at the middle of every step.

    At the middle, values that were rounded to a grid are not far for that reason alone.
    """
    n = z.shape[-1]
    middle = np.arange(n) + 0.5
    if z.ndim == 1:
        middle = (np.searchsorted(z, z) + np.searchsorted(z, z, side="right")) / 2
    return np.asarray(np.abs(middle / n - stats.norm.cdf(z)).max(axis=-1), np.float64)


@lru_cache
def _ks_null(n: int) -> Array:
    """sqrt(n) times the distances of normal populations whose mean and deviation were fitted (Lilliefors)."""
    g = sample_conductances((N_NULL, n), 0.05, 0.1, seed=0, name="fit/ks", distribution="normal")
    z = np.sort(g.astype(np.float64), axis=1)
    z = (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, ddof=1, keepdims=True)
    return _ks(z) * math.sqrt(n)


def _fraction(count: int, n: int) -> tuple[float, tuple[float, float]]:
    """A fraction and its Wilson interval."""
    low, high = stats.binomtest(count, n).proportion_ci(method="wilson")
    return count / n, (float(low), float(high))


# ---- conductances ----------------------------------------------------------------------------------


def fit_conductances(g: Array, formed_above: float = 0.0) -> Fit:
    """Fraction of formed cells, their mean and spread, and outliers.

    Args:
        g: Conductances [S] of an array; those that are NaN or not above ``formed_above`` are not formed.
        formed_above: Conductance [S] above which a cell counts as formed.

    Raises:
        MeasurementError: If there are fewer than 20 formed cells, or they have no spread.

    Assumes: cells independent, normal or lognormal, whichever has the lower AIC; see `fit_distribution`.
    Source: the measurement.
    """
    g = g.ravel()
    formed = g > formed_above
    x, n = g[formed], int(formed.sum())
    if n < MIN_CELLS:
        raise MeasurementError(f"{n} formed cells are too few to fit a law to; measure {MIN_CELLS} or more")
    laws = {"normal": fit_distribution(x, log=False), "lognormal": fit_distribution(x, log=True)}
    name = min(laws, key=lambda key: laws[key].aic)
    law, other = laws[name], next(laws[key] for key in laws if key != name)
    mean = law.mean
    m, k = len(law.z), law.sigma
    if name == "normal":
        k /= mean
        error, k_error = k / math.sqrt(m), k * math.sqrt((0.5 + k**2) / m)
    else:
        s2 = math.log1p(k**2)
        error, k_error = math.sqrt((s2 + s2**2 / 2) / m), s2 * (1 + k**2) / k / math.sqrt(2 * m)
    window = {
        "g_mean": quantity(mean, "S", f"mean of {m} formed cells", _around(mean, mean * error)),
        "sigma_d2d": quantity(k, "1", f"relative spread of {m} formed cells", _around(k, k_error)),
        "distribution": name,
        **fit_window(g, formed),
    }
    fraction, interval = _fraction(n, len(g))
    goodness = {
        "formed cells": f"{n:,} of {len(g):,}: {fraction:.4f} (95 %: {interval[0]:.4f} .. {interval[1]:.4f})",
        "law": f"{name}, AIC lower by {other.aic - law.aic:.1f} than that of the other",
    }
    goodness |= law.goodness()
    faults: dict[str, Any] = {}
    if n < len(g):
        low, high = 1 - interval[1], 1 - interval[0]
        where = f"{len(g) - n} of {len(g)} cells are not formed and conduct g_min"
        faults["p_stuck_hrs"] = quantity(1 - fraction, "1", where, (low, high), "measured")
    far = (x[law.outlier] - mean) / (k * mean)
    goodness["outliers"] = (
        f"{len(far)} of {n:,} beyond {FAR:g} robust sigma, {np.count_nonzero(far < 0)} below"
    )
    if (far := far[far > 0]).size:
        p, interval = _fraction(len(far), n)
        low = max(1.0, min(FAR, far.min()))
        high = min(100.0, max(far.max(), 1.01 * low))
        where = f"{len(far)} of {n} formed cells beyond {FAR:g} robust sigma"
        faults["p_outlier"] = quantity(p, "1", where, interval, "measured")
        faults["outlier_min"] = quantity(low, "1", "where cells begin to be outliers", status="measured")
        faults["outlier_max"] = quantity(high, "1", "the farthest outlier, at most 100", status="measured")
    return Fit({"conductance": window} | ({"faults": faults} if faults else {}), goodness)


def fit_window(g: Array, formed: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """g_min and g_max of conductances [S] of any shape, some of cells that are not formed."""
    off = g[~formed & ~np.isnan(g)]
    low = off.mean() if off.size else 0.0 if (~formed).any() else g.min()
    what = "lowest conductance" if formed.all() else "mean of the cells that are not formed"
    return {
        "g_min": quantity(low, "S", what, status="measured"),
        "g_max": quantity(np.nanmax(g), "S", "highest conductance", status="measured"),
    }


def _around(value: float, error: float) -> tuple[float, float]:
    return value - Z95 * error, value + Z95 * error


# ---- forming, current against voltage --------------------------------------------------------------


def fit_forming(v: Array, cells: Array | None) -> Fit:
    """Median and spread of the forming voltages of cells.

    Args:
        v: Forming voltages [V].
        cells: How many cells each stands for; None is one.

    Raises:
        MeasurementError: If there are fewer than 20 cells, or more than 10^7.

    Assumes: normal and independent.
    Source: the measurement.
    """
    total = len(v) if cells is None else cells.sum()
    if not MIN_CELLS <= total <= 1e7:
        raise MeasurementError(
            f"forming voltages of {total:g} cells; give those of {MIN_CELLS} to 10^7 cells"
        )
    volts = np.repeat(v, 1 if cells is None else cells.astype(int))
    law = fit_distribution(volts, log=False)
    n = len(law.z)
    where = f"forming voltages of {n} cells"
    forming = {
        "v_forming": quantity(law.mean, "V", where, _around(law.mean, law.sigma / math.sqrt(n))),
        "sigma_v_forming": quantity(law.sigma, "V", where, _around(law.sigma, law.sigma / math.sqrt(2 * n))),
        "v_default": quantity(law.mean, "V", "half of the cells form", status="assumed"),
        "v_min": quantity(volts.min(), "V", "the first cell forms", status="measured"),
        "v_max": quantity(volts.max(), "V", "the last cell forms", status="measured"),
    }
    beyond = f"{np.count_nonzero(law.outlier)} of {len(volts):,} beyond {FAR:g} robust sigma"
    return Fit({"forming": forming}, law.goodness() | {"outliers": beyond})


def fit_iv(v: Array, i: Array, cell: Array | None, v_read: float | None = None) -> tuple[Fit, Array]:
    """I = G0 V0 sinh(V/V0), one V0 for all cells, by least squares in units of each cell's largest current.

    Args:
        v: Voltages [V].
        i: Currents [A].
        cell: Number of the cell; None is one cell.
        v_read: Voltage [V] at which the card's conductances I/V are meant; None: slopes at 0 V.

    Returns:
        The law, without ``[iv]`` where a straight line does as well, and the conductance of each cell [S].

    Raises:
        MeasurementError: If a cell has fewer than 5 points or no current.

    Assumes: the errors of a cell's currents have one size; V0 the same for all cells and states.
    Source: the measurement.
    """
    group = np.unique(cell, return_inverse=True)[1] if cell is not None else np.zeros(len(v), int)
    largest = np.zeros(group.max() + 1)
    np.maximum.at(largest, group, np.abs(i))
    if np.bincount(group).min() < 5 or largest.min() == 0 or not np.abs(v).max() > 0:
        raise MeasurementError(
            "an I-V curve needs 5 points or more of every cell, at voltages and currents not 0"
        )
    y = i / largest[group]

    def slopes(shape: Array) -> Array:
        return np.bincount(group, y * shape) / np.bincount(group, shape**2)

    def misfit(shape: Array) -> float:
        return float(np.sum((y - slopes(shape)[group] * shape) ** 2))

    def sinh(log_v0: float) -> Array:
        return np.asarray(math.exp(log_v0) * np.sinh(v / math.exp(log_v0)))

    bounds = (math.log(max(np.abs(v).max() / 40, 1e-3)), math.log(20.0))
    best = float(optimize.minimize_scalar(lambda u: misfit(sinh(u)), bounds=bounds, method="bounded").x)
    curved, straight = misfit(sinh(best)), misfit(v)
    n, dof = len(v), max(1, len(v) - len(largest) - 1)
    residual = math.sqrt(min(curved, straight) / np.sum(y**2))
    points = f"{n} points of {len(largest)} cells"
    gain = n * math.log(straight / max(curved, 1e-30)) - 2 if curved < straight else -2.0
    goodness = {
        "residual": f"{residual:.3%} of the rms current",
        "sinh": f"AIC lower by {gain:.1f} than a line",
    }
    if gain <= 0:
        return Fit({}, goodness | {"law": "a straight line does as well: no [iv]"}), slopes(v) * largest
    step = 0.01
    bend = (misfit(sinh(best + step)) - 2 * curved + misfit(sinh(best - step))) / step**2
    error = math.sqrt(2 * curved / dof / max(bend, 1e-30))
    v0, interval = math.exp(best), (math.exp(best - Z95 * error), math.exp(best + Z95 * error))
    iv = {"v0": quantity(v0, "V", points, interval)}
    shape = 1.0
    if v_read:
        iv["v_reference"] = quantity(v_read, "V", "read voltage that was given", status="measured")
        shape = math.sinh(v_read / v0) / (v_read / v0)
    return Fit({"iv": iv}, goodness), slopes(sinh(best)) * largest * shape

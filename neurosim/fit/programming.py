"""The spread of programmed cells around their targets, and how it grows, fitted to measurements."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize

from neurosim.errors import MeasurementError
from neurosim.fit.laws import MIN_CELLS, Z95, Fit, quantity

Array = npt.NDArray[np.float64]

MAX_ORDER = 5  # of polynomials in the state


def fit_programming(target: Array, g: Array, t: Array | None, g_max: float) -> Fit:
    """Spread around the target against the target, right after programming and later.

    sigma(x) = sum_k c_k x^k, x = target/g_max, of the order (0 to 5) with the lowest AIC under

        ln L = -sum (ln sigma(x) + e^2 / (2 sigma(x)^2)),  e = g - target;

    of later times also the mean of e, likewise by least squares, and the tail s of `relax`, from

        <ln |r|> = <ln (w + (1 - w) exp(2 s eta - 2 s^2))>/2 - 0.635,  r = (e - mean)/sigma(x),

    w being the share of the variance that is there from the first time on and eta a standard normal number.

    Args:
        target: Wanted conductances [S], (n,).
        g: Achieved conductances [S], (n,); rows with NaN are left out.
        t: Time after programming [s], (n,), or None: right after programming.
        g_max: Conductance [S] that polynomials are written in.

    Raises:
        MeasurementError: If a time has fewer than 20 rows, the first of several is 0, or all targets are.

    Assumes: errors independent, their law a function of the target alone.
    Source: the measurement; -0.635 is the mean of ln |xi| of a standard normal xi.
    """
    if g_max <= 0:
        raise MeasurementError("all targets are 0 S: there is no window; give the targets as they were")
    there = ~np.isnan(g)
    x, error = target[there] / g_max, (g - target)[there]
    when = np.zeros(len(x)) if t is None else t[there]
    card: dict[str, Any] = {"relaxation": []}
    goodness: dict[str, str] = {}
    first = np.zeros(0)
    times = np.unique(when)
    if len(times) > 1 and times[0] == 0:
        raise MeasurementError("t = 0 s: relaxation runs in ln t; give the time of the first read, e.g. 1e-3")
    for time in times:
        x_now, off = x[when == time], error[when == time]
        if len(x_now) < MIN_CELLS:
            raise MeasurementError(
                f"{len(x_now)} rows at t = {time:g} s are too few to fit; measure {MIN_CELLS} or more"
            )
        what = f"{len(x_now)} cells" + (f" {time:g} s after programming" if t is not None else "")
        mean = _mean(x_now, off) if first.size else None
        if mean is not None:
            off = off - np.polynomial.polynomial.polyval(x_now, mean)
        sigma, at, fits = fit_sigma(x_now, off)
        goodness[f"spread of {what}"] = fits
        point = {
            "t": quantity(time, "s", "time of the measurement", status="measured"),
            "sigma": quantity(sigma.tolist(), "S", f"polynomial in g/g_max fitted to {what}: {at}"),
        }
        if not first.size:
            first = sigma
            card["programming"] = {"sigma_prog": point["sigma"]}
        elif tail := _tail(*_standardised(x_now, off, sigma, first)):
            point["tail"] = quantity(tail[0], "1", f"mean logarithm of the errors of {what}", tail[1])
        if mean is not None:
            point["mean"] = quantity(mean.tolist(), "S", f"polynomial in g/g_max fitted to {what}")
        card["relaxation"].append(point)
    if len(card["relaxation"]) < 2:
        del card["relaxation"]
    return Fit(card, goodness)


def _standardised(x: Array, error: Array, sigma: Array, first: Array) -> tuple[Array, Array]:
    """Errors over their standard deviation, and the share of the variance that the first time has."""
    now, then = (np.maximum(np.polynomial.polynomial.polyval(x, c), 1e-12) for c in (sigma, first))
    return error / now, np.minimum(1, (then / now) ** 2)


def fit_sigma(x: Array, error: Array) -> tuple[Array, str, str]:
    """Polynomial standard deviation [S] of errors [S] against the state x; see `fit_programming`.

    Returns:
        Coefficients [S], the value in the middle with its 95 % interval, and how well the polynomial fits.
    """
    place, n, mean_square = _binned(x, error**2)
    scale = math.sqrt(np.average(mean_square, weights=n))
    if scale == 0:
        raise MeasurementError(
            "every cell is exactly at its target: no spread to fit; give conductances as read"
        )

    def sigma(c: Array) -> Array:
        return np.maximum(np.polynomial.polynomial.polyval(place, c), 1e-3) * scale

    def minus_log_likelihood(c: Array) -> float:
        return float(np.sum(n * (np.log(sigma(c) / scale) + mean_square / (2 * sigma(c) ** 2))))

    best, lowest = np.zeros(0), math.inf
    for order in range(min(MAX_ORDER + 1, len(place))):
        start = np.polynomial.polynomial.polyfit(place, np.sqrt(mean_square) / scale, order, w=np.sqrt(n))
        c = optimize.minimize(minus_log_likelihood, start, method="Nelder-Mead", options={"maxiter": 4000}).x
        criterion = 2 * len(c) + 2 * minus_log_likelihood(c)
        if criterion < lowest:
            best, lowest = c, criterion
    powers = place[:, None] ** np.arange(len(best))
    covariance = (
        np.linalg.pinv(powers.T @ (powers * (2 * n * (scale / sigma(best)) ** 2)[:, None])) * scale**2
    )
    middle = len(place) // 2
    half = Z95 * math.sqrt(powers[middle] @ covariance @ powers[middle])
    value = sigma(best)[middle]
    at = f"{value:.4g} S at x = {place[middle]:.2f}; 95 %: {value - half:.4g} .. {value + half:.4g}"
    off = math.sqrt(np.average((np.sqrt(mean_square) / sigma(best) - 1) ** 2, weights=n))
    chance = math.sqrt(np.average(1 / (2 * n), weights=n))
    fits = (
        f"order {len(best) - 1}, states rms {off:.2%} from the law, {chance:.2%} expected by chance if normal"
    )
    return best * scale, at, fits


def _binned(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Mean x, number and mean y of groups of rows of one x, or of neighbours where there are too many."""
    states, group = np.unique(x, return_inverse=True)
    if len(states) > min(64, len(x) // MIN_CELLS):
        order = np.argsort(x, kind="stable")
        group = np.empty(len(x), int)
        group[order] = np.arange(len(x)) * min(32, len(x) // MIN_CELLS) // len(x)
    n = np.bincount(group)
    return np.bincount(group, x) / n, n.astype(np.float64), np.bincount(group, y) / n


def _mean(x: Array, error: Array) -> Array | None:
    """Polynomial mean of errors against the state, of the order with the lowest AIC; None: there is none."""
    place, n, mean = _binned(x, error)
    variance = max(float(error.var()), 1e-30)
    best, lowest = None, float(np.sum(n * mean**2) / variance)
    for order in range(min(MAX_ORDER + 1, len(place))):
        c = np.polynomial.polynomial.polyfit(place, mean, order, w=np.sqrt(n))
        off = mean - np.polynomial.polynomial.polyval(place, c)
        criterion = 2 * len(c) + float(np.sum(n * off**2) / variance)
        if criterion < lowest:
            best, lowest = c, criterion
    return None if best is None else np.asarray(best, np.float64)


def _tail(r: Array, share: Array) -> tuple[float, tuple[float, float]] | None:
    """Tail s of standardised errors whose share of normal variance is given; None: not told from normal."""
    eta, weight = np.polynomial.hermite_e.hermegauss(40)
    weight /= weight.sum()
    bins = _binned(share, r)
    log_r = np.log(np.abs(r[r != 0]))
    mean, error = float(log_r.mean()), Z95 * float(log_r.std()) / math.sqrt(len(log_r))

    def law(s: float) -> float:
        grown = bins[0][:, None] + (1 - bins[0][:, None]) * np.exp(2 * s * eta - 2 * s**2)
        return 0.5 * float(np.average(np.log(grown) @ weight, weights=bins[1])) - 0.5 * (
            np.euler_gamma + math.log(2)
        )

    def solve(value: float) -> float:
        if value >= law(0.0):
            return 0.0
        return float(optimize.brentq(lambda s: law(s) - value, 0.0, 3.0)) if value > law(3.0) else 3.0

    s, low, high = solve(mean), solve(mean + error), solve(mean - error)
    return (s, (low, high)) if low > 0 else None

"""The size, the colour and the telegraph cells of read noise, fitted to series of reads."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import integrate, optimize, stats

from neurosim.device.noise import MODES_PER_DECADE
from neurosim.errors import MeasurementError
from neurosim.fit.laws import Fit, quantity

Array = npt.NDArray[np.float64]

GROUPS = 10  # of cells, each left out once: the spread of the results is the uncertainty
MIN_WIDTH = 1.2  # of a range of ln tau: more than half a decade, so that it has two modes


@dataclass(frozen=True, eq=False)
class Differences:
    """Moments of the differences of two reads of a cell, and what correlation times would do to them.

    Attributes:
        second: Half of the mean square (n_lags, n_cells).
        fourth: Mean fourth power (n_lags, n_cells).
        log_tau: Grid of ln tau.
        area: Integral of <exp(-lag/tau)> over ln tau from the start of the grid on (n_lags, n_tau).
        gap: Shortest lag [s].
        span: Longest lag [s].
    """

    second: Array
    fourth: Array
    log_tau: Array
    area: Array
    gap: float
    span: float

    @classmethod
    def of(cls, t: Array, g: Array) -> "Differences":
        """Of reads at times ``t`` (n_reads,) of conductances ``g`` (n_reads, n_cells)."""
        steps = np.unique(np.geomspace(1, len(t) - 1, 40).astype(int))
        y = g / g.mean(axis=0)
        second, fourth = np.empty((2, len(steps), g.shape[1]))
        for row, step in enumerate(steps):
            square = (y[step:] - y[:-step]) ** 2
            second[row], fourth[row] = square.mean(axis=0) / 2, (square**2).mean(axis=0)
        gap, span = float(np.diff(t).min()), float(t[-1] - t[0])
        log_tau = np.linspace(math.log(gap / 10), math.log(10 * span), 200)
        lags = [t[step:] - t[:-step] for step in steps]
        decay = [[np.exp(-lag / tau).mean() for tau in np.exp(log_tau)] for lag in lags]
        area = integrate.cumulative_trapezoid(decay, log_tau, initial=0)
        return cls(second, fourth, log_tau, area, gap, span)

    def chance(self, moment: Array) -> Array:
        """Standard error of the mean over cells of a moment (n_lags, n_cells)."""
        error = np.maximum(moment.std(axis=1), 1e-9 * moment.mean()) / math.sqrt(moment.shape[1])
        return np.asarray(error, np.float64)

    def moved(self, place: Array, p: float) -> Array:
        """1 - rho(lag) of all cells, a share ``p`` of them two-state, for ln tau in a range ``place``.

        A two-state cell's own time lies inside of the range that the modes of the others stand for.
        """

        def even(ends: Array) -> Array:
            at_ends = [np.diff(np.interp(ends, self.log_tau, row))[0] for row in self.area]
            return np.asarray(1 - np.array(at_ends) / (ends[1] - ends[0]), np.float64)

        two_state = even(place + inside(place) * np.array([1, -1]))
        return (1 - p) * even(place) + p * two_state

    def solve(self, cells: npt.NDArray[np.bool_], start: Array | None = None) -> Array:
        """White variance, slow variance, ln of both ends of the correlation times, p, c of `fit_reads`."""
        second, fourth = self.second[:, cells].mean(axis=1), self.fourth[:, cells].mean(axis=1)
        sure, ones = 1 / self.chance(self.second), np.ones(len(second))
        p = c = 0.0

        def parts(place: Array) -> tuple[Array, float]:
            """The best variances (white, slow), and how badly they do."""
            design = np.stack([ones, self.moved(place, p)], axis=1)
            return optimize.nnls(design * sure[:, None], second * sure)  # type: ignore[no-any-return]

        def misfit(place: Array) -> float:
            return parts(place)[1] if place[1] > place[0] + MIN_WIDTH else math.inf

        shortest = math.log(self.gap / 5), math.log(self.span / 3)
        longest = math.log(3 * self.gap), math.log(3 * self.span)
        if start is None:
            grid = [np.array([a, b]) for a in np.linspace(*shortest, 12) for b in np.linspace(*longest, 12)]
            start = min(grid, key=misfit)
        place = start
        for _ in range(3):  # two-state cells change the second moment a little
            place = optimize.minimize(misfit, place, method="Nelder-Mead", bounds=[shortest, longest]).x
            white, slow = parts(place)[0]
            normal = 12 * (white + slow * self.moved(place, 0.0)) ** 2
            two = slow * self.moved(place, 1.0)
            ratio = (12 * white**2 + 24 * white * two + 8 * slow * two) / normal
            trust = normal / self.chance(self.fourth)
            design = np.stack([ratio - 1, ones], axis=1) * trust[:, None]
            p, c = optimize.lsq_linear(design, (fourth / normal - 1) * trust, bounds=(0, [1, np.inf])).x
        return np.array([white, slow, *place, p, c])


def inside(place: Array) -> float:
    """How far inside a range of ln tau the outermost modes lie that stand for it: half of their spacing."""
    width = float(place[1] - place[0])
    return 0.5 * width / math.ceil(MODES_PER_DECADE * width / math.log(10))


def fit_reads(t: Array, g: Array, formed_above: float = 0.0) -> Fit:
    """Size of the read noise, its white part, the correlation times of the rest, telegraph cells.

    From the variogram, which is the autocovariance free of the error of each cell's mean,

        D(lag) = <(y(t + lag) - y(t))^2>/2 = W + S (1 - rho(lag)),  y = G/<G> - 1,

    W being the variance of the white part, S that of the slow one and rho the mean of exp(-lag/tau) over a
    range of ln tau; and from the fourth moment of the same differences, 12 D^2 where noise is normal,

        <(...)^4> = (1 - p + c) 12 D^2 + p (12 W^2 + 24 W S m + 8 S^2 m),  m = 1 - rho,

    for a share p of two-state cells; c >= 0 is the squared relative spread of the noise power between cells.

    Args:
        t: Times of the reads [s], rising, (n_reads,).
        g: Conductances [S], (n_reads, n_cells); a cell with a missing read (NaN) is left out.
        formed_above: Conductance [S] above which a cell counts as formed.

    Raises:
        MeasurementError: If there are fewer than 10 reads of 10 formed cells, or they show no noise.

    Assumes: stationary over the record; noise slower than the record is not seen.
    Source: second and fourth moments of Ornstein-Uhlenbeck and two-state processes, from their definitions.
    """
    g = g[:, (g > formed_above).all(axis=0)]
    n_reads, n_cells = g.shape
    if n_reads < GROUPS or n_cells < GROUPS:
        raise MeasurementError(
            f"{n_reads} reads of {n_cells} formed cells without a gap are too few to fit read noise to; "
            f"measure {GROUPS} of {GROUPS} or more"
        )
    reads = Differences.of(t, g)
    if not reads.second.any():
        raise MeasurementError("all reads of a cell are the same: no noise to fit; give reads as they were")
    everybody = reads.solve(np.ones(n_cells, bool))
    group = np.arange(n_cells) % GROUPS
    others = np.array([reads.solve(group != k, everybody[2:4]) for k in range(GROUPS)])

    far = inside(everybody[2:4])
    seen = f"variogram of {n_cells} cells x {n_reads} reads, {reads.gap:.3g} .. {reads.span:.3g} s"

    def estimate(
        f: Callable[[Array], Array], low: float = 0.0, high: float = math.inf
    ) -> tuple[float, tuple[float, float]]:
        """A function of the solution, with its jackknife interval inside of low .. high."""
        value, left_out = float(f(everybody)), f(others.T)
        error = math.sqrt((GROUPS - 1) * left_out.var()) * stats.t.ppf(0.975, GROUPS - 1)
        return value, (max(low, value - error), min(high, value + error))

    def exp(log: tuple[float, tuple[float, float]]) -> tuple[float, tuple[float, float]]:
        return math.exp(log[0]), (math.exp(log[1][0]), math.exp(log[1][1]))

    sigma, sigma_at = estimate(lambda s: np.sqrt(s[0] + s[1]))
    white, white_at = estimate(lambda s: s[0] / (s[0] + s[1]), high=1.0)
    (tau_min, min_at), (tau_max, max_at) = (
        exp(estimate(f, low=-math.inf)) for f in (lambda s: s[2] + far, lambda s: s[3] - far)
    )
    p, p_at = estimate(lambda s: s[4], high=1.0)
    noise = {
        "sigma_read": quantity(sigma, "1", seen, sigma_at),
        "white_fraction": quantity(white, "1", seen, white_at),
        "tau_min": quantity(tau_min, "s", seen, min_at),
        "tau_max": quantity(tau_max, "s", seen, max_at),
        "p_telegraph": quantity(p, "1", f"fourth moment beside the {seen}", p_at),
    }
    variogram = reads.second.mean(axis=1)
    law = everybody[0] + everybody[1] * reads.moved(everybody[2:4], p)
    off = np.sqrt(np.mean((law / variogram - 1) ** 2))
    chance = np.sqrt(np.mean((reads.chance(reads.second) / variogram) ** 2))
    goodness = {
        "variogram": f"rms {off:.2%} from the law over {len(law)} lags, {chance:.2%} expected by chance",
        "noise power": f"differs between cells by {math.sqrt(everybody[5]):.0%} (relative deviation)",
    }
    if max_at[1] > reads.span:
        goodness["slowest noise"] = f"not resolved: a record of {reads.span:.3g} s is too short for tau_max"
    return Fit({"read_noise": noise}, goodness)

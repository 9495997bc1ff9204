"""Differences between models that read the same recordings."""

import numpy as np
import numpy.typing as npt

from neurosim.study.compare.results import Paired


def paired(other: str, a: npt.ArrayLike, b: npt.ArrayLike) -> Paired:
    """Accuracy of one model minus that of another, with its 95 % interval and two-sided p.

    d = mean(a - b),   s^2 = s_recordings^2 / n + s_seeds^2 / k

    where s_recordings is the standard deviation over recordings of the mean difference over seeds, s_seeds
    that over seeds of the mean difference over recordings; d / s is compared with Student's t at the degrees
    of freedom of Welch and Satterthwaite. One seed leaves the first term alone, and the result speaks for
    these two trained models only. Conservative: the seeds' scatter contains a part of the recordings' one.

    Args:
        other: Name of the second model.
        a: Whether the first one told each recording right, (k seeds, n recordings).
        b: The same of the second one, seed by seed.

    Returns:
        ``p_corrected`` is ``p``; see `corrected`.

    Source: F. E. Satterthwaite, Biometrics Bull. 2 (1946) 110, doi:10.2307/3002019.
    """
    from scipy import stats

    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    mean = float(difference.mean())
    parts = [difference.mean(axis) for axis in (0, 1)]
    terms = [(np.var(part, ddof=1) / len(part), len(part) - 1) for part in parts if len(part) > 1]
    variance = sum(term for term, _ in terms)
    if not variance:  # all recordings and seeds alike: nothing to judge the difference by
        return Paired(other, mean, (mean, mean), 1.0, 1.0)
    freedom = variance**2 / sum(term**2 / n for term, n in terms)
    half = float(stats.t.ppf(0.975, freedom) * np.sqrt(variance))
    p = float(2 * stats.t.sf(abs(mean) / np.sqrt(variance), freedom))
    return Paired(other, mean, (mean - half, mean + half), p, p)


def corrected(p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """P values of several tests after Holm's correction: the share of all families with a false alarm.

    Source: S. Holm, Scand. J. Stat. 6 (1979) 65, https://www.jstor.org/stable/4615733.
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    found = np.empty_like(p)
    found[order] = np.minimum(steps, 1)
    return found

"""Populations of cells: the same bits wherever and by whom they are drawn, and the laws to five sigma."""

import math

import naive
import numba
import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_array_equal
from scipy import stats

from neurosim import rng
from neurosim.device import sample_conductances
from neurosim.device.sampling import BLOCK, CELLS, READS, exp2
from neurosim.errors import OutOfRangeError

Float = npt.NDArray[np.floating]
G = 30e-6
S = math.sqrt(math.log1p(0.15**2))  # standard deviation of ln G at sigma_d2d = 0.15


def sample(
    n: int | tuple[int, ...] = 2**20, sigma_d2d: float = 0.15, sigma_read: float = 0.02, **how
) -> Float:
    return sample_conductances(n, G, sigma_d2d, sigma_read, **{"seed": 3, "name": "x"} | how)


def log_z(g: Float) -> Float:
    """The standard normal numbers behind lognormal conductances of spread 0.15."""
    return (np.log(g.astype(np.float64) / G) + S**2 / 2) / S


def noise(read: int, **how) -> Float:
    """The standard normal numbers behind the noise of a read."""
    return (sample(read=read, **how) / sample(sigma_read=0.0, **how).astype(np.float64) - 1) / 0.02


# ---- bit for bit -----------------------------------------------------------------------------------


@pytest.mark.parametrize("distribution", ["normal", "lognormal"])
@pytest.mark.parametrize(
    ("first_cell", "read", "n"), [(0, 0, 50), (BLOCK - 20, 7, 60), (CELLS - 30, READS - 1, 30)]
)
def test_the_kernel_is_its_naive_twin(distribution: str, first_cell: int, read: int, n: int) -> None:
    g = sample(n, 0.5, 0.1, distribution=distribution, first_cell=first_cell, read=read)
    keys = rng.key(3, "x/d2d"), rng.key(3, "x/read")
    lognormal = distribution == "lognormal"
    law = G, math.sqrt(math.log1p(0.25)) if lognormal else 0.5, 0.1
    expected = naive.conductances(keys, law, lognormal, first_cell, read, n, BLOCK)
    np.testing.assert_allclose(g, expected, rtol=2e-6)


def test_any_part_of_a_population_can_be_drawn_alone() -> None:
    whole = sample(3 * BLOCK + 5, read=4)
    assert whole.dtype == np.float32
    for first, last in [(0, 1), (1, BLOCK), (BLOCK - 1, 2 * BLOCK + 1), (3 * BLOCK, 3 * BLOCK + 5), (9, 9)]:
        assert_array_equal(sample(last - first, first_cell=first, read=4), whole[first:last])
    assert_array_equal(sample((3, 70), read=4).ravel(), whole[:210])


def test_the_number_of_threads_does_not_matter() -> None:
    before, results = numba.get_num_threads(), []
    try:
        for threads in {1, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(threads)
            results.append(sample(20 * BLOCK + 1))
    finally:
        numba.set_num_threads(before)
    assert all(np.array_equal(results[0], other) for other in results)


def test_a_cell_keeps_its_conductance_and_every_read_has_new_noise() -> None:
    cells = sample(1000, sigma_read=0.0)
    assert_array_equal(sample(1000, sigma_read=0.0, read=9), cells)
    reads = np.stack([sample(1000, read=r) for r in range(100)]).astype(np.float64) / cells
    assert np.abs(reads.mean(axis=0) - 1).max() < 5 * 0.02 / np.sqrt(100)
    assert (np.diff(reads, axis=0) != 0).mean() > 0.99
    assert not np.array_equal(sample(1000, seed=4), sample(1000))
    assert not np.array_equal(sample(1000, name="y"), sample(1000))


# ---- against the law -------------------------------------------------------------------------------


def test_exp2_is_as_fine_as_float32() -> None:
    x = np.linspace(-120, 120, 20_001).astype(np.float32)
    ours = np.array([exp2(value) for value in x], np.float64)
    np.testing.assert_allclose(ours, np.exp2(x.astype(np.float64)), rtol=3e-7)


def test_quantiles_of_a_wide_lognormal() -> None:
    """Spread 1.5: what exp does to four decades."""
    s, g = math.sqrt(math.log1p(1.5**2)), sample(2**22, 1.5, 0.0)
    p = np.array([1e-4, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999])
    z = stats.norm.ppf(p)
    error = np.sqrt(p * (1 - p) / g.size) / stats.norm.pdf(z)  # of a quantile of z
    assert (np.abs((np.log(np.quantile(g, p) / G) + s**2 / 2) / s - z) < 5 * error).all()


@pytest.mark.parametrize("distribution", ["normal", "lognormal"])
def test_moments(distribution: str) -> None:
    """Mean g_mean, relative variance (1 + sigma_d2d^2)(1 + sigma_read^2) - 1, for both laws."""
    g = sample(2**23, 0.15, 0.1, distribution=distribution).astype(np.float64) / G
    variance = (1 + 0.15**2) * (1 + 0.1**2) - 1
    assert abs(g.mean() - 1) < 5 * np.sqrt(variance / g.size)
    kurtosis = stats.kurtosis(g)
    assert g.var() == pytest.approx(variance, rel=5 * np.sqrt((2 + kurtosis) / g.size))


def test_kolmogorov_and_smirnov() -> None:
    assert stats.kstest(log_z(sample(2**19, sigma_read=0.0)), "norm").pvalue > 1e-3
    assert stats.kstest(noise(5), "norm").pvalue > 1e-3
    normal = sample(2**19, 0.1, 0.0, distribution="normal").astype(np.float64) / G
    assert stats.kstest((normal - 1) / 0.1, "norm").pvalue > 1e-3


@pytest.mark.parametrize("effect", ["spread", "read noise"])
def test_tails_to_five_sigma(effect: str) -> None:
    """Both tails of 2^26 cells against the binomial law: 19 are expected beyond five sigma on either side."""
    edges, chunk, n_chunks = np.arange(1, 6), 2**22, 16
    if effect == "spread":
        law, above_at, below_at = (0.15, 0.0), *(G * np.exp(sign * S * edges - S**2 / 2) for sign in (1, -1))
    else:
        law, above_at, below_at = (0.0, 0.02), *(G * (1 + sign * 0.02 * edges) for sign in (1, -1))
    above, below = np.zeros(5, int), np.zeros(5, int)
    for i in range(n_chunks):
        g = sample(chunk, *law, first_cell=i * chunk)
        above += [np.count_nonzero(g > np.float32(edge)) for edge in above_at]
        below += [np.count_nonzero(g < np.float32(edge)) for edge in below_at]
    p, n = stats.norm.sf(edges), chunk * n_chunks
    assert n * p[-1] > 15
    for tail in (above, below):
        assert stats.binom.sf(tail - 1, n, p).min() > 1e-6
        assert stats.binom.cdf(tail, n, p).min() > 1e-6


# ---- against each other ----------------------------------------------------------------------------


def assert_uncorrelated(a: Float, b: Float) -> None:
    """Neither the numbers nor their sizes."""
    for f in (np.asarray, np.abs, np.square):
        assert abs(np.corrcoef(f(a), f(b))[0, 1]) < 5 / np.sqrt(a.size)


def test_spread_and_reads_are_independent() -> None:
    spread, reads = log_z(sample(sigma_read=0.0)), [noise(r) for r in (0, 1, 2, 1000)]
    for i, read in enumerate(reads):
        assert_uncorrelated(spread, read)
        for other in reads[:i]:
            assert_uncorrelated(other, read)


@pytest.mark.parametrize("lag", [1, 2, 16, BLOCK // 2, BLOCK, 2 * BLOCK])
def test_neighbouring_cells_are_independent(lag: int) -> None:
    for z in (log_z(sample(sigma_read=0.0)), noise(1)):
        assert_uncorrelated(z[lag:], z[:-lag])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sigma_d2d": -0.1}, r"sigma_d2d = -0.1 is outside 0 .. 10; choose"),
        ({"sigma_read": 11.0}, r"sigma_read = 11 is outside 0 .. 10"),
        ({"sigma_read": math.nan}, r"sigma_read = nan"),
        ({"read": READS}, r"read = 8.38861e\+06 is outside"),
        ({"first_cell": -1}, r"first_cell = -1 is outside"),
        ({"first_cell": CELLS}, r"first_cell = 2.2518e\+15 is outside"),
    ],
)
def test_what_is_out_of_range_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        sample(10, **wrong)

"""Random numbers by counter: against their float64 twin, against the normal law, and against each other."""

import itertools
from typing import Any

import naive
import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from neurosim import counter

Float = npt.NDArray[np.float32]
KEYS = (0, 1, 2**62 + 12345, 2**63 - 1)


def block(key: int, count: int, n: int) -> Float:
    out = np.full(n, np.nan, np.float32)
    counter.fill_normals(key, count, out)
    return out


def blocks(key: int, n_blocks: int, n: int) -> Float:
    return np.stack([block(key, count, n) for count in range(n_blocks)])


# ---- against the twin ------------------------------------------------------------------------------


def test_mix_is_splitmix64() -> None:
    """The generator's published first numbers from the state 1234567."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [int(counter.mix(1234567, count)) for count in range(4)] == known


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("count", [0, 1, 2**31, 2**40 + 3, 2**62])
def test_mix_equals_its_twin(key: int, count: int) -> None:
    assert int(counter.mix(key, count)) == naive.mix(key, count)


def test_every_bit_of_key_and_counter_flips_half_of_the_bits() -> None:
    random = np.random.default_rng(0)
    pairs = random.integers(0, 2**62, (100, 2)).tolist()
    for bit in range(62):
        flipped = [
            (naive.mix(key, count) ^ int(counter.mix(*other))).bit_count()
            for key, count in pairs
            for other in ((key ^ 1 << bit, count), (key, count ^ 1 << bit))
        ]
        assert abs(np.mean(flipped) - 32) < 5 * 4 / np.sqrt(len(flipped))


@pytest.mark.parametrize("n", [*range(20), 31, 32, 33, 63, 64, 65, 127, 1000, 1001])
def test_normals_equal_their_twin_for_every_length(n: int) -> None:
    for key, count in itertools.product(KEYS, (0, 7, 2**40)):
        assert_allclose(block(key, count, n), naive.normals(key, count, n), rtol=3e-6, atol=1e-6)


def test_rounding_is_that_of_float32_everywhere() -> None:
    """Worst case over many numbers, tails included."""
    drawn, exact = block(3, 3, 100_000), naive.normals(3, 3, 100_000)
    assert np.abs(drawn - exact).max() < 2e-6


@pytest.mark.parametrize("key", KEYS)
def test_uniform_and_normal_are_made_of_mix(key: int) -> None:
    for count in (0, 1, 2**40):
        u, v = ((naive.mix(key, c) // 2**11 + 0.5) / 2**53 for c in (2 * count, 2 * count + 1))
        assert counter.uniform(key, 2 * count) == u
        assert counter.normal(key, count) == pytest.approx(np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v))


# ---- bit for bit -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 17, 1000])
def test_same_bits_wherever_they_are_written(n: int) -> None:
    first = block(5, 9, n)
    assert_array_equal(block(5, 9, n), first)
    inside = np.zeros(n + 3, np.float32)
    counter.fill_normals(5, 9, inside[3:])  # not on a vector's boundary
    assert_array_equal(inside[3:], first)
    assert_array_equal(inside[:3], 0)


def test_order_of_drawing_does_not_matter() -> None:
    forward = {count: block(5, count, 33) for count in range(50)}
    for count in reversed(range(50)):
        assert_array_equal(block(5, count, 33), forward[count])


# ---- against the law -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many() -> Float:
    """2^24 numbers of one key, 256 blocks."""
    return blocks(11, 256, 2**16)


def test_moments(many: Float) -> None:
    z = many[:64].ravel().astype(np.float64)
    for power, (moment, variance) in {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96), 6: (15, 10170)}.items():
        assert abs((z**power).mean() - moment) < 5 * np.sqrt(variance / z.size), f"moment {power}"


def test_tails_to_five_sigma() -> None:
    """Both tails, from 2^26 numbers: 19 are expected beyond five sigma on either side."""
    edges = np.arange(1, 6)
    above, below, size = np.zeros(5), np.zeros(5), 0
    for count in range(64):
        z = block(13, count, 2**20)
        above += [(z > edge).sum() for edge in edges]
        below += [(z < -edge).sum() for edge in edges]
        size += z.size
    p = stats.norm.sf(edges)
    assert size * p[-1] > 15
    for tail in (above, below):
        assert (np.abs(tail - size * p) < 5 * np.sqrt(size * p)).all()


def test_kolmogorov_and_smirnov(many: Float) -> None:
    assert stats.kstest(many[:8].ravel(), "norm").pvalue > 1e-3


def test_small_blocks_are_normal_at_every_place() -> None:
    """A neuron always stands at the same place of its block, over all steps."""
    z = blocks(17, 40_000, 5).astype(np.float64)
    assert (np.abs(z.mean(axis=0)) < 5 / np.sqrt(len(z))).all()
    assert (np.abs(z.var(axis=0) - 1) < 5 * np.sqrt(2 / len(z))).all()
    assert min(stats.kstest(z[:, place], "norm").pvalue for place in range(5)) > 1e-4
    for i, j in itertools.combinations(range(5), 2):
        assert_uncorrelated(z[:, i], z[:, j])


def test_uniform() -> None:
    u = np.array([counter.uniform(19, count) for count in range(100_000)])
    assert u.min() > 0
    assert u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert_uncorrelated(u[1:] - 0.5, u[:-1] - 0.5)


# ---- against each other ----------------------------------------------------------------------------


def assert_uncorrelated(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> None:
    """Neither the numbers nor their sizes."""
    for f in (np.asarray, np.abs, np.square):
        r = np.corrcoef(f(a.ravel()), f(b.ravel()))[0, 1]
        assert abs(r) < 5 / np.sqrt(a.size)


def test_cosine_and_sine_of_a_pair(many: Float) -> None:
    assert_uncorrelated(many[:64, : 2**15], many[:64, 2**15 :])


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 16, 64, 1000])
def test_lags(many: Float, lag: int) -> None:
    assert_uncorrelated(many[:32, lag:], many[:32, :-lag])


@pytest.mark.parametrize("lag", [1, 2, 50, 192])
def test_blocks_of_one_key(many: Float, lag: int) -> None:
    assert_uncorrelated(many[lag : lag + 64], many[:64])


@pytest.mark.parametrize("other", [12, 11 + 2**32, 11 + 2**61])
def test_keys(many: Float, other: int) -> None:
    assert_uncorrelated(many[:32], blocks(other, 32, 2**16))

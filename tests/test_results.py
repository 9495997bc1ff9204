"""Accuracy intervals and the content of result.json."""

import json

import numpy as np
import pytest
from fake_result import make_result
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from neurosim.results import accuracy_interval


@pytest.mark.parametrize("n_chips", [2, 3, 5])
@pytest.mark.parametrize(
    ("ease", "chip_spread", "recording_spread"), [(3.0, 0.0, 1.0), (3.0, 0.3, 1.5), (6.0, 0.2, 2.5)]
)
def test_interval_covers_chips_and_recordings(n_chips, ease, chip_spread, recording_spread):
    """The interval holds the accuracy over all chips and all recordings in at least 95 % of 300 trials."""
    rng = np.random.default_rng(3)
    n_test, trials = 150, 300
    truth = norm.cdf(ease / np.hypot(1, np.hypot(chip_spread, recording_spread)))
    covered = 0
    for _ in range(trials):
        margin = (
            ease
            + chip_spread * rng.standard_normal((n_chips, 1))
            + recording_spread * rng.standard_normal(n_test)
            + rng.standard_normal((n_chips, n_test))
        )
        low, high = accuracy_interval((margin > 0).sum(1), n_test).ci95
        covered += low <= truth <= high
    assert covered / trials >= 0.95


def test_one_chip_is_wilson():
    """81 of 263, the example of R. G. Newcombe, Stat. Med. 17 (1998) 857, method 3: 0.2553 to 0.3662."""
    interval = accuracy_interval([81], 263)
    assert interval.mean == pytest.approx(81 / 263)
    assert interval.ci95 == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_more_chips_do_not_replace_recordings():
    few = accuracy_interval([90] * 2, 100).ci95
    many = accuracy_interval([90] * 50, 100).ci95
    assert many == pytest.approx(few)


def test_scatter_of_chips_widens():
    low, high = accuracy_interval([80, 90, 100], 100).ci95
    assert low < 0.9 - 4.30 * 0.10 / np.sqrt(3)  # Student's t of two degrees of freedom alone
    assert high == 1.0


def test_perfect_score_keeps_a_width():
    low, high = accuracy_interval([50, 50, 50], 50).ci95
    assert 0.9 < low < 0.95
    assert high == 1.0


@given(st.integers(1, 50).flatmap(lambda n: st.tuples(st.lists(st.integers(0, n), min_size=1), st.just(n))))
def test_interval_is_ordered(case):
    correct, n_test = case
    interval = accuracy_interval(correct, n_test)
    low, high = interval.ci95
    assert 0 <= low <= interval.mean <= high <= 1
    assert interval.per_chip == tuple(c / n_test for c in correct)


@pytest.mark.parametrize(("correct", "n_test"), [([], 10), ([0], 0)])
def test_nothing_to_count(correct, n_test):
    with pytest.raises(ValueError, match="at least one chip and one test recording"):
        accuracy_interval(correct, n_test)


@pytest.mark.parametrize("correct", [[11], [3, -1]])
def test_impossible_count(correct):
    with pytest.raises(ValueError, match=r"must lie in 0\.\.10"):
        accuracy_interval(correct, 10)


def test_json_keeps_the_numbers():
    result = make_result()
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert content["schema"] == "neurosim.result/1"
    assert content["accuracy"]["per_chip"] == [chip.n_correct / 600 for chip in result.chips]
    assert np.trace(content["confusion"]) == sum(chip.n_correct for chip in result.chips)
    assert content["experiment"] == result.experiment

"""Ranges of an experiment's numbers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.config import validate
from neurosim.errors import ExperimentError
from neurosim.study.ranges import Range, number_type, value_types


def make(**keys: Any) -> Range:
    return validate(Range, keys, where="study", error=ExperimentError)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"low": 2, "high": 1}, r"low \(=2\) must be below high \(=1\)"),
        ({"low": 1.0, "high": 1.0}, "swap or spread them"),
        ({"low": 0.0, "high": 1.0, "scale": "log"}, "needs low above 0, got 0; raise low, or use 'linear'"),
        ({"low": 0.0, "high": 1.0, "scale": "cubic"}, "'linear' or 'log'"),
    ],
)
def test_a_range_that_makes_no_sense(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        make(**keys)


def test_scales() -> None:
    assert make(low=2.0, high=4.0).from_unit([0, 0.25, 1], float) == [2.0, 2.5, 4.0]
    decades = make(low=1e-2, high=1e2, scale="log").from_unit([0, 0.25, 0.5, 1], float)
    assert decades == pytest.approx([1e-2, 0.1, 1.0, 1e2])


def test_whole_numbers_are_equally_likely() -> None:
    values = make(low=4, high=7).from_unit((np.arange(4000) + 0.5) / 4000, int)
    assert np.unique(values, return_counts=True)[1].tolist() == [1000] * 4
    assert {type(value) for value in values} == {int}


@given(st.floats(0, 1), st.floats(1e-9, 1e9), st.floats(1.001, 1e6), st.sampled_from(["linear", "log"]))
def test_values_stay_inside(u: float, low: float, factor: float, scale: str) -> None:
    (value,) = make(low=low, high=low * factor, scale=scale).from_unit([u], float)
    assert low <= value <= low * factor


def test_types_of_keys() -> None:
    assert value_types("array.adc_bits") == {int, type(None)}
    assert value_types("array.adc_full_scale") == {float, str, type(None)}
    assert value_types("reservoir.homeostasis.rate_target") == {float}
    # whole ends do not make a float whole: 0 to 1 of a share is not 0 or 1
    assert number_type("device.p_stuck", make(low=0, high=1)) is float
    assert number_type("array.adc_bits", make(low=4, high=8)) is int


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("array.adc_bit", "array.adc_bit: experiments have no such key; did you mean 'adc_bits'"),
        ("devise.card", "did you mean 'device'"),
        ("device.card.name", "'device.card' is a value and has no keys"),
        ("device.card", "takes no numbers, so it has no range; give a list of its values"),
        ("reservoir.read_noise", "takes no numbers"),
    ],
)
def test_wrong_keys(key: str, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        number_type(key, make(low=1, high=2))


def test_a_whole_number_has_a_whole_range() -> None:
    with pytest.raises(ExperimentError, match="takes whole numbers only"):
        number_type("array.adc_bits", make(low=4, high=8.5))

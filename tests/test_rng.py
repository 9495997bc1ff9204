"""One seed, named streams."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from neurosim import rng


def test_a_stream_depends_on_seed_and_name_only() -> None:
    first = rng.stream(3, "device/forming").random(5)
    rng.stream(3, "device/read").random(5)
    assert_array_equal(rng.stream(3, "device/forming").random(5), first)


@pytest.mark.parametrize(
    "other", [(4, "device/forming"), (3, "device/forming2"), (3, ""), (2**64, "device/forming")]
)
def test_other_seeds_and_names_give_other_numbers(other: tuple[int, str]) -> None:
    ours, theirs = (rng.stream(*of).standard_normal(50_000) for of in ((3, "device/forming"), other))
    assert abs(np.corrcoef(ours, theirs)[0, 1]) < 5 / np.sqrt(50_000)
    assert rng.key(3, "device/forming") != rng.key(*other)


def test_keys_are_int64_and_use_all_their_bits() -> None:
    keys = [rng.key(seed, "chip0/read_noise") for seed in range(400)]
    assert len(set(keys)) == 400
    assert all(0 <= key < 2**63 for key in keys)
    ones = [sum(key >> bit & 1 for key in keys) for bit in range(63)]
    assert max(abs(n - 200) for n in ones) < 5 * 10


def test_negative_seed() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        rng.stream(-1, "x")

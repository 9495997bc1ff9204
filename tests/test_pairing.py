"""Pairs across two senses: same class, seen and unseen apart, every recording used equally often."""

from typing import Any

import numpy as np
import pytest

from neurosim.errors import ExperimentError
from neurosim.events.pairing import Pairs, pair

# classes in another order on either side, and one that only one side has
LEFT_CLASSES, RIGHT_CLASSES = ("a", "b", "c", "d"), ("d", "z", "c", "b", "a")
LEFT = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3, 3])
RIGHT = np.array([4, 4, 3, 3, 3, 2, 0, 0, 0, 1])


def make(*, left: Any = LEFT, right: Any = RIGHT, **change: Any) -> Pairs:
    given: dict[str, Any] = {
        "left_classes": LEFT_CLASSES,
        "right_classes": RIGHT_CLASSES,
        "seen": ["b", "a"],
        "unseen": ["d"],
        "part": "train",
        "seed": 0,
    }
    return pair(left, right, **(given | change))


def test_both_of_a_pair_are_of_its_class() -> None:
    pairs = make(part="test", seen=["b", "c"], unseen=["a", "d"])
    for left, right, label in zip(pairs.left, pairs.right, pairs.labels, strict=True):
        assert LEFT_CLASSES[LEFT[left]] == RIGHT_CLASSES[RIGHT[right]] == pairs.classes[label]
    assert pairs.classes == ("b", "c", "a", "d")
    assert np.bincount(pairs.labels).tolist() == [2, 1, 2, 2]  # as many as the smaller sense has
    assert pairs.seen.tolist() == [True] * 3 + [False] * 4


def test_unseen_classes_are_never_in_training() -> None:
    pairs = make()
    assert pairs.classes == ("b", "a")
    assert pairs.seen.all()
    assert not np.isin(LEFT[pairs.left], [2, 3]).any()
    assert not np.isin(RIGHT[pairs.right], [0, 1, 2]).any()


def test_a_recording_stands_in_one_pair_unless_more_are_asked_for() -> None:
    pairs = make(part="test")
    assert len(set(pairs.left.tolist())) == len(set(pairs.right.tolist())) == len(pairs)
    many = make(per_class=9, seen=["a"], unseen=[])
    assert np.bincount(many.left, minlength=3)[:3].tolist() == [3, 3, 3]
    assert sorted(np.bincount(many.right)[:2].tolist()) == [4, 5]


def test_pairs_depend_on_seed_and_part_but_not_on_other_classes() -> None:
    def of(pairs: Pairs, class_: str) -> list[tuple[int, int]]:
        mine = pairs.labels == pairs.classes.index(class_)
        return list(zip(pairs.left[mine].tolist(), pairs.right[mine].tolist(), strict=True))

    some, other = make(part="test"), make(part="test", seen=["d", "c"], unseen=["b"])
    assert of(some, "b") == of(other, "b")
    assert of(some, "d") == of(other, "d")
    assert len({tuple(of(make(seed=s), "a")) for s in range(20)}) > 2
    assert any(of(make(seed=s), "a") != of(make(seed=s, part="test"), "a") for s in range(5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seen": []}, "seen: no class"),
        ({"seen": ["a", "d"]}, "class 'd' stands twice"),
        ({"seen": ["z"]}, "class 'z' is unknown to the left sense; known: a, b, c, d"),
        ({"unseen": ["aa"]}, "class 'aa' is unknown to the left sense"),
        ({"left": LEFT[:3]}, "class 'b': the left sense has no recording of it"),
        ({"per_class": 0}, r"per_class \(=0\) must be at least 1"),
    ],
)
def test_wrong_wishes(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        make(**change)

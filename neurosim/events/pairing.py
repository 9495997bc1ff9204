"""Recordings of two senses, paired by their class: what a shared embedding is trained and tested on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurosim import rng
from neurosim.errors import ExperimentError, did_you_mean


@dataclass(frozen=True, eq=False)
class Pairs:
    """Recordings of one class each, one of either sense.

    Attributes:
        left: int64 (n,), index of the first sense's recording.
        right: int64 (n,), index of the second sense's.
        labels: int64 (n,), class of both, an index into ``classes``.
        classes: The seen classes and then, where they take part, the unseen ones.
        n_seen: How many of them are seen.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    n_seen: int

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.labels)

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Which pairs are of a seen class, bool (n,)."""
        return self.labels < self.n_seen


def pair(
    left: npt.ArrayLike,
    right: npt.ArrayLike,
    *,
    left_classes: Sequence[str],
    right_classes: Sequence[str],
    seen: Sequence[str],
    unseen: Sequence[str],
    part: Literal["train", "test"],
    seed: int,
    per_class: int | None = None,
    name: str = "pairing",
) -> Pairs:
    """Pair recordings of two senses at random within each class.

    Within a class both senses are shuffled and put side by side; where more pairs are asked for than a sense
    has recordings, it is shuffled again, so that all of them are used equally often. A class's pairs depend
    neither on the other classes nor on which of them are seen.

    Args:
        left: int (n,), labels of the first sense's recordings, indices into ``left_classes``.
        right: int (m,), labels of the second sense's, indices into ``right_classes``.
        left_classes, right_classes: Class names; a class is the same where its name is.
        seen: Names of the classes that training may show.
        unseen: Names of those that it may not.
        part: ``train`` pairs the seen classes only, ``test`` both.
        seed: Seed of the experiment.
        per_class: Pairs of every class; None is as many as the sense with fewer recordings of it has.
        name: Name of the random stream.

    Returns:
        The pairs, class by class in the order of ``seen`` and ``unseen``.

    Raises:
        ExperimentError: If a class is unknown to a sense, stands twice, has no recording, or ``per_class`` is
            less than 1.
    """
    names = [*seen, *unseen]
    if not seen:
        raise ExperimentError("seen: no class; name at least one")
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ExperimentError(f"class '{twice[0]}' stands twice among seen and unseen; name it once")
    if per_class is not None and per_class < 1:
        raise ExperimentError(f"per_class (={per_class}) must be at least 1; leave it out for all")
    sides = [(np.asarray(left), left_classes, "left"), (np.asarray(right), right_classes, "right")]
    for class_ in names:
        for _, known, side in sides:
            if class_ not in known:
                hint = did_you_mean(class_, known)
                raise ExperimentError(f"class '{class_}' is unknown to the {side} sense; {hint}")
    chosen = names if part == "test" else list(seen)
    columns: list[tuple[npt.NDArray[np.int64], ...]] = []
    for number, class_ in enumerate(chosen):
        members = [np.flatnonzero(labels == known.index(class_)) for labels, known, _ in sides]
        for found, (_, _, side) in zip(members, sides, strict=True):
            if not len(found):
                raise ExperimentError(
                    f"class '{class_}': the {side} sense has no recording of it; ask for more recordings, "
                    "or take it out of seen and unseen"
                )
        n = per_class or min(map(len, members))
        draw = rng.stream(seed, f"{name}/{part}/{class_}")
        shuffled = [
            np.concatenate([draw.permutation(found) for _ in range(-(-n // len(found)))])[:n]
            for found in members
        ]
        columns.append((*shuffled, np.full(n, number, np.int64)))
    a, b, labels = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Pairs(a, b, labels, tuple(chosen), len(seen))

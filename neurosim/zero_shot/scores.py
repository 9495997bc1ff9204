"""Recall of seen and unseen classes, of every projection and of all chips together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.readout.contrastive import Recordings, Trained
from neurosim.readout.retrieval import nearest, retrieval_matrix, score_retrieval
from neurosim.results import Interval, accuracy_interval
from neurosim.zero_shot.config import ZeroShot
from neurosim.zero_shot_results import Choice, Choices, Scores, jackknife

Pair = tuple[Recordings, Recordings]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Hits:
    """Recalls of one pair of projections on the test part."""

    seen: float
    unseen: float
    unseen_among_all: float


@dataclass(frozen=True, eq=False)
class Named:
    """The named split of one chip: its projections, its rankings' means and its retrieval matrix."""

    trained: list[Trained]
    ranking: dict[str, float]
    counts: npt.NDArray[np.int64]


def score(trained: Trained, test: Pair, unseen: list[int]) -> Hits:
    """Recall of seen and unseen queries of the test part."""
    a, b = test
    return recalls(trained.similarity(a.x, b.x), a.y, b.y, unseen)


def recalls(similarity: npt.NDArray[Any], a: Codes, b: Codes, unseen: list[int]) -> Hits:
    """Recall at 1 of queries of classes ``a`` among targets of classes ``b``."""
    new_a, new_b = np.isin(a, unseen), np.isin(b, unseen)

    def recall(rows: npt.NDArray[np.bool_], columns: npt.NDArray[np.bool_]) -> float:
        found = nearest(similarity[np.ix_(rows, columns)])
        return float((b[columns][found] == a[rows]).mean())

    return Hits(recall(~new_a, ~new_b), recall(new_a, new_b), recall(new_a, np.ones_like(new_b)))


def score_named(trained: list[Trained], test: Pair, unseen: list[int], n_classes: int) -> Named:
    """Rankings both ways and retrieval matrix of the named split, all repeats."""
    a, b = test
    counts = np.zeros((n_classes, n_classes), np.int64)
    scores: dict[str, list[float]] = {}
    for one in trained:
        similarity = one.similarity(a.x, b.x)
        for group, new in (("seen", False), ("unseen", True)):
            rows = np.isin(a.y, unseen) == new
            columns = np.isin(b.y, unseen) == new
            part = similarity[np.ix_(rows, columns)]
            counts += retrieval_matrix(a.y[rows], b.y[columns][nearest(part)], n_classes)
            for way, ranked in (
                ("query_to_target", score_retrieval(part, a.y[rows], b.y[columns])),
                ("target_to_query", score_retrieval(part.T, b.y[columns], a.y[rows])),
            ):
                for key in ("recall_1", "recall_5", "mean_precision"):
                    scores.setdefault(f"{group}_{way}_{key}", []).append(getattr(ranked, key))
    return Named(trained, {key: float(np.mean(v)) for key, v in scores.items()}, counts)


def summarise(
    config: ZeroShot,
    classes: Sequence[str],
    splits: list[list[int]],
    hits: list[list[list[Hits]]],
    named: list[Named],
    sizes: dict[str, int],
) -> Scores:
    """Intervals over chips and classes of everything that was scored, (chips, splits, repeats)."""

    def interval(key: str, n: int) -> Interval:
        recall = [np.mean([getattr(h, key) for h in chip[0]]) for chip in hits]
        return accuracy_interval([r * n for r in recall], n)

    choices = None
    if config.all_splits or config.windows:
        values = {
            key: np.array([[np.mean([getattr(h, key) for h in split]) for split in chip] for chip in hits])
            for key in ("seen", "unseen")
        }
        means = values["unseen"].mean(axis=0)
        low, high = jackknife(means.tolist(), [frozenset(s) for s in splits], len(classes))
        choices = Choices(
            mean=float(means.mean()),
            ci95=(low, high),
            seen_mean=float(values["seen"].mean()),
            chance=1 / len(config.classes.unseen),
            each=tuple(
                Choice(
                    unseen=tuple(classes[c] for c in split),
                    unseen_recall=float(means[k]),
                    seen_recall=float(values["seen"][:, k].mean()),
                    unseen_per_chip=tuple(values["unseen"][:, k].tolist()),
                )
                for k, split in enumerate(splits)
            ),
        )
    return Scores(
        seen=interval("seen", sizes["seen"]),
        unseen=interval("unseen", sizes["unseen"]),
        unseen_among_all=interval("unseen_among_all", sizes["unseen"]),
        ranking={key: float(np.mean([one.ranking[key] for one in named])) for key in named[0].ranking},
        choices=choices,
        counts=np.sum([one.counts for one in named], axis=0),
    )


def chance_of(test: Pair, unseen: list[int]) -> dict[str, float]:
    """Recall at 1 of a target drawn at random, by the test part's own class shares."""
    a, b = test

    def expected(rows: npt.NDArray[np.bool_], columns: npt.NDArray[np.bool_]) -> float:
        labels = b.y[columns]
        return float(np.mean([(labels == y).mean() for y in a.y[rows]]))

    new_a, new_b = np.isin(a.y, unseen), np.isin(b.y, unseen)
    return {
        "seen": expected(~new_a, ~new_b),
        "unseen": expected(new_a, new_b),
        "unseen_among_all": expected(new_a, np.ones_like(new_b)),
    }

"""What a zero-shot run leaves behind: retrieval of seen and of unseen classes, over chips and choices."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.results import Interval


@dataclass(frozen=True)
class Choice:
    """One choice of unseen classes.

    Attributes:
        unseen: Their names.
        unseen_recall: Share of queries of these classes whose nearest target, of these, is of their class.
        seen_recall: The same of the other classes.
        unseen_per_chip: ``unseen_recall`` of every chip, mean over its repeats.
    """

    unseen: tuple[str, ...]
    unseen_recall: float
    seen_recall: float
    unseen_per_chip: tuple[float, ...]


@dataclass(frozen=True)
class Choices:
    """All choices of unseen classes together.

    Attributes:
        mean: Mean of ``unseen_recall`` over the choices.
        ci95: Its interval over classes, see `jackknife`.
        seen_mean: Mean of ``seen_recall``.
        chance: Expected recall of unseen classes without knowledge.
        each: The choices.
    """

    mean: float
    ci95: tuple[float, float]
    seen_mean: float
    chance: float
    each: tuple[Choice, ...]

    def to_json(self) -> dict[str, Any]:
        """As in ``result.json``."""
        recall = [one.unseen_recall for one in self.each]
        return {
            "mean": self.mean,
            "ci95": list(self.ci95),
            "chance": self.chance,
            "n": len(recall),
            "above_chance": float(np.mean(np.array(recall) > self.chance)),
            "quartiles": np.percentile(recall, [0, 25, 50, 75, 100]).tolist(),
            "seen_mean": self.seen_mean,
            "each": [asdict(one) for one in self.each],
        }


@dataclass(frozen=True, eq=False)
class Scores:
    """What one way of using the chips reached.

    Attributes:
        seen, unseen: Recall at 1 of seen queries among seen targets, of unseen among unseen, over the chips.
        unseen_among_all: Of unseen queries among the targets of all classes.
        ranking: Recall at 1 and 5 and mean precision of both ways, by name, means over chips and repeats.
        choices: Every choice of unseen classes, or None where only the named one was asked for.
        counts: int64 (n_classes, n_classes): queries of each class (rows) that found a target of each
            class (columns), seen among seen and unseen among unseen; all chips and repeats.
    """

    seen: Interval
    unseen: Interval
    unseen_among_all: Interval
    ranking: dict[str, float]
    choices: Choices | None
    counts: npt.NDArray[np.int64]

    def to_json(self, n_seen: int, n_unseen: int) -> dict[str, Any]:
        """As in ``result.json``, with the numbers of queries."""

        def interval(value: Interval, n: int) -> dict[str, Any]:
            return asdict(value) | {"n_test": n}

        return {
            "seen": interval(self.seen, n_seen),
            "unseen": interval(self.unseen, n_unseen),
            "unseen_among_all": interval(self.unseen_among_all, n_unseen),
            "ranking": self.ranking,
            **({"unseen_all_splits": self.choices.to_json()} if self.choices else {}),
        }


@dataclass(frozen=True)
class PaperScores:
    """The authors' protocol: the best epoch is chosen on the test recordings, which flatters.

    Attributes:
        seen, unseen: Recall at 1 of the best epoch of every chip and repeat.
        epochs: That epoch.
    """

    seen: tuple[float, ...]
    unseen: tuple[float, ...]
    epochs: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """As in ``result.json``."""
        means = {"seen_mean": float(np.mean(self.seen)), "unseen_mean": float(np.mean(self.unseen))}
        return means | asdict(self)


@dataclass(frozen=True)
class TrainedScores:
    """Trained encoders in place of the liquids, over the repeats.

    Attributes:
        seen, unseen: Recall at 1; the interval is over repeats and recordings.
        epochs: Epochs that were trained, mean.
        multiplications: Of their training, for a pair of recordings, dense.
        ratio: Over those of the random liquids and their projections, by the epochs that each was trained.
    """

    seen: Interval
    unseen: Interval
    epochs: float
    multiplications: float
    ratio: float


@dataclass(frozen=True, eq=False)
class Found:
    """A query and the target that it found.

    Attributes:
        query, target: float32 (height, width), events per pixel; of one row: (channels, steps).
        query_class, target_class: Their class names.
        seen: Whether the query's class was seen in training.
    """

    query: npt.NDArray[np.float32]
    target: npt.NDArray[np.float32]
    query_class: str
    target_class: str
    seen: bool


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Test recordings of both senses of the first chip in the common space, drawn in two dimensions.

    Attributes:
        method: How they were brought to two dimensions.
        xy: float32 (n, 2).
        label: int64 (n,), class codes.
        is_query: bool (n,), sense of each.
    """

    method: str
    xy: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]
    is_query: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ZeroShotResult:
    """Everything that the report of a zero-shot run needs.

    Attributes:
        name: Name of the experiment.
        fingerprint: SHA-256 of the resolved experiment and of its recordings.
        experiment: The resolved experiment, cards inlined.
        versions: Package versions.
        query, target: Names of the two senses.
        classes: Class names, seen ones first.
        n_seen: How many of them are seen.
        chance: Expected recall at 1 without knowledge, ``"seen"``, ``"unseen"`` and ``"unseen_among_all"``.
        counts: Recordings of query and target by part.
        n_queries: Test queries of ``"seen"`` and of ``"unseen"`` classes.
        hardware: Scores of the chips as their configs say.
        ideal: Scores of the same cells read without any error, or None.
        paper: The authors' protocol, or None.
        trained: Trained encoders, or None.
        validation: Recall at 1 on the validation part of every chip, mean over its repeats.
        epochs: Epochs that validation chose, of every chip and repeat.
        map: Embeddings of the first chip.
        found: A few queries of the first chip and what they found.
        training: Multiplications of training, see `neurosim.zero_shot.training_cost`.
        cells, tiles, utilisation, rates, energy, operations, cost: As in `Result`, both senses together.
        seconds: Wall time by stage.
    """

    name: str
    fingerprint: str
    experiment: dict[str, Any]
    versions: dict[str, str]
    query: str
    target: str
    classes: tuple[str, ...]
    n_seen: int
    chance: dict[str, float]
    counts: dict[str, dict[str, int]]
    n_queries: dict[str, int]
    hardware: Scores
    ideal: Scores | None
    paper: PaperScores | None
    trained: TrainedScores | None
    validation: tuple[float, ...]
    epochs: tuple[tuple[int, ...], ...]
    map: EmbeddingMap
    found: tuple[Found, ...]
    training: dict[str, float]
    cells: int
    tiles: int
    utilisation: float
    rates: dict[str, float]
    energy: dict[str, float]
    operations: dict[str, float]
    cost: tuple[Any, ...]
    seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The content of ``result.json`` (docs/formats.md)."""
        sizes = self.n_queries["seen"], self.n_queries["unseen"]
        scores = self.hardware.to_json(*sizes)
        return {
            "schema": "neurosim.result/1",
            "name": self.name,
            "fingerprint": self.fingerprint,
            "versions": self.versions,
            "accuracy": scores["seen"],
            "n_train": self.counts["query"]["train"],
            "n_validation": self.counts["query"]["validation"],
            "classes": list(self.classes),
            "confusion": self.hardware.counts.tolist(),
            "zero_shot": {
                "query": self.query,
                "target": self.target,
                "seen_classes": list(self.classes[: self.n_seen]),
                "unseen_classes": list(self.classes[self.n_seen :]),
                "chance": self.chance,
                "recordings": self.counts,
                **scores,
                **({"ideal": self.ideal.to_json(*sizes)} if self.ideal else {}),
                **({"paper_protocol": self.paper.to_json()} if self.paper else {}),
                **({"trained_encoders": asdict(self.trained)} if self.trained else {}),
                "training": self.training,
            },
            "chips": [
                {"chip": k, "validation_accuracy": score, "readout": {"epochs": list(epochs)}}
                for k, (score, epochs) in enumerate(zip(self.validation, self.epochs, strict=True))
            ],
            "cells": self.cells,
            "tiles": self.tiles,
            "utilisation": self.utilisation,
            "rates": self.rates,
            "energy": self.energy,
            "operations": self.operations,
            "cost": {"comparison": [asdict(cost) for cost in self.cost]},
            "seconds": self.seconds,
            "experiment": self.experiment,
        }


def jackknife(
    values: Sequence[float], members: Sequence[frozenset[int]], n_classes: int
) -> tuple[float, float]:
    """95 % interval of the mean over choices of classes that leans on the classes, not on the choices.

    Choices share classes, so that their own scatter would promise too much. Leaving one class out, with
    every choice that it is in, gives n means; with their variance
    v = (n - 1) / n sum_i (m_i - mean(m))^2 the interval is mean +- t_{n-1} sqrt(v).

    Args:
        values: Value of every choice.
        members: Codes of the classes of every choice.
        n_classes: Number of classes.

    Source: J. N. Arvesen, Ann. Math. Stat. 40 (1969) 2076, doi:10.1214/aoms/1177697287.
    """
    from scipy import stats

    scores = np.asarray(values, np.float64)
    without = [
        scores[keep].mean()
        for c in range(n_classes)
        if (keep := np.array([c not in chosen for chosen in members])).any()
    ]
    n = len(without)
    mean = float(scores.mean())
    if n < 2:
        return 0.0, 1.0
    spread = float(np.sqrt((n - 1) / n * np.sum((without - np.mean(without)) ** 2)))
    half = float(stats.t.ppf(0.975, n - 1)) * spread
    return max(0.0, mean - half), min(1.0, mean + half)

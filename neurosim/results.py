"""What a run leaves behind: never a lone number."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from neurosim.array import Cost


@dataclass(frozen=True)
class Interval:
    """Mean with its 95 % interval.

    Attributes:
        mean: Mean over the chips.
        ci95: Lower and upper end.
        per_chip: The values the mean is taken over.
    """

    mean: float
    ci95: tuple[float, float]
    per_chip: tuple[float, ...]


def accuracy_interval(correct: npt.ArrayLike, n_test: int) -> Interval:
    """Accuracy over chips with a 95 % interval that covers both chips and test samples.

    The chips read the same recordings, so more chips do not make up for few recordings. Two intervals are
    added in quadrature, end by end: Wilson's for the mean score on ``n_test`` recordings, and Student's t
    (chips - 1 degrees of freedom) for the mean over chips. One chip leaves the first alone, which speaks for
    that chip only. Conservative: the chips' scatter contains a part of the recordings' one.

    Args:
        correct: Number of correct answers of every chip, (n_chips,).
        n_test: Number of test recordings.

    Raises:
        ValueError: If there is no chip, no test recording, or a number of answers outside 0..n_test.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209, doi:10.1080/01621459.1927.10502953; ends added as
        by G. Y. Zou and A. Donner, Stat. Med. 27 (2008) 1693, doi:10.1002/sim.3095.
    """
    from scipy import stats  # whose import takes longer than listing the cards

    hits = np.asarray(correct, np.float64)
    if not hits.size or n_test < 1:
        raise ValueError("an accuracy needs at least one chip and one test recording")
    if hits.min() < 0 or hits.max() > n_test:
        raise ValueError(f"correct answers must lie in 0..{n_test}, got {correct!r}")
    scores = hits / n_test
    mean = float(scores.mean())
    wilson = stats.binomtest(round(mean * n_test), n_test).proportion_ci(method="wilson")
    chips = stats.t.ppf(0.975, scores.size - 1) * stats.sem(scores) if scores.size > 1 else 0.0
    low = mean - float(np.hypot(mean - wilson.low, chips))
    high = mean + float(np.hypot(wilson.high - mean, chips))
    return Interval(mean, (max(0.0, low), min(1.0, high)), tuple(map(float, scores)))


@dataclass(frozen=True, eq=False)
class ChipResult:
    """One device instance.

    Attributes:
        chip: Number of the instance.
        n_correct: Correct answers on the test part.
        validation_accuracy: Accuracy on the validation part, which chose the readout.
        train_accuracy: Accuracy on the training part.
        confusion: int64 (n_classes, n_classes), rows are true classes.
        rate_before: float32 (n_neurons,) [Hz], firing rates on unlabelled data before homeostasis.
        rate_after: float32 (n_neurons,) [Hz], after it.
        conductance: float32 (n_cells,) [S], every cell's conductance when the run starts.
        readout: What the validation chose, e.g. ``{"weight_decay": 1e-4, "epochs": 31}``.
    """

    chip: int
    n_correct: int
    validation_accuracy: float
    train_accuracy: float
    confusion: npt.NDArray[np.int64]
    rate_before: npt.NDArray[np.float32]
    rate_after: npt.NDArray[np.float32]
    conductance: npt.NDArray[np.float32]
    readout: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Example:
    """One test recording as the liquid of the first chip saw it.

    Attributes:
        picture: float32 (height, width), events per pixel, positive minus negative polarity where there are
            two.
        spikes: uint8 (n_steps, n_neurons).
        dt: Length of a step [s].
        label: True class name.
        predicted: Answer of the first chip.
    """

    picture: npt.NDArray[np.float32]
    spikes: npt.NDArray[np.uint8]
    dt: float
    label: str
    predicted: str


@dataclass(frozen=True, eq=False)
class Result:
    """Everything that a report needs, and nothing that it would have to compute again.

    Attributes:
        name: Name of the experiment.
        fingerprint: SHA-256 of the resolved experiment and of the recordings as they were binned.
        experiment: The resolved experiment as plain JSON-able data, cards inlined.
        versions: Package versions.
        accuracy: Accuracy over the chips.
        n_train, n_validation, n_test: Recordings in each part.
        classes: Class names.
        chips: One entry per device instance.
        cells: Cells used by one chip (two per weight).
        tiles: Tiles of the macro that they occupy.
        utilisation: Share of the cells of those tiles in use.
        rates: Mean firing rate of the liquid [Hz], ``"before"`` and ``"after"`` homeostasis, and its
            ``"target"`` where there is one.
        energy: Joule per recording by component, from counted operations, with ``"total"``.
        operations: Mean operations per recording that the energy is computed from.
        array: Of the first chip: share of the rows that a read drives (``"row_activity"``); with wires the
            share of the current that they take and how far the mean field of gated rows is off
            (``"wire_loss"``, ``"wire_bias"``, ``"wire_rms"``, ``"wire_worst"``); with converters their full
            scale [A] and the share of the currents above it (``"adc_full_scale"``, ``"adc_clipped"``).
        programming: What write-verify of the first chip reached and cost (see `Programmed.summary`), or {}.
        cost: Energy, latency and area of a recording on the macro and, after it, on digital platforms.
        seconds: Wall time by stage, with ``"total"``.
        example: One test recording.
    """

    name: str
    fingerprint: str
    experiment: dict[str, Any]
    versions: dict[str, str]
    accuracy: Interval
    n_train: int
    n_validation: int
    n_test: int
    classes: tuple[str, ...]
    chips: tuple[ChipResult, ...]
    cells: int
    tiles: int
    utilisation: float
    rates: dict[str, float]
    energy: dict[str, float]
    operations: dict[str, float]
    array: dict[str, float]
    programming: dict[str, float]
    cost: "tuple[Cost, ...]"
    seconds: dict[str, float]
    example: Example

    def to_json(self) -> dict[str, Any]:
        """The content of ``result.json`` (schema in docs/formats.md)."""
        return {
            "schema": "neurosim.result/1",
            "name": self.name,
            "fingerprint": self.fingerprint,
            "versions": self.versions,
            "accuracy": {
                "mean": self.accuracy.mean,
                "ci95": list(self.accuracy.ci95),
                "per_chip": list(self.accuracy.per_chip),
                "n_test": self.n_test,
            },
            "n_train": self.n_train,
            "n_validation": self.n_validation,
            "classes": list(self.classes),
            "confusion": np.sum([chip.confusion for chip in self.chips], axis=0).tolist(),
            "chips": [
                {
                    "chip": chip.chip,
                    "validation_accuracy": chip.validation_accuracy,
                    "train_accuracy": chip.train_accuracy,
                    "readout": chip.readout,
                }
                for chip in self.chips
            ],
            "cells": self.cells,
            "tiles": self.tiles,
            "utilisation": self.utilisation,
            "rates": self.rates,
            "energy": self.energy,
            "operations": self.operations,
            "array": self.array,
            "programming": self.programming,
            "cost": {"comparison": [asdict(cost) for cost in self.cost]},
            "seconds": self.seconds,
            "experiment": self.experiment,
        }


@dataclass(frozen=True, eq=False)
class ConceptShiftResult:
    """Everything that the report of a concept-shift run needs.

    Axes are chip, swaps, rule and first rate, and points of the stream behind them.

    Attributes:
        name, fingerprint, experiment, versions, seconds: As in `Result`.
        rules: Names of the rules that move a rate.
        learning_rates: First rates [1].
        reference: Which of them is the common start of the comparison.
        swaps_per_epoch: Swaps of two labels in an epoch.
        epochs: Passes over the recordings.
        n_recordings: Recordings of a pass.
        accuracy: (n_chips, n_swaps, n_rules, n_rates), share of right answers, given before learning.
        curve: (..., n_points), the same in equal parts of the stream.
        rate: (..., n_points), mean rate there [1].
    """

    name: str
    fingerprint: str
    experiment: dict[str, Any]
    versions: dict[str, str]
    rules: tuple[str, ...]
    learning_rates: tuple[float, ...]
    reference: int
    swaps_per_epoch: tuple[float, ...]
    epochs: int
    n_recordings: int
    accuracy: npt.NDArray[np.float64]
    curve: npt.NDArray[np.float64]
    rate: npt.NDArray[np.float64]
    seconds: dict[str, float]

    def same_start(self) -> npt.NDArray[np.float64]:
        """Accuracy at the common first rate, (n_chips, n_swaps, n_rules)."""
        return self.accuracy[..., self.reference]

    def tuned(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Accuracy of every rule at its best first rate, and which rate that is, (n_chips, n_swaps, n_rules).

        A chip's rate is the best one of the *other* chips' streams, so that no stream chooses for itself.
        """
        others = self.accuracy.sum(axis=0) - self.accuracy
        best = others.argmax(axis=-1)
        return np.take_along_axis(self.accuracy, best[..., None], -1)[..., 0], best

    def to_json(self) -> dict[str, Any]:
        """The content of ``result.json`` (docs/formats.md)."""
        tuned, best = self.tuned()
        constant = self.rules.index("constant")
        rows = []
        for k, swaps in enumerate(self.swaps_per_epoch):
            for j, rule in enumerate(self.rules):
                start, at_best = self.same_start()[:, k, j], tuned[:, k, j]
                gain = start - self.same_start()[:, k, constant]
                rows.append(
                    {
                        "swaps_per_epoch": swaps,
                        "rule": rule,
                        "same_start": student(start),
                        "gain_over_constant": student(gain),
                        "tuned": student(at_best),
                        "tuned_rates": [self.learning_rates[i] for i in best[:, k, j]],
                        "behind_tuned_constant": student(start - tuned[:, k, constant]),
                        "by_learning_rate": self.accuracy[:, k, j].mean(axis=0).tolist(),
                    }
                )
        return {
            "schema": "neurosim.result/1",
            "name": self.name,
            "fingerprint": self.fingerprint,
            "versions": self.versions,
            "concept_shift": {
                "learning_rates": list(self.learning_rates),
                "learning_rate": self.learning_rates[self.reference],
                "epochs": self.epochs,
                "n_recordings": self.n_recordings,
                "chips": len(self.accuracy),
                "rows": rows,
            },
            "seconds": self.seconds,
            "experiment": self.experiment,
        }


def student(values: npt.ArrayLike) -> dict[str, Any]:
    """Mean with its 95 % interval of Student's t over chips: ``mean``, ``ci95`` and ``per_chip``."""
    from scipy import stats

    x = np.asarray(values, np.float64)
    half = float(stats.t.ppf(0.975, len(x) - 1) * stats.sem(x)) if len(x) > 1 else 0.0
    mean = float(x.mean())
    return {"mean": mean, "ci95": [mean - half, mean + half], "per_chip": x.tolist()}

"""What a comparison has found: contestants side by side, with what belongs to each."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from neurosim.baselines import Variant
from neurosim.baselines.hardware import HardwareCost
from neurosim.results import Interval
from neurosim.study.front import pareto_front

Kind = Literal["liquid", "quantum", "classical", "reference"]
Verdict = Literal["better", "worse", "not told apart"]
What = Literal["energy", "latency"]

UNITARITY, POST_SELECTION = "unitarity error", "post-selection probability"  # names of notes
ALPHA = 0.05  # corrected p values below it are significant


@dataclass(frozen=True)
class Paired:
    """Difference of accuracy between two contestants on the same recordings, first minus second.

    Attributes:
        other: Name of the second.
        difference: Mean over seeds.
        ci95: Its 95 % interval.
        p: Two-sided.
        p_corrected: The same by Holm over all differences of a column.
    """

    other: str
    difference: float
    ci95: tuple[float, float]
    p: float
    p_corrected: float

    @property
    def verdict(self) -> Verdict:
        """What is known of the first against the second; a p value that is NaN tells nothing apart."""
        if not self.p_corrected < ALPHA:
            return "not told apart"
        return "better" if self.difference > 0 else "worse"


@dataclass(frozen=True)
class Contestant:
    """A model, or a variant of one, with all its seeds.

    Attributes:
        name: Its own, e.g. ``cnn``, ``hqnn_parallel, deleted``, ``mlp [16]``.
        model: Entry of the study that it belongs to, e.g. ``hqnn_parallel``.
        kind: Family of the model.
        variant: Of a hybrid what stands in its circuit's place; None: no hybrid.
        inputs: ``events``, ``images`` or ``states``.
        accuracy: Of the test part over seeds (chips of the liquid); ``per_chip`` is per seed.
        validation_accuracy: Mean over seeds.
        n_parameters: Trained numbers.
        n_quantum_parameters: Those of them that are in circuits.
        operations: One number to match by: MACs, and gates times shots.
        costs: Of one inference on the hardware that it would run on.
        train_seconds: Mean wall time of a training here [s].
        infer_seconds: Mean wall time per test recording here [s].
        robustness: What is disturbed, e.g. ``PGD 0.1``, to the accuracy then.
        chosen: Hyper-parameters that the validation part chose.
        trials: Hyper-parameters that were tried with their validation accuracy.
        curve: Training recordings, rising, with the accuracy; the last one is the full size.
        against: Difference from the contestant that all are compared with; None: it is that one.
        same_parameters: Difference from the best plain network with at most as many parameters; None: there
            is none.
        same_operations: The same for operations.
        against_full: Of a variant, the difference from the full hybrid; None: it is no variant.
        headline: What its paper reports.
        notes: What else was measured, e.g. ``unitarity error``, ``post-selection probability``.
    """

    name: str
    model: str
    kind: Kind
    variant: Variant | None
    inputs: str
    accuracy: Interval
    validation_accuracy: float
    n_parameters: int
    n_quantum_parameters: int
    operations: float
    costs: tuple[HardwareCost, ...]
    train_seconds: float
    infer_seconds: float
    robustness: Mapping[str, Interval]
    chosen: Mapping[str, Any]
    trials: tuple[tuple[Mapping[str, Any], float], ...]
    curve: tuple[tuple[int, Interval], ...]
    against: Paired | None = None
    same_parameters: Paired | None = None
    same_operations: Paired | None = None
    against_full: Paired | None = None
    headline: str = ""
    notes: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_variant(self) -> bool:
        """Whether it is a hybrid with something else in its circuit's place."""
        return self.variant not in (None, "full")

    def total(self, what: What, *which: str) -> float | None:
        """Lowest total [J] or [s] of the costs of these kinds; None where none is known."""
        costs: list[dict[str, float]] = [getattr(cost, what) for cost in self.costs if cost.which in which]
        totals = (cost.get("total", math.inf) for cost in costs)
        return min(filter(math.isfinite, totals), default=None)

    def span(self, what: What) -> tuple[float, float] | None:
        """Total [J] or [s] on its own hardware, of a quantum device from optimistic to realistic.

        Its own hardware is a quantum device, else the macro, else the cheapest digital platform.
        """
        for best, worst in (("optimistic", "realistic"), ("macro", "macro"), ("digital", "digital")):
            ends = [end for end in (self.total(what, best), self.total(what, worst)) if end is not None]
            if ends:
                return min(ends), max(ends)
        return None


@dataclass(frozen=True)
class Comparison:
    """What a comparison has found so far.

    Attributes:
        name: Name of the study.
        fingerprint: Of the study and all its fits.
        study: The study as its TOML says it, with its base experiment inlined.
        against: Name of the contestant that the differences are taken from.
        n_train, n_validation, n_test: Recordings in each part.
        seeds: Seeds of every contestant.
        n_trials: Settings tried for every model.
        contestants: Those that are done.
        failed: Name to the reason why it is not among them.
        waiting: Fits that are not done yet.
        versions: Package versions.
    """

    name: str
    fingerprint: str
    study: dict[str, Any]
    against: str
    n_train: int
    n_validation: int
    n_test: int
    seeds: tuple[int, ...]
    n_trials: int
    contestants: tuple[Contestant, ...]
    failed: Mapping[str, str]
    waiting: int
    versions: Mapping[str, str]

    @property
    def reference(self) -> Contestant | None:
        """The contestant that the differences are taken from, if it is done."""
        return next((one for one in self.contestants if one.name == self.against), None)

    def to_json(self) -> dict[str, Any]:
        """The content of ``result.json`` (docs/formats.md)."""
        return {"schema": "neurosim.comparison/1", **asdict(self)}

    def hybrids(self) -> dict[str, list[Contestant]]:
        """Variants of every hybrid that is done, by its model."""
        found: dict[str, list[Contestant]] = {}
        for one in self.contestants:
            if one.variant is not None:
                found.setdefault(one.model, []).append(one)
        return found

    def front(self, cost: Callable[[Contestant], float | None]) -> list[Contestant]:
        """Contestants that no other beats in accuracy and ``cost`` (None: left out), the cheapest first."""
        known = [(price, one) for one in self.contestants if (price := cost(one)) is not None]
        losses = np.array([(price, -one.accuracy.mean) for price, one in known]).reshape(-1, 2)
        best = [pair for pair, on in zip(known, pareto_front(losses), strict=True) if on]
        return [one for _, one in sorted(best, key=lambda pair: pair[0])]

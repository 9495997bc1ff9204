"""From the rows of fits to what a comparison has found."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurosim.baselines import baseline_class
from neurosim.baselines.hardware import HardwareCost
from neurosim.config import fingerprint
from neurosim.experiment import PACKAGES, package_version
from neurosim.results import accuracy_interval
from neurosim.study.compare.config import LIQUID
from neurosim.study.compare.plan import Fit
from neurosim.study.compare.results import Comparison, Contestant, Kind, Paired
from neurosim.study.compare.statistics import corrected, paired

if TYPE_CHECKING:
    from neurosim.study.config import StudyConfig

LIQUID_HEADLINE = "N-MNIST 89.66 %, in software 89.11 %; N-TIDIGITS 70.11 % and 70.79 %"


@dataclass(frozen=True)
class Done:
    """A fit and what became of it.

    Attributes:
        fit: The fit.
        row: What was kept of it; None: it is not done.
        error: Why it failed, where it did.
    """

    fit: Fit
    row: Mapping[str, Any] | None = None
    error: str | None = None


def choose(trials: Iterable[Done]) -> dict[str, dict[str, Any]]:
    """Settings of every model that its best trial had; of equals the first."""
    best: dict[str, Mapping[str, Any]] = {}
    for trial in trials:
        row, model = trial.row, trial.fit.model
        if row and (model not in best or row["accuracy"] > best[model]["accuracy"]):
            best[model] = row
    return {model: dict(row["set"]) for model, row in best.items()}


def collect(config: "StudyConfig", trials: Sequence[Done], fits: Sequence[Done]) -> Comparison:
    """What the fits that are done say."""
    compare = config.compare
    if compare is None:
        raise ValueError(f"study '{config.name}' compares nothing")
    groups: dict[str, list[Done]] = {}
    for one in fits:
        if one.fit.whole:
            groups.setdefault(one.fit.contestant, []).append(one)
    marks = {name: marked for name, group in groups.items() if (marked := _marks(group))}
    n_robust = compare.robustness.n if compare.robustness else 0
    contestants = [_contestant(name, groups[name], trials, fits, n_robust) for name in marks]
    plain = [one for one in contestants if one.kind in ("classical", "reference")]

    def against(one: Contestant) -> str | None:
        return compare.reference if one.name != compare.reference else None

    def matched(size: Callable[[Contestant], float]) -> Callable[[Contestant], str | None]:
        def find(one: Contestant) -> str | None:
            rivals = [
                other
                for other in plain
                if other.name != one.name
                and size(other) <= size(one)
                and (other.inputs != "states" or one.inputs == "states")  # a head on the liquid is not plain
            ]
            return max(rivals, key=lambda other: other.validation_accuracy).name if rivals else None

        return find

    def full(one: Contestant) -> str | None:
        return one.model if one.is_variant else None

    columns = {
        "against": against,
        "same_parameters": matched(lambda one: one.n_parameters),
        "same_operations": matched(lambda one: one.operations),
        "against_full": full,
    }
    for column, rival in columns.items():
        found = _differences({one.name: rival(one) for one in contestants}, marks)
        contestants = [replace(one, **{column: found.get(one.name)}) for one in contestants]  # type: ignore[arg-type]
    first: Mapping[str, Any] = next((one.row for one in fits if one.row and one.fit.n_train is None), {})
    study = config.to_json()
    return Comparison(
        name=config.name,
        fingerprint=fingerprint(study, [one.fit.point(0).key for one in fits]),
        study=study,
        against=compare.reference,
        n_train=first.get("n_train", 0),
        n_validation=first.get("n_validation", 0),
        n_test=first.get("n_test", 0),
        seeds=compare.seeds,
        n_trials=compare.n_trials,
        contestants=tuple(contestants),
        failed={_name(one): one.error for one in [*trials, *fits] if one.error},
        waiting=sum(one.row is None and one.error is None for one in [*trials, *fits]),
        versions={name: package_version(name) for name in (*PACKAGES, "pennylane", "reservoirpy")},
    )


def _contestant(
    name: str, group: Sequence[Done], trials: Sequence[Done], fits: Sequence[Done], n_robust: int
) -> Contestant:
    rows = [one.row for one in group if one.row]
    first, fit = rows[0], group[0].fit
    plain = fit.variant in (None, "full") and not fit.reference
    tried = [one for one in trials if plain and one.fit.model == fit.model]
    facts = LIQUID_HEADLINE if fit.baseline == LIQUID else baseline_class(fit.baseline).facts.headline
    curve = []
    if plain:
        sizes = sorted({one.fit.n_train for one in fits if one.fit.contestant == name and one.fit.n_train})
        for size in sizes:
            some = [o.row for o in fits if o.row and o.fit.contestant == name and o.fit.n_train == size]
            if some and some[0]["n_train"] < first["n_train"]:  # else there are no more recordings than all
                curve.append((some[0]["n_train"], _interval(some)))
        curve.append((first["n_train"], _interval(rows)))
    n_robust = min(n_robust, first["n_test"])
    return Contestant(
        name=name,
        model=fit.model,
        kind=_kind(fit),
        variant=fit.variant,
        inputs=fit.inputs,
        accuracy=_interval(rows),
        validation_accuracy=float(np.mean([row["validation_accuracy"] for row in rows])),
        n_parameters=first["n_parameters"],
        n_quantum_parameters=first["n_quantum_parameters"],
        operations=float(np.mean([row["operations"] for row in rows])),
        costs=tuple(HardwareCost(**cost) for cost in first["costs"]),
        train_seconds=float(np.mean([row["seconds"] for row in rows])),
        infer_seconds=float(np.mean([row["infer_seconds"] for row in rows])),
        robustness={
            column: accuracy_interval([round(row["robustness"][column] * n_robust) for row in rows], n_robust)
            for column in first.get("robustness", {})
        },
        chosen=first["set"],
        trials=tuple((one.row["set"], one.row["accuracy"]) for one in tried if one.row),
        curve=tuple(curve),
        headline=facts if plain else "",
        notes={key: float(np.mean([row["notes"][key] for row in rows])) for key in first["notes"]},
    )


def _kind(fit: Fit) -> Kind:
    if fit.reference:
        return "reference"
    if fit.baseline == LIQUID:
        return "liquid"
    return "classical" if fit.variant is None else "quantum"


def _interval(rows: Sequence[Mapping[str, Any]]) -> Any:
    n = rows[0]["n_test"]
    return accuracy_interval([round(row["accuracy"] * n) for row in rows], n)


def _marks(group: Sequence[Done]) -> dict[int, npt.NDArray[np.bool_]]:
    """Which test recordings every seed of a contestant told right."""

    def unpacked(row: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
        packed = np.frombuffer(bytes.fromhex(row["correct"]), np.uint8)
        return np.unpackbits(packed, count=row["n_test"]).astype(np.bool_)

    return {one.fit.seed: unpacked(one.row) for one in group if one.row}


def _differences(
    pairs: Mapping[str, str | None], marks: Mapping[str, Mapping[int, npt.NDArray[np.bool_]]]
) -> dict[str, Paired]:
    """Differences of a column, corrected together; over the seeds that both have."""
    found = {}
    for name, other in pairs.items():
        if other is None or other not in marks:
            continue
        seeds = sorted(marks[name].keys() & marks[other].keys())
        if seeds:
            a, b = ([marks[which][seed] for seed in seeds] for which in (name, other))
            found[name] = paired(other, a, b)
    ps = corrected([one.p for one in found.values()])
    return {
        name: replace(one, p_corrected=float(p)) for (name, one), p in zip(found.items(), ps, strict=True)
    }


def _name(one: Done) -> str:
    fit = one.fit
    what = f"trial {fit.trial}" if fit.trial is not None else f"seed {fit.seed}"
    size = f", {fit.n_train} recordings" if fit.n_train and fit.trial is None else ""
    return f"{fit.contestant}, {what}{size}"

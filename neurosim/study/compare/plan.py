"""The fits of a comparison: trials that choose every model's settings, and then those that are tested."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from optuna import create_study, create_trial
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from neurosim import rng
from neurosim.baselines import Variant, baseline_class
from neurosim.config import fingerprint
from neurosim.experiment import Experiment
from neurosim.study.compare.config import LIQUID, CompareConfig, Inputs, Space
from neurosim.study.points import DesignPoint
from neurosim.study.search import Choices, Knob, distribution

LIQUID_SPACE = {
    "reservoir.beta": Knob(low=0.5, high=0.95),
    "reservoir.homeostasis.rate_target": Knob(low=3.0, high=20.0, scale="log"),
}


@dataclass(frozen=True)
class Fit:
    """One model trained once.

    Attributes:
        contestant: What stands in the table.
        model: Model of the study.
        baseline: Its baseline, or ``liquid``.
        inputs: What it reads.
        seed: Seed; of the liquid, number of the chip.
        set: Values of its config.
        variant: What stands in a hybrid's circuit's place; None: it is no hybrid.
        reference: Whether it is a network that others are matched with.
        n_train: Training recordings; None: all.
        trial: Number of the trial, which is never tested; None: the fit is tested.
        search: Of a trial that is proposed, what the study says of the search, so that another space or seed
            makes other trials.
        whole: Whether all that a contestant has is measured, or its accuracy alone.
    """

    contestant: str
    model: str
    baseline: str
    inputs: Inputs
    seed: int
    set: Mapping[str, Any] = field(default_factory=dict)
    variant: Variant | None = None
    reference: bool = False
    n_train: int | None = None
    trial: int | None = None
    search: str = ""
    whole: bool = True

    def point(self, number: int) -> DesignPoint:
        """The fit as a point of a study."""
        data = asdict(self)
        shown = {name: data[name] for name in ("contestant", "seed", "n_train", "trial")}
        return DesignPoint(number, fingerprint(data)[:16], shown, data)


@dataclass(frozen=True)
class Task:
    """What a worker is to do.

    Attributes:
        experiment: The base experiment.
        compare: The comparison.
        fit: The model.
    """

    experiment: Experiment
    compare: CompareConfig
    fit: Fit


def task_of(
    config: CompareConfig, base: Experiment, data: Mapping[str, Any], before: Sequence[FrozenTrial]
) -> Task:
    """The task of a point; of a trial, with the settings that are proposed after all trials ``before``."""
    fit = Fit(**data)
    if fit.trial:
        knobs = space(config, fit.model, base)
        proposed = proposal(fit, knobs, _equals(fit, before), seed=config.sampler_seed)
        fit = replace(fit, set={**fit.set, **proposed})
    return Task(base, config, fit)


def trials(config: CompareConfig) -> list[Fit]:
    """The trials of all models, the first ones of all before the second ones."""
    if config.n_trials == 1:
        return []
    first = [
        replace(_fit(config, name), seed=config.seeds[0], n_train=config.trial_recordings, whole=False)
        for name in config.models
    ]
    return [
        replace(fit, trial=number, search=_search(config, fit.model) if number else "")
        for number in range(config.n_trials)
        for fit in first
    ]


def finals(config: CompareConfig, chosen: Mapping[str, Mapping[str, Any]]) -> list[Fit]:
    """The fits that are tested.

    Args:
        config: The comparison.
        chosen: What the trials chose for every model.
    """

    def contestants() -> Iterator[Fit]:
        for name in config.models:
            fit = _fit(config, name)
            fit = replace(fit, set={**fit.set, **chosen.get(name, {})})
            yield fit
            if fit.variant is not None:
                own = config.of(name).variants
                others = [v for v in (config.variants if own is None else own) if v != "full"]
                yield from (replace(fit, contestant=f"{name}, {v}", variant=v) for v in others)
        for name in config.references:
            fit = _fit(config, name)
            for sizes in config.reference_settings(name):
                shown = ", ".join(str(value) for value in sizes.values())
                yield replace(
                    fit,
                    contestant=f"{name} {shown}",
                    set={**fit.set, **chosen.get(name, {}), **sizes},
                    reference=True,
                )

    whole = list(contestants())
    curve = [
        replace(fit, n_train=size, whole=False)
        for fit in whole
        if not fit.reference and fit.variant in (None, "full")
        for size in config.sizes
    ]
    return [replace(fit, seed=seed) for fit in [*whole, *curve] for seed in config.seeds]


def space(config: CompareConfig, name: str, base: Experiment) -> Space:
    """What is searched for a model."""
    special, baseline = config.of(name), config.baseline(name)
    if special.space is not None:
        return special.space
    if baseline == LIQUID:
        homeostasis = base.reservoir.homeostasis is not None
        found = {key: knob for key, knob in LIQUID_SPACE.items() if homeostasis or "homeostasis" not in key}
    else:
        tuned = baseline_class(baseline).tuned
        found = {key: Knob(low=low, high=high, scale="log") for key, low, high in tuned}
    return {key: knob for key, knob in found.items() if key not in special.set}


def proposal(fit: Fit, knobs: Space, before: Sequence[FrozenTrial], *, seed: int) -> dict[str, Any]:
    """Values of a trial's space that Optuna's TPE proposes.

    It draws at random until ten trials of the model are done, the same values whoever asks and whenever.

    Args:
        fit: The trial.
        knobs: The model's space.
        before: Earlier trials of the model, in the same space.
        seed: Seed of the comparison's trials.

    Source: J. Bergstra et al., NeurIPS 24 (2011) 2546, as in Optuna.
    """
    if not knobs:
        return {}
    kinds = {key: distribution(knob, whole=_is_whole(knob)) for key, knob in knobs.items()}
    own = rng.key(seed, f"study/compare/{fit.model}/{fit.trial}") % 2**32
    study = create_study(direction="maximize", sampler=TPESampler(seed=own))
    for trial in before:
        row = trial.user_attrs["row"]
        if knobs.keys() <= row["set"].keys():
            tried = {key: row["set"][key] for key in knobs}
            study.add_trial(create_trial(params=tried, distributions=kinds, value=row["accuracy"]))
    return dict(study.ask(kinds).params)


def _is_whole(knob: Knob | Choices) -> bool:
    return isinstance(knob, Knob) and isinstance(knob.low, int) and isinstance(knob.high, int)


def _search(config: CompareConfig, name: str) -> str:
    """What the study says of a model's search."""
    return fingerprint(config.of(name).space, config.sampler_seed)[:16]


def _equals(fit: Fit, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that are done and differ from ``fit`` in their number only."""
    alike = replace(fit, trial=None)
    return [
        trial
        for trial in trials
        if trial.state == TrialState.COMPLETE
        and replace(Fit(**trial.user_attrs["point"]["set"]), trial=None) == alike
    ]


def _fit(config: CompareConfig, name: str) -> Fit:
    special, baseline = config.of(name), config.baseline(name)
    inputs, hybrid = special.inputs, False
    if baseline == LIQUID:
        inputs = "events"
    else:
        found = baseline_class(baseline)
        hybrid = "quantum" in found.Config.model_fields
        inputs = inputs or ("events" if found().kind == "sequence" else config.inputs)
    return Fit(name, name, baseline, inputs, 0, dict(special.set), "full" if hybrid else None)

"""A search for designs: what it may vary, what it looks for, and who proposes the next design."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.trial import FrozenTrial, Trial
from pydantic import BeforeValidator, Field, field_validator, model_validator

from neurosim import rng
from neurosim.config import StrictModel
from neurosim.errors import ExperimentError
from neurosim.study.ranges import Range, flat_ranges, number_type, value_types

Objective = Literal["accuracy", "energy", "area", "latency"]
Bounded = Literal["accuracy", "energy", "area", "latency", "cells", "tiles"]
Choices = Annotated[tuple[bool | int | float | str, ...], Field(strict=False)]


class Knob(Range):
    """A range of a number that a search chooses from.

    Attributes:
        step: Distance between neighbouring values; None: 1 for whole numbers, no grid for others.
    """

    step: int | float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _on_a_grid(self) -> Self:
        if self.step is None:
            return self
        if self.scale == "log":
            raise ValueError("step and scale = 'log' exclude each other; remove one")
        last = self.low + np.floor((self.high - self.low) / self.step + 1e-9) * self.step
        if not np.isclose(last, self.high):
            raise ValueError(f"high (={self.high:g}) is not low plus whole steps; the last one is {last:g}")
        return self


class SearchConfig(StrictModel):
    """A search for designs that no other design beats in every objective.

    Attributes:
        objectives: What counts: highest ``accuracy``; lowest ``energy`` and ``latency`` of a recording, and
            ``area``. Accuracy is that of the validation part, so that the test part judges what was found.
        n_trials: Designs that are tried, by all workers together.
        space: Dotted key of the experiment to its range, or to the list of its values.
        constraints: Bounds of a design that may be taken: at least this ``accuracy``, at most this
            ``energy``, ``latency``, ``area`` and number of ``cells`` and ``tiles`` (one tile is one macro).
        sampler: Who proposes designs: ``nsga2`` (evolution) or ``tpe`` (Bayesian).
        population: Designs of one generation of ``nsga2``; None: a fifth of ``n_trials``, 8 to 50.
        seed: Seed of the proposals.
    """

    objectives: tuple[Objective, ...] = Field(("accuracy", "energy"), min_length=1, strict=False)
    n_trials: int = Field(ge=1)
    space: Annotated[dict[str, Knob | Choices], BeforeValidator(flat_ranges)]
    constraints: dict[Bounded, int | float] = Field(default_factory=dict)
    sampler: Literal["nsga2", "tpe"] = "nsga2"
    population: int | None = Field(None, ge=2)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("objectives: one stands there twice; remove it")
        if wrong := [f"{name} = {bound:g}" for name, bound in self.constraints.items() if bound <= 0]:
            raise ValueError(f"constraints: {', '.join(wrong)} keeps every design out; give bounds above 0")
        if self.population and self.sampler != "nsga2":
            raise ValueError(f"population: sampler '{self.sampler}' has none; remove it")
        return self

    @field_validator("space")
    @classmethod
    def _choices(cls, space: dict[str, Knob | Choices]) -> dict[str, Knob | Choices]:
        if not space:
            raise ValueError("nothing to search; name keys of the experiment with a range or a list")
        for key, choices in space.items():
            if isinstance(choices, Knob):
                number_type(key, choices)
                continue
            value_types(key)
            if len(set(map(repr, choices))) < max(2, len(choices)):
                raise ValueError(f"{key}: a list needs two or more different values; one alone goes to [set]")
        return space


def distributions(config: SearchConfig) -> dict[str, BaseDistribution]:
    """The space as Optuna's distributions, one for every key."""
    return {
        key: distribution(knob, whole=isinstance(knob, Knob) and number_type(key, knob) is int)
        for key, knob in config.space.items()
    }


def distribution(knob: Knob | Choices, *, whole: bool) -> BaseDistribution:
    """A range, of whole numbers or all, or a list of values as Optuna's distribution."""
    if not isinstance(knob, Knob):
        return CategoricalDistribution(knob)
    log = knob.scale == "log"
    if whole:
        return IntDistribution(int(knob.low), int(knob.high), log=log, step=int(knob.step or 1))
    return FloatDistribution(knob.low, knob.high, log=log, step=knob.step)


def propose(config: SearchConfig, study: Study, trial_id: int) -> dict[str, Any]:
    """The design of a running trial: a value for every key of the space."""
    # a study of its own, since Optuna's keep the trials that they have once seen
    trial = Trial(Study(study.study_name, study._storage, make_sampler(config)), trial_id)
    design: dict[str, Any] = {}
    for key, kind in distributions(config).items():
        match kind:
            case CategoricalDistribution():
                design[key] = trial.suggest_categorical(key, kind.choices)
            case IntDistribution():
                design[key] = trial.suggest_int(key, kind.low, kind.high, step=kind.step, log=kind.log)
            case FloatDistribution():
                design[key] = trial.suggest_float(key, kind.low, kind.high, step=kind.step, log=kind.log)
    return design


class NumberedSampler(BaseSampler):
    """A sampler that starts from a new seed at every trial: that of the search and the trial's number.

    What it proposes depends on the number and on the designs that are done, and not on the process that asks:
    a search of one worker may stop and go on, and two workers never draw the same numbers.

    Args:
        make: Makes the sampler from a seed.
        seed: Seed of the search.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._sampler = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Take the trial's own seed."""
        self._sampler = self._make(rng.key(self._seed, f"study/search/{trial.number}") % 2**32)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Keys that are drawn together."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of those keys."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Value of a key that is drawn alone."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


def make_sampler(config: SearchConfig) -> BaseSampler:
    """The sampler that a search asks for designs.

    Source: NSGA-II: K. Deb et al., IEEE Trans. Evol. Comput. 6 (2002) 182, doi:10.1109/4235.996017.
        TPE: J. Bergstra et al., NeurIPS 24 (2011) 2546. Both as in Optuna.
    """
    if config.sampler == "tpe":
        return NumberedSampler(lambda seed: TPESampler(seed=seed), config.seed)
    size = config.population or min(50, max(8, config.n_trials // 5))
    return NumberedSampler(lambda seed: NSGAIISampler(population_size=size, seed=seed), config.seed)


def judge(config: SearchConfig, study: Study, trial_id: int, row: Mapping[str, Any]) -> list[float]:
    """What the design of a running trial reaches in every objective; how it keeps to the bounds is noted.

    Raises:
        ExperimentError: If the design's macro card does not know an objective or what is bounded.
    """
    values, beyond, trial = objective_values(config, row), violations(config, row), Trial(study, trial_id)
    for name, value in beyond.items():
        trial.set_constraint(name, value)
    return values


def directions(config: SearchConfig) -> list[Literal["maximize", "minimize"]]:
    """Optuna's direction of every objective."""
    return ["maximize" if name == "accuracy" else "minimize" for name in config.objectives]


def objective_values(config: SearchConfig, row: Mapping[str, Any]) -> list[float]:
    """What a design reaches in every objective.

    Raises:
        ExperimentError: If the macro card does not know an objective.
    """
    return [_measure(row, name) for name in config.objectives]


def violations(config: SearchConfig, row: Mapping[str, Any]) -> dict[str, float]:
    """How far a design is beyond every bound, relative to the bound; 0 and less keeps to it.

    Raises:
        ExperimentError: If the macro card does not know what is bounded.
    """
    beyond = {name: _measure(row, name) / bound - 1 for name, bound in config.constraints.items()}
    return {name: -value if name == "accuracy" else value for name, value in beyond.items()}


def _measure(row: Mapping[str, Any], name: str) -> float:
    value = row["validation_accuracy" if name == "accuracy" else name]
    if value is None:
        raise ExperimentError(
            f"search: the design's macro card does not give its {name}; take {name} out of objectives and "
            "constraints, or another array.macro"
        )
    return float(value)

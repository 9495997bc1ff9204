"""What a comparison is: which models, what is searched for each, and what is measured of them."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from neurosim.baselines import BASELINES, VARIANTS, Variant
from neurosim.config import StrictModel
from neurosim.errors import did_you_mean
from neurosim.study.ranges import flat, flat_ranges
from neurosim.study.search import Choices, Knob

Inputs = Literal["events", "images", "states"]
LIQUID = "liquid"
RECORDINGS = ("data", "events", "seed", "chips")  # of an experiment, what the liquids of a comparison share


def _flat_config(data: Any) -> Any:
    return flat(data, lambda value: not value)


Settings = Annotated[dict[str, Any], BeforeValidator(_flat_config)]
Space = Annotated[dict[str, Knob | Choices], BeforeValidator(flat_ranges)]
Shares = Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False)]


class ModelConfig(StrictModel):
    """A model of a comparison.

    Attributes:
        baseline: Name of the baseline, or ``liquid``; None: the model's own name.
        inputs: What it reads, see `CompareConfig`; ``states``: those of the base experiment's liquid.
        set: Values of its config; of the liquid, of the base experiment.
        space: What is searched: key to its range or the list of its values; None: what the baseline names, of
            the liquid its leak and its rate target. A list as value of the config gets one element.
        variants: Of a hybrid; None: those of the study.
    """

    baseline: str | None = None
    inputs: Inputs | None = None
    set: Settings = Field(default_factory=dict)
    space: Space | None = None
    variants: tuple[Variant, ...] | None = Field(None, strict=False)


class RobustnessConfig(StrictModel):
    """Test recordings that are disturbed, and devices that are worse than those trained on.

    Attributes:
        input_noise: Shares of a recording's events that are lost while as many fall at random; of an image,
            shares of its pixels that show a random grey [1].
        attack: Largest changes of a pixel, FGSM and PGD in 10 steps; of networks that read images [1].
        shots: Measurements per circuit of a hybrid trained on exact expectations; None: not tried.
        depolarising: Errors per gate and wire of a hybrid trained without any [1].
        read_noise: Relative read noise of a liquid's cells, trained at that of its device [1].
        n: Test recordings that are looked at, of all columns.
    """

    input_noise: Shares = (0.1, 0.3)
    attack: Shares = (0.1,)
    shots: int | None = Field(1024, ge=1)
    depolarising: Shares = (0.01,)
    read_noise: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False)] = (0.1, 0.3)
    n: int = Field(500, ge=1)


class CompareConfig(StrictModel):
    """Models beside the liquid of the base experiment, on its recordings.

    Attributes:
        models: Their names: ``liquid``, baselines, or tables of ``model``.
        model: What is special about a model, or a model of a name of your own.
        against: The model that the others are compared with; None: the first.
        inputs: What all read that can: ``events``, the binned recordings (networks of images read their sum
            over time); or ``images``, those that the recordings were made of. Models of sequences read events
            unless their own table says otherwise.
        seeds: Seeds of every model; of the liquid, numbers of its chips.
        n_trials: Settings of its space that are tried for every model, the first as it stands.
        trial_recordings: Training recordings in a trial; None: all.
        sampler_seed: Seed of the trials.
        training: Values of the recipe that all networks share, e.g. ``epochs``.
        sizes: Numbers of training recordings of the learning curves; all are always there.
        variants: What stands in a hybrid's circuit's place.
        references: Plain networks of many sizes that others are matched with: baseline to the values of some
            of its keys, of which the first ones make the first network, and so on. They take the settings
            that the search chose for the baseline.
        robustness: Disturbed recordings and devices; None: none.
    """

    models: tuple[str, ...] = Field(min_length=1, strict=False)
    model: dict[str, ModelConfig] = Field(default_factory=dict)
    against: str | None = None
    inputs: Literal["events", "images"] = "events"
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2), min_length=1, strict=False)
    n_trials: int = Field(4, ge=1)
    trial_recordings: int | None = Field(None, ge=2)
    sampler_seed: int = Field(0, ge=0)
    training: dict[str, Any] = Field(default_factory=dict)
    sizes: tuple[Annotated[int, Field(ge=2)], ...] = Field((), strict=False)
    variants: tuple[Variant, ...] = Field(VARIANTS, strict=False)
    references: dict[str, dict[str, list[Any]]] = Field(default_factory=dict)
    robustness: RobustnessConfig | None = RobustnessConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in self.models:
            self.baseline(name)
            special = self.of(name)
            fixed = [key for key in (*special.set, *(special.space or ())) if key.split(".")[0] in RECORDINGS]
            if self.baseline(name) == LIQUID and fixed:
                raise ValueError(f"model.{name}: {fixed[0]}: all read the same recordings; move it to [set]")
        for what, names in (("models", self.models), ("seeds", self.seeds), ("sizes", self.sizes)):
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: one stands there twice; remove it")
        if unused := sorted(self.model.keys() - {*self.models}):
            raise ValueError(f"model.{unused[0]}: not among models; add it there, or remove the table")
        if self.against is not None and self.against not in self.models:
            raise ValueError(f"against: '{self.against}'; {did_you_mean(self.against, self.models)}")
        for name, values in self.references.items():
            if name not in self.models or self.baseline(name) == LIQUID:
                raise ValueError(f"references.{name}: not a network among models; add it there")
            if not values or len({len(column) for column in values.values()}) != 1:
                raise ValueError(f"references.{name}: give every key as many values, one per network")
        return self

    @property
    def reference(self) -> str:
        """The model that the others are compared with."""
        return self.against or self.models[0]

    def baseline(self, name: str) -> str:
        """The baseline of a model, or ``liquid``.

        Raises:
            ValueError: If there is none.
        """
        found = self.model.get(name, ModelConfig()).baseline or name
        if found != LIQUID and found not in BASELINES:
            raise ValueError(f"models: no baseline '{found}'; {did_you_mean(found, [LIQUID, *BASELINES])}")
        return found

    def of(self, name: str) -> ModelConfig:
        """What is special about a model."""
        return self.model.get(name, ModelConfig())

    def reference_settings(self, name: str) -> Iterator[Mapping[str, Any]]:
        """Values that make every reference network of a baseline."""
        values = self.references[name]
        for row in zip(*values.values(), strict=True):
            yield dict(zip(values, row, strict=True))

"""What a zero-shot experiment is, and which classes it leaves unseen."""

from collections.abc import Sequence
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from neurosim import rng
from neurosim.array import ArrayConfig
from neurosim.config import StrictModel, validate
from neurosim.device import DeviceConfig
from neurosim.errors import ExperimentError
from neurosim.events.binning import BinningConfig
from neurosim.events.parts import DataConfig
from neurosim.experiment import AgeingConfig, Experiment, read_source
from neurosim.readout.contrastive import ContrastiveConfig
from neurosim.reservoir.config import ReservoirConfig

MAX_CHOICES = 400

AUTHORS_READOUT = ContrastiveConfig(
    loss="clip",
    width=64,
    similarity="dot",
    temperature=1.0,
    pairing="fixed",
    scaling="standard",
    learning_rate=1e-3,
    weight_decay=0.0,
    epochs=100,
    patience=100,
    batch_size=8,
)


class SenseConfig(StrictModel):
    """One sense: its recordings and the liquid that hears or sees them.

    Attributes:
        name: What reports call it.
        data, events, reservoir: As in an experiment.
    """

    name: str = Field(min_length=1, max_length=40)
    data: DataConfig
    events: BinningConfig = BinningConfig()
    reservoir: ReservoirConfig


class ClassesConfig(StrictModel):
    """Classes by name, which both senses must have.

    Attributes:
        seen: Those that the projections are trained on.
        unseen: Those that they never meet before the test.
    """

    seen: tuple[str, ...] = Field(min_length=2, strict=False)
    unseen: tuple[str, ...] = Field(min_length=2, strict=False)

    @model_validator(mode="after")
    def _apart(self) -> Self:
        every = [*self.seen, *self.unseen]
        if twice := sorted({name for name in every if every.count(name) > 1}):
            raise ValueError(f"class '{twice[0]}' stands twice; a class is either seen or unseen")
        return self


class WindowsConfig(StrictModel):
    """Choices of unseen classes where there are too many for all.

    Attributes:
        contiguous: Every run of as many neighbours, in the order of the names.
        random: Random choices beside them.
    """

    contiguous: bool = True
    random: int = Field(20, ge=0, le=MAX_CHOICES)


class PaperConfig(StrictModel):
    """The protocol of Lin et al., shown beside the other: one split, and the test chooses the epoch.

    Attributes:
        readout: Their projections, as far as their scripts show.
    """

    readout: ContrastiveConfig = AUTHORS_READOUT


class TrainedConfig(StrictModel):
    """SRNN-CLIP: spiking encoders trained through time in place of the random liquids, in software.

    Attributes:
        n_neurons: Neurons of each encoder, all connected with all.
        surrogate_width: Distance from the threshold within which a spike has a derivative [threshold].
        learning_rate: AdamW's rate.
        epochs: Most passes over the queries.
        patience: Passes without a better validation score after which training stops.
        batch_size: Pairs per step.
    """

    n_neurons: int = Field(200, ge=1, le=4096)
    surrogate_width: float = Field(0.25, gt=0, le=10)
    learning_rate: float = Field(1e-3, gt=0)
    epochs: int = Field(20, ge=1)
    patience: int = Field(6, ge=1)
    batch_size: int = Field(64, ge=2)


class ZeroShot(StrictModel):
    """A zero-shot experiment, as its TOML file says it.

    Attributes:
        name: Name in reports.
        seed: Seed of every random stream.
        chips: Device instances; the result is their mean with its interval.
        repeats: Trainings per chip, which differ in first weights and pairs.
        query, target: The sense that asks and the sense that is searched.
        device, array: The technology of both liquids' cells and the macros they stand in.
        ageing: As in an experiment; None: fitted at the age of use.
        readout: The two projections.
        classes: Seen and unseen classes.
        all_splits: Whether every choice of as many unseen classes is tried too.
        windows: Some of those choices instead; None: none.
        compare_ideal: Whether the same cells are also read without noise, faults, age, wires and converters.
        paper: The authors' protocol beside it; None leaves it out.
        trained: Trained encoders beside the random ones, on the named choice; None leaves them out.
        examples: Queries that the report shows with what they found.
    """

    schema_: Literal["neurosim.zero_shot/1"] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    seed: int = Field(0, ge=0)
    chips: int = Field(3, ge=1)
    repeats: int = Field(2, ge=1, le=100)
    query: SenseConfig
    target: SenseConfig
    device: DeviceConfig = DeviceConfig()
    array: ArrayConfig = ArrayConfig()
    ageing: AgeingConfig | None = None
    readout: ContrastiveConfig = ContrastiveConfig()
    classes: ClassesConfig
    all_splits: bool = False
    windows: WindowsConfig | None = None
    compare_ideal: bool = True
    paper: PaperConfig | None = PaperConfig()
    trained: TrainedConfig | None = None
    examples: int = Field(6, ge=0, le=40)

    @model_validator(mode="after")
    def _few_enough(self) -> Self:
        if self.all_splits and self.windows:
            raise ValueError("give all_splits or windows, not both")
        n = len(self.classes.seen) + len(self.classes.unseen)
        k = len(self.classes.unseen)
        if self.all_splits and comb(n, k) > MAX_CHOICES:
            raise ValueError(
                f"all_splits: {comb(n, k):,} choices of {k} of {n} classes, at most {MAX_CHOICES} are "
                "allowed; use windows"
            )
        return self

    def experiment(self, sense: SenseConfig, *, ideal: bool = False) -> Experiment:
        """One sense as an experiment without a readout; ``ideal``: the same cells without any error."""
        device, array, reservoir, ageing = self.device, self.array, sense.reservoir, self.ageing
        if ideal:
            none = {"sigma_read": 0.0, "p_stuck": 0.0, "p_dead_row": 0.0, "p_dead_col": 0.0}
            device = device.model_copy(update=none | {"n_cycles": 0.0, "t_after_programming": 0.0})
            array = ArrayConfig(macro=array.macro, pairs=array.pairs, adc_bits=0)
            reservoir = reservoir.model_copy(update={"read_noise": False})
            ageing = None
        return Experiment(
            schema="neurosim.experiment/1",
            name=self.name,
            seed=self.seed,
            data=sense.data,
            events=sense.events,
            device=device,
            array=array,
            reservoir=reservoir,
            ageing=ageing,
        )


def load_zero_shot(source: Path | str, overrides: Sequence[str] = ()) -> ZeroShot:
    """Read the TOML file of a zero-shot experiment; arguments and errors as `read_source`."""
    data, where = read_source(source, overrides)
    return validate(ZeroShot, data, where=where, error=ExperimentError)


def unseen_choices(config: ZeroShot) -> list[tuple[str, ...]]:
    """Choices of unseen classes, the named one first; classes are sorted by name, as are the choices."""
    names = sorted([*config.classes.seen, *config.classes.unseen])
    k = len(config.classes.unseen)
    named = tuple(sorted(config.classes.unseen))
    others: list[tuple[str, ...]] = []
    if config.all_splits:
        others += combinations(names, k)
    if config.windows:
        if config.windows.contiguous:
            others += [tuple(names[i : i + k]) for i in range(len(names) - k + 1)]
        draw = rng.stream(config.seed, "zero_shot/windows")
        found: set[tuple[str, ...]] = set()
        for _ in range(100 * config.windows.random):
            if len(found) == config.windows.random:
                break
            found.add(tuple(sorted(draw.choice(names, k, replace=False).tolist())))
        others += sorted(found - set(others))
    return list(dict.fromkeys([named, *others]))

"""Training, validation and test recordings: which they are, and how they are loaded, split and binned."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from neurosim import rng, store
from neurosim.config import StrictModel
from neurosim.errors import ExperimentError
from neurosim.events import datasets
from neurosim.events.binning import BinningConfig, bin_events
from neurosim.events.camera import CameraConfig
from neurosim.events.cochlea import AugmentConfig, CochleaConfig
from neurosim.events.cortex import CortexConfig
from neurosim.events.pen import PenConfig
from neurosim.events.rate import RateConfig
from neurosim.events.types import Binned, Events

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
Chosen = dict[Part, list[datasets.Selection]]  # source by source


class DataSource(StrictModel):
    """Recordings of one data set.

    Attributes:
        dataset: Name or path of a dataset card.
        split: A split of the card, or ``all`` for every split that is there.
        skip: Recordings left out at the beginning, of those of the chosen speakers.
        n: Number of recordings, evenly over the classes; None takes all.
        speakers: Speakers whose recordings are taken; None is all of them.
        not_speakers: Speakers whose recordings are left out.
    """

    dataset: str = "mnist-saccades"
    split: str
    skip: int = Field(0, ge=0)
    n: int | None = Field(None, ge=1)
    speakers: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    not_speakers: Annotated[tuple[str, ...], Field(strict=False)] = ()

    def shares_with(self, other: "DataSource") -> bool:
        """Whether both are sure to share recordings, or differ only in the speakers that they leave out."""
        if self.dataset != other.dataset or self._misses(other) or other._misses(self):
            return False
        pair = (self, other)
        whole = [(part.skip, part.n) == (0, None) for part in pair]
        if self.split != other.split:
            return any(all_ and part.split == "all" for all_, part in zip(whole, pair, strict=True))
        chosen = [(part.speakers and {*part.speakers}, {*part.not_speakers}) for part in pair]
        if chosen[0] != chosen[1]:  # skip and n count among other recordings
            return any(whole)
        return (
            self.skip == other.skip
            or (self.n is None and self.skip < other.skip)
            or (other.n is None and other.skip < self.skip)
        )

    def _misses(self, other: "DataSource") -> bool:
        """Whether it names its speakers, and the other takes none of them."""
        left = {*(self.speakers or ())} - {*self.not_speakers, *other.not_speakers}
        return self.speakers is not None and not (
            left if other.speakers is None else left & {*other.speakers}
        )


class DataPart(DataSource):
    """Recordings of one part.

    Attributes:
        dataset: Name or path of a dataset card.
        split: A split of the card, or ``all`` for every split that is there.
        skip: Recordings left out at the beginning, of those of the chosen speakers.
        n: Number of recordings, evenly over the classes; None takes all.
        speakers: Speakers whose recordings are taken; None is all of them.
        not_speakers: Speakers whose recordings are left out.
        also: More recordings of the part, from other data sets or splits; tables with the keys above.
    """

    also: Annotated[tuple[DataSource, ...], Field(strict=False)] = ()

    @property
    def sources(self) -> tuple[DataSource, ...]:
        """All that it takes recordings of."""
        return (self, *self.also)

    def overlaps(self, other: Self) -> bool:
        """Whether both are sure to share recordings."""
        return any(a.shares_with(b) for a in self.sources for b in other.sources)


class DataConfig(StrictModel):
    """Training, validation and test recordings, named apart.

    Attributes:
        train, test: The two parts.
        validation: The part that chooses; None holds out ``validation_share`` of the training part.
        validation_share: That share, drawn evenly over the classes.
        augment: Distorted copies of the training sounds; validation has none, nor training any of its sounds.
        camera: Constants of the simulated camera, for data sets made from images.
        cochlea: Constants of the simulated cochlea, for data sets made from sounds.
        rate: How images become rates, for data sets whose cards say so.
        pen: How letters are written, for simulated handwriting and its images.
        cortex: Constants of the simulated motor cortex.
    """

    train: DataPart
    test: DataPart
    validation: DataPart | None = None
    validation_share: float = Field(0.1, gt=0, lt=1)
    augment: AugmentConfig | None = None
    camera: CameraConfig = CameraConfig()
    cochlea: CochleaConfig = CochleaConfig()
    rate: RateConfig = RateConfig()
    pen: PenConfig = PenConfig()
    cortex: CortexConfig = CortexConfig()

    @model_validator(mode="after")
    def _apart(self) -> Self:
        parts = [(name, part) for name in PARTS if (part := getattr(self, name)) is not None]
        for (earlier, part), (later, other) in combinations(parts, 2):
            if part.overlaps(other):
                raise ValueError(
                    f"{later} takes recordings of {earlier}, and a score on them would mean nothing; "
                    "give it another split, skip or speakers"
                )
        return self


def select(
    data: DataConfig, *, seed: int, data_dir: Path | None = None
) -> dict[Part, list[datasets.Selection]]:
    """The recordings that the parts name, source by source; nothing is read or simulated yet.

    Args:
        data: The parts.
        seed: Seed of the simulated sensors.
        data_dir: Folder of the data sets; None is ``datasets.data_dir()``.

    Raises:
        NeurosimError: See `datasets.select`.
    """

    def of(source: DataSource, name: Part) -> datasets.Selection:
        return datasets.select(
            source.dataset,
            source.split,
            data_dir=data_dir,
            skip=source.skip,
            n=source.n,
            speakers=source.speakers,
            not_speakers=source.not_speakers,
            seed=seed,
            camera=data.camera,
            cochlea=data.cochlea,
            rate=data.rate,
            pen=data.pen,
            cortex=data.cortex,
            augment=data.augment if name == "train" else None,
        )

    parts = {name: getattr(data, name) for name in PARTS}
    return {name: [of(s, name) for s in part.sources] for name, part in parts.items() if part is not None}


def load(data: DataConfig, chosen: Chosen, progress: Callable[[str, int, int], None]) -> dict[Part, Events]:
    """The recordings themselves; of augmented sounds all originals, then a copy of each, then the next.

    Args:
        data: The parts.
        chosen: Their recordings, from `select`.
        progress: Called with the part's name, how many of its recordings are ready, and how many there are.

    Raises:
        ExperimentError: If the parts have not the same sensor and classes.
    """
    loaded = {
        name: [one.load(partial(progress, f"events: {name}")) for one in part]
        for name, part in chosen.items()
    }
    if len({(some.sensor, some.classes) for part in loaded.values() for some in part}) > 1:
        raise ExperimentError("data.train, .validation and .test differ in sensor or classes; name others")
    if augment := data.augment:
        versions = 1 + augment.copies
        loaded["train"] = [
            part[k * len(part) // versions : (k + 1) * len(part) // versions]
            for k in range(versions)
            for part in loaded["train"]
        ]
    return {name: Events.join(part) for name, part in loaded.items()}


def split(
    data: DataConfig, binning: BinningConfig, events: dict[Part, Events], *, seed: int
) -> dict[str, Binned]:
    """Binned recordings of all three parts; the same share of every class is held out for validation.

    Args:
        data: The parts.
        binning: How recordings are cut into steps.
        events: Their recordings, from `load`.
        seed: Seed of the draw.

    Raises:
        ExperimentError: If a class has too few recordings to hold one out.
    """
    binned: dict[str, Binned] = {part: bin_events(one, binning) for part, one in events.items()}
    if "validation" not in binned:
        versions = 1 + data.augment.copies if data.augment else 1
        train = binned["train"]
        originals = train[: len(train) // versions]  # whose copies stand after all of them
        held = held_out(originals.labels, originals.classes, data.validation_share, seed)
        binned |= {"train": train[~np.tile(held, versions)], "validation": originals[held]}
    return binned


def images(data: DataConfig, chosen: Chosen, *, seed: int) -> dict[Part, npt.NDArray[np.uint8]]:
    """The images that the recordings of `split` are made of, in their order, uint8 (n, h, w).

    Args:
        data: The parts.
        chosen: Their recordings, from `select`.
        seed: Seed of the draw of the validation part.

    Raises:
        ExperimentError: If recordings are made of something else.
    """
    found = {name: np.concatenate([one.images() for one in some]) for name, some in chosen.items()}
    if "validation" not in found:
        labels = np.concatenate([one.labels for one in chosen["train"]])
        held = held_out(labels, chosen["train"][0].card.classes, data.validation_share, seed)
        found |= {"train": found["train"][~held], "validation": found["train"][held]}
    return found


def held_out(
    labels: npt.NDArray[np.int64], classes: Sequence[str], share: float, seed: int
) -> npt.NDArray[np.bool_]:
    """A random ``share`` of every class, at least one recording and never all."""
    draw = rng.stream(seed, "data/validation").random(len(labels))
    held = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise ExperimentError(
                f"data.train has one recording of class '{classes[label]}', so that none can be held "
                "out for validation; raise data.train.n, or name data.validation"
            )
        n = min(max(1, round(share * len(members))), len(members) - 1)
        held[members[np.argsort(draw[members])[:n]]] = True
    return held


def digest(binned: Binned) -> list[Any]:
    """What the states depend on of a part, in a few hashes."""
    return [
        store.digest(binned.channels),
        store.digest(binned.ptr),
        store.digest(binned.labels),
        repr(binned.sensor),
        binned.dt,
    ]

"""The recordings of a comparison in the forms that models read."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim import rng
from neurosim.baselines.base import Kind
from neurosim.config import fingerprint
from neurosim.errors import ExperimentError
from neurosim.events import parts
from neurosim.events.parts import Part
from neurosim.events.types import Binned
from neurosim.experiment import Encoded, Experiment, Prepared, encode
from neurosim.reservoir.chip import Chip, chip_states
from neurosim.study.compare.config import Inputs

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Recordings:
    """Training, validation and test recordings.

    Attributes:
        experiment: The base experiment.
        prepared: Its recordings, or a selection of them.
        data_dir: Folder of the data sets.
        rows: Of all training recordings, those that are here; None: all.
    """

    experiment: Experiment
    prepared: Prepared
    data_dir: Path | None = None
    rows: npt.NDArray[np.int64] | None = None
    _images: dict[Part, Array] = field(default_factory=dict)  # once for all selections

    def labels(self, part: Part) -> npt.NDArray[np.int64]:
        """Class codes (n,)."""
        return self.prepared.binned[part].labels

    def fewer(self, n: int | None, seed: int) -> "Recordings":
        """With ``n`` training recordings, evenly over the classes; more of them contain fewer of them.

        Args:
            n: How many; None, or more than there are: all.
            seed: Of the draw.

        Raises:
            ExperimentError: If a class is left without any.
        """
        binned = self.prepared.binned
        if n is None or n >= len(binned["train"]):
            return self
        labels = binned["train"].labels
        if n < (n_classes := len(np.unique(labels))):
            raise ExperimentError(
                f"{n} training recordings are too few for {n_classes} classes; raise compare.sizes or "
                "compare.trial_recordings"
            )
        order = rng.stream(seed, "study/compare/rows").permutation(len(labels))
        rank = np.empty(len(labels), np.int64)  # of a recording among those of its class
        for label in np.unique(labels):
            members = order[labels[order] == label]
            rank[members] = np.arange(len(members))
        rows = np.sort(order[np.argsort(rank[order], kind="stable")][:n])
        prepared = replace(
            self.prepared,
            binned={**binned, "train": binned["train"][rows]},
            content=fingerprint(self.prepared.content, rows.tolist()),
        )
        return replace(self, prepared=prepared, rows=rows)

    def view(self, part: Part, kind: Kind, inputs: Inputs, chip: int = 0) -> Array:
        """Samples as a model of ``kind`` reads them.

        Args:
            part: Which part.
            kind: What the model reads.
            inputs: ``events``: of sequences frames (n, T, channel), of vectors the events of every channel
                (n, channel), of images the events of every pixel, over the largest number of training (n, h,
                w); ``images``: uint8 (n, h, w); ``states``: (n, n_states).
            chip: Chip whose states they are.

        Raises:
            ExperimentError: If images are asked for and the recordings are not made of any.
        """
        match inputs:
            case "images":
                images = self.images(part)
                return images if part != "train" or self.rows is None else images[self.rows]
            case "states":
                return self.encoded(chip).states[part]
        return self._of_events(self.prepared.binned[part], kind)

    def disturbed(self, share: float, n: int, kind: Kind, inputs: Inputs, chip: int = 0) -> Array:
        """The first ``n`` test samples, of which a share of the events, or pixels, is replaced at random."""
        if inputs == "images":
            images = self.images("test")[:n]
            draw = rng.stream(self.experiment.seed, f"study/compare/pixels/{share}")
            random = draw.integers(0, 256, images.shape, np.uint8)
            return np.where(draw.random(images.shape) < share, random, images)
        binned = self.disturbed_events(share, n)
        if inputs == "states":
            return states_of(self.encoded(chip).chip, binned)
        return self._of_events(binned, kind)

    def disturbed_events(self, share: float, n: int) -> Binned:
        """The first ``n`` test recordings with a share of their events lost and as many fallen anywhere."""
        draw = rng.stream(self.experiment.seed, f"study/compare/events/{share}")
        return replace_events(self.prepared.binned["test"][:n], share, draw)

    def encoded(self, chip: int, experiment: Experiment | None = None) -> Encoded:
        """The recordings as the liquid of a chip answers to them, by default that of the base experiment."""
        return encode(experiment or self.experiment, self.prepared, number=chip)

    def images(self, part: Part) -> Array:
        """The images that all recordings of a part were made of, uint8 (n, h, w)."""
        if not self._images:
            data, seed = self.experiment.data, self.experiment.seed
            chosen = parts.select(data, seed=seed, data_dir=self.data_dir)
            self._images.update(parts.images(data, chosen, seed=seed))
        return self._images[part]

    @cached_property
    def _most(self) -> float:
        """Largest number of events of a pixel in a training recording."""
        return float(max(1, _pixels(self.prepared.binned["train"]).max(initial=1)))

    def _of_events(self, binned: Binned, kind: Kind) -> Array:
        if kind == "sequence":
            return frames(binned)
        if kind == "vector":
            return counts(binned)
        return np.minimum(_pixels(binned) / self._most, 1).astype(np.float32)


def frames(binned: Binned) -> Array:
    """Events of every step and channel, (n, T, channel) in the narrowest unsigned type."""
    return np.stack([binned.dense(i) for i in range(len(binned))])


def counts(binned: Binned) -> Array:
    """Events of every channel, all steps together, float32 (n, channel)."""
    n = binned.sensor.n_channels
    channels = [binned.channels[steps[0] : steps[-1]] for steps in binned.ptr]
    return np.stack([np.bincount(some, minlength=n) for some in channels]).astype(np.float32)


def _pixels(binned: Binned) -> Array:
    """Events of every pixel, both polarities together, (n, h, w)."""
    sensor = binned.sensor
    pixels: Array = counts(binned).reshape(-1, sensor.height, sensor.width, sensor.polarities).sum(3)
    return pixels


def replace_events(binned: Binned, share: float, draw: np.random.Generator) -> Binned:
    """Recordings of which every event is lost with probability ``share``, and as many fall anywhere.

    The number of new ones of a recording is drawn as binomially as that of the lost ones. Where a channel
    counts once a step, an event that falls on another one is lost.
    """
    channels, ends = binned.packed()
    n_steps, n_channels = binned.n_steps, binned.sensor.n_channels
    cells = np.repeat(np.arange(len(binned) * n_steps), np.diff(ends)) * n_channels + channels
    n_events = np.diff(ends[::n_steps])
    places = n_steps * n_channels
    new = np.repeat(np.arange(len(binned)), draw.binomial(n_events, share)) * places
    new += draw.integers(0, places, len(new))
    cells = np.sort(np.concatenate([cells[draw.random(len(cells)) >= share], new]))
    if binned.max_count == 1:
        cells = np.unique(cells)
    steps = np.searchsorted(cells, np.arange(len(binned) * n_steps + 1) * n_channels)
    ptr = np.column_stack([steps[:-1].reshape(-1, n_steps), steps[n_steps::n_steps]])
    most = int(np.unique(cells, return_counts=True)[1].max(initial=1))
    return Binned(
        (cells % n_channels).astype(np.uint16),
        ptr,
        binned.labels,
        binned.sensor,
        binned.dt,
        binned.classes,
        max(most, binned.max_count),
    )


def states_of(chip: Chip, binned: Binned) -> Array:
    """States of recordings on a chip, read at moments of their own."""
    (states,) = chip_states([chip], binned, [chip.reads(chip.liquid.config.n_reads)], use="disturbed")
    return states.x

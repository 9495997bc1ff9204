"""Named data sets: from a card and a folder of files to recordings.

Recordings are simulated or read in blocks of ``BLOCK``, and every block is kept in the packed store under the
hash of all it depends on. So each recording is only paid for once, whatever part of a split is asked for, and
an interrupted run goes on where it stopped.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim import store
from neurosim.cards import DatasetCard, Split, cite, load_dataset, shipped_folder
from neurosim.config import fingerprint
from neurosim.errors import CardError, DataNotFoundError, EventFileError, ExperimentError, did_you_mean
from neurosim.events import idx
from neurosim.events.blocks import SOUNDS, Block, Part, Sensors, make_blocks, sensor_of
from neurosim.events.camera import CameraConfig
from neurosim.events.cochlea import AugmentConfig, CochleaConfig
from neurosim.events.cortex import CortexConfig
from neurosim.events.pen import PenConfig
from neurosim.events.rate import RateConfig
from neurosim.events.types import Events, Sensor

BLOCK = 1000
# called with the number of recordings that are ready and the number of all
Progress = Callable[[int, int], None]


def data_dir() -> Path:
    """Folder of the data sets: ``$NEUROSIM_DATA``, else ``data`` in the user's cache folder."""
    path = os.environ.get("NEUROSIM_DATA")
    return Path(path) if path else store.cache_dir() / "data"


@dataclass(frozen=True, eq=False)
class Selection:
    """Recordings of a data set before they are made, see `load`.

    Attributes:
        card: The data set.
        blocks: All blocks of the split.
        chosen: int64 (n,), numbers of the recordings in the blocks.
    """

    card: DatasetCard
    blocks: tuple[Block, ...]
    chosen: npt.NDArray[np.int64]

    @property
    def key(self) -> str:
        """Hash of all that the recordings depend on."""
        keys = [block.key for block in self.blocks]
        return fingerprint(self.card.model_dump(mode="json"), keys, store.digest(self.chosen))

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Class indices, int64 (n,)."""
        labels: npt.NDArray[np.int64] = np.concatenate([block.labels for block in self.blocks])[self.chosen]
        return labels

    def images(self) -> npt.NDArray[np.uint8]:
        """The images that the recordings are made of, uint8 (n, h, w).

        Raises:
            ExperimentError: If they are made of something else.
        """
        images = [block.images for block in self.blocks if block.images is not None]
        if len(images) < len(self.blocks):
            raise ExperimentError(
                f"data set '{self.card.name}': its recordings are not made of images; take inputs = 'events'"
            )
        return np.concatenate(images)[self.chosen]

    def load(self, progress: Progress | None = None) -> Events:
        """The recordings in the order of the data set; memory-mapped."""
        return _gather(self.blocks, self.chosen, self.card, progress or (lambda _done, _total: None))


def load(card: DatasetCard | str, split: str, *, progress: Progress | None = None, **choice: Any) -> Events:
    """Recordings of one part of a data set, in its order; memory-mapped.

    Arguments and errors are those of `select`; ``progress`` is called with the number of recordings that are
    ready and that of all.
    """
    return select(card, split, **choice).load(progress)


def select(
    card: DatasetCard | str,
    split: str,
    *,
    data_dir: Path | None = None,
    skip: int = 0,
    n: int | None = None,
    speakers: Sequence[str] | None = None,
    not_speakers: Sequence[str] = (),
    seed: int = 0,
    camera: CameraConfig | None = None,
    cochlea: CochleaConfig | None = None,
    rate: RateConfig | None = None,
    pen: PenConfig | None = None,
    cortex: CortexConfig | None = None,
    augment: AugmentConfig | None = None,
) -> Selection:
    """Choose recordings of one part of a data set; nothing is read or simulated yet but labels.

    Args:
        card: A dataset card, its name, or the path of its TOML file.
        split: A split of the card, or ``"all"`` for those that are there.
        data_dir: Folder of the data sets; the default is ``data_dir()``.
        skip: Number of recordings left out at the beginning, of those of the chosen speakers.
        n: Number of recordings, evenly over the classes and the first of each; None takes all.
        speakers: Speakers whose recordings are taken; None is all of the split.
        not_speakers: Speakers whose recordings are left out.
        seed: Seed of the simulated sensors.
        camera: Constants of the simulated camera; None is the calibrated default.
        cochlea: Constants of the simulated cochlea; None is the default.
        rate: How images become rates; None is the default.
        pen: How letters are written; None is the default.
        cortex: Constants of the simulated motor cortex; None is the default.
        augment: Distorted copies of the chosen recordings, which follow after all of them; sounds only.

    Raises:
        DataNotFoundError: If the files are not there; says where to put them and how to get them.
        ExperimentError: If there is no such split or speaker, fewer recordings than asked for, or what is to
            be augmented is no sound.
        EventFileError: If a file does not hold what its format says.
        CardError: If the card is wrong.
        MissingExtraError: If the data set is made by a package that is not installed.
    """
    card = load_dataset(card) if isinstance(card, str) else card
    if Sensor(**card.sensor.model_dump()) != (sensor := sensor_of(card)):
        raise CardError(f"data set '{card.name}': sensor: format '{card.format}' has {sensor}")
    folder = _folder(card, data_dir)
    if augment is not None and card.format not in SOUNDS:
        raise ExperimentError(f"data set '{card.name}': augment: only sounds can be distorted; leave it out")
    sensors = Sensors(
        camera or CameraConfig(),
        cochlea or CochleaConfig(),
        rate or RateConfig(),
        pen or PenConfig(),
        cortex or CortexConfig(),
        seed,
    )
    blocks = list(_blocks(card, split, folder, sensors))
    labels = np.concatenate([block.labels for block in blocks])
    if (wrong := (labels < 0) | (labels >= len(card.classes))).any():
        first = int(wrong.argmax())
        raise EventFileError(
            f"data set '{card.name}', split '{split}': recording {first} has label "
            f"{labels[first] + card.first_label}, the card names {len(card.classes)} classes; add the others "
            "to it, or get the file again"
        )
    among = _spoken_by(blocks, card, speakers, not_speakers)
    chosen = among[_choose(labels[among], card.classes, skip, n)]
    if augment is not None:
        chosen = np.concatenate([chosen + k * len(labels) for k in range(1 + augment.copies)])
        for copy in range(1, 1 + augment.copies):
            blocks += _blocks(card, split, folder, sensors, (copy, augment))
    return Selection(card, tuple(blocks), chosen)


def places(card: DatasetCard, data_dir: Path | None = None) -> dict[str, Path]:
    """Where the splits of a data set stand; those that are not on this machine are left out."""
    folder = _folder(card, data_dir)
    return {name: place for name, part in card.splits.items() if (place := _find(part, folder))}


def _folder(card: DatasetCard, folder: Path | None) -> Path:
    return shipped_folder(card.folder) if card.embedded else folder or data_dir()


def _blocks(
    card: DatasetCard,
    split: str,
    folder: Path,
    sensors: Sensors,
    copy: tuple[int, AugmentConfig] | None = None,
) -> Iterator[Block]:
    """Blocks of one split, or of every split that is there; of sounds also a distorted copy of them."""
    if split != "all" and split not in card.splits:
        hint = did_you_mean(split, [*card.splits, "all"])
        raise ExperimentError(f"data set '{card.name}' has no split '{split}'; {hint}")
    found = {name: place for name, place in places(card, folder).items() if split in (name, "all")}
    if not found:
        wanted = [part for name, part in card.splits.items() if split in (name, "all")]
        looked = ", ".join(dict.fromkeys(place for part in wanted for place in part.data))
        get = f"with 'neurosim datasets fetch {card.name}'" if card.files else f"from {'; '.join(cite(card))}"
        raise DataNotFoundError(
            f"data set '{card.name}', split '{split}': none of {looked} in {folder}; name another folder "
            f"with --data DIR or $NEUROSIM_DATA, or get the files {get}"
        )
    for name, place in found.items():
        yield from make_blocks(Part(card, name, folder, place, sensors, BLOCK, copy))


def _find(split: Split, folder: Path) -> Path | None:
    return next((folder / place for place in split.data if idx.exists(folder / place)), None)


def _spoken_by(
    blocks: list[Block], card: DatasetCard, speakers: Sequence[str] | None, not_speakers: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Indices of the recordings of these speakers, ascending."""
    n = sum(len(block.labels) for block in blocks)
    if speakers is None and not not_speakers:
        return np.arange(n)
    who = np.array([speaker for block in blocks for speaker in block.speakers])
    if len(who) < n:
        raise ExperimentError(
            f"data set '{card.name}' does not say who speaks; leave speakers and not_speakers out"
        )
    known = np.unique(who).tolist()
    for key, names in (("speakers", speakers or ()), ("not_speakers", not_speakers)):
        for name in names:
            if name not in known:
                raise ExperimentError(
                    f"{key}: data set '{card.name}' has no speaker '{name}' here; {did_you_mean(name, known)}"
                )
    wanted = known if speakers is None else speakers
    found = np.flatnonzero(np.isin(who, list(wanted)) & ~np.isin(who, list(not_speakers)))
    if not len(found):
        raise ExperimentError(f"data set '{card.name}': no speaker is left; shorten not_speakers")
    return found


def _choose(
    labels: npt.NDArray[np.int64], classes: tuple[str, ...], skip: int, n: int | None
) -> npt.NDArray[np.int64]:
    """Indices of the recordings asked for, ascending."""
    if not 0 <= skip < len(labels):
        raise ExperimentError(f"skip (={skip}) must be from 0 to {len(labels) - 1}, one less than there are")
    rest = np.arange(skip, len(labels))
    if n is None:
        return rest
    if n < 1:
        raise ExperimentError(f"n (={n}) must be at least 1; leave it out for all recordings")
    k = len(classes)
    members = [rest[labels[rest] == c] for c in range(k)]
    quota = n // k + (np.arange(k) < n % k)
    for name, found, wanted in zip(classes, members, quota, strict=True):
        if len(found) < wanted:
            raise ExperimentError(
                f"n (={n}) needs {wanted} recordings of class '{name}', there are {len(found)}; "
                f"ask for at most {k * min(map(len, members))}, or leave n out for all recordings"
            )
    return np.sort(np.concatenate([found[:q] for found, q in zip(members, quota, strict=True)]))


def _gather(
    blocks: Sequence[Block], chosen: npt.NDArray[np.int64], card: DatasetCard, progress: Progress
) -> Events:
    """The chosen recordings of all blocks, joined in files so that memory holds one block at a time."""
    parts: list[tuple[Events, npt.NDArray[np.int64]]] = []
    first = 0
    for block in blocks:
        inside = (chosen >= first) & (chosen < first + len(block.labels))
        if inside.any():
            parts.append((_cached(block, card), chosen[inside] - first))
            progress(int(np.searchsorted(chosen, first + len(block.labels))), len(chosen))
        first += len(block.labels)
    lengths = np.concatenate([np.diff(events.offsets)[index] for events, index in parts])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    channel, t = _scratch(offsets[-1], np.uint16), _scratch(offsets[-1], np.int32)
    start = 0
    for events, index in parts:
        some = events[index]
        stop = start + len(some.t)
        channel[start:stop], t[start:stop] = some.channel, some.t
        start = stop
    labels = np.concatenate([events.labels[index] for events, index in parts])
    return Events(channel, t, offsets, labels, sensor_of(card), card.classes)


def _cached(block: Block, card: DatasetCard) -> Events:
    """A block from the store; made and stored where it is missing or damaged."""
    path = store.cache_dir() / "events" / block.key
    entry = store.load(path)
    if entry is None:
        events = block.make()
        made: store.Arrays = {"channel": events.channel, "t": events.t, "offsets": events.offsets}
        store.save(path, made, {"data set": card.name, "recordings": len(events)})
        entry = store.load(path) or (made, {})  # memory maps from here on
    arrays, _ = entry
    sensor = sensor_of(card)
    return Events(arrays["channel"], arrays["t"], arrays["offsets"], block.labels, sensor, card.classes)


def _scratch(size: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Array in a file that vanishes with the array."""
    with tempfile.TemporaryFile(dir=store.cache_dir()) as file:
        return np.memmap(file, dtype, "w+", shape=max(size, 1))[:size]

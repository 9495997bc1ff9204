"""Named data sets: from a card and a folder of files to recordings.

Recordings are simulated or read in blocks of ``BLOCK``, and every block is kept in the packed store under the
hash of all it depends on. So each recording is only paid for once, whatever part of a split is asked for, and
an interrupted run goes on where it stopped.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim import store
from neurosim.cards import DatasetCard, Split, load_dataset, shipped_folder
from neurosim.config import fingerprint
from neurosim.errors import CardError, DataNotFoundError, EventFileError, ExperimentError, did_you_mean
from neurosim.events import idx, nmnist, ntidigits
from neurosim.events.camera import SENSOR as CAMERA
from neurosim.events.camera import CameraConfig, saccade_path, simulate_camera
from neurosim.events.types import Events, Sensor

BLOCK = 1000
SENSORS = {"idx": CAMERA, "nmnist": nmnist.SENSOR, "ntidigits": ntidigits.SENSOR}

# called with the number of recordings that are ready and the number of all
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class _Block:
    """Consecutive recordings before they are made.

    Attributes:
        labels: int64 (n,).
        key: Hash of all they depend on.
        make: Reads or simulates them.
    """

    labels: npt.NDArray[np.int64]
    key: str
    make: Callable[[], Events]


@dataclass(frozen=True, eq=False)
class Selection:
    """Recordings of a data set before they are made, see `load`.

    Attributes:
        card: The data set.
        blocks: All blocks of the split.
        chosen: int64 (n,), numbers of the recordings in the split.
    """

    card: DatasetCard
    blocks: tuple[_Block, ...]
    chosen: npt.NDArray[np.int64]

    @property
    def key(self) -> str:
        """Hash of all that the recordings depend on."""
        keys = [block.key for block in self.blocks]
        return fingerprint(self.card.model_dump(mode="json"), keys, store.digest(self.chosen))

    def load(self, progress: Progress | None = None) -> Events:
        """The recordings in the order of the data set; memory-mapped."""
        return _gather(self.blocks, self.chosen, self.card, progress or (lambda _done, _total: None))


def data_dir() -> Path:
    """Folder of the data sets: ``$NEUROSIM_DATA``, else ``data`` in the user's cache folder."""
    path = os.environ.get("NEUROSIM_DATA")
    return Path(path) if path else store.cache_dir() / "data"


def load(
    card: DatasetCard | str,
    split: str,
    *,
    data_dir: Path | None = None,
    skip: int = 0,
    n: int | None = None,
    seed: int = 0,
    camera: CameraConfig | None = None,
    progress: Progress | None = None,
) -> Events:
    """Recordings of one part of a data set, in its order; memory-mapped.

    Arguments and errors are those of `select`; ``progress`` is called with the number of recordings that are
    ready and that of all.
    """
    chosen = select(card, split, data_dir=data_dir, skip=skip, n=n, seed=seed, camera=camera)
    return chosen.load(progress)


def select(
    card: DatasetCard | str,
    split: str,
    *,
    data_dir: Path | None = None,
    skip: int = 0,
    n: int | None = None,
    seed: int = 0,
    camera: CameraConfig | None = None,
) -> Selection:
    """Choose recordings of one part of a data set; nothing is read or simulated yet but labels.

    Args:
        card: A dataset card, its name, or the path of its TOML file.
        split: A split of the card, or ``"all"`` for those that are there.
        data_dir: Folder of the data sets; the default is ``data_dir()``.
        skip: Number of recordings left out at the beginning.
        n: Number of recordings, evenly over the classes and the first of each; None takes all.
        seed: Seed of the simulated camera.
        camera: Constants of the simulated camera; None is the calibrated default.

    Raises:
        DataNotFoundError: If the files are not there; says where to put them and how to get them.
        ExperimentError: If there is no such split, or fewer recordings than asked for.
        EventFileError: If a file does not hold what its format says.
        CardError: If the card is wrong.
    """
    card = load_dataset(card) if isinstance(card, str) else card
    if Sensor(**card.sensor.model_dump()) != SENSORS[card.format]:
        raise CardError(f"data set '{card.name}': sensor: format '{card.format}' has {SENSORS[card.format]}")
    folder = _folder(card, data_dir)
    blocks = list(_blocks(card, split, folder, camera=camera or CameraConfig(), seed=seed))
    labels = np.concatenate([block.labels for block in blocks])
    if labels.max() >= len(card.classes):
        first = int((labels >= len(card.classes)).argmax())
        raise EventFileError(
            f"data set '{card.name}', split '{split}': recording {first} has label {labels[first]}, "
            f"the card names {len(card.classes)} classes; add the others to it, or get the file again"
        )
    return Selection(card, tuple(blocks), _choose(labels, card.classes, skip, n))


def places(card: DatasetCard, data_dir: Path | None = None) -> dict[str, Path]:
    """Where the splits of a data set stand; those that are not on this machine are left out."""
    folder = _folder(card, data_dir)
    return {name: place for name, part in card.splits.items() if (place := _find(part, folder))}


def _folder(card: DatasetCard, folder: Path | None) -> Path:
    return shipped_folder(card.folder) if card.embedded else folder or data_dir()


def _blocks(
    card: DatasetCard, split: str, folder: Path, *, camera: CameraConfig, seed: int
) -> Iterator[_Block]:
    """Blocks of one split, or of every split that is there."""
    if split != "all" and split not in card.splits:
        hint = did_you_mean(split, [*card.splits, "all"])
        raise ExperimentError(f"data set '{card.name}' has no split '{split}'; {hint}")
    found = {name: place for name, place in places(card, folder).items() if split in (name, "all")}
    if not found:
        wanted = [part for name, part in card.splits.items() if split in (name, "all")]
        looked = ", ".join(dict.fromkeys(place for part in wanted for place in part.data))
        raise DataNotFoundError(
            f"data set '{card.name}', split '{split}': none of {looked} in {folder}; name another folder "
            f"with --data DIR or $NEUROSIM_DATA, or get the files with 'neurosim datasets fetch {card.name}'"
        )
    for name, place in found.items():
        match card.format:
            case "idx":
                yield from _idx_blocks(card, name, folder, place, camera=camera, seed=seed)
            case "nmnist":
                yield from _nmnist_blocks(place)
            case "ntidigits":
                yield from _ntidigits_blocks(place, name)


def _find(split: Split, folder: Path) -> Path | None:
    return next((folder / place for place in split.data if (folder / place).exists()), None)


def _idx_blocks(
    card: DatasetCard, name: str, folder: Path, place: Path, *, camera: CameraConfig, seed: int
) -> Iterator[_Block]:
    """Images seen by the simulated camera; recordings are numbered through the splits of the card."""
    split = card.splits[name]
    if split.labels is None:
        raise CardError(f"data set '{card.name}': splits.{name}.labels: missing; format 'idx' needs it")
    images, labels = idx.read_images(place), idx.read_labels(folder / split.labels).astype(np.int64)
    if not len(images) == len(labels) == split.n:
        raise EventFileError(
            f"{place}: {len(images)} images, {folder / split.labels}: {len(labels)} labels, "
            f"expected {split.n} of each as the card '{card.name}' says; get the files again or correct it"
        )
    names = list(card.splits)
    first = sum(card.splits[other].n for other in names[: names.index(name)])
    ids = first + np.arange(split.n)
    source = store.code("events/camera.py", "counter.py", "rng.py"), saccade_path().tolist(), camera, seed
    for part in _parts(split.n):
        record = partial(simulate_camera, images[part], labels[part], camera, seed=seed)
        shown = hashlib.sha256(images[part].tobytes()).hexdigest()
        key = fingerprint(*source, int(ids[part][0]), shown)
        yield _Block(labels[part], key, partial(record, ids=ids[part], classes=card.classes))


def _nmnist_blocks(place: Path) -> Iterator[_Block]:
    recordings = nmnist.list_recordings(place)
    code = store.code("events/nmnist.py")
    for part in _parts(len(recordings)):
        chosen = recordings[part]
        key = fingerprint(code, [[str(r), r.size, r.modified] for r in chosen])
        labels = np.array([r.digit for r in chosen], np.int64)
        yield _Block(labels, key, partial(nmnist.read_recordings, chosen))


def _ntidigits_blocks(place: Path, split: str) -> Iterator[_Block]:
    names = ntidigits.list_recordings(place, split)
    stat = place.stat()
    source = store.code("events/ntidigits.py"), str(place), stat.st_size, stat.st_mtime_ns, split
    for part in _parts(len(names)):
        labels = np.array([ntidigits.digit(name) for name in names[part]], np.int64)
        read = partial(ntidigits.read_recordings, place, split, names[part])
        yield _Block(labels, fingerprint(*source, names[part]), read)


def _parts(n: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]


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
    blocks: Sequence[_Block], chosen: npt.NDArray[np.int64], card: DatasetCard, progress: Progress
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
    return Events(channel, t, offsets, labels, SENSORS[card.format], card.classes)


def _cached(block: _Block, card: DatasetCard) -> Events:
    """A block from the store; made and stored where it is missing or damaged."""
    path = store.cache_dir() / "events" / block.key
    entry = store.load(path)
    if entry is None:
        events = block.make()
        made: store.Arrays = {"channel": events.channel, "t": events.t, "offsets": events.offsets}
        store.save(path, made, {"data set": card.name, "recordings": len(events)})
        entry = store.load(path) or (made, {})  # memory maps from here on
    arrays, _ = entry
    sensor = SENSORS[card.format]
    return Events(arrays["channel"], arrays["t"], arrays["offsets"], block.labels, sensor, card.classes)


def _scratch(size: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Array in a file that vanishes with the array."""
    with tempfile.TemporaryFile(dir=store.cache_dir()) as file:
        return np.memmap(file, dtype, "w+", shape=max(size, 1))[:size]

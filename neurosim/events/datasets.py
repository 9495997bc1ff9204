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
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from neurosim import store
from neurosim.cards import DatasetCard, Split, cite, load_dataset, shipped_folder
from neurosim.config import fingerprint
from neurosim.errors import CardError, DataNotFoundError, EventFileError, ExperimentError, did_you_mean
from neurosim.events import camera as eye
from neurosim.events import cochlea as ear
from neurosim.events import fsdd, handwriting, idx, nmnist, ntidigits, pen, rate, speech
from neurosim.events.camera import CameraConfig, saccade_path, simulate_camera
from neurosim.events.cochlea import AugmentConfig, CochleaConfig, distortion, simulate_cochlea
from neurosim.events.cortex import CortexConfig, simulate_cortex
from neurosim.events.pen import Glyph, PenConfig
from neurosim.events.rate import RateConfig, rate_code
from neurosim.events.sound import Waveform
from neurosim.events.types import Events, Sensor

BLOCK = 1000
# by format; images are seen by the camera or become rates
SENSORS = {
    "nmnist": nmnist.SENSOR,
    "ntidigits": ntidigits.SENSOR,
    "fsdd": ear.SENSOR,
    "espeak": ear.SENSOR,
    "handwriting": handwriting.SENSOR,
    "cortex": handwriting.SENSOR,
}
IMAGES = {"camera": eye.SENSOR, "rate": rate.SENSOR}
# data sets made of sounds, which training may distort
SOUNDS = ("fsdd", "espeak")


class _Sound(Protocol):
    """A sound before it is read: whose repr says all that it depends on."""

    @property
    def label(self) -> int:
        """Class index."""

    @property
    def name(self) -> str:
        """Name in the data set."""

    @property
    def speaker(self) -> str:
        """Who speaks."""


S = TypeVar("S", bound=_Sound)
# called with the number of recordings that are ready and the number of all
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class _Block:
    """Consecutive recordings before they are made.

    Attributes:
        labels: int64 (n,).
        key: Hash of all they depend on.
        make: Reads or simulates them.
        speakers: Who speaks each of them, or writes it; none where the data set does not say.
    """

    labels: npt.NDArray[np.int64]
    key: str
    make: Callable[[], Events]
    speakers: tuple[str, ...] = ()


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
    sensors = _Sensors(
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


def sensor_of(card: DatasetCard) -> Sensor:
    """Pixel grid or channels of a data set's recordings."""
    return SENSORS.get(card.format) or IMAGES[card.encoding]


def places(card: DatasetCard, data_dir: Path | None = None) -> dict[str, Path]:
    """Where the splits of a data set stand; those that are not on this machine are left out."""
    folder = _folder(card, data_dir)
    return {name: place for name, part in card.splits.items() if (place := _find(part, folder))}


@dataclass(frozen=True)
class _Sensors:
    """What simulated recordings depend on beside images and sounds."""

    camera: CameraConfig
    cochlea: CochleaConfig
    rate: RateConfig
    pen: PenConfig
    cortex: CortexConfig
    seed: int


def _folder(card: DatasetCard, folder: Path | None) -> Path:
    return shipped_folder(card.folder) if card.embedded else folder or data_dir()


def _blocks(
    card: DatasetCard,
    split: str,
    folder: Path,
    sensors: _Sensors,
    copy: tuple[int, AugmentConfig] | None = None,
) -> Iterator[_Block]:
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
        match card.format:
            case "idx":
                yield from _idx_blocks(card, name, folder, place, sensors)
            case "letters":
                yield from _letter_blocks(card, name, place, sensors)
            case "cortex":
                yield from _cortex_blocks(card, name, place, sensors)
            case "handwriting":
                yield from _handwriting_blocks(place, name, card.classes)
            case "nmnist":
                yield from _nmnist_blocks(place)
            case "ntidigits":
                yield from _ntidigits_blocks(place, name)
            case "fsdd":
                spoken = fsdd.list_recordings(place, name)
                yield from _sound_blocks(spoken, fsdd.read_recordings, card, sensors, copy)
            case "espeak":
                said = speech.read_list(place, card.classes)
                yield from _sound_blocks(said, speech.speak, card, sensors, copy)


def _find(split: Split, folder: Path) -> Path | None:
    return next((folder / place for place in split.data if idx.exists(folder / place)), None)


def _idx_blocks(
    card: DatasetCard, name: str, folder: Path, place: Path, sensors: _Sensors
) -> Iterator[_Block]:
    """Images seen by the simulated camera; recordings are numbered through the splits of the card."""
    split = card.splits[name]
    if split.labels is None:
        raise CardError(f"data set '{card.name}': splits.{name}.labels: missing; format 'idx' needs it")
    named = folder / split.labels
    named = named if idx.exists(named) else place.parent / named.name  # beside the images, in a zip file too
    images, raw = idx.read_images(place), idx.read_labels(named)
    if not len(images) == len(raw) == split.n:
        raise EventFileError(
            f"{place}: {len(images)} images, {named}: {len(raw)} labels, "
            f"expected {split.n} of each as the card '{card.name}' says; get the files again or correct it"
        )
    images = images.transpose(0, 2, 1) if card.transposed else images
    labels, ids = raw.astype(np.int64) - card.first_label, _ids(card, name)
    for part in _parts(split.n):
        shown = np.ascontiguousarray(images[part])
        content = hashlib.sha256(shown.tobytes()).hexdigest()
        see = partial(_see, shown, labels[part], ids[part], card, sensors)
        yield _Block(labels[part], fingerprint(*_sight(card, sensors), int(ids[part][0]), content), see)


def _letter_blocks(card: DatasetCard, name: str, place: Path, sensors: _Sensors) -> Iterator[_Block]:
    """Images of letters that the simulated pen writes, class after class."""
    glyphs, ids = pen.read_glyphs(place, card.classes), _ids(card, name)
    labels = np.arange(len(ids)) % len(card.classes)
    source = *_sight(card, sensors), store.code("events/pen.py"), sensors.pen, _strokes(glyphs)
    for part in _parts(len(ids)):
        see = partial(_write, glyphs, labels[part], ids[part], card, sensors)
        yield _Block(labels[part], fingerprint(*source, ids[part].tolist()), see)


def _cortex_blocks(card: DatasetCard, name: str, place: Path, sensors: _Sensors) -> Iterator[_Block]:
    """The simulated motor cortex behind the same pen: trial i writes what image i shows."""
    glyphs, ids = pen.read_glyphs(place, card.classes), _ids(card, name)
    labels = np.arange(len(ids)) % len(card.classes)
    files = ("cortex", "handwriting", "pen")
    code = store.code(*(f"events/{file}.py" for file in files), "counter.py", "rng.py")
    for part in _parts(len(ids)):
        record = partial(
            simulate_cortex,
            glyphs,
            labels[part],
            ids[part],
            sensors.pen,
            sensors.cortex,
            seed=sensors.seed,
            classes=card.classes,
        )
        source = code, sensors.pen, sensors.cortex, sensors.seed, _strokes(glyphs), ids[part].tolist()
        yield _Block(labels[part], fingerprint(*source), record)


def _handwriting_blocks(place: Path, split: str, classes: tuple[str, ...]) -> Iterator[_Block]:
    """One block per letter, as its trials stand in one variable."""
    stat = place.stat()
    source = store.code("events/handwriting.py"), str(place), stat.st_size, stat.st_mtime_ns
    for letter, trials in handwriting.list_trials(place, classes, split).items():
        labels = np.full(len(trials), classes.index(letter))
        read = partial(handwriting.read_trials, place, letter, trials, classes)
        yield _Block(labels, fingerprint(*source, letter, trials.start, trials.stop, classes), read)


def _ids(card: DatasetCard, name: str) -> npt.NDArray[np.int64]:
    """Numbers of a split's recordings, counted through the splits of the card."""
    names = list(card.splits)
    first = sum(card.splits[other].n for other in names[: names.index(name)])
    return first + np.arange(card.splits[name].n)


def _strokes(glyphs: list[Glyph]) -> list[list[Any]]:
    return [[stroke.tolist() for stroke in glyph] for glyph in glyphs]


def _sight(card: DatasetCard, sensors: _Sensors) -> tuple[Any, ...]:
    """What events made from images depend on beside these."""
    if card.encoding == "rate":
        return store.code("events/rate.py", "counter.py", "rng.py"), sensors.rate, sensors.seed
    code = store.code("events/camera.py", "counter.py", "rng.py")
    return code, saccade_path().tolist(), sensors.camera, sensors.seed


def _see(
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    card: DatasetCard,
    sensors: _Sensors,
) -> Events:
    """Recordings of images by the simulated camera, or as rates."""
    if card.encoding == "rate":
        return rate_code(images, labels, sensors.rate, seed=sensors.seed, ids=ids, classes=card.classes)
    return simulate_camera(images, labels, sensors.camera, seed=sensors.seed, ids=ids, classes=card.classes)


def _write(
    glyphs: list[Glyph],
    labels: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    card: DatasetCard,
    sensors: _Sensors,
) -> Events:
    """Recordings of the images of these trials."""
    images = [
        pen.render(pen.write(glyphs[label], sensors.pen, seed=sensors.seed, number=int(number)))
        for label, number in zip(labels, ids, strict=True)
    ]
    return _see(np.stack(images), labels, ids, card, sensors)


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


def _sound_blocks(
    sounds: Sequence[S],
    read: Callable[[Sequence[S]], list[Waveform]],
    card: DatasetCard,
    sensors: _Sensors,
    copy: tuple[int, AugmentConfig] | None,
) -> Iterator[_Block]:
    """Sounds heard by the simulated cochlea; a recording's number is made of its name."""
    config, seed = sensors.cochlea, sensors.seed
    files = ("cochlea", "sound", "fsdd", "speech")
    code = store.code(*(f"events/{file}.py" for file in files), "counter.py", "rng.py")
    for part in _parts(len(sounds)):
        some = sounds[part]
        labels = np.array([sound.label for sound in some], np.int64)
        names = [hashlib.sha256(sound.name.encode()).digest() for sound in some]
        ids = np.array([int.from_bytes(name[:7], "big") for name in names], np.int64)
        make = partial(_hear, some, read, labels, ids, card.classes, sensors, copy)
        distorted = copy and (copy[0], copy[1].sigma_speed, copy[1].sigma_pitch)
        key = fingerprint(code, config, seed, distorted, list(map(repr, some)))
        yield _Block(labels, key, make, tuple(sound.speaker for sound in some))


def _hear(
    sounds: Sequence[S],
    read: Callable[[Sequence[S]], list[Waveform]],
    labels: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    classes: tuple[str, ...],
    sensors: _Sensors,
    copy: tuple[int, AugmentConfig] | None,
) -> Events:
    """Recordings of these sounds, or of one distorted copy of them."""
    speed, pitch = distortion(ids, *copy, seed=sensors.seed) if copy else (1.0, 1.0)
    return simulate_cochlea(
        read(sounds),
        labels,
        sensors.cochlea,
        seed=sensors.seed,
        ids=ids,
        speed=speed,
        pitch=pitch,
        classes=classes,
    )


def _parts(n: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]


def _spoken_by(
    blocks: list[_Block], card: DatasetCard, speakers: Sequence[str] | None, not_speakers: Sequence[str]
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
    return Events(channel, t, offsets, labels, sensor_of(card), card.classes)


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
    sensor = sensor_of(card)
    return Events(arrays["channel"], arrays["t"], arrays["offsets"], block.labels, sensor, card.classes)


def _scratch(size: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Array in a file that vanishes with the array."""
    with tempfile.TemporaryFile(dir=store.cache_dir()) as file:
        return np.memmap(file, dtype, "w+", shape=max(size, 1))[:size]

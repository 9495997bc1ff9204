"""From the card of a data set to blocks of recordings, one generator of blocks per format.

A block knows its labels, its speakers and the hash of all it depends on before anything is read or simulated.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from neurosim import store
from neurosim.cards import DatasetCard
from neurosim.config import fingerprint
from neurosim.errors import CardError, EventFileError
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


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive recordings before they are made.

    Attributes:
        labels: int64 (n,).
        key: Hash of all they depend on.
        make: Reads or simulates them.
        speakers: Who speaks each of them, or writes it; none where the data set does not say.
        images: uint8 (n, h, w), the images that they are made of; None where there are none.
    """

    labels: npt.NDArray[np.int64]
    key: str
    make: Callable[[], Events]
    speakers: tuple[str, ...] = ()
    images: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Sensors:
    """What simulated recordings depend on beside images and sounds."""

    camera: CameraConfig
    cochlea: CochleaConfig
    rate: RateConfig
    pen: PenConfig
    cortex: CortexConfig
    seed: int


def sensor_of(card: DatasetCard) -> Sensor:
    """Pixel grid or channels of a data set's recordings."""
    return SENSORS.get(card.format) or IMAGES[card.encoding]


@dataclass(frozen=True)
class Part:
    """A split whose blocks are wanted.

    Attributes:
        card: The data set.
        split: Name of the split.
        folder: Where the data set stands, and
        place: which of its files or folders the split's are.
        sensors: Constants of the simulated sensors.
        size: Number of recordings of a block.
        copy: Number and law of a distorted copy of sounds; None for the sounds themselves.
    """

    card: DatasetCard
    split: str
    folder: Path
    place: Path
    sensors: Sensors
    size: int
    copy: tuple[int, AugmentConfig] | None = None

    def slices(self, n: int) -> list[slice]:
        """Blocks of ``n`` recordings."""
        return [slice(start, start + self.size) for start in range(0, n, self.size)]

    def ids(self) -> npt.NDArray[np.int64]:
        """Numbers of the recordings, counted through the splits of the card."""
        names = list(self.card.splits)
        first = sum(self.card.splits[other].n for other in names[: names.index(self.split)])
        return first + np.arange(self.card.splits[self.split].n)


def make_blocks(part: Part) -> Iterator[Block]:
    """Blocks of one split, in the order of the data set.

    Raises:
        DataNotFoundError, EventFileError: If a file is missing, or does not hold what its format says.
        CardError: If the card lacks what the format needs.
    """
    return FORMATS[part.card.format](part)


def _idx_blocks(part: Part) -> Iterator[Block]:
    """Images seen by the simulated camera, or as rates."""
    card, split, place = part.card, part.card.splits[part.split], part.place
    if split.labels is None:
        raise CardError(f"data set '{card.name}': splits.{part.split}.labels: missing; format 'idx' needs it")
    named = part.folder / split.labels
    named = named if idx.exists(named) else place.parent / named.name  # beside the images, in a zip file too
    images, raw = idx.read_images(place), idx.read_labels(named)
    if not len(images) == len(raw) == split.n:
        raise EventFileError(
            f"{place}: {len(images)} images, {named}: {len(raw)} labels, "
            f"expected {split.n} of each as the card '{card.name}' says; get the files again or correct it"
        )
    images = images.transpose(0, 2, 1) if card.transposed else images
    labels, ids, source = raw.astype(np.int64) - card.first_label, part.ids(), _sight(part)
    for some in part.slices(split.n):
        shown = np.ascontiguousarray(images[some])
        content = hashlib.sha256(shown.tobytes()).hexdigest()
        see = partial(_see, shown, labels[some], ids[some], part)
        yield Block(labels[some], fingerprint(*source, int(ids[some][0]), content), see, images=shown)


def _letter_blocks(part: Part) -> Iterator[Block]:
    """Images of letters that the simulated pen writes, class after class."""
    glyphs, ids = pen.read_glyphs(part.place, part.card.classes), part.ids()
    labels = np.arange(len(ids)) % len(part.card.classes)
    source = *_sight(part), store.code("events/pen.py"), part.sensors.pen, _strokes(glyphs)
    for some in part.slices(len(ids)):
        see = partial(_write, glyphs, labels[some], ids[some], part)
        yield Block(labels[some], fingerprint(*source, ids[some].tolist()), see)


def _cortex_blocks(part: Part) -> Iterator[Block]:
    """The simulated motor cortex behind the same pen: trial i writes what image i shows."""
    glyphs, ids, sensors = pen.read_glyphs(part.place, part.card.classes), part.ids(), part.sensors
    labels = np.arange(len(ids)) % len(part.card.classes)
    files = ("cortex", "handwriting", "pen")
    code = store.code(*(f"events/{file}.py" for file in files), "counter.py", "rng.py")
    record = partial(
        simulate_cortex,
        glyphs,
        pen=sensors.pen,
        config=sensors.cortex,
        seed=sensors.seed,
        classes=part.card.classes,
    )
    source = code, sensors.pen, sensors.cortex, sensors.seed, _strokes(glyphs)
    for some in part.slices(len(ids)):
        make = partial(record, labels[some], ids[some])
        yield Block(labels[some], fingerprint(*source, ids[some].tolist()), make)


def _handwriting_blocks(part: Part) -> Iterator[Block]:
    """One block per letter, as its trials stand in one variable."""
    place, classes = part.place, part.card.classes
    stat = place.stat()
    source = store.code("events/handwriting.py"), str(place), stat.st_size, stat.st_mtime_ns
    for letter, trials in handwriting.list_trials(place, classes, part.split).items():
        labels = np.full(len(trials), classes.index(letter))
        read = partial(handwriting.read_trials, place, letter, trials, classes)
        yield Block(labels, fingerprint(*source, letter, trials.start, trials.stop, classes), read)


def _nmnist_blocks(part: Part) -> Iterator[Block]:
    recordings = nmnist.list_recordings(part.place)
    code = store.code("events/nmnist.py")
    for some in part.slices(len(recordings)):
        chosen = recordings[some]
        key = fingerprint(code, [[str(r), r.size, r.modified] for r in chosen])
        labels = np.array([r.digit for r in chosen], np.int64)
        yield Block(labels, key, partial(nmnist.read_recordings, chosen))


def _ntidigits_blocks(part: Part) -> Iterator[Block]:
    place, split = part.place, part.split
    names = ntidigits.list_recordings(place, split)
    stat = place.stat()
    source = store.code("events/ntidigits.py"), str(place), stat.st_size, stat.st_mtime_ns, split
    for some in part.slices(len(names)):
        labels = np.array([ntidigits.digit(name) for name in names[some]], np.int64)
        read = partial(ntidigits.read_recordings, place, split, names[some])
        yield Block(labels, fingerprint(*source, names[some]), read)


def _fsdd_blocks(part: Part) -> Iterator[Block]:
    return _sound_blocks(fsdd.list_recordings(part.place, part.split), fsdd.read_recordings, part)


def _espeak_blocks(part: Part) -> Iterator[Block]:
    said = speech.read_list(part.place, part.card.classes)
    return _sound_blocks(said, speech.speak, part, made_by=speech.engine())


def _sound_blocks(
    sounds: Sequence[S], read: Callable[[Sequence[S]], list[Waveform]], part: Part, made_by: str = ""
) -> Iterator[Block]:
    """Sounds heard by the simulated cochlea; a recording's number is made of its name."""
    config, seed, copy = part.sensors.cochlea, part.sensors.seed, part.copy
    files = ("cochlea", "sound", "fsdd", "speech")
    code = store.code(*(f"events/{file}.py" for file in files), "counter.py", "rng.py")
    distorted = copy and (copy[0], copy[1].sigma_speed, copy[1].sigma_pitch)
    for chosen in part.slices(len(sounds)):
        some = sounds[chosen]
        labels = np.array([sound.label for sound in some], np.int64)
        names = [hashlib.sha256(sound.name.encode()).digest() for sound in some]
        ids = np.array([int.from_bytes(name[:7], "big") for name in names], np.int64)
        key = fingerprint(code, made_by, config, seed, distorted, list(map(repr, some)))
        make = partial(_hear, some, read, labels, ids, part)
        yield Block(labels, key, make, tuple(sound.speaker for sound in some))


def _sight(part: Part) -> tuple[Any, ...]:
    """What events made from images depend on beside these."""
    sensors = part.sensors
    if part.card.encoding == "rate":
        return store.code("events/rate.py", "counter.py", "rng.py"), sensors.rate, sensors.seed
    code = store.code("events/camera.py", "counter.py", "rng.py")
    return code, saccade_path().tolist(), sensors.camera, sensors.seed


def _see(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], ids: npt.NDArray[np.int64], part: Part
) -> Events:
    """Recordings of images by the simulated camera, or as rates."""
    seed, classes = part.sensors.seed, part.card.classes
    if part.card.encoding == "rate":
        return rate_code(images, labels, part.sensors.rate, seed=seed, ids=ids, classes=classes)
    return simulate_camera(images, labels, part.sensors.camera, seed=seed, ids=ids, classes=classes)


def _write(
    glyphs: list[Glyph], labels: npt.NDArray[np.int64], ids: npt.NDArray[np.int64], part: Part
) -> Events:
    """Recordings of the images of these trials."""
    config, seed = part.sensors.pen, part.sensors.seed
    images = [
        pen.render(pen.write(glyphs[label], config, seed=seed, number=int(number)))
        for label, number in zip(labels, ids, strict=True)
    ]
    return _see(np.stack(images), labels, ids, part)


def _hear(
    sounds: Sequence[S],
    read: Callable[[Sequence[S]], list[Waveform]],
    labels: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    part: Part,
) -> Events:
    """Recordings of these sounds, or of one distorted copy of them."""
    sensors, classes = part.sensors, part.card.classes
    speed, pitch = distortion(ids, *part.copy, seed=sensors.seed) if part.copy else (1.0, 1.0)
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


def _strokes(glyphs: list[Glyph]) -> list[list[Any]]:
    return [[stroke.tolist() for stroke in glyph] for glyph in glyphs]


FORMATS: dict[str, Callable[[Part], Iterator[Block]]] = {
    "idx": _idx_blocks,
    "letters": _letter_blocks,
    "nmnist": _nmnist_blocks,
    "ntidigits": _ntidigits_blocks,
    "fsdd": _fsdd_blocks,
    "espeak": _espeak_blocks,
    "handwriting": _handwriting_blocks,
    "cortex": _cortex_blocks,
}

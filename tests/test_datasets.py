"""Named data sets: what is loaded, in which order, what is kept, and what is said where files are missing."""

import gzip
import struct
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import wavfile

from neurosim import store
from neurosim.cards import DatasetCard, list_cards, load_dataset, shipped_folder
from neurosim.errors import CardError, DataNotFoundError, EventFileError, ExperimentError
from neurosim.events import Events, Sensor, blocks, datasets, idx, nmnist
from neurosim.events.camera import CameraConfig, simulate_camera
from neurosim.events.cochlea import AugmentConfig, CochleaConfig
from neurosim.events.rate import RateConfig

FAST = CameraConfig(time_step=5e-3)
N = 30


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROSIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "BLOCK", 10)
    return tmp_path / "cache"


@pytest.fixture
def card(tmp_path: Path) -> DatasetCard:
    """Thirty images of blobs in ten classes, in the layout of MNIST."""
    draw = np.random.default_rng(0)
    images = np.zeros((N, 28, 28), np.uint8)
    images[:, 8:20, 8:20] = draw.integers(0, 256, (N, 12, 12))
    labels = np.arange(N) * 7 % 10
    folder = tmp_path / "data/mnist"
    folder.mkdir(parents=True)
    (folder / "images").write_bytes(struct.pack(">4I", 0x803, *images.shape) + images.tobytes())
    (folder / "labels").write_bytes(struct.pack(">2I", 0x801, N) + labels.astype(np.uint8).tobytes())
    part = {"n": N, "data": ("mnist/images",), "labels": "mnist/labels"}
    raw = load_dataset("mnist-saccades-full").model_dump() | {"splits": {"train": part, "test": part}}
    return DatasetCard.model_validate(raw)


def load(card: DatasetCard, tmp_path: Path, split: str = "train", **options: Any) -> Events:
    return datasets.load(card, split, data_dir=tmp_path / "data", camera=FAST, **options)


def same(a: Events, b: Events) -> None:
    for name in ("channel", "t", "offsets", "labels"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


# --- the simulated ones ---


def test_blocks_join_to_what_the_camera_sees_at_once(card: DatasetCard, tmp_path: Path) -> None:
    images = idx.read_images(tmp_path / "data/mnist/images")
    labels = idx.read_labels(tmp_path / "data/mnist/labels")
    same(load(card, tmp_path), simulate_camera(images, labels, FAST, seed=0))


def test_second_load_is_read_from_the_store(
    card: DatasetCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(card, tmp_path)
    monkeypatch.setattr(blocks, "simulate_camera", lambda *_, **__: pytest.fail("simulated again"))
    same(load(card, tmp_path), first)


def test_part_of_a_split_is_the_same_part_of_the_whole(
    card: DatasetCard, tmp_path: Path, cache: Path
) -> None:
    part = load(card, tmp_path, skip=12, n=10)
    assert len(list((cache / "events").iterdir())) == 2  # the first block was not needed
    whole = load(card, tmp_path)
    same(part, whole[12:22])


def test_damaged_entry_is_made_again(card: DatasetCard, tmp_path: Path, cache: Path) -> None:
    first = load(card, tmp_path)
    damaged = next((cache / "events").iterdir()) / "t.npy"
    damaged.write_bytes(damaged.read_bytes()[:-4])
    same(load(card, tmp_path), first)
    assert store.load(damaged.parent) is not None


def test_seed_and_camera_and_image_make_other_recordings(card: DatasetCard, tmp_path: Path) -> None:
    first = load(card, tmp_path)
    assert not np.array_equal(load(card, tmp_path, seed=1).t, first.t)
    other = datasets.load(
        card, "train", data_dir=tmp_path / "data", camera=FAST.model_copy(update={"threshold_on": 0.2})
    )
    assert len(other.t) < len(first.t)
    file = tmp_path / "data/mnist/images"
    file.write_bytes(file.read_bytes()[:16] + bytes(N * 28 * 28))
    assert len(load(card, tmp_path).t) < len(first.t)


def test_splits_do_not_share_random_numbers(card: DatasetCard, tmp_path: Path) -> None:
    # the fixture shows the same images in both
    assert not np.array_equal(load(card, tmp_path, "train").t, load(card, tmp_path, "test").t)


def test_all_joins_the_splits(card: DatasetCard, tmp_path: Path) -> None:
    both = load(card, tmp_path, "all")
    same(both[:N], load(card, tmp_path, "train"))
    same(both[N:], load(card, tmp_path, "test"))


def test_n_is_even_over_the_classes_and_keeps_the_order(card: DatasetCard, tmp_path: Path) -> None:
    labels = load(card, tmp_path).labels
    some = load(card, tmp_path, skip=3, n=20)
    assert np.bincount(some.labels).tolist() == [2] * 10
    np.testing.assert_array_equal(some.labels, labels[3:23])
    assert np.bincount(load(card, tmp_path, n=13).labels).tolist() == [2, 2, 2, 1, 1, 1, 1, 1, 1, 1]


def test_progress_counts_the_recordings_asked_for(card: DatasetCard, tmp_path: Path) -> None:
    seen = []
    load(card, tmp_path, skip=5, progress=lambda *step: seen.append(step))
    assert seen == [(5, 25), (15, 25), (25, 25)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tain"}, r"has no split 'tain'; did you mean 'train'"),
        ({"skip": N}, r"skip \(=30\) must be from 0 to 29"),
        ({"skip": -1}, r"skip \(=-1\) must be from 0"),
        ({"n": 0}, r"n \(=0\) must be at least 1"),
        ({"n": 40}, r"needs 4 recordings of class '0', there are 3; ask for at most 30"),
    ],
)
def test_wrong_wishes(card: DatasetCard, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        load(card, tmp_path, **options)


def test_files_that_exchange_rows_and_columns_and_count_from_one(card: DatasetCard, tmp_path: Path) -> None:
    images = idx.read_images(tmp_path / "data/mnist/images")
    labels = idx.read_labels(tmp_path / "data/mnist/labels")
    folder = tmp_path / "data/mnist"
    turned = np.ascontiguousarray(images.transpose(0, 2, 1))
    (folder / "turned").write_bytes(struct.pack(">4I", 0x803, *images.shape) + turned.tobytes())
    (folder / "from-one").write_bytes(struct.pack(">2I", 0x801, N) + (labels + 1).tobytes())
    part = {"n": N, "data": ("mnist/turned",), "labels": "mnist/from-one"}
    raw = card.model_dump() | {"transposed": True, "first_label": 1, "splits": {"train": part, "test": part}}
    same(load(DatasetCard.model_validate(raw), tmp_path), load(card, tmp_path))
    with pytest.raises(EventFileError, match=r"recording 0 has label 0, the card names 10 classes"):
        load(card.model_copy(update={"first_label": 1}), tmp_path)


def test_letters_are_read_out_of_the_archive_of_all(tmp_path: Path) -> None:
    emnist = load_dataset("emnist-letters")
    splits = {name: part.model_copy(update={"n": 26}) for name, part in emnist.splits.items()}
    (tmp_path / "emnist").mkdir()
    images = np.random.default_rng(0).integers(0, 256, (26, 28, 28)).astype(np.uint8)
    with zipfile.ZipFile(tmp_path / "emnist/gzip.zip", "w") as archive:
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(1, 27, dtype=np.uint8))):
            head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            archive.writestr(
                f"gzip/emnist-letters-test-{kind}-ubyte.gz", gzip.compress(head + array.tobytes())
            )
    letters = datasets.load(emnist.model_copy(update={"splits": splits}), "all", data_dir=tmp_path)
    assert [letters.classes[label] for label in letters.labels] == list("abcdefghijklmnopqrstuvwxyz")
    first = np.bincount(letters[0].channel, minlength=784).reshape(28, 28)
    assert np.corrcoef(first.ravel(), images[0].T.ravel())[0, 1] > 0.8


def test_images_as_rates(card: DatasetCard, tmp_path: Path) -> None:
    flat = card.sensor.model_copy(update={"width": 28, "height": 28, "polarities": 1})
    with pytest.raises(CardError, match="sensor: format 'idx' has Sensor"):
        load(card.model_copy(update={"encoding": "rate"}), tmp_path)
    events = load(card.model_copy(update={"encoding": "rate", "sensor": flat}), tmp_path)
    images = idx.read_images(tmp_path / "data/mnist/images")
    expected = images.sum() / 255 * 20
    assert len(events.t) == pytest.approx(expected, abs=5 * np.sqrt(expected))
    few = load(
        card.model_copy(update={"encoding": "rate", "sensor": flat}),
        tmp_path,
        rate=RateConfig(max_spikes=5.0),
    )
    assert len(few.t) < 0.3 * len(events.t)


def test_wrong_number_of_labels(card: DatasetCard, tmp_path: Path) -> None:
    (tmp_path / "data/mnist/labels").write_bytes(struct.pack(">2I", 0x801, 1) + b"\x00")
    with pytest.raises(EventFileError, match=r"30 images, .*labels: 1 labels, expected 30 of each"):
        load(card, tmp_path)


def test_label_without_a_class(card: DatasetCard, tmp_path: Path) -> None:
    (tmp_path / "data/mnist/labels").write_bytes(struct.pack(">2I", 0x801, N) + bytes([3, 10] * 15))
    with pytest.raises(EventFileError, match="recording 1 has label 10, the card names 10 classes"):
        load(card, tmp_path)


def test_card_that_does_not_fit_its_format(card: DatasetCard, tmp_path: Path) -> None:
    wide = card.model_copy(update={"sensor": card.sensor.model_copy(update={"width": 64})})
    with pytest.raises(CardError, match="sensor: format 'idx' has Sensor"):
        load(wide, tmp_path)
    bare = {"train": card.splits["train"].model_copy(update={"labels": None})}
    with pytest.raises(CardError, match=r"splits\.train\.labels: missing"):
        load(card.model_copy(update={"splits": bare}), tmp_path)


# --- the one that ships ---


def test_embedded_images_are_balanced_and_disjoint() -> None:
    card, folder = load_dataset("mnist-saccades"), shipped_folder("datasets")
    images = []
    for split in card.splits.values():
        labels = idx.read_labels(folder / str(split.labels))
        assert np.bincount(labels).tolist() == [split.n // 10] * 10
        images.append(idx.read_images(folder / split.data[0]))
        assert len(images[-1]) == split.n
    everything = np.concatenate(images).reshape(-1, 784)
    assert len(np.unique(everything, axis=0)) == len(everything)


def test_embedded_images_leave_out_those_whose_recordings_are_the_test(real_data: Path) -> None:
    card, folder = load_dataset("mnist-saccades"), shipped_folder("datasets")
    for names, part, spared in ((("train", "validation"), "train", 1000), (("test",), "t10k", 100)):
        mnist = idx.read_images(real_data / f"mnist/{part}-images-idx3-ubyte.gz")
        where = {image.tobytes(): i for i, image in enumerate(mnist)}
        for name in names:
            chosen = [where[image.tobytes()] for image in idx.read_images(folder / card.splits[name].data[0])]
            assert chosen == sorted(chosen)
            assert chosen[0] >= spared


def test_embedded_default_loads_without_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path / "nowhere"))
    events = datasets.load("mnist-saccades", "validation", n=10, camera=FAST)
    assert sorted(events.labels) == list(range(10))
    assert np.diff(events.offsets).min() > 100


# --- the recorded ones ---


def recordings(folder: Path, ids: range) -> None:
    for i in ids:
        file = folder / f"{i % 10}/{i:05}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes([i % 34, 3, 128, 0, i]))


def test_nmnist_takes_what_is_there(tmp_path: Path) -> None:
    recordings(tmp_path / "nmnist/Test", range(1, 13))
    some = datasets.load("nmnist", "all", data_dir=tmp_path)
    assert some.labels.tolist() == [i % 10 for i in range(1, 13)]
    recordings(tmp_path / "nmnist/Train", range(5, 8))
    assert datasets.load("nmnist", "all", data_dir=tmp_path).t.tolist() == [5, 6, 7, *range(1, 13)]
    assert len(datasets.load("nmnist", "train", data_dir=tmp_path)) == 3


def test_changed_recording_is_read_again(tmp_path: Path) -> None:
    recordings(tmp_path / "nmnist/Train", range(1, 4))
    before = datasets.load("nmnist", "train", data_dir=tmp_path)
    (tmp_path / "nmnist/Train/2/00002.bin").write_bytes(b"")
    after = datasets.load("nmnist", "train", data_dir=tmp_path)
    assert np.diff(before.offsets).tolist() == [1, 1, 1]
    assert np.diff(after.offsets).tolist() == [1, 0, 1]


def test_recordings_without_any_event(tmp_path: Path) -> None:
    (tmp_path / "nmnist/Train/4").mkdir(parents=True)
    (tmp_path / "nmnist/Train/4/00001.bin").write_bytes(b"")
    events = datasets.load("nmnist", "train", data_dir=tmp_path)
    assert (len(events), len(events.t)) == (1, 0)


def test_garments_are_seen_as_digits_are(real_data: Path) -> None:
    chosen = datasets.select("fashion-saccades", "test", data_dir=real_data, n=20)
    np.testing.assert_array_equal(np.bincount(chosen.labels), [2] * 10)
    images = idx.read_images(real_data / "fashion-mnist/t10k-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(chosen.images(), images[chosen.chosen])
    with pytest.raises(ExperimentError, match="not made of images"):
        datasets.select("nmnist", "train", data_dir=real_data, n=10).images()


def test_real_recordings_load_as_they_read(real_data: Path) -> None:
    found = nmnist.list_recordings(real_data / "nmnist/Train")[:30]
    events = datasets.load("nmnist", "train", data_dir=real_data)
    same(events[:30], nmnist.read_recordings(found))


def test_ntidigits_loads_isolated_digits(tmp_path: Path) -> None:
    (tmp_path / "ntidigits").mkdir()
    names = ["man-ae-a-o", "man-ae-a-12", "man-ae-a-1"]
    with h5py.File(tmp_path / "ntidigits/n-tidigits.hdf5", "w") as file:
        file["train_labels"] = np.array(names, "S")
        for i, name in enumerate(names):
            file[f"train_addresses/{name}"] = [i, 10 + i]
            file[f"train_timestamps/{name}"] = [0.0, 0.5]
    events = datasets.load("ntidigits", "train", data_dir=tmp_path)
    assert [events.classes[label] for label in events.labels] == ["o", "1"]
    assert events.channel.tolist() == [0, 10, 2, 12]


# --- the sounds ---

QUICK = CochleaConfig(sample_rate=8500, sensitivity=4.0)


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """Two digits by three speakers, six takes each, in the layout of FSDD."""
    folder = tmp_path / "data/fsdd/recordings"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for speaker in ("ann", "bob", "cyd"):
        for digit in range(10):
            for take in range(7):
                sound = draw.integers(-9000, 9000, 400).astype(np.int16)
                wavfile.write(folder / f"{digit}_{speaker}_{take}.wav", 8000, sound)
    return tmp_path / "data"


def test_sounds_are_heard_by_the_cochlea_wherever_they_stand(spoken: Path) -> None:
    test, train, everything = (
        datasets.load("fsdd", split, data_dir=spoken, cochlea=QUICK) for split in ("test", "train", "all")
    )
    assert (len(test), len(train), len(everything)) == (150, 60, 210)
    same(everything[np.arange(60)], train)  # recordings do not depend on the part they are loaded with
    assert np.diff(test.offsets).min() > 20
    assert test.sensor == Sensor(64)


def test_speakers_are_chosen_before_skip_and_n(spoken: Path) -> None:
    def load(**options: Any) -> Events:
        return datasets.load("fsdd", "all", data_dir=spoken, cochlea=QUICK, **options)

    everything = load()
    who = np.array(["ann", "bob", "cyd"])[np.arange(210) % 30 // 10]
    same(load(speakers=["bob"]), everything[who == "bob"])
    same(load(not_speakers=["bob"]), everything[who != "bob"])
    same(load(speakers=["bob", "cyd"], not_speakers=["cyd"]), everything[who == "bob"])
    same(load(speakers=["bob"], skip=5, n=10), everything[who == "bob"][np.arange(5, 15)])
    assert np.bincount(load(not_speakers=["ann"], n=20).labels).tolist() == [2] * 10


def test_wrong_speakers(spoken: Path, card: DatasetCard, tmp_path: Path) -> None:
    def load(name: DatasetCard | str = "fsdd", **options: Any) -> None:
        datasets.load(name, "train", data_dir=spoken, cochlea=QUICK, camera=FAST, **options)

    with pytest.raises(ExperimentError, match=r"not_speakers: .* no speaker 'bop' here; did you mean 'bob'"):
        load(not_speakers=["bop"])
    with pytest.raises(ExperimentError, match="no speaker is left; shorten not_speakers"):
        load(speakers=["bob"], not_speakers=["bob"])
    with pytest.raises(ExperimentError, match="does not say who speaks; leave speakers"):
        load(card, speakers=["bob"])
    with pytest.raises(ExperimentError, match="only sounds can be distorted"):
        load(card, augment=AugmentConfig())


def test_distorted_copies_follow_the_recordings(spoken: Path, cache: Path) -> None:
    def load(**options: Any) -> Events:
        return datasets.load(
            "fsdd", "train", data_dir=spoken, cochlea=QUICK, speakers=["ann", "cyd"], n=20, **options
        )

    plain, more = load(), load(augment=AugmentConfig(copies=2))
    assert len(more) == 60
    same(more[np.arange(20)], plain)
    assert more.labels.tolist() == 3 * plain.labels.tolist()
    lengths = [part.t[part.offsets[1:] - 1] for part in (more[:20], more[20:40], more[40:])]
    assert min(np.abs(np.diff(lengths, axis=0)).mean(axis=1)) > 1000  # us: played faster or slower
    n_entries = len(list((cache / "events").iterdir()))
    load(augment=AugmentConfig(copies=3))
    assert len(list((cache / "events").iterdir())) == n_entries * 4 // 3  # the first two are there


def test_spoken_digits_need_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed (extra speech)")
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path / "nowhere"))
    events = datasets.load("spoken-digits", "validation", n=10, speakers=["f2"])
    assert sorted(events.labels) == list(range(10))
    assert np.diff(events.offsets).min() > 300
    again = datasets.load("spoken-digits", "all", n=10, speakers=["f2"])
    same(events, again)


# --- where the files are ---


@pytest.mark.parametrize(
    "name", ["mnist-saccades-full", "fashion-saccades", "nmnist", "ntidigits", "fsdd", "emnist-letters"]
)
def test_missing_files_say_where_and_how(tmp_path: Path, name: str) -> None:
    message = rf"none of .* in {tmp_path}; name another folder .*'neurosim datasets fetch {name}'"
    with pytest.raises(DataNotFoundError, match=message):
        datasets.load(name, "test", data_dir=tmp_path)


def test_places_of_the_splits_that_are_there(tmp_path: Path) -> None:
    recordings(tmp_path / "nmnist/Test", range(1, 2))
    assert datasets.places(load_dataset("nmnist"), tmp_path) == {"test": tmp_path / "nmnist/Test"}
    assert list(datasets.places(load_dataset("mnist-saccades"))) == ["train", "validation", "test"]


def test_data_dir(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEUROSIM_DATA", raising=False)
    assert datasets.data_dir() == cache / "data"
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    assert datasets.data_dir() == tmp_path


def test_every_card_names_files_below_the_data_folder_by_https() -> None:
    for name in list_cards("dataset"):
        card = load_dataset(name)
        places = {place for split in card.splits.values() for place in (*split.data, split.labels)}
        assert all(file.url.startswith("https://") for file in card.files)
        assert all(any(str(p).startswith(file.name) for p in places) for file in card.files)
        assert card.embedded or card.files or "by hand" in card.notes


def test_a_selection_is_known_by_all_that_it_depends_on() -> None:
    keys = {
        datasets.select("mnist-saccades", split, n=n, seed=seed, camera=camera).key
        for split, n, seed, camera in [
            ("test", 20, 0, None),
            ("test", 30, 0, None),
            ("validation", 20, 0, None),
            ("test", 20, 1, None),
            ("test", 20, 0, CameraConfig(blur=0.5)),
        ]
    }
    assert len(keys) == 5
    assert datasets.select("mnist-saccades", "test", n=20).key in keys

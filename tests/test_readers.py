"""Readers: what is in the file comes out, and a file that does not hold what its format says is refused."""

import gzip
import lzma
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosim.errors import DataNotFoundError, EventFileError, ExperimentError, ShapeError
from neurosim.events import Sensor, idx, nmnist, ntidigits
from neurosim.events.tonic import from_tonic

# --- idx ---


def idx_bytes(array: np.ndarray[Any, Any]) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    ("suffix", "compress"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)]
)
def test_idx_round_trip(tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]) -> None:
    images = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    file = tmp_path / f"images{suffix}"
    file.write_bytes(compress(idx_bytes(images)))
    np.testing.assert_array_equal(idx.read_images(file), images)


IMAGES = idx_bytes(np.zeros((2, 3, 3)))
BAD_IDX = {
    "magic": (b"\x00\x00\x0d" + IMAGES[3:], "", r"byte 0: magic number 00000d03, expected 00000803"),
    "labels for images": (idx_bytes(np.zeros(2)), "", r"byte 0: magic number 00000801"),
    "empty": (b"", "", r"byte 0: magic number , expected"),
    "header cut off": (IMAGES[:10], "", r"byte 10: the file ends within the header"),
    "data cut off": (IMAGES[:-1], "", r"byte 33: only 17 bytes of data, .* make 18"),
    "data too long": (IMAGES + b"\x00", "", r"byte 34: more than 18 bytes of data"),
    "absurd sizes": (IMAGES[:4] + b"\xff" * 12, "", r"byte 4: sizes .* make \d+ bytes, at most 1073741824"),
    "gzip cut off": (gzip.compress(IMAGES)[:-12], ".gz", "cannot be read or decompressed"),
    "not gzip": (IMAGES, ".gz", "cannot be read or decompressed"),
    "not xz": (IMAGES, ".xz", "cannot be read or decompressed"),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_bad_idx_is_refused(tmp_path: Path, case: str) -> None:
    content, suffix, message = BAD_IDX[case]
    file = tmp_path / f"images{suffix}"
    file.write_bytes(content)
    with pytest.raises(EventFileError, match=message) as caught:
        idx.read_images(file)
    assert str(file) in str(caught.value)


def test_missing_idx(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="no such file"):
        idx.read_labels(tmp_path / "nothing.gz")


def test_idx_inside_a_zip_file(tmp_path: Path) -> None:
    images = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    archive = tmp_path / "files.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("gzip/images.gz", gzip.compress(idx_bytes(images)))
        out.writestr("plain", idx_bytes(np.arange(4)))
    assert idx.exists(archive / "gzip/images.gz")
    assert not idx.exists(archive / "gzip/labels.gz")
    assert not idx.exists(tmp_path / "other.zip/gzip/images.gz")
    np.testing.assert_array_equal(idx.read_images(archive / "gzip/images.gz"), images)
    np.testing.assert_array_equal(idx.read_labels(archive / "plain"), np.arange(4))
    with pytest.raises(DataNotFoundError, match=r"files\.zip/nothing: no such file"):
        idx.read_labels(archive / "nothing")
    archive.write_bytes(archive.read_bytes()[:-30])
    for read in (idx.exists, idx.read_labels):
        with pytest.raises(EventFileError, match=r"not a readable zip file|cannot be read or decompressed"):
            read(archive / "plain")


# --- N-MNIST ---


def bin_bytes(*events: tuple[int, int, int, int]) -> bytes:
    """Events (x, y, t [us], p) as they stand in a file."""
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, t, p in events)


def recording(folder: Path, name: str, content: bytes) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return folder


def read(path: Path) -> Any:
    return nmnist.read_recordings(nmnist.list_recordings(path))


pixels = st.tuples(st.integers(0, 33), st.integers(0, 33), st.integers(0, 2**23 - 1), st.integers(0, 1))


@given(st.lists(pixels, max_size=20))
def test_bin_round_trip(
    tmp_path_factory: pytest.TempPathFactory, raw: list[tuple[int, int, int, int]]
) -> None:
    written = sorted(raw, key=lambda event: event[2])
    events = read(recording(tmp_path_factory.mktemp("bin"), "7/00012.bin", bin_bytes(*written)))
    assert list(zip(events.x, events.y, events.t, events.p, strict=True)) == written
    assert events.labels.tolist() == [7]


def test_overflow_marks_shift_the_later_times_and_are_no_events(tmp_path: Path) -> None:
    raw = bin_bytes((1, 2, 8000, 0), (0, 240, 5, 0), (3, 4, 5, 1), (7, 240, 0, 1), (5, 6, 0, 0))
    events = read(recording(tmp_path, "0/1.bin", raw))
    assert events.t.tolist() == [8000, 5 + 8192, 2 * 8192]
    assert events.x.tolist() == [1, 3, 5]


def test_recordings_are_sorted_by_id_and_other_files_passed_over(tmp_path: Path) -> None:
    for name in ("9/00002.bin", "3/00010.bin", "5/00001.bin", "5/._00001.bin"):
        recording(tmp_path, name, b"")
    recording(tmp_path, "5/readme.txt", b"hello")
    found = nmnist.list_recordings(tmp_path)
    assert [(r.id, r.digit) for r in found] == [(1, 5), (2, 9), (10, 3)]


def test_zip_reads_as_its_folder(tmp_path: Path) -> None:
    raw = bin_bytes((1, 2, 3, 1))
    recording(tmp_path / "Train", "4/00001.bin", raw)
    recording(tmp_path / "Train", "2/00003.bin", raw + bin_bytes((1, 2, 9, 0)))
    with zipfile.ZipFile(tmp_path / "train.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (tmp_path / "Train").rglob("*.bin"):
            archive.write(file, file.relative_to(tmp_path))
    folder, packed = read(tmp_path / "Train"), read(tmp_path / "train.zip")
    for name in ("channel", "t", "offsets", "labels"):
        np.testing.assert_array_equal(getattr(folder, name), getattr(packed, name))


LATE = bytes([0, 240, 0, 0, 0]) * (2**18 + 1) + bin_bytes((1, 1, 0, 0))
BAD_BIN = {
    "cut off": (bin_bytes((1, 1, 5, 0)) + b"\x01\x02", "0/1.bin", "byte 5: the last event is cut off"),
    "x off the sensor": (
        bin_bytes((1, 1, 1, 0), (34, 3, 2, 0)),
        "0/1.bin",
        "byte 5: x=34, y=3 is off the 34 x 34",
    ),
    "y off the sensor": (bin_bytes((0, 239, 2, 0)), "0/1.bin", "byte 0: x=0, y=239 is off the 34 x 34"),
    "time backwards": (
        bin_bytes((1, 1, 9, 0), (1, 1, 8, 0)),
        "0/1.bin",
        "byte 5: time .* backwards, from 9 to 8 us",
    ),
    "time too long": (LATE, "0/1.bin", r"byte \d+: time \d+ us does not fit 32 bits"),
    "too large": (bytes(5 * 2**20 + 5), "0/1.bin", "5242885 bytes, a recording has at most 5242880"),
    "no digit": (b"", "ten/1.bin", "unexpected name, recordings are named <digit>/<id>.bin"),
    "no id": (b"", "0/one.bin", "unexpected name"),
}


@pytest.mark.parametrize("case", BAD_BIN)
def test_bad_bin_is_refused(tmp_path: Path, case: str) -> None:
    content, name, message = BAD_BIN[case]
    recording(tmp_path, name, content)
    with pytest.raises(EventFileError, match=message) as caught:
        read(tmp_path)
    assert name in str(caught.value)


def test_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    recording(tmp_path, "0/1.bin", b"")
    recording(tmp_path, "1/00001.bin", b"")
    with pytest.raises(EventFileError, match="recording 1 stands twice"):
        read(tmp_path)


def test_unreadable_bin_is_refused(tmp_path: Path) -> None:
    found = nmnist.list_recordings(recording(tmp_path, "0/1.bin", b""))
    (tmp_path / "0/1.bin").unlink()
    with pytest.raises(EventFileError, match=r"1\.bin: cannot be read"):
        nmnist.read_recordings(found)


@pytest.mark.parametrize("name", ["../0/1.bin", "/0/1.bin", "a/b/0/1.bin", "Train/10/1.bin"])
def test_zip_members_with_odd_names_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(EventFileError, match="unexpected name"):
        read(tmp_path / "train.zip")


def test_damaged_zip_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "train.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Train/0/1.bin", bin_bytes(*[(i, 1, i, 0) for i in range(30)]))
    content = file.read_bytes()
    file.write_bytes(content[:60] + bytes([content[60] ^ 255]) + content[61:])
    with pytest.raises(EventFileError, match=r"train\.zip!Train/0/1\.bin: cannot be read"):
        read(file)
    file.write_bytes(content[:-30])
    with pytest.raises(EventFileError, match="not a readable zip file"):
        read(file)


def test_no_recordings(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="no such folder or zip file"):
        nmnist.list_recordings(tmp_path / "Train")
    with pytest.raises(DataNotFoundError, match="no recordings, expected files"):
        nmnist.list_recordings(tmp_path)


def test_real_recordings_read_as_tonic_reads_them(real_data: Path) -> None:
    tonic_io = pytest.importorskip("tonic.io")
    dtype = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
    chosen = nmnist.list_recordings(real_data / "nmnist/Train")[:20]
    events = nmnist.read_recordings(chosen)
    for i, one in enumerate(chosen):
        theirs, ours = tonic_io.read_mnist_file(str(one.path), dtype=dtype), events[i]
        for name in ("x", "y", "t", "p"):
            np.testing.assert_array_equal(getattr(ours, name), theirs[name])


def test_real_recordings_show_the_mnist_images_before_their_ids(real_data: Path) -> None:
    labels = idx.read_labels(real_data / "mnist/train-labels-idx1-ubyte.gz")
    assert all(r.digit == labels[r.id - 1] for r in nmnist.list_recordings(real_data / "nmnist/Train"))


# --- N-TIDIGITS ---

NAME = "man-ae-a-3"


def hdf5(
    path: Path, addresses: Any = (5, 63, 0), seconds: Any = (0.0, 0.25, 0.25), names: Any = (NAME,)
) -> Path:
    with h5py.File(path, "w") as file:
        file["test_labels"] = np.array(names, "S")
        file[f"test_addresses/{NAME}"] = addresses
        file[f"test_timestamps/{NAME}"] = seconds
    return path


def read_cochlea(path: Path) -> Any:
    return ntidigits.read_recordings(path, "test", ntidigits.list_recordings(path, "test"))


def test_ntidigits_recording(tmp_path: Path) -> None:
    events = read_cochlea(hdf5(tmp_path / "x.hdf5"))
    assert events.channel.tolist() == [5, 63, 0]
    assert events.t.tolist() == [0, 250_000, 250_000]
    assert events.classes[events.labels[0]] == "3"
    assert events.sensor.n_channels == 64


def test_only_isolated_digits_are_listed(tmp_path: Path) -> None:
    names = ["man-ae-a-z", "man-ae-a-12", "woman-bh-b-o", "man-ae-a-z1o", NAME]
    found = ntidigits.list_recordings(hdf5(tmp_path / "x.hdf5", names=names), "test")
    assert [(name, ntidigits.digit(name)) for name in found] == [
        ("man-ae-a-z", 0),
        ("woman-bh-b-o", 10),
        (NAME, 3),
    ]


BAD_COCHLEA: dict[str, tuple[dict[str, Any], str]] = {
    "channel too high": (
        {"addresses": [1, 64, 2]},
        r"/test_addresses/man-ae-a-3: entry 1 is 64, not a channel",
    ),
    "channel negative": ({"addresses": [-1, 1, 2]}, r"/test_addresses/man-ae-a-3: entry 0 is -1"),
    "channel no number": ({"addresses": np.array([b"a"] * 3)}, r"\|S1, float64, not numbers"),
    "channel fractional": ({"addresses": [0.5, 1, 2]}, r"entry 0 is 0.5, not a channel"),
    "time negative": ({"seconds": [-0.1, 0, 1]}, r"/test_timestamps/man-ae-a-3: entry 0 is -0.1, not a time"),
    "time not a number": ({"seconds": [0, np.nan, 1]}, r"entry 1 is nan, not a time"),
    "time too long": ({"seconds": [0, 1, 3000]}, r"entry 2 is 3000, not a time from 0 to 2147 s"),
    "time backwards": ({"seconds": [0, 0.2, 0.1]}, r"entry 2 is 0.1, earlier than the one before"),
    "lengths": (
        {"seconds": [0, 0.2]},
        r"/test_addresses/man-ae-a-3 has 3 entries, /test_timestamps/man-ae-a-3 has 2",
    ),
    "two axes": ({"addresses": [[1, 2, 3]]}, r"shape \(1, 3\), expected one axis"),
    "name": (
        {"names": ["man-ae-a-x"]},
        r"/test_labels: entry 0 is 'man-ae-a-x', expected gender-speaker-take",
    ),
    "path for a name": ({"names": ["../x-3"]}, r"/test_labels: entry 0 is '\.\./x-3'"),
    "no such recording": ({"names": ["man-ae-b-3"]}, r"/test_addresses/man-ae-b-3: missing"),
}


@pytest.mark.parametrize("case", BAD_COCHLEA)
def test_bad_ntidigits_is_refused(tmp_path: Path, case: str) -> None:
    change, message = BAD_COCHLEA[case]
    with pytest.raises(EventFileError, match=message):
        read_cochlea(hdf5(tmp_path / "x.hdf5", **change))


def test_missing_group_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EventFileError, match="/train_labels: missing"):
        ntidigits.list_recordings(hdf5(tmp_path / "x.hdf5"), "train")


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.hdf5", "/data"), h5py.SoftLink("/test_labels")])
def test_links_are_not_followed(tmp_path: Path, link: Any) -> None:
    path = hdf5(tmp_path / "x.hdf5")
    with h5py.File(path, "a") as file:
        del file[f"test_addresses/{NAME}"]
        file[f"test_addresses/{NAME}"] = link
    with pytest.raises(EventFileError, match="a link to another place"):
        read_cochlea(path)


def test_values_outside_the_file_are_refused(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "x.hdf5")
    with h5py.File(path, "a") as file:
        del file[f"test_addresses/{NAME}"]
        outside = [(str(tmp_path / "elsewhere"), 0, 24)]
        file.create_dataset(f"test_addresses/{NAME}", (3,), np.int64, external=outside)
    with pytest.raises(EventFileError, match="not a dataset with its values in this file"):
        read_cochlea(path)


def test_damaged_hdf5_is_reported_whatever_the_library_makes_of_it(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "x.hdf5")
    whole, draw, reported = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(200):
        raw = bytearray(whole)
        for place in draw.integers(len(raw), size=5):
            raw[place] = draw.integers(256)
        path.write_bytes(raw)
        try:
            read_cochlea(path)
        except (EventFileError, DataNotFoundError):
            reported += 1
    assert reported > 10


def test_damaged_chunk_is_refused(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "x.hdf5")
    with h5py.File(path, "a") as file:
        del file[f"test_addresses/{NAME}"]
        stored = file.create_dataset(
            f"test_addresses/{NAME}", data=np.arange(3), chunks=(3,), fletcher32=True
        )
        offset = stored.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset] ^= 255
    path.write_bytes(content)
    with pytest.raises(EventFileError, match="/test_addresses/man-ae-a-3: cannot be read"):
        read_cochlea(path)


def test_what_is_no_hdf5_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.hdf5").write_bytes(b"hello")
    with pytest.raises(EventFileError, match="not a readable HDF5 file"):
        read_cochlea(tmp_path / "x.hdf5")
    with pytest.raises(DataNotFoundError, match="no such file"):
        read_cochlea(tmp_path / "y.hdf5")


# --- tonic ---


class Recordings:
    """As small as a tonic data set can be."""

    sensor_size = (34, 34, 2)
    classes = ("zero", "one")

    def __init__(self, *items: tuple[Any, Any], transform: Any = None) -> None:
        self.items = items
        self.transform = transform

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        events, target = self.items[index]
        return (self.transform(events) if self.transform else events), target


def structured(**fields: Any) -> Any:
    columns = {name: np.asarray(values) for name, values in fields.items()}
    out = np.zeros(len(columns["t"]), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        out[name] = column
    return out


SEEN = structured(x=[1, 2, 20], y=[3, 30, 5], t=[0, 5, 90], p=[True, False, True])


def test_from_tonic() -> None:
    events = from_tonic(Recordings((SEEN, 1), (SEEN[:1], "zero")))
    assert events.x.tolist() == [1, 2, 20, 1]
    assert events.y.tolist() == [3, 30, 5, 3]
    assert events.p.tolist() == [1, 0, 1, 1]
    assert events.t.tolist() == [0, 5, 90, 0]
    assert events.labels.tolist() == [1, 0]
    assert events.classes == ("zero", "one")


def test_from_tonic_with_its_transforms() -> None:
    transforms = pytest.importorskip("tonic.transforms")
    crop = transforms.Compose([transforms.CropTime(max=50), transforms.Downsample(spatial_factor=0.5)])
    events = from_tonic(Recordings((SEEN.copy(), 0), transform=crop), sensor=Sensor(17, 17, 2))
    assert events.t.tolist() == [0, 5]
    assert events.y.tolist() == [1, 15]


def test_from_tonic_reads_a_row_of_channels() -> None:
    heard = structured(t=[1, 2], x=[63, 0], p=[1, 1])
    events = from_tonic(Recordings((heard, 0)), sensor=Sensor(64))
    assert events.channel.tolist() == [63, 0]


BAD_TONIC = {
    "x": ((structured(x=[34], y=[0], t=[0], p=[0]), 0), "recording 0: event 0 has x=34, allowed is 0..33"),
    "time": ((structured(x=[1, 1], y=[0, 0], t=[2, 1], p=[0, 0]), 0), "time runs backwards at event 1"),
    "no y": ((structured(x=[1], t=[0], p=[0]), 0), "no integer field 'y'"),
    "float": ((structured(x=[1.5], y=[0], t=[0], p=[0]), 0), "no integer field 'x'"),
    "target": ((SEEN, 2), "target 2, there are 2 classes"),
    "class": ((SEEN, "on"), "unknown class 'on'; did you mean 'one'"),
}


@pytest.mark.parametrize("case", BAD_TONIC)
def test_bad_tonic_recording_is_refused(case: str) -> None:
    item, message = BAD_TONIC[case]
    with pytest.raises(EventFileError, match=message):
        from_tonic(Recordings(item))


def test_sensor_with_more_channels_than_16_bits_number() -> None:
    with pytest.raises(ShapeError, match=r"86400 channels, at most 65536 .*; crop or downsample"):
        from_tonic(Recordings((SEEN, 0)), sensor=Sensor(240, 180, 2))


def test_from_tonic_needs_sensor_and_classes() -> None:
    with pytest.raises(ExperimentError, match="names no classes; give classes"):
        from_tonic(Recordings((SEEN, 0)), classes=())
    with pytest.raises(ExperimentError, match="no sensor_size; give sensor"):
        from_tonic([(SEEN, 0)], classes=("a",))

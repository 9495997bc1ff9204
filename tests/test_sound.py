"""WAV files and the recordings of FSDD: what is read, and what is refused."""

import io
import tarfile
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.io import wavfile

from neurosim.errors import DataNotFoundError, EventFileError
from neurosim.events import fsdd, sound
from neurosim.events.sound import Waveform, decode_wav, trim


def wav(samples: npt.NDArray[np.int16], rate: int = 8000) -> bytes:
    file = io.BytesIO()
    wavfile.write(file, rate, samples)
    return file.getvalue()


TONE = np.array([0, 1, -32768, 32767, 5], np.int16)


# --- WAV ---


def test_samples_are_those_written_by_scipy() -> None:
    read = decode_wav(wav(TONE), "x")
    assert (read.rate, read.samples.dtype) == (8000, np.float32)
    np.testing.assert_array_equal(read.samples, TONE.astype(np.float32) / 2**15)
    assert read.duration == 5 / 8000


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_other_widths(dtype: type[np.generic]) -> None:
    limits = np.iinfo(dtype)  # type: ignore[type-var]
    raw = wav(np.array([limits.min, limits.max // 2 + 1, limits.max], dtype))  # type: ignore[arg-type]
    expected = [-1, 0, 1] if dtype is np.uint8 else [-1, 0.5, 1]
    np.testing.assert_allclose(decode_wav(raw, "x").samples, expected, atol=0.01)


def test_24_bits() -> None:
    values = [-(2**23), -1, 0, 1, 2**23 - 1]
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(3)
        out.setframerate(8000)
        out.writeframes(b"".join(v.to_bytes(3, "little", signed=True) for v in values))
    np.testing.assert_array_equal(
        decode_wav(file.getvalue(), "x").samples, np.float32(values) / np.float32(2**23)
    )


def test_channels_are_averaged() -> None:
    stereo = np.array([[100, 300], [-200, 200]], np.int16)
    np.testing.assert_array_equal(decode_wav(wav(stereo), "x").samples, np.float32([200, 0]) / 2**15)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not a WAV file"),
        (b"RIFF\x00\x00\x00\x00WAVE", "not a WAV file"),
        (wav(TONE)[:-3], "the header says 10; get it again|not a WAV file"),
        (wav(TONE.astype(np.float32)), "not a WAV file of PCM"),  # type: ignore[arg-type]
        (wav(TONE[:0]), "0 s of sound"),
        (wav(TONE).replace(b"\x02\x00\x10\x00", b"\x05\x00\x28\x00"), "samples of 40 bits, allowed are 8"),
        (wav(TONE, 100), "sampled at 100 Hz, allowed is 1000 to 384000 Hz"),
        (wav(np.zeros(61_000, np.int16), 1000), "61 s of sound, allowed is up to 60 s"),
    ],
)
def test_wrong_files(raw: bytes, message: str) -> None:
    with pytest.raises(EventFileError, match=message):
        decode_wav(raw, "x.wav")


def test_trim_cuts_the_silence_at_both_ends_only() -> None:
    samples = np.float32([0, 0.001, 0.5, 0, 0, -1, 0.01, 0])
    np.testing.assert_array_equal(trim(Waveform(samples, 8000)).samples, samples[2:6])
    silence = Waveform(np.zeros(4, np.float32), 8000)
    assert trim(silence) is silence


# --- FSDD ---


def recordings(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for take in (0, 4, 5, 12):
        for speaker in ("ann", "bob"):
            for digit in (3, 7):
                raw = wav(np.full(8, 100 * take + digit, np.int16))
                (folder / f"{digit}_{speaker}_{take}.wav").write_bytes(raw)
    return folder


def packed(folder: Path, file: Path) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        archive.add(folder, "free-spoken-digit-dataset-1.0.9/recordings")
    return file


def test_official_parts_in_order(tmp_path: Path) -> None:
    folder = recordings(tmp_path / "recordings")
    (folder / "notes.txt").touch()
    (folder / "._3_ann_0.wav").touch()
    test = fsdd.list_recordings(folder, "test")
    assert [r.name for r in test] == [f"{d}_{s}_{t}" for t in (0, 4) for s in ("ann", "bob") for d in (3, 7)]
    assert {r.take for r in fsdd.list_recordings(folder, "train")} == {5, 12}
    assert [(r.label, r.speaker) for r in test[:2]] == [(3, "ann"), (7, "ann")]


def test_archive_and_folder_hold_the_same(tmp_path: Path) -> None:
    folder = recordings(tmp_path / "recordings")
    archive = packed(folder, tmp_path / "fsdd.tar.gz")
    for split in ("train", "test"):
        here, there = (fsdd.list_recordings(place, split) for place in (folder, archive))
        assert [r.name for r in here] == [r.name for r in there]
        for a, b in zip(fsdd.read_recordings(here), fsdd.read_recordings(there), strict=True):
            np.testing.assert_array_equal(a.samples, b.samples)
    one = fsdd.read_recordings(here[2:3])
    assert one[0].samples[0] == np.float32(here[2].label) / 2**15


def test_wrong_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataNotFoundError, match="no such folder or archive of FSDD"):
        fsdd.list_recordings(tmp_path / "none", "train")
    folder = recordings(tmp_path / "recordings")
    (folder / "ten_ann_0.wav").touch()
    with pytest.raises(EventFileError, match=r"ten_ann_0\.wav: unexpected name"):
        fsdd.list_recordings(folder, "train")
    (folder / "ten_ann_0.wav").unlink()
    listed = fsdd.list_recordings(folder, "train")
    listed[0].path.write_bytes(b"RIFF")
    with pytest.raises(EventFileError, match=r"_ann_5.wav: not a WAV file"):
        fsdd.read_recordings(listed)
    listed[0].path.unlink()
    with pytest.raises(EventFileError, match=r"_ann_5.wav: cannot be read"):
        fsdd.read_recordings(listed)
    monkeypatch.setattr(fsdd, "_MAX_TOTAL", 100)
    with pytest.raises(EventFileError, match="more than 100 bytes of recordings"):
        fsdd.list_recordings(folder, "train")
    monkeypatch.setattr(fsdd, "MAX_BYTES", 10)
    with pytest.raises(EventFileError, match="a recording has at most 10"):
        fsdd.list_recordings(folder, "train")


def test_wrong_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(recordings(tmp_path / "recordings"), tmp_path / "fsdd.tar.gz")
    listed = fsdd.list_recordings(archive, "test")
    raw = archive.read_bytes()
    archive.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(EventFileError, match=r"not a readable .tar.gz"):
        fsdd.list_recordings(archive, "test")
    with pytest.raises(EventFileError, match=r"not a readable .tar.gz|no longer in the archive"):
        fsdd.read_recordings(listed)
    archive.write_bytes(raw)
    monkeypatch.setattr(fsdd, "_MAX_MEMBERS", 3)
    with pytest.raises(EventFileError, match="more than 3 files"):
        fsdd.list_recordings(archive, "test")


def test_real_recordings(real_data: Path) -> None:
    folder = real_data / "fsdd/recordings"
    if not folder.is_dir():
        pytest.skip(f"no fsdd in {real_data}")
    test, train = (fsdd.list_recordings(folder, split) for split in ("test", "train"))
    assert (len(test), len(train)) == (300, 2700)
    assert len({r.speaker for r in test}) == 6
    for recording, read in zip(test, fsdd.read_recordings(test), strict=True):
        rate, samples = wavfile.read(recording.path)
        assert rate == read.rate == 8000
        np.testing.assert_array_equal(read.samples, samples.astype(np.float32) / 2**15)
    assert sound.RATES[0] <= 8000

"""Words spoken by eSpeak NG: lists of utterances, and the same samples in any company."""

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest

from neurosim.cards import load_dataset, shipped_folder
from neurosim.errors import DataNotFoundError, EventFileError, MissingExtraError
from neurosim.events import speech
from neurosim.events.speech import Utterance, read_list, speak

CLASSES = tuple("0123456789")
HEAD = "label,text,voice,rate,pitch,range\n"


def utterance(
    text: str = "seven", language: str = "en-us", speaker: str = "m3", rate: int = 175
) -> Utterance:
    return Utterance(7, text, language, speaker, rate, 50, 50)


@pytest.fixture
def engine() -> None:
    pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed (extra speech)")


def listed(tmp_path: Path, text: str) -> list[Utterance]:
    file = tmp_path / "list.csv"
    file.write_text(text, encoding="utf-8")
    return read_list(file, CLASSES)


# --- lists ---


def test_a_list_says_what_is_said_and_how(tmp_path: Path) -> None:
    one, other = listed(tmp_path, HEAD + '7,seven,en-us+m3,175,40,60\n0,"nil, null",en,80,0,100\n')
    assert one == Utterance(7, "seven", "en-us", "m3", 175, 40, 60)
    assert (one.voice, one.name) == ("en-us+m3", "seven/en-us+m3/175/40/60")
    assert other == Utterance(0, "nil, null", "en", "", 80, 0, 100)
    assert other.voice == "en"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: columns \[\], expected label,text"),
        (HEAD, "no utterance"),
        (HEAD + "7,seven,en\n", "line 2: 3 fields"),
        (HEAD + "x,seven,en,100,50,50\n", "line 2: unknown class 'x'; known: 0, 1"),
        (HEAD + "7,,en,100,50,50\n", "text '', allowed are 1 to 200 printable"),
        (HEAD + "7,a\x07,en,100,50,50\n", r"text 'a\\x07', allowed"),
        (HEAD + "7,seven,../en,100,50,50\n", r"voice '../en', expected language\+speaker"),
        (HEAD + "7,seven,en,79,50,50\n", "rate '79', allowed is 80 to 450"),
        (HEAD + "7,seven,en,100,fast,50\n", "pitch 'fast', allowed is 0 to 100"),
        (HEAD + "7,seven,en,100,50,-1\n", "range '-1', allowed is 0 to 100"),
        (HEAD + '7,"seven,en,100,50,-1\n', "cannot be read as CSV"),
    ],
)
def test_wrong_lists(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EventFileError, match=message):
        listed(tmp_path, text)


def test_missing_and_endless_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataNotFoundError, match="no such list"):
        read_list(tmp_path / "none.csv", CLASSES)
    monkeypatch.setattr(speech, "MAX_UTTERANCES", 1)
    with pytest.raises(EventFileError, match="more than 1 utterances"):
        listed(tmp_path, HEAD + 2 * "7,seven,en,100,50,50\n")


# --- the engine ---


@pytest.mark.usefixtures("engine")
def test_an_utterance_is_the_same_samples_in_any_company() -> None:
    # voices with noise, flutter and echo, whose state the engine keeps
    some = [
        utterance(text, speaker=s) for s in ("m3", "iven", "f5", "klatt2", "steph") for text in ("two", "six")
    ]
    forwards, backwards = speak(some), speak(some[::-1])[::-1]
    for a, b in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)
    assert len({a.samples.tobytes() for a in forwards}) == len(some)


@pytest.mark.usefixtures("engine")
def test_what_comes_out_is_speech() -> None:
    normal, fast, whole = speak([utterance(), utterance(rate=300), utterance("one two three four")])
    assert speech.engine()
    assert normal.rate == 22_050
    assert 0.2 < normal.duration < 0.8
    assert fast.duration < 0.85 * normal.duration
    assert whole.duration > 2 * normal.duration
    for sound in (normal, fast, whole):
        assert sound.samples.dtype == np.float32
        assert 0.05 < np.abs(sound.samples).max() <= 1
        assert abs(sound.samples[0]) > 0  # silence is cut off


@pytest.mark.usefixtures("engine")
def test_pitch_is_that_asked_for() -> None:
    def fundamental(pitch: int) -> float:
        (sound,) = speak([Utterance(0, "aaaa", "en-us", "", 120, pitch, 0)])
        middle = sound.samples[len(sound.samples) // 3 :][:4096] * np.hanning(4096)
        power = np.abs(np.fft.rfft(middle, 1 << 15)) ** 2
        autocorrelation = np.fft.irfft(power)[: 22_050 // 50]
        lag = 22_050 // 400 + int(np.argmax(autocorrelation[22_050 // 400 :]))
        return 22_050 / lag

    assert fundamental(90) > 1.3 * fundamental(10)


@pytest.mark.usefixtures("engine")
def test_unknown_voices() -> None:
    with pytest.raises(
        EventFileError, match=r"voice 'en-us\+stepf': eSpeak NG has no 'stepf'; did you mean 'step"
    ):
        speak([utterance(speaker="stepf")])
    with pytest.raises(EventFileError, match=r"voice 'xq': .*language 'xq'"):
        speak([utterance(language="xq", speaker="")])


@pytest.mark.usefixtures("engine")
def test_endless_speech_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "MAX_SECONDS", 0.2)
    (cut,) = speak([utterance("one two three four five six seven eight nine")])
    assert cut.duration < 1.5


@pytest.mark.usefixtures("engine")
def test_nothing_of_the_engine_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROSIM_CACHE", str(tmp_path / "cache"))
    speak([utterance()])
    assert list((tmp_path / "cache").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


def no_package(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


def test_missing_engine_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'neurosim-codesign\[speech\]'"):
        speak([utterance()])
    monkeypatch.setattr(speech.importlib.metadata, "version", no_package)
    assert speech.engine() == ""


@pytest.mark.usefixtures("engine")
def test_damaged_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import espeakng_loader

    whole = Path(espeakng_loader.get_data_path())
    with pytest.raises(MissingExtraError, match="does not start from"):
        speech._say(utterance(), Path(espeakng_loader.get_library_path()), tmp_path)
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: str(whole / "phontab"))
    with pytest.raises(MissingExtraError, match="eSpeak NG cannot be loaded"):
        speak([utterance()])
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(tmp_path))
    with pytest.raises(MissingExtraError, match="espeakng-loader is not whole"):
        speak([utterance()])


# --- the lists that ship ---


def test_shipped_lists_are_balanced_and_their_voices_disjoint() -> None:
    card, folder = load_dataset("spoken-digits"), shipped_folder("datasets")
    speakers: list[set[str]] = []
    for split in card.splits.values():
        said = read_list(folder / split.data[0], card.classes)
        assert len(said) == split.n
        assert len({u.name for u in said}) == len(said)
        assert np.bincount([u.label for u in said]).tolist() == [split.n // 10] * 10
        speakers.append({u.speaker for u in said})
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 82
    # a voice and its variants, steph and steph2, stand in one split
    families = [
        {name if name[1:].isdigit() else name.rstrip("0123456789").lower() for name in s} for s in speakers
    ]
    assert sum(map(len, families)) == len(set.union(*families))

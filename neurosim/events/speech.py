"""Speech that needs no recording: words spoken by eSpeak NG, from a list of what to say and how.

The engine is the shared library of the PyPI package ``espeakng-loader``, called in this process. A list is a
CSV file with the columns ``label, text, voice, rate, pitch, range``: class name, what is said, a voice of
eSpeak NG such as ``en-us+m3`` (language and, after the plus, speaker), words per minute, base pitch and its
range (both 0 to 100, 50 is the voice's own).

eSpeak NG remembers: noise, flutter and filters go on from one utterance to the next. So each one is spoken by
a fresh image of the library, its generator seeded alike: an utterance is the same samples in any company.

Source: eSpeak NG's ``speak_lib.h`` (version 1.52), https://github.com/espeak-ng/espeak-ng.
"""

import csv
import ctypes
import importlib.metadata
import re
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurosim import store
from neurosim.errors import DataNotFoundError, EventFileError, MissingExtraError, did_you_mean
from neurosim.events.sound import MAX_SECONDS, Waveform, trim

COLUMNS = ["label", "text", "voice", "rate", "pitch", "range"]
MAX_UTTERANCES = 100_000
MAX_TEXT = 200
# allowed values of the numbers [words/min, 1, 1]
LIMITS = {"rate": (80, 450), "pitch": (0, 100), "range": (0, 100)}

_VOICE = re.compile(r"(?P<language>[a-z0-9-]{1,40})(\+(?P<speaker>[A-Za-z0-9]{1,40}))?")
# constants of speak_lib.h
_SYNCHRONOUS, _UTF8, _POS_CHARACTER = 2, 1, 1
_PARAMETERS = {"rate": 1, "pitch": 3, "range": 4}
_DO_NOT_EXIT = 0x8000
_SEED = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Utterance:
    """What is said, and how.

    Attributes:
        label: Class index.
        text: What is said.
        language: Language or accent of eSpeak NG, e.g. ``en-us``.
        speaker: Its voice variant, e.g. ``m3``; empty for the language's own.
        rate: Speed [words/min].
        pitch: Base pitch [1], 50 is the voice's own.
        range: Range of the pitch [1], 50 is the voice's own; 0 is monotonous.
    """

    label: int
    text: str
    language: str
    speaker: str
    rate: int
    pitch: int
    range: int

    @property
    def voice(self) -> str:
        """Name that the engine knows the voice by."""
        return f"{self.language}+{self.speaker}" if self.speaker else self.language

    @property
    def name(self) -> str:
        """All of it in one line."""
        return f"{self.text}/{self.voice}/{self.rate}/{self.pitch}/{self.range}"


def read_list(path: Path, classes: Sequence[str]) -> list[Utterance]:
    """Utterances of a CSV file, in its order.

    Raises:
        DataNotFoundError: If there is no such file.
        EventFileError: If a column, class, voice or number is wrong, or there are too many lines or none.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            head = next(rows, [])
            if head != COLUMNS:
                raise EventFileError(f"{path}: line 1: columns {head}, expected {','.join(COLUMNS)}")
            found: list[Utterance] = []
            for row in rows:
                if len(found) == MAX_UTTERANCES:
                    raise EventFileError(f"{path}: more than {MAX_UTTERANCES} utterances; divide the list")
                found.append(_utterance(row, classes, f"{path}: line {rows.line_num}"))
    except FileNotFoundError:
        raise DataNotFoundError(f"{path}: no such list of utterances") from None
    except (OSError, UnicodeDecodeError, csv.Error) as why:
        raise EventFileError(f"{path}: cannot be read as CSV: {why}") from None
    if not found:
        raise EventFileError(f"{path}: no utterance; add one")
    return found


def engine() -> str:
    """Version of the package that speaks; empty where it is not installed."""
    try:
        return importlib.metadata.version("espeakng-loader")
    except importlib.metadata.PackageNotFoundError:
        return ""


def speak(utterances: Sequence[Utterance]) -> list[Waveform]:
    """The sounds of these utterances, silence at both ends cut off; 22,050 Hz.

    Raises:
        MissingExtraError: If ``espeakng-loader`` is not installed, or its library cannot be loaded.
        EventFileError: If the engine does not know a voice or makes no sound.
    """
    try:
        import espeakng_loader
    except ImportError:
        raise MissingExtraError(
            "spoken words need espeakng-loader; install it with: pip install 'neurosim-codesign[speech]'"
        ) from None
    try:
        data = Path(espeakng_loader.get_data_path())
        speakers = {file.name for file in (data / "voices" / "!v").iterdir()}
    except (OSError, RuntimeError) as why:
        raise MissingExtraError(f"espeakng-loader is not whole: {why}; install it again") from None
    for utterance in utterances:
        if utterance.speaker and utterance.speaker not in speakers:
            hint = did_you_mean(utterance.speaker, speakers)
            raise EventFileError(f"voice '{utterance.voice}': eSpeak NG has no '{utterance.speaker}'; {hint}")
    store.cache_dir().mkdir(parents=True, exist_ok=True)
    with _LOCK, tempfile.TemporaryDirectory(dir=store.cache_dir()) as folder:
        # a copy of our own: were the library in use elsewhere in this process, closing it would not reset it
        library = Path(shutil.copy(espeakng_loader.get_library_path(), folder))
        return [_say(utterance, library, data) for utterance in utterances]


def _utterance(row: list[str], classes: Sequence[str], where: str) -> Utterance:
    if len(row) != len(COLUMNS):
        raise EventFileError(f"{where}: {len(row)} fields, expected {','.join(COLUMNS)}")
    field = dict(zip(COLUMNS, row, strict=True))
    if field["label"] not in classes:
        hint = did_you_mean(field["label"], classes)
        raise EventFileError(f"{where}: unknown class '{field['label']}'; {hint}")
    text = field["text"]
    if not 0 < len(text) <= MAX_TEXT or not text.isprintable():
        raise EventFileError(f"{where}: text {text!r}, allowed are 1 to {MAX_TEXT} printable characters")
    voice = _VOICE.fullmatch(field["voice"])
    if voice is None:
        raise EventFileError(f"{where}: voice '{field['voice']}', expected language+speaker such as en-us+m3")
    numbers = {}
    for key, (lowest, highest) in LIMITS.items():
        value = int(field[key]) if re.fullmatch(r"[0-9]{1,3}", field[key]) else -1
        if not lowest <= value <= highest:
            raise EventFileError(f"{where}: {key} '{field[key]}', allowed is {lowest} to {highest}")
        numbers[key] = value
    language, speaker = voice["language"], voice["speaker"] or ""
    return Utterance(classes.index(field["label"]), text, language, speaker, **numbers)


def _say(utterance: Utterance, library: Path, data: Path) -> Waveform:
    """One utterance by a fresh image of the library, which is closed again."""
    try:
        loaded = ctypes.CDLL(str(library))
    except OSError as why:
        raise MissingExtraError(f"{library}: eSpeak NG cannot be loaded: {why}") from None
    sound = bytearray()
    limit = 0

    def take(samples: Any, n: int, _events: Any) -> int:
        """Called by the engine; 1 tells it to stop."""
        if samples and n > 0:
            sound.extend(ctypes.string_at(samples, 2 * n))
        return int(len(sound) > limit)

    callback = _CALLBACK(take)  # held until the engine is closed
    try:
        rate = loaded.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), _DO_NOT_EXIT)
        if rate <= 0:
            raise MissingExtraError(f"eSpeak NG does not start from {data}; install espeakng-loader again")
        limit = int(2 * rate * MAX_SECONDS)
        loaded.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
        loaded.espeak_SetSynthCallback(callback)
        if loaded.espeak_SetVoiceByName(utterance.voice.encode()):
            raise EventFileError(
                f"voice '{utterance.voice}': eSpeak NG has no language '{utterance.language}'"
            )
        for key, parameter in _PARAMETERS.items():
            loaded.espeak_SetParameter(parameter, getattr(utterance, key), 0)
        text = ctypes.create_string_buffer(utterance.text.encode())
        size = ctypes.c_size_t(len(text))
        failed = loaded.espeak_Synth(text, size, 0, _POS_CHARACTER, 0, _UTF8, None, None)
        loaded.espeak_Synchronize()
    finally:
        loaded.espeak_Terminate()
        close = ctypes.CDLL(None).dlclose
        close.argtypes = [ctypes.c_void_p]
        close(loaded._handle)
    if failed or not sound:
        raise EventFileError(f"eSpeak NG makes no sound of '{utterance.text}' (voice '{utterance.voice}')")
    samples = np.frombuffer(bytes(sound), np.int16).astype(np.float32) / np.float32(2**15)
    return trim(Waveform(samples, rate))

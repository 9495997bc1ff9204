"""Waveforms, and the WAV files that hold them."""

import io
import wave
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurosim.errors import EventFileError

RATES = (1_000, 384_000)  # of sampling [Hz]
MAX_SECONDS = 60.0
# bytes of the longest waveform at the highest rate, with room for a header: what a file claims must not fill
# the memory
MAX_BYTES = int(MAX_SECONDS * RATES[1] * 8) + 2**16


@dataclass(frozen=True, eq=False)
class Waveform:
    """One recorded or synthetic sound.

    Attributes:
        samples: float32 (n,) [1], full scale is 1.
        rate: Samples per second [Hz].
    """

    samples: npt.NDArray[np.float32]
    rate: int

    @property
    def duration(self) -> float:
        """Length [s]."""
        return len(self.samples) / self.rate


def decode_wav(raw: bytes, where: str) -> Waveform:
    """Sound of the bytes of a WAV file: PCM of 8, 16, 24 or 32 bits; several channels are averaged.

    Args:
        raw: The whole file.
        where: Name of the file in messages.

    Raises:
        EventFileError: If the bytes are no such file, end early, have wider samples, or the sound is empty,
            longer than ``MAX_SECONDS`` or sampled at a rate outside ``RATES``.
    """
    try:
        with wave.open(io.BytesIO(raw)) as file:
            n, rate, width, channels = (
                file.getnframes(),
                file.getframerate(),
                file.getsampwidth(),
                file.getnchannels(),
            )
            data = file.readframes(n)
    except (wave.Error, EOFError, ZeroDivisionError) as why:
        raise EventFileError(f"{where}: not a WAV file of PCM samples: {why}; get it again") from None
    if width > 4:
        raise EventFileError(f"{where}: samples of {8 * width} bits, allowed are 8, 16, 24 and 32 bits")
    lowest, highest = RATES
    if not lowest <= rate <= highest:
        raise EventFileError(f"{where}: sampled at {rate} Hz, allowed is {lowest} to {highest} Hz")
    if not 0 < n <= MAX_SECONDS * rate:
        raise EventFileError(f"{where}: {n / rate:g} s of sound, allowed is up to {MAX_SECONDS:g} s")
    if len(data) != n * width * channels:
        raise EventFileError(
            f"{where}: {len(data)} bytes of sound, the header says {n * width * channels}; get it again"
        )
    frames = _integers(data, width).reshape(n, channels).mean(axis=1)
    return Waveform((frames / 2 ** (8 * width - 1)).astype(np.float32), rate)


def trim(waveform: Waveform, level: float = 0.02) -> Waveform:
    """The part from the first to the last sample above ``level`` times the loudest one."""
    loud = np.flatnonzero(np.abs(waveform.samples) > level * np.abs(waveform.samples).max(initial=0.0))
    if not len(loud):
        return waveform
    return Waveform(waveform.samples[loud[0] : loud[-1] + 1], waveform.rate)


def _integers(data: bytes, width: int) -> npt.NDArray[np.float64]:
    """Little-endian samples, those of 8 bits without sign as WAV has them."""
    match width:
        case 1:
            return np.frombuffer(data, np.uint8).astype(np.float64) - 128
        case 3:
            low, middle, high = np.frombuffer(data, np.uint8).reshape(-1, 3).T.astype(np.int32)
            return (low | middle << 8 | (high ^ 0x80) << 16).astype(np.float64) - 2**23
        case _:
            return np.frombuffer(data, f"<i{width}").astype(np.float64)

"""The simulated cochlea: its filters and neurons, and its rates against those of a real one."""

from pathlib import Path
from typing import Any

import naive
import numba
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError
from scipy import signal

from neurosim import counter
from neurosim.errors import ShapeError
from neurosim.events import cochlea, fsdd
from neurosim.events.cochlea import AugmentConfig, CochleaConfig, distortion, simulate_cochlea
from neurosim.events.sound import Waveform
from neurosim.events.types import Events

QUIET = CochleaConfig(background_rate=0.0)
EVEN = QUIET.model_copy(update={"sigma_gain": 0.0})


def tone(f: float, *, rate: int = 16_000, seconds: float = 0.2) -> Waveform:
    t = np.arange(int(rate * seconds)) / rate
    return Waveform(np.sin(2 * np.pi * f * t).astype(np.float32), rate)


def noise(seed: int = 0, rate: int = 8000) -> Waveform:
    return Waveform(np.random.default_rng(seed).normal(0, 0.1, rate // 10).astype(np.float32), rate)


def hear(*waveforms: Waveform, config: CochleaConfig = QUIET, **options: Any) -> Events:
    return simulate_cochlea(waveforms, [0] * len(waveforms), config, **({"seed": 0} | options))


def same(a: Events, b: Events) -> bool:
    return all(np.array_equal(getattr(a, k), getattr(b, k)) for k in ("channel", "t", "offsets", "labels"))


def counts(events: Events) -> npt.NDArray[np.int64]:
    return np.bincount(events.channel, minlength=64)


# --- the channel ---


@pytest.mark.parametrize(("speed", "pitch"), [(1.0, 1.0), (1.3, 0.8)])
def test_kernel_is_the_obvious_loop(speed: float, pitch: float) -> None:
    ear = cochlea.make_ear(CochleaConfig(background_rate=5.0, sensitivity=6.0), seed=3)
    sound = 2 * np.random.default_rng(1).normal(size=600)
    events = np.empty(5000, np.int64)
    n = cochlea._hear(sound, np.uint64(counter.mix(7, 3)), speed, pitch, ear, events)
    expected = naive.hear(sound, np.uint64(counter.mix(7, 3)), speed, pitch, ear)
    assert 100 < n == len(expected)
    assert [(e >> 16, e & 0xFFFF) for e in events[:n].tolist()] == expected


@pytest.mark.parametrize("channel", [0, 20, 40, 63])
def test_filters_have_the_frequency_response_of_scipys_gammatone(channel: int) -> None:
    ear = cochlea.make_ear(EVEN, seed=0)
    re, im, norm = (float(a[channel]) for a in cochlea._poles(ear, 1.0))
    centre, rate = float(ear.centre[channel]), ear.sample_rate
    bandwidth = 1.019 * 24.7 * (4.37e-3 * centre + 1)
    f = centre + np.linspace(-2, 2, 41) * bandwidth
    # real part of four complex poles: half of the filter and half of its mirror image
    poles = (re + 1j * im, re - 1j * im)
    z = np.exp(2j * np.pi * f / rate)
    ours = norm / 2 * sum(1 / (1 - pole / z) ** 4 for pole in poles)
    _, theirs = signal.freqz(*signal.gammatone(centre, "iir", fs=rate), worN=f, fs=rate)
    difference = 20 * np.log10(np.abs(ours) / np.abs(theirs))
    assert np.abs(difference).max() < (1.0 if channel < 60 else 2.5)
    assert np.abs(difference[np.abs(f - centre) <= bandwidth]).max() < 0.5


def test_centres_are_evenly_spaced_in_bandwidths() -> None:
    centre = cochlea.centre_frequencies(CochleaConfig(f_min=100, f_max=7000))
    assert centre[[0, -1]] == pytest.approx([7000, 100])
    erb = 24.7 * (4.37e-3 * centre + 1)
    # d(ERB number)/df = 1/ERB
    steps = -np.diff(centre) / np.sqrt(erb[:-1] * erb[1:])
    assert steps == pytest.approx(steps[0], rel=1e-3)


@pytest.mark.parametrize("channel", [5, 30, 50])
def test_a_tone_is_loudest_in_its_own_channel(channel: int) -> None:
    centre = cochlea.centre_frequencies(EVEN)
    heard = counts(hear(tone(centre[channel]), config=EVEN.model_copy(update={"tilt": 0.0})))
    assert abs(int(np.average(np.arange(64), weights=heard**4.0).round()) - channel) <= 2


def test_resampled_sounds_are_heard_alike() -> None:
    slow, fast = (hear(tone(700.0, rate=rate), config=EVEN) for rate in (8000, 22_050))
    assert counts(fast) == pytest.approx(counts(slow), rel=0.1, abs=2)


def test_loudness_does_not_matter_and_silence_is_silent() -> None:
    loud = noise()
    assert same(hear(loud), hear(Waveform(loud.samples / 8, 8000)))
    assert len(hear(Waveform(loud.samples + np.float32(0.25), 8000)).t) == pytest.approx(
        len(hear(loud).t), 1e-3
    )
    assert len(hear(Waveform(np.zeros(500, np.float32), 8000)).t) == 0


def test_a_channel_is_never_faster_than_its_refractory_time() -> None:
    slow = QUIET.model_copy(update={"refractory": 5e-3, "sensitivity": 20.0})
    events = hear(noise(), config=slow)
    assert min(np.diff(events.t[events.channel == c]).min() for c in range(64)) >= 5000 - 1


def test_rate_of_the_neuron_is_its_closed_form() -> None:
    # a compression near 0 makes the current a constant while the filtered sound is positive: half of the time
    config = EVEN.model_copy(update={"compression": 1e-9, "tilt": 0.0, "sensitivity": 3.0, "tau": 1e-3})
    f = float(cochlea.centre_frequencies(config)[-1])
    found = counts(hear(tone(f, seconds=1.0), config=config))[-1]
    # from v = 0 to 1 under the constant current, then refractory; leaking in the other half
    interval = config.tau * np.log(3 / 2) + config.refractory
    assert found == pytest.approx(0.5 / interval, rel=0.15)


def test_background_is_a_poisson_process() -> None:
    config = CochleaConfig(background_rate=20.0)
    silence = [Waveform(np.zeros(8000, np.float32), 8000)] * 30
    per_recording = np.diff(hear(*silence, config=config).offsets)
    assert per_recording.mean() == pytest.approx(20 * 64, rel=4 / np.sqrt(20 * 64 * 30))
    assert per_recording.var() == pytest.approx(20 * 64, rel=0.8)


# --- speed and pitch ---


def test_faster_is_shorter_and_higher_is_higher() -> None:
    centre = cochlea.centre_frequencies(EVEN)
    events = hear(tone(600.0), tone(600.0), tone(600.0), config=EVEN, speed=[1, 1.25, 1], pitch=[1, 1, 1.25])
    last = events.t[events.offsets[1:] - 1]
    assert last[0] / last[1] == pytest.approx(1.25, rel=0.05)
    assert last[2] == pytest.approx(last[0], rel=0.05)
    loudest = [centre[np.argmax(np.convolve(counts(events[i]), np.ones(7), "same"))] for i in range(3)]
    assert loudest[1] == pytest.approx(loudest[0], rel=0.05)
    assert loudest[2] / loudest[0] == pytest.approx(1.25, rel=0.12)


def test_distortions_are_drawn_as_configured_and_bounded() -> None:
    config = AugmentConfig(copies=2, sigma_speed=0.1, sigma_pitch=0.2)
    speed, pitch = distortion(np.arange(4000), 1, config, seed=0)
    assert np.log(speed).std() == pytest.approx(0.1, rel=0.1)
    assert np.log(pitch).std() == pytest.approx(0.2, rel=0.1)
    assert abs(np.corrcoef(np.log(speed), np.log(pitch))[0, 1]) < 0.06
    assert 1 / cochlea.MOST_DISTORTED <= pitch.min() <= pitch.max() <= cochlea.MOST_DISTORTED
    again, _ = distortion([7], 1, config, seed=0)
    assert again == speed[7]
    assert distortion([7], 2, config, seed=0)[0] != speed[7]


# --- randomness and company ---


def test_threads_chunks_and_company_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = [noise(seed) for seed in range(7)]
    config = CochleaConfig(background_rate=10.0)
    full = hear(*sounds, config=config)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert same(full, hear(*sounds, config=config))
    finally:
        numba.set_num_threads(before)
    chosen = np.array([4, 2])
    assert same(full[chosen], hear(*(sounds[i] for i in chosen), config=config, ids=chosen))
    monkeypatch.setattr(cochlea, "CHUNK", 3)
    monkeypatch.setattr(cochlea, "CAPACITY", 10)  # too small at first
    assert same(full, hear(*sounds, config=config))


def test_every_recording_has_its_own_noise_and_every_sensor_its_own_gains() -> None:
    twice = hear(noise(), noise())
    assert not np.array_equal(twice[0].t, twice[1].t)
    gains = [cochlea.make_ear(QUIET, seed=seed).gain for seed in (0, 1)]
    assert not np.array_equal(*gains)
    flat = cochlea.make_ear(EVEN, seed=0)
    expected = EVEN.sensitivity * (flat.centre / 1000) ** EVEN.tilt
    assert flat.gain == pytest.approx(expected)
    spread = np.concatenate([np.log(cochlea.make_ear(QUIET, seed=s).gain / expected) for s in range(20)])
    assert spread.std() == pytest.approx(QUIET.sigma_gain, rel=0.1)


# --- errors ---


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"1 sounds, labels .* give one label and one id per sound"):
        simulate_cochlea([noise()], [0, 1], QUIET, seed=0)
    with pytest.raises(ShapeError, match="must be positive"):
        hear(noise(), speed=0.0)
    with pytest.raises(ValidationError, match=r"f_max at most 0\.45 sample_rate \(=3600 Hz\)"):
        CochleaConfig(sample_rate=8000)
    with pytest.raises(ValidationError, match="f_min"):
        CochleaConfig(f_min=900.0, f_max=800.0)


# --- against real sounds, and a real cochlea ---


def test_rates_of_speech_are_those_of_the_chip(real_data: Path) -> None:
    folder = real_data / "fsdd/recordings"
    if not folder.is_dir():
        pytest.skip(f"no fsdd in {real_data}")
    sounds = fsdd.read_recordings(fsdd.list_recordings(folder, "test")[:60])
    events = hear(*sounds, config=CochleaConfig())
    per_second = np.diff(events.offsets) / [sound.duration for sound in sounds]
    # one of 8 outputs of a channel: an eighth of 10 to 100 thousand a second for speech
    assert per_second.min() > 1250
    assert np.percentile(per_second, 95) < 12_500
    # the one real N-TIDIGITS recording: some 9,000 a second while somebody speaks
    assert per_second.mean() == pytest.approx(9000, rel=0.25)
    place = np.repeat(np.arange(60), np.diff(events.offsets)) * 64 + events.channel
    order = np.lexsort((events.t, place))
    intervals = np.diff(events.t[order])[np.diff(place[order]) == 0] / 1e3
    # its intervals in a channel [ms]; the shortest are still a third longer here
    for percent, real in {25: 1.54, 50: 2.05, 75: 3.84, 95: 8.28}.items():
        assert np.percentile(intervals, percent) == pytest.approx(real, rel=0.2), percent

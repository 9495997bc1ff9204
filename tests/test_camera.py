"""The event camera: its parts, and its recordings against real ones."""

from pathlib import Path
from typing import Any

import naive
import numba
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from neurosim import counter
from neurosim.errors import ShapeError
from neurosim.events import camera, idx, nmnist
from neurosim.events.camera import CameraConfig, saccade_path, simulate_camera
from neurosim.events.types import Events

QUIET = CameraConfig(background_rate=0.0)
LABELS = [0, 1, 2, 3]


@pytest.fixture(scope="module")
def images() -> npt.NDArray[np.uint8]:
    """Four strokes of grey on black."""
    images = np.zeros((4, 28, 28), np.uint8)
    images[0, 8:20, 12:15] = 255
    images[1, 10:13, 6:22] = 200
    images[2, 6:20, 6:20] = np.random.default_rng(0).integers(0, 256, (14, 14))
    images[3, 14, 14] = 255
    return images


def same(a: Events, b: Events) -> bool:
    """Whether all arrays agree to the bit."""
    return all(np.array_equal(getattr(a, k), getattr(b, k)) for k in ("channel", "t", "offsets", "labels"))


# ---- the pixel ------------------------------------------------------------------------------------


@pytest.mark.parametrize("refractory", [1.11e-3, 10e-3, 20e-3])
def test_kernel_is_the_obvious_loop(refractory: float) -> None:
    rng = np.random.default_rng(1)
    level = -rng.random((1, 20, 20))
    thresholds = rng.uniform(0.05, 0.2, (2, 4, 4))
    path = np.array([[0.0, 0.3, 0.7], [0.05, 4.1, 2.0], [0.1, 7.6, 6.4], [0.12, 1.2, 5.1]])
    pixel = camera._Pixel(2e-3, refractory, 30.0, 3e-3, 1e-3, 130, margin=9)
    events = np.empty((1, 5000), np.int64)
    (n,) = camera._record_all(level, np.array([3]), 7, thresholds, path, pixel, events)
    expected = naive.record(level[0], np.uint64(counter.mix(7, 3)), thresholds, path, pixel)
    assert 100 < n <= events.size
    assert [(e >> 16, e & 0xFFFF) for e in events[0, :n].tolist()] == expected


def test_a_blank_image_gives_background_only() -> None:
    blank = np.zeros((200, 28, 28), np.uint8)
    labels = np.zeros(200, int)
    assert len(simulate_camera(blank, labels, QUIET, seed=0).t) == 0
    config = CameraConfig(background_rate=2.0)
    events = simulate_camera(blank, labels, config, seed=0)
    expected = 2.0 * 34 * 34 * config.duration
    counts = np.diff(events.offsets)
    assert counts.mean() == pytest.approx(expected, rel=4 / np.sqrt(200 * expected))
    assert counts.var() == pytest.approx(expected, rel=0.5)
    assert events.p.mean() == pytest.approx(0.5, abs=0.02)
    assert events.t.mean() == pytest.approx(config.duration * 1e6 / 2, rel=0.02)


def test_a_still_camera_sees_nothing(images: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "saccade_path", lambda: np.array([[0.0, 3.0, 3.0], [0.3, 3.0, 3.0]]))
    assert len(simulate_camera(images, LABELS, QUIET, seed=0).t) == 0


def test_a_dark_edge_that_enters_a_pixel_makes_off_events(monkeypatch: pytest.MonkeyPatch) -> None:
    path = np.array([[0.0, 0.0, 3.0], [0.3, 6.0, 3.0]])
    monkeypatch.setattr(camera, "saccade_path", lambda: path)
    half = np.zeros((1, 28, 28), np.uint8)
    half[:, :, :14] = 255  # moves right, into pixels 14 to 19
    config = QUIET.model_copy(update={"sigma_threshold": 0.0, "sigma_jitter": 0.0})
    events = simulate_camera(half, [0], config, seed=0)
    inside = (events.x >= 14) & (events.x < 19) & (events.y >= 8) & (events.y < 26)
    assert not events.p[inside].any()
    # a full edge is ln((dark_level + 1) / dark_level) of log light, one event per threshold
    per_pixel = inside.sum() / (5 * 18)
    full_edge = np.log((config.dark_level + 1) / config.dark_level)
    assert per_pixel == pytest.approx(full_edge / config.threshold_off, abs=0.6)


def test_a_pixel_is_never_faster_than_its_refractory_time(images: npt.NDArray[np.uint8]) -> None:
    slow = QUIET.model_copy(update={"refractory": 8e-3})
    assert intervals(simulate_camera(images, LABELS, slow, seed=0), by=2).min() >= 8.0 - 1e-3


def test_a_finer_step_gives_the_same_picture(images: npt.NDArray[np.uint8]) -> None:
    fine = QUIET.model_copy(update={"time_step": 1e-4})
    coarse = np.diff(simulate_camera(images, LABELS, QUIET, seed=0).offsets)
    assert np.diff(simulate_camera(images, LABELS, fine, seed=0).offsets) == pytest.approx(coarse, rel=0.05)


# ---- randomness -----------------------------------------------------------------------------------


def test_threads_chunks_and_company_do_not_matter(
    images: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = np.tile(images, (3, 1, 1))
    labels = np.arange(12)
    full = simulate_camera(many, labels, CameraConfig(), seed=3)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert same(full, simulate_camera(many, labels, CameraConfig(), seed=3))
    finally:
        numba.set_num_threads(before)
    chosen = np.array([7, 2, 11])
    part = simulate_camera(many[chosen], labels[chosen], CameraConfig(), seed=3, ids=chosen)
    assert same(part, full[chosen])
    monkeypatch.setattr(camera, "CHUNK", 5)
    monkeypatch.setattr(camera, "CAPACITY", 100)  # too small at first
    done: list[int] = []
    assert same(full, simulate_camera(many, labels, CameraConfig(), seed=3, progress=done.append))
    assert done == [5, 5, 2]


def test_every_recording_has_its_own_noise(images: npt.NDArray[np.uint8]) -> None:
    twice = simulate_camera(images[[0, 0]], [0, 0], CameraConfig(), seed=0)
    assert not np.array_equal(twice[0].t, twice[1].t)
    for other in ({"seed": 1}, {"seed": 0, "name": "other"}):
        assert not same(twice, simulate_camera(images[[0, 0]], [0, 0], CameraConfig(), **other))


def test_what_comes_out(images: npt.NDArray[np.uint8]) -> None:
    events = simulate_camera(images, LABELS, CameraConfig(), seed=0)
    assert events.sensor == nmnist.SENSOR
    assert events.classes == nmnist.CLASSES
    assert events.labels.tolist() == LABELS
    for i in range(4):
        t = events[i].t
        assert (np.diff(t) >= 0).all()
        assert 0 <= t[0] <= t[-1] < 310_000
    path = saccade_path()
    assert (np.diff(path[:, 0]) > 0).all()
    assert ((path[:, 1:] >= 0) & (path[:, 1:] <= 34 - 28 + 1)).all()
    none = simulate_camera(images[:0], [], CameraConfig(), seed=0, classes=("a",))
    assert (len(none), none.classes) == (0, ("a",))


# ---- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 28, 28)), np.zeros((2, 32, 32), np.uint8), np.zeros((28, 28), np.uint8)]
)
def test_wrong_images_are_refused(wrong: npt.NDArray[Any]) -> None:
    with pytest.raises(ShapeError, match=r"images: .* expected uint8 \(n, 28, 28\)"):
        simulate_camera(wrong, [0] * len(wrong), CameraConfig(), seed=0)


@pytest.mark.parametrize(("labels", "ids"), [([0, 1, 2], None), ([0, 1, 2, 3], [0, 1])])
def test_missing_labels_or_ids_are_refused(
    images: npt.NDArray[np.uint8], labels: list[int], ids: list[int] | None
) -> None:
    with pytest.raises(ShapeError, match=r"4 images, labels .* give one label and one id per image"):
        simulate_camera(images, labels, CameraConfig(), seed=0, ids=ids)


@pytest.mark.parametrize("key", ["dark_level", "threshold_on", "tau", "time_step", "duration"])
def test_zero_is_refused_where_it_has_no_meaning(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        CameraConfig(**{key: 0.0})


# ---- against real recordings ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def recordings(real_data: Path) -> tuple[Events, Events]:
    """Real N-MNIST recordings and simulated ones of the same images."""
    listed = nmnist.list_recordings(real_data / "nmnist" / "Train")
    ids = np.array([recording.id - 1 for recording in listed])
    images = idx.read_images(real_data / "mnist" / "train-images-idx3-ubyte.gz")[ids]
    real = nmnist.read_recordings(listed)
    return real, simulate_camera(images, real.labels, CameraConfig(), seed=0, ids=ids)


def count_maps(events: Events) -> npt.NDArray[np.int64]:
    """Events of every recording in every channel (n, n_channels)."""
    n_channels = events.sensor.n_channels
    recording = np.repeat(np.arange(len(events)), np.diff(events.offsets))
    flat = np.bincount(recording * n_channels + events.channel, minlength=len(events) * n_channels)
    return flat.reshape(len(events), n_channels)


def intervals(events: Events, *, by: int = 1) -> npt.NDArray[np.float64]:
    """Times [ms] between successive events of one channel (of one pixel: ``by`` 2)."""
    recording = np.repeat(np.arange(len(events)), np.diff(events.offsets))
    place = recording * events.sensor.n_channels + events.channel // by
    order = np.lexsort((events.t, place))
    return np.diff(events.t[order])[np.diff(place[order]) == 0] / 1e3


def statistics(events: Events) -> dict[str, float]:
    """What the simulated recordings must share with the real ones."""
    n, counts, maps = len(events), np.diff(events.offsets), count_maps(events)
    rate = np.convolve(np.bincount(events.t // 1000, minlength=320), np.ones(5), "same")
    thirds = np.bincount(np.minimum(events.t // 105_000, 2)) / n
    found = {"events": counts.mean(), "sd of events": counts.std()}
    found |= {f"events of digit {d}": counts[events.labels == d].mean() for d in range(10)}
    found |= {f"events in third {k + 1}": third for k, third in enumerate(thirds)}
    found |= {
        f"peak {k + 1} [ms]": lo + rate[lo:hi].argmax()
        for k, (lo, hi) in enumerate([(0, 100), (100, 205), (205, 320)])
    }
    return found | {
        "share of ON": events.p.mean(),
        "last event [ms]": events.t[events.offsets[1:] - 1].mean() / 1e3,
        "active pixels": (maps.reshape(n, -1, 2).sum(axis=2) > 0).sum(axis=1).mean(),
        "active channels": (maps > 0).sum(axis=1).mean(),
        "median interval [ms]": np.median(intervals(events)),
        "1st percentile of the intervals [ms]": np.percentile(intervals(events), 1),
    }


def test_statistics_of_real_recordings(recordings: tuple[Events, Events]) -> None:
    real, simulated = (statistics(events) for events in recordings)
    wrong = {k: (simulated[k], real[k]) for k in real if abs(simulated[k] / real[k] - 1) > 0.1}
    assert not wrong


def test_recordings_resemble_the_real_ones_of_the_same_images(recordings: tuple[Events, Events]) -> None:
    real, simulated = (count_maps(events) for events in recordings)
    of_one = [np.corrcoef(a, b)[0, 1] for a, b in zip(real, simulated, strict=True)]
    assert np.corrcoef(real.mean(axis=0), simulated.mean(axis=0))[0, 1] > 0.95
    assert np.mean(of_one) > 0.95
    assert np.corrcoef(real.sum(axis=1), simulated.sum(axis=1))[0, 1] > 0.97


def test_polarity_has_the_sign_of_the_real_sensor(recordings: tuple[Events, Events]) -> None:
    balance = []
    for events in recordings:
        first = events[:200]
        early = first.t < 70_000  # the first saccade
        sign = np.bincount(first.channel[early], minlength=first.sensor.n_channels).reshape(-1, 2)
        balance.append((sign[:, 1] - sign[:, 0]).astype(float))
    assert np.corrcoef(*balance)[0, 1] > 0.8

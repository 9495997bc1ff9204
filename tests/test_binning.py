"""Recordings in flat arrays, and their time steps against the obvious loop and against tonic's frames."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import naive
import numba
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from neurosim.config import validate
from neurosim.errors import ExperimentError, ShapeError
from neurosim.events.binning import BinningConfig, bin_events
from neurosim.events.types import Binned, Events, Sensor

EYE, EAR = Sensor(9, 6, 2), Sensor(16)
DURATION = 10_000  # [us]


def recordings(
    lengths: list[int], sensor: Sensor = EYE, *, until: int = 12_000, seed: int = 0, coarse: int = 1
) -> Events:
    """Random recordings; ``coarse`` [us] puts many times on the edges of steps."""
    random = np.random.default_rng(seed)
    pairs = []
    for n in lengths:
        t = np.sort(random.integers(0, until // coarse, n)) * coarse
        pairs.append((random.integers(0, sensor.n_channels, n), t))
    return Events.pack(pairs, np.arange(len(lengths)) % 3, sensor, ("a", "b", "c"))


def test_parts_are_joined_in_their_order() -> None:
    parts = [recordings([3, 0, 7], seed=1), recordings([5], seed=2), recordings([0, 2], seed=3)]
    whole = Events.join(parts)
    assert len(whole) == 6
    for part, first in zip(parts, (0, 3, 4), strict=True):
        for i in range(len(part)):
            for name in ("channel", "t", "labels"):
                assert_array_equal(getattr(whole[first + i], name), getattr(part[i], name))
    assert Events.join(parts[:1]) is parts[0]
    with pytest.raises(ShapeError, match="different sensors or classes cannot be joined"):
        Events.join([parts[0], recordings([1], EAR)])


def config_of(**options: Any) -> BinningConfig:
    return BinningConfig(**({"n_steps": 10, "duration": DURATION * 1e-6} | options))


def frames(binned: Binned) -> npt.NDArray[Any]:
    return np.stack([binned.dense(i) for i in range(len(binned))])


def twin(events: Events, config: BinningConfig) -> npt.NDArray[np.int64]:
    options = config.model_dump(exclude={"duration"})
    options["duration_us"] = None if config.duration is None else round(config.duration * 1e6)
    size = events.sensor.width, events.sensor.height, events.sensor.polarities
    each = [events[i] for i in range(len(events))]
    return np.stack([naive.bin_recording(e.x, e.y, e.p, e.t, size, **options) for e in each])


# ---- against the twin ------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("polarity", ["both", "off", "on", "merge"])
@pytest.mark.parametrize("crop", [None, 1, 4, 5, 6])
@pytest.mark.parametrize("duration", [DURATION * 1e-6, None])
def test_steps_are_those_of_the_twin(
    binary: bool, polarity: str, crop: int | None, duration: float | None
) -> None:
    events = recordings([300, 0, 1, 700], coarse=500)
    config = config_of(binary=binary, polarity=polarity, crop=crop, duration=duration)
    binned = bin_events(events, config)
    assert_array_equal(frames(binned), twin(events, config))
    side = (crop, crop) if crop else (9, 6)
    assert binned.sensor == Sensor(*side, 2 if polarity == "both" else 1)
    assert binned.max_count == max(1, frames(binned).max())
    assert_array_equal(binned.labels, events.labels)
    assert (binned.classes, binned.n_steps, len(binned)) == (("a", "b", "c"), 10, 4)


@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    n_steps=st.integers(1, 40),
    duration=st.none() | st.integers(1, 30_000),
    sensor=st.sampled_from([EYE, EAR, Sensor(1, 1, 2)]),
    coarse=st.sampled_from([1, 7, 1000]),
    binary=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_recordings_in_any_steps(
    lengths: list[int],
    n_steps: int,
    duration: int | None,
    sensor: Sensor,
    coarse: int,
    binary: bool,
    seed: int,
) -> None:
    events = recordings(lengths, sensor, seed=seed, coarse=coarse)
    seconds = None if duration is None else duration * 1e-6
    binned = bin_events(events, BinningConfig(n_steps=n_steps, duration=seconds, binary=binary))
    assert_array_equal(
        frames(binned), twin(events, BinningConfig(n_steps=n_steps, duration=seconds, binary=binary))
    )
    for start, stop in zip(binned.ptr[:, :-1].ravel(), binned.ptr[:, 1:].ravel(), strict=True):
        assert (np.diff(binned.channels[start:stop].astype(int)) >= int(binary)).all(), "not sorted"
    if not binary:
        kept = len(events.t) if duration is None else np.count_nonzero(events.t < duration)
        assert len(binned.channels) == binned.ptr[-1, -1] == kept


def test_edges_belong_to_the_step_that_begins_there() -> None:
    """0.3 s in 50 steps: no float rounds an edge of 6 ms to the other side."""
    edges = np.arange(50) * 6000
    t = np.sort(np.concatenate([edges, edges + 5999, [300_000]]))
    events = Events.pack([(np.arange(len(t)) % 16, t)], [0], EAR, ("a",))
    binned = bin_events(events, BinningConfig(n_steps=50, duration=0.3))
    assert_array_equal(np.diff(binned.ptr[0]), 2)
    assert binned.dt == pytest.approx(6e-3)


def test_steps_that_are_no_whole_number_of_microseconds() -> None:
    t = np.arange(10)
    events = Events.pack([(t, t)], [0], EAR, ("a",))
    binned = bin_events(events, BinningConfig(n_steps=4, duration=10e-6))
    assert_array_equal(np.diff(binned.ptr[0]), [3, 2, 3, 2])


@pytest.mark.parametrize(
    ("last", "step_ms"), [(0, 1), (9_999, 1), (10_000, 2), (19_999, 2), (1_290_000, 130), (None, 1)]
)
def test_stretched_steps_are_whole_milliseconds(last: int | None, step_ms: int) -> None:
    t = [] if last is None else [0, last]
    events = Events.pack([(np.zeros(len(t), int), np.array(t, int))], [0], EAR, ("a",))
    binned = bin_events(events, config_of(duration=None))
    assert binned.dt == pytest.approx(step_ms * 1e-3)
    assert len(binned.channels) == len(t) or last == 0


def test_stretched_recordings_have_their_mean_step() -> None:
    pairs = [(np.zeros(1, int), np.array([last])) for last in (9_999, 29_999)]
    events = Events.pack(pairs, [0, 0], EAR, ("a",))
    assert bin_events(events, config_of(duration=None)).dt == pytest.approx(2e-3)


def test_crop_is_centred_and_drops_the_odd_pixel_on_the_left() -> None:
    at = [(x, y) for y in range(6) for x in range(9)]
    channel = np.array([(y * 9 + x) * 2 for x, y in at])
    events = Events.pack([(channel, np.zeros(54, int))], [0], EYE, ("a",))
    binned = bin_events(events, config_of(crop=4))
    kept = [(x, y) for x, y in at if 3 <= x < 7 and 1 <= y < 5]
    assert_array_equal(binned.channels, [((y - 1) * 4 + x - 3) * 2 for x, y in kept])


def test_the_papers_crop_of_nmnist() -> None:
    """34 x 34 to 16 x 16: columns and rows 9 to 24."""
    sensor = Sensor(34, 34, 2)
    channel = np.arange(sensor.n_channels)
    events = Events.pack([(channel, np.zeros(len(channel), int))], [0], sensor, ("a",))
    binned = bin_events(events, config_of(crop=16, polarity="off"))
    assert len(binned.channels) == 256
    kept = channel.reshape(34, 34, 2)[9:25, 9:25, 0].ravel()
    alone = Events.pack([(kept, np.zeros(256, int))], [0], sensor, ("a",))
    assert len(bin_events(alone, config_of(crop=16, polarity="off")).channels) == 256


def test_counts_above_255() -> None:
    events = Events.pack([(np.full(1000, 3), np.zeros(1000, int))], [0], EAR, ("a",))
    binned = bin_events(events, config_of(binary=False))
    assert binned.max_count == binned.dense(0)[0, 3] == 1000


def test_no_event_at_all() -> None:
    binned = bin_events(recordings([0, 0]), config_of())
    assert binned.ptr.tolist() == [[0] * 11] * 2
    assert binned.dt == pytest.approx(1e-3)
    assert not frames(binned).any()


def test_memory_maps_and_threads_change_nothing(tmp_path: Path) -> None:
    events = recordings([500] * 20)
    channel, t = tmp_path / "channel.npy", tmp_path / "t.npy"
    np.save(channel, events.channel)
    np.save(t, events.t)
    mapped = replace(events, channel=np.load(channel, mmap_mode="r"), t=np.load(t, mmap_mode="r"))
    expected, threads = bin_events(events, config_of()), numba.get_num_threads()
    for n in {1, threads}:
        numba.set_num_threads(n)
        binned = bin_events(mapped, config_of())
        assert_array_equal(binned.channels, expected.channels)
        assert_array_equal(binned.ptr, expected.ptr)
    numba.set_num_threads(threads)


def test_binned_recordings_at_an_index() -> None:
    binned = bin_events(recordings([30, 0, 50, 20, 10]), config_of())
    whole = frames(binned)
    for index in (slice(1, 4), slice(None, None, 2), np.array([4, 0]), np.arange(5) % 2 == 0, slice(0, 0)):
        part = binned[index]
        assert part.channels is binned.channels
        assert_array_equal(part.labels, binned.labels[index])
        assert_array_equal([part.dense(i) for i in range(len(part))], list(whole[index]))


# ---- against tonic ---------------------------------------------------------------------------------


def structured(events: Events, *, p: bool = True) -> npt.NDArray[Any]:
    fields = [("t", int), ("x", int), ("y", int), ("p", int)]
    out = np.zeros(len(events.t), fields)
    out["t"], out["x"], out["y"], out["p"] = events.t, events.x, events.y, events.p if p else 1
    return out


@pytest.mark.parametrize("sensor", [EYE, EAR], ids=["eye", "ear"])
def test_tonic_makes_the_same_frames_of_fixed_steps(sensor: Sensor) -> None:
    transforms = pytest.importorskip("tonic.transforms")
    events = recordings([800, 500, 300, 40], sensor, until=DURATION, coarse=250)
    binned = bin_events(events, config_of(binary=False))
    to_frame = transforms.ToFrame(
        sensor_size=(sensor.width, sensor.height, sensor.polarities),
        time_window=DURATION // 10,
        start_time=0,  # else its steps begin at the first event and end at the last
        end_time=DURATION,
        include_incomplete=True,
    )
    for i in range(len(events)):
        # one polarity: it overwrites p of what it is given
        theirs = to_frame(structured(events[i], p=sensor.polarities == 2).copy())
        theirs = theirs.transpose(0, 2, 3, 1).reshape(len(theirs), -1)
        # a step that begins at the end of the recording is empty
        assert_array_equal(theirs[:10], binned.dense(i))
        assert not theirs[10:].any()


def test_tonic_merges_polarities_as_we_do() -> None:
    transforms = pytest.importorskip("tonic.transforms")
    events = recordings([900], until=DURATION)
    merge = transforms.Compose([transforms.MergePolarities()])
    merged = merge(structured(events))
    assert not merged["p"].any()
    to_frame = transforms.ToFrame((9, 6, 1), time_window=1000, start_time=0, end_time=DURATION)
    theirs = to_frame(merged)
    ours = bin_events(events, config_of(binary=False, polarity="merge")).dense(0)
    assert_array_equal(theirs[:10].reshape(-1, 54), ours[: len(theirs)])


# ---- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sensor", "options", "message"),
    [
        (EYE, {"crop": 7}, r"crop \(=7\) is larger than the sensor \(9 x 6\); lower it"),
        (EAR, {"crop": 2}, r"crop \(=2\) is larger than the sensor \(16 x 1\)"),
        (
            EAR,
            {"polarity": "on"},
            r"polarity \(='on'\) needs a sensor with two .* has 1; use polarity = 'both'",
        ),
        (EAR, {"polarity": "merge"}, r"polarity \(='merge'\) needs"),
    ],
)
def test_what_the_sensor_cannot_give(sensor: Sensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        bin_events(recordings([5], sensor), config_of(**options))


def test_events_that_no_sensor_made() -> None:
    for channel, t, message in ((16, 0, "channels go up to 16 .* below 16"), (0, -1, "times from -1 us")):
        events = Events.pack([(np.array([channel]), np.array([t]))], [0], EAR, ("a",))
        with pytest.raises(ShapeError, match=message):
            bin_events(events, config_of())


def test_no_recording() -> None:
    with pytest.raises(ShapeError, match="there is no recording to bin; give at least one"):
        bin_events(recordings([]), config_of())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"n_steps": 0}, "n_steps: .*greater than or equal to 1"),
        ({"duration": 0.0}, "duration: .*greater than or equal to 0.000001"),
        ({"duration": 1e-9}, "duration: .*greater than or equal to 0.000001"),
        ({"crop": 0}, "crop: .*greater than or equal to 1"),
        ({"polarity": "up"}, "polarity: .*'both', 'off', 'on' or 'merge'"),
    ],
)
def test_bad_config(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        validate(BinningConfig, data, where="x", error=ExperimentError)


def test_false_stretches() -> None:
    config = validate(BinningConfig, {"duration": False}, where="x", error=ExperimentError)
    assert config.duration is None


# ---- events ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [
        slice(1, 4),
        slice(None, None, -2),
        slice(0, 0),
        slice(3, None),
        np.array([4, 0, 0, 2]),
        np.array([], int),
        np.arange(5) % 2 == 1,
        np.zeros(5, bool),
        [3, 1],
        (np.array([2, 3]), Ellipsis),  # how scikit-learn asks
        -1,
        np.int64(2),
    ],
    ids=str,
)
def test_events_at_an_index_are_the_recordings_there(index: Any) -> None:
    events = recordings([30, 0, 50, 20, 10])
    part, chosen = events[index], np.atleast_1d(np.arange(5)[index])
    assert len(part) == len(chosen) == part.shape[0]
    assert part.offsets[0] == 0
    assert_array_equal(part.labels, events.labels[chosen])
    for k, i in enumerate(chosen):
        for name in ("channel", "t"):
            ours, whole = getattr(part, name), getattr(events, name)
            expected = whole[events.offsets[i] : events.offsets[i + 1]]
            assert_array_equal(ours[part.offsets[k] : part.offsets[k + 1]], expected)
            assert ours.dtype == whole.dtype


def test_neighbouring_recordings_are_not_copied() -> None:
    events = recordings([30, 0, 50, 20, 10])
    assert np.shares_memory(events[1:4].t, events.t)
    assert np.shares_memory(events[np.arange(1, 4)].channel, events.channel)


def test_channel_numbers() -> None:
    channel = np.arange(EYE.n_channels)
    events = Events.pack([(channel, np.zeros(len(channel), int))], [0], EYE, ("a",))
    assert_array_equal((events.y * 9 + events.x) * 2 + events.p, channel)
    assert (events.x.max(), events.y.max(), events.p.max()) == (8, 5, 1)


def test_pack() -> None:
    events = Events.pack(
        [(np.array([1, 2]), np.array([0, 5])), (np.array([]), np.array([]))], [1, 0], EAR, ("a", "b")
    )
    assert (events.channel.dtype, events.t.dtype) == (np.uint16, np.int32)
    assert (events.offsets.dtype, events.labels.dtype) == (np.int64, np.int64)
    assert (events.offsets.tolist(), events.labels.tolist()) == ([0, 2, 2], [1, 0])
    empty = Events.pack([], [], EAR, ("a",))
    assert (len(empty), empty.offsets.tolist()) == (0, [0])


@pytest.mark.parametrize(
    ("offsets", "n_labels", "n_times", "message"),
    [
        ([0, 2], 2, 2, "2 channels, 2 times, 2 labels and 2 offsets do not belong together"),
        ([0, 2], 1, 3, "2 channels, 3 times, 1 labels"),
        ([0, 1], 1, 2, "offsets run from 0 to 1, expected from 0 to 2"),
        ([1, 2], 1, 2, "offsets run from 1 to 2"),
    ],
)
def test_arrays_that_do_not_belong_together(
    offsets: list[int], n_labels: int, n_times: int, message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        Events(
            np.zeros(2, np.uint16),
            np.zeros(n_times, np.int32),
            np.array(offsets),
            np.zeros(n_labels, np.int64),
            EAR,
            ("a",),
        )

"""Motor cortex: files of recordings, the pen that writes, and the units that are tuned to it."""

from pathlib import Path
from typing import Any

import h5py
import naive
import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from scipy.io import savemat

from neurosim.cards import load_dataset, shipped_folder
from neurosim.errors import DataNotFoundError, EventFileError, ShapeError
from neurosim.events import cortex, datasets, handwriting, pen, rate
from neurosim.events.cortex import CortexConfig, make_units, simulate_cortex
from neurosim.events.handwriting import from_counts, list_trials, read_trials
from neurosim.events.pen import PenConfig, read_glyphs, render, write
from neurosim.events.rate import RateConfig, rate_code
from neurosim.events.types import Events, Sensor

LETTERS = ("a", "b")
EXACT = PenConfig(
    sigma_speed=0, sigma_onset=0, sigma_slant=0, sigma_turn=0, sigma_scale=0, sigma_point=0, sigma_width=0
)


def same(a: Events, b: Events) -> bool:
    return all(np.array_equal(getattr(a, k), getattr(b, k)) for k in ("channel", "t", "offsets", "labels"))


# --- files of recordings ---


def cubes(n: int = 5, bins: int = 201) -> dict[str, npt.NDArray[np.uint8]]:
    draw = np.random.default_rng(0)
    return {letter: draw.poisson(0.2, (n, bins, 192)).astype(np.uint8) for letter in LETTERS}


def version_5(path: Path, arrays: dict[str, Any], *, compress: bool = True) -> Path:
    named = {f"neuralActivityCube_{letter}": cube for letter, cube in arrays.items()}
    savemat(path, named | {"blockList": np.arange(3)}, do_compression=compress)
    return path


def version_73(path: Path, arrays: dict[str, Any]) -> Path:
    with h5py.File(path, "w", userblock_size=512) as file:
        for letter, cube in arrays.items():
            file[f"neuralActivityCube_{letter}"] = cube.T  # MATLAB keeps columns first
    return path


@pytest.mark.parametrize("save", [version_5, version_73])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_counts_become_events_of_both_kinds_of_file(tmp_path: Path, save: Any, dtype: Any) -> None:
    arrays = {letter: cube.astype(dtype) for letter, cube in cubes().items()}
    path = save(tmp_path / "singleLetters.mat", arrays)
    assert list_trials(path, LETTERS, "train") == {"a": range(2), "b": range(2)}
    assert list_trials(path, LETTERS, "test") == {"a": range(2, 5), "b": range(2, 5)}
    events = read_trials(path, "b", range(2, 5), LETTERS)
    assert (events.sensor, events.classes, events.labels.tolist()) == (Sensor(192), LETTERS, [1, 1, 1])
    for i in range(3):
        found = np.zeros((201, 192), int)
        np.add.at(found, (events[i].t // 10_000, events[i].channel), 1)
        np.testing.assert_array_equal(found, arrays["b"][2 + i])
        assert (np.diff(events[i].t) >= 0).all()


def test_spikes_of_a_bin_are_evenly_spread() -> None:
    counts = np.zeros((1, 2, 3), np.int64)
    counts[0, 1] = [0, 2, 4]
    events = from_counts(counts, [0], 0.01, Sensor(3), ("x",))
    assert sorted(zip(events.channel.tolist(), events.t.tolist(), strict=True)) == [
        (1, 12_500), (1, 17_500), (2, 11_250), (2, 13_750), (2, 16_250), (2, 18_750)
    ]  # fmt: skip
    assert len(from_counts(np.zeros((2, 2, 3), np.int64), [0, 0], 0.01, Sensor(3), ("x",)).t) == 0


@pytest.mark.parametrize("save", [version_5, version_73])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": None}, "neuralActivityCube_b: missing"),
        (
            {"b": np.zeros((3, 201, 192), np.uint8)},
            r"shape \(3, 201, 192\), expected 4 to 10000 trials x up to",
        ),
        ({"b": np.zeros((5, 201, 96), np.uint8)}, r"shape \(5, 201, 96\), expected"),
        ({"b": np.zeros((5, 192), np.uint8)}, r"shape \(5, 192\), expected"),
    ],
)
def test_wrong_variables(tmp_path: Path, save: Any, change: dict[str, Any], message: str) -> None:
    arrays = {letter: cube for letter, cube in (cubes() | change).items() if cube is not None}
    path = save(tmp_path / "x.mat", arrays)
    with pytest.raises(EventFileError, match=message):
        list_trials(path, LETTERS, "train")


@pytest.mark.parametrize("save", [version_5, version_73])
@pytest.mark.parametrize("value", [-1.0, 0.5, np.nan, np.inf, 256.0])
def test_numbers_that_are_no_counts(tmp_path: Path, save: Any, value: float) -> None:
    cube = cubes()["a"].astype(float)
    cube[3, 100, 7] = value
    path = save(tmp_path / "x.mat", {"a": cube})
    with pytest.raises(
        EventFileError, match=r"_a: trial 3, bin 100, electrode 7: .*expected a count of 0 to 255"
    ):
        read_trials(path, "a", range(2, 5), LETTERS)
    assert len(read_trials(path, "a", range(2), LETTERS)) == 2


def test_files_that_are_no_recordings(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="neurosim datasets show handwriting"):
        list_trials(tmp_path / "none.mat", LETTERS, "train")
    text = version_5(tmp_path / "text.mat", cubes() | {"b": "counts"})
    with pytest.raises(EventFileError, match="_b: char, not numbers"):
        list_trials(text, LETTERS, "train")
    for size in (0, 10, 200, 900):
        damaged = tmp_path / f"{size}.mat"
        damaged.write_bytes(version_5(tmp_path / "whole.mat", cubes()).read_bytes()[:size])
        with pytest.raises(EventFileError, match=r"not a readable MATLAB file|missing"):
            list_trials(damaged, LETTERS, "train")
    linked = version_73(tmp_path / "linked.mat", {"a": cubes()["a"]})
    with h5py.File(linked, "a") as file:
        file["neuralActivityCube_b"] = h5py.ExternalLink("elsewhere.mat", "/x")
    with pytest.raises(EventFileError, match="_b: a link to another place"):
        list_trials(linked, LETTERS, "train")


def test_damage_inside_a_file_is_reported(tmp_path: Path) -> None:
    path = version_5(tmp_path / "x.mat", cubes())
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3 : len(raw) // 3 + 64] = bytes(64)
    path.write_bytes(raw)
    with pytest.raises(EventFileError, match=r"not a readable MATLAB file: .*; get it again"):
        list_trials(path, LETTERS, "train")
    with pytest.raises(EventFileError, match=r"cannot be read: .*; get the file again"):
        read_trials(path, "a", range(2), LETTERS)


def test_damaged_hdf5_is_reported_whatever_the_library_makes_of_it(tmp_path: Path) -> None:
    path = version_73(tmp_path / "x.mat", {letter: cube[:, :20] for letter, cube in cubes().items()})
    whole, draw, reported = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(150):
        raw = bytearray(whole)
        for place in draw.integers(min(4000, len(raw)), size=5):
            raw[place] = draw.integers(256)
        path.write_bytes(raw)
        try:
            list_trials(path, LETTERS, "train")
            read_trials(path, "a", range(2), LETTERS)
        except EventFileError:
            reported += 1
    assert reported > 10


def test_recordings_load_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROSIM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "handwriting").mkdir()
    arrays = {letter: cubes(5, 20)["a"] for letter in handwriting.CLASSES}
    version_5(tmp_path / "handwriting/singleLetters.mat", arrays)
    test = datasets.load("handwriting", "test", data_dir=tmp_path)
    assert np.bincount(test.labels).tolist() == [3] * 26
    with pytest.raises(DataNotFoundError, match=r"or get the files from willett2021: https://doi.org/10"):
        datasets.load("handwriting", "test", data_dir=tmp_path / "nowhere")


# --- the pen ---


@pytest.fixture(scope="module")
def glyphs() -> list[pen.Glyph]:
    card = load_dataset("handwriting-simulated")
    return read_glyphs(shipped_folder("datasets") / card.splits["train"].data[0], card.classes)


def test_curves_go_through_their_points_and_corners_stay(glyphs: list[pen.Glyph]) -> None:
    for glyph in glyphs:
        written = write(glyph, EXACT, seed=0, number=0)
        points = np.concatenate(glyph)
        distance = np.hypot(*(written.path[:, None] - points[None]).transpose(2, 0, 1)).min(axis=0)
        assert distance.max() < 1e-9
    corner = (np.array([[0.0, 0], [0, 1], [0, 1], [1, 1]]),)
    for sigma in (0.0, 0.05):
        path = write(corner, EXACT.model_copy(update={"sigma_point": sigma}), seed=0, number=0).path
        turns = np.abs(np.diff(np.unwrap(np.arctan2(*np.diff(path, axis=0).T))))
        assert turns.max() > 1.2  # all of it at one place
        assert np.sort(turns)[-2] < 0.3


def test_speed_length_and_beginning(glyphs: list[pen.Glyph]) -> None:
    written = write(glyphs[0], EXACT, seed=0, number=0)
    length = np.hypot(*np.diff(written.path, axis=0).T).sum()
    assert written.t[0] == EXACT.onset
    assert (written.t[-1] - written.t[0]) * EXACT.speed == pytest.approx(length)
    assert (np.diff(written.t) > 0).all()
    edges = np.linspace(0, 3, 301)
    velocity = written.velocity(edges)
    assert velocity.sum(axis=0) * 0.01 == pytest.approx(written.path[-1] - written.path[0])
    assert not velocity[edges[1:] < EXACT.onset].any()


def test_the_pen_is_slow_where_the_path_is_curved() -> None:
    # an ellipse: curvature a b / (a^2 sin^2 + b^2 cos^2)^1.5
    angle = np.linspace(0, 4 * np.pi, 97)
    ellipse = (np.stack([0.5 * np.cos(angle), 0.15 * np.sin(angle)], axis=1),)
    written = write(ellipse, EXACT, seed=0, number=0)
    speed = np.hypot(*np.diff(written.path, axis=0).T) / np.diff(written.t)
    middle = np.arange(len(speed) // 3, 2 * len(speed) // 3)
    x, y = written.path[1:].T
    curvature = 0.075 / (0.25 * (y / 0.15) ** 2 + 0.0225 * (x / 0.5) ** 2) ** 1.5
    middle = middle[curvature[middle] > 2 * pen.FLAT]
    fit = stats.linregress(np.log(curvature[middle]), np.log(speed[middle]))
    assert fit.slope == pytest.approx(-1 / 3, abs=0.05)


def test_trials_differ_and_do_not_depend_on_company(glyphs: list[pen.Glyph]) -> None:
    a, b = (write(glyphs[0], PenConfig(), seed=0, number=n) for n in (0, 1))
    assert not np.array_equal(a.path, b.path)
    np.testing.assert_array_equal(write(glyphs[0], PenConfig(), seed=0, number=1).path, b.path)
    ends = [write(glyphs[n % 26], PenConfig(), seed=0, number=n).t[-1] for n in range(130)]
    assert np.quantile(ends, 0.95) < cortex.N_BINS * handwriting.BIN


def test_images_are_what_is_written(glyphs: list[pen.Glyph]) -> None:
    bar = (np.array([[0.3, 0.0], [0.3, 0.5], [0.3, 1.0]]),)
    image = render(write(bar, EXACT, seed=0, number=0)).astype(int)
    assert image.shape == (28, 28)
    rows, columns = np.nonzero(image)
    assert (rows.min(), rows.max()) == (2, 25)
    assert (columns.min(), columns.max()) == (12, 15)
    assert image[14].sum() == pytest.approx(255 * EXACT.stroke_width, rel=0.1)
    # the pen is lifted on the way to the dot of the i
    written = write(glyphs[8], EXACT, seed=0, number=0)
    assert 0 < (~written.down[1:]).sum() < len(written.down) / 2
    assert (render(written).sum(axis=1) == 0)[5:20].any()


def test_drawing_is_the_obvious_loop(glyphs: list[pen.Glyph]) -> None:
    written = write(glyphs[10], PenConfig(), seed=0, number=3)
    path = 9 * written.path[::6] + 9
    down = written.down[::6]
    np.testing.assert_allclose(
        pen._draw(path, down, 2.3).astype(int), naive.ink(path, down, 2.3).astype(int), atol=1
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,x,y\n", "line 1: columns"),
        ("label,stroke,x,y\na,0,0,0\na,0,1,1\n", "class 'b': expected strokes of at least two points"),
        ("label,stroke,x,y\na,0,0,0\n", "class 'a': expected strokes of at least two points"),
        ("label,stroke,x,y\na,0,0,0\na,0,1,1\nb,0,1,1\nb,0,1,1\n", "class 'b': a stroke without length"),
        ("label,stroke,x,y\na,1,0,0\n", "line 2: stroke '1', expected 0"),
        ("label,stroke,x,y\nc,0,0,0\n", "unknown class 'c'"),
        ("label,stroke,x,y\na,0,nan,0\n", "x=nan, y=0, allowed is -10 to 10"),
        ("label,stroke,x,y\na,0,left,0\n", "'left,0' is no place"),
        ("label,stroke,x,y\na,0,1\n", "3 fields"),
    ],
)
def test_wrong_strokes(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "strokes.csv").write_text(text)
    with pytest.raises(EventFileError, match=message):
        read_glyphs(tmp_path / "strokes.csv", LETTERS)
    with pytest.raises(DataNotFoundError, match="no such file of strokes"):
        read_glyphs(tmp_path / "none.csv", LETTERS)


# --- the units ---


def test_units_follow_the_law() -> None:
    units = make_units(CortexConfig(modulation=30.0), seed=0)
    angle = 2 * np.pi * np.arange(12) / 12
    velocity = 1.5 * np.repeat(np.stack([np.cos(angle), np.sin(angle)], axis=1), 4000, axis=0)
    found = cortex._fire(velocity, 1.2, units, 5).reshape(12, 4000, 192).mean(axis=1) / handwriting.BIN
    tuning = units.speed + units.modulation * np.cos(angle[:, None] - units.preferred)
    expected = np.maximum(0, 1.2 * (units.base + 1.5 * tuning))
    error = np.sqrt(expected / handwriting.BIN / 4000)
    z = (found - expected) / np.maximum(error, 0.1)
    assert np.abs(z).max() < 5
    assert z.std() < 1.1


def test_counts_are_poisson_and_the_obvious_loop() -> None:
    units = make_units(CortexConfig(), seed=1)
    counts = cortex._fire(np.zeros((20_000, 2)), 1.0, units, 9)
    fano = counts.var(axis=0) / counts.mean(axis=0)
    assert fano.mean() == pytest.approx(1, abs=0.01)
    velocity = np.random.default_rng(0).normal(size=(40, 2))
    np.testing.assert_array_equal(cortex._fire(velocity, 0.9, units, 3), naive.fire(velocity, 0.9, units, 3))


def test_cortex_is_ahead_of_the_pen(glyphs: list[pen.Glyph]) -> None:
    config = CortexConfig(rate_base=0.0, sigma_gain=0.0, modulation=50.0, lag=0.2)
    numbers = np.arange(20)
    events = simulate_cortex(
        glyphs, np.zeros(20, np.int64), numbers, EXACT, config, seed=0, classes=handwriting.CLASSES
    )
    assert events.sensor == handwriting.SENSOR
    assert events.t.min() == pytest.approx(1e6 * (EXACT.onset - 0.2), abs=30_000)
    some = numbers[[3, 11]]
    part = simulate_cortex(
        glyphs, np.zeros(2, np.int64), some, EXACT, config, seed=0, classes=handwriting.CLASSES
    )
    assert same(part, events[some])


# --- images as rates ---


def test_pixels_fire_at_their_grey_level(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.zeros((300, 28, 28), np.uint8)
    images[:, 3, 4], images[:, 5, 6] = 255, 102
    ids = np.arange(300)
    events = rate_code(images, 0 * ids, RateConfig(), seed=0, ids=ids, classes=("x",))
    per_pixel = np.bincount(events.channel, minlength=784) / 300
    assert per_pixel[3 * 28 + 4] == pytest.approx(20, abs=5 * np.sqrt(50 * 0.4 * 0.6 / 300))
    assert per_pixel[5 * 28 + 6] == pytest.approx(8, abs=5 * np.sqrt(50 * 0.16 * 0.84 / 300))
    assert per_pixel.sum() == pytest.approx(per_pixel[[88, 146]].sum())
    assert set((events.t % 10_000).tolist()) == {5000}
    assert events.t.max() < 500_000
    monkeypatch.setattr(rate, "CHUNK", 3)
    assert same(events, rate_code(images, 0 * ids, RateConfig(), seed=0, ids=ids, classes=("x",)))
    part = rate_code(images[:2], 0 * ids[:2], RateConfig(), seed=0, ids=ids[[7, 2]], classes=("x",))
    assert same(part, events[ids[[7, 2]]])


def test_rates_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"max_spikes \(=60\) must be at most n_steps \(=50\)"):
        RateConfig(max_spikes=60.0)
    one = np.zeros(1, np.int64)
    with pytest.raises(ShapeError, match="expected uint8"):
        rate_code(np.zeros((1, 28, 28)), one, RateConfig(), seed=0, ids=one, classes=("x",))  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="2 images, 1 labels"):
        rate_code(np.zeros((2, 28, 28), np.uint8), one, RateConfig(), seed=0, ids=one, classes=("x",))


# --- both sides of a letter ---


def test_both_senses_have_the_same_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROSIM_CACHE", str(tmp_path))
    monkeypatch.setattr(datasets, "BLOCK", 52)
    motor = datasets.load("handwriting-simulated", "validation", n=52)
    seen = datasets.load("letters-simulated", "validation", n=52)
    np.testing.assert_array_equal(motor.labels, seen.labels)
    assert (motor.sensor, seen.sensor) == (Sensor(192), Sensor(28, 28))
    assert 0.05 < len(motor.t) / (52 * 201 * 192) < 0.3
    test = datasets.load("handwriting-simulated", "test", n=26)
    assert not np.array_equal(test[0].t, motor[0].t)

"""From a TOML file to a result: overrides, reproducibility, the cache, and that no test label leaks."""

import gc
import json
import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from neurosim import experiment as module
from neurosim import store
from neurosim.cards import shipped_folder
from neurosim.errors import CardError, ExperimentError
from neurosim.events import datasets, parts
from neurosim.events.binning import bin_events
from neurosim.events.types import Events, Sensor
from neurosim.experiment import Experiment, load_experiment, prepare, resolve, run
from neurosim.reservoir import chip as chip_module
from neurosim.reservoir import homeostasis as homeostasis_module
from neurosim.reservoir.chip import make_chip
from neurosim.results import Result

TINY = """
schema = "neurosim.experiment/1"
name = "tiny"
chips = 2
[data]
validation_share = 0.2
train = { dataset = "mnist-saccades", split = "train", n = 60 }
test = { dataset = "mnist-saccades", split = "test", n = 40 }
[events]
n_steps = 20
duration = 0.31
crop = 16
polarity = "off"
[reservoir]
n_neurons = 30
beta = 0.9
homeostasis = { n_recordings = 20, n_iterations = 3, rate_target = 40.0 }
[readout]
kind = "ridge"
"""


@pytest.fixture(scope="module", autouse=True)
def _recordings_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Small blocks, kept for the whole file; short runs on one thread."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROSIM_CACHE", str(tmp_path_factory.mktemp("experiment")))
        patch.setattr(datasets, "BLOCK", 250)
        yield
    numba.set_num_threads(threads)


@pytest.fixture
def _no_states() -> None:
    shutil.rmtree(store.cache_dir() / "states", ignore_errors=True)


fresh = pytest.mark.usefixtures("_no_states")


@pytest.fixture(scope="module")
def toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("toml") / "tiny.toml"
    file.write_text(TINY)
    return file


@pytest.fixture(scope="module")
def tiny(toml: Path) -> Experiment:
    return load_experiment(toml)


@pytest.fixture(scope="module")
def result(tiny: Experiment) -> Result:
    return run(tiny)


def facts(result: Result) -> dict[str, Any]:
    """All of ``result.json`` but the wall time."""
    return {key: value for key, value in result.to_json().items() if key != "seconds"}


def assert_same(ours: Result, theirs: Result) -> None:
    assert facts(ours) == facts(theirs)
    for a, b in zip((*ours.chips, ours.example), (*theirs.chips, theirs.example), strict=True):
        for field in fields(a):
            assert_array_equal(getattr(a, field.name), getattr(b, field.name), err_msg=field.name)


# ---- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("chips=5", ("chips",), 5),
        ("reservoir.n_neurons = 512", ("reservoir", "n_neurons"), 512),
        ("events.duration=1", ("events", "duration"), 1.0),
        ("events.duration=false", ("events", "duration"), None),
        ("reservoir.homeostasis=false", ("reservoir", "homeostasis"), None),
        ("reservoir.homeostasis.eta=0.5", ("reservoir", "homeostasis", "eta"), 0.5),
        ("reservoir.states={n_segments=3}", ("reservoir", "states", "n_segments"), 3),
        ("reservoir.read_noise=false", ("reservoir", "read_noise"), False),
        ("readout.weight_decay=[1e-3, 1]", ("readout", "weight_decay"), (1e-3, 1.0)),
        ("device.card=ideal", ("device", "card"), "ideal"),
        ('device.card="ideal"', ("device", "card"), "ideal"),
        ("name=ab", ("name",), "ab"),
        ("array.adc_bits=0", ("array", "adc_bits"), 0),
    ],
)
def test_overrides(toml: Path, override: str, path: tuple[str, ...], value: object) -> None:
    found: Any = load_experiment(toml, [override])
    for part in path:
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)


def test_later_overrides_win(toml: Path) -> None:
    assert load_experiment(toml, ["chips=5", "chips=7"]).chips == 7


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("chips", r"--set chips: expected key=value, e.g. device.sigma_read=0.1"),
        ("=3", r"--set =3: expected key=value"),
        ("name.x=1", r"--set name.x=1: 'name' is a value, not a table; shorten the key"),
        ("chips=many", r"tiny.toml: chips: .*valid integer.* \(got 'many'\)"),
        ("reservoir=", r"reservoir: missing; add it"),
        ("chips=2.0", r"chips: .*integer"),
        ("chips=0", r"chips: .*greater than or equal to 1"),
        ("chip=2", r"chip: unknown key; did you mean 'chips'"),
        ("reservoir.n_neuron=2", r"reservoir.n_neuron: unknown key; did you mean 'n_neurons'"),
        ("reservoir..n_neurons=2", r"reservoir.: unknown key"),
        ("resevoir.n_neurons=2", r"resevoir: unknown key; did you mean 'reservoir'"),
        ("reservoir=2", r"reservoir: .*\(got 2\)"),
        ("reservoir.tau_mem=0.1", r"reservoir: give exactly one of beta and tau_mem"),
        ("data.test.split=train", "data: test takes recordings of train, .*another split, skip or speakers"),
        ("seed=-1", r"seed: .*greater than or equal to 0"),
    ],
)
def test_wrong_overrides(toml: Path, override: str, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        load_experiment(toml, [override])


@pytest.mark.parametrize(
    ("test", "other", "overlap"),
    [
        ((0, 40), (0, 40), True),
        ((0, 40), (0, 30), True),
        ((0, None), (50, 10), True),
        ((50, 10), (0, None), True),
        ((500, 10), (0, 100), False),
        ((0, 100), (500, None), False),
    ],
)
@pytest.mark.parametrize("name", ["train", "validation"])
def test_test_part_stands_apart(
    toml: Path, name: str, test: tuple[int, int | None], other: tuple[int, int | None], overlap: bool
) -> None:
    parts = [
        f"data.{part}={{dataset='mnist-saccades', split='test', skip={skip}, n={n or 'false'}}}"
        for part, (skip, n) in (("test", test), (name, other))
    ]
    if not overlap:
        load_experiment(toml, parts)
        return
    with pytest.raises(ExperimentError, match=f"test takes recordings of {name}, .* would mean nothing"):
        load_experiment(toml, parts)


@pytest.mark.parametrize(
    ("later", "split", "earlier"), [("test", "all", "train"), ("validation", "train", "train")]
)
def test_every_part_stands_apart_from_those_before(toml: Path, later: str, split: str, earlier: str) -> None:
    part = f"data.{later}={{dataset='mnist-saccades', split='{split}'}}"
    with pytest.raises(ExperimentError, match=f"{later} takes recordings of {earlier}"):
        load_experiment(toml, [part])


@pytest.mark.parametrize(
    ("test", "train", "overlap"),
    [
        ("split='all', speakers=['a']", "split='all', not_speakers=['a']", False),
        ("split='all', speakers=['a']", "split='all', speakers=['b', 'c']", False),
        ("split='all', speakers=['a', 'b']", "split='all', speakers=['b', 'a'], not_speakers=['b']", True),
        ("split='all', speakers=['a', 'b']", "split='all', speakers=['b', 'c'], not_speakers=['b']", False),
        ("split='all', speakers=['a', 'b']", "split='all', not_speakers=['a']", True),
        ("split='all', speakers=['a']", "split='all'", True),
        ("split='test', speakers=['a']", "split='all'", True),
        ("split='test', speakers=['a']", "split='train'", False),
        ("split='test', speakers=['a'], n=10", "split='test', speakers=['b', 'a'], n=10", False),
        ("split='test', speakers=['a'], n=10", "split='test', speakers=['a'], n=20", True),
        ("split='all', not_speakers=['a']", "split='all', not_speakers=['b']", True),
        ("split='test'", "split='train', also=[{dataset='x', split='test'}]", True),
        ("split='test'", "split='train', also=[{dataset='y', split='test'}]", False),
    ],
)
def test_speakers_keep_parts_apart(toml: Path, test: str, train: str, overlap: bool) -> None:
    parts = [f"data.{part}={{dataset='x', {keys}}}" for part, keys in (("test", test), ("train", train))]
    if not overlap:
        load_experiment(toml, parts)
        return
    with pytest.raises(
        ExperimentError, match=r"test takes recordings of train, .*another split, skip or speak"
    ):
        load_experiment(toml, parts)


def test_resolved_experiment_holds_its_cards(tiny: Experiment) -> None:
    resolved = resolve(tiny)
    assert json.loads(json.dumps(resolved)) == resolved
    assert resolved["schema"] == "neurosim.experiment/1"
    assert resolved["cards"]["device"]["name"] == "taox_1t1r_40nm"
    assert resolved["cards"]["macro"]["name"] == "rram_40nm_256kb"
    assert [card["name"] for card in resolved["cards"]["datasets"]] == ["mnist-saccades"]


@pytest.mark.parametrize("key", ["device.card", "array.macro", "data.train.dataset"])
def test_unknown_card(toml: Path, key: str) -> None:
    with pytest.raises(CardError, match=r"unknown .* card 'nothing'"):
        resolve(load_experiment(toml, [f"{key}=nothing"]))


EXAMPLES = [
    file
    for file in sorted((Path(__file__).parents[1] / "examples").glob("*.toml"))
    if "neurosim.experiment/1" in file.read_text()
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda f: f.stem)
def test_shipped_examples_are_valid(example: Path) -> None:
    experiment = load_experiment(example)
    assert experiment.name == example.stem
    assert experiment.chips >= 3
    assert resolve(experiment)["cards"]["device"]["conductance"]


# ---- the result ------------------------------------------------------------------------------------


def test_result_is_complete(result: Result, tiny: Experiment) -> None:
    text = json.dumps(result.to_json(), allow_nan=False)
    assert json.loads(text)["experiment"] == resolve(tiny)
    assert (result.n_train, result.n_validation, result.n_test) == (50, 10, 40)
    assert len(result.chips) == len(result.accuracy.per_chip) == 2
    for chip, accuracy in zip(result.chips, result.accuracy.per_chip, strict=True):
        assert chip.confusion.sum() == 40
        assert_array_equal(chip.confusion.sum(axis=1), 4)
        assert chip.n_correct == np.trace(chip.confusion) == round(accuracy * 40)
        assert 0 <= chip.validation_accuracy <= 1
        assert chip.train_accuracy > 0.5
        assert chip.rate_before.shape == chip.rate_after.shape == (30,)
        assert chip.conductance.shape == (result.cells,)
        assert "weight_decay" in chip.readout
    assert result.cells == 2 * (256 + 30) * 30
    assert result.tiles == 1
    assert result.utilisation == pytest.approx(result.cells / 512**2)
    assert result.rates["target"] == 40
    assert abs(result.rates["after"] - 40) < abs(result.rates["before"] - 40)
    assert result.energy["total"] == pytest.approx(sum(v for k, v in result.energy.items() if k != "total"))
    assert result.energy["total"] > 0
    assert result.cost[0].platform == "rram_40nm_256kb"
    assert result.cost[0].energy == result.energy
    assert len(result.cost) == 1 + 2 * len(resolve(tiny)["cards"]["platforms"])
    assert result.seconds.keys() == {"events", "binning", "liquid", "readout", "total"}
    assert result.seconds["total"] >= sum(v for k, v in result.seconds.items() if k != "total")
    assert result.versions["numpy"] == np.__version__
    assert result.example.picture.shape == (34, 34)
    assert result.example.spikes.shape == (20, 30)
    assert result.example.spikes.any()
    assert (result.example.dt, result.example.label) == (pytest.approx(0.0155), "6")
    assert result.example.predicted in result.classes


def test_chips_are_different_devices(result: Result) -> None:
    a, b = (chip.conductance for chip in result.chips)
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(len(a))


def test_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tiny: Experiment) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("numpy", "no-such-package-of-ours"))
    assert run(tiny).versions["no-such-package-of-ours"] == "not installed"


def test_progress_reaches_its_end(toml: Path) -> None:
    seen: dict[str, list[tuple[int, int]]] = {}
    run(
        load_experiment(toml, ["chips=1", "seed=3"]),
        progress=lambda stage, done, n: seen.setdefault(stage, []).append((done, n)),
    )
    assert {
        "events: train",
        "events: test",
        "chip 0: homeostasis",
        "chip 0: liquid",
        "chip 0: readout",
    } == set(seen)
    for steps in seen.values():
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]


# ---- the same again --------------------------------------------------------------------------------


@fresh
def test_a_fresh_run_gives_the_same_bits_on_any_number_of_threads(tiny: Experiment, result: Result) -> None:
    assert_same(run(tiny), result)
    shutil.rmtree(store.cache_dir() / "states")
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    again = run(tiny)
    numba.set_num_threads(1)
    assert_same(again, result)


@fresh
@pytest.mark.parametrize("engine", ["snntorch", "brian2"])
def test_every_engine_gives_the_same_result(toml: Path, engine: Any) -> None:
    few = load_experiment(toml, ["chips=1", "data.train.n=20", "data.test.n=10", "events.n_steps=10"])
    result = run(few)
    assert result.example.spikes.any()
    gc.freeze()  # Brian2 collects garbage before each run
    assert_same(run(few, engine=engine), result)
    gc.unfreeze()


def test_unknown_engine(tiny: Experiment) -> None:
    with pytest.raises(ExperimentError, match="unknown engine 'nest'; known: brian2, numba, snntorch"):
        run(tiny, engine="nest")  # type: ignore[arg-type]


def no_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name in ((chip_module, "simulate_chips"), (homeostasis_module, "simulate")):
        monkeypatch.setattr(place, name, lambda *_args, **_options: pytest.fail("simulated again"))


def test_second_run_reads_its_states(
    tiny: Experiment, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny)
    no_simulation(monkeypatch)
    assert_same(run(tiny), result)


def test_another_readout_reads_the_same_states(
    toml: Path, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(load_experiment(toml))
    no_simulation(monkeypatch)
    other = run(load_experiment(toml, ["readout.scaling=none", "chips=1", "name=other"]))
    assert other.fingerprint != result.fingerprint
    assert_array_equal(other.chips[0].rate_after, result.chips[0].rate_after)


@pytest.mark.parametrize(
    "override",
    [
        *("seed=1", "reservoir.v_threshold=4.0", "device.sigma_read=0.1", "array.adc_bits=6"),
        "events.n_steps=21",
    ],
)
def test_what_the_states_depend_on_is_in_their_key(
    toml: Path, override: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(load_experiment(toml, ["chips=1"]))
    no_simulation(monkeypatch)
    with pytest.raises(pytest.fail.Exception, match="simulated again"):
        run(load_experiment(toml, ["chips=1", override]))


@pytest.mark.parametrize("file", ["x_train.npy", "threshold.npy", "manifest.json"])
def test_damaged_states_are_made_again(tiny: Experiment, result: Result, file: str) -> None:
    run(tiny)
    entries = sorted((store.cache_dir() / "states").iterdir())
    for entry in entries:
        content = bytearray((entry / file).read_bytes())
        content[-3] ^= 0x55
        (entry / file).write_bytes(content)
        assert store.load(entry) is None
    assert_same(run(tiny), result)
    assert sum(store.load(entry) is not None for entry in entries) == 2


# ---- what may know what ----------------------------------------------------------------------------


def loaded_with(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Let ``change(events)`` stand for the recordings of the test split."""
    select, load, tests = datasets.select, datasets.Selection.load, []

    def selected(card: str, split: str, **choice: Any) -> datasets.Selection:
        found = select(card, split, **choice)
        tests.extend([found] if split == "test" else [])
        return found

    def changed(self: datasets.Selection, progress: Any = None) -> Events:
        return change(load(self, progress)) if self in tests else load(self, progress)

    monkeypatch.setattr(datasets, "select", selected)
    monkeypatch.setattr(datasets.Selection, "load", changed)
    monkeypatch.setattr(module.kept, "shared", lambda _path, make: make())


@fresh
def test_test_labels_change_the_score_and_nothing_else(
    tiny: Experiment, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded_with(monkeypatch, lambda events: replace(events, labels=(events.labels + 1) % 10))
    other = run(tiny)
    for ours, theirs in zip(other.chips, result.chips, strict=True):
        assert_array_equal(ours.confusion, np.roll(theirs.confusion, 1, axis=0))
        for name in ("validation_accuracy", "train_accuracy", "readout", "rate_before", "rate_after"):
            assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    same = facts(result).keys() - {"accuracy", "confusion", "fingerprint"}
    assert {key: facts(other)[key] for key in same} == {key: facts(result)[key] for key in same}
    assert other.fingerprint != result.fingerprint


@fresh
def test_test_recordings_do_not_enter_the_fit(
    tiny: Experiment, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded_with(monkeypatch, lambda events: events[::-1][:30])
    other = run(tiny)
    assert other.n_test == 30
    for ours, theirs in zip(other.chips, result.chips, strict=True):
        for name in ("validation_accuracy", "train_accuracy", "readout", "rate_after", "conductance"):
            assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
def test_held_out_part_is_stratified_and_never_all(share: float) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(3), [2, 50, 100]))
    classes = ("a", "b", "c")
    held = parts.held_out(labels, classes, share, seed=0)
    for label, n in enumerate((2, 50, 100)):
        expected = min(max(1, round(share * n)), n - 1)
        assert np.count_nonzero(held & (labels == label)) == expected
    assert_array_equal(parts.held_out(labels, classes, share, seed=0), held)
    assert (parts.held_out(labels, classes, share, seed=1) != held).any()


def test_validation_part_may_be_named(toml: Path) -> None:
    part = "data.validation={dataset='mnist-saccades', split='validation', n=30}"
    result = run(load_experiment(toml, ["chips=1", part]))
    assert (result.n_train, result.n_validation, result.n_test) == (60, 30, 40)


def test_too_few_recordings_to_hold_one_out(toml: Path) -> None:
    with pytest.raises(ExperimentError, match=r"one recording of class '0', .*; raise data.train.n, or name"):
        run(load_experiment(toml, ["data.train.n=10"]))


@pytest.mark.parametrize(
    "change", [{"classes": tuple("abcdefghij")}, {"sensor": Sensor(17, 68, 2)}], ids=["classes", "sensor"]
)
def test_parts_of_different_kinds(
    tiny: Experiment, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    loaded_with(monkeypatch, lambda events: replace(events, **change))
    with pytest.raises(ExperimentError, match="differ in sensor or classes; name others"):
        run(tiny)


# ---- what can be run -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["reservoir.topology=sparse", "reservoir.frac_excitatory=0.8", "reservoir.spectral_radius=0.9"],
        ["reservoir.topology=local", "reservoir.patch=5", "reservoir.p_recurrent=0.1"],
        [
            "reservoir.topology=shared",
            "reservoir.n_neurons=",
            "reservoir.n_patches=3",
            "reservoir.states={pool=2, n_segments=2}",
        ],
        ["reservoir.states={kind='trace', n_segments=3}", "reservoir.tau_syn=0.02", "events.binary=false"],
        ["reservoir.states={kind='rate'}", "reservoir.reset=subtract"],
        ["device.card=ideal", "array.macro=ideal", "reservoir.homeostasis=false", "reservoir.n_reads=1"],
        ["events.crop=false", "events.polarity=both", "events.duration=false", "reservoir.t_refractory=0.03"],
        ["data.train.n=20", "data.test.n=2", "reservoir.n_reads=9"],
    ],
    ids=lambda options: options[0],
)
def test_it_runs_end_to_end(toml: Path, options: list[str]) -> None:
    result = run(load_experiment(toml, ["chips=1", *options]))
    json.dumps(result.to_json(), allow_nan=False)
    assert result.chips[0].confusion.sum() == result.n_test
    assert result.example.spikes.any()


def states_of(experiment: Experiment) -> Any:
    events = datasets.load("mnist-saccades", "test", n=20)
    binned = bin_events(events, experiment.events)
    configs = experiment.reservoir, experiment.device, experiment.array
    chip = make_chip(*configs, sensor=binned.sensor, dt=binned.dt, seed=0)
    return chip.states(binned, chip.reads(experiment.reservoir.n_reads), use="test").x


def test_read_noise_on_and_off(toml: Path) -> None:
    noisy, quiet = (load_experiment(toml, [f"reservoir.read_noise={on}"]) for on in ("true", "false"))
    assert (states_of(noisy) != states_of(quiet)).mean() > 0.1
    assert_array_equal(states_of(noisy), states_of(noisy))
    still = [f"device.{sigma}=0.0" for sigma in ("sigma_read", "read_white_fraction")]
    assert_array_equal(states_of(load_experiment(toml, still)), states_of(quiet))


def test_nothing_formed_is_chance_and_no_crash(toml: Path) -> None:
    dead = ["chips=1", "device.v_forming=3.0", "device.extrapolate=true", "reservoir.homeostasis=false"]
    result = run(load_experiment(toml, dead))
    assert not result.example.spikes.any()
    assert result.accuracy.mean == pytest.approx(0.1)


def test_nothing_formed_has_no_spectral_radius(toml: Path) -> None:
    dead = ["device.v_forming=3.0", "device.extrapolate=true", "reservoir.spectral_radius=0.9"]
    with pytest.raises(ExperimentError, match=r"recurrent weights have radius 0, .*; set recurrent_scaling"):
        run(load_experiment(toml, dead))


def test_a_larger_liquid_reads_digits(toml: Path) -> None:
    options = ["chips=2", "data.train.n=200", "data.test.n=100", "events.crop=false", "events.polarity=both"]
    options += ["reservoir.topology=local", "reservoir.n_neurons=150"]
    result = run(load_experiment(toml, options))
    assert result.accuracy.mean > 0.5
    assert result.accuracy.ci95[0] > 0.3


def test_fingerprint_counts_what_a_card_says_and_not_where_it_lies(toml: Path, tmp_path: Path) -> None:
    shipped = shipped_folder("devices") / "taox_1t1r_40nm.toml"
    copy = tmp_path / "mine.toml"
    copy.write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    same = [resolve(load_experiment(toml, [f"device.card={card}"])) for card in ("taox_1t1r_40nm", copy)]
    assert same[0] == same[1]


# ---- sharing and ageing ----------------------------------------------------------------------------


def test_prepared_recordings_give_the_same_result(toml: Path, tiny: Experiment, result: Result) -> None:
    prepared = prepare(tiny)
    other = run(load_experiment(toml, ["chips=1", "readout.kind=logistic"]), prepared=prepared)
    assert other.n_train == result.n_train
    assert_same(run(tiny, prepared=prepared), result)


@pytest.mark.parametrize("change", ["seed=1", "data.train.n=70", "events.n_steps=10"])
def test_recordings_of_another_experiment_are_refused(toml: Path, tiny: Experiment, change: str) -> None:
    with pytest.raises(
        ExperimentError, match=r"'tiny': prepared is of an experiment with other data, events"
    ):
        run(load_experiment(toml, [change]), prepared=prepare(tiny))


PCM = ["device.card=pcm_nandakumar2019", "reservoir.read_noise=false", "chips=1"]
OLD = [*PCM, "device.t_after_programming=1e7"]


def aged(toml: Path, *overrides: str) -> tuple[Any, Any]:
    """Chip and states of one chip of the tiny experiment."""
    experiment = load_experiment(toml, overrides)
    prepared = prepare(experiment)
    maker = module._Maker(
        experiment, resolve(experiment), prepared.binned, prepared.content, "numba", lambda *_: None
    )
    return next(maker.chips([0]))


def test_a_chip_fitted_young_and_used_old(toml: Path) -> None:
    young, fresh_states = aged(toml, *PCM)
    old, _ = aged(toml, *OLD)
    frozen, states = aged(toml, *OLD, "ageing.thresholds=frozen")
    for part in ("x_train", "x_validation"):
        assert_array_equal(states[part], fresh_states[part])
    assert (states["x_test"] != fresh_states["x_test"]).mean() > 0.05
    assert_array_equal(frozen.crossbar.pos.g, old.crossbar.pos.g)
    assert_array_equal(frozen.liquid.threshold, young.liquid.threshold)
    assert frozen.liquid.weights.lsb == young.liquid.weights.lsb
    assert np.abs(frozen.liquid.weights.q_in).sum() < 0.8 * np.abs(young.liquid.weights.q_in).sum()
    assert states["rate_after"].mean() < 0.8 * fresh_states["rate_after"].mean()


def test_thresholds_that_adapt_again_find_the_rate_of_an_old_chip(toml: Path) -> None:
    homeostasis = ["reservoir.homeostasis.n_iterations=12", "reservoir.homeostasis.rate_target=15"]
    rate = {
        name: aged(toml, *overrides, *homeostasis)[1]["rate_after"].mean()
        for name, overrides in {
            "young": PCM,
            "frozen": [*OLD, "ageing.thresholds=frozen"],
            "adapted": [*OLD, "ageing.thresholds=adapted"],
        }.items()
    }
    assert rate["frozen"] < 0.8 * rate["young"]
    assert rate["adapted"] == pytest.approx(rate["young"], rel=0.1)


def test_an_old_chip_comes_back_from_the_cache(toml: Path) -> None:
    overrides = [*OLD, "ageing.thresholds=adapted", "array.adc_full_scale=calibrated", "array.adc_bits=6"]
    (first, made), (again, kept) = aged(toml, *overrides), aged(toml, *overrides)
    assert_array_equal(again.liquid.threshold, first.liquid.threshold)
    assert_array_equal(again.liquid.weights.q_in, first.liquid.weights.q_in)
    assert (again.liquid.adc_step, again.liquid.adc_max) == (first.liquid.adc_step, first.liquid.adc_max)
    assert_array_equal(kept["x_test"], made["x_test"])


def test_a_chip_used_at_the_age_at_which_it_was_fitted_is_the_same_chip(toml: Path) -> None:
    _, plain = aged(toml, *OLD)
    _, same = aged(toml, *OLD, "ageing.trained_at=1e7")
    for part in ("x_train", "x_test", "threshold"):
        assert_array_equal(same[part], plain[part])


# ---- sounds ----------------------------------------------------------------------------------------

HEARD = [
    "data.train={dataset='spoken-digits', split='train', n=60}",
    "data.train.also=[{dataset='spoken-digits', split='test', n=20}]",
    "data.validation={dataset='spoken-digits', split='validation', speakers=['f2'], n=20}",
    "data.test={dataset='spoken-digits', split='validation', not_speakers=['f2'], n=40}",
    "data.augment={copies=1}",
    "events.crop=",
    "events.polarity=",
    "events.duration=false",
]


def test_a_spoken_experiment_joins_data_sets_and_distorts_training_only(toml: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed (extra speech)")
    experiment = load_experiment(toml, HEARD)
    prepared = prepare(experiment)
    sizes = {part: len(binned) for part, binned in prepared.binned.items()}
    assert sizes == {"train": 160, "validation": 20, "test": 40}
    result = run(experiment, prepared=prepared)
    assert result.accuracy.mean > 0.2
    assert [card["name"] for card in result.experiment["cards"]["datasets"]] == ["spoken-digits"]
    held = prepare(load_experiment(toml, [*HEARD, "data.validation=", "data.augment={copies=2}"])).binned
    assert {part: len(binned) for part, binned in held.items()} == {
        "train": 180,
        "validation": 20,
        "test": 40,
    }
    # of what is held out, training has no copy: all versions of the others stand in it, in one order
    labels = held["train"].labels.reshape(3, 60)
    assert (labels == labels[0]).all()
    mixed = load_experiment(toml, [*HEARD, "data.test={dataset='mnist-saccades', split='test', n=10}"])
    with pytest.raises(ExperimentError, match="differ in sensor or classes"):
        prepare(mixed)

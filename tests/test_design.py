"""A design is one chip of a run: the same spikes and answers, cells as simulated, and what rounding costs."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_design import small_design, small_experiment, small_recordings

from neurosim.cards import shipped_folder
from neurosim.errors import ExperimentError
from neurosim.experiment import Experiment, instance, load_experiment, read_source, resolve, run
from neurosim.export.design import make_design, tolerance
from neurosim.export.restore import restore
from neurosim.readout.config import Kind
from neurosim.reservoir import simulate

PROGRAMMED = "device.card=rram_wan2022"


def test_design_is_the_chip_of_the_run() -> None:
    experiment = small_experiment()
    result = run(experiment, prepared=small_recordings())
    design = small_design()
    assert design.fingerprint == result.fingerprint
    assert design.accuracy["simulated"] == result.accuracy.per_chip[0]
    assert_array_equal(design.target.ravel(), result.chips[0].conductance)
    vectors = design.vectors
    again = simulate(design.liquid, vectors.binned, spikes=True)
    assert again.spikes is not None
    assert_array_equal(again.spikes, vectors.spikes)
    assert vectors.spikes.any()
    assert_array_equal(design.projection.predict(again.x), vectors.answer)


def test_engines_fire_the_spikes_of_the_vectors() -> None:
    design = small_design()
    states = simulate(design.liquid, design.vectors.binned, engine="snntorch", spikes=True)
    assert states.spikes is not None
    assert_array_equal(states.spikes, design.vectors.spikes)


def test_programmed_targets_lie_in_the_window_and_formed_ones_do_not_move() -> None:
    design = small_design(PROGRAMMED, "device.sigma_prog=0.5")
    window = design.chip.crossbar.pos.card.conductance
    assert design.target.min() >= np.float32(window.g_min.value)
    assert design.target.max() <= np.float32(window.g_max.value)
    assert small_design().target.min() < np.float32(1e-6)  # a cell that did not form
    assert small_design().formed.all()  # got the pulse all the same


def test_tolerance_is_two_sigma_or_the_band_of_write_verify() -> None:
    relative = small_design("device.card=ideal", "device.sigma_prog=0.05")
    assert_allclose(relative.tolerance, 0.1 * relative.target, rtol=4e-3)
    band = ["device.card=rram_radar_pulses2021", "device.write_verify.tolerance=4e-6"]
    assert_allclose(small_design(*band).tolerance, 4e-6, rtol=4e-3)
    assert not small_design("device.card=ideal").tolerance.any()


def test_quantised_design_stands_on_levels_and_whole_codes() -> None:
    design = small_design(PROGRAMMED, quantised=True)
    assert 2 < len(design.levels) < 40
    assert np.isin(design.target, design.levels.astype(np.float32)).all()
    gaps = np.diff(design.levels)
    card, device = design.chip.crossbar.pos.card, design.experiment.device
    bands = tolerance(card, device, design.levels.astype(np.float32))
    assert (gaps >= (bands[1:] + bands[:-1]) * 0.99).all()
    codes = design.chip.liquid.threshold / design.threshold_unit
    assert_allclose(codes, np.rint(codes), rtol=1e-6)
    assert_array_equal(np.rint(codes), design.threshold_codes)
    assert set(design.accuracy) == {"simulated", "integer", "quantised"}
    assert abs(design.accuracy["quantised"] - design.accuracy["simulated"]) < 0.2


def test_levels_by_number_and_ideal_cells_without_levels() -> None:
    experiment = small_experiment(PROGRAMMED)
    design = make_design(experiment, prepared=small_recordings(), quantised=True, levels=3)
    assert len(np.unique(design.target)) == 3
    assert not small_design("device.card=ideal", quantised=True).levels.size
    formed = small_design(quantised=True)
    assert_array_equal(formed.target, small_design().target)


@pytest.mark.parametrize(
    ("number", "options", "message"),
    [
        (1, {}, "chip 1 of 'small', which has 1; choose 0 to 0"),
        (0, {"n_vectors": 0}, "0 test vectors; choose 1 to 4096"),
        (0, {"levels": 4}, "4 levels have no effect where nothing is quantised"),
        (0, {"levels": 4, "quantised": True}, "4 levels have no effect on cells of card 'taox_1t1r_40nm'"),
        (0, {"weight_bits": 1}, "1 weight bits; choose 2 to 16"),
    ],
)
def test_wrong_arguments_are_said(number: int, options: dict[str, int], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        make_design(small_experiment(), number, prepared=small_recordings(), **options)  # type: ignore[arg-type]


def test_recordings_of_another_experiment_are_refused() -> None:
    with pytest.raises(ExperimentError, match="prepared is of an experiment with other data"):
        make_design(small_experiment("events.n_steps=10"), prepared=small_recordings())


def test_projection_in_memory_is_refused() -> None:
    experiment = small_experiment("readout.analog.adc_bits=8")
    with pytest.raises(ExperimentError, match=r"readout\.analog = false"):
        make_design(experiment, prepared=small_recordings())


@pytest.mark.parametrize("kind", get_args(Kind))
def test_readouts_are_exported_as_they_answer_or_refused(kind: Kind) -> None:
    few = [] if kind in ("ridge", "logistic", "svm") else ["readout.epochs=2"]
    experiment = small_experiment(f"readout.kind={kind}", *few)
    if kind == "neuromodulated":
        with pytest.raises(ExperimentError, match="no export holds its gains and thresholds"):
            make_design(experiment, prepared=small_recordings())
        return
    _, states, readout = instance(experiment, prepared=small_recordings())
    projection = make_design(experiment, prepared=small_recordings(), n_vectors=1).projection
    assert_array_equal(projection.predict(states["x_test"]), readout.predict(states["x_test"]))


# ---- from what a run left --------------------------------------------------------------------------


def write_run(folder: Path, experiment: Experiment, **changes: object) -> Path:
    said = {
        "schema": "neurosim.result/1",
        "experiment": resolve(experiment),
        "fingerprint": small_design().fingerprint,
    }
    (folder / "result.json").write_text(json.dumps(said | changes))
    return folder


def test_folder_of_a_run_gives_its_design(tmp_path: Path) -> None:
    folder = write_run(tmp_path, small_experiment())
    for place in (folder, folder / "result.json"):
        design = make_design(place, prepared=small_recordings(), n_vectors=4)
        assert_array_equal(design.target, small_design().target)
        assert resolve(design.experiment) == resolve(small_experiment())


ALSO = 'data.train.also=[{dataset="spoken-digits", split="train"}, {dataset="fsdd", split="train", skip=3}]'
EXAMPLES = [
    file.stem
    for file in shipped_folder("examples").glob("*.toml")
    if read_source(file)[0]["schema"] == "neurosim.experiment/1"
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_resolved_experiments_are_restored(name: str) -> None:
    for overrides in ([], [ALSO]):
        experiment = load_experiment(name, overrides)
        resolved = resolve(experiment)
        assert resolve(restore(resolved, where="here")) == resolved


def test_run_of_other_cards_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path, small_experiment(), fingerprint="0" * 64)
    with pytest.raises(ExperimentError, match="run it again"):
        make_design(folder, prepared=small_recordings())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a run's result.json"),
        ("[1]", "not a run's result.json"),
        ('{"schema": "x/1", "experiment": {}, "fingerprint": ""}', "schema 'x/1'"),
        ('{"schema": "neurosim.result/1", "experiment": {}, "fingerprint": ""}', "no resolved experiment"),
        ("[" * 100_000, "not a run's result.json"),
    ],
)
def test_wrong_results_are_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ExperimentError, match=message):
        make_design(tmp_path)


def test_folder_without_a_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"no result\.json in it"):
        make_design(tmp_path)


def test_no_path_of_a_resolved_experiment_is_used(tmp_path: Path) -> None:
    resolved = resolve(small_experiment())
    resolved["data"]["test"]["dataset"] = str(tmp_path / "evil.toml")
    with pytest.raises(ExperimentError, match="no resolved experiment"):
        restore(resolved, where="here")
    resolved = resolve(small_experiment())
    resolved["device"]["card"] = "/etc/passwd.toml"  # only what is inlined counts
    assert resolve(restore(resolved, where="here"))["device"]["card"] == "taox_1t1r_40nm"
    resolved["cards"]["datasets"][0]["classes"] = ["a", "b"]
    with pytest.raises(ExperimentError, match="does not ship with neurosim"):
        restore(resolved, where="here")

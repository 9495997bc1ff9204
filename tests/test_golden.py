"""The whole-number chip: golden model against its twin, against the float32 kernel, and in Verilog."""

import ast
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from exported import adapted, digits, projection_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from test_reservoir_kernel import config_of, liquid_of, recordings

from neurosim import store
from neurosim.errors import ExperimentError, MissingExtraError, OutOfRangeError, ShapeError
from neurosim.events.types import Binned
from neurosim.export import fixed as fixed_module
from neurosim.export import golden as golden_module
from neurosim.export.fixed import FixedConfig, FixedPoint, Table, fix
from neurosim.export.golden import Answers, project, run_golden
from neurosim.export.memory import agreement, save_memory, simulate_verilog
from neurosim.readout.convex import RidgeReadout
from neurosim.readout.network import MLPReadout
from neurosim.reservoir import Liquid, StatesConfig, simulate
from neurosim.reservoir.states import readings_for

needs_icarus = pytest.mark.skipif(
    not (shutil.which("iverilog") and shutil.which("vvp")), reason="Icarus Verilog is not installed"
)
TOPOLOGIES = ("dense", "sparse", "local", "shared")
DYNAMICS: dict[str, dict[str, Any]] = {
    "plain": {},
    "subtract": {"reset": "subtract"},
    "refractory": {"t_refractory": 3e-3},
    "synapse": {"tau_syn": 4e-3, "reset": "subtract", "t_refractory": 2e-3},
    "converter": {"adc": True},
}


def fixed_of(liquid: Liquid, binned: Binned, config: FixedConfig | None = None) -> FixedPoint:
    readings = readings_for(liquid, binned.n_steps)
    return fix(liquid, None, readings, max_count=binned.max_count, config=config)


def made(topology: str, dynamics: str, **options: Any) -> Liquid:
    extra = DYNAMICS[dynamics] | options
    adc = extra.pop("adc", False)
    return liquid_of(config_of(topology, **extra), adc=adc)


def dense(table: Table, n_neurons: int) -> list[list[int]]:
    """A table as a matrix (rows, n_neurons), entry by entry."""
    matrix = [[0] * n_neurons for _ in range(len(table.ptr) - 1)]
    for row in range(len(matrix)):
        for run in range(table.ptr[row], table.ptr[row + 1]):
            for k in range(table.length[run]):
                matrix[row][table.post[run] + k] += int(table.weight[table.start[run] + k])
    return matrix


def twin(fixed: FixedPoint, binned: Binned, i: int) -> Any:
    return naive.fixed_lif(
        dense(fixed.inputs, fixed.n_neurons),
        dense(fixed.recurrent, fixed.n_neurons),
        [[int(c) for c in row] for row in binned.dense(i)],
        fixed.threshold.tolist(),
        fraction_bits=fixed.fraction_bits,
        leak=fixed.leak,
        leak_bits=fixed.leak_bits,
        membrane_bits=fixed.membrane_bits,
        synapse_leak=fixed.synapse_leak,
        adc=(fixed.adc_multiplier, fixed.adc_bits, fixed.adc_max) if fixed.adc_max else None,
        subtract=fixed.subtract,
        n_refractory=fixed.n_refractory,
    )


# ---- against the twin ------------------------------------------------------------------------------


@given(
    topology=st.sampled_from(TOPOLOGIES),
    dynamics=st.sampled_from(sorted(DYNAMICS)),
    weights=st.sampled_from(["int8", "int16"]),
    beta=st.floats(0, 0.99),
    config=st.builds(
        FixedConfig,
        fraction_bits=st.integers(0, 10),
        leak_bits=st.integers(1, 20),
        membrane_bits=st.none() | st.integers(10, 30),
    ),
    max_count=st.integers(1, 3),
)
def test_golden_model_is_its_twin(
    topology: str, dynamics: str, weights: str, beta: float, config: FixedConfig, max_count: int
) -> None:
    liquid, binned = made(topology, dynamics, weights=weights, beta=beta), recordings(1, max_count=max_count)
    fixed = fixed_of(liquid, binned, config)
    assert_array_equal(run_golden(fixed, binned).spikes[0], twin(fixed, binned, 0))


@given(x=st.integers(-(2**40), 2**40), multiplier=st.integers(0, 2**20), bits=st.integers(1, 20))
def test_leak_rounds_to_the_nearest(x: int, multiplier: int, bits: int) -> None:
    assert golden_module._leaked(x, multiplier, bits) == naive.whole(x, multiplier, bits)


def test_every_membrane_fits_its_word_unless_the_user_chose_it() -> None:
    """A word that is four bits wider changes nothing, one that is too narrow does."""
    binned = recordings(max_count=3)
    for dynamics in DYNAMICS:
        liquid = made("dense", dynamics)
        liquid = liquid.with_thresholds(liquid.threshold * 1e9)  # never reset
        fixed = fixed_of(liquid, binned)
        wide = replace(fixed, membrane_bits=fixed.membrane_bits + 4)
        loose = replace(fixed, threshold=fixed.threshold // 2**20, subtract=False)
        assert not run_golden(fixed, binned).spikes.any()
        for one in (fixed, loose):
            other = replace(one, membrane_bits=wide.membrane_bits)
            assert_array_equal(run_golden(one, binned).spikes, run_golden(other, binned).spikes)
    narrow = fixed_of(made("dense", "plain"), binned, FixedConfig(membrane_bits=16))
    assert (
        run_golden(narrow, binned).spikes
        != run_golden(fixed_of(made("dense", "plain"), binned), binned).spikes
    ).any()


def test_golden_model_has_no_float() -> None:
    """Neither a literal, nor a division, nor a function that gives one."""
    tree = ast.parse(Path(golden_module.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not isinstance(node, ast.Div)
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        assert name not in {"float", "float32", "float64", "mean", "sqrt", "exp", "rint"}


# ---- against the float32 kernel --------------------------------------------------------------------


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("t_refractory", [0.0, 3e-3])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_leak_without_rounding_gives_the_spikes_of_the_kernel(
    topology: str, t_refractory: float, reset: str
) -> None:
    """beta = 1/2, whole thresholds, and as many bits behind the point as steps: neither of the two rounds."""
    binned = recordings(8, n_steps=10)
    config = config_of(topology, beta=0.5, weights="int8", reset=reset, t_refractory=t_refractory)
    liquid = liquid_of(config)
    liquid = liquid.with_thresholds(np.round(liquid.threshold * 0.5))
    fixed = fixed_of(liquid, binned, FixedConfig(fraction_bits=10, leak_bits=1))
    expected = simulate(liquid, binned, spikes=True).spikes
    assert expected is not None
    assert expected.mean() > 0.01
    assert_array_equal(run_golden(fixed, binned).spikes, expected)


def test_a_coarse_leak_is_reported(request: pytest.FixtureRequest) -> None:
    binned = digits(request, 16)
    liquid = adapted(binned, n_neurons=40)
    expected = simulate(liquid, binned, spikes=True).spikes
    assert expected is not None
    fine, coarse = (
        agreement(fixed_of(liquid, binned, FixedConfig(leak_bits=bits)), binned, expected, binned.labels)
        for bits in (16, 4)
    )
    assert fine["spikes"] == coarse["spikes"] == expected.sum() > 500
    assert fine["spikes_differ"] == fine["recordings_differ"] == 0
    assert coarse["spikes_differ"] > 100
    assert (coarse["beta"], coarse["beta_fixed"]) == (0.9, 14 / 16)


# ---- projection ------------------------------------------------------------------------------------


def projected(
    liquid: Liquid, binned: Binned, readout: Any, states: StatesConfig
) -> tuple[FixedPoint, Answers, Any, Any]:
    liquid = replace(liquid, config=liquid.config.model_copy(update={"states": states}))
    x = simulate(liquid, binned).x
    projection = projection_of(readout.fit(x, binned.labels), x)
    fixed = fix(liquid, projection, readings_for(liquid, binned.n_steps), max_count=binned.max_count)
    return fixed, run_golden(fixed, binned), projection, x


@pytest.mark.parametrize(
    "states",
    [
        StatesConfig(),
        StatesConfig(n_segments=3),
        StatesConfig(kind="rate", n_segments=3),
        StatesConfig(kind="trace", tau_trace=0.1),
    ],
    ids=lambda s: f"{s.kind}{s.n_segments}",
)
@pytest.mark.parametrize("scaling", ["standard", "sqrt"])
def test_answers_are_those_of_the_projection(
    states: StatesConfig, scaling: Any, request: pytest.FixtureRequest
) -> None:
    binned = digits(request, 64)
    liquid = adapted(binned, n_neurons=40, rate=20.0, beta=0.875)
    fixed, answers, projection, x = projected(liquid, binned, RidgeReadout(scaling=scaling), states)
    assert_array_equal(answers.spikes, simulate(liquid, binned, spikes=True).spikes)
    codes = fixed.codes[answers.answer]
    assert (codes == binned.labels).mean() > 0.8  # that it was trained on
    assert (codes == projection.predict(x)).mean() > 0.96
    if states.kind == "count":
        assert_array_equal(answers.states, x)
        assert_array_equal(answers.scores, projection.integer.scores(projection.integer.inputs(x)))


def test_hidden_layer_and_ties() -> None:
    binned = recordings(4)
    fixed = fixed_of(made("dense", "plain"), binned)
    states = np.arange(fixed.n_states)[None, :] * np.ones((2, 1), np.int64)
    assert project(fixed, states).shape == (2, 0)
    assert_array_equal(run_golden(fixed, binned).answer, np.full(4, -1))
    layer = fixed_module.IntegerLayer(np.ones((fixed.n_states, 3), np.int16), np.array([-500, 7, 7]), 1.0, 2)
    second = fixed_module.IntegerLayer(np.array([[9, 9], [2, 2], [1, 1]], np.int16), np.array([5, 5]), 1.0, 0)
    fixed = replace(fixed, layers=(layer, second), codes=np.array([3, 4]))
    total = fixed.n_states * (fixed.n_states - 1) // 2
    assert_array_equal(project(fixed, states), np.full((2, 2), 3 * ((total + 7) >> 2) + 5))
    assert_array_equal(run_golden(fixed, binned).answer, np.zeros(4))


# ---- files and Verilog -----------------------------------------------------------------------------


def words(folder: Path, name: str) -> list[int]:
    """A memory, read by the manifest alone."""
    entry = json.loads((folder / "manifest.json").read_text())["files"][f"{name}.hex"]
    lines = (folder / f"{name}.hex").read_text().split()
    assert len(lines) == entry["depth"]
    assert store.sha256(folder / f"{name}.hex") == entry["sha256"]
    assert {len(line) for line in lines} <= {-(-entry["width"] // 4)}
    values = [int(line, 16) for line in lines]
    half = 1 << (entry["width"] - 1)
    return [value - 2 * half if entry["signed"] and value >= half else value for value in values]


@needs_icarus
@pytest.mark.parametrize("dynamics", sorted(DYNAMICS))
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_verilog_agrees_bit_for_bit(topology: str, dynamics: str, tmp_path: Path) -> None:
    binned = recordings(4, max_count=2)
    fixed = fixed_of(made(topology, dynamics), binned)
    answers = save_memory(tmp_path / "mem", fixed, binned, agreement={}, origin={})
    assert answers.spikes.mean() > 0.002
    spikes, _, counted = simulate_verilog(tmp_path / "mem")
    assert_array_equal(spikes, answers.spikes.reshape(spikes.shape))
    assert counted == {"recordings": 4, "spikes_differ": 0, "scores_differ": 0, "answers_differ": 0}


@needs_icarus
def test_verilog_compiles_without_a_warning(tmp_path: Path) -> None:
    for i, dynamics in enumerate(sorted(DYNAMICS)):
        folder = tmp_path / str(i)
        save_memory(
            folder, fixed_of(made("dense", dynamics), recordings(1)), recordings(1), agreement={}, origin={}
        )
        command = ["iverilog", "-g2005", "-Wall", "-o", "liquid", "liquid_tb.v", "liquid_core.v"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        assert done.stdout + done.stderr == ""


@pytest.mark.skipif(not shutil.which("yosys"), reason="Yosys is not installed")
def test_core_can_be_synthesized(tmp_path: Path) -> None:
    """To gates, without what Yosys calls a problem; a small chip, or it takes minutes."""
    liquid = liquid_of(config_of("sparse", n_neurons=4, weights="int8", t_refractory=2e-3, reset="subtract"))
    binned = recordings(1, n_steps=4)
    fixed = fixed_of(liquid, binned, FixedConfig(fraction_bits=1, leak_bits=4))
    save_memory(tmp_path / "mem", fixed, binned, agreement={}, origin={})
    script = (
        "read_verilog -I. liquid_core.v; chparam -set LANES 1 liquid_core; synth -noabc -top liquid_core; "
        "check -assert; stat"
    )
    command = ["yosys", "-p", script]
    done = subprocess.run(command, cwd=tmp_path / "mem", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cells = re.findall(r"Number of cells: +(\d+)", done.stdout)
    assert int(cells[-1]) > 500


@needs_icarus
def test_verilog_agrees_on_64_recordings(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Events in, spikes and classes out: 64 recordings of N-MNIST, recurrent liquid, trained projection."""
    binned = digits(request, 64)
    liquid = adapted(binned, n_neurons=20, rate=20.0)
    fixed, answers, _, _ = projected(liquid, binned, RidgeReadout(scaling="sqrt"), StatesConfig(n_segments=2))
    save_memory(tmp_path / "mem", fixed, binned, agreement={}, origin={})
    spikes, answer, counted = simulate_verilog(tmp_path / "mem")
    assert answers.spikes.sum() > 4000
    assert_array_equal(spikes, answers.spikes.reshape(spikes.shape))
    assert_array_equal(answer, answers.answer)
    assert counted == {"recordings": 64, "spikes_differ": 0, "scores_differ": 0, "answers_differ": 0}


@needs_icarus
def test_verilog_computes_a_hidden_layer_and_counts_what_differs(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    binned = digits(request, 24)
    liquid = adapted(binned, topology="shared", n_patches=2, patch=8, stride=8, rate=40.0)
    mlp = MLPReadout(hidden=5, epochs=3, random_state=0)
    fixed, answers, _, _ = projected(liquid, binned, mlp, StatesConfig(kind="trace"))
    folder = tmp_path / "mem"
    save_memory(folder, fixed, binned, agreement={}, origin={})
    spikes, answer, counted = simulate_verilog(folder)
    assert_array_equal(spikes, answers.spikes.reshape(spikes.shape))
    assert_array_equal(answer, answers.answer)
    assert counted["scores_differ"] == 0
    lines = (folder / "spikes.hex").read_text().split()
    lines[7] = f"{int(lines[7], 16) ^ 5:0{len(lines[7])}x}"
    (folder / "spikes.hex").write_text("\n".join(lines))
    (folder / "answer.hex").write_text((folder / "answer.hex").read_text().replace("0", "f", 1))
    _, _, counted = simulate_verilog(folder)
    assert (counted["spikes_differ"], counted["answers_differ"]) == (2, 1)


def test_files_say_all_that_a_reader_needs(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The chip is rebuilt from the folder alone, and gives the spikes and scores that stand there."""
    binned = digits(request, 6)
    liquid = adapted(binned, n_neurons=15, frac_excitatory=0.8, rate=40.0)
    fixed, answers, _, _ = projected(liquid, binned, RidgeReadout(scaling="sqrt"), StatesConfig(n_segments=2))
    folder = tmp_path / "mem"
    save_memory(folder, fixed, binned, agreement={"spikes": 1}, origin={"name": "x"})
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["schema"], manifest["name"], manifest["agreement"]) == (
        "neurosim.mem/1",
        "x",
        {"spikes": 1},
    )
    assert {path.name for path in folder.iterdir()} == {
        *manifest["files"], "manifest.json", "parameters.vh", "liquid_core.v", "liquid_tb.v",
    }  # fmt: skip
    c = manifest["constants"]
    tables = [
        Table(*(np.array(words(folder, f"{side}_{x}")) for x in ("ptr", "post", "start", "length", "weight")))
        for side in ("in", "rec")
    ]
    ptr, channels = words(folder, "event_ptr"), words(folder, "event_channel")
    for i in range(2):
        x = [[0] * c["N_INPUTS"] for _ in range(c["N_STEPS"])]
        for t in range(c["N_STEPS"]):
            for k in range(ptr[i * c["N_STEPS"] + t], ptr[i * c["N_STEPS"] + t + 1]):
                x[t][channels[k]] += 1
        spikes = naive.fixed_lif(
            *(dense(table, c["N_NEURONS"]) for table in tables),
            x,
            words(folder, "threshold"),
            fraction_bits=c["FRACTION_BITS"],
            leak=c["LEAK"],
            leak_bits=c["LEAK_BITS"],
            membrane_bits=c["MEMBRANE_BITS"],
        )
        rows = words(folder, "spikes")[i * c["N_STEPS"] : (i + 1) * c["N_STEPS"]]
        assert spikes == [[row >> j & 1 for j in range(c["N_NEURONS"])] for row in rows]
        feature, segment, enters = (words(folder, name) for name in ("feature", "segment", "enters"))
        states = [0] * c["N_STATES"]
        for t, j in np.argwhere(spikes):
            states[segment[t] * c["N_FEATURES"] + feature[j]] += words(folder, "step_weight")[t]
        weight, score = words(folder, "weight0"), words(folder, "bias0")
        for k, state in enumerate(states):
            for out in range(c["N_CLASSES"]):
                score[out] += enters[state] * weight[k * c["N_CLASSES"] + out]
        assert score == words(folder, "score")[i * c["N_CLASSES"] : (i + 1) * c["N_CLASSES"]]
        assert score.index(max(score)) == words(folder, "answer")[i] == answers.answer[i]


# ---- what is refused -------------------------------------------------------------------------------


def test_what_cannot_be_whole_is_refused_or_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binned = recordings()
    with pytest.raises(ExperimentError, match=r"reservoir\.weights = 'float32'.*'int8' or 'int16'"):
        fixed_of(made("dense", "plain", weights="float32"), binned)
    with pytest.raises(OutOfRangeError, match="needs 65 bits, more than 63: lower fraction_bits"):
        fixed_of(made("dense", "plain"), binned, FixedConfig(membrane_bits=40, leak_bits=24))
    noisy = fixed_of(liquid_of(config_of("dense"), noisy=True, adc=True, bent=True), binned)
    assert noisy.left_out == (
        "white read noise of the cells",
        "gain, offset and nonlinearity of the converters",
    )
    fixed = fixed_of(made("dense", "plain"), binned)
    assert fixed.left_out == ()
    with pytest.raises(ShapeError, match=r"112 channels and 20 steps, the chip has 112 and 24"):
        run_golden(fixed, recordings(n_steps=20))
    layer = fixed_module.IntegerLayer(np.ones((21, 21), np.int16), np.zeros(21, np.int64), 1.0, 0)
    with pytest.raises(ExperimentError, match="projection of 3 layers; the core computes one or two"):
        save_memory(tmp_path, replace(fixed, layers=(layer,) * 3), binned, agreement={}, origin={})
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingExtraError, match="apt install iverilog"):
        simulate_verilog(tmp_path)

"""NIR graphs: what they hold, what they leave out, and that other packages fire the same spikes from them."""

import builtins
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import adapted, digits, projection_of
from numpy.testing import assert_allclose, assert_array_equal
from small_design import small_design
from test_reservoir_kernel import config_of, liquid_of, recordings

from neurosim.errors import ExperimentError, MissingExtraError, OutOfRangeError
from neurosim.events.types import Binned
from neurosim.export import write
from neurosim.export.nir import NirConfig, run_graph, save_nir, to_nir
from neurosim.export.projection import Projection
from neurosim.readout.convex import RidgeReadout
from neurosim.readout.network import MLPReadout
from neurosim.reservoir import Liquid, ReservoirConfig, StatesConfig, build_liquid, simulate, wire

nir = pytest.importorskip("nir", reason="the package nir is not installed")

Run = Callable[[Any, Binned, float], Any]  # outputs (n, n_steps, n_out) of a graph


def frames(binned: Binned) -> Any:
    """Counts of all recordings, (n, n_steps, n_channels)."""
    torch = pytest.importorskip("torch")
    return torch.from_numpy(np.stack([binned.dense(i) for i in range(len(binned))])).float()


def stepped(module: Any, binned: Binned) -> Any:
    """Outputs of an imported module, step by step."""
    import torch

    x, state, out = frames(binned), None, []
    with torch.no_grad():
        for t in range(binned.n_steps):
            y, state = module(x[:, t], state)
            out.append(y[0] if isinstance(y, tuple) else y)
    return torch.stack(out, 1).numpy()


def spikingjelly(graph: Any, binned: Binned, dt: float) -> Any:
    pytest.importorskip("spikingjelly", reason="SpikingJelly is not installed (make peers)")
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return stepped(import_from_nir(graph, dt=dt), binned)


def norse(graph: Any, binned: Binned, dt: float) -> Any:
    norse = pytest.importorskip("norse.torch", reason="Norse is not installed (make peers)")
    return stepped(norse.from_nir(graph, dt=dt), binned)


CONSUMERS: dict[str, Run] = {"spikingjelly": spikingjelly, "norse": norse}
consumers = pytest.mark.parametrize("consumer", CONSUMERS)


def written(graph: Any, folder: Path) -> Any:
    """The graph, to a file and back."""
    save_nir(folder / "design.nir", graph)
    return nir.read(folder / "design.nir")


@pytest.fixture(autouse=True)
def _their_warnings() -> Any:
    """The consumers' own warnings are theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ---- executed by others ----------------------------------------------------------------------------


@consumers
@pytest.mark.parametrize(
    "options",
    [{}, {"beta": 0.7}, {"tau_syn": 0.02}, {"beta": None, "tau_mem": 0.033, "frac_excitatory": 0.8}],
    ids=["recurrent", "fast", "synapse", "dale"],
)
def test_others_fire_the_same_spikes(
    options: dict[str, Any], consumer: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """64 recordings of N-MNIST through the paper's liquid: not one spike differs."""
    binned = digits(request)
    liquid = adapted(binned, **options)
    made = to_nir(liquid, n_steps=binned.n_steps)
    theirs = CONSUMERS[consumer](written(made.graph, tmp_path), binned, liquid.dt)
    ours = simulate(liquid, binned, spikes=True).spikes
    assert ours is not None
    assert len(ours) == 64
    assert ours.sum() > 20_000
    assert np.count_nonzero(theirs != ours) == 0


@consumers
@pytest.mark.parametrize("topology", ["sparse", "local", "shared"])
def test_every_topology_is_executed(topology: str, consumer: str, tmp_path: Path) -> None:
    liquid, binned = liquid_of(config_of(topology)), recordings(8, max_count=2)
    made = to_nir(liquid, n_steps=binned.n_steps)
    ours = simulate(liquid, binned, spikes=True).spikes
    assert ours is not None
    assert ours.sum() > 20
    assert_array_equal(CONSUMERS[consumer](written(made.graph, tmp_path), binned, liquid.dt), ours)


def test_snntorch_runs_a_liquid_without_recurrence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At its own step of 0.1 ms, for which the graph can be written."""
    pytest.importorskip("nirtorch", reason="NIRTorch is not installed (make peers)")
    from snntorch.import_nir import import_from_nir

    liquid, binned = liquid_of(config_of("shared")), recordings(8, max_count=2)
    graph = written(to_nir(liquid, n_steps=binned.n_steps, config=NirConfig(dt=1e-4)).graph, tmp_path)
    ours = simulate(liquid, binned, spikes=True).spikes
    assert ours is not None
    assert ours.sum() > 100
    assert_array_equal(stepped(import_from_nir(graph), binned), ours)
    assert "w_scale" in capsys.readouterr().out


@consumers
def test_a_sum_that_meets_the_threshold_fires_nobody(consumer: str, tmp_path: Path) -> None:
    """Whole weights, a leak of one half and whole thresholds: sums often equal them, which SpikingJelly takes
    for a spike."""
    binned = recordings(16, n_steps=12)
    liquid = liquid_of(config_of("dense", beta=0.5, weights="int8"))
    # few levels, and one threshold for all, so that there are ties
    weights = replace(liquid.weights, q_in=np.sign(liquid.weights.q_in), q_rec=np.sign(liquid.weights.q_rec))
    liquid = replace(liquid, weights=weights, threshold=np.full_like(liquid.threshold, 2))
    ours = simulate(liquid, binned, spikes=True).spikes
    below = simulate(
        liquid.with_thresholds(np.nextafter(liquid.threshold, np.float32(0))), binned, spikes=True
    )
    assert ours is not None
    assert below.spikes is not None
    assert (ours != below.spikes).sum() > 10  # that is, ties
    made = to_nir(liquid, n_steps=binned.n_steps)
    assert_array_equal(CONSUMERS[consumer](written(made.graph, tmp_path), binned, liquid.dt), ours)


def test_thresholds_of_their_own_stay_whole_weights(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """In units of the last bit, times tau/dt = 10; Norse takes thresholds that differ."""
    binned = digits(request, 16)
    liquid = adapted(binned, n_neurons=50)
    made = to_nir(liquid, n_steps=binned.n_steps, config=NirConfig(one_threshold=False))
    graph = written(made.graph, tmp_path)
    assert_allclose(
        graph.nodes["w_in"].weight, 10 * liquid.weights.matrices[0].T.astype(np.float32), rtol=1e-6
    )
    assert_allclose(graph.nodes["liquid"].v_threshold, liquid.threshold, rtol=2e-7)
    assert any("refuse thresholds that differ" in text for text in made.warnings)
    ours = simulate(liquid, binned, spikes=True).spikes
    assert_array_equal(norse(graph, binned, liquid.dt), ours)


@pytest.mark.parametrize(
    "options", [{}, {"tau_syn": 0.02}, {"topology": "shared"}], ids=["lif", "cuba", "shared"]
)
def test_our_own_run_of_a_graph_is_that_of_importers(
    options: dict[str, Any], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Which tells a user what the file will do; also where that is not what the chip does."""
    binned = digits(request, 24)
    liquid = adapted(binned, **options)
    graph = written(to_nir(liquid, n_steps=binned.n_steps).graph, tmp_path)
    assert_array_equal(run_graph(graph, binned), simulate(liquid, binned, spikes=True).spikes)
    graph.nodes["w_in"].weight *= 1.3
    other = norse(graph, binned, liquid.dt)
    assert (other != simulate(liquid, binned, spikes=True).spikes).sum() > 1000
    assert_array_equal(run_graph(graph, binned), other)


@consumers
def test_a_design_is_executed(consumer: str, tmp_path: Path) -> None:
    """The file that the command writes, of a design without converters, against its test vectors."""
    design = small_design("array.adc_bits=0")
    write(design, "nir", tmp_path / "design.nir")
    theirs = CONSUMERS[consumer](nir.read(tmp_path / "design.nir"), design.vectors.binned, design.liquid.dt)
    assert design.vectors.spikes.sum() > 20
    assert_array_equal(theirs, design.vectors.spikes)


def ridge(binned: Binned, liquid: Liquid, **options: Any) -> tuple[Projection, Any]:
    x = simulate(liquid, binned).x
    return projection_of(RidgeReadout(**options).fit(x, binned.labels), x), x


@consumers
@pytest.mark.parametrize("kind", ["count", "rate"])
def test_readout_answers_as_ours(
    kind: Any, consumer: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Its outputs add up over the steps to our scores."""
    binned = digits(request)
    liquid = adapted(binned, n_neurons=60, states=StatesConfig(kind=kind))
    projection, x = ridge(binned, liquid, scaling="standard")
    made = to_nir(liquid, projection, n_steps=binned.n_steps)
    assert made.dropped == ()
    graph = written(made.graph, tmp_path)
    scores = CONSUMERS[consumer](graph, binned, liquid.dt).sum(axis=1)
    assert_array_equal(projection.codes[scores.argmax(axis=1)], projection.predict(x))
    (weight, bias), *_ = projection.layers
    assert_allclose(scores, projection.scaling(x) @ weight + bias, atol=2e-3)
    assert_array_equal(graph.metadata["codes"], projection.codes)
    assert "sum over the steps" in graph.metadata["output"]


# ---- the file --------------------------------------------------------------------------------------


def test_file_holds_the_graph_and_its_units(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    binned = digits(request, 8)
    liquid = adapted(binned, n_neurons=12, tau_syn=0.02)
    made = to_nir(liquid, n_steps=binned.n_steps, origin={"fingerprint": "f" * 64, "chip": 3})
    back = written(made.graph, tmp_path)
    assert {name: type(node).__name__ for name, node in back.nodes.items()} == {
        "input": "Input", "w_in": "Linear", "liquid": "CubaLIF", "w_rec": "Linear", "output": "Output",
    }  # fmt: skip
    assert set(back.edges) == {
        ("input", "w_in"), ("w_in", "liquid"), ("liquid", "w_rec"), ("w_rec", "liquid"), ("liquid", "output"),
    }  # fmt: skip
    for name, node in made.graph.nodes.items():
        for key, value in node.to_dict().items():
            if isinstance(value, np.ndarray):
                assert_array_equal(back.nodes[name].to_dict()[key], value)
    neurons, meta = back.nodes["liquid"], back.metadata
    assert_allclose(1 - meta["dt"] / neurons.tau_mem, liquid.beta, rtol=1e-6)
    assert_allclose(1 - meta["dt"] / neurons.tau_syn, liquid.alpha, rtol=1e-6)
    assert (meta["dt"], meta["n_steps"], meta["chip"]) == (liquid.dt, 50, 3)
    assert (meta["schema"], meta["time_unit"], meta["reset"]) == ("neurosim.nir/1", "s", "zero")
    assert meta["fingerprint"] == "f" * 64
    assert "dt = 0.0062 s" in meta["warnings"]
    assert "snnTorch 1.0 imports recurrent graphs wrongly" in meta["warnings"]


def test_a_liquid_without_recurrence_has_no_cycle() -> None:
    made = to_nir(liquid_of(config_of("shared")), n_steps=24)
    assert "w_rec" not in made.graph.nodes
    assert len(made.warnings) == 1


# ---- what is refused, dropped and warned of --------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reset": "subtract"}, r"reservoir\.reset = 'subtract'.*use reset 'zero'"),
        ({"t_refractory": 2e-3}, r"reservoir\.t_refractory \(=0\.002 s\).*no refractory period"),
    ],
)
def test_dynamics_without_words_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        to_nir(liquid_of(config_of("dense", **options)), n_steps=24)


def test_noise_and_converters_are_listed() -> None:
    made = to_nir(liquid_of(config_of("dense"), noisy=True, adc=True), n_steps=24)
    assert [text.split(":")[0] for text in made.dropped] == [
        "read noise of the cells",
        "converters of the columns",
    ]
    assert made.graph.metadata["dropped"] == "\n".join(made.dropped)


@pytest.mark.parametrize(
    ("states", "readout", "what"),
    [
        (StatesConfig(n_segments=3), RidgeReadout(), "of 3 segments"),
        (StatesConfig(kind="trace"), RidgeReadout(), "of traces"),
        (StatesConfig(), RidgeReadout(scaling="sqrt"), "of square roots"),
        (StatesConfig(), MLPReadout(hidden=3, epochs=1), "a hidden layer"),
    ],
)
def test_projections_without_words_are_listed(
    states: StatesConfig, readout: Any, what: str, request: pytest.FixtureRequest
) -> None:
    binned = digits(request, 24)
    config = ReservoirConfig(n_neurons=20, beta=0.9, states=states)
    wiring = wire(config, binned.sensor, seed=0)
    dg = np.random.default_rng(0).normal(0, 6.6e-6, wiring.shape).astype(np.float32)
    liquid = build_liquid(config, wiring, dg, dt=binned.dt, seed=0)
    x = simulate(liquid, binned).x
    projection = projection_of(readout.fit(x, binned.labels), x)
    made = to_nir(liquid, projection, n_steps=binned.n_steps)
    assert [text for text in made.dropped if what in text] == list(made.dropped)
    assert "readout" not in made.graph.nodes
    assert made.graph.metadata["output"] == "spikes"


def test_a_leak_below_rounding_is_refused() -> None:
    with pytest.raises(OutOfRangeError, match=r"nothing leaks in a step of 0\.001 s"):
        to_nir(liquid_of(config_of("dense", beta=None, tau_mem=1e6)), n_steps=9)


def test_a_graph_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.export.nir.MAX_WEIGHTS", 2000)
    with pytest.raises(OutOfRangeError, match=r"2,352 weights in one matrix.*at most 2,000.*'mem'"):
        to_nir(liquid_of(config_of("dense")), n_steps=9)


def test_no_leak_at_all_is_warned_of() -> None:
    assert any(
        "refuses beta = 0" in text
        for text in to_nir(liquid_of(config_of("dense", beta=0.0)), n_steps=9).warnings
    )


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "nir":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'neurosim-codesign\[export\]'"):
        to_nir(liquid_of(config_of("dense")), n_steps=9)

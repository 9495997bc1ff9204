"""The engines: snnTorch and Brian2 fire exactly the spikes of our kernel."""

import gc
import itertools
import random
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
import snntorch
from numpy.testing import assert_allclose, assert_array_equal
from test_reservoir_kernel import DT, TOPOLOGIES, config_of, liquid_of, recordings

from neurosim.errors import DataNotFoundError
from neurosim.events.binning import BinningConfig, bin_events
from neurosim.events.datasets import load
from neurosim.events.types import Binned
from neurosim.reservoir import brian2_engine
from neurosim.reservoir.brian2_engine import b2
from neurosim.reservoir.config import ReservoirConfig, StatesConfig
from neurosim.reservoir.liquid import Liquid, build_liquid
from neurosim.reservoir.states import States, simulate
from neurosim.reservoir.wiring import wire

PEERS = ("snntorch", "brian2")
RESETS = ("zero", "subtract")
OPTIONS = tuple(itertools.product(RESETS, (0, 3), (None, 4 * DT), (False, True), (False, True)))


@pytest.fixture(scope="module", autouse=True)
def _little_overhead() -> Iterator[None]:
    """What would take longer than these short runs.

    Brian2 collects garbage before each, and numba's kernels leave PyTorch, which shares their OpenMP, with
    their number of threads, which wait for one another after every operation.
    """
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    gc.freeze()
    yield
    gc.unfreeze()
    numba.set_num_threads(threads)


def assert_same(liquid: Liquid, binned: Binned, engine: str, **options: Any) -> States:
    ours = simulate(liquid, binned, spikes=True, **options)
    theirs = simulate(liquid, binned, spikes=True, engine=engine, **options)
    assert ours.spikes is not None
    assert theirs.spikes is not None
    assert 0.005 < ours.spikes.mean() < 0.9
    assert np.count_nonzero(ours.spikes != theirs.spikes) == 0
    assert_array_equal(theirs.n_spikes, ours.n_spikes)
    assert_array_equal(theirs.x, ours.x)
    assert theirs.x.dtype == ours.x.dtype
    return theirs


# ---- the same spikes -------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", PEERS)
@pytest.mark.parametrize("seed", range(len(OPTIONS)))
def test_every_engine_fires_the_same_spikes(seed: int, engine: str) -> None:
    reset, n_refractory, tau_syn, adc, noisy = OPTIONS[seed]
    draw = random.Random(seed)
    topology = draw.choice(list(TOPOLOGIES))
    config = config_of(
        topology,
        weights=draw.choice(["int8", "int16"]),
        frac_excitatory=draw.choice([None, 0.7]) if topology != "shared" else None,
        reset=reset,
        t_refractory=n_refractory * DT,
        tau_syn=tau_syn,
    )
    liquid = liquid_of(config, adc=adc, noisy=noisy, bent=adc and seed % 2 == 0, seed=seed)
    spread = np.random.default_rng(seed).uniform(0.3, 1.5, liquid.wiring.n_neurons)
    liquid = liquid.with_thresholds(liquid.threshold * spread)
    if adc:  # an even number of lsb meets currents in the middle of two levels
        liquid = replace(liquid, adc_step=2.0 * draw.randint(2, 20))
    binned = recordings(max_count=draw.choice([1, 3]))
    assert_same(liquid, binned, engine, noise_key=2**63 - 1 - seed, first_recording=seed)


@pytest.fixture(scope="module")
def digits(request: pytest.FixtureRequest) -> Binned:
    """64 recordings of N-MNIST; where it is not there, simulated ones."""
    try:
        events = load("nmnist", "train", data_dir=request.getfixturevalue("real_data"), n=64)
    except (pytest.skip.Exception, DataNotFoundError):
        events = load("mnist-saccades", "test", n=64)
    return bin_events(events, BinningConfig(n_steps=50, duration=0.31, crop=16, polarity="off"))


@pytest.mark.parametrize("engine", PEERS)
@pytest.mark.parametrize("t_refractory", [0.0, 0.013])
@pytest.mark.parametrize("reset", RESETS)
def test_the_papers_liquid_fires_the_same_spikes(
    digits: Binned, reset: str, t_refractory: float, engine: str
) -> None:
    config = ReservoirConfig(beta=0.9, reset=reset, t_refractory=t_refractory)
    wiring = wire(config, digits.sensor, seed=0)
    dg = np.random.default_rng(0).normal(0, 6.6e-6, wiring.shape).astype(np.float32)
    liquid = build_liquid(config, wiring, dg, dt=digits.dt, seed=0)
    states = assert_same(liquid, digits, engine)
    assert len(states.n_spikes) == 64
    assert states.n_spikes.sum() > 20_000


@pytest.mark.parametrize("engine", PEERS)
def test_membrane_left_above_the_threshold_fires_again(engine: str) -> None:
    """After a reset by subtraction it is not taken for one that has yet to be reset."""
    liquid = liquid_of(config_of("dense", reset="subtract"))
    states = assert_same(liquid.with_thresholds(liquid.threshold / 4), recordings(), engine)
    assert states.spikes is not None
    assert (states.spikes[:, 1:] & states.spikes[:, :-1]).mean() > 0.3


@pytest.mark.parametrize("engine", PEERS)
def test_no_spike_leaks_into_the_next_recording(engine: str) -> None:
    liquid, binned = liquid_of(config_of("dense", tau_syn=5 * DT), noisy=True), recordings()
    whole = simulate(liquid, binned, engine=engine, noise_key=4, spikes=True).spikes
    assert whole is not None
    rest = simulate(liquid, binned[1:], engine=engine, noise_key=4, first_recording=1, spikes=True).spikes
    assert_array_equal(rest, whole[1:])


@pytest.mark.parametrize("engine", PEERS)
@pytest.mark.parametrize("kind", ["count", "rate", "trace"])
def test_states_are_the_same(kind: str, engine: str) -> None:
    config = config_of("shared", states=StatesConfig(kind=kind, n_segments=3, pool=2))
    liquid, binned = liquid_of(config), recordings()
    states = assert_same(liquid, binned, engine)
    without = simulate(liquid, binned, engine=engine)
    assert without.spikes is None
    assert_array_equal(without.x, states.x)


@pytest.mark.parametrize("engine", PEERS)
def test_float_weights_fire_nearly_the_same_spikes(engine: str) -> None:
    """Their sums depend on the order, so that here a membrane near its threshold may go either way."""
    liquid, binned = liquid_of(config_of("dense", weights="float32")), recordings()
    ours, theirs = simulate(liquid, binned), simulate(liquid, binned, engine=engine)
    assert_allclose(theirs.n_spikes, ours.n_spikes, rtol=0.1)


# ---- manners ---------------------------------------------------------------------------------------


@pytest.fixture
def quiet_brian2(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fails where Brian2 writes anything to the terminal."""
    yield
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("quiet_brian2")
def test_brian2_keeps_its_settings_to_itself() -> None:
    before = dict(b2.prefs), b2.defaultclock.dt_, warnings.filters[:], warnings.showwarning
    simulate(liquid_of(config_of("dense")), recordings(), engine="brian2")
    assert (dict(b2.prefs), b2.defaultclock.dt_, warnings.filters, warnings.showwarning) == before
    assert "brian2" not in sys.excepthook.__module__


def test_interrupting_brian2_gives_no_half_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brian2_engine, "fill_normals", lambda *_: b2.stop())
    with pytest.raises(KeyboardInterrupt):
        simulate(liquid_of(config_of("dense"), noisy=True), recordings(), engine="brian2")


def test_snntorch_keeps_no_neuron_alive() -> None:
    before = len(snntorch.SpikingNeuron.instances)
    simulate(liquid_of(config_of("dense", tau_syn=DT)), recordings(), engine="snntorch")
    assert len(snntorch.SpikingNeuron.instances) == before

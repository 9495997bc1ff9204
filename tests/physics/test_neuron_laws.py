"""The laws that neurons and their homeostasis obey, against closed forms and on aged chips."""

import math

import numpy as np
import pytest

from neurosim.array import ArrayConfig
from neurosim.device import DeviceConfig
from neurosim.events.types import Binned, Sensor
from neurosim.reservoir.chip import Chip, make_chip
from neurosim.reservoir.config import HomeostasisConfig, ReservoirConfig
from neurosim.reservoir.liquid import build_liquid
from neurosim.reservoir.states import simulate
from neurosim.reservoir.wiring import wire

DT = 1e-3


def constant_input(n_steps: int) -> Binned:
    """One recording of one channel that is active in every step."""
    steps = np.arange(n_steps + 1)[None]
    return Binned(np.zeros(n_steps, np.uint16), steps, np.zeros(1, np.int64), Sensor(1), DT, ("a",), 1)


def spike_times(
    tau_mem: float, current: float, threshold: float, n_steps: int, **options: object
) -> list[int]:
    """Steps in which one neuron fires under a constant current per step."""
    config = ReservoirConfig.model_validate(
        {
            "topology": "local",
            "patch": 1,
            "n_neurons": 1,
            "tau_mem": tau_mem,
            "v_threshold": threshold,
            **options,
        }
    )
    wiring = wire(config, Sensor(1), seed=0)
    dg = np.full(wiring.shape, current / config.input_scaling, np.float32)
    spikes = simulate(
        build_liquid(config, wiring, dg, dt=DT, seed=0), constant_input(n_steps), spikes=True
    ).spikes
    assert spikes is not None
    return np.flatnonzero(spikes[0, :, 0]).tolist()


@pytest.mark.parametrize("tau_mem", [5e-3, 20e-3, 100e-3])
@pytest.mark.parametrize("current", [0.31, 0.7, 2.3])
def test_first_spike_comes_when_the_exact_membrane_crosses_the_threshold(
    tau_mem: float, current: float
) -> None:
    """u after k steps of a constant current I is I (1 - beta^k) / (1 - beta), beta = exp(-dt / tau)."""
    beta, threshold = math.exp(-DT / tau_mem), 1.0
    k = math.log(1 - threshold * (1 - beta) / current) / math.log(beta)
    assert abs(k - round(k)) > 1e-4, "a tie would be decided by rounding"
    interval = math.floor(k) + 1  # the first whole step beyond the crossing
    fired = spike_times(tau_mem, current, threshold, 400)
    assert fired == list(range(interval - 1, 400, interval))


def test_subthreshold_current_never_fires() -> None:
    """The membrane saturates at I / (1 - beta)."""
    beta = math.exp(-DT / 20e-3)
    assert spike_times(20e-3, 0.999 * (1 - beta), 1.0, 2000) == []
    assert spike_times(20e-3, 1.001 * (1 - beta), 1.0, 2000) != []


def test_refractory_period_adds_to_the_interval() -> None:
    """The membrane is frozen for t_refractory after a spike, so that each interval grows by it."""
    free, frozen = (np.diff(spike_times(20e-3, 0.31, 1.0, 400, t_refractory=t)) for t in (0.0, 3 * DT))
    assert set(frozen) == {free[0] + 3}


def test_perfect_integrator_with_subtraction_keeps_the_charge() -> None:
    """Without leak, resets by subtraction give I / threshold spikes per step in the long run."""
    fired = spike_times(1e9, 0.37, 1.0, 1000, reset="subtract")
    assert abs(len(fired) - 370) <= 1


def recordings(n: int, n_steps: int = 40) -> Binned:
    """Random channels of a 12 x 12 sensor, eight active in every step."""
    draw = np.random.default_rng(0)
    channels = draw.integers(0, 144, n * n_steps * 8).astype(np.uint16)
    ptr = np.arange(n)[:, None] * n_steps * 8 + np.arange(n_steps + 1) * 8
    return Binned(channels, ptr, np.zeros(n, np.int64), Sensor(12, 12), 6e-3, ("a",), 8)


def chip(device: DeviceConfig, n_neurons: int = 100) -> Chip:
    config = ReservoirConfig(
        topology="dense", n_neurons=n_neurons, beta=0.8, input_scaling=2e5, recurrent_scaling=2e4,
        homeostasis=HomeostasisConfig(rate_target=10.0, n_iterations=25),
    )  # fmt: skip
    return make_chip(config, device, ArrayConfig(), sensor=Sensor(12, 12), dt=6e-3, seed=3)


def test_homeostasis_brings_a_drifted_chip_back_to_its_rate() -> None:
    """Phase-change cells lose conductance as t^-nu; thresholds set on the fresh chip are then too high."""
    seen = recordings(60)
    fresh = chip(DeviceConfig(card="pcm_nandakumar2019")).calibrated(seen)
    aged = chip(DeviceConfig(card="pcm_nandakumar2019", t_after_programming=30 * 86400.0))
    # each chip's thresholds count in its own lsb
    kept = fresh.liquid.threshold * (fresh.liquid.weights.lsb / aged.liquid.weights.lsb)
    frozen = simulate(aged.liquid.with_thresholds(kept), seen).n_spikes.mean()
    adapted = simulate(aged.calibrated(seen).liquid, seen).n_spikes.mean()
    wanted = simulate(fresh.liquid, seen).n_spikes.mean()
    assert frozen < 0.8 * wanted
    assert adapted == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize("v_forming", [3.25, 3.433, 4.0])
def test_homeostasis_reaches_one_rate_however_well_the_array_formed(v_forming: float) -> None:
    """From 5 % to all of the cells formed, the calibrated liquid fires at the target."""
    formed = chip(DeviceConfig(v_forming=v_forming)).calibrated(recordings(60))
    assert formed.firing_rates(recordings(60)).mean() == pytest.approx(10.0, rel=0.15)

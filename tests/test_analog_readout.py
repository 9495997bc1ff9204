"""A readout in memory: equals the digital one on ideal hardware, and loses what its hardware lacks."""

import numpy as np
import pytest
from sklearn.base import clone

from neurosim.array.mvm import MvmConfig
from neurosim.cards import load_macro
from neurosim.device import DeviceConfig
from neurosim.experiment import Experiment, load_experiment, run
from neurosim.readout import READOUTS, ReadoutConfig, make_readout
from neurosim.readout.analog import AnalogReadout
from neurosim.readout.base import BLOCK

IDEAL = DeviceConfig(card="ideal")
EXACT = MvmConfig(dac_bits=0, adc_bits=0)


def counts(n: int, *, seed: int):
    """Spike counts, Poisson with log-normal rates of every class, and their labels 10, 11, 12."""
    rates = 4 * np.exp(0.3 * np.random.default_rng(0).standard_normal((3, 20)))
    random = np.random.default_rng(seed)
    y = random.integers(3, size=n)
    return random.poisson(rates[y]).astype(np.uint8), y + 10


def readouts(kind: str, config: MvmConfig, device: DeviceConfig = IDEAL, **options: object):
    """The same readout, digital and analog, trained on the same states."""
    size = {"hidden": 32} if kind == "mlp" else {}
    digital = make_readout(ReadoutConfig(kind=kind, **size), seed=0)
    analog = AnalogReadout(digital, config, device, load_macro("ideal"), **options)
    part, validation = counts(600, seed=1), counts(200, seed=2)
    return (
        make_readout(ReadoutConfig(kind=kind, **size), seed=0).fit(*part, validation=validation),
        analog.fit(*part, validation=validation),
    )


@pytest.mark.parametrize("kind", READOUTS)
def test_ideal_hardware_answers_like_software(kind):
    digital, analog = readouts(kind, EXACT)
    # inside the range of the calibrating inputs: what lies beyond is clipped
    x = counts(200, seed=2)[0]
    assert np.allclose(analog.decision_function(x), digital.decision_function(x), atol=1e-4)
    assert np.array_equal(analog.predict(x), digital.predict(x))
    assert analog.validation_accuracy_ == digital.validation_accuracy_
    assert analog.chosen_ == digital.chosen_


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_few_bits_and_noise_cost_accuracy(kind):
    test = counts(2000, seed=3)
    digital, fine = readouts(kind, MvmConfig(dac_bits=8, adc_bits=8))
    coarse = readouts(kind, MvmConfig(dac_bits=8, adc_bits=2))[1]
    noisy = readouts(kind, MvmConfig(dac_bits=8, adc_bits=8), DeviceConfig(card="ideal", sigma_prog=0.8))[1]
    assert fine.score(*test) == pytest.approx(digital.score(*test), abs=0.015)
    assert max(coarse.score(*test), noisy.score(*test)) < digital.score(*test) - 0.02


def test_full_scales_come_from_validation_alone():
    config = MvmConfig(dac_bits=8, adc_bits=8, adc_clip=0.01)
    part, validation = counts(600, seed=1), counts(200, seed=2)
    digital = make_readout(ReadoutConfig(kind="ridge"), seed=0)
    analog = AnalogReadout(digital, config, IDEAL, load_macro("ideal")).fit(*part, validation=validation)
    matrix = analog.matrices_[0]
    assert matrix.dac_full_scale == np.abs(analog.scaling_(validation[0])).max()
    assert analog.chosen_["adc_clipped"] == matrix.adc_clipped == pytest.approx(0.01, abs=2e-3)
    analog.predict(counts(100, seed=3)[0] * 20)
    assert analog.matrices_[0] is matrix


def test_every_recording_draws_its_own_noise_and_answers_repeat():
    noisy = DeviceConfig(card="ideal", sigma_read=0.5)
    analog = readouts("ridge", EXACT, noisy)[1]
    x = np.repeat(counts(1, seed=3)[0], BLOCK + 10, axis=0)
    scores = analog.decision_function(x)
    assert len(np.unique(scores, axis=0)) == len(x)
    assert np.array_equal(analog.decision_function(x), scores)


def test_chips_differ():
    device = DeviceConfig(card="ideal", sigma_prog=0.1)
    first, again, other = (
        readouts("ridge", EXACT, device, name=name)[1] for name in ("chip0", "chip0", "chip1")
    )
    x = counts(50, seed=3)[0]
    assert np.array_equal(first.decision_function(x), again.decision_function(x))
    assert not np.array_equal(first.decision_function(x), other.decision_function(x))
    copy = clone(first).fit(*counts(600, seed=1), validation=counts(200, seed=2))
    assert np.array_equal(copy.decision_function(x), first.decision_function(x))


def test_an_experiment_switches_it_on():
    overrides = [
        "data.train.n=60",
        "data.validation.n=30",
        "data.test.n=30",
        "chips=1",
        "reservoir.n_patches=4",
    ]
    digital = load_experiment("demo", overrides)
    assert digital.readout.analog is None
    analog = load_experiment("demo", [*overrides, "readout.analog.adc_bits=6"])
    assert analog.readout.analog == MvmConfig(adc_bits=6)
    assert load_experiment("demo", [*overrides, "readout.analog=false"]) == digital
    assert isinstance(analog, Experiment)
    result, reference = run(analog), run(digital)
    assert result.fingerprint != reference.fingerprint
    assert "adc_clipped" not in reference.chips[0].readout
    chosen = dict(result.chips[0].readout)
    assert 0 < chosen.pop("adc_clipped") < 0.01
    assert chosen == reference.chips[0].readout
    assert result.cells == reference.cells + 2 * 10 * 1200 // 4
    assert result.tiles == reference.tiles + 1
    assert "projection_mac" not in result.energy
    for cost, digital_cost in (
        (result.energy, reference.energy),
        (result.cost[0].area, reference.cost[0].area),
    ):
        assert cost["projection_memory"] > 0
        assert cost["adc"] == digital_cost["adc"]

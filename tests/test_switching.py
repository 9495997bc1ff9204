"""The driver of switching models: kernels against obvious loops, shapes, errors, threads."""

import doctest
from dataclasses import replace
from typing import Any

import naive
import numba
import numpy as np
import pytest

from neurosim import rng
from neurosim.errors import OutOfRangeError, ShapeError
from neurosim.switching import drive as switching
from neurosim.switching.drive import (
    apply_pulses,
    apply_waveform,
    conductance,
    current,
    iv_loop,
    set_time,
)
from neurosim.switching.jart import JartVcm1b, vary
from neurosim.switching.stanford import StanfordPku
from neurosim.switching.vteam import Vteam

VTEAM, STANFORD, JART = Vteam(), StanfordPku(), JartVcm1b()
MODELS: list[tuple[Any, Any, float]] = [
    (VTEAM, naive.vteam, 1e-9),
    (STANFORD, naive.stanford, 0.9e-9),
    (JART, naive.jart, 3e25),
]


@pytest.mark.parametrize(("model", "law", "state"), MODELS)
@pytest.mark.parametrize("r_series", [0.0, 3e3])
def test_current_is_the_twins(model: Any, law: Any, state: float, r_series: float) -> None:
    model = replace(model, r_series=r_series)
    low, high = model.limits
    for x in (low, state, high):
        for v in (-1.3, -0.4, -0.05, 0.05, 0.2, 0.6, 1.4):
            if x > 0:
                assert current(model, x, v) == pytest.approx(law(model, x, v)[1], rel=1e-8)
        assert current(model, x, 0.0) == 0


@pytest.mark.parametrize(
    ("model", "law", "state", "v", "dt"),
    [
        (VTEAM, naive.vteam, 1e-9, [0.3, 0.01, -0.4, -0.1], [5e-9, 1e-6, 2e-12, 1.0]),
        (replace(VTEAM, r_series=100.0), naive.vteam, 1e-9, [0.3, -0.6], [5e-9, 1e-11]),
        (STANFORD, naive.stanford, 1.3e-9, [1.3, 1.0, -1.4], [3e-8, 1e-6, 2e-8]),
        (replace(STANFORD, r_series=500.0), naive.stanford, 1.3e-9, [1.6, -1.8], [3e-8, 1e-7]),
        (JART, naive.jart, 2e24, [-0.45, -0.7, 0.8, 1.3], [1e-3, 1e-7, 1e-6, 1e-7]),
        (replace(JART, r_series=2e3), naive.jart, 5e24, [-0.8, 1.3], [1e-6, 1e-6]),
    ],
)
def test_waveform_is_the_twins(model: Any, law: Any, state: float, v: list[float], dt: list[float]) -> None:
    trace = apply_waveform(model, state, v, dt)
    twin = naive.switch(law, model, state, np.array(v), np.array(dt), log=law is naive.jart)
    for k, (x, i, energy) in enumerate(twin):
        assert trace.state[k] == pytest.approx(x, rel=2e-4)
        assert trace.current[k] == pytest.approx(i, rel=2e-4)
        assert trace.energy[k] == pytest.approx(energy, rel=1e-3)


def test_noisy_path_is_the_twins() -> None:
    key = rng.key(3, "test")
    trace = apply_pulses(STANFORD, np.full(3, 1e-9), 1.1, 2e-8, key=key)
    for cell in range(3):
        twin = naive.wander(naive.stanford, STANFORD, 1e-9, 1.1, 2e-8, key, cell << 32, STANFORD.g0)
        assert trace.state[0, cell] == pytest.approx(twin, rel=1e-9)


def test_noise_is_off_without_a_key() -> None:
    quiet = replace(STANFORD, diffusion=0.0)
    pulses = [apply_pulses(m, 1e-9, 1.3, 1e-8).state for m in (STANFORD, quiet)]
    assert pulses[0] == pulses[1]
    assert apply_pulses(STANFORD, 1e-9, 1.3, 1e-8, key=1).state != pulses[0]


@pytest.mark.parametrize(("model", "law", "state"), MODELS)
def test_any_number_of_threads_gives_the_same_bits(model: Any, law: Any, state: float) -> None:
    draw = np.random.default_rng(1)
    states = np.full(301, state) * draw.uniform(0.8, 1.2, 301)
    v = draw.uniform(-1.2, 1.2, (3, 301))
    before = numba.get_num_threads()
    traces = []
    for threads in (1, before):
        numba.set_num_threads(threads)
        traces.append(apply_waveform(model, states, v, 1e-8, key=5))
    for name in ("state", "current", "energy"):
        assert np.array_equal(getattr(traces[0], name), getattr(traces[1], name))


def test_cells_are_independent_of_their_neighbours() -> None:
    model = vary(JART, (4, 5), rng.stream(1, "test"))
    start = np.full((4, 5), 3e24)
    v = np.random.default_rng(2).uniform(-0.9, 0.9, (4, 5))
    together = apply_pulses(model, start, v, 1e-6)
    assert together.state.shape == (1, 4, 5)
    alone = JartVcm1b(*(getattr(model, f)[2, 3] for f in ("n_min", "n_max", "l_disc", "radius")))
    assert apply_pulses(alone, 3e24, v[2, 3], 1e-6).state[0] == together.state[0, 2, 3]
    assert conductance(model, start, 0.2).shape == (4, 5)


def test_pulses_are_a_waveform_and_may_be_split() -> None:
    train = apply_pulses(JART, [2e27, 1e26], 0.9, [1e-6, 2e-6], n_pulses=3)
    wave = apply_waveform(JART, 1e26, [0.9, 0.9, 0.9], 2e-6)
    assert np.array_equal(train.state[:, 1], wave.state)
    once = apply_pulses(JART, 1e26, 0.9, 6e-6)
    assert wave.state[-1] == pytest.approx(once.state[0], rel=1e-4)
    assert wave.energy.sum() == pytest.approx(once.energy[0], rel=1e-4)


def test_nothing_happens_without_a_voltage() -> None:
    for model, _, state in MODELS:
        trace = apply_pulses(model, state, 0.0, 1e6)
        assert trace.state[0] == pytest.approx(state, rel=1e-15)
        assert (trace.current[0], trace.energy[0]) == (0, 0)


def test_set_time_is_when_a_pulse_gets_there() -> None:
    for model, target, v in ((VTEAM, 2e-9, 0.1), (STANFORD, 0.5e-9, 1.4), (JART, 1e26, -0.6)):
        start = {VTEAM: 1e-9, STANFORD: 1.2e-9, JART: 4e24}[model]
        t = set_time(model, start, v, target)
        reached = apply_pulses(model, start, v, t)
        assert model.encode(reached.state[0]) == pytest.approx(model.encode(np.array(target)), abs=1e-3)
    assert set_time(JART, 4e24, [0.6, 0.0], 1e26).tolist() == [np.inf, np.inf]  # RESET leads away
    assert set_time(VTEAM, 1e-9, 0.1, 1e-9) == 0


def test_loop_visits_both_peaks() -> None:
    v, trace = iv_loop(VTEAM, 3e-9, -0.5, 0.4, ramp=1e9, n_points=50)
    assert (v.min(), v.max(), v[99], v[-1]) == (-0.5, 0.4, 0.0, 0.0)
    assert trace.current.shape == v.shape


def test_spread_of_the_cells() -> None:
    cells = vary(JART, (20000,), rng.stream(0, "test"))
    # cut off at 2 sigma on one side a normal number keeps 0.9415 of its deviation, on both sides 0.8796
    for name, sigma, low, high in (("n_min", 0.25 * 0.9415, 0.5, 31.25), ("n_max", 0.05 * 0.8796, 0.9, 1.1)):
        share = np.asarray(getattr(cells, name)) / getattr(JART, name)
        assert low <= share.min() < share.max() <= high
        assert share.std() == pytest.approx(sigma, rel=0.02)
    assert np.corrcoef(np.asarray(cells.n_min), np.asarray(cells.radius))[0, 1] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("bad", [5e22, 3e27, np.nan])
def test_state_outside_the_limits(bad: float) -> None:
    with pytest.raises(OutOfRangeError, match=r"of cell 1 is outside 8e\+23 .. 2e\+27, .* JartVcm1b; change"):
        apply_pulses(JART, [1e25, bad], -0.5, 1e-6)


def test_wrong_arguments() -> None:
    with pytest.raises(OutOfRangeError, match=r"a duration of 0 s is not positive; leave"):
        apply_pulses(VTEAM, 1e-9, 1.0, 0.0)
    with pytest.raises(OutOfRangeError, match=r"v_read is 0 V, .* read at e.g. 0.1 V"):
        conductance(VTEAM, 1e-9, 0.0)
    with pytest.raises(ShapeError, match=r"amplitude \(3,\) is neither a number nor one per cell \(2,\)"):
        apply_pulses(VTEAM, [1e-9, 2e-9], [1.0, 1.0, 1.0], 1e-9)
    with pytest.raises(ShapeError, match=r"v \(4, 3\) and dt \(1,\) do not fit states \(2,\)"):
        apply_waveform(VTEAM, [1e-9, 2e-9], np.ones((4, 3)), 1e-9)
    with pytest.raises(ShapeError, match=r"r_on \(3,\) is neither a number nor one per cell \(2,\)"):
        apply_pulses(Vteam(r_on=np.full(3, 50.0)), [1e-9, 2e-9], 1.0, 1e-9)


def test_example_runs() -> None:
    assert doctest.testmod(switching) == doctest.TestResults(failed=0, attempted=8)

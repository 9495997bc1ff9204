"""Programming by pulses against closed forms and against the sweeps that the card was fitted to."""

import math

import numpy as np
import pytest
from pulsed import IDENTICAL, STAIRS, card
from scipy import special, stats

from neurosim.cards import load_device
from neurosim.device import WriteVerifyConfig, blind_train, open_loop, write_verify

LOW, HIGH, WINDOW = 10e-6, 110e-6, 100e-6
RADAR = load_device("rram_radar_pulses2021")


def test_identical_pulses_approach_their_bound_geometrically() -> None:
    n = 30
    g = open_loop(card(IDENTICAL, IDENTICAL | {"step": 0.2}), [1.5] * n + [-1.5] * n, 3, seed=1, name="x")
    top = HIGH - WINDOW * 0.9**n
    up = HIGH - WINDOW * 0.9 ** np.arange(n + 1)
    down = LOW + (top - LOW) * 0.8 ** np.arange(n + 1)
    np.testing.assert_allclose(g, np.tile(np.r_[up, down[1:]][:, None], 3), rtol=1e-6)


def test_one_cell_moves_like_the_soft_bounds_device_of_aihwkit() -> None:
    """Constants of ReRamArrayOMPresetDevice, w = -1 .. 1 on the window: +-dw (1 -+ w) + dw s xi."""
    dw, std, n = 0.0949, 0.4158, 20_000
    law = IDENTICAL | {"step": dw, "sigma_c2c": dw * std / 2}
    g = open_loop(card(law), [1.5] * 11 + [-1.5] * 11, n, seed=1, name="x")
    w = -1 + 2 * (g.astype(np.float64) - LOW) / WINDOW
    for k, sign in (
        (6, 1),
        (8, 1),
        (10, 1),
        (14, -1),
        (16, -1),
        (18, -1),
    ):  # far from the bounds: no clipping
        change = w[k + 1] - w[k] - sign * dw * (1 - sign * w[k])
        assert change.mean() == pytest.approx(0, abs=4 * dw * std / math.sqrt(n))
        assert change.std() == pytest.approx(dw * std, rel=4 / math.sqrt(2 * n))


def test_devices_differ_by_a_lognormal_strength() -> None:
    g = open_loop(card(IDENTICAL, sigma_step=0.5), [1.5], 20_000, seed=1, name="x")[1]
    s = np.log((HIGH - g) / WINDOW) / math.log(0.9)
    assert stats.kstest(np.log(s) / 0.5, "norm").pvalue > 1e-4


def test_a_staircase_follows_the_limit_of_its_amplitude() -> None:
    v = np.arange(0.8, 2.0, 0.05)
    g = open_loop(card(STAIRS), np.r_[v, -v], 1, seed=1, name="x")[1:, 0]
    left = np.exp(-np.maximum(v - 1.0, 0) / 0.25)
    np.testing.assert_allclose(g[: len(v)], HIGH - WINDOW * left, rtol=1e-6)
    after = np.minimum(g[len(v) - 1], LOW + WINDOW * left)
    np.testing.assert_allclose(g[len(v) :], after, rtol=1e-6)


def test_a_longer_pulse_acts_like_a_higher_one() -> None:
    """Exponential in the amplitude and a power of the duration: V counts as V + v_scale m ln(w/width)."""
    device = card(STAIRS, width_exponent=1.5, width_min=1e-7, width_max=1e-5)
    v = np.linspace(1.3, 1.8, 6)
    longer = open_loop(device, v, 1, seed=1, name="x", width=2e-6)
    higher = open_loop(device, v + 0.25 * 1.5 * math.log(2), 1, seed=1, name="x")
    np.testing.assert_allclose(longer, higher, rtol=1e-6)


def test_blind_pulses_bring_the_median_cell_to_its_target() -> None:
    target = np.linspace(20e-6, 100e-6, 50)
    stairs = open_loop(card(STAIRS), blind_train(card(STAIRS), target), 50, seed=1, name="x")
    np.testing.assert_allclose(stairs[-1], target, rtol=1e-5)
    train = blind_train(card(IDENTICAL), target)
    same = open_loop(card(IDENTICAL), train, 50, seed=1, name="x")[-1]
    assert (np.abs(same - target) <= 0.06 * (HIGH - target)).all()  # half a pulse
    n = np.log((HIGH - target) / WINDOW) / math.log(0.9)
    np.testing.assert_array_equal((train > 0).sum(axis=0), np.rint(n))


def test_coarse_pulses_leave_an_error_uniform_in_the_band() -> None:
    """Landing anywhere: sigma = d/sqrt 3; read noise smears the edges: sqrt(d^2/3 + sigma_n^2)."""
    d, n = 1e-6, 20_000
    device = card(IDENTICAL | {"step": 0.3, "sigma_c2c": 0.2})
    target = np.full(n, 60e-6)
    scheme = WriteVerifyConfig(tolerance=d, max_pulses=5000, max_reversals=5000)
    error = write_verify(device, target, scheme, seed=1, name="x").error
    assert stats.kstest(error / d, "uniform", args=(-1, 2)).pvalue > 1e-4
    assert error.std(dtype=np.float64) == pytest.approx(d / math.sqrt(3), rel=4 * 0.45 / math.sqrt(n))
    noisy = scheme.model_copy(update={"sigma_read": 0.5e-6 / 60e-6})
    error = write_verify(device, target, noisy, seed=1, name="x").error
    assert error.std(dtype=np.float64) == pytest.approx(math.hypot(d / math.sqrt(3), 0.5e-6), rel=0.02)


def test_fine_steps_stop_at_the_near_edge_of_the_band() -> None:
    """From below: error between -d and -d + one step of the conductance, uniform there."""
    d, step, target = 5e-6, 1e-3, np.linspace(59e-6, 61e-6, 5000)
    scheme = WriteVerifyConfig(tolerance=d, v_step=step, max_pulses=5000)
    done = write_verify(card(STAIRS), target, scheme, seed=1, name="x")
    move = (HIGH - target + d) * -math.expm1(-step / 0.25)
    assert ((done.error >= -d * (1 + 1e-5)) & (done.error <= -d + move * 1.01)).all()
    assert done.error.mean() == pytest.approx(-d + move.mean() / 2, abs=0.05 * move.mean())
    assert not done.failed.any()


@pytest.mark.parametrize("step", [0.004, 0.002, 0.001])
def test_the_number_of_pulses_is_the_way_over_the_step(step: float) -> None:
    """The first pulse at v_on moves nothing; then V must rise to where its limit is in the band."""
    target, d = np.linspace(30e-6, 90e-6, 200), 1e-6
    scheme = WriteVerifyConfig(tolerance=d, v_step=step, max_pulses=5000)
    done = write_verify(card(STAIRS), target, scheme, seed=1, name="x")
    way = 0.25 * np.log(WINDOW / (HIGH - target + d))
    assert not done.failed.any()
    np.testing.assert_allclose(done.n_pulses, np.ceil(way / step) + 1, atol=1)  # where rounding decides


def test_cells_whose_bound_is_too_low_fail() -> None:
    """P(failed) = P(high < target - d) = Phi((target - d - g_max)/sigma)."""
    n, d, target, sigma = 20_000, 1e-6, 105e-6, 0.05
    device = card(IDENTICAL | {"step": 0.5, "sigma_c2c": 0.0, "sigma_bound": sigma})
    scheme = WriteVerifyConfig(tolerance=d, max_pulses=400, max_reversals=400)
    done = write_verify(device, np.full(n, target), scheme, seed=1, name="x")
    p = special.ndtr((target - d - HIGH) / (sigma * WINDOW))
    low = done.g < target - d
    assert low.mean() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / n))
    assert done.failed[low].all()


def test_the_card_follows_the_published_sweeps() -> None:
    """Means [uS] of 500 staircases of 0.05 V in the RADAR data, 21 September 2020, at some amplitudes."""
    up, down = {2.1: 179.7, 2.2: 202.0, 2.3: 217.5, 2.4: 227.4}, {0.9: 108.9, 1.1: 64.0, 1.3: 40.5, 2.0: 18.0}
    v = np.round(np.arange(1.8, 2.41, 0.05), 2)
    g = open_loop(RADAR, v, 5000, seed=1, name="x")[1:].mean(axis=1, dtype=np.float64)
    model = [1e6 * g[v == volt].item() for volt in up]
    np.testing.assert_allclose(model, list(up.values()), atol=1.5)
    v = np.round(np.arange(0.6, 2.01, 0.05), 2)
    g = open_loop(RADAR, np.r_[2.06, -v], 5000, seed=1, name="x")[2:].mean(axis=1, dtype=np.float64)
    model = [1e6 * g[v == volt].item() for volt in down]
    np.testing.assert_allclose(model, list(down.values()), atol=8)

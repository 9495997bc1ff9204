"""Pulses and write-verify: kernels, bookkeeping, refusals, and how make_cells uses them."""

import math
from collections.abc import Callable

import naive
import numba
import numpy as np
import pytest
from pulsed import IDENTICAL, STAIRS, card
from pydantic import ValidationError

from neurosim import rng
from neurosim.cards import load_device
from neurosim.device import (
    DeviceConfig,
    WriteVerifyConfig,
    make_cells,
    open_loop,
    programming_curve,
    write_verify,
)
from neurosim.device.pulses import apply_train, pulsed_cells
from neurosim.device.write_verify import Scheme, program_cell, program_cells
from neurosim.errors import ExperimentError, OutOfRangeError, ShapeError

RADAR = load_device("rram_radar_pulses2021")
NOISY = card(
    STAIRS | {"step": 0.6, "sigma_c2c": 0.05, "sigma_bound": 0.03, "sigma_v": 0.05, "v_line": 2.0},
    IDENTICAL | {"sigma_c2c": 0.03, "sigma_bound": 0.03},
    sigma_step=0.4,
    width_exponent=0.7,
    width_min=1e-7,
    width_max=4e-6,
)
SCHEME = Scheme(
    v_start=np.array([1.5, 1.0]),
    v_step=np.array([0.0, 0.05]),
    v_max=np.array([1.5, 1.6]),
    v_line=np.array([0.0, 2.0]),
    width=1e-6,
    width_factor=1.2,
    width_max=4e-6,
    max_pulses=60,
    max_reversals=2,
    reads=2,
    v_read=0.2,
    t_read=1e-7,
)


def targets(n: int) -> np.ndarray:
    return rng.stream(7, "targets").uniform(15e-6, 105e-6, n)


def test_a_train_is_its_naive_twin() -> None:
    cells = pulsed_cells(NOISY, 40, seed=1, name="x")
    train = rng.stream(2, "train").choice([0.0, 1.1, 1.4, -1.5], (30, 40))
    out = apply_train(5, cells, train, 2e-6)
    np.testing.assert_allclose(out, naive.pulse_train(5, cells, train, 2e-6), rtol=1e-6)


def test_write_verify_is_its_naive_twin_and_its_energy_that_of_its_pulses() -> None:
    n, sigma, band = 60, 0.5e-6, 2e-6
    cells, target = pulsed_cells(NOISY, n, seed=1, name="x"), targets(n)
    g = cells.bounds[0].copy()
    results = program_cells(5, cells, SCHEME, target, np.full(n, band), np.full(n, sigma), g)
    assert 0 < results[4].sum() < n  # some fail
    for i in range(n):
        start = cells.bounds[0, i]
        final, failed, trace = naive.program_cell(5, cells, i, SCHEME, target[i], band, sigma, start)
        reads = sum(v == SCHEME.v_read for v, *_ in trace)
        energy = sum(v**2 * t * (before + after) / 2 for v, t, before, after in trace)
        time = sum(t for _, t, *_ in trace)
        expected = (final, len(trace) - reads, reads, energy, time, failed)
        np.testing.assert_allclose((g[i], *(each[i] for each in results)), expected, rtol=1e-9)
        one = program_cell(5, cells, i, SCHEME, target[i], band, sigma, start)
        np.testing.assert_allclose(one, expected, rtol=1e-9)


def test_programming_does_not_depend_on_the_number_of_threads() -> None:
    before, results = numba.get_num_threads(), []
    scheme = WriteVerifyConfig(tolerance=3e-6, sigma_read=0.01)
    try:
        for threads in {1, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(threads)
            done = write_verify(NOISY, targets(500), scheme, seed=1, name="x")
            train = open_loop(NOISY, [1.2, 1.3, -1.5], 500, seed=1, name="x")
            results.append((done.g, done.energy, train))
    finally:
        numba.set_num_threads(before)
    assert all(np.array_equal(a, b) for other in results for a, b in zip(results[0], other, strict=True))


def test_every_cell_ends_in_its_band_or_failed() -> None:
    target = targets(2000).reshape(40, 50)
    scheme = WriteVerifyConfig(tolerance=2e-6, tolerance_relative=0.02)
    done = write_verify(NOISY, target, scheme, seed=1, name="x")
    inside = np.abs(done.error) <= (2e-6 + 0.02 * target) * (1 + 1e-5)
    assert done.g.shape == target.shape
    np.testing.assert_array_equal(done.g - target.astype(np.float32), done.error)
    np.testing.assert_array_equal(inside, ~done.failed)
    np.testing.assert_array_equal(done.n_reads, done.n_pulses + 1)


def test_a_target_out_of_reach_ends_after_the_allowed_tries() -> None:
    slow = card(IDENTICAL | {"step": 1e-6})
    pulses = write_verify(slow, [100e-6], WriteVerifyConfig(tolerance=1e-6, max_pulses=37), seed=1, name="x")
    assert (pulses.n_pulses.item(), pulses.n_reads.item(), pulses.failed.item()) == (37, 38, True)
    jumpy = card(IDENTICAL | {"step": 0.9})
    scheme = WriteVerifyConfig(tolerance=1e-9, max_reversals=3)
    turns = write_verify(jumpy, [60e-6], scheme, seed=1, name="x")
    assert (turns.n_pulses.item(), turns.failed.item()) == (4, True)


def test_a_chip_has_the_same_cells_under_every_procedure() -> None:
    fine, coarse = (
        write_verify(RADAR, [230e-6] * 500, WriteVerifyConfig(tolerance=tolerance), seed=1, name="x")
        for tolerance in (1e-6, 20e-6)
    )
    assert np.corrcoef(fine.n_pulses, coarse.n_pulses)[0, 1] > 0.1
    assert fine.n_pulses.mean() > coarse.n_pulses.mean()


def test_rows_are_as_slow_as_their_slowest_cell() -> None:
    done = write_verify(
        NOISY, targets(60).reshape(6, 10), WriteVerifyConfig(tolerance=5e-6), seed=1, name="x"
    )
    serial, row = done.summary(), done.summary("row")
    assert serial["time"] == pytest.approx(done.n_pulses.sum() * 1e-6)
    assert row["time"] == pytest.approx(done.n_pulses.max(axis=1).sum() * 1e-6)
    assert serial["energy"] == row["energy"] == pytest.approx(done.energy.sum())
    ok = done.error[~done.failed].astype(np.float64)
    assert (serial["error_mean"], serial["error_sigma"]) == pytest.approx((ok.mean(), ok.std()))


def test_a_summary_of_nothing_but_failures_has_no_error() -> None:
    scheme = WriteVerifyConfig(tolerance=1e-9, max_pulses=1)
    summary = write_verify(NOISY, [60e-6] * 3, scheme, seed=1, name="x").summary()
    assert (summary["failed"], summary["error_mean"], summary["error_sigma"]) == (1.0, 0.0, 0.0)


def test_averaging_reads_makes_the_error_smaller() -> None:
    target = np.full(4000, 60e-6)
    device = card(IDENTICAL | {"sigma_c2c": 0.1})

    def spread(reads: int) -> float:
        scheme = WriteVerifyConfig(tolerance=0.2e-6, sigma_read=0.05, reads=reads, max_pulses=2000)
        done = write_verify(device, target, scheme, seed=1, name="x")
        assert (done.n_reads == reads * (done.n_pulses + 1)).all()
        return float(done.error[~done.failed].std(dtype=np.float64))

    assert spread(9) / spread(1) == pytest.approx(1 / 3, rel=0.1)


def test_a_second_pass_corrects_what_relaxed() -> None:
    wan = load_device("rram_wan2022")
    device = wan.model_copy(update={"switching": card(IDENTICAL | {"sigma_c2c": 0.05}).switching})
    target = np.full(3000, 20e-6, np.float32)

    def after_a_day(passes: int) -> float:
        scheme = WriteVerifyConfig(
            tolerance=1e-6, sigma_read=0.0, passes=passes, t_wait=86400.0 if passes > 1 else 0.0
        )
        return float(np.abs(write_verify(device, target, scheme, seed=1, name="x").error).max())

    assert after_a_day(1) <= 1e-6 * (1 + 1e-5)
    assert after_a_day(2) <= 1e-6 * (1 + 1e-5)
    once, twice = (
        write_verify(
            device, target, WriteVerifyConfig(tolerance=1e-6, sigma_read=0.0, **more), seed=1, name="x"
        )
        for more in ({}, {"passes": 2, "t_wait": 86400.0})
    )
    moved = twice.n_reads - once.n_reads > 1  # the second pass found them outside: P(|xi| > 1/sigma)
    sigma = math.sqrt(3.91**2 - 2.02**2 + 1 / 3)  # uS: relaxation from 1 s to 1 day, and the band
    assert moved.mean() == pytest.approx(math.erfc(1 / sigma / math.sqrt(2)), abs=0.04)


def test_longer_pulses_reach_further_up_to_the_longest() -> None:
    device = card(STAIRS, width_exponent=1.0, width_min=1e-7, width_max=3e-6)
    scheme = WriteVerifyConfig(tolerance=1e-6, v_step=0.0, v_set_start=1.2, width_factor=2.0, max_pulses=5)
    done = write_verify(device, [109e-6], scheme, seed=1, name="x")
    assert done.time.item() == pytest.approx((1 + 2 + 3 + 3 + 3) * 1e-6)
    assert done.g.item() == pytest.approx(110e-6 - 100e-6 * math.exp(-0.2 / 0.25) / 3, rel=1e-6)


def test_a_curve_shows_what_a_tolerance_costs() -> None:
    rows = programming_curve(
        RADAR, WriteVerifyConfig(tolerance=1.0), targets(400) * 2, [1e-6, 3e-6, 10e-6], seed=1, name="x"
    )
    assert [row["tolerance"] for row in rows] == [1e-6, 3e-6, 10e-6]
    for cost in ("pulses", "energy", "time", "failed"):
        values = [row[cost] for row in rows]
        assert values == sorted(values, reverse=True)
    assert all(row["yield"] == 1 - row["failed"] for row in rows)


def test_make_cells_programs_by_pulses_instead_of_drawing_an_error() -> None:
    config = DeviceConfig(card=RADAR.name, write_verify=WriteVerifyConfig(tolerance=5e-6))
    cells = make_cells(config, (20, 30), seed=1, name="chip0/pos")
    assert cells.programmed is not None
    assert np.array_equal(cells.g, cells.programmed.g)
    assert cells.formed.all()
    low, high = np.float32(17.4e-6), np.float32(245.3e-6)
    target = low + (high - low) * rng.stream(1, "chip0/pos/target").random((20, 30), np.float32)
    np.testing.assert_allclose(cells.g - cells.programmed.error, target, rtol=1e-5)
    assert make_cells(DeviceConfig(card=RADAR.name), (2, 2), seed=1, name="x").programmed is None


ONE = WriteVerifyConfig(tolerance=1e-6)


def programs(device: object, target: float = 60e-6, **config: float) -> Callable[[], object]:
    return lambda: write_verify(device, [target], ONE.model_copy(update=config), seed=1, name="x")


def makes(name: str) -> Callable[[], object]:
    return lambda: make_cells(DeviceConfig(card=name, write_verify=ONE), (2, 2), seed=1, name="x")


REFUSED = {
    "no switching": (makes("rram_wan2022"), ExperimentError, r"'rram_wan2022' has no \[switching\].*choose"),
    "formed cells": (makes("taox_1t1r_40nm"), ExperimentError, r"'taox_1t1r_40nm' has \[forming\].*remove"),
    "target": (programs(NOISY, 120e-6), OutOfRangeError, r"target 0.00012 S is outside 1e-05 .. 0.00011 S"),
    "no number": (programs(NOISY, math.nan), OutOfRangeError, r"target nan S is outside"),
    "amplitude of SET": (
        programs(card(STAIRS), v_set_max=3.5),
        OutOfRangeError,
        r"amplitude of a SET pulse = 3.5 V is outside 0 .. 3 V, the range of device card 'pulsed'",
    ),
    "amplitude of RESET": (
        programs(card(IDENTICAL), v_reset_start=1.0),
        OutOfRangeError,
        r"amplitude of a RESET pulse = 1 V is outside 1.5 .. 1.5 V",
    ),
    "duration": (
        programs(card(STAIRS), width=2e-6),
        OutOfRangeError,
        r"duration of a pulse = 2e-06 s is outside 1e-06 .. 1e-06 s",
    ),
    "longer durations": (
        programs(card(STAIRS), width_factor=1.5),
        OutOfRangeError,
        r"duration of a pulse = 1.5e-06 s is outside 1e-06 .. 1e-06 s",
    ),
    "step of identical pulses": (
        programs(card(IDENTICAL), v_step=0.1),
        ExperimentError,
        r"v_step = 0.1 V, but the pulses of device card 'pulsed' are identical; remove",
    ),
    "train": (
        lambda: open_loop(card(STAIRS), np.ones((4, 3)), 5, seed=1, name="x"),
        ShapeError,
        r"train of pulses has shape \(4, 3\); give \(n_pulses,\) or \(n_pulses, 5\)",
    ),
    "amplitude of a train": (
        lambda: open_loop(card(STAIRS), [1.0, -3.1], 5, seed=1, name="x"),
        OutOfRangeError,
        r"amplitude of a RESET pulse = 3.1 V",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_card_cannot_back_is_refused(case: str) -> None:
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()


def test_extrapolate_lets_every_range_be_left() -> None:
    scheme = WriteVerifyConfig(tolerance=1e-6, v_set_max=4.0, width=2e-6)
    write_verify(card(STAIRS), [120e-6], scheme, seed=1, name="x", extrapolate=True)
    open_loop(card(STAIRS), [4.0], 2, seed=1, name="x", width=1e-3, extrapolate=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "tolerance: missing; give tolerance"),
        ({"tolerance": 1e-6, "t_wait": 1.0}, "t_wait has no effect with one pass; set passes"),
        ({"tolerance": 1e-6, "width_factor": 0.5}, "width_factor"),
        ({"tolerance": 1e-6, "max_pulses": 0}, "max_pulses"),
    ],
)
def test_a_procedure_that_makes_no_sense_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        WriteVerifyConfig.model_validate(wrong)


def test_a_drawn_error_and_write_verify_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="write_verify takes the place of sigma_d2d and sigma_prog"):
        DeviceConfig(write_verify=ONE, sigma_prog=0.1)


@pytest.mark.parametrize(
    ("up", "section", "message"),
    [
        (IDENTICAL | {"v_on": 1.0}, {}, "give all of v_step, v_max, v_on, v_scale, or none"),
        (STAIRS | {"v_max": 0.5}, {}, "v_start, v_max must be ascending"),
        (STAIRS, {"width_exponent": 1.0}, "width_exponent, width_min and width_max come together"),
        (
            STAIRS,
            {"width_exponent": 1.0, "width_min": 2e-6, "width_max": 1e-6},
            "width_min, width_max must be ascending",
        ),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(
    up: dict[str, float], section: dict[str, float], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        card(up, **section)

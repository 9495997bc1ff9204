"""One cell: what the effects do, which of them are on, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import naive
import numba
import numpy as np
import pytest
from pydantic import ValidationError

from neurosim import rng
from neurosim.cards import load_device
from neurosim.device import (
    Cells,
    DeviceConfig,
    acceleration,
    check_read_voltage,
    chord,
    current,
    drift,
    formed_probability,
    linear_error,
    make_cells,
    program,
    read_noise,
    relax,
    slow_noise,
    slow_steps,
)
from neurosim.device.conductance import form, spread
from neurosim.device.faults import dead_lines, stuck, wear
from neurosim.device.noise import BLOCK, STEPS, ou_steps
from neurosim.errors import CardError, ExperimentError, OutOfRangeError
from neurosim.quantity import Curve, Quantity

SHAPE = (200, 300)


def made(name: str = "chip0/pos", seed: int = 7, **config: object) -> Cells:
    return make_cells(DeviceConfig.model_validate(config), SHAPE, seed=seed, name=name)


@pytest.mark.parametrize(
    "card", ["taox_1t1r_40nm", "rram_milo2021", "rram_wan2022", "pcm_nandakumar2019", "ideal"]
)
def test_cells_of_every_card_are_float32_and_physical(card: str) -> None:
    cells = made(card=card, t_after_programming=1e4)
    for array in (cells.g, cells.sigma_white, cells.sigma_slow):
        assert array.shape == SHAPE
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
        assert (array >= 0).all()
    assert cells.formed.dtype == np.bool_
    assert cells.card.name == card


def test_the_same_seed_and_name_give_the_same_cells_and_others_do_not() -> None:
    cells = made()
    assert np.array_equal(cells.g, made().g)
    for other in (made(seed=8), made(name="chip0/neg")):
        r = np.corrcoef(cells.g.ravel(), other.g.ravel())[0, 1]
        assert abs(r) < 4 / np.sqrt(cells.g.size)


def test_an_ideal_card_has_every_effect_off() -> None:
    cells = made(card="ideal", t_after_programming=1e9)
    window = cells.card.conductance
    assert cells.formed.all()
    assert not cells.sigma_white.any()
    assert not cells.sigma_slow.any()
    assert cells.g.min() >= window.g_min.value
    assert cells.g.max() <= window.g_max.value
    assert np.array_equal(cells.g, made(card="ideal").g)
    target = np.linspace(0, 1e-4, 11, dtype=np.float32)
    assert np.array_equal(program(cells.card, target, seed=1, name="x"), target)


def test_unformed_cells_conduct_g_min_and_formed_ones_more() -> None:
    cells = made()
    low = np.float32(cells.card.conductance.g_min.value)
    assert (cells.g[~cells.formed] == low).all()
    assert (cells.g[cells.formed] > low).all()


def test_a_higher_pulse_forms_the_same_cells_and_more() -> None:
    some, more = made(v_forming=3.4).formed, made(v_forming=3.5).formed
    assert more[some].all()
    assert more.sum() > some.sum()


def test_switching_an_effect_off_leaves_the_others_draws_alone() -> None:
    noisy, quiet = made(card="rram_wan2022", sigma_d2d=0.0), made(card="rram_wan2022", sigma_prog=0.0)
    aged = made(card="rram_wan2022", t_after_programming=86400.0)
    error, relaxed = noisy.g - quiet.g, aged.g - noisy.g
    inside = np.minimum(aged.g, noisy.g) > 0
    assert abs(np.corrcoef(error[inside], relaxed[inside])[0, 1]) < 4 / np.sqrt(inside.sum())
    assert np.array_equal(made().formed, made(sigma_d2d=0.5, sigma_read=0.0, p_stuck=0.1).formed)


LAWS = """
[temperature]
t_ref = { value = 300.0, unit = "K", where = "a test", status = "assumed" }
t_min = { value = 250.0, unit = "K", where = "a test", status = "assumed" }
t_max = { value = 400.0, unit = "K", where = "a test", status = "assumed" }
tcr = { value = 1e-3, unit = "1/K", where = "a test", status = "assumed" }
e_a = { value = 1.0, unit = "eV", where = "a test", status = "assumed" }

[endurance]
n_median = { value = 1e6, unit = "1", where = "a test", status = "assumed" }
sigma_ln = { value = 1.0, unit = "1", where = "a test", status = "assumed" }
p_lrs = { value = 0.5, unit = "1", where = "a test", status = "assumed" }
n_max = { value = 1e8, unit = "1", where = "a test", status = "assumed" }

[iv]
v0 = { value = 0.25, unit = "V", where = "a test", status = "assumed" }
"""
DEVICES = Path(__file__).parents[1] / "devices"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A relaxing card with temperature, endurance and a curved I-V, too."""
    path = tmp_path_factory.mktemp("card") / "full.toml"
    path.write_text((DEVICES / "rram_wan2022.toml").read_text() + LAWS)
    return str(path)


def test_sections_that_an_experiment_does_not_use_change_nothing(full: str) -> None:
    aged = {"t_after_programming": 1e4}
    plain = made(card="rram_wan2022", **aged)
    for config in ({}, {"temperature": 300.0}, {"p_dead_row": 0.0, "p_dead_col": 0.0}, {"v_nonlinear": 0.3}):
        cells = made(card=full, **aged, **config)
        assert np.array_equal(cells.g, plain.g)
        assert np.array_equal(cells.sigma_slow, plain.sigma_slow)


def test_each_effect_changes_its_own_cells_only(full: str) -> None:
    plain = made(card=full)
    worn = made(card=full, n_cycles=1e6)
    ends = [np.float32(plain.card.conductance.g_min.value), np.float32(plain.card.conductance.g_max.value)]
    assert 0.4 < np.isin(worn.g, ends).mean() < 0.6
    assert np.array_equal(worn.g[~np.isin(worn.g, ends)], plain.g[~np.isin(worn.g, ends)])

    dead = made(card=full, p_dead_row=0.1, p_dead_col=0.05)
    assert np.array_equal(dead.g[dead.g > 0], plain.g[dead.g > 0])
    assert (dead.g[:, 0] == 0).any()
    assert not dead.sigma_white[dead.g == 0].any()
    both = made(card=full, n_cycles=1e6, p_dead_row=0.1, p_dead_col=0.05)
    assert np.array_equal(both.g[dead.g > 0], worn.g[dead.g > 0])
    assert not both.g[(dead.g == 0) & (plain.g > 0)].any()

    hot = made(card=full, temperature=350.0)  # no time has passed
    np.testing.assert_allclose(hot.g, plain.g * 1.05, rtol=1e-6)
    aged = {"t_after_programming": 1e3}
    warm, equal = made(card=full, temperature=310.0, **aged), acceleration(plain.card, 310.0)
    same = made(card=full, t_after_programming=1e3 * equal)
    np.testing.assert_allclose(warm.g, same.g * np.float32(1.01), rtol=1e-6)


def test_unformed_cells_do_not_wear(tmp_path: Path) -> None:
    path = tmp_path / "formed.toml"
    path.write_text((DEVICES / "taox_1t1r_40nm.toml").read_text() + LAWS)
    cells = made(card=str(path), n_cycles=1e7)
    assert (cells.g[~cells.formed] == np.float32(1e-7)).all()
    assert (cells.g[cells.formed] == np.float32(1e-4)).mean() > 0.4


def test_dead_lines_of_the_card_and_of_arrays_that_share_word_lines() -> None:
    p = {key: Quantity(value=0.2, unit="1", where="a test", status="assumed") for key in ("p_dead_row",)}
    faults = load_device("taox_1t1r_40nm").faults.model_copy(update=p)
    card = load_device("rram_milo2021").model_copy(update={"faults": faults})
    g = np.ones((400, 3, 5), np.float32)
    rows = (dead_lines(card, g, None, None, rng.stream(1, "r"), rng.stream(1, "c")) == 0).all(axis=(1, 2))
    assert 0.1 < rows.mean() < 0.3
    config = DeviceConfig(p_dead_row=0.3, v_forming=4.0)
    pos, neg = (
        make_cells(config, SHAPE, seed=1, name=f"chip0/{side}", word_lines="chip0") for side in ("pos", "neg")
    )
    alone = make_cells(config, SHAPE, seed=1, name="chip0/neg")
    first, second, other = ((cells.g == 0).all(axis=1) for cells in (pos, neg, alone))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_straight_line_is_the_current_of_a_card_without_iv() -> None:
    g = np.array([1e-5, 0.0], np.float32)
    assert np.array_equal(chord(WAN, g, 0.2), np.ones(2))
    np.testing.assert_allclose(current(WAN, g, 0.2), 0.2 * g)
    assert not linear_error(WAN, g, 0.2).any()


def test_v_nonlinear_takes_the_place_of_the_cards_law(full: str) -> None:
    g = np.full((3, 1), 1e-5, np.float32)
    v = np.array([0.0, 0.1, 0.2], np.float32)
    factor = chord(WAN, g, v, v_nonlinear=0.25)
    assert factor.shape == (3, 3)
    assert factor.dtype == np.float32
    assert np.array_equal(factor, chord(load_device(full), g, v))
    assert chord(load_device(full), g, v, v_nonlinear=0.1)[0, 2] > factor[0, 2]


def test_noise_against_the_state_is_that_of_the_curve() -> None:
    curve = Curve(value=(0.05, 0.01), at=(0.0, 1.0), unit="1", where="a test", status="assumed")
    noise = WAN.read_noise.model_copy(update={"sigma_read": None, "sigma_curve": curve})
    g = np.array([0.0, 20e-6, 40e-6], np.float32)
    white, slow = read_noise(WAN.model_copy(update={"read_noise": noise}), g, g, 0.0)
    np.testing.assert_allclose(np.hypot(white, slow), [0.0, 0.03 * 20e-6, 0.01 * 40e-6], rtol=1e-5)


def test_overrides_take_the_place_of_the_cards_numbers() -> None:
    flat = made(sigma_d2d=0.0, v_forming=4.0)
    usual = flat.g[flat.formed] < 5e-5  # the outliers of the card stay
    np.testing.assert_allclose(flat.g[flat.formed][usual], 34.05538e-6, rtol=1e-6)
    wrong = made(card="ideal", sigma_prog=0.1).g / made(card="ideal").g - 1
    assert wrong.std() == pytest.approx(0.1, abs=4 * 0.1 / np.sqrt(2 * wrong.size))
    loud = made(card="ideal", sigma_read=0.05)
    np.testing.assert_allclose(loud.sigma_white, 0.05 * loud.g, rtol=1e-6)
    assert not loud.sigma_slow.any()
    white = made(read_white_fraction=1.0)
    np.testing.assert_allclose(white.sigma_white, 0.02 * white.g, rtol=1e-5)
    assert not white.sigma_slow.any()


def test_read_noise_splits_the_variance_as_the_card_says() -> None:
    cells = made()
    total = np.hypot(cells.sigma_white, cells.sigma_slow)
    np.testing.assert_allclose(total, 0.02 * cells.g, rtol=1e-5)
    np.testing.assert_allclose(cells.sigma_white**2, 0.1 * total**2, rtol=1e-5)


@pytest.mark.parametrize(("t", "relative"), [(0.0, 0.058), (86400.0, 0.070)])
def test_the_1f_law_of_phase_change_memory_gives_the_published_noise(t: float, relative: float) -> None:
    card = load_device("pcm_nandakumar2019")
    half = np.full(3, 12.5e-6, np.float32)
    white, slow = read_noise(card, half, half, t)
    assert np.hypot(white, slow) / half == pytest.approx(relative, abs=5e-4)
    assert white == pytest.approx(read_noise(card, half, half, 0.0)[0])


@pytest.mark.parametrize("distribution", ["normal", "lognormal"])
def test_spread_keeps_the_mean_and_has_the_asked_deviation(distribution: str) -> None:
    g = spread(np.full(200_000, 2e-5, np.float32), 0.2, distribution, rng.stream(1, "d2d"))
    sigma = 0.2 * 2e-5
    assert g.mean(dtype=np.float64) == pytest.approx(2e-5, abs=4 * sigma / np.sqrt(g.size))
    assert g.std(dtype=np.float64) == pytest.approx(sigma, rel=4 * 1.1 / np.sqrt(2 * g.size))
    skewness = np.mean(((g - g.mean()) / g.std()) ** 3)
    law = (np.exp(np.log1p(0.04)) + 2) * 0.2 if distribution == "lognormal" else 0.0
    assert skewness == pytest.approx(law, abs=12 * np.sqrt(6 / g.size))


def test_stuck_cells_come_in_the_asked_number_and_stand_at_the_ends() -> None:
    card = load_device("rram_milo2021")
    g = stuck(card, np.full(100_000, 1e-4, np.float32), 0.1, rng.stream(1, "stuck"))
    k = 4 * np.sqrt(0.05 * 0.95 / g.size)
    assert np.mean(g == np.float32(225e-6)) == pytest.approx(0.05, abs=k)
    assert np.mean(g == np.float32(50e-6)) == pytest.approx(0.05, abs=k)
    quantity = Quantity(value=0.03, unit="1", where="a test", status="assumed")
    faults = load_device("taox_1t1r_40nm").faults.model_copy(update={"p_stuck_hrs": quantity})
    only_off = card.model_copy(update={"faults": faults})
    fresh = np.full_like(g, 1e-4)
    off = stuck(only_off, fresh, None, rng.stream(2, "s")) == np.float32(50e-6)
    assert off.mean() == pytest.approx(0.03, abs=4 * np.sqrt(0.03 / g.size))
    assert not (stuck(only_off, fresh, 0.2, rng.stream(2, "s")) == np.float32(225e-6)).any()


def test_a_programming_cycle_draws_a_new_error_of_the_same_size() -> None:
    card = load_device("rram_milo2021")
    c2c = Quantity(value=0.15, unit="1", where="a test", status="assumed")
    card = card.model_copy(update={"programming": card.programming.model_copy(update={"sigma_c2c": c2c})})
    target = np.full(50_000, 100e-6, np.float32)
    first, second = (program(card, target, seed=3, name="x", cycle=cycle) - target for cycle in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(target.size)
    sigma = np.hypot(4.782321e-6 - 0.009107 * 100e-6, 0.15 * 100e-6)
    for error in (first, second):
        assert error.std(dtype=np.float64) == pytest.approx(sigma, rel=4 / np.sqrt(2 * target.size))


def test_nothing_is_slow_on_a_card_without_read_noise() -> None:
    assert not slow_noise(load_device("ideal"), (3, 4), [0.0, 1.0], seed=1, name="x").any()


def test_slow_noise_is_its_steps_stacked() -> None:
    card, times = load_device("taox_1t1r_40nm"), [0.0, 0.3, 5.0]
    whole = slow_noise(card, (20, 30), times, seed=1, name="x")
    assert whole.shape == (3, 20, 30)
    assert whole.dtype == np.float32
    for step, array in enumerate(slow_steps(card, (20, 30), times, seed=1, name="x")):
        assert np.array_equal(array, whole[step])
    assert np.array_equal(whole[:2], slow_noise(card, (20, 30), times[:2], seed=1, name="x"))


def test_two_reads_at_one_time_see_the_same_slow_noise() -> None:
    first, second = slow_noise(load_device("taox_1t1r_40nm"), (500,), [2.0, 2.0], seed=1, name="x")
    assert np.array_equal(first, second)


@pytest.mark.parametrize("n_cells", [1, BLOCK - 1, BLOCK + 7])
def test_the_kernel_of_slow_noise_is_its_naive_twin(n_cells: int) -> None:
    decay, kick, modes = (rng.stream(1, "x").random((2, n), np.float32) for n in (3, 3, n_cells))
    modes = np.concatenate([modes, modes[:1]])  # three modes, two steps
    twin = modes.copy()
    out = ou_steps(99, 5, decay, kick, modes)
    expected = naive.ou_steps(99, 5, decay, kick, twin, BLOCK)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(modes, twin, rtol=0, atol=1e-6)


def test_slow_noise_does_not_depend_on_the_number_of_threads() -> None:
    card, times = load_device("taox_1t1r_40nm"), np.linspace(0, 3, STEPS + 2)
    before = numba.get_num_threads()
    results = []
    try:
        for threads in {1, numba.config.NUMBA_NUM_THREADS}:
            numba.set_num_threads(threads)
            results.append(slow_noise(card, (5, BLOCK), times, seed=1, name="x"))
    finally:
        numba.set_num_threads(before)
    assert all(np.array_equal(results[0], other) for other in results)


def outside(**config: object) -> Callable[[], object]:
    return lambda: made(**config)


WAN, PCM = load_device("rram_wan2022"), load_device("pcm_nandakumar2019")
REFUSED = {
    "forming pulse": (
        outside(v_forming=5.0),
        OutOfRangeError,
        r"v_forming = 5 V is outside 3 .. 4 V, the range of device card 'taox_1t1r_40nm'; .*extrapolate",
    ),
    "age of a relaxing card": (
        outside(card="rram_wan2022", t_after_programming=1e6),
        OutOfRangeError,
        r"t_after_programming = 1e\+06 s is outside 0 .. 172800 s.*'rram_wan2022'",
    ),
    "age of a drifting card": (
        outside(card="pcm_nandakumar2019", t_after_programming=1e9),
        OutOfRangeError,
        r"t_after_programming = 1e\+09 s is outside 0 .. 3.2e\+07 s",
    ),
    "read voltage": (
        lambda: check_read_voltage(WAN, 0.8),
        OutOfRangeError,
        r"v_read = 0.8 V is outside 0 .. 0.5 V.*'rram_wan2022'",
    ),
    "target": (
        lambda: program(WAN, [1e-5, 5e-5], seed=1, name="x"),
        OutOfRangeError,
        r"target 5e-05 S is outside 1e-06 .. 4e-05 S.*'rram_wan2022' \(1 of 2 targets\); scale",
    ),
    "times of reads": (
        lambda: slow_noise(WAN, (2,), [0.0, 2.0, 1.0], seed=1, name="x"),
        OutOfRangeError,
        r"read 2 at 1 s is before read 1 at 2 s; sort",
    ),
    "pulse for cells that are not formed": (
        outside(card="ideal", v_forming=3.0),
        ExperimentError,
        r"device.v_forming = 3 V, but device card 'ideal' has no \[forming\].*remove v_forming",
    ),
    "slow noise without correlation times": (
        outside(card="ideal", sigma_read=0.1, read_white_fraction=0.5),
        ExperimentError,
        r"device.read_white_fraction = 0.5, but device card 'ideal' has no \[read_noise\].*set it to 1",
    ),
    "unknown card": (outside(card="taox"), CardError, r"unknown device card 'taox'"),
    "compliance of cells that are not formed": (
        outside(card="ideal", compliance=0.5),
        ExperimentError,
        r"device.compliance = 0.5, but device card 'ideal' has no forming.compliance_exponent.*remove",
    ),
    "compliance beyond the window": (
        outside(compliance=10.0),
        OutOfRangeError,
        r"mean conductance at compliance 10 = 0.000340554 S is outside 1e-07 .. 0.0001 S",
    ),
    "temperature without a law": (
        outside(temperature=350.0),
        ExperimentError,
        r"device.temperature = 350 K, but device card 'taox_1t1r_40nm' has no \[temperature\].*remove",
    ),
    "cycles without a law": (
        outside(n_cycles=1e6),
        ExperimentError,
        r"device.n_cycles = 1e\+06, but device card 'taox_1t1r_40nm' has no \[endurance\].*remove n_cycles",
    ),
    "dead lines of a list of cells": (
        lambda: make_cells(DeviceConfig(p_dead_col=0.1), (9,), seed=1, name="x"),
        ExperimentError,
        r"dead lines \(p_dead_row = 0, p_dead_col = 0.1\) in an array of shape \(9,\); give it rows",
    ),
}


def test_the_ranges_of_temperature_endurance_and_hot_ageing_are_kept(full: str) -> None:
    with pytest.raises(OutOfRangeError, match=r"temperature = 500 K is outside 250 .. 400 K.*extrapolate"):
        made(card=full, temperature=500.0)
    with pytest.raises(OutOfRangeError, match=r"n_cycles = 1e\+09 cycles is outside 0 .. 1e\+08 cycles"):
        made(card=full, n_cycles=1e9)
    hot = (
        r"t_after_programming x 1.58e\+04 \(acceleration at 400 K\) = 1.58422e\+08 s is outside 0 .. 172800 s"
    )
    with pytest.raises(OutOfRangeError, match=hot):
        made(card=full, t_after_programming=1e4, temperature=400.0)
    made(card=full, t_after_programming=1e4, temperature=500.0, n_cycles=1e9, extrapolate=True)
    assert np.isfinite(
        wear(load_device(full), np.ones(9, np.float32), 1e9, rng.stream(1, "e"), extrapolate=True)
    ).all()


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_card_cannot_back_is_refused(case: str) -> None:
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()


def test_extrapolate_lets_every_range_be_left() -> None:
    made(v_forming=5.0, extrapolate=True)
    made(card="rram_wan2022", t_after_programming=1e6, extrapolate=True)
    made(card="pcm_nandakumar2019", t_after_programming=1e9, extrapolate=True)
    check_read_voltage(WAN, 0.8, extrapolate=True)
    check_read_voltage(load_device("ideal"), 5.0)
    program(WAN, [5e-5], seed=1, name="x", extrapolate=True)


def test_relaxation_stands_still_outside_its_times() -> None:
    target = np.full(1000, 2e-5, np.float32)

    def at(t: float) -> np.ndarray:
        return relax(WAN, target, target, t, rng.stream(1, "r"), extrapolate=True)

    assert np.array_equal(at(0.0), target)
    assert np.array_equal(at(1.0), target)
    assert np.array_equal(at(172800.0), at(1e7))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sigma_read": -0.1},
        {"p_stuck": 1.5},
        {"t_after_programming": -1.0},
        {"t_after_programming": 1e11},
        {"v_form": 3.0},
    ],
)
def test_a_wrong_option_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        DeviceConfig.model_validate(wrong)


def test_cards_without_forming_count_as_formed() -> None:
    assert formed_probability(PCM, [0.0, 9.0]).tolist() == [1.0, 1.0]
    assert form(PCM, None, (2, 2), rng.stream(1, "f")).all()


def test_drift_is_the_power_law() -> None:
    g, nu = np.full(4, 1e-5, np.float32), np.full(4, 0.05, np.float32)
    np.testing.assert_allclose(drift(PCM, g, nu, 180.0), 1e-5 * 10**-0.05, rtol=1e-6)
    assert np.array_equal(drift(WAN, g, nu, 180.0), g)

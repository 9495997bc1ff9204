from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neurosim import array
from neurosim.array import ArrayConfig, Seen, WiresConfig
from neurosim.array.irdrop import see_pairs
from neurosim.array.tiles import Tiling, tile
from neurosim.array.wires import Wires, effective_conductance, solve, solve_nonlinear
from neurosim.cards import load_device, load_macro
from neurosim.device import DeviceConfig, chord
from neurosim.errors import ExperimentError, OutOfRangeError

MACRO = load_macro("rram_40nm_256kb")
OHMS = {"r_wire_row": 2.0, "r_wire_col": 3.0, "r_source": 50.0, "r_sense": 70.0}
PASSIVE = WiresConfig(rows_off="grounded", **OHMS)


def cells(shape: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    pos, neg = np.random.default_rng(seed).uniform(1e-6, 60e-6, (2, *shape)).astype(np.float32)
    return pos, neg


def one_block(shape: tuple[int, int], arrays: int = 1) -> Tiling:
    return Tiling(1, 1, shape, (1, 1), 2 * shape[0] * shape[1], 512 * 512, arrays)


def test_without_wires_cells_are_seen_as_they_are() -> None:
    pos, neg = cells((6, 4))
    seen = see_pairs(pos, neg, one_block((6, 4)), MACRO, None, None)
    assert_array_equal([s.g for s in seen], [pos, neg])
    assert_array_equal([s.gain for s in seen], 1)


def test_wires_without_resistance_change_nothing() -> None:
    pos, neg = cells((6, 4))
    for config in (WiresConfig(), WiresConfig(rows_off="grounded")):
        for seen, g in zip(
            see_pairs(pos, neg, one_block((6, 4)), MACRO, config, None), (pos, neg), strict=True
        ):
            assert_allclose(seen.g, g, rtol=1e-6)
            assert_allclose(seen.gain, 1, rtol=1e-6)


def test_adjacent_pairs_stand_on_neighbouring_columns_of_one_network() -> None:
    pos, neg = cells((6, 4))
    together = np.empty((6, 8))
    together[:, 0::2], together[:, 1::2] = pos, neg
    expected = effective_conductance(together, Wires(2.0, 3.0, 50.0, 70.0))
    plus, minus = see_pairs(pos, neg, one_block((6, 4)), MACRO, PASSIVE, None)
    assert_allclose(plus.g, expected[:, 0::2], rtol=1e-5)
    assert_allclose(minus.g, expected[:, 1::2], rtol=1e-5)


def test_separate_pairs_are_two_networks() -> None:
    pos, neg = cells((6, 4))
    seen = see_pairs(pos, neg, one_block((6, 4), arrays=2), MACRO, PASSIVE, None)
    for side, g in zip(seen, (pos, neg), strict=True):
        assert_allclose(side.g, effective_conductance(g, Wires(2.0, 3.0, 50.0, 70.0)), rtol=1e-5)


def test_blocks_far_from_converters_and_drivers_have_longer_wires() -> None:
    """Six blocks of 3 x 2 pairs on tiles with room for two above each other and two side by side."""
    pos, neg = cells((9, 4))
    tiles = Tiling(3, 2, (3, 2), (2, 2), 72, 48)
    plus, _ = see_pairs(pos, neg, tiles, MACRO, PASSIVE, None)
    places = [(0, 0), (3, 0), (0, 2), (3, 2), (0, 0), (3, 0)]  # rows below and pairs before, block by block
    for k, (below, before) in enumerate(places):
        i, j = divmod(k, 2)
        block = np.s_[3 * i : 3 * i + 3, 2 * j : 2 * j + 2]
        lines = np.stack([pos[block], neg[block]], axis=2).reshape(3, 4)
        wires = Wires(2.0, 3.0, 50.0 + before * 2 * 2.0, 70.0 + below * 3.0)
        assert_allclose(plus.g[block], effective_conductance(lines, wires)[:, ::2], rtol=1e-5)


def test_gated_rows_load_the_columns_by_their_share() -> None:
    pos, neg = cells((40, 4))
    loss = []
    for activity in (0.02, 0.2, 1.0):
        config = WiresConfig(activity=activity, **OHMS)
        plus, minus = see_pairs(pos, neg, one_block((40, 4)), MACRO, config, None)
        loss.append(1 - (plus.g.sum() + minus.g.sum()) / (pos.sum() + neg.sum()))
    assert 0 < loss[0] < loss[1] < loss[2] < 1


def test_gain_is_the_slope_of_what_is_seen() -> None:
    """Against effective conductances of arrays in which one cell is 1 % up."""
    pos, neg = cells((8, 3))
    config = WiresConfig(rows_off="grounded", r_wire_row=20.0, r_wire_col=20.0)
    plus, _ = see_pairs(pos, neg, one_block((8, 3), arrays=2), MACRO, config, None)
    v = np.ones(8)
    for i, j in [(0, 0), (7, 2), (4, 1)]:
        more = pos.copy()
        more[i, j] *= 1.01
        change = solve(more, v, Wires(20.0, 20.0, 0.0, 0.0)) - solve(pos, v, Wires(20.0, 20.0, 0.0, 0.0))
        assert plus.gain[i, j] == pytest.approx(change[0, j] / (more - pos)[i, j], rel=0.02)


def test_curved_cells_without_wires_conduct_as_their_chord() -> None:
    pos, neg = cells((5, 3))
    bend = partial(chord, load_device("taox_1t1r_40nm"), v_nonlinear=0.25)
    plus, _ = see_pairs(pos, neg, one_block((5, 3)), MACRO, None, bend)
    factor = np.sinh(0.2 / 0.25) / (0.2 / 0.25)
    assert_allclose(plus.g, pos * factor, rtol=1e-5)
    assert_allclose(plus.gain, factor, rtol=1e-5)


def test_curved_cells_behind_wires_agree_with_the_nonlinear_solution() -> None:
    pos, neg = cells((24, 8))
    bend = partial(chord, load_device("taox_1t1r_40nm"), v_nonlinear=0.25)
    config = WiresConfig(rows_off="grounded", r_wire_row=5.0, r_wire_col=5.0)
    plus, _ = see_pairs(pos, neg, one_block((24, 8), arrays=2), MACRO, config, bend)
    exact = solve_nonlinear(pos, np.full(24, 0.2), Wires(5.0, 5.0, 0.0, 0.0), 0.25)
    assert_allclose(0.2 * plus.g.sum(axis=0), exact[0], rtol=1e-4)


def test_moved_cells_are_never_below_zero() -> None:
    seen = Seen(np.array([[1e-6, 2e-6]], np.float32), np.array([[0.5, 0.5]], np.float32))
    assert_allclose(seen.moved(np.array([[-4e-6, 1e-6]], np.float32)), [[0, 2.5e-6]], rtol=1e-6)


# ---- the whole crossbar ----------------------------------------------------------------------------


def build(config: ArrayConfig, shape: tuple[int, int] = (30, 20), **device: float) -> array.Crossbar:
    return array.build_crossbar(config, DeviceConfig(**device), shape, seed=3, chip=0)


def test_noise_slow_and_white_follows_the_wires() -> None:
    ideal, wired = (
        build(ArrayConfig()),
        build(ArrayConfig(wires=WiresConfig(r_wire_row=30.0, r_wire_col=30.0))),
    )
    assert_array_equal(ideal.pos.g, wired.pos.g)
    expected = (wired.pos_seen.gain * ideal.pos.sigma_white) ** 2 + (
        wired.neg_seen.gain * ideal.neg.sigma_white
    ) ** 2
    assert_allclose(array.white_variance(wired), expected, rtol=1e-5)
    assert array.white_variance(wired).sum() < 0.9 * array.white_variance(ideal).sum()
    times = [0.0, 1e5]
    moves = [
        np.diff(list(array.slow_reads(crossbar, times, seed=3, chip=0)), axis=0).std()
        for crossbar in (ideal, wired)
    ]
    assert 0.3 < moves[1] / moves[0] < 0.95
    assert 0 < wired.g_mean < ideal.g_mean


def test_what_wires_take_is_told_from_what_the_cells_curve_adds() -> None:
    def error(**ohms: float) -> float:
        config, device = ArrayConfig(wires=WiresConfig(**ohms)), DeviceConfig(v_nonlinear=0.1)
        return array.wire_error(
            array.build_crossbar(config, device, (8, 6), seed=3, chip=0), seed=3, chip=0
        ).loss

    assert error() == pytest.approx(0, abs=1e-6)
    assert 0.001 < error(**OHMS) < 0.1


def test_wires_of_an_array_without_current_take_nothing() -> None:
    wires = WiresConfig(**OHMS)
    dead = array.build_crossbar(
        ArrayConfig(wires=wires), DeviceConfig(p_dead_row=1.0), (8, 6), seed=3, chip=0
    )
    error = array.wire_error(dead, seed=3, chip=0)
    assert (error.loss, error.bias, error.rms, error.worst) == (0, 0, 0, 0)


def test_cells_that_a_polynomial_closes_carry_nothing_through_wires() -> None:
    """Milo's polynomial, far below its lowest state, is cut off at 0: 0/0 must not reach the network."""
    pos, neg = cells((6, 4))
    pos[2, 1] = 1e-8
    card = load_device("rram_milo2021")
    assert chord(card, pos[2:3, 1], 0.2) == 0
    plus, minus = see_pairs(pos, neg, one_block((6, 4)), MACRO, WiresConfig(**OHMS), partial(chord, card))
    assert plus.g[2, 1] == 0
    assert np.isfinite([plus.g, plus.gain, minus.g, minus.gain]).all()


def test_integrated_reads_average_the_white_noise() -> None:
    t_read = MACRO.t_read.value
    once, longer = build(ArrayConfig()), build(ArrayConfig(t_integrate=8 * t_read))
    assert_allclose(array.white_variance(longer), array.white_variance(once) / 8, rtol=1e-5)
    with pytest.raises(
        OutOfRangeError, match="t_integrate = 5e-08 s is shorter than t_read = 1e-07 s of macro"
    ):
        build(ArrayConfig(t_integrate=t_read / 2))


def test_separate_arrays_take_two_macros() -> None:
    adjacent, separate = tile((512, 256), MACRO), tile((512, 256), MACRO, "separate")
    assert (adjacent.n_tiles, separate.n_tiles) == (1, 2)
    assert (adjacent.utilisation, separate.utilisation) == (1.0, 0.5)
    assert tile((512, 512), MACRO, "separate").n_tiles == 2


def test_converter_errors_are_drawn_per_column_of_pairs() -> None:
    config = ArrayConfig(adc_sigma_gain=0.02, adc_sigma_offset=1.5, adc_inl=0.7)
    errors = build(config, (3, 4000)).adc_errors
    assert errors is not None
    assert errors.gain.std() == pytest.approx(0.02, rel=0.05)
    assert errors.offset.std() == pytest.approx(1.5, rel=0.05)
    assert set(np.abs(errors.inl)) == {np.float32(0.7)}
    assert abs(np.sign(errors.inl).mean()) < 0.06
    assert build(ArrayConfig()).adc_errors is None
    with pytest.raises(ExperimentError, match=r"array\.adc_bits = 0 has none; give it bits"):
        build(ArrayConfig(adc_bits=0, adc_inl=1.0))

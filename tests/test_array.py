"""Crossbars of pairs: converters, layout on macros, reads and cost."""

import re
from collections.abc import Iterator
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from neurosim import array
from neurosim.array import Adc, ArrayConfig, Work, count_operations, energy, quantise, tile
from neurosim.cards import MacroCard, load_macro
from neurosim.config import validate
from neurosim.device import DeviceConfig, slow_noise
from neurosim.errors import CardError, ExperimentError, OutOfRangeError
from neurosim.events.types import Sensor
from neurosim.quantity import Count
from neurosim.reservoir.config import ReservoirConfig
from neurosim.reservoir.wiring import Synapses, wire

SHAPE = (40, 30)
DEFAULT = ArrayConfig()
DEVICES = Path(__file__).resolve().parents[1] / "devices"


def crossbar(config: ArrayConfig = DEFAULT, chip: int = 0, **device: float) -> array.Crossbar:
    return array.build_crossbar(config, DeviceConfig(**device), SHAPE, seed=1, chip=chip)


def macro_of(rows: int, cols: int) -> MacroCard:
    size = {"unit": "1", "status": "assumed", "where": "a test"}
    update = {"rows": Count(value=rows, **size), "cols": Count(value=cols, **size)}
    return load_macro("ideal").model_copy(update=update)


# ---- converter -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 3, 8, 14])
def test_converter_has_symmetric_levels_out_to_its_full_scale(bits: int) -> None:
    adc = Adc(bits, full_scale=1e-4)
    sweep = np.linspace(-1.5e-4, 1.5e-4, 2 ** (bits + 3) + 1, dtype=np.float32)
    levels = np.unique(quantise(sweep, adc))
    assert len(levels) == 2**bits - 1
    assert_array_equal(levels, -levels[::-1])
    assert levels[-1] == np.float32(1e-4)
    inside = np.abs(sweep) <= 1e-4
    assert np.abs(quantise(sweep, adc) - sweep)[inside].max() <= adc.step / 2 * (1 + 2e-3)  # float32


@given(st.integers(2, 16), st.integers(0, 2**32 - 1))
def test_converter_equals_its_naive_twin(bits: int, seed: int) -> None:
    adc = Adc(bits, full_scale=1e-4)
    current = np.random.default_rng(seed).normal(0, 7e-5, 64).astype(np.float32)
    step, top = np.float32(adc.step), np.float32(adc.full_scale)
    assert_array_equal(quantise(current, adc), [naive.convert(i, step, top) for i in current])


def test_quantisation_noise_is_a_twelfth_of_a_step_squared() -> None:
    adc = Adc(6, full_scale=1.0)
    current = np.random.default_rng(0).uniform(-1, 1, 200_000).astype(np.float32)
    assert np.var(quantise(current, adc) - current) == pytest.approx(adc.step**2 / 12, rel=0.02)


def test_ideal_converter_changes_nothing() -> None:
    current = np.float32([-1, 0.3, 1e9])
    assert_array_equal(quantise(current, None), current)


def test_converter_of_one_bit_is_refused() -> None:
    with pytest.raises(
        OutOfRangeError, match="adc_bits = 1 leaves a converter the level 0 alone; use 2 or more"
    ):
        crossbar(ArrayConfig(adc_bits=1))


# ---- layout ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "row_groups", "col_groups", "n_tiles"),
    [
        ((456, 200), 1, 1, 1),  # the paper's: 256 + 200 rows, 200 neurons
        ((512, 256), 1, 1, 1),  # exactly one macro
        ((512, 257), 1, 2, 2),  # one column too many
        ((98, 32), 1, 1, 1),
        ((98, 1203), 1, 5, 1),  # five blocks above each other
        ((98, 2000), 1, 8, 2),
        ((1, 131_072), 1, 512, 1),
        ((1024, 128), 2, 1, 1),  # cut across, side by side
        ((300, 400), 3, 5, 1),  # 120,000 pairs fit when cut both ways
        ((2568, 200), 6, 4, 5),
    ],
)
def test_layout_on_a_macro_of_512_by_512(
    shape: tuple[int, int], row_groups: int, col_groups: int, n_tiles: int
) -> None:
    tiling = tile(shape, load_macro("rram_40nm_256kb"))
    assert (tiling.row_groups, tiling.col_groups, tiling.n_tiles) == (row_groups, col_groups, n_tiles)
    assert tiling.cells == 2 * shape[0] * shape[1]
    assert tiling.utilisation == tiling.cells / (n_tiles * 512 * 512)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 24), st.integers(2, 24))
def test_layout_holds_every_pair_once(rows: int, cols: int, macro_rows: int, macro_cols: int) -> None:
    tiling = tile((rows, cols), macro_of(macro_rows, macro_cols))
    macros = naive.lay_out((rows, cols), tiling.block, (macro_rows, macro_cols))
    assert len(macros) == tiling.n_tiles
    assert sum(int(m.sum()) for m in macros) == tiling.cells == 2 * rows * cols
    assert max(m.max() for m in macros) == 1
    assert 0 < tiling.utilisation <= 1


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 24), st.integers(2, 24))
def test_no_cut_into_equal_blocks_fits_one_macro_where_layout_needs_more(
    rows: int, cols: int, macro_rows: int, macro_cols: int
) -> None:
    found = any(
        -(-rows // h) * -(-cols // w) <= (macro_rows // h) * (macro_cols // 2 // w)
        for h in range(1, macro_rows + 1)
        for w in range(1, macro_cols // 2 + 1)
    )
    assert (tile((rows, cols), macro_of(macro_rows, macro_cols)).n_tiles == 1) == found


def test_macro_without_room_for_a_pair_is_refused() -> None:
    with pytest.raises(CardError, match="cols = 1 has no room for a differential pair; use 2 or more"):
        tile((3, 3), macro_of(8, 1))


# ---- pairs -----------------------------------------------------------------------------------------


def test_pairs_are_two_independent_arrays_of_one_chip() -> None:
    one, again, other = crossbar(), crossbar(), crossbar(chip=1)
    assert_array_equal(array.differential(one), one.pos.g - one.neg.g)
    assert_array_equal(array.differential(one), array.differential(again))
    cells = np.stack([side.g.ravel() for chip in (one, other) for side in (chip.pos, chip.neg)])
    assert np.abs(np.corrcoef(cells)[np.triu_indices(4, 1)]).max() < 5 / np.sqrt(one.pos.g.size)
    assert one.g_mean == pytest.approx(np.concatenate([one.pos.g, one.neg.g]).mean(), rel=1e-6)


def test_converter_comes_from_the_card_unless_the_experiment_says_otherwise() -> None:
    card = load_macro("rram_40nm_256kb")
    default, own = crossbar(), crossbar(ArrayConfig(adc_bits=8, adc_full_scale=2e-4))
    assert default.adc == Adc(card.adc_bits.value, card.adc_full_scale.value)
    assert own.adc == Adc(8, 2e-4)
    assert own.adc_full_scale == pytest.approx(2e-4 / card.v_read.value)
    assert own.adc_step == pytest.approx(2e-4 / 127 / card.v_read.value)


@pytest.mark.parametrize("config", [ArrayConfig(adc_bits=0), ArrayConfig(macro="ideal")])
def test_ideal_converter_is_none(config: ArrayConfig) -> None:
    ideal = crossbar(config)
    assert ideal.adc is None
    assert (ideal.adc_step, ideal.adc_full_scale) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"adc_bits": 25}, "adc_bits: .*less than or equal to 24"),
        ({"adc_full_scale": 0.0}, "adc_full_scale.*greater than 0"),
        ({"adc_full_scale": 1e30}, "adc_full_scale.*less than or equal to 1"),
        ({"t_integrate": 1e300}, "t_integrate: .*less than or equal to 1"),
        ({"adc_bit": 8}, "adc_bit: unknown key; did you mean 'adc_bits'"),
        (
            {"adc_bits": 0, "adc_full_scale": 1e-4},
            "adc_bits = 0 is an ideal converter, which has no adc_full",
        ),
        ({"adc_clip": 0.1}, "adc_clip belongs to adc_full_scale = 'calibrated'; set that, or remove"),
        ({"wires": {"rows_off": "grounded", "activity": 0.1}}, "activity belongs to rows_off = 'gated'"),
    ],
)
def test_wrong_config_is_refused(table: dict[str, float], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        validate(ArrayConfig, table, where="[array]", error=ExperimentError)


def test_read_voltage_above_the_device_cards_limit_is_refused(tmp_path: Path) -> None:
    text = (DEVICES / "rram_40nm_256kb.toml").read_text()
    path = tmp_path / "high.toml"
    path.write_text(text.replace("v_read = { value = 0.2", "v_read = { value = 0.5"))
    config = ArrayConfig(macro=str(path))
    with pytest.raises(OutOfRangeError, match=re.escape("v_read = 0.5 V is outside 0 .. 0.3 V")):
        crossbar(config)
    assert crossbar(config, extrapolate=True).macro.v_read.value == 0.5


def test_unknown_macro_is_refused() -> None:
    with pytest.raises(CardError, match="unknown macro card 'rram_40nm'; did you mean 'rram_40nm_256kb'"):
        crossbar(ArrayConfig(macro="rram_40nm"))


# ---- noise -----------------------------------------------------------------------------------------


def test_white_variance_adds_over_the_two_cells_of_a_pair() -> None:
    pairs = crossbar(sigma_read=0.05)
    variance = array.white_variance(pairs)
    for i, j in [(0, 0), (3, 7), (39, 29)]:
        plus, minus = float(pairs.pos.sigma_white[i, j]), float(pairs.neg.sigma_white[i, j])
        assert variance[i, j] == pytest.approx(plus**2 + minus**2, rel=1e-6)
    assert variance.dtype == np.float32


def test_slow_reads_are_the_clipped_slow_process_of_either_cell() -> None:
    pairs, times = crossbar(sigma_read=0.9), [0.0, 5.0, 500.0]
    pos, neg = (
        np.maximum(side.g + side.sigma_slow * slow_noise(side.card, SHAPE, times, seed=1, name=name), 0)
        for side, name in ((pairs.pos, "chip0/pos"), (pairs.neg, "chip0/neg"))
    )
    reads = list(array.slow_reads(pairs, times, seed=1, chip=0))
    assert_array_equal(reads, pos - neg)
    assert (pos[:, pairs.pos.formed] == 0).any(), "the clip was not exercised"
    assert reads[0].dtype == np.float32


def test_slow_reads_hold_one_read_at_a_time() -> None:
    reads = array.slow_reads(crossbar(), np.arange(10**6), seed=1, chip=0)  # 4.8 GB as one array
    assert isinstance(reads, Iterator)
    assert next(reads).shape == SHAPE


def test_slow_reads_refuse_times_that_run_backwards() -> None:
    with pytest.raises(OutOfRangeError, match="sort the times"):
        array.slow_reads(crossbar(), [1.0, 0.0], seed=1, chip=0)


# ---- cost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        ReservoirConfig(topology="dense", n_neurons=12, beta=0.9),
        ReservoirConfig(topology="sparse", n_neurons=12, p_connect=0.3, beta=0.9),
        ReservoirConfig(topology="local", n_neurons=12, patch=3, p_recurrent=0.25, beta=0.9),
        ReservoirConfig(topology="shared", n_patches=4, patch=3, stride=2, beta=0.9),
    ],
    ids=lambda c: c.topology,
)
@pytest.mark.parametrize("macro", [macro_of(512, 512), macro_of(64, 6)], ids=["whole", "cut"])
def test_operations_are_those_counted_read_by_read(config: ReservoirConfig, macro: MacroCard) -> None:
    wiring = wire(config, Sensor(8, 7, 2), seed=3)
    tiles = tile(wiring.shape, macro)
    draw = np.random.default_rng(0)
    x = draw.random((9, wiring.inputs.n_pre)) < 0.1
    spikes = draw.random((9, wiring.n_neurons)) < 0.1
    sides = [(wiring.inputs, x)] + ([(wiring.recurrent, spikes)] if wiring.recurrent else [])

    activations, cells, conversions = 0, 0, 0
    for t in range(len(x)):
        for neurons in np.split(np.arange(wiring.n_neurons), wiring.reads_per_step):
            driven = {
                divmod(int(pair), wiring.shape[1])
                for synapses, active in sides
                for pre, post, pair in zip(synapses.pre, synapses.post, synapses.pair, strict=True)
                if active[t, pre] and post in neurons
            }
            activations += len({(row, column // tiles.block[1]) for row, column in driven})
            cells += 2 * len(driven)
            conversions += len(neurons) * tiles.row_groups

    work = Work(
        n_neurons=wiring.n_neurons,
        n_steps=len(x),
        n_synapses=sum(len(synapses.pre) for synapses, _ in sides),
        n_driven=sum(driven_synapses(*side) for side in sides),
        n_spikes=spikes.sum(),
        n_macs=wiring.n_features * 10,
        reads_per_step=wiring.reads_per_step,
    )
    counted = count_operations(tiles, work)
    assert counted == pytest.approx(
        {
            "row_activations": activations,
            "cell_reads": cells,
            "adc_conversions": conversions,
            "accumulations": conversions + spikes.sum(),
            "macs": wiring.n_features * 10,
        }
    )


def driven_synapses(synapses: Synapses, active: np.ndarray) -> int:
    fan_out = np.bincount(synapses.pre, minlength=synapses.n_pre)
    return int((active * fan_out).sum())


def test_energy_is_itemised_and_adds_up() -> None:
    card = load_macro("rram_40nm_256kb")
    operations = {"row_activations": 2, "cell_reads": 3, "adc_conversions": 5, "accumulations": 7, "macs": 11}
    items = energy(operations, card, g_mean=50e-6, adc_bits=8)
    assert items.pop("total") == pytest.approx(sum(items.values()), rel=1e-12)
    assert items == pytest.approx(
        {
            "row_drive": 2 * 3.9e-15,
            "cell_read": 3 * 0.2**2 * 50e-6 * 100e-9,
            "adc": 5 * 1.56e-12,
            "digital_accumulate": 7 * 0.1e-12,
            "projection_mac": 11 * 4.6e-12,
        }
    )


# ---- converters with errors ------------------------------------------------------------------------


def test_errors_bend_the_converter_like_their_twin() -> None:
    random = np.random.default_rng(0)
    adc = Adc(6, 1e-4)
    errors = array.draw_column_errors(7, sigma_gain=0.1, sigma_offset=0.8, inl=1.3, seed=1, name="chip0")
    assert errors is not None
    currents = random.normal(0, 7e-5, (50, 7)).astype(np.float32)
    step, top = np.float32(adc.step), np.float32(adc.full_scale)
    expected = np.empty_like(currents)
    for i, j in np.ndindex(currents.shape):
        bow = step * errors.inl[j] * np.float32(1.5 * np.sqrt(3))
        bent = naive.bend(currents[i, j], top, 1 + errors.gain[j], step * errors.offset[j], bow)
        expected[i, j] = naive.convert(bent, step, top)
    assert_array_equal(array.quantise(currents, adc, errors), expected)


def test_integral_nonlinearity_is_as_large_as_it_says_and_nothing_at_zero_and_full_scale() -> None:
    adc = Adc(14, 1.0)
    errors = array.draw_column_errors(1, sigma_gain=0, sigma_offset=0, inl=20.0, seed=1, name="chip0")
    current = np.linspace(-1, 1, 20_001, dtype=np.float32)[:, None]
    off = (array.quantise(current, adc, errors) - current)[:, 0] / adc.step
    assert np.abs(off).max() == pytest.approx(20, abs=1)
    assert np.abs(off[[0, 10_000, 20_000]]).max() < 1
    assert_allclose(off, -off[::-1], atol=1.01)

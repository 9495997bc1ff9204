"""Products computed in memory: against loops over cells and bits, exact integers and closed forms."""

from dataclasses import replace
from typing import Any

import naive
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from threadpoolctl import threadpool_limits

from neurosim.array import WiresConfig, count_operations, mvm, quantise
from neurosim.array.adc import Adc, ColumnErrors
from neurosim.array.mapping import program_matrix
from neurosim.array.mvm import AnalogMatrix, MvmConfig, calibrated, multiply
from neurosim.array.wires import effective_conductance
from neurosim.cards import MacroCard, load_macro
from neurosim.device import DeviceConfig
from neurosim.errors import CardError, ExperimentError, OutOfRangeError, ShapeError
from neurosim.quantity import Count

IDEAL = DeviceConfig(card="ideal")
NOISY = DeviceConfig(card="ideal", sigma_read=0.05)
MAPPINGS = ["pairs", "separate", "offset", "reference"]
MACRO = load_macro("ideal")
WINDOW, V_READ = 100e-6, 0.2  # of the card and the macro `ideal`
EXACT = {"dac_bits": 0, "adc_bits": 0, "dac_full_scale": 1.0}


def macro_of(rows: int = 512, cols: int = 512, **values: float) -> MacroCard:
    update: dict[str, Any] = {"rows": rows, "cols": cols}
    size = {"unit": "1", "status": "assumed", "where": "a test"}
    return MACRO.model_copy(update={name: Count(value=value, **size) for name, value in update.items()})


def matrix_of(
    weights: npt.ArrayLike,
    device: DeviceConfig = IDEAL,
    macro: MacroCard = MACRO,
    wires: WiresConfig | None = None,
    **config: Any,
) -> AnalogMatrix:
    return program_matrix(weights, MvmConfig(**config), device, macro, seed=1, name="a", wires=wires)


def uniform(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


# ---- against loops ---------------------------------------------------------------------------------


@given(st.integers(2, 12), st.booleans(), st.booleans(), st.integers(0, 2**31 - 1))
def test_kernel_equals_its_naive_twin(bits: int, noisy: bool, ideal: bool, seed: int) -> None:
    draw = np.random.default_rng(seed)
    current = draw.normal(0, 7e-5, (3, 9)).astype(np.float32)
    variance = draw.uniform(0, 1e-10, (3 if noisy else 0, 9)).astype(np.float32)
    gain, offset, inl = draw.normal(0, [[0.02], [0.5], [0.7]], (3, 9)).astype(np.float32)
    step = np.float32(0 if ideal else Adc(bits, 1e-4).step)
    expected = naive.convert_noisy(current, variance, 5, 11, 3, step, np.float32(1e-4), gain, offset, inl)
    n_clipped = mvm.convert(current, variance, 5, 11, 3, step, np.float32(1e-4), gain, offset, inl)
    assert n_clipped == expected[1]
    assert_array_equal(current, expected[0])


@pytest.mark.parametrize("inputs", ["parallel", "bit_serial"])
@pytest.mark.parametrize("signed_inputs", ["two_phase", "bipolar"])
@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("slices", [{}, {"weight_slices": 2, "slice_bits": 2}])
def test_product_equals_loops_over_reads_slices_and_cells(
    inputs: str, signed_inputs: str, mapping: str, slices: dict[str, int]
) -> None:
    errors = {"adc_sigma_gain": 0.02, "adc_sigma_offset": 0.5, "adc_inl": 0.7}
    config = {"inputs": inputs, "signed_inputs": signed_inputs, "mapping": mapping, **slices, **errors}
    device = DeviceConfig(card="ideal", sigma_prog=0.05, sigma_read=0.05)
    matrix = matrix_of(uniform((13, 3)), device, macro_of(rows=5), **config, dac_bits=4, adc_bits=6)
    assert matrix.tiles.row_groups == 3
    x = uniform((4, 13), seed=1)
    matrix = calibrated(matrix, x, key=3)
    # a code may fall the other way where float32 and float64 round apart
    code = naive.code_weight(matrix) * np.abs(matrix.part_factors).max() * 2**4
    off = np.abs(multiply(matrix, x, key=7, first=2) - naive.multiply(matrix, x, key=7, first=2))
    assert np.median(off) < 1e-5 * code
    assert off.max() < 1.01 * code


# ---- ideal hardware computes integer products -------------------------------------------------------


@pytest.mark.parametrize("inputs", ["parallel", "bit_serial"])
@pytest.mark.parametrize("signed_inputs", ["two_phase", "bipolar"])
@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize(("n_slices", "bits"), [(1, 4), (4, 1), (3, 2)])
def test_ideal_hardware_gives_exact_integer_products(
    inputs: str, signed_inputs: str, mapping: str, n_slices: int, bits: int
) -> None:
    paired = mapping in {"pairs", "separate"}
    w_top = 2 ** (n_slices * bits) - 1 if paired else 2 ** (n_slices * bits - 1) - 1
    x_top, draw = 127, np.random.default_rng(0)
    w, x = draw.integers(-w_top, w_top + 1, (40, 6)), draw.integers(-x_top, x_top + 1, (9, 40))
    w[0, 0], x[0, 0] = w_top, x_top
    # the converter's step is the current of one input step through one weight step
    step = V_READ / (1 if inputs == "bit_serial" else x_top) * WINDOW / (2**bits - 1)
    matrix = matrix_of(
        w,
        macro=macro_of(rows=16),
        inputs=inputs,
        signed_inputs=signed_inputs,
        mapping=mapping,
        weight_slices=n_slices,
        slice_bits=bits,
        dac_bits=8,
        dac_full_scale=float(x_top),
        adc_bits=24,
        adc_full_scale=step * (2**23 - 1),
    )
    y = multiply(matrix, x, key=0).astype(np.float64)
    assert_array_equal(np.rint(y), x @ w)
    assert_allclose(y, x @ w, rtol=1e-6, atol=1e-6 * x_top * w_top * 40)


@pytest.mark.parametrize("signed_inputs", ["two_phase", "bipolar"])
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_ideal_hardware_gives_real_products(mapping: str, signed_inputs: str) -> None:
    w, x = uniform((70, 5)), uniform((30, 70), seed=1)
    matrix = matrix_of(w, macro=macro_of(rows=32), mapping=mapping, signed_inputs=signed_inputs, **EXACT)
    assert_allclose(multiply(matrix, x, key=0), x @ w, atol=2e-5)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_a_matrix_of_zeros_gives_zeros(mapping: str) -> None:
    y = multiply(matrix_of(np.zeros((4, 3)), mapping=mapping, **EXACT), uniform((2, 4)), key=0)
    assert_allclose(y, 0, atol=1e-6)


# ---- quantisation noise ----------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_noise_of_the_drivers_is_a_twelfth_of_a_step_squared(bits: int) -> None:
    w, x = uniform((50, 40)), uniform((400, 50), seed=1)
    matrix = matrix_of(w, dac_bits=bits, adc_bits=0, dac_full_scale=1.0)
    error = multiply(matrix, x, key=0) - x @ w
    step = 1 / matrix.dac_top
    assert np.var(error) == pytest.approx(step**2 / 12 * (w**2).sum(0).mean(), rel=0.05)


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_noise_of_the_converters_is_a_twelfth_of_a_step_squared(bits: int) -> None:
    w, x = uniform((50, 40)), uniform((400, 50), seed=1)
    matrix = calibrated(
        matrix_of(w, dac_bits=0, adc_bits=bits, signed_inputs="bipolar", adc_clip=0), x, key=0
    )
    error = multiply(matrix, x, key=0) - x @ w
    assert np.var(error) == pytest.approx(naive.code_weight(matrix) ** 2 / 12, rel=0.05)


@pytest.mark.parametrize("bits", range(4, 13))
def test_a_full_scale_sine_reaches_the_textbook_ratio(bits: int) -> None:
    x = np.sin(np.pi * uniform((50_000, 1)))
    full_scale = V_READ * WINDOW
    matrix = matrix_of(
        np.ones((1, 1)),
        dac_bits=0,
        dac_full_scale=1.0,
        adc_bits=bits,
        adc_full_scale=full_scale,
        signed_inputs="bipolar",
    )
    noise = multiply(matrix, x, key=0) - x
    ratio = 10 * np.log10(np.var(x) / np.var(noise))
    # the symmetric converter has one level less than 2^bits: its step is wider
    law = 6.02 * bits + 1.76 + 20 * np.log10(1 - 2.0 ** (1 - bits))
    assert ratio == pytest.approx(law, abs=2.5 * 2 ** (-bits / 2))


# ---- read noise ------------------------------------------------------------------------------------

N_READS = 20_000


def normalised(matrix: AnalogMatrix, x: npt.NDArray[np.float32], n: int = N_READS) -> npt.NDArray[np.float64]:
    """Noise of n products of one input in units of the closed form's standard deviation, (n, n_out)."""
    y = multiply(matrix, np.tile(x, (n, 1)), key=5).astype(np.float64)
    quiet = multiply(replace(matrix, variance=np.zeros_like(matrix.variance)), x[None], key=5)
    v = x.astype(np.float64) * V_READ
    sigma = np.sqrt(v**2 @ matrix.variance) * matrix.weight_unit / V_READ
    return (y - quiet) / sigma


def test_read_noise_has_the_moments_of_the_closed_form() -> None:
    matrix = matrix_of(uniform((60, 8)), NOISY, **EXACT)
    z = normalised(matrix, uniform((60,), seed=1))
    assert np.abs(z.mean(0)).max() < 4.5 / np.sqrt(N_READS)
    assert np.abs(z.var(0) - 1).max() < 4.5 * np.sqrt(2 / N_READS)
    assert np.abs(stats.kurtosis(z)).max() < 4.5 * np.sqrt(24 / N_READS)
    assert np.abs(stats.skew(z)).max() < 4.5 * np.sqrt(6 / N_READS)
    between_columns = (z.T @ z)[np.triu_indices(8, 1)] / N_READS
    between_reads = z[1:].T @ z[:-1] / N_READS
    assert max(np.abs(between_columns).max(), np.abs(between_reads).max()) < 4.8 / np.sqrt(N_READS)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_read_noise_equals_noise_drawn_cell_by_cell(mapping: str) -> None:
    device = DeviceConfig(card="ideal", sigma_read=0.2)
    matrix = matrix_of(uniform((30, 2)), device, macro_of(rows=16), mapping=mapping, **EXACT)
    x, n = uniform((30,), seed=1), 4000
    drawn = naive.products_cell_by_cell(matrix, x, np.random.default_rng(2), n)
    y = multiply(matrix, np.tile(x, (n, 1)), key=5)
    for j in range(2):
        assert stats.ks_2samp(y[:, j], drawn[:, j]).pvalue > 1e-4
        assert np.std(y[:, j]) == pytest.approx(np.std(drawn[:, j]), rel=4.5 / np.sqrt(n))


def test_noise_of_an_input_depends_on_its_number_alone() -> None:
    matrix = matrix_of(uniform((20, 3)), NOISY, **EXACT)
    x = uniform((mvm.BLOCK + 50, 20), seed=1)
    y = multiply(matrix, x, key=1)
    assert_allclose(multiply(matrix, x[40:], key=1, first=40), y[40:], atol=1e-5)
    assert_array_equal(multiply(matrix, x, key=1), y)
    assert np.abs(multiply(matrix, x, key=2) - y).min(axis=0).max() > 0


def test_integration_divides_the_white_variance() -> None:
    t_read = MACRO.t_read.value
    once, often = (matrix_of(uniform((20, 3)), NOISY, t_integrate=n * t_read, **EXACT) for n in (1, 16))
    assert_allclose(once.variance, 16 * often.variance, rtol=1e-6)
    x = np.tile(uniform((20,), seed=1), (4000, 1))
    assert_allclose(
        multiply(once, x, key=1).std(0), 4 * multiply(often, x, key=1).std(0), rtol=4.5 / np.sqrt(4000)
    )


def test_slow_noise_stands_still_while_white_noise_moves() -> None:
    x = np.tile(uniform((20,), seed=1), (50, 1))
    device = DeviceConfig(card="pcm_nandakumar2019")
    frozen = device.model_copy(update={"read_white_fraction": 0.0})
    quiet = device.model_copy(update={"sigma_read": 0.0})
    y, still, ideal = (
        multiply(matrix_of(uniform((20, 3)), d, **EXACT), x, key=1) for d in (device, frozen, quiet)
    )
    assert y.std(0).min() > 0
    assert_allclose(still.std(0), 0, atol=1e-6)
    assert np.abs(still - ideal).max() > 1e-4


# ---- converters ------------------------------------------------------------------------------------


def test_converters_are_those_of_the_liquid() -> None:
    w, x = uniform((20, 6)), uniform((50, 20), seed=1)
    options = {"dac_bits": 0, "dac_full_scale": 1.0, "signed_inputs": "bipolar"}
    errors = {"adc_sigma_gain": 0.05, "adc_sigma_offset": 1.0, "adc_inl": 2.0}
    matrix = matrix_of(w, adc_bits=5, adc_full_scale=3e-5, **options, **errors)
    current = (x * np.float32(V_READ)) @ matrix.g
    codes = quantise(current, Adc(5, 3e-5), matrix.errors[0]) * np.float32(matrix.weight_unit / V_READ)
    assert_allclose(multiply(matrix, x, key=0), codes, rtol=1e-5, atol=1e-5)
    assert np.abs(codes - quantise(current, Adc(5, 3e-5)) * matrix.weight_unit / V_READ).max() > 0


def test_every_row_group_has_converters_of_its_own() -> None:
    matrix = matrix_of(uniform((40, 6)), macro=macro_of(rows=20), adc_bits=8, adc_sigma_offset=1.0)
    first, second = matrix.errors
    assert isinstance(first, ColumnErrors)
    assert isinstance(second, ColumnErrors)
    assert not np.array_equal(first.offset, second.offset)


@pytest.mark.parametrize("clip", [0.0, 0.01, 0.2])
def test_calibration_saturates_the_share_that_was_asked_for(clip: float) -> None:
    w, x = uniform((30, 20)), uniform((500, 30), seed=1)
    matrix = calibrated(matrix_of(w, NOISY, dac_bits=8, adc_bits=8, adc_clip=clip), x, key=1)
    assert matrix.dac_full_scale == np.abs(x).max()
    assert matrix.adc_clipped == pytest.approx(clip, abs=1e-3)
    # on other data the share differs, and is what a count of saturated converters says
    codes = mvm._codes(matrix, uniform((500, 30), seed=2))
    top = 2 ** (matrix.adc_bits - 1) - 1
    saturated = [np.mean(np.abs(code) == top) for _, code, _ in mvm._conversions(matrix, codes, 1, 0)]
    assert np.mean(saturated) == pytest.approx(clip, abs=0.01)


def test_calibration_measures_a_given_full_scale() -> None:
    w, x = uniform((30, 20)), uniform((500, 30), seed=1)
    matrix = matrix_of(w, dac_bits=8, dac_full_scale=0.5, adc_bits=8, adc_full_scale=1e-5)
    seen = calibrated(matrix, x, key=1)
    assert (seen.dac_full_scale, seen.adc_full_scale) == (0.5, 1e-5)
    v = np.rint(np.clip(x / 0.5, -1, 1) * 127) / 127 * V_READ
    currents = np.abs([np.maximum(side, 0) @ matrix.g for side in (v, -v)])
    assert seen.adc_clipped == pytest.approx(np.mean(currents > 1e-5), abs=1e-4)
    assert 0.05 < seen.adc_clipped < 0.95


def test_config_takes_the_macro_cards_values() -> None:
    macro = load_macro("rram_40nm_256kb")
    matrix = matrix_of(uniform((4, 3)), macro=macro, adc_full_scale=None, dac_full_scale=1.0)
    assert (matrix.dac_bits, matrix.adc_bits, matrix.adc_full_scale) == (16, 14, 100e-6)
    assert multiply(matrix, uniform((2, 4)), key=0).shape == (2, 3)


def test_conversions_are_counted() -> None:
    matrix = matrix_of(
        uniform((40, 6)),
        macro=macro_of(rows=20),
        inputs="bit_serial",
        dac_bits=5,
        mapping="reference",
        slice_bits=2,
        weight_slices=3,
    )
    assert matrix.n_reads == 2 * 4
    assert matrix.n_conversions == 8 * 2 * 3 * 7


# ---- cells -----------------------------------------------------------------------------------------


def test_cells_are_programmed_with_the_cards_errors() -> None:
    w = uniform((200, 60))
    matrix = matrix_of(w, DeviceConfig(card="ideal", sigma_prog=0.05))
    target = w / np.abs(w).max() * WINDOW
    z = (matrix.g - target) / (0.05 * np.abs(target))
    assert np.abs(z.mean()) < 4.5 / np.sqrt(z.size)
    assert z.std() == pytest.approx(1, abs=4.5 / np.sqrt(2 * z.size))


def test_cells_on_one_word_line_die_together() -> None:
    matrix = matrix_of(np.ones((50, 4)), DeviceConfig(card="ideal", p_dead_row=0.3), mapping="offset")
    dead = matrix.g == 0
    assert 0 < dead.all(axis=1).sum() < 50
    assert_array_equal(dead.any(axis=1), dead.all(axis=1))


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_wires_change_what_the_converters_see(mapping: str) -> None:
    w = uniform((16, 3))
    wires = WiresConfig(r_wire_row=20.0, r_wire_col=20.0, rows_off="grounded")
    matrix = matrix_of(w, NOISY, wires=wires, mapping=mapping)
    without = matrix_of(w, NOISY, mapping=mapping)
    r = w / np.abs(w).max()
    ends = wires.resistances(MACRO)
    if mapping in {"pairs", "separate"}:
        plus, minus = np.maximum(r, 0) * WINDOW, np.maximum(-r, 0) * WINDOW
        if mapping == "pairs":
            seen = effective_conductance(np.stack([plus, minus], 2).reshape(16, 6), ends)
            expected = seen[:, ::2] - seen[:, 1::2]
        else:
            expected = np.hstack([effective_conductance(side, ends) for side in (plus, minus)])
    else:
        cells = (1 + r) / 2 * WINDOW
        last = np.full((16, 1), WINDOW / 2 if mapping == "reference" else 0)  # an even number of lines
        expected = effective_conductance(np.hstack([cells, last]), ends)[:, : matrix.g.shape[1]]
    assert_allclose(matrix.g, expected, rtol=1e-4, atol=1e-5 * WINDOW)
    assert np.abs(matrix.g - without.g).max() > 0.005 * WINDOW
    assert (matrix.variance <= without.variance).all()


@pytest.mark.parametrize("inputs", ["parallel", "bit_serial"])
def test_curved_cells_are_right_at_the_read_voltage_and_low_below(inputs: str) -> None:
    device = DeviceConfig(card="ideal", v_nonlinear=0.1)
    matrix = matrix_of(
        np.ones((1, 1)),
        device,
        inputs=inputs,
        dac_bits=8,
        adc_bits=0,
        dac_full_scale=1.0,
        signed_inputs="bipolar",
    )
    x = np.float32([[-1], [0], [64 / 127], [1]])
    half = np.sinh(V_READ * 64 / 127 / 0.1) / np.sinh(V_READ / 0.1)
    expected = [-1, 0, 64 / 127 if inputs == "bit_serial" else half, 1]
    assert_allclose(multiply(matrix, x, key=0)[:, 0], expected, rtol=1e-5)


# ---- reproducible, and refused where wrong ------------------------------------------------------------


def test_number_of_threads_changes_no_bit() -> None:
    matrix = matrix_of(uniform((600, 120)), NOISY, dac_bits=8, adc_bits=6, macro=macro_of(rows=300))
    x = uniform((300, 600), seed=1)
    matrix = calibrated(matrix, x, key=1)
    results = []
    for n in (1, 2):
        with threadpool_limits(n):
            results.append(multiply(matrix, x, key=1))
    assert_array_equal(*results)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"dac_bits": 1}, "dac_bits = 1 leaves a driver the level 0 alone; use 2 or more"),
        ({"adc_bits": 1}, "adc_bits = 1 leaves a converter the level 0 alone; use 2 or more"),
        (
            {"t_integrate": 1e-9},
            "t_integrate = 1e-09 s is shorter than t_read = 1e-07 s of macro card 'ideal'",
        ),
        ({"weight_slices": 5, "slice_bits": 5}, "25 bits, but mapping 'pairs' takes 1 to 24"),
        ({"mapping": "offset", "slice_bits": 1}, "1 bits, but mapping 'offset' takes 2 to 24"),
    ],
)
def test_values_out_of_range_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        matrix_of(uniform((4, 3)), **config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"inputs": "bit_serial", "dac_bits": 0}, r"dac_bits = 0 \(ideal\) has no bits; set dac_bits"),
        ({"adc_bits": 0, "adc_inl": 1.0}, "but adc_bits = 0 has none; give it bits"),
        ({"weight_slices": 2}, "weight_slices = 2 share the bits of a weight; say with slice_bits"),
    ],
)
def test_contradictions_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        matrix_of(uniform((4, 3)), **config)


def test_a_polynomial_current_is_known_at_one_voltage_only() -> None:
    device, macro = DeviceConfig(card="rram_milo2021"), load_macro("rram_40nm_256kb")
    with pytest.raises(ExperimentError, match=r"has a polynomial \[iv\].*set inputs = 'bit_serial'"):
        matrix_of(uniform((4, 3)), device, macro)
    matrix_of(uniform((4, 3)), device, macro, inputs="bit_serial")


@pytest.mark.parametrize("weights", [np.ones(3), np.ones((0, 3)), [[np.nan]]])
def test_weights_must_be_a_matrix_of_numbers(weights: npt.ArrayLike) -> None:
    with pytest.raises(ShapeError, match=r"no matrix of finite numbers; give \(n_in, n_out\)"):
        matrix_of(weights)


def test_inputs_must_fit() -> None:
    matrix = matrix_of(uniform((4, 3)), **EXACT)
    for x in (np.ones(4), np.ones((2, 5))):
        with pytest.raises(ShapeError, match="do not fit a matrix of 4 rows"):
            multiply(matrix, x, key=0)
        with pytest.raises(ShapeError, match="do not fit a matrix of 4 rows"):
            calibrated(matrix, x, key=0)


def test_full_scales_must_be_set() -> None:
    matrix = matrix_of(uniform((4, 3)), adc_bits=8)
    for one in (matrix, replace(matrix, dac_full_scale=1.0), replace(matrix, adc_full_scale=1.0)):
        with pytest.raises(ExperimentError, match="'calibrated', and no data have set it yet"):
            multiply(one, uniform((2, 4)), key=0)
    with pytest.raises(OutOfRangeError, match="calibrating inputs are all 0"):
        calibrated(matrix, np.zeros((2, 4)), key=0)
    with pytest.raises(OutOfRangeError, match="every column current is 0"):
        calibrated(matrix_of(np.zeros((4, 3)), adc_bits=8), uniform((2, 4)), key=0)


def test_a_macro_needs_room_for_a_pair() -> None:
    with pytest.raises(CardError, match="no room for a differential pair"):
        matrix_of(uniform((4, 3)), macro=macro_of(cols=1))


def test_work_of_a_product_counts_its_reads_and_conversions():
    config = MvmConfig(
        dac_bits=4, inputs="bit_serial", signed_inputs="two_phase", adc_bits=8, weight_slices=2, slice_bits=3
    )
    weights = np.random.default_rng(0).normal(size=(700, 30))
    matrix = program_matrix(weights, config, IDEAL, MACRO, seed=0, name="m")
    operations = count_operations(matrix.tiles, matrix.work)
    assert matrix.n_reads == 3 * 2
    assert operations["adc_conversions"] == matrix.n_conversions
    assert operations["cell_reads"] == pytest.approx(matrix.n_reads * matrix.tiles.cells)
    assert operations["row_activations"] == pytest.approx(matrix.n_reads * 700 * matrix.tiles.col_groups)
    assert 0 < matrix.g_mean < WINDOW

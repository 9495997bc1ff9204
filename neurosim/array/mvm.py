"""Signed matrix-vector products computed in memory: drivers, cells, read noise, converters, digital sums.

inputs -> codes -> voltages -> currents with noise -> codes -> sums
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from numba import njit
from pydantic import Field

from neurosim.array.adc import S_PEAK, Adc, ColumnErrors, calibrate
from neurosim.array.cost import Work
from neurosim.array.crossbar import reads_averaged
from neurosim.array.tiles import Tiling
from neurosim.cards import MacroCard
from neurosim.config import StrictModel
from neurosim.counter import fill_normals
from neurosim.errors import ExperimentError, OutOfRangeError, ShapeError

Array = npt.NDArray[np.float32]
Positive = Annotated[float, Field(gt=0)]

BLOCK = 256  # inputs multiplied at a time, so that their currents stay in the second cache
CALIBRATION = 512  # inputs that set the full scales


class MvmConfig(StrictModel):
    """A matrix-vector product computed in memory; None takes the macro card's own value.

    Attributes:
        dac_bits: Resolution of the row drivers, sign included, at least 2; 0 is ideal.
        dac_full_scale: Input that drives a row with the read voltage [1]; ``calibrated``: the largest one of
            unlabelled data.
        inputs: An input at once through the driver's levels (``parallel``), or one bit of it after the other
            at the read voltage, shifted and added behind the converters (``bit_serial``).
        signed_inputs: Positive and negative inputs in two reads (``two_phase``), or in one with voltages of
            either sign (``bipolar``).
        mapping: A weight as G+ - G-, subtracted before the converter (``pairs``) or behind it (``separate``
            arrays); or as one cell minus the share of a zero weight, which is computed from the sum of the
            inputs (``offset``) or measured on one more column (``reference``).
        weight_slices: Cells, or pairs, that share the bits of a weight; more than one need ``slice_bits``.
        slice_bits: Bits of a cell; None: any conductance of the window.
        adc_bits: Resolution of the column converters, at least 2; 0 is ideal.
        adc_full_scale: Column current at which they saturate [A]; ``calibrated``: on unlabelled data, so that
            a share ``adc_clip`` of the currents saturates.
        adc_clip: That share [1].
        adc_sigma_gain: Spread of the converters' gain [1].
        adc_sigma_offset: Spread of their offset [step].
        adc_inl: Their integral nonlinearity [step].
        t_integrate: Time over which a read is integrated [s]; None: a sample after the card's t_read. The
            variance of the white read noise falls as t_read/t_integrate.
    """

    dac_bits: int | None = Field(default=None, ge=0, le=24)
    dac_full_scale: Positive | Literal["calibrated"] = "calibrated"
    inputs: Literal["parallel", "bit_serial"] = "parallel"
    signed_inputs: Literal["two_phase", "bipolar"] = "two_phase"
    mapping: Literal["pairs", "separate", "offset", "reference"] = "pairs"
    weight_slices: int = Field(default=1, ge=1, le=24)
    slice_bits: int | None = Field(default=None, ge=1, le=24)
    adc_bits: int | None = Field(default=None, ge=0, le=24)
    adc_full_scale: Positive | Literal["calibrated"] | None = "calibrated"
    adc_clip: float = Field(default=1e-3, ge=0, lt=1)
    adc_sigma_gain: float = Field(default=0.0, ge=0, le=1)
    adc_sigma_offset: float = Field(default=0.0, ge=0, le=1e6)
    adc_inl: float = Field(default=0.0, ge=0, le=1e6)
    t_integrate: float | None = Field(default=None, gt=0, le=1)


@dataclass(frozen=True, eq=False)
class AnalogMatrix:
    """A matrix of weights in the cells of one chip.

    A weight has one or more parts, each on a converter of its own: its slices, and G+ and G- where they are
    converted apart. The columns of the first part of all weights stand first, then those of the second.

    Attributes:
        config: How it is multiplied.
        macro: Macro card.
        tiles: Layout on macros; the rows of every row group are read and converted on their own.
        g: float32 (n_in, n_columns), conductance that a column's converter sees at the read voltage [S].
        variance: float32 (n_in, n_columns), variance of its white read noise [S^2].
        g_mean: Mean conductance of the cells as they are seen [S].
        part_factors: float32 (n_parts,), what a code of a part counts [1].
        weight_unit: Weight of 1 S in a part of factor 1 [1/S].
        zero: Weight that is subtracted from every weight digitally [1].
        v0: V0 of cells with the current G V0 sinh(V/V0) [V]; 0: linear ones.
        errors: Errors of the converters of every row group.
        dac_bits, adc_bits: Resolutions; 0 is ideal.
        dac_full_scale: Input that drives a row with the read voltage [1]; None: still to be calibrated.
        adc_full_scale: Current at which the converters saturate [A]; None: still to be calibrated.
        adc_clipped: Share of the conversions of the calibrating inputs that saturated [1].
    """

    config: MvmConfig
    macro: MacroCard
    tiles: Tiling
    g: Array
    variance: Array
    g_mean: float
    part_factors: Array
    weight_unit: float
    zero: float
    v0: float
    errors: tuple[ColumnErrors | None, ...]
    dac_bits: int
    adc_bits: int
    dac_full_scale: float | None
    adc_full_scale: float | None
    adc_clipped: float | None = None

    @property
    def dac_top(self) -> int:
        """Code of the largest input; 1 for ideal drivers."""
        return (1 << max(self.dac_bits, 2) - 1) - 1

    @property
    def adc(self) -> Adc | None:
        """Converters; None is ideal, or still to be calibrated."""
        return Adc(self.adc_bits, self.adc_full_scale) if self.adc_bits and self.adc_full_scale else None

    @property
    def n_reads(self) -> int:
        """Reads of every row per product."""
        n_bits = self.dac_bits - 1 if self.config.inputs == "bit_serial" else 1
        return n_bits * (2 if self.config.signed_inputs == "two_phase" else 1)

    @property
    def n_conversions(self) -> int:
        """Conversions per product."""
        return self.n_reads * self.tiles.row_groups * len(self.g.T)

    @property
    def work(self) -> Work:
        """One product, for `macro_cost`: every row at the read voltage in every read."""
        n_parts = len(self.part_factors)
        n_driven = self.tiles.cells / (2 * n_parts)
        return Work(
            n_neurons=self.g.shape[1] // n_parts,
            n_steps=1,
            n_synapses=round(n_driven),
            n_driven=n_driven,
            n_spikes=0.0,
            n_macs=0,
            n_cycles=self.n_reads,
            n_slices=n_parts,
            reads_averaged=reads_averaged(self.config.t_integrate, self.macro),
        )


def calibrated(matrix: AnalogMatrix, x: npt.ArrayLike, *, key: int) -> AnalogMatrix:
    """The matrix with full scales set on data, where its config says so, and ``adc_clipped`` measured.

    Args:
        matrix: Programmed matrix.
        x: Unlabelled inputs (n, n_in); at most 512 of them, evenly spaced, are used.
        key: Key of the read noise.

    Raises:
        OutOfRangeError: If the inputs or their currents are 0 and set no scale.
        ShapeError: If ``x`` does not fit.
    """
    x = _inputs(matrix, x)
    x = x[:: max(1, -(-len(x) // CALIBRATION))]
    if matrix.config.dac_full_scale == "calibrated":
        largest = float(np.abs(x).max(initial=0))
        if largest == 0:
            raise OutOfRangeError(
                "the calibrating inputs are all 0, so that they set no full scale; give dac_full_scale"
            )
        matrix = replace(matrix, dac_full_scale=largest)
    if not matrix.adc_bits:
        return matrix
    codes = _codes(matrix, x)
    if matrix.config.adc_full_scale == "calibrated":
        ideal = replace(matrix, adc_full_scale=None)
        currents = [current for _, current, _ in _conversions(ideal, codes, key, 0)]
        matrix = replace(matrix, adc_full_scale=calibrate(currents, matrix.config.adc_clip))
    n_clipped = sum(clipped for _, _, clipped in _conversions(matrix, codes, key, 0))
    return replace(matrix, adc_clipped=n_clipped / (len(x) * matrix.n_conversions))


def multiply(matrix: AnalogMatrix, x: npt.ArrayLike, *, key: int, first: int = 0) -> Array:
    """Products x W of inputs and the programmed matrix.

    Row i is driven with V_i = v_read k_i/k_max, k_i = round(k_max x_i/dac_full_scale) clipped to +-k_max,
    k_max = 2^(dac_bits - 1) - 1, or with the bits of k_i one after another; cells with a curved current count
    as v_read sinh(V_i/V0)/sinh(v_read/V0). A column's current is

        I_j = sum_i V_i G_ij + sqrt(sum_i V_i^2 sigma_ij^2) xi_j,

    one normal number per column, row group and read: its distribution is exactly that of one number per cell
    and read (see `white_variance`). A converter makes it a code, I_j in steps as in `quantise`. Codes of
    reads, bits, row groups and parts are added with their powers of two, and scaled last.

    Args:
        matrix: Programmed matrix.
        x: Inputs (n, n_in) [1].
        key: Key of the read noise.
        first: Number of the first input; the noise of an input depends on its number alone.

    Returns:
        float32 (n, n_out).

    Raises:
        ExperimentError: If full scales are still to be calibrated.
        ShapeError: If ``x`` does not fit.

    Assumes: read noise white from read to read; settled voltages; drivers and converters without noise.
    Source: Ohm's and Kirchhoff's laws, addition of variances; shown against noise drawn cell by cell in
        tests/test_mvm.py.
    """
    x = _inputs(matrix, x)
    if matrix.dac_full_scale is None or (matrix.adc_bits and matrix.adc is None):
        raise ExperimentError(
            "dac_full_scale or adc_full_scale is 'calibrated', and no data have set it yet; call "
            "calibrated(matrix, x, key=...) first, or give a number"
        )
    n_parts = len(matrix.part_factors)
    n_out = matrix.g.shape[1] // n_parts - (matrix.config.mapping == "reference")
    out = np.empty((len(x), n_out), np.float32)
    for i in range(0, len(x), BLOCK):
        codes = _codes(matrix, x[i : i + BLOCK])
        sums = np.zeros((len(codes), matrix.g.shape[1]), np.float32)
        for factor, part, _ in _conversions(matrix, codes, key, first + i):
            sums += factor * part
        # whole numbers below 2^24: these sums are not rounded
        y = np.einsum("ipj,p->ij", sums.reshape(len(codes), n_parts, -1), matrix.part_factors)
        out[i : i + BLOCK] = y[:, :n_out] - y[:, n_out:] if matrix.config.mapping == "reference" else y
        out[i : i + BLOCK] *= np.float32(_code_weight(matrix))
        if matrix.zero:
            inputs = codes.sum(axis=1, keepdims=True) * np.float32(matrix.dac_full_scale / matrix.dac_top)
            out[i : i + BLOCK] -= np.float32(matrix.zero) * inputs
    return out


def _inputs(matrix: AnalogMatrix, x: npt.ArrayLike) -> Array:
    """Inputs as float32 (n, n_in)."""
    x = np.asarray(x, np.float32)
    if x.ndim != 2 or x.shape[1] != len(matrix.g):
        raise ShapeError(
            f"inputs of shape {x.shape} do not fit a matrix of {len(matrix.g)} rows; give (n, n_in)"
        )
    return x


def _code_weight(matrix: AnalogMatrix) -> float:
    """What a code 1 of a part of factor 1 adds to a product; of a current of 1 A with ideal converters."""
    codes = matrix.dac_top if matrix.config.inputs == "bit_serial" else 1
    input_per_volt = (matrix.dac_full_scale or 0.0) / (codes * matrix.macro.v_read.value)
    return input_per_volt * matrix.weight_unit * (matrix.adc.step if matrix.adc else 1.0)


def _codes(matrix: AnalogMatrix, x: Array) -> Array:
    """What the drivers are told: whole numbers in -dac_top .. dac_top, any in -1 .. 1 for ideal ones."""
    codes = x * np.float32(matrix.dac_top / (matrix.dac_full_scale or 1.0))
    if matrix.dac_bits:
        np.rint(codes, out=codes)
    return np.clip(codes, -matrix.dac_top, matrix.dac_top, out=codes)


def _voltages(matrix: AnalogMatrix, codes: Array) -> Iterator[tuple[float, Array]]:
    """Digital factor and row voltages (n, n_in) [V] of every read."""
    v_read = np.float32(matrix.macro.v_read.value)
    phases = [(1.0, codes)]
    if matrix.config.signed_inputs == "two_phase":
        phases = [(1.0, np.maximum(codes, 0)), (-1.0, np.maximum(-codes, 0))]
    for sign, phase in phases:
        if matrix.config.inputs == "bit_serial":
            size = np.abs(phase).astype(np.int32)
            for bit in range(matrix.dac_bits - 1):
                yield sign * 2.0**bit, np.sign(phase) * (size >> bit & 1).astype(np.float32) * v_read
            continue
        v = phase * (v_read / np.float32(matrix.dac_top))
        if matrix.v0:
            v0 = np.float32(matrix.v0)
            v = v_read / np.sinh(v_read / v0) * np.sinh(v / v0)
        yield sign, v


def _conversions(
    matrix: AnalogMatrix, codes: Array, key: int, first: int
) -> Iterator[tuple[float, Array, int]]:
    """Digital factor, codes (n, n_columns) and number of saturated ones, by read and row group.

    Without converters the codes are the currents [A].
    """
    adc, height, n_groups = matrix.adc, matrix.tiles.block[0], matrix.tiles.row_groups
    noisy = bool(matrix.variance.any())
    none = np.zeros(matrix.g.shape[1], np.float32)
    stride = matrix.n_reads * n_groups
    for read, (factor, v) in enumerate(_voltages(matrix, codes)):
        power: Array = v * v
        for group, errors in enumerate(matrix.errors):
            rows = slice(group * height, (group + 1) * height)
            current = v[:, rows] @ matrix.g[rows]
            variance = power[:, rows] @ matrix.variance[rows] if noisy else current[:0]
            n_clipped = convert(
                current,
                variance,
                key,
                first * stride + read * n_groups + group,
                stride,
                np.float32(adc.step if adc else 0.0),
                np.float32(adc.full_scale if adc else 0.0),
                errors.gain if errors else none,
                errors.offset if errors else none,
                errors.inl if errors else none,
            )
            yield factor, current, n_clipped


@njit(cache=True, error_model="numpy")
def convert(
    current: Array,
    variance: Array,
    key: int,
    counter: int,
    stride: int,
    step: np.float32,
    full_scale: np.float32,
    gain: Array,
    offset: Array,
    inl: Array,
) -> int:
    """Add read noise to currents and make them codes: those of `quantise`, in steps.

    Args:
        current: float32 (n, n_columns) [A], overwritten by the codes; by the noisy currents where step is 0.
        variance: float32 (n, n_columns) [A^2]; (0, n_columns): no noise.
        key: Key of the stream.
        counter: Block of normal numbers of the first row.
        stride: From one row's block to the next one's.
        step: Converters' step [A]; 0: ideal.
        full_scale: Current at which they saturate [A].
        gain: float32 (n_columns,) [1].
        offset: float32 (n_columns,) [step].
        inl: float32 (n_columns,) [step].

    Returns:
        Number of currents beyond the full scale.
    """
    n, n_columns = current.shape
    xi = np.empty(n_columns, np.float32)
    one = np.float32(1)
    top = np.float32(np.rint(full_scale / step)) if step > 0 else one
    n_clipped = 0
    for i in range(n):
        row = current[i]
        if len(variance):
            fill_normals(key, counter + i * stride, xi)
            for j in range(n_columns):
                row[j] += np.sqrt(variance[i, j]) * xi[j]
        if step > 0:
            for j in range(n_columns):
                x = row[j] * (one + gain[j]) + step * offset[j]
                y = min(max(x / full_scale, -one), one)
                x += step * inl[j] * S_PEAK * (y - y * y * y)
                n_clipped += abs(x) > full_scale
                row[j] = min(max(np.float32(np.rint(x / step)), -top), top)
    return n_clipped

"""The crossbar: differential pairs of one chip, how they are read and what noise the reads carry."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from neurosim import rng
from neurosim.array.adc import Adc, ColumnErrors, draw_column_errors
from neurosim.array.irdrop import Chord, Seen, WiresConfig, see_pairs
from neurosim.array.tiles import Pairs, Tiling, tile
from neurosim.array.wires import MeanFieldError, mean_field_error
from neurosim.cards import MacroCard, load_macro
from neurosim.config import StrictModel
from neurosim.device import Cells, DeviceConfig, check_read_voltage, chord, make_cells, slow_steps
from neurosim.errors import ExperimentError, OutOfRangeError, ShapeError

Array = npt.NDArray[np.float32]

N_READS = 16  # random reads on which the mean field of gated rows is checked


class ArrayConfig(StrictModel):
    """The macro that the cells stand in; None takes the card's own value.

    Attributes:
        macro: Name of a macro card, or the path of one.
        pairs: G+ and G- of a weight on ``adjacent`` columns of one array, or in ``separate`` arrays.
        adc_bits: Resolution of the column converters, at least 2; 0 is ideal.
        adc_full_scale: Differential column current at which they saturate [A]; ``calibrated``: on unlabelled
            recordings, so that a share ``adc_clip`` of the currents saturates.
        adc_clip: That share [1].
        adc_sigma_gain: Spread of the converters' gain [1].
        adc_sigma_offset: Spread of their offset [step].
        adc_inl: Their integral nonlinearity [step].
        t_integrate: Time over which a read is integrated [s]; None: a sample after the card's t_read. The
            variance of the white read noise falls as t_read/t_integrate, energy and time grow.
        wires: Wire resistance (IR drop); None: none.
    """

    macro: str = "rram_40nm_256kb"
    pairs: Pairs = "adjacent"
    adc_bits: int | None = Field(default=None, ge=0, le=24)
    adc_full_scale: Annotated[float, Field(gt=0, le=1)] | Literal["calibrated"] | None = None
    adc_clip: float = Field(default=1e-3, ge=0, lt=1)
    adc_sigma_gain: float = Field(default=0.0, ge=0, le=1)
    adc_sigma_offset: float = Field(default=0.0, ge=0, le=1e6)
    adc_inl: float = Field(default=0.0, ge=0, le=1e6)
    t_integrate: float | None = Field(default=None, gt=0, le=1)
    wires: WiresConfig | None = None

    @model_validator(mode="after")
    def _converter(self) -> Self:
        if self.adc_bits == 0 and self.adc_full_scale is not None:
            raise ValueError("adc_bits = 0 is an ideal converter, which has no adc_full_scale; remove one")
        if "adc_clip" in self.model_fields_set and self.adc_full_scale != "calibrated":
            raise ValueError(
                "adc_clip belongs to adc_full_scale = 'calibrated'; set that, or remove adc_clip"
            )
        return self


@dataclass(frozen=True, eq=False)
class Crossbar:
    """Differential pairs of one chip: a signed weight is w = scale (G+ - G-).

    Attributes:
        pos: Cells of G+, (rows, cols).
        neg: Cells of G-, (rows, cols).
        pos_seen, neg_seen: The same cells as they are seen from the columns' ends.
        macro: Macro card.
        adc_bits: Resolution of the converters of the differential column currents; 0 is ideal.
        adc: These converters; None where they are ideal, or still to be calibrated.
        adc_clip: Share of the currents that calibration lets saturate [1].
        adc_errors: Errors of the converters of the columns of pairs, if any.
        reads_averaged: Reads that an integrated one stands for [1].
        tiles: Layout on macros.
        wires: Resistance of the wires; None: none.
        chord: I/(G V) of a cell where the current is not proportional to the voltage, else None.
    """

    pos: Cells
    neg: Cells
    pos_seen: Seen
    neg_seen: Seen
    macro: MacroCard
    adc_bits: int
    adc: Adc | None
    adc_clip: float
    adc_errors: ColumnErrors | None
    reads_averaged: float
    tiles: Tiling
    wires: WiresConfig | None
    chord: Chord | None

    @property
    def adc_step(self) -> float:
        """Converter's step as the G+ - G- that gives this current at the read voltage [S]; 0: ideal."""
        return self.adc.step / self.macro.v_read.value if self.adc else 0.0

    @property
    def adc_full_scale(self) -> float:
        """Converter's full scale as a G+ - G- [S]; 0: ideal."""
        return self.adc.full_scale / self.macro.v_read.value if self.adc else 0.0

    @property
    def g_mean(self) -> float:
        """Mean conductance of all cells as the converters see them [S]."""
        return float(np.mean([self.pos_seen.g, self.neg_seen.g], dtype=np.float64))


def build_crossbar(
    config: ArrayConfig, device: DeviceConfig, shape: tuple[int, int], *, seed: int, chip: int
) -> Crossbar:
    """Make the pairs of one chip.

    Args:
        config: Macro, wires and converters.
        device: Technology of the cells.
        shape: Rows and columns of pairs.
        seed: Seed of the experiment (streams ``chip<k>/pos/...``, ``chip<k>/neg/...``, ``chip<k>/adc``).
        chip: Device instance.

    Raises:
        CardError: If a card is unknown or wrong.
        ExperimentError: If the configuration asks for what the device card cannot say.
        OutOfRangeError: If a value, such as the macro's read voltage, leaves the device card's range.
    """
    macro = load_macro(config.macro)
    lines = f"chip{chip}/pos" if config.pairs == "adjacent" else None
    pos, neg = (
        make_cells(device, shape, seed=seed, name=f"chip{chip}/{side}", word_lines=lines)
        for side in ("pos", "neg")
    )
    check_read_voltage(pos.card, macro.v_read.value, extrapolate=device.extrapolate)
    tiles = tile(shape, macro, config.pairs)
    bend = (
        partial(chord, pos.card, v_nonlinear=device.v_nonlinear)
        if pos.card.iv or device.v_nonlinear
        else None
    )
    pos_seen, neg_seen = see_pairs(pos.g, neg.g, tiles, macro, config.wires, bend)
    bits = macro.adc_bits.value if config.adc_bits is None else config.adc_bits
    full_scale = config.adc_full_scale or macro.adc_full_scale.value
    adc = Adc(bits, full_scale) if bits and isinstance(full_scale, float) else None
    errors = draw_column_errors(
        shape[1],
        sigma_gain=config.adc_sigma_gain,
        sigma_offset=config.adc_sigma_offset,
        inl=config.adc_inl,
        seed=seed,
        name=f"chip{chip}",
    )
    if errors is not None and not bits:
        raise ExperimentError(
            "array.adc_sigma_gain, adc_sigma_offset and adc_inl are errors of a converter, but "
            "array.adc_bits = 0 has none; give it bits, or set the errors to 0"
        )
    return Crossbar(
        pos=pos,
        neg=neg,
        pos_seen=pos_seen,
        neg_seen=neg_seen,
        macro=macro,
        adc_bits=bits,
        adc=adc,
        adc_clip=config.adc_clip,
        adc_errors=errors,
        reads_averaged=reads_averaged(config.t_integrate, macro),
        tiles=tiles,
        wires=config.wires,
        chord=bend,
    )


def with_cells(crossbar: Crossbar, pos: Cells, neg: Cells) -> Crossbar:
    """The same crossbar with other cells, e.g. those that were measured on a chip.

    Args:
        crossbar: Its layout, wires and converters stay.
        pos, neg: Cells of G+ and G-, (rows, cols); their conductances are I/V at the macro's read voltage.

    Raises:
        ShapeError: If they do not have the crossbar's shape.

    Assumes: a cell whose current bends conducts as at the read voltage, also behind wires.
    """
    if pos.g.shape != crossbar.pos.g.shape or neg.g.shape != crossbar.neg.g.shape:
        raise ShapeError(
            f"cells of shapes {pos.g.shape} and {neg.g.shape} for a crossbar of {crossbar.pos.g.shape}; give "
            "a conductance for every cell"
        )
    pos_seen, neg_seen = see_pairs(pos.g, neg.g, crossbar.tiles, crossbar.macro, crossbar.wires, None)
    return replace(crossbar, pos=pos, neg=neg, pos_seen=pos_seen, neg_seen=neg_seen, chord=None)


def reads_averaged(t_integrate: float | None, macro: MacroCard) -> float:
    """Reads of the card's t_read that an integrated read stands for [1]."""
    t_read = macro.t_read.value
    if t_integrate is None:
        return 1.0
    if t_integrate < t_read:
        raise OutOfRangeError(
            f"t_integrate = {t_integrate:g} s is shorter than t_read = {t_read:g} s of macro card "
            f"'{macro.name}', for which its read noise holds; raise it, or leave it out"
        )
    return t_integrate / t_read


def differential(crossbar: Crossbar) -> Array:
    """G+ - G- without read noise as the converters see it [S], float32 (rows, cols)."""
    return crossbar.pos_seen.g - crossbar.neg_seen.g


def white_variance(crossbar: Crossbar) -> Array:
    """Variance of the read noise of G+ - G- that is new at every read [S^2], float32 (rows, cols).

    var = ((gain_+ sigma_+)^2 + (gain_- sigma_-)^2) / reads_averaged, gain as in `Seen`. A column's current
    over a set of active rows then carries noise of variance

        V^2 sum over the active rows of var,

    and drawing that one normal number per column and read is exact, not an approximation: sums of
    independent normal numbers are normal, columns share no cell, and no number is used by two reads. Behind
    wires it is exact in the noise's first order.

    Assumes: white noise normal and independent from cell to cell and from read to read; a row driven k
        times in a step is read k times.
    Source: addition of variances; shown against cell-by-cell noise in tests/physics/test_read_noise.py.
    """
    pos: Array = crossbar.pos_seen.gain * crossbar.pos.sigma_white
    neg: Array = crossbar.neg_seen.gain * crossbar.neg.sigma_white
    variance: Array = (pos**2 + neg**2) / np.float32(crossbar.reads_averaged)
    return variance


def wire_error(crossbar: Crossbar, *, seed: int, chip: int) -> MeanFieldError:
    """What wires take, and how far the mean field of gated rows is off on random reads of the first block.

    Args:
        crossbar: Pairs behind wires.
        seed: Seed of the experiment (stream ``chip<k>/wires`` draws the rows of the reads).
        chip: Device instance.

    Raises:
        ExperimentError: If the crossbar has no wires.

    Assumes: cells whose current bends conduct as they do at the read voltage.
    """
    config = crossbar.wires
    if config is None:
        raise ExperimentError("this crossbar has no wires: their error is 0; set array.wires")
    tiles, macro = crossbar.tiles, crossbar.macro
    pos, neg = (
        side.g for side in see_pairs(crossbar.pos.g, crossbar.neg.g, tiles, macro, None, crossbar.chord)
    )
    rows, cols = tiles.block
    g = pos[:rows, :cols]
    if tiles.arrays == 1:
        g = np.stack([g, neg[:rows, :cols]], axis=2).reshape(len(g), -1)
    seen = [crossbar.pos_seen.g, crossbar.neg_seen.g]
    ideal = float(np.sum([pos, neg], dtype=np.float64))
    loss = 1 - float(np.sum(seen, dtype=np.float64)) / ideal if ideal else 0.0
    if config.rows_off == "grounded":
        return MeanFieldError(loss, 0.0, 0.0, 0.0)
    active = rng.stream(seed, f"chip{chip}/wires").random((N_READS, len(g))) < config.activity
    resistances = config.resistances(macro)
    return replace(mean_field_error(g, active, resistances, activity=config.activity), loss=loss)


def slow_reads(crossbar: Crossbar, times: npt.ArrayLike, *, seed: int, chip: int) -> Iterator[Array]:
    """G+ - G- with the slow part of the read noise, one read at a time.

    G(t) = max(0, G + gain sigma_slow y(t)) for either cell of a pair, with y of `device.slow_steps` and gain
    as in `Seen`.

    Args:
        crossbar: Pairs.
        times: Times of the reads [s], never falling.
        seed: Seed of the experiment.
        chip: Device instance.

    Yields:
        float32 (rows, cols) [S] for each time.

    Raises:
        OutOfRangeError: If a time lies before the one before it.

    Assumes: see `device.slow_steps`.
    Source: see `device.slow_steps`.
    """
    sides = ((crossbar.pos, crossbar.pos_seen, "pos"), (crossbar.neg, crossbar.neg_seen, "neg"))
    steps = [
        slow_steps(cells.card, cells.g.shape, times, seed=seed, name=f"chip{chip}/{side}")
        for cells, _, side in sides
    ]

    def read(cells: Cells, seen: Seen, y: Array) -> Array:
        return seen.moved(cells.sigma_slow * y)

    return (
        read(*sides[0][:2], y_pos) - read(*sides[1][:2], y_neg) for y_pos, y_neg in zip(*steps, strict=True)
    )

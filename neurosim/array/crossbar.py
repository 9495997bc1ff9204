"""The crossbar: differential pairs of one chip, how they are read and what noise the reads carry."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from neurosim.array.adc import Adc
from neurosim.array.tiles import Tiling, tile
from neurosim.cards import MacroCard, load_macro
from neurosim.config import StrictModel
from neurosim.device import Cells, DeviceConfig, check_read_voltage, make_cells, slow_steps

Array = npt.NDArray[np.float32]


class ArrayConfig(StrictModel):
    """The macro that the cells stand in; None takes the card's own value.

    Attributes:
        macro: Name of a macro card, or the path of one.
        adc_bits: Resolution of the column converters, at least 2; 0 is ideal.
        adc_full_scale: Differential column current at which they saturate [A].
    """

    macro: str = "rram_40nm_256kb"
    adc_bits: int | None = Field(default=None, ge=0, le=24)
    adc_full_scale: float | None = Field(default=None, gt=0)


@dataclass(frozen=True, eq=False)
class Crossbar:
    """Differential pairs of one chip: a signed weight is w = scale (G+ - G-), on neighbouring columns.

    Attributes:
        pos: Cells of G+, (rows, cols).
        neg: Cells of G-, (rows, cols).
        macro: Macro card.
        adc: Converters of the differential column currents; None is ideal.
        tiles: Layout on macros.
    """

    pos: Cells
    neg: Cells
    macro: MacroCard
    adc: Adc | None
    tiles: Tiling

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
        """Mean conductance of all cells [S]."""
        return float(np.mean([self.pos.g, self.neg.g], dtype=np.float64))


def build_crossbar(
    config: ArrayConfig, device: DeviceConfig, shape: tuple[int, int], *, seed: int, chip: int
) -> Crossbar:
    """Make the pairs of one chip.

    Args:
        config: Macro and converters.
        device: Technology of the cells.
        shape: Rows and columns of pairs.
        seed: Seed of the experiment (streams ``chip<k>/pos/...`` and ``chip<k>/neg/...``).
        chip: Device instance.

    Raises:
        CardError: If a card is unknown or wrong.
        ExperimentError: If the configuration asks for what the device card cannot say.
        OutOfRangeError: If a value, such as the macro's read voltage, leaves the device card's range.
    """
    macro = load_macro(config.macro)
    pos, neg = (make_cells(device, shape, seed=seed, name=f"chip{chip}/{side}") for side in ("pos", "neg"))
    check_read_voltage(pos.card, macro.v_read.value, extrapolate=device.extrapolate)
    bits = macro.adc_bits.value if config.adc_bits is None else config.adc_bits
    adc = Adc(bits, config.adc_full_scale or macro.adc_full_scale.value) if bits else None
    return Crossbar(pos, neg, macro, adc, tile(shape, macro))


def differential(crossbar: Crossbar) -> Array:
    """G+ - G- without read noise [S], float32 (rows, cols)."""
    return crossbar.pos.g - crossbar.neg.g


def white_variance(crossbar: Crossbar) -> Array:
    """Variance of the read noise of G+ - G- that is new at every read [S^2], float32 (rows, cols).

    var = sigma_+^2 + sigma_-^2. A column's current over a set of active rows then carries noise of variance

        V^2 sum over the active rows of var,

    and drawing that one normal number per column and read is exact, not an approximation: sums of
    independent normal numbers are normal, columns share no cell, and no number is used by two reads.

    Assumes: white noise normal and independent from cell to cell and from read to read; a row driven k
        times in a step is read k times.
    Source: addition of variances; shown against cell-by-cell noise in tests/physics/test_read_noise.py.
    """
    return crossbar.pos.sigma_white**2 + crossbar.neg.sigma_white**2


def slow_reads(crossbar: Crossbar, times: npt.ArrayLike, *, seed: int, chip: int) -> Iterator[Array]:
    """G+ - G- with the slow part of the read noise, one read at a time.

    G(t) = max(0, G + sigma_slow y(t)) for either cell of a pair, with y of `device.slow_steps`.

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
    pos, neg = (
        slow_steps(cells.card, cells.g.shape, times, seed=seed, name=f"chip{chip}/{side}")
        for side, cells in (("pos", crossbar.pos), ("neg", crossbar.neg))
    )
    return (
        _read(crossbar.pos, y_pos) - _read(crossbar.neg, y_neg) for y_pos, y_neg in zip(pos, neg, strict=True)
    )


def _read(cells: Cells, y: Array) -> Array:
    """Conductances at one moment of the slow process [S]."""
    read: Array = np.maximum(cells.g + cells.sigma_slow * y, 0)
    return read

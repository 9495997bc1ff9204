"""Column converters: their levels, their errors, and their full scale from data."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from neurosim import rng
from neurosim.errors import OutOfRangeError

Array = npt.NDArray[np.float32]

S_PEAK = np.float32(1.5 * math.sqrt(3.0))  # makes 1 the largest value of S_PEAK (y - y^3) in 0..1


@dataclass(frozen=True)
class Adc:
    """Converter of the differential column current.

    Mid-tread and symmetric: 2^bits - 1 levels k step, |k| <= 2^(bits-1) - 1, the outermost at the full scale,

        step = full_scale / (2^(bits-1) - 1).

    Attributes:
        bits: Resolution, at least 2.
        full_scale: Largest current of either sign [A].

    Raises:
        OutOfRangeError: If there is less than the sign and one bit.
    """

    bits: int
    full_scale: float

    def __post_init__(self) -> None:
        """Check that there is a level besides 0."""
        if self.bits < 2:
            raise OutOfRangeError(
                f"adc_bits = {self.bits} leaves a converter the level 0 alone; use 2 or more, or 0 (ideal)"
            )

    @property
    def step(self) -> float:
        """Distance of two levels [A]."""
        return self.full_scale / (2.0 ** (self.bits - 1) - 1)


@dataclass(frozen=True, eq=False)
class ColumnErrors:
    """Errors of the converters of n columns.

    Attributes:
        gain: float32 (n,) [1], relative error of the gain.
        offset: float32 (n,) [step].
        inl: float32 (n,) [step], largest integral nonlinearity.
    """

    gain: Array
    offset: Array
    inl: Array

    def of_columns(self, column: npt.NDArray[np.integer]) -> Self:
        """The errors of the converters of these columns."""
        return type(self)(self.gain[column], self.offset[column], self.inl[column])


def draw_column_errors(
    n: int, *, sigma_gain: float, sigma_offset: float, inl: float, seed: int, name: str
) -> ColumnErrors | None:
    """Errors of n converters, or None where there are none.

    Args:
        n: Converters.
        sigma_gain: Standard deviation of the gain errors [1].
        sigma_offset: Standard deviation of the offsets [step].
        inl: Largest integral nonlinearity of every converter [step]; its sign is drawn.
        seed: Seed of the experiment.
        name: Stream prefix, e.g. ``"chip0"``.

    Assumes: gains and offsets normal and independent from column to column.
    Source: choice; converters' data sheets give these three figures.
    """
    if not (sigma_gain or sigma_offset or inl):
        return None
    random = rng.stream(seed, f"{name}/adc")
    gain, offset = random.standard_normal((2, n))
    sign = random.choice([-1.0, 1.0], n)
    columns = (sigma_gain * gain, sigma_offset * offset, inl * sign)
    return ColumnErrors(*(column.astype(np.float32) for column in columns))


def distort(current: Array, errors: ColumnErrors, step: np.float32, full_scale: np.float32) -> Array:
    """Currents I' (..., n) that converters with errors take for the currents I; see `quantise`."""
    current = current * (1 + errors.gain) + step * errors.offset
    y = np.clip(current / full_scale, -1, 1)
    bent: Array = current + step * errors.inl * S_PEAK * (y - y * y * y)
    return bent


def quantise(current: Array, adc: Adc | None, errors: ColumnErrors | None = None) -> Array:
    """Currents as the converter reports them.

    Q(I) = clip(step round(I' / step), -full_scale, full_scale), halves to even, in float32 like the
    reservoir's kernel, with I' = I without errors, else

        I' = x + step inl (3 sqrt(3) / 2) (y - y^3),   x = I (1 + gain) + step offset,
        y  = clip(x / full_scale, -1, 1),

    an S-shaped curve that is right at 0 and at both ends and ``inl`` steps off between them.

    Args:
        current: Differential column currents [A], (..., n) with errors of n columns, else any shape.
        adc: Converter; None is ideal.
        errors: Errors of the columns' converters.

    Returns:
        float32 of the same shape [A].

    Assumes: no noise of the converter's own.
    Source: definition of the uniform quantiser; the odd third-order curve is the lowest that a differential
        converter can have.
    """
    if adc is None:
        return current
    step, top = np.float32(adc.step), np.float32(adc.full_scale)
    if errors is not None:
        current = distort(current, errors, step, top)
    levels: Array = np.clip(np.rint(current / step) * step, -top, top)
    return levels


def calibrate(currents: npt.ArrayLike, clipped: float) -> float:
    """Full scale [A] that cuts off a given share of currents: the quantile of |I| at 1 - ``clipped``.

    Args:
        currents: Column currents of unlabelled data [A], any shape.
        clipped: Share of them that may saturate the converter [1].

    Raises:
        OutOfRangeError: If all currents are 0, which sets no scale.
    """
    magnitudes = np.abs(currents)
    if not np.any(magnitudes):
        raise OutOfRangeError(
            "every column current is 0, so that they set no full scale; give adc_full_scale in ampere, or "
            "drive the array harder"
        )
    return float(np.quantile(magnitudes, 1 - clipped))

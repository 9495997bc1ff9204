"""Column converters."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurosim.errors import OutOfRangeError

Array = npt.NDArray[np.float32]


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


def quantise(current: Array, adc: Adc | None) -> Array:
    """Currents as the converter reports them.

    Q(I) = clip(step round(I / step), -full_scale, full_scale), halves to even, in float32 like the
    reservoir's kernel.

    Args:
        current: Differential column currents [A], any shape.
        adc: Converter; None is ideal.

    Returns:
        float32 of the same shape [A].

    Assumes: no offset, gain error, nonlinearity or noise of the converter's own.
    Source: definition of the uniform quantiser.
    """
    if adc is None:
        return current
    step, top = np.float32(adc.step), np.float32(adc.full_scale)
    levels: Array = np.clip(np.rint(current / step) * step, -top, top)
    return levels

"""What an experiment says about its cells."""

from typing import Annotated

from pydantic import Field

from neurosim.config import StrictModel
from neurosim.errors import OutOfRangeError
from neurosim.quantity import Quantity

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Spread = Annotated[float, Field(ge=0.0, le=10.0)]


class DeviceConfig(StrictModel):
    """The technology of a chip's cells and how they were treated; None takes the card's own value.

    Attributes:
        card: Name of a device card, or the path of one.
        v_forming: Amplitude of the forming pulse [V].
        sigma_d2d: Spread from device to device, relative to the conductance [1].
        sigma_prog: Programming error, relative to the target [1].
        sigma_read: Standard deviation of the read noise, relative to the conductance [1].
        read_white_fraction: Share of the read noise's variance that is new at every read [1].
        p_stuck: Fraction of stuck cells [1].
        t_after_programming: Age of the chip when it is used [s].
        extrapolate: Allow values outside the range in which the card is backed.
    """

    card: str = "taox_1t1r_40nm"
    v_forming: float | None = Field(default=None, ge=0.0)
    sigma_d2d: Spread | None = None
    sigma_prog: Spread | None = None
    sigma_read: Spread | None = None
    read_white_fraction: Fraction | None = None
    p_stuck: Fraction | None = None
    t_after_programming: float = Field(default=0.0, ge=0.0)
    extrapolate: bool = False


def number(quantity: Quantity | None) -> float:
    """The value of a card's optional quantity; 0, which switches its effect off, where it is absent."""
    return quantity.value if quantity else 0.0


def check_range(
    what: str, value: float, low: float, high: float, unit: str, *, card: str, extrapolate: bool
) -> None:
    """Refuse a physical value outside the range in which a card is backed.

    Raises:
        OutOfRangeError: If ``value`` [unit] is not in ``low .. high`` and ``extrapolate`` is false.
    """
    if not extrapolate and not low <= value <= high:
        allowed = f"{low:g} .. {high:g} {unit}"
        raise OutOfRangeError(
            f"{what} = {value:g} {unit} is outside {allowed}, the range of device card '{card}'; "
            "stay inside or set device.extrapolate = true"
        )

"""What an experiment says about its cells."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from neurosim.config import StrictModel
from neurosim.errors import OutOfRangeError
from neurosim.quantity import Quantity

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Spread = Annotated[float, Field(ge=0.0, le=10.0)]


class WriteVerifyConfig(StrictModel):
    """Programming by pulses that are verified; None takes the card's own value.

    Attributes:
        tolerance: Half-width of the accepted band around the target [S].
        tolerance_relative: What is added to it, relative to the target [1].
        v_set_start: Amplitude of the first SET pulse [V].
        v_reset_start: Amplitude of the first RESET pulse [V].
        v_step: How much the next pulse of the same direction is higher [V].
        v_set_max: Highest amplitude of SET [V].
        v_reset_max: Highest amplitude of RESET [V].
        width: Duration of the first pulse of a direction [s].
        width_factor: How much longer the next pulse of the same direction is [1].
        max_pulses: Pulses after which a cell has failed.
        max_reversals: Changes of direction after which it has failed.
        sigma_read: Noise of a verifying read, relative to the target [1].
        reads: Reads whose mean is compared with the target.
        v_read: Voltage of a verifying read [V]; at 0 reads cost no energy.
        t_read: Duration of a verifying read [s].
        passes: How often all cells are verified and corrected.
        t_wait: Time between two passes, in which cells relax [s].
    """

    tolerance: float = Field(default=0.0, ge=0.0)
    tolerance_relative: float = Field(default=0.0, ge=0.0)
    v_set_start: float | None = Field(default=None, gt=0.0, le=20.0)
    v_reset_start: float | None = Field(default=None, gt=0.0, le=20.0)
    v_step: float | None = Field(default=None, ge=0.0, le=20.0)
    v_set_max: float | None = Field(default=None, gt=0.0, le=20.0)
    v_reset_max: float | None = Field(default=None, gt=0.0, le=20.0)
    width: float | None = Field(default=None, gt=0.0, le=1.0)
    width_factor: float = Field(default=1.0, ge=1.0, le=1e3)
    max_pulses: int = Field(default=200, ge=1, le=100_000)
    max_reversals: int = Field(default=50, ge=0)
    sigma_read: Spread | None = None
    reads: int = Field(default=1, ge=1)
    v_read: float = Field(default=0.0, ge=0.0, le=20.0)
    t_read: float = Field(default=0.0, ge=0.0, le=1.0)
    passes: int = Field(default=1, ge=1)
    t_wait: float = Field(default=0.0, ge=0.0, le=1e10)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.tolerance + self.tolerance_relative == 0:
            raise ValueError("tolerance: missing; give tolerance [S], tolerance_relative, or both")
        if self.t_wait and self.passes == 1:
            raise ValueError("t_wait has no effect with one pass; set passes to 2 or more, or remove it")
        return self


class DeviceConfig(StrictModel):
    """The technology of a chip's cells and how they were treated; None takes the card's own value.

    Attributes:
        card: Name of a device card, or the path of one.
        v_forming: Amplitude of the forming pulse [V].
        compliance: Current limit of the forming pulse, relative to that of the card's own g_mean [1].
        sigma_d2d: Spread from device to device, relative to the conductance [1].
        sigma_prog: Programming error, relative to the target [1].
        sigma_read: Standard deviation of the read noise, relative to the conductance [1].
        read_white_fraction: Share of the read noise's variance that is new at every read [1].
        p_stuck: Fraction of stuck cells [1].
        p_dead_row: Fraction of word lines that do not conduct [1].
        p_dead_col: Fraction of bit lines that do not conduct [1].
        n_cycles: Set and reset cycles that the cells have been through [1].
        t_after_programming: Age of the chip when it is used [s].
        temperature: Temperature at which it aged and is used [K].
        v_nonlinear: V0 of I = G V0 sinh(V/V0), the current of a cell against its voltage [V].
        write_verify: Pulses and reads that program the cells; None draws the card's programming error.
        extrapolate: Allow values outside the range in which the card is backed.
    """

    card: str = "taox_1t1r_40nm"
    v_forming: float | None = Field(default=None, ge=0.0)
    compliance: float | None = Field(default=None, gt=0.0, le=100.0)
    sigma_d2d: Spread | None = None
    sigma_prog: Spread | None = None
    sigma_read: Spread | None = None
    read_white_fraction: Fraction | None = None
    p_stuck: Fraction | None = None
    p_dead_row: Fraction | None = None
    p_dead_col: Fraction | None = None
    n_cycles: float = Field(default=0.0, ge=0.0)
    t_after_programming: float = Field(default=0.0, ge=0.0, le=1e10)
    temperature: float | None = Field(default=None, gt=0.0)
    v_nonlinear: float | None = Field(default=None, ge=0.02)
    write_verify: WriteVerifyConfig | None = None
    extrapolate: bool = False

    @model_validator(mode="after")
    def _one_error(self) -> Self:
        if self.write_verify and (self.sigma_d2d is not None or self.sigma_prog is not None):
            raise ValueError("write_verify takes the place of sigma_d2d and sigma_prog; remove them or it")
        return self


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

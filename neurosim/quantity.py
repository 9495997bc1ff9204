"""A number on a card: its value, unit, status and source, and the range that it must lie in."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from numpy.polynomial.polynomial import polyval
from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from neurosim.config import StrictModel

Array = npt.NDArray[np.float32]


class Sourced(StrictModel):
    """A value and where it comes from.

    Attributes:
        value: The number or numbers.
        unit: SI unit; ``"1"`` for a ratio or a count.
        status: How the number was obtained.
        source: Keys of the card's ``[sources]``; may be empty only where the status is ``assumed``.
        where: Place in the source (figure, table, line of code), or why the number is assumed.
    """

    value: Any
    unit: str
    status: Literal["measured", "digitised", "fitted", "assumed"]
    source: Annotated[
        tuple[str, ...], BeforeValidator(lambda s: (s,) if isinstance(s, str) else s), Field(strict=False)
    ] = ()
    where: str = Field(min_length=1)

    @model_validator(mode="after")
    def _has_source(self) -> Self:
        if self.status != "assumed" and not self.source:
            remedy = "name a key of [sources], or set status = 'assumed' and say why under 'where'"
            raise ValueError(f"source: missing for a {self.status} value; {remedy}")
        return self


class Quantity(Sourced):
    """A number."""

    value: float


class Count(Sourced):
    """A whole number."""

    value: int


class Curve(Sourced):
    """A function of a cell's state x = g/g_max.

    Coefficients of a polynomial in x, lowest power first; or, where ``at`` is given, the ordinates at these
    rising x, joined by straight lines and held beyond the ends.
    """

    value: Annotated[tuple[float, ...], Field(strict=False, min_length=1)]
    at: Annotated[tuple[float, ...], Field(strict=False)] | None = None

    @model_validator(mode="after")
    def _points(self) -> Self:
        if self.at is None:
            return self
        if len(self.at) != len(self.value):
            raise ValueError(f"at: {len(self.at)} points for {len(self.value)} values; give one for each")
        if list(self.at) != sorted(set(self.at)):
            raise ValueError("at: points must rise; sort them, with their values")
        return self

    def __call__(self, x: Array) -> Array:
        """The function at ``x``, float32 of the same shape."""
        if self.at is None:
            return np.asarray(polyval(x, np.array(self.value, np.float32)), np.float32)
        return np.interp(x, self.at, self.value).astype(np.float32)


class LogCurve(Sourced):
    """A function of a cell's state x = g/g_max: clip(a + b ln x), or a polynomial above ``split``.

    Attributes:
        value: a, b.
        clip: Lowest and highest value of the logarithmic part.
        split: From this x on the polynomial holds; None: nowhere.
        high: Its coefficients, lowest power first.
    """

    value: Annotated[tuple[float, float], Field(strict=False)]
    clip: Annotated[tuple[float, float], Field(strict=False)]
    split: float | None = Field(default=None, ge=0.0, le=1.0)
    high: Annotated[tuple[float, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.clip[0] <= self.clip[1]:
            raise ValueError(f"clip must be ascending, got {list(self.clip)}; exchange them")
        if (self.split is None) == bool(self.high):
            raise ValueError("split and high belong together; give both or neither")
        return self

    def __call__(self, x: Array) -> Array:
        """The function at ``x`` > 0, float32 of the same shape."""
        low: Array = np.clip(self.value[0] + self.value[1] * np.log(x), *self.clip)
        if self.split is None:
            return low
        return np.where(x < self.split, low, polyval(x, np.array(self.high, np.float32)))


@dataclass(frozen=True)
class In:
    """The unit and the closed range of a field, put beside its type with ``Annotated``."""

    unit: str
    low: float
    high: float

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Append the check to the field's own validation."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, quantity: Sourced) -> Sourced:
        if quantity.unit != self.unit:
            raise ValueError(f"unit must be '{self.unit}' (SI), got '{quantity.unit}'; convert the value")
        values = quantity.value if isinstance(quantity.value, tuple) else (quantity.value,)
        for value in values:
            if not self.low <= value <= self.high:
                allowed = f"{self.low:g} .. {self.high:g} {self.unit}"
                raise ValueError(f"value {value:g} is outside {allowed}; check the power of ten")
        return quantity


Siemens = Annotated[Quantity, In("S", 0.0, 0.1)]
SiemensCurve = Annotated[Curve, In("S", -0.1, 0.1)]
Volt = Annotated[Quantity, In("V", 0.0, 20.0)]
Ampere = Annotated[Quantity, In("A", 1e-12, 1.0)]
Second = Annotated[Quantity, In("s", 1e-12, 1e10)]
Joule = Annotated[Quantity, In("J", 0.0, 1e-6)]
Relative = Annotated[Quantity, In("1", 0.0, 10.0)]
Probability = Annotated[Quantity, In("1", 0.0, 1.0)]
Sigmas = Annotated[Quantity, In("1", 1.0, 100.0)]
RelativeCurve = Annotated[Curve, In("1", -10.0, 10.0)]
RelativeLog = Annotated[LogCurve, In("1", -10.0, 10.0)]
Kelvin = Annotated[Quantity, In("K", 1.0, 1000.0)]
PerKelvin = Annotated[Quantity, In("1/K", -0.1, 0.1)]
Electronvolt = Annotated[Quantity, In("eV", 0.0, 10.0)]
Cycles = Annotated[Quantity, In("1", 1.0, 1e18)]
Ohm = Annotated[Quantity, In("ohm", 0.0, 1e6)]
Delay = Annotated[Quantity, In("s", 0.0, 1.0)]
PerSecond = Annotated[Quantity, In("1/s", 1.0, 1e18)]
Watt = Annotated[Quantity, In("W", 1e-3, 1e8)]
SquareMetre = Annotated[Quantity, In("m^2", 0.0, 0.01)]
Growth = Annotated[Quantity, In("1", 0.5, 10.0)]
Resolution = Annotated[Count, In("1", 1, 24)]
Cells = Annotated[Count, In("1", 1, 65536)]
Bits = Annotated[Count, In("1", 0, 24)]


def check_ascending(low: Quantity, high: Quantity, names: str) -> None:
    """Two bounds of a section in the right order."""
    if not low.value < high.value:
        raise ValueError(f"{names} must be ascending, got {low.value:g} and {high.value:g}; exchange them")

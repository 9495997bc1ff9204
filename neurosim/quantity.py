"""A number on a card: its value, unit, status and source, and the range that it must lie in."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from neurosim.config import StrictModel


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


class Pair(Sourced):
    """Two numbers, such as a lower and an upper limit."""

    value: Annotated[tuple[float, float], Field(strict=False)]


class Polynomial(Sourced):
    """Coefficients of a polynomial, lowest power first."""

    value: Annotated[tuple[float, ...], Field(strict=False, min_length=1)]


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
SiemensPolynomial = Annotated[Polynomial, In("S", -0.1, 0.1)]
Volt = Annotated[Quantity, In("V", 0.0, 20.0)]
Ampere = Annotated[Quantity, In("A", 1e-12, 1.0)]
Second = Annotated[Quantity, In("s", 1e-12, 1e10)]
Joule = Annotated[Quantity, In("J", 0.0, 1e-6)]
Relative = Annotated[Quantity, In("1", 0.0, 10.0)]
Probability = Annotated[Quantity, In("1", 0.0, 1.0)]
Sigmas = Annotated[Quantity, In("1", 1.0, 100.0)]
Coefficients = Annotated[Pair, In("1", -10.0, 10.0)]
Cells = Annotated[Count, In("1", 1, 65536)]
Bits = Annotated[Count, In("1", 0, 24)]


def check_ascending(low: Quantity, high: Quantity, names: str) -> None:
    """Two bounds of a section in the right order."""
    if not low.value < high.value:
        raise ValueError(f"{names} must be ascending, got {low.value:g} and {high.value:g}; exchange them")

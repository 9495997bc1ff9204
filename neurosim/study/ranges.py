"""Ranges of an experiment's numbers: what a search may choose from and a sensitivity analysis varies."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from neurosim.config import StrictModel
from neurosim.errors import ExperimentError, did_you_mean
from neurosim.experiment import Experiment


class Range(StrictModel):
    """An interval of a number, both ends included.

    Attributes:
        low, high: Its ends, in the unit of the number.
        scale: Whether the number or its logarithm is spread evenly.
    """

    low: int | float
    high: int | float
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low (={self.low:g}) must be below high (={self.high:g}); swap or spread them")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"scale = 'log' needs low above 0, got {self.low:g}; raise low, or use 'linear'")
        return self

    def from_unit(self, u: npt.ArrayLike, kind: type[int] | type[float]) -> list[float]:
        """Map 0..1 to the range: low (high/low)^u or low + (high - low) u; integers get equal shares.

        Args:
            u: Numbers in 0..1.
            kind: Number type of the key.
        """
        # an integer owns the half steps on both of its sides, so that the ends are no rarer than the rest
        margin = 0.5 if kind is int else 0.0
        low, high, u = self.low - margin, self.high + margin, np.asarray(u, np.float64)
        x = low * (high / low) ** u if self.scale == "log" else low + (high - low) * u
        if kind is int:
            return [int(value) for value in np.clip(np.rint(x), self.low, self.high)]
        return [float(value) for value in np.clip(x, self.low, self.high)]


def flat(data: Any, is_value: Callable[[Mapping[str, Any]], bool]) -> Any:
    """Tables in tables as one table of dotted keys: TOML reads an unquoted dotted key as tables.

    Args:
        data: The table; anything else is handed back for a model to refuse.
        is_value: Whether an inner table is a value itself.
    """
    if not isinstance(data, Mapping):
        return data
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and value and not is_value(value):
            found |= {f"{key}.{inner}": leaf for inner, leaf in flat(value, is_value).items()}
        else:
            found[key] = value
    return found


def flat_ranges(data: Any) -> Any:
    """`flat` for tables whose values are ranges."""
    return flat(data, lambda value: bool({"low", "high"} & value.keys()))


def value_types(key: str) -> set[type]:
    """Types that a key of an experiment may take, e.g. ``{int, NoneType}``.

    Args:
        key: Dotted key, e.g. ``"array.adc_bits"``.

    Raises:
        ExperimentError: If experiments have no such key; names the nearest one.
    """
    model: Any = Experiment
    parts = key.split(".")
    for depth, part in enumerate(parts):
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            where = ".".join(parts[:depth])
            hint = did_you_mean(part, fields) if fields else f"'{where}' is a value and has no keys"
            raise ExperimentError(f"{key}: experiments have no such key; {hint}")
        types = _members(fields[part].annotation)
        model = next((kind for kind in types if hasattr(kind, "model_fields")), None)
    return types


def number_type(key: str, given: Range) -> type[int] | type[float]:
    """Whether a key takes whole numbers only.

    Raises:
        ExperimentError: If the key takes no numbers, or whole ones and an end of the range is not.
    """
    types = value_types(key)
    if float in types:
        return float
    if int not in types:
        raise ExperimentError(f"{key}: takes no numbers, so it has no range; give a list of its values")
    numbers = (given.low, given.high, getattr(given, "step", None) or 1)
    if not all(isinstance(number, int) for number in numbers):
        raise ExperimentError(f"{key}: takes whole numbers only; write low, high and step without a point")
    return int


def _members(annotation: Any) -> set[type]:
    """The types of a union, without what is annotated to them; literals count as the type of their values."""
    inner = get_args(annotation)
    if not inner:
        return {annotation} if isinstance(annotation, type) else {type(annotation)}
    if hasattr(annotation, "__metadata__"):
        inner = inner[:1]
    return set().union(*map(_members, inner))

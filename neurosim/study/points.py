"""The design: which experiments a study consists of."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from neurosim import rng
from neurosim.cards import load_dataset, load_device, load_macro
from neurosim.config import fingerprint, validate
from neurosim.errors import ExperimentError, NeurosimError
from neurosim.experiment import Experiment
from neurosim.study.config import Joint, Span, StudyConfig, SweepConfig, Value, Values, with_values
from neurosim.study.ranges import Range, number_type, value_types

Levels = Values | Span


@dataclass(frozen=True)
class Axis:
    """What is varied.

    Attributes:
        name: Key of the experiment, or the name that the study gives several keys.
        keys: Keys that take the value.
        unit: SI unit, ``"1"`` where there is none.
        values: All values of a grid; the two ends of a random design's interval.
    """

    name: str
    keys: tuple[str, ...]
    unit: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class DesignPoint:
    """An experiment of the study.

    Attributes:
        number: Place in the design.
        key: Fingerprint of ``overrides`` and of the cards that they name, by which a point is known.
        values: Value of every axis.
        overrides: Value of every key of the experiment that changes.
    """

    number: int
    key: str
    values: Mapping[str, Any]
    overrides: Mapping[str, Any]


def sweep_axes(sweep: SweepConfig) -> tuple[Axis, ...]:
    """The axes of a sweep, that of the seeds last.

    Raises:
        ExperimentError: If experiments have no such key, or a span does not fit its type.
    """
    axes = []
    for name, given in sweep.axes.items():
        keys, levels = (given.keys, given.values) if isinstance(given, Joint) else ((name,), given)
        units = {unit(key) for key in keys}
        values = _spaced(levels, keys[0]) if isinstance(levels, Span) else tuple(levels)
        axes.append(Axis(name, keys, units.pop() if len(units) == 1 else "1", values))
    if sweep.seeds:
        axes.append(Axis("seed", ("seed",), "1", sweep.seeds))
    for axis in axes:
        if len(set(map(repr, axis.values))) < len(axis.values):
            raise ExperimentError(f"sweep.axes.{axis.name}: a value is there twice; lower n, or remove it")
    return tuple(axes)


def sweep_points(config: StudyConfig) -> tuple[tuple[Axis, ...], list[DesignPoint]]:
    """Axes and points of a sweep, in a fixed order.

    Points are checked as far as this needs no data: an axis value with which no point is a valid experiment
    is an error, a single combination that is not valid fails alone when its turn comes.

    Raises:
        ExperimentError: If the study is no sweep, or a key or a value is wrong.
    """
    sweep = config.sweep
    if sweep is None:
        raise ExperimentError(f"study '{config.name}' has no [sweep]; add it, or run neurosim {config.kind}")
    axes = sweep_axes(sweep)
    if sweep.n_points is None:
        rows: Iterable[Sequence[Any]] = product(*(axis.values for axis in axes))
    else:
        rows = zip(*_drawn(sweep, axes, sweep.n_points, config.base.seed), strict=True)
    points = [make_point(number, axes, row) for number, row in enumerate(rows)]
    _check(config.base, axes, points)
    return axes, points


def make_point(number: int, axes: Sequence[Axis], row: Sequence[Any]) -> DesignPoint:
    """The point with one value of every axis."""
    overrides = {key: value for axis, value in zip(axes, row, strict=True) for key in axis.keys}
    values = {axis.name: value for axis, value in zip(axes, row, strict=True)}
    cards = [_card(key, str(value)) for key, value in overrides.items() if _names_card(key)]
    return DesignPoint(number, fingerprint(overrides, cards)[:16], values, overrides)


def at(base: Experiment, overrides: Mapping[str, Any]) -> Experiment:
    """The base experiment with other values.

    Raises:
        ExperimentError: If it does not fit together.
    """
    data = base.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return validate(Experiment, with_values(data, overrides), where=base.name, error=ExperimentError)


def unit(key: str) -> str:
    """SI unit of a number of an experiment, as its config's docstring says it; ``"1"`` where it says none."""
    table, _, name = key.rpartition(".")
    owners = value_types(table) if table else {Experiment}
    value_types(key)
    for owner in owners:
        entry = re.search(
            rf"^\s+(?:\w+, )*{name}(?:, \w+)*:(.*?)(?=^\s+[\w, ]+:|\Z)", owner.__doc__ or "", re.M | re.S
        )
        if entry and (units := re.findall(r"\[([^\]\s]+)\]", entry[1])):
            return str(units[-1])
    return "1"


def _names_card(key: str) -> bool:
    return key in ("device.card", "array.macro") or key.endswith(".dataset")


@cache
def _card(key: str, name: str) -> str:
    """Fingerprint of what a card says, so that a point is another one after an edit of its card."""
    load = {"card": load_device, "macro": load_macro}.get(key.rpartition(".")[2], load_dataset)
    return fingerprint(load(name))


def _spaced(span: Span, key: str) -> tuple[Value, ...]:
    space = np.geomspace if span.scale == "log" else np.linspace
    kind = number_type(key, Range(low=span.from_, high=span.to, scale=span.scale))
    if kind is int:
        return tuple(int(value) for value in np.rint(space(span.from_, span.to, span.n)))
    # without the rounding of the last digits, a value reads as a person would have written it
    return tuple(float(f"{value:.12g}") for value in space(span.from_, span.to, span.n))


def _drawn(sweep: SweepConfig, axes: Sequence[Axis], n: int, seed: int) -> Iterator[list[Any]]:
    """Values of every axis; a longer design begins with the shorter one."""
    stream = rng.stream(seed, "study/design")
    if sweep.design == "sobol":
        from scipy.stats import qmc

        u = qmc.Sobol(len(axes), rng=stream).random_base2(max(0, n - 1).bit_length())[:n]
    else:
        u = stream.random((n, len(axes)))
    for axis, column in zip(axes, u.T, strict=True):
        given = sweep.axes.get(axis.name)
        levels = given.values if isinstance(given, Joint) else given
        if isinstance(levels, Span):
            interval = Range(low=levels.from_, high=levels.to, scale=levels.scale)
            yield interval.from_unit(column, number_type(axis.keys[0], interval))
        else:
            yield [axis.values[int(place * len(axis.values))] for place in column]


def _check(base: Experiment, axes: Sequence[Axis], points: Sequence[DesignPoint]) -> None:
    """Refuse a value with which no point is a valid experiment."""
    unseen = {(axis.name, repr(value)): "" for axis in axes for value in axis.values}
    for point in points:
        new = [(name, repr(value)) for name, value in point.values.items()]
        if not unseen.keys() & set(new):
            continue
        try:
            at(base, point.overrides)
        except NeurosimError as why:
            unseen |= dict.fromkeys(unseen.keys() & set(new), str(why))
        else:
            for place in new:
                unseen.pop(place, None)
    for (name, value), reason in unseen.items():
        if reason:
            raise ExperimentError(f"sweep.axes.{name} = {value}: no point with it is valid:\n{reason}")

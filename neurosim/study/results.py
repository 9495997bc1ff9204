"""What a study has found: plain data, an xarray data set, and the files of its folder."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from optuna.trial import TrialState

from neurosim.config import fingerprint
from neurosim.store import atomic_path, write_text
from neurosim.study.config import Kind, StudyConfig, to_toml
from neurosim.study.points import Axis, DesignPoint

if TYPE_CHECKING:
    import xarray as xr

    from neurosim.study.storage import Queue

State = Literal["done", "failed", "waiting", "running"]
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "done",
    TrialState.FAIL: "failed",
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
}
FILES = ("study.toml", "points.csv", "result.nc", "report.html")
# numbers of a row that a table has one column of, with their units
NUMBERS = {
    "accuracy": "1",
    "validation_accuracy": "1",
    "energy": "J",
    "latency": "s",
    "area": "m^2",
    "cells": "1",
    "tiles": "1",
    "utilisation": "1",
    "n_test": "1",
}


@dataclass(frozen=True)
class Point:
    """A point and what became of it.

    Attributes:
        number: Place in the design.
        key: See `DesignPoint`.
        values: Value of every axis.
        state: Whether it is done.
        row: What was kept of its result (see `Row`), where it is done.
        error: Why it failed, where it did.
    """

    number: int
    key: str
    values: Mapping[str, Any]
    state: State
    row: Mapping[str, Any] | None = None
    error: str | None = None


@dataclass(frozen=True, eq=False)
class StudyResult:
    """What a study has found so far.

    Attributes:
        name: Name of the study.
        kind: What was asked.
        study: The study as its TOML says it, with its base experiment inlined.
        fingerprint: Of the study and all its points.
        axes: What was varied.
        points: All points, in the order of the design.
        extra: What only one kind of study has: a front, importances, sensitivities.
    """

    name: str
    kind: Kind
    study: dict[str, Any]
    fingerprint: str
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    extra: dict[str, Any] = field(default_factory=dict)


def collect(
    config: StudyConfig,
    axes: Sequence[Axis],
    points: Sequence[DesignPoint],
    queue: "Queue",
    extra: Mapping[str, Any] | None = None,
) -> StudyResult:
    """What the storage knows of the points."""
    trials = queue.points()

    def one(point: DesignPoint) -> Point:
        trial = trials[point.key]
        saved = trial.user_attrs
        state = STATES[trial.state]
        row = saved["row"] if state == "done" else None
        values = {**point.values, **trial.params} if config.search else point.values
        return Point(point.number, point.key, values, state, row, saved.get("error"))

    study = config.to_json()
    return StudyResult(
        name=config.name,
        kind=config.kind,
        study=study,
        fingerprint=fingerprint(study, [point.key for point in points]),
        axes=tuple(axes),
        points=tuple(map(one, points)),
        extra=dict(extra or {}),
    )


def write(result: StudyResult, folder: Path) -> None:
    """Write `FILES`, each as a whole or not at all; the same result gives the same bytes."""
    from neurosim.study.page import write_page

    study, table, numbers, page = (folder / name for name in FILES)
    write_text(study, to_toml(result.study))
    to_csv(result, table)
    to_netcdf(result, numbers)
    write_page(result, page)


def to_csv(result: StudyResult, path: Path) -> None:
    """Write a row per point: values of the axes, state, numbers, the accuracy of every chip, error."""
    n_chips = max((len(point.row["per_chip"]) for point in result.points if point.row), default=0)
    chips = [f"accuracy_chip_{number}" for number in range(n_chips)]
    axes = [axis.name for axis in result.axes]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["number", *axes, "state", *NUMBERS, "accuracy_low", "accuracy_high", *chips, "error"])
    for point in result.points:
        row = point.row or {}
        numbers = [row.get(name) for name in NUMBERS]
        scores = [*row.get("per_chip", ()), *[None] * n_chips][:n_chips]
        ends = row.get("ci95", (None, None))
        values = [point.values[name] for name in axes]
        table.writerow([point.number, *values, point.state, *numbers, *ends, *scores, point.error])
    write_text(path, text.getvalue())


def to_netcdf(result: StudyResult, path: Path) -> None:
    """Write `to_dataset` as NetCDF 3, which every reader knows."""
    with atomic_path(path) as new:
        to_dataset(result).to_netcdf(new, engine="scipy")


def to_dataset(result: StudyResult) -> "xr.Dataset":
    """The numbers of all points by the axes of the design.

    A grid has a dimension per axis; another design has one of points, along which the axes lie. ``accuracy``
    has the chips as its last dimension; its mean and the ends of the 95 % interval have none. What is not
    done is NaN.

    Returns:
        Variables with their ``units``; the study, its fingerprint and its name as attributes.
    """
    import xarray as xr

    grid = result.kind == "sweep" and result.study["sweep"].get("design", "grid") == "grid"
    n_chips = max((len(point.row["per_chip"]) for point in result.points if point.row), default=1)
    dims = [axis.name for axis in result.axes] if grid else ["point"]
    shape = [len(axis.values) for axis in result.axes] if grid else [len(result.points)]

    def along(values: list[Any]) -> Any:
        return np.array(values, np.float64).reshape(shape + list(np.shape(values)[1:]))

    rows = [point.row or {} for point in result.points]
    nothing = [np.nan, np.nan]
    scores = [[*row.get("per_chip", ()), *[np.nan] * n_chips][:n_chips] for row in rows]
    data: dict[str, Any] = {"accuracy": ([*dims, "chip"], along(scores), {"units": "1"})}
    for name, unit in NUMBERS.items():
        values = [np.nan if row.get(name) is None else row[name] for row in rows]
        data["accuracy_mean" if name == "accuracy" else name] = (dims, along(values), {"units": unit})
    for end, name in enumerate(("accuracy_low", "accuracy_high")):
        data[name] = (dims, along([row.get("ci95", nothing)[end] for row in rows]), {"units": "1"})
    coordinates: dict[str, Any] = {"chip": np.arange(n_chips, dtype=np.int32)}
    for axis in result.axes:
        along_axis = axis.values if grid else [point.values[axis.name] for point in result.points]
        dim = axis.name if grid else "point"
        coordinates[axis.name] = (dim, _coordinate(along_axis), {"units": axis.unit})
    attributes = {"name": result.name, "fingerprint": result.fingerprint, "study": to_toml(result.study)}
    return xr.Dataset(data, coordinates, attributes)


def _coordinate(values: Sequence[Any]) -> Any:
    """Numbers as numbers, anything else as text."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return np.array(values)
    return np.array([str(value) for value in values])

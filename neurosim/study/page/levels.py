"""What the points of a study say about an axis: means with intervals, yield, and where accuracy is lost."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurosim.report.facts import percent
from neurosim.results import Interval, accuracy_interval
from neurosim.study.points import Axis
from neurosim.study.results import Point, StudyResult

SEED, THRESHOLDS = "seed", "ageing.thresholds"
ONE_POINT = 0.01  # of accuracy
ROUNDING = 1e-9  # of an accuracy, far less than one recording
MAX_BINS = 8  # ranges of a scattered axis
MAX_LINES = 6  # of a figure
Scale = Literal["linear", "log", "symlog"]
Chip = tuple[Any, int]  # seed and number of a device instance


@dataclass(frozen=True, eq=False)
class Level:
    """The points at one value of an axis, or in one range of it.

    Attributes:
        label: The value with its unit.
        at: Place on the axis: the value, the median of the range, or the number of the category.
        points: The points, whatever their values on the other axes.
        scores: Accuracy of every device instance, mean over the points.
        accuracy: Mean with its 95 % interval, see `levels`.
    """

    label: str
    at: float
    points: tuple[Point, ...]
    scores: Mapping[Chip, float]
    accuracy: Interval


Curves = Mapping[str, Sequence[Level]]  # levels of an axis by the name of their line


@dataclass(frozen=True)
class Crossing:
    """Where one point of accuracy is lost.

    Attributes:
        at: Place on the axis, None where it is not reached.
        interval: Places by the ends of the 95 % interval of the loss over chips; None where one is not
            reached.
    """

    at: float | None
    interval: tuple[float | None, float | None]


def row(point: Point) -> Mapping[str, Any]:
    """The numbers of a point that is done; those of another point are empty."""
    return point.row or {}


def done(result: StudyResult) -> list[Point]:
    """The points with numbers."""
    return [point for point in result.points if point.state == "done" and point.row]


def best(result: StudyResult) -> Point:
    """The most accurate point that is done, the first of equals; of a search, of its front."""
    front = set(result.extra.get("front", ()))
    points = [point for point in done(result) if point.number in front] or done(result)
    return max(points, key=lambda point: row(point)["accuracy"])


def varied(result: StudyResult) -> list[Axis]:
    """Axes of which every point that is done has a value, and not all the same.

    Seeds only make more device instances; a point may leave an axis to the base experiment.
    """
    points = done(result)
    axes = [axis for axis in result.axes if all(point.values[axis.name] is not None for point in points)]
    return [axis for axis in axes if axis.name != SEED and len(distinct(result, axis)) > 1]


def numeric(result: StudyResult, axis: Axis) -> bool:
    """Whether every value is a number."""
    return all(map(_is_number, distinct(result, axis)))


def is_grid(result: StudyResult) -> bool:
    """Whether every value of an axis meets all values of the others, so that means over them are fair."""
    return result.kind == "sweep" and result.study["sweep"].get("design", "grid") == "grid"


def distinct(result: StudyResult, axis: Axis) -> list[Any]:
    """Different values of an axis: numbers rise, others in the axis's order."""
    given = (point.values[axis.name] for point in result.points)
    seen = dict.fromkeys(value for value in given if value is not None)
    if all(map(_is_number, seen)):
        return sorted(seen)
    first = [value for value in axis.values if value in seen]
    return list(dict.fromkeys([*first, *seen]))


def shown(value: Any, unit: str = "1") -> str:
    """A value of an axis as the study's file says it, with its unit; None is empty."""
    if value is None:
        return ""
    if not _is_number(value):
        return str(value)
    text = f"{value:.6g}"
    return text if unit in {"1", ""} else f"{text} {unit}"


def rounded(value: float, unit: str = "1") -> str:
    """A number that was not chosen, to three digits, with its unit."""
    return shown(float(f"{value:.3g}"), unit)


def name_of(axis: Axis) -> str:
    """The name of an axis and its unit, as a column's header."""
    return axis.name if axis.unit in {"1", ""} else f"{axis.name} [{axis.unit}]"


def where(result: StudyResult, point: Point) -> str:
    """The values of a point, in words."""
    values = ((axis, point.values[axis.name]) for axis in result.axes)
    given = [f"{axis.name} {shown(value, axis.unit)}" for axis, value in values if value is not None]
    return ", ".join(given) or "the base experiment"


def scattered(result: StudyResult, axis: Axis) -> bool:
    """Whether hardly two points share a value, as in a random design, so that values stand in ranges."""
    n = len(distinct(result, axis))
    return not is_grid(result) and numeric(result, axis) and MAX_BINS < n > len(done(result)) / 2


def scale(values: Sequence[float]) -> Scale:
    """How values are spaced: log where that makes their steps more even; with a 0 below them, symlog."""
    steps = sorted({value for value in values if value > 0})
    if min(values) < 0 or len(steps) < 3 or steps[-1] < 8 * steps[0]:
        return "linear"
    even, even_log = np.diff(steps), np.diff(np.log(steps))
    if even_log.std() / even_log.mean() >= even.std() / even.mean():
        return "linear"
    return "log" if min(values) > 0 else "symlog"


def levels(result: StudyResult, axis: Axis, points: Sequence[Point] | None = None) -> list[Level]:
    """The points by their value on ``axis``: numbers rise, categories stand as the study's file has them.

    Where values are `scattered`, up to `MAX_BINS` ranges with equally many points. In a grid a level's
    interval is that of `accuracy_interval` over its chips; elsewhere levels differ at random in the other
    axes, and the interval is Student's t over the points.

    Args:
        result: The study.
        axis: One of its axes.
        points: Some of the points that are done; None takes all. What none of them has makes no level.
    """
    points = done(result) if points is None else points
    fair = is_grid(result)
    if points and scattered(result, axis):
        rising = sorted(points, key=lambda point: float(point.values[axis.name]))
        n = min(MAX_BINS, -(-len(points) // 4))
        cuts = [round(i * len(rising) / n) for i in range(n + 1)]
        return [_range(axis, rising[start:end]) for start, end in pairwise(cuts)]
    groups: dict[Any, list[Point]] = {}
    for point in points:
        groups.setdefault(point.values[axis.name], []).append(point)
    numbers = numeric(result, axis)
    return [
        _level(shown(value, axis.unit), float(value) if numbers else place, groups[value], fair)
        for place, value in enumerate(distinct(result, axis))
        if value in groups
    ]


def loss(start: Level, level: Level) -> tuple[float, float]:
    """Mean loss of accuracy from ``start`` to ``level`` over the chips of both, and half its 95 % interval.

    Student's t over the differences of every chip, which reads the same recordings at both; NaN for one chip.
    """
    from scipy import stats

    chips = start.scores.keys() & level.scores.keys()
    lost = np.array([start.scores[chip] - level.scores[chip] for chip in sorted(chips, key=str)])
    if not len(lost):
        return start.accuracy.mean - level.accuracy.mean, math.nan
    half = stats.t.ppf(0.975, len(lost) - 1) * stats.sem(lost) if len(lost) > 1 else math.nan
    return float(lost.mean()), float(half)


def from_better_end(rising: Sequence[Level]) -> list[Level]:
    """Levels from the more accurate end of the axis to the other: from no noise up, from many bits down."""
    better = rising[0].accuracy.mean >= rising[-1].accuracy.mean
    return list(rising) if better else list(reversed(rising))


def one_point_lost(rising: Sequence[Level], kind: Scale) -> Crossing:
    """Where the mean loss, counted from the better end, first reaches one point, interpolated."""
    along = from_better_end(rising)
    losses = [loss(along[0], level) for level in along]
    places = [level.at for level in along]

    def first(lost: Callable[[float, float], float]) -> float | None:
        # at the start nothing is lost, whatever the interval
        return _cross(places, [0.0, *(lost(*both) for both in losses[1:])], kind)

    worse = first(lambda mean, half: mean + half)
    better = first(lambda mean, half: mean - half)
    return Crossing(first(lambda mean, _half: mean), (worse, better))


def yield_at(level: Level, accuracy: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Share of device instances, of all points at the level, with at least each ``accuracy``."""
    scores = np.sort(chips_of(level))
    return np.asarray(1 - np.searchsorted(scores, np.asarray(accuracy) - ROUNDING) / len(scores))


def chips_of(level: Level) -> list[float]:
    """Accuracy of every device instance of every point at the level."""
    return [score for point in level.points for score in row(point)["per_chip"]]


def interval(accuracy: Interval) -> str:
    """The 95 % interval as text."""
    low, high = accuracy.ci95
    return f"{percent(low)} to {percent(high)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _range(axis: Axis, points: Sequence[Point]) -> Level:
    values = [float(point.values[axis.name]) for point in points]
    low, high = rounded(values[0]), rounded(values[-1], axis.unit)
    label = high if values[0] == values[-1] else f"{low}…{high}"
    return _level(label, float(np.median(values)), points, fair=False)


def _level(label: str, at: float, points: Sequence[Point], fair: bool) -> Level:
    scores: dict[Chip, list[float]] = {}
    for point in points:
        for number, score in enumerate(row(point)["per_chip"]):
            scores.setdefault((point.values.get(SEED), number), []).append(score)
    means = {chip: sum(seen) / len(seen) for chip, seen in scores.items()}
    if fair or len(points) == 1:
        n_test = min(row(point)["n_test"] for point in points)
        accuracy = accuracy_interval([mean * n_test for mean in means.values()], n_test)
    else:
        accuracy = _over_points([row(point)["accuracy"] for point in points])
    return Level(label, at, tuple(points), means, accuracy)


def _over_points(accuracies: Sequence[float]) -> Interval:
    from scipy import stats

    mean = float(np.mean(accuracies))
    half = float(stats.t.ppf(0.975, len(accuracies) - 1) * stats.sem(accuracies))
    return Interval(mean, (max(0.0, mean - half), min(1.0, mean + half)), tuple(accuracies))


def _cross(places: Sequence[float], lost: Sequence[float], kind: Scale) -> float | None:
    """Where ``lost`` first reaches one point, straight between two places on the axis as it is drawn."""
    for (x0, x1), (y0, y1) in zip(pairwise(places), pairwise(lost), strict=True):
        if y0 < ONE_POINT - ROUNDING <= y1:
            part = (ONE_POINT - ROUNDING - y0) / (y1 - y0)
            if kind != "linear" and x0 > 0 and x1 > 0:
                return float(x0 * (x1 / x0) ** part)
            return x0 + part * (x1 - x0)
    return None

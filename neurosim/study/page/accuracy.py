"""Accuracy against an axis: curves with intervals, where a point is lost, and what homeostasis buys."""

from collections.abc import Sequence
from html import escape

import numpy as np

from neurosim.report.facts import percent, plural
from neurosim.report.html import figure, table
from neurosim.study.page import figures
from neurosim.study.page.levels import (
    MAX_LINES,
    THRESHOLDS,
    Curves,
    Level,
    distinct,
    done,
    from_better_end,
    interval,
    is_grid,
    levels,
    loss,
    name_of,
    numeric,
    one_point_lost,
    rounded,
    row,
    scale,
    varied,
)
from neurosim.study.points import Axis
from neurosim.study.results import StudyResult

AGES = ("device.t_after_programming", "ageing.")


def homeostasis(result: StudyResult) -> str:
    """Accuracy by age with thresholds frozen at calibration against adapted ones."""
    thresholds = thresholds_of(result)
    if thresholds is None or not done(result):
        return ""
    age = _age(result) or thresholds
    curves = curves_of(result, age)
    gain = _gain(age, curves) if len(curves) == 2 else ""
    return f"<h2>What homeostasis buys</h2>\n{_accuracy(result, age, 'homeostasis', gain)}"


def accuracy(result: StudyResult) -> str:
    """Accuracy against each axis; the ages of a study of homeostasis stand there."""
    thresholds = thresholds_of(result)
    elsewhere = {axis.name for axis in (thresholds, thresholds and _age(result)) if axis}
    axes = [axis for axis in varied(result) if axis.name not in elsewhere]
    if not axes or not done(result):
        return ""
    parts = ["<h2>Accuracy by axis</h2>"]
    if result.kind == "search":
        parts.append("<p>A search tries good designs more often, so these are no means over all designs.</p>")
    return "\n".join([*parts, *(_accuracy(result, axis, f"accuracy{n}") for n, axis in enumerate(axes))])


def curves_of(result: StudyResult, axis: Axis) -> Curves:
    """Levels of an axis, by the values of the axis that makes lines where there is one."""
    split = _split(result, axis)
    if split is None:
        return {"": levels(result, axis)}
    lines = {level.label: list(level.points) for level in levels(result, split)}
    return {line: levels(result, axis, here) for line, here in lines.items()}


def thresholds_of(result: StudyResult) -> Axis | None:
    """The axis of frozen and adapted thresholds."""
    return next((axis for axis in varied(result) if THRESHOLDS in (axis.name, *axis.keys)), None)


def _accuracy(result: StudyResult, axis: Axis, name: str, first: str = "") -> str:
    """Figure of accuracy against an axis; beside it ``first``, where one point is lost, and the numbers."""
    curves, split = curves_of(result, axis), _split(result, axis)
    every = [level for here in curves.values() for level in here]
    numbers, fair = numeric(result, axis), is_grid(result)
    others = [other.name for other in varied(result) if other not in (axis, split)]
    dots = _behind(axis, curves[""], fair) if numbers and not split else []
    title = split.name if split else ""
    svg = figures.accuracy(name, axis, curves, numbers=numbers, title=title, dots=dots)
    caption = f"Accuracy against {axis.name}"
    caption += f" by {split.name}" if split else ""
    caption += f", mean over {', '.join(others)}" if others else ""
    over = f"{plural(max(len(level.scores) for level in every), 'chip')} and the test recordings"
    caption += f"; 95 % interval over {over if fair else 'points'}"
    caption += f"; small dots are {'chips' if fair else 'points'}." if dots else "."
    steady, many = numbers and fair, any(len(level.points) > 1 for level in every)
    rows = [
        (
            *([line] if split else []),
            level.label,
            *([f"{len(level.points):,}"] if many else []),
            f"{percent(level.accuracy.mean)} ({interval(level.accuracy)})",
            *([_loss_of(here, level)] if steady else []),
        )
        for line, here in curves.items()
        for level in here
    ]
    header = [*([name_of(split)] if split else []), name_of(axis), *(["Points"] if many else [])]
    header += ["Accuracy (95 % interval)", *(["Points lost (95 % over chips)"] if steady else [])]
    return f"""<h3>{escape(axis.name)}</h3>
<div class="beside">
{figure(svg, caption)}
<div>
{first}
{_lost(axis, split, curves) if steady else ""}
{table(rows, header, "numbers")}
</div>
</div>"""


def _behind(axis: Axis, line: Sequence[Level], fair: bool) -> list[tuple[float, float]]:
    """Places and accuracies of what the means are taken of: of the chips, or of the points."""
    if fair:
        return [(level.at, score) for level in line for score in level.scores.values()]
    points = [point for level in line for point in level.points]
    return [(float(point.values[axis.name]), row(point)["accuracy"]) for point in points]


def _gain(axis: Axis, curves: Curves) -> str:
    """What the second line has over the first at every value of the axis, in points."""
    (first, before), (second, after) = curves.items()
    there = {level.at: level for level in after}
    rows = [
        (
            level.label,
            percent(level.accuracy.mean),
            percent(there[level.at].accuracy.mean),
            _spread(*loss(there[level.at], level)),
        )
        for level in before
        if level.at in there
    ]
    header = (name_of(axis), first, second, f"{second} over {first} [points] (95 % over chips)")
    return table(rows, header, "numbers")


def _lost(axis: Axis, split: Axis | None, curves: Curves) -> str:
    """Where one point of accuracy is lost: a sentence, or a table of the lines."""
    said = [(line, *_lost_at(axis, here)) for line, here in curves.items() if len(here) > 1]
    if not said:
        return ""
    if split:
        return table(said, (name_of(split), "1 point lost at", "95 % over chips", "Counted from"), "numbers")
    _, at, span, start = said[0]
    span = f" (95 % over chips: {span})" if span else ""
    return f"<p>One point of accuracy is lost at: {escape(at + span)}, counted from {escape(start)}.</p>"


def _lost_at(axis: Axis, rising: Sequence[Level]) -> tuple[str, str, str]:
    """Where one point is lost, the interval of the place, and from where the loss is counted."""
    along = from_better_end(rising)
    start, end = along[0], along[-1]
    crossing = one_point_lost(rising, scale([level.at for level in rising]))

    def place(at: float | None) -> str:
        return f"beyond {end.label}" if at is None else rounded(at, axis.unit)

    counted = f"{percent(start.accuracy.mean)} at {start.label}"
    at, ends = place(crossing.at), tuple(map(place, crossing.interval))
    if crossing.at is None:
        at = f"not reached: {100 * loss(start, end)[0]:.2f} points at {end.label}"
    return at, "" if len(start.scores) == 1 or len(set(ends)) == 1 else " to ".join(ends), counted


def _loss_of(rising: Sequence[Level], level: Level) -> str:
    start = from_better_end(rising)[0]
    return "start" if level is start else _spread(*loss(start, level))


def _spread(mean: float, half: float) -> str:
    """A difference of accuracies in points, with its interval where it has one."""
    span = "" if np.isnan(half) else f" ({100 * (mean - half):.2f} to {100 * (mean + half):.2f})"
    return f"{100 * mean:.2f}{span}"


def _split(result: StudyResult, axis: Axis) -> Axis | None:
    """The axis that makes lines: that of homeostasis, or in a grid of two the other if it has few values."""
    axes = varied(result)
    if (thresholds := thresholds_of(result)) in axes and thresholds != axis:
        return thresholds
    others = [other for other in axes if other != axis]
    few = len(axes) == 2 and len(distinct(result, others[0])) <= MAX_LINES
    return others[0] if few and is_grid(result) else None


def _age(result: StudyResult) -> Axis | None:
    """The axis of the ages: one of numbers that is named for it, else the first of numbers."""
    found = [axis for axis in varied(result) if numeric(result, axis)]
    named = [axis for axis in found if any(key.startswith(AGES) for key in axis.keys)]
    return next(iter([*named, *found]), None)

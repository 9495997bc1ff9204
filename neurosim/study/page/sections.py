"""Parts of the page about all points: each is HTML, empty where there is nothing to say."""

from collections.abc import Sequence
from datetime import timedelta
from html import escape
from itertools import combinations

import numpy as np

from neurosim.report.facts import percent, plural
from neurosim.report.html import figure, table
from neurosim.study.page import figures
from neurosim.study.page.accuracy import curves_of, thresholds_of
from neurosim.study.page.levels import (
    MAX_LINES,
    ONE_POINT,
    Level,
    best,
    chips_of,
    distinct,
    done,
    levels,
    name_of,
    row,
    scattered,
    shown,
    varied,
    where,
    yield_at,
)
from neurosim.study.points import Axis
from neurosim.study.results import Point, StudyResult

MAX_PAIRED = 4  # axes whose pairs are drawn
BELOW_BEST = (0.0, 0.01, 0.02, 0.05, 0.1)  # accuracy levels of the yield's table


def headline(result: StudyResult) -> str:
    """Name, best and worst point, and what to beware of."""
    text = f"<strong>No result</strong>\nno point of this {escape(result.kind)} is done"
    if points := done(result):
        top, low = best(result), min(points, key=lambda point: row(point)["accuracy"])
        text = f"<strong>{percent(row(top)['accuracy'])}</strong>\nbest accuracy, 95 % interval {_ci95(top)}"
        if len(points) > 1:
            worst = f"worst {percent(row(low)['accuracy'])} at {where(result, low)}"
            text += escape(f", at {where(result, top)}; {worst}")
    beware = "\n".join(f'<p class="warning">Warning: {escape(text)}</p>' for text in _warnings(result))
    return f'<h1>{escape(result.name)}</h1>\n<p class="headline">{text}</p>\n{beware}'


def _warnings(result: StudyResult) -> list[str]:
    states = [point.state for point in result.points]
    total, found = plural(len(states), "point"), []
    if failed := states.count("failed"):
        found.append(f"{failed:,} of {total} failed; their errors stand below")
    if unfinished := len(states) - failed - states.count("done"):
        found.append(f"{unfinished:,} of {total} are not done; the same command goes on with them")
    chips = min((len(row(point)["per_chip"]) for point in done(result)), default=3)
    if result.kind == "sweep" and chips < 3:
        found.append(f"{plural(chips, 'chip')} per point: intervals and yield say little; raise sweep.chips")
    return found


def facts(result: StudyResult) -> str:
    """What was varied and how much was run."""
    points = done(result)
    rows: list[tuple[str, str]] = [("Study", result.kind)]
    rows += [(f"Axis {axis.name}", _values(result, axis)) for axis in result.axes if result.points]
    rows.append(("Points", f"{len(points):,} done of {len(result.points):,}"))
    if points:
        chips = sorted({len(row(point)["per_chip"]) for point in points})
        seconds = sum(row(point)["seconds"] for point in points)
        rows += [
            ("Chips per point", " to ".join(dict.fromkeys((f"{chips[0]:,}", f"{chips[-1]:,}")))),
            ("Test recordings", f"{max(row(point)['n_test'] for point in points):,}"),
            ("Work", f"{timedelta(seconds=round(seconds))} hours, summed over workers"),
        ]
    return table([*rows, ("Fingerprint", result.fingerprint)])


def pairs(result: StudyResult) -> str:
    """Accuracy by two axes at a time, of the axes over which it changes most."""
    if not done(result) or len(varied(result)) < 2:
        return ""
    axes = sorted(varied(result), key=lambda axis: -_effect(result, axis))[:MAX_PAIRED]
    drawn = (_pair(result, *pair, f"pair{n}") for n, pair in enumerate(combinations(axes, 2)))
    left = len(varied(result)) - len(axes)
    note = f"<p>Of the {len(axes)} axes over which accuracy changes most.</p>\n" if left else ""
    return f'<h2>Pairs of axes</h2>\n{note}<div class="grid">\n' + "\n".join(drawn) + "\n</div>"


def yields(result: StudyResult) -> str:
    """Share of chips at or above an accuracy, by axis."""
    points = done(result)
    if not points or result.kind != "sweep":
        return ""
    top = row(best(result))["accuracy"]
    parts = [
        "<h2>Yield</h2>",
        f"<p>Share of chips with at least a given accuracy. Target (dotted): {percent(top - ONE_POINT)}, one "
        "point below the best point. Chips of all points at a value count alike.</p>",
    ]
    thresholds = thresholds_of(result)
    for number, axis in enumerate(varied(result)):
        curves = curves_of(result, axis) if thresholds not in (None, axis) else {"": levels(result, axis)}
        for line, (of, here) in enumerate(curves.items()):
            what = f"by {axis.name}{f', {of} thresholds' if of else ''}"
            parts.append(_yield(axis, here, top, f"yield{number}-{line}", what))
    return "\n".join(parts)


def _yield(axis: Axis, here: Sequence[Level], top: float, name: str, what: str) -> str:
    few = [here[round(i)] for i in np.linspace(0, len(here) - 1, min(MAX_LINES, len(here)))]
    which = "" if len(few) == len(here) else f"; {len(few)} of {len(here)} values, the table has all"
    svg = figures.yields(name, few, top - ONE_POINT)
    header = (name_of(axis), "Chips", *(f"≥ {percent(top - below)}" for below in BELOW_BEST))
    numbers = table([_yield_row(level, top) for level in here], header, "numbers")
    drawn = figure(svg, f"Yield against accuracy, {what}{which}.")
    return f'<div class="beside">\n{drawn}\n{numbers}\n</div>'


def _pair(result: StudyResult, across: Axis, down: Axis, name: str) -> str:
    caption = f"Accuracy by {across.name} and {down.name}"
    if all(scattered(result, axis) for axis in (across, down)):
        points = done(result)
        x, y = ([point.values[axis.name] for point in points] for axis in (across, down))
        svg = figures.cloud(name, across, down, x, y, [row(point)["accuracy"] for point in points])
        return figure(svg, f"{caption}; each dot is a point of the table of all points.")
    columns, rows = levels(result, across), levels(result, down)
    shares = [[_both(i, j) for j in columns] for i in rows]
    labels = [level.label for level in columns], [level.label for level in rows]
    svg = figures.heat(name, across, down, labels, shares)
    body = [
        (label, *("" if np.isnan(share) else percent(share) for share in line))
        for label, line in zip(labels[1], shares, strict=True)
    ]
    numbers = table(body, (f"{name_of(down)} \\ {name_of(across)}", *labels[0]), "numbers")
    return (
        f"<div>\n{figure(svg, f'{caption}, mean over chips and all else.')}\n"
        f"<details><summary>In numbers</summary>\n{numbers}\n</details>\n</div>"
    )


def _both(level: Level, other: Level) -> float:
    """Mean accuracy of the points at two levels; NaN where there is none."""
    numbers = {point.number for point in other.points}
    scores = [row(point)["accuracy"] for point in level.points if point.number in numbers]
    return float(np.mean(scores)) if scores else float("nan")


def _effect(result: StudyResult, axis: Axis) -> float:
    means = [level.accuracy.mean for level in levels(result, axis)]
    return max(means) - min(means)


def _yield_row(level: Level, top: float) -> tuple[str, ...]:
    shares = (percent(float(share)) for share in yield_at(level, top - np.array(BELOW_BEST)))
    return (level.label, f"{len(chips_of(level)):,}", *shares)


def _ci95(point: Point) -> str:
    low, high = row(point)["ci95"]
    return f"{percent(low)} to {percent(high)}"


def _values(result: StudyResult, axis: Axis) -> str:
    """The values of an axis, in words."""
    values = [shown(value, axis.unit) for value in distinct(result, axis)]
    also = "" if axis.keys in ((axis.name,), ()) else f"; sets {', '.join(axis.keys)}"
    if len(values) > 10:
        return f"{len(values):,} values, {values[0]} to {values[-1]}{also}"
    return f"{', '.join(values)}{also}"

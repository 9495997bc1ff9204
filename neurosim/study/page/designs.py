"""What a study says about its points: front, importance, cost, failures, and every point in numbers."""

import contextlib
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from neurosim.experiment import PACKAGES
from neurosim.report.facts import percent, plural, quantity, readable, square_millimetres
from neurosim.report.html import figure, table
from neurosim.study.config import to_toml
from neurosim.study.page import figures
from neurosim.study.page.levels import done, levels, name_of, row, shown, varied, where
from neurosim.study.points import Axis
from neurosim.study.results import Point, StudyResult

MAX_BARS = 12  # of the figure of energies
MAX_SHOWN = 2000  # points in the table of all
SAME = 0.001  # relative difference of energies that is none
# of a cost: its key in a row and how it is written
COSTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "Energy": ("energy", lambda value: quantity(value, "J")),
    "Latency": ("latency", lambda value: quantity(value, "s") if value else "not known"),
    "Area": ("area", lambda value: square_millimetres(value) if value else "not known"),
    "Cells": ("cells", lambda value: f"{value:,.0f}"),
    "Tiles": ("tiles", lambda value: f"{value:.3g}"),
    "Used": ("utilisation", percent),
}
# of an objective: its name, its key in a row, and how it is written
OBJECTIVES: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "accuracy": ("validation accuracy", "validation_accuracy", percent),
    "energy": ("energy per recording", "energy", lambda value: quantity(value, "J")),
    "latency": ("latency", "latency", lambda value: quantity(value, "s")),
    "area": ("area", "area", square_millimetres),
}


def front(result: StudyResult) -> str:
    """Designs that no other beats in every objective."""
    names, points = list(result.extra.get("objectives", ())), done(result)
    if not names or not points:
        return ""
    on, out = set(result.extra["front"]), set(result.extra["infeasible"])
    front = sorted((point for point in points if point.number in on), key=lambda p: -row(p)["accuracy"])
    bounds = ", ".join(f"{name} {value:.6g}" for name, value in result.extra["constraints"].items())
    goals = " and ".join(OBJECTIVES[name][0] for name in names)
    said = f"{plural(len(front), 'design')} that no other beats in {goals}"
    said += f", of {plural(len(points) - len(out), 'design')}"
    said += f" that keep to the constraints ({bounds})." if bounds else "."
    if "accuracy" in names:
        said += " The search looked at validation accuracy; test accuracy judges what it found."
    drawn = "\n".join(_front(result, x, names[0]) for x in names[1:])
    grid = f'<div class="grid">\n{drawn}\n</div>'
    return f"<h2>Front</h2>\n<p>{escape(said)}</p>\n{grid}\n{_designs(result, front)}"


def importance(result: StudyResult) -> str:
    """How much every knob decides, for the front and for every objective."""
    found = result.extra.get("importance")
    if not found:
        return ""
    title = "<h2>Importance of knobs</h2>\n"
    if not found["shares"]:
        return f"{title}<p>{escape(str(found['note']))}</p>"
    shares: Mapping[str, Mapping[str, float]] = found["shares"]
    knobs = list(shares["front"])
    bars = {what: {knob: (100 * share, np.nan) for knob, share in by.items()} for what, by in shares.items()}
    svg = figures.bars("importance", bars, "share [%]")
    rows = [(knob, *(percent(by.get(knob, 0.0)) for by in shares.values())) for knob in knobs]
    caption = f"{found['method']} of {plural(found['n'], 'design')}; shares of an objective add up to 100 %."
    numbers = table(rows, ("Knob", *shares), "numbers")
    return f'{title}<div class="beside">\n{figure(svg, caption)}\n{numbers}\n</div>'


def sensitivities(result: StudyResult) -> str:
    """What the parameters do to accuracy: Sobol indices, or changes from end to end of their ranges."""
    found = result.extra.get("sensitivities")
    if not found:
        return ""
    local = found["method"] == "local"
    title = f"<h2>{'Change of accuracy over each range' if local else 'Sobol indices of accuracy'}</h2>"
    said = []
    if found["dominant"]:
        sure = (
            "its interval is apart from the others'" if found["clear"] else "but no interval tells it apart"
        )
        said.append(f"{found['dominant']} decides most, {sure}.")
    if found["note"]:
        said.append(f"Note: {found['note']}.")
    text = "\n".join(f"<p>{escape(each)}</p>" for each in said)
    ranked = found["parameters"].items()
    if not ranked:
        return f"{title}\n{text}"
    if local:
        bars = {"effect": {name: _bar(one["effect"], one["ci95"], 100) for name, one in ranked}}
        svg = figures.bars("sensitivities", bars, "change of accuracy [points]")
        caption = "Accuracy at the high end minus that at the low end; bars: 95 % interval over chips."
        header = ("Parameter", "Low end", "High end", "Change [points] (95 % over chips)", "Slope [points]")
        rows = [_local_row(name, one) for name, one in ranked]
    else:
        bars = {
            kind: {name: _bar(one[key], one[f"{key}_ci95"]) for name, one in ranked}
            for kind, key in (("first order", "s1"), ("total", "st"))
        }
        svg = figures.bars("sensitivities", bars, "share of the variance of accuracy")
        caption = (
            f"Alone (first order) and with all else (total), {plural(found['n'], 'base sample')}: accuracy "
            f"{percent(found['mean'])}, standard deviation {100 * found['variance'] ** 0.5:.2f} points; "
            "bars: 95 % interval."
        )
        header = ("Parameter", "First order", "95 % interval", "Total", "95 % interval")
        rows = [(name, *_index(one, "s1"), *_index(one, "st")) for name, one in ranked]
    pairs = [(" and ".join(pair["of"]), *_index(pair, "s2")) for pair in found.get("pairs", ())]
    second = table(pairs, ("Pair", "Second order", "95 % interval"), "numbers") if pairs else ""
    return f"""{title}
{text}
<div class="beside">
{figure(svg, caption)}
<div>
{table(rows, header, "numbers")}
{second}
</div>
</div>"""


def cost(result: StudyResult) -> str:
    """Energy by component of every point, or by the axis over which it changes most."""
    if not done(result):
        return ""
    by, groups = _energy_groups(result)
    parts = {name: _parts(group) for name, group in groups.items()}
    components = list(dict.fromkeys(part for each in parts.values() for part in each))
    drawn = dict(list(parts.items())[:MAX_BARS])
    first = f"; the first {MAX_BARS} of {len(parts)}" if len(drawn) < len(parts) else ""
    svg = figures.stack("cost", by, drawn)
    rows = [
        (
            name,
            *(text(float(np.mean([row(point)[key] for point in group]))) for key, text in COSTS.values()),
            *(quantity(parts[name].get(component, 0.0), "J") for component in components),
        )
        for name, group in groups.items()
    ]
    how = f"by {by}{first}" if len(parts) > 1 else "the same at all points"
    caption = f"Energy per recording by component, from counted operations; {how}."
    return f"""<h2>Cost</h2>
{figure(svg, caption)}
{table(rows, (by, *COSTS, *components), "numbers")}"""


def failures(result: StudyResult) -> str:
    """Points that failed, with what they said."""
    failed = [point for point in result.points if point.state == "failed"]
    if not failed:
        return ""
    rows = [(f"{point.number}", where(result, point), point.error or "") for point in failed]
    return f"<h2>Failed points</h2>\n{table(rows, ('Point', 'Values', 'Error'), 'errors')}"


def every_point(result: StudyResult) -> str:
    """The table of all points."""
    points = result.points[:MAX_SHOWN]
    left = len(result.points) - len(points)
    note = f"<p>{left:,} more points stand in the study's CSV file.</p>\n" if left else ""
    return f"""<h2>All points</h2>
<details><summary>{plural(len(points), "point")} in numbers</summary>
{note}{_designs(result, points)}
</details>"""


def origin(result: StudyResult) -> str:
    """Versions of the machine that writes the page, and the study's file."""
    versions = {}
    for package in (*PACKAGES, "optuna"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return f"""<h2>Origin</h2>
{table(versions.items())}
<details><summary>The study as TOML</summary>
<pre>{escape(to_toml(result.study))}</pre>
</details>"""


def _front(result: StudyResult, across: str, up: str) -> str:
    """Two objectives of every design."""
    points, names = done(result), list(result.extra["objectives"])
    (x, x_key, x_text), (y, y_key, y_text) = OBJECTIVES[across], OBJECTIVES[up]
    marks = dict.fromkeys(result.extra["infeasible"], "out") | dict.fromkeys(result.extra["front"], "front")
    svg = figures.front(
        f"front-{across}",
        [(x, x_text), (y, y_text)],
        [[row(point)[key] for point in points] for key in (x_key, y_key)],
        [marks.get(point.number, "other") for point in points],
        [_tip(result, point, names) for point in points if marks.get(point.number) == "front"],
    )
    return figure(svg, f"{y.capitalize()} against {x}; the mouse over a diamond shows its design.")


def _designs(result: StudyResult, points: Sequence[Point]) -> str:
    """Points in numbers, a row each."""
    stated = any(point.state != "done" for point in points)
    header = ["Point", *(["State"] if stated else []), *map(name_of, result.axes)]
    header += ["Accuracy", "95 % interval", "Each chip", "Validation", *COSTS, "Wall time", "Fingerprint"]
    rows = [
        (
            f"{point.number}",
            *([point.state] if stated else []),
            *(shown(point.values[axis.name]) for axis in result.axes),
            *(_numbers(point.row) if point.row else []),
        )
        for point in points
    ]
    return table(rows, header, "numbers")


def _numbers(numbers: Mapping[str, Any]) -> list[str]:
    low, high = numbers["ci95"]
    return [
        percent(numbers["accuracy"]),
        f"{percent(low)} to {percent(high)}",
        ", ".join(f"{100 * score:.1f}" for score in numbers["per_chip"]),
        percent(numbers["validation_accuracy"]),
        *(text(numbers[key]) for key, text in COSTS.values()),
        quantity(numbers["seconds"], "s"),
        numbers["fingerprint"][:12],
    ]


def _tip(result: StudyResult, point: Point, names: Sequence[str]) -> str:
    reached = [f"{what} {text(row(point)[key])}" for what, key, text in map(OBJECTIVES.__getitem__, names)]
    return "\n".join([f"point {point.number}", *reached, where(result, point).replace(", ", "\n")])


def _energy_groups(result: StudyResult) -> tuple[str, dict[str, list[Point]]]:
    """Points by what makes their energy differ: nothing, the designs of a front, or an axis."""
    points = done(result)
    energies = [row(point)["energy"] for point in points]
    if max(energies) - min(energies) <= SAME * max(energies):
        return "point", {"all": points}
    front, axes = set(result.extra.get("front", ())), varied(result)
    if front or not axes:
        some = [point for point in points if point.number in front] or points
        return "point", {f"{point.number}": [point] for point in some}

    def change(axis: Axis) -> float:
        means = [np.mean([row(point)["energy"] for point in level.points]) for level in levels(result, axis)]
        return float(max(means) - min(means))

    axis = max(axes, key=change)
    return axis.name, {level.label: list(level.points) for level in levels(result, axis)}


def _parts(points: Sequence[Point]) -> dict[str, float]:
    """Mean energy [J] by component."""
    parts = [readable(row(point)["energy_parts"]) for point in points]
    names = dict.fromkeys(name for each in parts for name in each if name != "total")
    return {name: float(np.mean([each.get(name, 0.0) for each in parts])) for name in names}


def _local_row(name: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = (f"{percent(one[f'accuracy_{end}'])} at {shown(one[end])}" for end in ("low", "high"))
    span = f" ({100 * one['ci95'][0]:.2f} to {100 * one['ci95'][1]:.2f})" if one["ci95"] else ""
    slope = f"{100 * one['slope']:.3g} per {one['slope_per']}"
    return name, low, high, f"{100 * one['effect']:.2f}{span}", slope


def _index(one: Mapping[str, Any], key: str) -> tuple[str, str]:
    low, high = one[f"{key}_ci95"]
    return f"{one[key]:.3f}", f"{low:.3f} to {high:.3f}"


def _bar(value: float, ci95: Sequence[float] | None, factor: float = 1.0) -> tuple[float, float]:
    """A bar and half its interval, NaN where there is none."""
    return factor * value, factor * (ci95[1] - value) if ci95 else float("nan")

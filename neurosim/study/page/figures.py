"""Figures of a study as inline SVG, in the style and the colours of a run's figures.

Lines differ in colour, marker and dash, and bars in colour and hatch, so that they are told apart in print
and by every eye.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurosim.report.facts import quantity
from neurosim.report.figures import BLUE, GREEN, INK, ORANGE, render, short
from neurosim.study.page.levels import Curves, Level, chips_of, name_of, scale, yield_at
from neurosim.study.points import Axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (BLUE, ORANGE, GREEN, "#D55E00", "#CC79A7", "#56B4E9")  # Okabe and Ito
MARKERS, DASHES = "osD^vP", ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
HATCHES = ("", "//", "--", "\\\\", "xx", "||", "++")  # of lines: dots make a large file
WIDTH = 4.2
MAX_TICKS = 8
ABOVE: dict[str, Any] = {
    "loc": "outside upper center",
    "columnspacing": 1,
    "handletextpad": 0.4,
    "fontsize": 9,
}


def accuracy(
    name: str, axis: Axis, curves: Curves, *, numbers: bool, title: str, dots: Sequence[tuple[float, float]]
) -> str:
    """Accuracy against ``axis`` with 95 % bands; categories are dots with bars.

    Args:
        name: Start of the ids.
        axis: What stands across.
        curves: The lines.
        numbers: Whether the axis has numbers.
        title: What tells the lines apart.
        dots: Places and accuracies of what the means were taken of.
    """
    if not numbers:
        return _dots(name, axis, curves, title)

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for number, (line, levels) in enumerate(curves.items()):
            x = [level.at for level in levels]
            low, high = 100 * np.transpose([level.accuracy.ci95 for level in levels])
            axes.fill_between(x, low, high, color=COLOURS[number], alpha=0.2, lw=0)
            axes.plot(x, _means(levels), label=short(line, 20), **_line(number))
        across, up = np.array(dots).reshape(-1, 2).T
        axes.plot(across, 100 * up, ".", ms=3, color=INK, alpha=0.5, zorder=3)
        axes.set(xlabel=_label(axis), ylabel="accuracy [%]")
        _set_scale(axes, [level.at for levels in curves.values() for level in levels])
        _legend(figure, list(curves), title)

    return render(name, WIDTH, 3.0, paint)


def _dots(name: str, axis: Axis, curves: Curves, title: str) -> str:
    places = {level.label: level.at for levels in curves.values() for level in levels}

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for number, (line, levels) in enumerate(curves.items()):
            beside = (number - (len(curves) - 1) / 2) * 0.6 / len(curves)
            y = [level.at + beside for level in levels]
            ends = 100 * np.transpose([level.accuracy.ci95 for level in levels])
            mean = _means(levels)
            style = {**_line(number), "ls": "none", "capsize": 3, "label": short(line, 20)}
            axes.errorbar(mean, y, xerr=abs(ends - mean), **style)
        axes.set_yticks(list(places.values()), [short(label, 18) for label in places])
        axes.set_ylim(max(places.values()) + 0.5, min(places.values()) - 0.5)
        axes.grid(axis="x", alpha=0.3)
        axes.set(xlabel="accuracy [%]", ylabel=_label(axis, 16))
        _legend(figure, list(curves), title)

    return render(name, WIDTH, 1.2 + 0.3 * len(places) * max(1, len(curves) / 2), paint)


def yields(name: str, levels: Sequence[Level], target: float) -> str:
    """Share of device instances with at least an accuracy, against that accuracy."""
    every = sorted({score for level in levels for score in chips_of(level)})
    margin = max(0.05 * (every[-1] - every[0]), 0.002)
    x = np.array([every[0] - margin, *every, every[-1] + margin])

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for number, level in enumerate(levels):
            style = _line(number) | {"marker": ""}
            # a share holds up to and with its accuracy
            axes.step(100 * x, 100 * yield_at(level, x), where="pre", label=short(level.label, 20), **style)
        axes.axvline(100 * target, color=INK, lw=1, ls=":")
        axes.set(xlabel="accuracy [%]", ylabel="chips at or above it [%]", ylim=(-3, 103))
        _legend(figure, [level.label for level in levels])

    return render(name, WIDTH, 3.0, paint)


def heat(name: str, across: Axis, down: Axis, labels: tuple[list[str], list[str]], shares: Any) -> str:
    """Accuracy by two axes, (rows down, columns across); NaN is empty."""
    rows, columns = np.shape(shares)

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        low, high = 100 * np.nanmin(shares), 100 * np.nanmax(shares)
        image = axes.imshow(100 * np.asarray(shares), cmap="viridis", aspect="auto", vmin=low, vmax=high)
        if columns <= 8:  # whose numbers can be read
            for i, j in np.argwhere(np.isfinite(shares)):
                part = (100 * shares[i][j] - low) / max(high - low, 1e-9)
                ink, size = "black" if part > 0.5 else "white", 9 if columns <= 6 else 7
                axes.text(
                    j, i, f"{100 * shares[i][j]:.1f}", ha="center", va="center", color=ink, fontsize=size
                )
        across_names = [short(label, 15) for label in labels[0]]
        turned = sum(map(len, across_names)) > 30
        keep = slice(None, None, -(-columns // 16)), slice(None, None, -(-rows // 24))
        axes.set_xticks(
            range(columns)[keep[0]], across_names[keep[0]], rotation=90 if turned else 0, fontsize=9
        )
        axes.set_yticks(range(rows)[keep[1]], [short(label) for label in labels[1]][keep[1]], fontsize=9)
        axes.set(xlabel=_label(across), ylabel=_label(down, 28))
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, label="accuracy [%]")

    return render(name, WIDTH, float(np.clip(1.6 + 0.3 * rows, 2.6, 5)), paint)


def cloud(name: str, across: Axis, down: Axis, x: Sequence[float], y: Sequence[float], shares: Any) -> str:
    """Accuracy, as colour, of points that are scattered over two axes."""

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        dots = axes.scatter(x, y, c=100 * np.asarray(shares), cmap="viridis", s=22, lw=0.4, edgecolors=INK)
        axes.set(xlabel=_label(across), ylabel=_label(down, 28))
        _set_scale(axes, x)
        _set_scale(axes, y, "y")
        figure.colorbar(dots, ax=axes, label="accuracy [%]")

    return render(name, WIDTH, 3.2, paint)


def front(
    name: str,
    labels: Sequence[tuple[str, Callable[[float], str]]],
    places: Sequence[Sequence[float]],
    marks: Sequence[str],
    tips: Sequence[str],
) -> str:
    """Two objectives of every design.

    Args:
        name: Start of the ids.
        labels: Name of the objective across and up, and how its numbers are written.
        places: Its values, (2, n_designs).
        marks: Of every design ``front``, ``other``, or ``out`` where it does not keep to the constraints.
        tips: What the mouse shows over the designs of the front.
    """
    x, y = np.asarray(places, np.float64)
    kinds = np.asarray(marks)

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for mark, shape, label in (("out", "x", "against constraints"), ("other", "o", "other designs")):
            here = kinds == mark
            if here.any():
                axes.plot(x[here], y[here], shape, ms=4, mfc="none", color=INK, alpha=0.6, label=label)
        for number, place in enumerate(np.flatnonzero(kinds == "front")):
            label = "_" if number else "front"
            axes.plot(x[place], y[place], "D", ms=6, color=BLUE, label=label, gid=f"tip{number}")
        if min(x) > 0 and max(x) > 8 * min(x):
            axes.set_xscale("log")
            axes.minorticks_off()
        else:
            axes.locator_params(axis="x", nbins=4)
        for side, (label, text) in zip((axes.xaxis, axes.yaxis), labels, strict=True):
            side.set_label_text(label)
            side.set_major_formatter(_written(text))
        figure.legend(ncols=3, **ABOVE)

    return render(name, WIDTH, 3.2, paint, tips)


def _written(text: Callable[[float], str]) -> Callable[[float, float], str]:
    """Matplotlib's form of a function that writes numbers."""
    return lambda value, _place: text(value)


def bars(name: str, groups: Mapping[str, Mapping[str, tuple[float, float]]], xlabel: str) -> str:
    """Bars of (value, half its 95 % interval) by group and by the name of a knob; NaN is no interval."""
    names = list(dict.fromkeys(knob for values in groups.values() for knob in values))

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        height = 0.8 / len(groups)
        for number, (group, values) in enumerate(groups.items()):
            here = [values.get(knob, (0.0, np.nan)) for knob in names]
            y = np.arange(len(names)) + (number - (len(groups) - 1) / 2) * height
            value, half = np.transpose(here)
            error = np.nan_to_num(half) if np.isfinite(half).any() else None
            axes.barh(
                y,
                value,
                height,
                xerr=error,
                label=group,
                ecolor=INK,
                capsize=2,
                error_kw={"lw": 1},
                **_bar(number),
            )
        axes.set_yticks(range(len(names)), [short(knob, 28) for knob in names], fontsize=9)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.axvline(0, color=INK, lw=0.8)
        axes.set_xlabel(xlabel)
        _legend(figure, list(groups))

    return render(name, WIDTH, 1.3 + 0.22 * len(names) * max(1.2, len(groups)), paint)


def stack(name: str, by: str, parts: Mapping[str, Mapping[str, float]]) -> str:
    """Energy by component, stacked, a bar for each value of what is named by ``by``."""
    components = list(dict.fromkeys(part for row in parts.values() for part in row))

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        left = np.zeros(len(parts))
        for number, component in enumerate(components):
            width = np.array([row.get(component, 0.0) for row in parts.values()])
            axes.barh(range(len(parts)), width, left=left, label=short(component, 20), **_bar(number))
            left += width
        axes.set_yticks(range(len(parts)), [short(row, 18) for row in parts], fontsize=9)
        axes.set_ylim(len(parts) - 0.4, -0.6)
        axes.xaxis.set_major_formatter(_written(lambda value: quantity(value, "J")))
        axes.locator_params(axis="x", nbins=4)
        axes.set(xlabel="energy per recording", ylabel=short(by, 24) if len(parts) > 1 else "")
        _legend(figure, components)

    return render(name, WIDTH, 1.2 + 0.28 * len(parts) + 0.2 * -(-len(components) // 3), paint)


def _means(levels: Sequence[Level]) -> npt.NDArray[np.float64]:
    return np.array([100 * level.accuracy.mean for level in levels])


def _line(number: int) -> dict[str, Any]:
    place = number % len(COLOURS)
    return {"color": COLOURS[place], "marker": MARKERS[place], "ls": DASHES[place], "ms": 5}


def _bar(number: int) -> dict[str, Any]:
    colour, hatch = COLOURS[number % len(COLOURS)], HATCHES[number % len(HATCHES)]
    return {"color": colour, "hatch": hatch, "edgecolor": "white", "lw": 0.5}


def _label(axis: Axis, length: int = 40) -> str:
    return short(name_of(axis), length)


def _set_scale(axes: "Axes", values: Sequence[float], which: str = "x") -> None:
    kind, few = scale(values), sorted(set(values))
    side = axes.xaxis if which == "x" else axes.yaxis
    set_scale = axes.set_xscale if which == "x" else axes.set_yscale
    if kind == "log":
        set_scale("log")
    elif kind == "symlog":
        set_scale("symlog", linthresh=min(value for value in values if value > 0), linscale=0.5)
    if kind == "symlog" and len(few) <= MAX_TICKS:
        side.set_ticks(few)
    side.set_major_formatter(_written(_tick))
    axes.minorticks_off()


def _tick(value: float) -> str:
    """A number as short as it is clear: far powers of ten by their exponent."""
    digits, _, power = f"{value:.5e}".partition("e")
    if abs(int(power)) > 3 and float(digits) == 1:
        return f"10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
    return f"{value:.6g}"


def _legend(figure: "Figure", labels: Sequence[str], title: str = "") -> None:
    if len(labels) > 1:
        columns = 3 if max(map(len, labels)) <= 14 else 2
        figure.legend(ncols=columns, title=short(title, 44) or None, title_fontsize=9, **ABOVE)

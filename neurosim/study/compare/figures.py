"""Figures of a comparison as inline SVG, in the style and the colours of a run's figures.

Families differ in colour and marker, contestants of a family in dash and marker, and names stand beside what
they name, so that they are told apart in print and by every eye.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurosim.report.figures import BLUE, GREEN, INK, render, short
from neurosim.results import Interval
from neurosim.study.compare.names import at_ends, beside
from neurosim.study.compare.results import Contestant, Kind
from neurosim.study.compare.text import FAMILIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: dict[Kind, str] = {"liquid": BLUE, "quantum": "#D55E00", "classical": GREEN, "reference": "#808080"}
MARKERS: dict[Kind, str] = {"liquid": "D", "quantum": "o", "classical": "s", "reference": "^"}
LINES, DASHES = "osD^vPX<", ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
TICKS = np.array([0, 20, 40, 60, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 100])  # of an accuracy [%]


def scatter(
    name: str,
    contestants: Sequence[Contestant],
    spans: Sequence[tuple[float, float]],
    others: Sequence[float | None],
    front: Sequence[tuple[float, float]],
    *,
    label: str,
    written: Callable[[float], str],
    floor: float,
    tips: Sequence[str],
) -> str:
    """Accuracy against a cost, on logarithmic axes of cost and error.

    Args:
        name: Start of the ids.
        contestants: Who is drawn; variants are small and hollow.
        spans: Their cost from best to worst.
        others: Their cost on other hardware, drawn hollow.
        front: Cost and accuracy of those that no other beats, the cheapest first.
        label: What stands across.
        written: How its numbers are written.
        floor: Error that is drawn as none [1].
        tips: What the mouse shows over a mark.
    """
    places = [(best, 100 * one.accuracy.mean) for one, (best, _) in zip(contestants, spans, strict=True)]
    corners = [corner for a, b in pairwise(front) for corner in (a, (b[0], a[1]))] + [*front[-1:]]
    steps = [(x, 100 * y) for x, y in corners]
    lines = [*pairwise(steps)]  # which names should not cross
    for one, (x, y), (_, worst) in zip(contestants, places, spans, strict=True):
        low, high = one.accuracy.ci95
        lines += [((x, y), (worst, y)), ((x, 100 * low), (x, 100 * high))]

    def paint(figure: "Figure") -> None:
        from matplotlib.ticker import LogLocator

        axes = figure.subplots()
        axes.set_xscale("log")
        reach = [x for span in spans for x in span] + [x for x in others if x]
        margin = 1.8 * (max(reach) / min(reach)) ** 0.08
        axes.set_xlim(min(reach) / margin, max(reach) * margin)
        families: set[str] = set()
        for number, (one, (x, y)) in enumerate(zip(contestants, places, strict=True)):
            colour, mark = COLOURS[one.kind], MARKERS[one.kind]
            low, high = (100 * end for end in one.accuracy.ci95)
            axes.vlines(x, low, high, color=colour, lw=1, alpha=0.7)
            if spans[number][1] > x:
                axes.plot([x, spans[number][1]], [y, y], "-|", color=colour, lw=1, alpha=0.7)
            if (other := others[number]) is not None:
                axes.plot([x, other], [y, y], ":", color=colour, lw=1)
                axes.plot(other, y, mark, color=colour, mfc="none", ms=6)
            style: dict[str, Any] = {"mfc": "none", "ms": 4} if one.is_variant else {"ms": 6}
            if not one.is_variant and one.kind not in families:
                families.add(one.kind)
                style["label"] = FAMILIES[one.kind]
            axes.plot(x, y, mark, color=colour, gid=f"tip{number}", zorder=3, **style)
        if steps:
            axes.plot(*np.transpose(steps), color=INK, lw=1, ls="--", alpha=0.7, label="Pareto front")
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(reach) < 30 * min(reach) else (1,)))
        axes.xaxis.set_major_formatter(lambda value, _place: written(value))
        axes.minorticks_off()
        _error_scale(axes, [one.accuracy for one in contestants], floor)
        figure.legend(loc="outside upper center", ncols=3, columnspacing=1, handletextpad=0.3, fontsize=9)
        pairs = zip(contestants, places, strict=True)
        named = [(one.name, COLOURS[one.kind], place) for one, place in pairs if not one.is_variant]
        beside(figure, axes, named, places, lines)

    return render(name, 5.6, 4.6, paint, tips)


def curves(name: str, kind: Kind, contestants: Sequence[Contestant], floor: float) -> str:
    """Accuracy against training recordings, logarithmic in both; one family in colour before the others."""
    family = [one for one in contestants if one.kind == kind]
    sizes = sorted({size for one in contestants for size, _ in one.curve})

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.set_xscale("log")
        for one in contestants:
            x, y, _ = _curve(one)
            if one.kind != kind:
                axes.plot(x, y, color=INK, lw=0.7, alpha=0.25)
        for number, one in enumerate(family):
            x, y, errors = _curve(one)
            axes.errorbar(
                x,
                y,
                yerr=errors,
                color=_shade(kind, number, len(family)),
                marker=LINES[number % len(LINES)],
                ls=DASHES[number % len(DASHES)],
                ms=5,
                lw=1.5,
                elinewidth=0.8,
            )
        axes.set_xticks(_apart(sizes), [f"{size:,}" for size in _apart(sizes)])
        axes.minorticks_off()
        axes.set_xlabel("training recordings")
        axes.set_title(FAMILIES[kind], fontsize=10)
        _error_scale(axes, [accuracy for one in contestants for _, accuracy in one.curve], floor)
        at_ends(
            figure,
            axes,
            [
                (one.name, _shade(kind, number, len(family)), (x[-1], y[-1]))
                for number, one in enumerate(family)
                for x, y, _ in [_curve(one)]
            ],
        )

    return render(name, 4.6, max(3.4, 1.1 + 0.16 * len(family)), paint)


def ablation(name: str, rows: Sequence[tuple[str, Interval, Kind, bool]]) -> str:
    """Accuracy of a hybrid's variants.

    Args:
        name: Start of the ids.
        rows: Name, accuracy, family of its colour, and whether it is the full hybrid, whose interval is drawn
            behind all.
    """

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for place, (_, accuracy, kind, full) in enumerate(rows):
            mean, low, high = (100 * value for value in (accuracy.mean, *accuracy.ci95))
            if full:
                axes.axvspan(low, high, color=COLOURS[kind], alpha=0.15, lw=0)
                axes.axvline(mean, color=COLOURS[kind], lw=1, ls="--")
            style: dict[str, Any] = {"color": COLOURS[kind], "capsize": 3, "mfc": None if full else "none"}
            axes.errorbar(mean, place, xerr=[[mean - low], [high - mean]], fmt=MARKERS[kind], **style)
            seeds = [100 * score for score in accuracy.per_chip]
            axes.plot(seeds, [place + 0.22] * len(seeds), ".", ms=3, color=INK, alpha=0.5)
        axes.set_yticks(range(len(rows)), [short(row[0], 28) for row in rows], fontsize=9)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="x", alpha=0.3)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel("accuracy [%]")

    return render(name, 5.0, 0.9 + 0.26 * len(rows), paint)


def heat(name: str, rows: Sequence[str], columns: Sequence[str], shares: npt.NDArray[np.float64]) -> str:
    """Accuracy [1] of contestants under every disturbance, (rows, columns); NaN is empty."""

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        low, high = np.nanmin(shares), np.nanmax(shares)
        image = axes.imshow(
            100 * shares, cmap="viridis", aspect="auto", vmin=100 * low, vmax=100 * max(high, low + 1e-6)
        )
        for i, j in np.argwhere(np.isfinite(shares)):
            ink = "black" if shares[i, j] - low > 0.5 * (high - low) else "white"
            axes.text(j, i, f"{100 * shares[i, j]:.1f}", ha="center", va="center", color=ink, fontsize=8)
        axes.set_xticks(
            range(len(columns)),
            [short(column, 24) for column in columns],
            rotation=40,
            ha="right",
            fontsize=9,
        )
        axes.set_yticks(range(len(rows)), [short(row, 30) for row in rows], fontsize=9)
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, label="accuracy [%]", shrink=min(1.0, 6 / len(rows)))

    return render(name, 6.4, 1.6 + 0.22 * len(rows), paint)


def _error_scale(axes: "Axes", accuracies: Sequence[Interval], floor: float) -> None:
    """Make the axis up logarithmic in the error 1 - accuracy + floor, with ticks of accuracy [%]."""

    def forward(y: Any) -> Any:
        return -np.log10(np.maximum(1 - np.asarray(y, np.float64) / 100, 0) + floor)

    def backward(z: Any) -> Any:
        return 100 * (1 + floor - 10.0 ** -np.asarray(z, np.float64))

    ends = forward([100 * end for one in accuracies for end in (*one.ci95, one.mean)])
    pad = max(0.05 * np.ptp(ends), 1e-3)
    limits = backward(np.array([ends.min() - pad, ends.max() + pad]))
    axes.set_yscale("function", functions=(forward, backward))
    axes.set_ylim(*limits)
    inside = [tick for tick in TICKS if limits[0] <= tick <= limits[1]]
    if len(inside) < 4:
        from matplotlib.ticker import MaxNLocator

        inside = [y for y in MaxNLocator(6).tick_values(*limits) if limits[0] <= y <= min(limits[1], 100)]
    ticks: list[float] = []
    for tick in reversed(inside):  # the upper ones stand alone where there is room for one
        if not ticks or forward(ticks[-1]) - forward(tick) > 0.05 * np.ptp(forward(limits)):
            ticks.append(float(tick))
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="y", alpha=0.2)
    axes.set_ylabel("accuracy [%], log scale of the error")


def _curve(one: Contestant) -> tuple[list[int], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Training recordings, accuracies [%] and their errors below and above."""
    mean, low, high = 100 * np.array([(a.mean, *a.ci95) for _, a in one.curve]).T
    return [size for size, _ in one.curve], mean, np.array([mean - low, high - mean])


def _apart(sizes: Sequence[int], ratio: float = 1.4) -> list[int]:
    """Sizes from the largest down whose labels have room on a logarithmic axis."""
    kept: list[int] = []
    for size in reversed(sizes):
        if not kept or kept[-1] >= ratio * size:
            kept.append(size)
    return kept[::-1]


def _shade(kind: Kind, number: int, of: int) -> Any:
    """The family's colour, from darker to lighter over its contestants."""
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(COLOURS[kind]))
    place = 2 * number / (of - 1) - 1 if of > 1 else 0.0
    return tuple(rgb * (1 + 0.3 * place) if place < 0 else rgb + (1 - rgb) * 0.4 * place)

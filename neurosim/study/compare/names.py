"""Names beside what they name in a figure, so that none covers another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim.report.figures import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]

NAMES = 8  # font size of names
PLACES = [(r * np.cos(a), r * np.sin(a)) for r in (7, 16, 27, 40) for a in np.arange(0, 2 * np.pi, np.pi / 6)]


def beside(
    figure: "Figure",
    axes: "Axes",
    named: Sequence[tuple[str, str, Point]],
    marks: Sequence[Point],
    lines: Sequence[tuple[Point, Point]],
) -> None:
    """Names (with colour and place) beside their marks.

    They cover no mark and no name, and no line if there is such a place. A name for which there is no room is
    left out: the page's table has it, and so has the mark's tip.
    """
    figure.draw_without_rendering()  # settles the layout
    point, frame = figure.dpi / 72, axes.bbox
    taken = [_box(x, y, 8 * point, 8 * point) for x, y in axes.transData.transform(marks)]
    ends = axes.transData.transform(np.reshape(lines, (-1, 2))).reshape(-1, 2, 2)
    crossed = [(*pair.min(0), *pair.max(0)) for pair in ends]
    for name, colour, place in named:
        text, (x, y) = short(name, 22), axes.transData.transform(place)
        width, height = 0.62 * NAMES * len(text) * point, 1.15 * NAMES * point
        spots = {
            shift: _box(
                x + shift[0] * point + np.sign(round(shift[0])) * width / 2,
                y + shift[1] * point,
                width,
                height,
            )
            for shift in PLACES
        }
        free = [
            shift
            for shift, (left, bottom, right, top) in spots.items()
            if frame.x0 <= left
            and right <= frame.x1
            and frame.y0 <= bottom
            and top <= frame.y1
            and not any(_overlap(spots[shift], other) for other in taken)
        ]
        clear = [shift for shift in free if not any(_overlap(spots[shift], line) for line in crossed)]
        for dx, dy in (clear or free)[:1]:
            taken.append(spots[dx, dy])
            note = axes.annotate(
                text,
                place,
                (dx, dy),
                textcoords="offset points",
                ha=("right", "center", "left")[int(np.sign(round(dx))) + 1],
                va="center",
                fontsize=NAMES,
                arrowprops={"arrowstyle": "-", "lw": 0.6, "color": colour} if np.hypot(dx, dy) > 10 else None,
            )
            note.set_in_layout(False)


def _box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of a box around a middle."""
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def at_ends(figure: "Figure", axes: "Axes", named: Sequence[tuple[str, Any, tuple[float, float]]]) -> None:
    """Names to the right of the ends of their lines, pushed apart until each has its own height."""
    figure.draw_without_rendering()
    gap = 1.25 * NAMES * figure.dpi / 72 / axes.bbox.height
    ordered = sorted(named, key=lambda one: axes.transData.transform(one[2])[1])
    wanted = [
        axes.transAxes.inverted().transform(axes.transData.transform(place))[1] for *_, place in ordered
    ]
    for (name, colour, place), height in zip(ordered, spread(wanted, gap), strict=True):
        axes.annotate(
            short(name, 22),
            place,
            (1.08, height),
            textcoords="axes fraction",
            va="center",
            fontsize=NAMES,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.7, "color": colour, "shrinkA": 1, "shrinkB": 4},
        )


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places near the rising ``wanted`` ones that are ``gap`` apart, within 0..1 if they fit there.

    Places that are too near to each other form a group around the mean of what they want.
    """

    def first(group: Sequence[float]) -> float:
        room = gap * (len(group) - 1)
        return min(max(float(np.mean(group)) - room / 2, 0.0), max(1 - room, 0.0))

    groups: list[list[float]] = []
    for place in wanted:
        groups.append([place])
        while len(groups) > 1 and first(groups[-1]) < first(groups[-2]) + gap * len(groups[-2]):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [first(group) + gap * number for group in groups for number in range(len(group))]

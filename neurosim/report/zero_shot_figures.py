"""Figures of a zero-shot result as inline SVG; see `neurosim.report.figures` for their style."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neurosim.report.figures import BLUE, GREEN, INK, ORANGE, render, short
from neurosim.zero_shot_results import Found, Scores, ZeroShotResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RED = "#D55E00"
PER_CLASS = 12  # points of a class and sense in the map
MANY = 60  # choices, above which their names are left out


def seen_and_unseen(result: ZeroShotResult) -> str:
    """Recall of seen and unseen classes, of hardware, ideal weights and the authors' protocol."""
    names = ["seen", "unseen", "unseen\namong all"]
    chance = [result.chance[key] for key in ("seen", "unseen", "unseen_among_all")]
    if result.hardware.choices:
        names.append("unseen,\nall choices")
        chance.append(result.hardware.choices.chance)
    ways: list[tuple[str, str, Scores]] = [("hardware", BLUE, result.hardware)]
    if result.ideal:
        ways.append(("ideal weights", GREEN, result.ideal))

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for k, (label, colour, scores) in enumerate(ways):
            values = [(v.mean, *v.ci95) for v in (scores.seen, scores.unseen, scores.unseen_among_all)]
            if scores.choices:
                values.append((scores.choices.mean, *scores.choices.ci95))
            mean, low, high = 100 * np.array(values).T
            at = np.arange(len(mean)) + 0.22 * (k - (len(ways) - 1) / 2)
            axes.errorbar(mean, at, xerr=[mean - low, high - mean], fmt="o", color=colour, label=label)
        if result.paper:
            means = [100 * np.mean(v) for v in (result.paper.seen, result.paper.unseen)]
            axes.plot(means, [0.36, 1.36], "D", mfc="none", color=ORANGE, label="authors' protocol")
        if result.trained:
            both = [100 * value.mean for value in (result.trained.seen, result.trained.unseen)]
            axes.plot(both, [-0.36, 0.64], "s", mfc="none", color=RED, label="trained encoders")
        rows = np.arange(len(names))
        axes.vlines(100 * np.array(chance), rows - 0.42, rows + 0.42, color=INK, ls=":", label="chance")
        axes.set_yticks(rows, names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, 101)
        axes.set_xlabel("recall at 1 [%]")
        figure.legend(loc="outside upper center", ncols=2, columnspacing=1, fontsize=9)

    return render("seen_and_unseen", 4.2, 3.4, paint)


def choices(result: ZeroShotResult) -> str:
    """Unseen recall of every choice of unseen classes, sorted."""
    every = result.hardware.choices
    each = sorted(every.each if every else (), key=lambda one: -one.unseen_recall)
    named = set(result.classes[result.n_seen :])

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        rows = np.arange(len(each))
        unseen = np.array([100 * one.unseen_recall for one in each])
        main = np.array([set(one.unseen) == named for one in each])
        axes.plot(
            [100 * one.seen_recall for one in each], rows, "o", mfc="none", color=GREEN, ms=4, label="seen"
        )
        axes.axvline(100 * (every.chance if every else 0), color=INK, ls=":", lw=1, label="chance")
        axes.plot(unseen[~main], rows[~main], "o", color=BLUE, ms=4, label="unseen")
        axes.plot(unseen[main], rows[main], "o", color=ORANGE, ms=8, label="the named choice")
        names = [" ".join(one.unseen) for one in each]
        axes.set_yticks(rows if len(each) <= MANY else [], names if len(each) <= MANY else [], fontsize=7)
        axes.set_ylim(len(each) - 0.5, -0.5)
        axes.set_xlim(0, 101)
        axes.set_xlabel("recall at 1 [%]")
        figure.legend(loc="outside upper center", ncols=4, columnspacing=1, handletextpad=0.3, fontsize=8)

    return render("choices", 4.2, 1.2 + 0.13 * min(len(each), MANY), paint)


def matrix(result: ZeroShotResult) -> str:
    """Share of every query class that found each class."""
    counts, n = result.hardware.counts, len(result.classes)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.imshow(np.where(share > 0, share, np.nan), vmin=0, vmax=1, cmap="viridis")
        size = float(np.clip(80 / n, 6, 10))
        if n <= 12:
            for i, j in np.argwhere(counts):
                ink = "black" if share[i, j] > 0.5 else "white"
                axes.text(
                    j, i, f"{100 * share[i, j]:.0f}", ha="center", va="center", color=ink, fontsize=size
                )
        edge = result.n_seen - 0.5
        axes.axhline(edge, color=INK, lw=1)
        axes.axvline(edge, color=INK, lw=1)
        names = [short(name) for name in result.classes]
        turned = 90 if max(map(len, names)) > 2 else 0
        axes.set_xticks(range(n), names, rotation=turned, fontsize=size)
        axes.set_yticks(range(n), names, fontsize=size)
        axes.set(
            xlabel=f"class found ({short(result.target, 20)})", ylabel=f"query ({short(result.query, 20)})"
        )

    return render("retrieval_matrix", 4.2, 4.0, paint)


def embeddings(result: ZeroShotResult) -> str:
    """Test recordings in the common space."""
    points = result.map

    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        for is_query, colour, name in ((True, ORANGE, result.query), (False, BLUE, result.target)):
            axes.plot([], [], "s", color=colour, label=short(name, 20))
            for code, label in enumerate(result.classes):
                rows = np.flatnonzero((points.label == code) & (points.is_query == is_query))[:PER_CLASS]
                weight, size = ("bold", 11) if code >= result.n_seen else ("normal", 7)
                for x, y in points.xy[rows]:
                    axes.text(
                        x, y, short(label, 3), color=colour, fontsize=size, weight=weight, ha="center",
                        va="center", clip_on=True,
                    )  # fmt: skip
        margin = 0.05 * np.ptp(points.xy, axis=0)
        (left, bottom), (right, top) = points.xy.min(0) - margin, points.xy.max(0) + margin
        axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        figure.legend(loc="outside upper center", ncols=2)

    return render("embedding_map", 4.2, 4.0, paint)


def found(one: Found, index: int, query: str, target: str) -> str:
    """A query and the target that it found, as events."""

    def draw(axes: "Axes", picture: npt.NDArray[np.float32], title: str) -> None:
        wide = picture.shape[1] > 1.5 * picture.shape[0] or picture.shape[0] > 1.5 * picture.shape[1]
        axes.imshow(
            picture,
            vmin=0,
            vmax=max(float(picture.max()), 1.0),
            aspect="auto" if wide else "equal",
            origin="lower" if wide else "upper",
        )
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=10)
        if wide:
            axes.set(xlabel="time", ylabel="channel")

    def paint(figure: "Figure") -> None:
        left, right = figure.subplots(1, 2)
        draw(left, one.query, f"{short(query, 16)}: {short(one.query_class)}")
        draw(right, one.target, f"{short(target, 16)}: {short(one.target_class)}")

    return render(f"found{index}", 4.2, 2.2, paint)

"""Figures of a readback as inline SVG."""

from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim.export.readback import Readback
from neurosim.report.figures import BLUE, ORANGE, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TILES = 8  # that are drawn


def stages(facts: dict[str, Any]) -> str:
    """Accuracy after every stage, with its interval."""
    rows = facts["accuracy"]["stages"]
    intended = facts["accuracy"]["intended"]

    def paint(drawing: "Figure") -> None:
        axes = drawing.subplots()
        y = 100 * np.array([stage["accuracy"] for stage in rows])
        ends = 100 * np.array([stage["ci95"] for stage in rows]).T
        axes.errorbar(y, range(len(y)), xerr=[y - ends[0], ends[1] - y], fmt="o", color=BLUE, capsize=3)
        axes.axvline(100 * intended.get("quantised", intended["simulated"]), color=ORANGE, label="intended")
        axes.set_yticks(range(len(y)), [stage["name"] for stage in rows])
        axes.set_ylim(len(y) - 0.5, -0.5)
        axes.set_xlabel("accuracy [%]")
        drawing.legend(loc="outside upper center")

    return render("stages", 4.2, 2.4, paint)


def cells(result: Readback) -> str:
    """Histograms of the conductances that were measured and wanted."""
    wanted = 1e6 * result.design.target.ravel()
    got = 1e6 * result.design.layout.of_cells(result.mean).ravel()

    def paint(drawing: "Figure") -> None:
        axes = drawing.subplots()
        edges = np.histogram_bin_edges(np.concatenate([wanted, got]), 60)
        axes.stairs(*np.histogram(got, edges), fill=True, color=BLUE, alpha=0.6, label="measured")
        axes.stairs(*np.histogram(wanted, edges), color=ORANGE, lw=1.5, label="wanted")
        axes.set(xlabel="conductance [µS]", ylabel="cells")
        drawing.legend(loc="outside upper center", ncols=2)

    return render("cells", 4.2, 3.0, paint)


def errors(result: Readback) -> str:
    """Error of every cell in use against its target."""
    wanted = 1e6 * result.design.target.ravel()
    error = 1e6 * result.errors.ravel()

    def paint(drawing: "Figure") -> None:
        axes = drawing.subplots()
        axes.scatter(wanted, error, s=2, lw=0, color=BLUE, alpha=0.3, rasterized=True)
        axes.axhline(0, color=ORANGE, lw=1)
        axes.set(xlabel="wanted [µS]", ylabel="measured - wanted [µS]")

    return render("errors", 4.2, 3.0, paint)


def tiles(result: Readback) -> str:
    """Maps of the first tiles, with marks at dead lines."""
    n = min(len(result.mean), MOST_TILES)
    g = 1e6 * result.mean[:n]
    known = g[~np.isnan(g)]
    top = float(np.quantile(known, 0.999)) if known.size else 1.0

    def paint(drawing: "Figure") -> None:
        for k, axes in enumerate(drawing.subplots(1, n, squeeze=False)[0]):
            image = axes.imshow(
                g[k], vmin=0, vmax=top or 1.0, cmap="viridis", aspect="auto", interpolation="nearest"
            )
            rows, cols = np.flatnonzero(result.dead.rows[k]), np.flatnonzero(result.dead.cols[k])
            axes.plot(
                np.full(len(rows), -0.02),
                rows,
                ">",
                color=ORANGE,
                ms=3,
                clip_on=False,
                transform=axes.get_yaxis_transform(),
            )
            axes.plot(
                cols,
                np.full(len(cols), 1.02),
                "v",
                color=ORANGE,
                ms=3,
                clip_on=False,
                transform=axes.get_xaxis_transform(),
            )
            axes.set(xlabel=f"tile {k}: bit line", ylabel="word line" if k == 0 else "")
        drawing.colorbar(image, ax=drawing.axes, label="conductance [µS]", shrink=0.8)

    return render("tiles", 8.6, 3.6, paint)

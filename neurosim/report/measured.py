"""What was measured, drawn over the laws that were fitted to it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from neurosim.cards import DeviceCard
from neurosim.device.config import number
from neurosim.fit.laws import fit_iv
from neurosim.fit.measurements import Measurement, reread
from neurosim.report.figures import GREEN, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def measurements(card: DeviceCard, folder: Path | None) -> dict[str, Measurement]:
    """The measurements by kind that the sources of a card name and that stand unchanged in ``folder``."""
    found = [reread(source, folder) for source in card.sources.values()] if folder else []
    return {measurement.kind: measurement for measurement in found if measurement}


def conductances(axes: "Axes", card: DeviceCard, seen: Measurement) -> None:
    """Histogram of the cells in the range of the axes."""
    g, limits = seen.columns["g"] * 1e6, axes.get_xlim()
    axes.hist(g, bins=40, range=limits, density=True, histtype="step", color=ORANGE, label="measured")
    axes.autoscale(axis="y")
    axes.set(xlim=limits, ylim=(0, None))
    axes.legend()


def forming(axes: "Axes", card: DeviceCard, seen: Measurement) -> None:
    """Share of cells that are formed at a voltage."""
    order = np.argsort(seen.columns["v_forming"])
    v = seen.columns["v_forming"][order]
    cells = np.cumsum(seen.columns.get("cells", np.ones(len(v)))[order])
    axes.step(v, cells / cells[-1], where="post", color=GREEN, label="measured")
    axes.legend()


def programming(axes: "Axes", card: DeviceCard, seen: Measurement) -> None:
    """Standard deviation of the errors of neighbouring targets, fresh and last."""
    target, error = seen.columns["target"] * 1e6, (seen.columns["g"] - seen.columns["target"]) * 1e6
    t = seen.columns.get("t", np.zeros(len(target)))
    for when in np.unique(t)[[0, -1]]:
        now = (t == when) & ~np.isnan(error)
        place, spread = (
            stats.binned_statistic(target[now], x, f, 16)[0]
            for x, f in ((target[now], "mean"), (error[now], "std"))
        )
        axes.plot(place, spread, "o", ms=3, color=GREEN)
    axes.autoscale(axis="y")
    axes.set_ylim(0, None)


def reads(axes: "Axes", card: DeviceCard, seen: Measurement) -> None:
    """Relative standard deviation of each cell over its reads."""
    g = seen.columns["g"]
    g = g[:, (g > 0).all(axis=0)]
    axes.plot(
        g.mean(axis=0) * 1e6, 100 * g.std(axis=0) / g.mean(axis=0), ".", ms=2, color=GREEN, label="seen"
    )
    axes.autoscale(axis="y")
    axes.set_ylim(0, None)
    axes.legend(title="part")


def iv(axes: "Axes", card: DeviceCard, seen: Measurement) -> None:
    """Current over voltage and conductance."""
    v, i = seen.columns["v"], seen.columns["i"]
    _, cell = np.unique(seen.columns.get("cell", np.zeros(len(v))), return_inverse=True)
    g = fit_iv(v, i, cell.astype(np.float64), number(card.iv.v_reference if card.iv else None))[1][cell]
    on = v != 0
    axes.plot(v[on], i[on] / (g * v)[on], ".", ms=2, color=GREEN)


OVERLAYS: dict[str, Callable[["Axes", DeviceCard, Measurement], None]] = {
    "conductances": conductances,
    "forming": forming,
    "programming": programming,
    "reads": reads,
    "iv": iv,
}

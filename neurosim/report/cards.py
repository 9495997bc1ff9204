"""What a device card says, as a figure: the laws that the simulator draws its cells from."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from neurosim import rng
from neurosim.cards import DeviceCard, Relaxation
from neurosim.device import chord, drift, drift_exponents, formed_probability, read_noise
from neurosim.device.conductance import state_law
from neurosim.errors import ExperimentError
from neurosim.report.figures import BLUE, GREEN, ORANGE, STYLE, Law
from neurosim.report.measured import OVERLAYS, measurements
from neurosim.store import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (BLUE, ORANGE, GREEN)
BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1), "fontsize": "small"}  # of a legend
N_TARGETS = 401  # targets that stand for a uniform law of targets
N_SAMPLES = 2001  # cells that stand for a drift law


def conductance_law(card: DeviceCard) -> Law:
    """Probability density of a formed cell's conductance before it ages.

    p(g) = mean over the targets t of N(g; t, s), s^2 = (sigma_d2d t)^2 + sigma_prog(t)^2 + (sigma_c2c t)^2.
    Where the card has a g_mean, that is the one target, and the law is lognormal where the card says so;
    else cells are programmed to targets uniform between g_min and g_max.

    Returns:
        Conductances [S] up to 5 s beyond the targets, and the density [1/S] there; float64 (n_points,) each.

    Assumes: few cells at 0; no outliers and no stuck cells.
    Source: the card.
    """
    window, programming = card.conductance, card.programming
    low, high = window.g_min.value, window.g_max.value
    t = np.linspace(low, high, N_TARGETS)
    if window.g_mean:
        t = np.array([window.g_mean.value])
    s = (window.sigma_d2d.value if window.sigma_d2d else 0.0) * t
    if programming:
        s = np.hypot(s, state_law(card, programming.sigma_prog, t.astype(np.float32)))
        s = np.hypot(s, (programming.sigma_c2c.value if programming.sigma_c2c else 0.0) * t)
    s = np.maximum(s, (high - low) / (N_TARGETS - 1))  # ideal targets, too, make a smooth curve
    g = np.linspace(max(0.0, t[0] - 5 * s[0]), t[-1] + 5 * s[-1], 500)
    if window.g_mean and window.distribution == "lognormal":
        shape = np.sqrt(np.log1p((s / t) ** 2))
        return g, stats.lognorm.pdf(g, shape, scale=t * np.exp(-(shape**2) / 2))
    return g, stats.norm.pdf(g[:, None], t, s).mean(axis=1)


def plot_device(card: DeviceCard, path: Path, folder: Path | None = None) -> None:
    """Draw the distributions and curves that ``card`` has into the image ``path``, replaced atomically.

    Measurements that the card's sources name are drawn over them where they stand in ``folder``.

    Raises:
        ExperimentError: If the suffix of ``path`` is no image format.
    """
    import matplotlib
    from matplotlib.figure import Figure

    panels: list[Callable[[Axes, DeviceCard], None]] = [_conductance]
    sections = {
        _forming: card.forming,
        _programming: card.programming,
        _shift: [point for point in card.relaxation if point.mean],
        _read_noise: card.read_noise,
        _drift: card.drift,
        _iv: card.iv,
    }
    panels += [panel for panel, section in sections.items() if section]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": card.name}):
        figure = Figure((4.5 * columns, 3.2 * rows), layout="constrained", dpi=150, facecolor="white")
        formats = figure.canvas.get_supported_filetypes()
        if path.suffix[1:] not in formats:
            raise ExperimentError(f"{path}: no image format '{path.suffix}'; use .png, .svg or .pdf")
        figure.suptitle(card.name)
        seen = measurements(card, folder)
        for place, panel in enumerate(panels, 1):
            axes = figure.add_subplot(rows, columns, place)
            panel(axes, card)
            for kind, data in seen.items():
                if MEASURED[kind] is panel:
                    OVERLAYS[kind](axes, card, data)
        with atomic_path(path) as tmp:
            figure.savefig(tmp)


def _conductance(axes: "Axes", card: DeviceCard) -> None:
    g, density = conductance_law(card)
    axes.plot(g * 1e6, density * 1e-6, color=BLUE)
    axes.fill_between(g * 1e6, density * 1e-6, color=BLUE, alpha=0.2, lw=0)
    axes.set(xlabel="conductance [µS]", ylabel="density [1/µS]", ylim=(0, None))
    axes.set_title("formed cells" if card.forming else "conductance")


def _forming(axes: "Axes", card: DeviceCard) -> None:
    if forming := card.forming:
        v = np.linspace(forming.v_min.value, forming.v_max.value, 200)
        axes.plot(v, formed_probability(card, v), color=BLUE)
        axes.axvline(forming.v_default.value, color=ORANGE, ls="--", label="default pulse")
        axes.set(title="forming", xlabel="pulse amplitude [V]", ylabel="fraction of cells formed")
        axes.legend()


def _programming(axes: "Axes", card: DeviceCard) -> None:
    if programming := card.programming:
        g = _targets(card)
        sigma = np.maximum(state_law(card, programming.sigma_prog, g), 0)
        axes.plot(g * 1e6, sigma * 1e6, color=BLUE, label="fresh")
        for point, style in _relaxed(card):
            axes.plot(g * 1e6, np.maximum(state_law(card, point.sigma, g), 0) * 1e6, **style)
        axes.legend(**BESIDE)
        axes.set(title="programming", xlabel="target [µS]", ylabel="standard deviation [µS]", ylim=(0, None))


def _shift(axes: "Axes", card: DeviceCard) -> None:
    g = _targets(card)
    for point, style in _relaxed(card):
        if point.mean:
            axes.plot(g * 1e6, state_law(card, point.mean, g) * 1e6, **style)
    axes.axhline(0, color="black", lw=0.5)
    axes.legend(**BESIDE)
    axes.set(title="relaxation", xlabel="target [µS]", ylabel="mean deviation [µS]")


def _relaxed(card: DeviceCard) -> Iterator[tuple[Relaxation, dict[str, Any]]]:
    """Points of the relaxation after the first, which is fresh, each with a style: later is darker."""
    points = card.relaxation[1:]
    for point, alpha in zip(points, np.linspace(1, 0.3, len(points))[::-1], strict=True):
        yield point, {"color": ORANGE, "alpha": alpha, "label": f"after {point.t.value:g} s"}


def _read_noise(axes: "Axes", card: DeviceCard) -> None:
    g = _targets(card)
    for sigma, colour, label in zip(read_noise(card, g, g, 0.0), COLOURS, ("white", "slow"), strict=False):
        axes.plot(g * 1e6, 100 * sigma / g, color=colour, label=label)
    axes.set(title="read noise", xlabel="conductance [µS]", ylabel="relative standard deviation [%]")
    axes.set_ylim(0, None)
    axes.legend(title="part")


def _drift(axes: "Axes", card: DeviceCard) -> None:
    if law := card.drift:
        times = np.geomspace(law.t0.value, law.t_max.value, 60)
        for share, colour in zip((1.0, 0.1, 0.01), COLOURS, strict=True):
            start = np.full(N_SAMPLES, share * card.conductance.g_max.value, np.float32)
            nu = drift_exponents(card, start, rng.stream(0, "report/drift"))
            kept = [np.percentile(drift(card, start, nu, t) / start, [10, 50, 90]) for t in times]
            low, median, high = np.transpose(kept)
            axes.fill_between(times, low, high, color=colour, alpha=0.2, lw=0)
            axes.plot(times, median, color=colour, label=f"{share:g} g_max")
        axes.set(title="drift", xlabel="time after programming [s]", ylabel="share of the conductance")
        axes.set(xscale="log", ylim=(0, 1.02))
        axes.legend(title="median, 80 % of cells")


def _iv(axes: "Axes", card: DeviceCard) -> None:
    limit = card.read.v_read_max.value if card.read else 0.5
    v = np.linspace(-limit, limit, 201)
    for share, colour in zip((1.0, 0.5, 0.25), COLOURS, strict=True):
        g = np.full(len(v), share * card.conductance.g_max.value, np.float32)
        axes.plot(v, chord(card, g, v), color=colour, label=f"{share:g} g_max")
    axes.set(title="current", xlabel="voltage [V]", ylabel="current / (conductance x voltage)")
    axes.legend()


# kind of measurement -> the panel that shows it
MEASURED: dict[str, Callable[["Axes", DeviceCard], None]] = {
    "conductances": _conductance,
    "forming": _forming,
    "programming": _programming,
    "reads": _read_noise,
    "iv": _iv,
}


def _targets(card: DeviceCard) -> npt.NDArray[np.float32]:
    """Conductances [S] across the card's window, without 0."""
    window = card.conductance
    return np.linspace(window.g_min.value, window.g_max.value, N_TARGETS, dtype=np.float32)[1:]

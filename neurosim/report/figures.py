"""Figures of a result as inline SVG.

Colours are Okabe and Ito's or viridis. The ink is written as ``currentColor``, so that a figure follows
the light or dark colours of its page. Matplotlib is imported when the first figure is drawn.
"""

import io
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np
import numpy.typing as npt

from neurosim.report.facts import energies, percent, quantity
from neurosim.results import Example, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")
Law = tuple[npt.NDArray[Any], npt.NDArray[Any]]

BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
INK = "#010203"  # stands for currentColor until the SVG is written
STYLE: Any = {
    "font.size": 10,
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    **dict.fromkeys(["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"], INK),
}


def short(name: str, length: int = 12) -> str:
    """A name that leaves room for the drawing; the page's tables have it in full."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def render(
    name: str, width: float, height: float, paint: Callable[["Figure"], None], tips: Sequence[str] = ()
) -> str:
    """An ``<svg>`` of what ``paint`` draws, of that size [inch].

    Args:
        name: Start of its ids, which are unique on a page of several figures.
        width, height: Size [inch].
        paint: Called with the empty figure.
        tips: What is said of the artists whose gid is ``tip0``, ``tip1``, ... when the mouse is over them.
    """
    import matplotlib
    from matplotlib.figure import Figure

    plain = {"text.parse_math": False}  # a class may be called "$x"
    with matplotlib.rc_context(STYLE | plain | {"svg.hashsalt": name}):
        figure = Figure((width, height), layout="constrained", dpi=150)
        paint(figure)
        buffer = io.StringIO()
        nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
        figure.savefig(buffer, format="svg", metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    for number, tip in enumerate(tips):
        start = f'<g id="tip{number}">'
        svg = svg.replace(start, f"{start}<title>{escape(tip)}</title>")
    for start in ('id="', 'href="#', "url(#"):
        svg = svg.replace(start, f"{start}{name}-")
    return svg


def _svg(
    width: float, height: float
) -> Callable[[Callable[Concatenate["Figure", P], None]], Callable[P, str]]:
    """Turn ``paint(figure, ...)`` into a function that returns an ``<svg>`` of that size [inch]."""

    def decorate(paint: Callable[Concatenate["Figure", P], None]) -> Callable[P, str]:
        def draw(*args: P.args, **kwargs: P.kwargs) -> str:
            return render(paint.__name__, width, height, lambda figure: paint(figure, *args, **kwargs))

        draw.__doc__ = paint.__doc__
        return draw

    return decorate


@_svg(4.2, 1.9)
def accuracies(figure: "Figure", result: Result) -> None:
    """Accuracy of every chip, their mean and its 95 % interval."""
    axes = figure.subplots()
    row = range(len(result.chips))
    low, high = (100 * end for end in result.accuracy.ci95)
    axes.axvspan(low, high, color=BLUE, alpha=0.2, lw=0, label="95 % interval")
    axes.axvline(100 * result.accuracy.mean, color=BLUE, label="mean")
    axes.plot([100 * score for score in result.accuracy.per_chip], row, "o", color=BLUE, label="test")
    validation = [100 * chip.validation_accuracy for chip in result.chips]
    axes.plot(validation, row, "D", mfc="none", color=ORANGE, label="validation")
    axes.set_yticks(row, [f"chip {chip.chip}" for chip in result.chips])
    axes.set_ylim(len(result.chips) - 0.5, -0.5)
    axes.set_xlabel("accuracy [%]")
    figure.legend(loc="outside upper center", ncols=4, columnspacing=1, handletextpad=0.4, fontsize=9)


@_svg(4.2, 4.0)
def confusion(figure: "Figure", result: Result) -> None:
    """Share of every true class that got each answer; a cell that no recording fell into is empty."""
    counts = np.sum([chip.confusion for chip in result.chips], axis=0)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes = figure.subplots()
    axes.imshow(np.where(share > 0, share, np.nan), vmin=0, vmax=1, cmap="viridis")
    size = np.clip(80 / len(result.classes), 7, 10)
    if len(result.classes) <= 12:  # their counts can be read
        for i, j in np.argwhere(counts):
            ink = "black" if share[i, j] > 0.5 else "white"
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=ink, fontsize=size)
    ticks, names = range(len(result.classes)), [short(name) for name in result.classes]
    axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=size)
    axes.set_yticks(ticks, names, fontsize=size)
    axes.set(xlabel="answer", ylabel="true class")


@_svg(4.2, 3.0)
def conductance(figure: "Figure", result: Result, law: Law | None) -> None:
    """Histogram of the conductances of all chips' cells within the range of the card's law."""
    axes = figure.subplots()
    g = np.concatenate([chip.conductance for chip in result.chips]) * 1e6
    if law is not None:
        x, pdf = law[0] * 1e6, law[1] / 1e6
        g = g[(g >= x[0]) & (g <= x[-1])]
        axes.plot(x, pdf, color=ORANGE, lw=2, label="card", zorder=3)
    axes.stairs(*np.histogram(g, 60, density=bool(g.size)), fill=True, color=BLUE, alpha=0.6, label="cells")
    axes.set(xlabel="conductance [µS]", ylabel="density [1/µS]")
    figure.legend(loc="outside upper center", ncols=2)


@_svg(4.2, 3.0)
def rates(figure: "Figure", result: Result) -> None:
    """Firing rates of all chips' neurons, before and after homeostasis where there is one."""
    axes = figure.subplots()
    before = np.concatenate([chip.rate_before for chip in result.chips])
    after = np.concatenate([chip.rate_after for chip in result.chips])
    edges = np.histogram_bin_edges(np.concatenate([before, after]), bins=50)
    if "target" in result.rates:
        axes.stairs(*np.histogram(before, edges), color=ORANGE, lw=1.5, ls="--", label="before")
    axes.stairs(*np.histogram(after, edges), fill=True, color=BLUE, alpha=0.6, label="after")
    axes.set(xlabel="firing rate [Hz]", ylabel="neurons")
    if "target" in result.rates:
        axes.axvline(result.rates["target"], color=INK, lw=1, ls=":", label="target")
        figure.legend(loc="outside upper center", ncols=3)


@_svg(4.2, 3.6)
def picture(figure: "Figure", example: Example) -> None:
    """Events per pixel of one recording, positive minus negative polarity."""
    axes = figure.subplots()
    limit = max(float(np.abs(example.picture).max()), 1.0)
    flat = len(example.picture) == 1  # a cochlea is a row of channels
    image = axes.imshow(example.picture, vmin=-limit, vmax=limit, cmap="PuOr")
    axes.set_aspect("auto" if flat else "equal")
    axes.spines[:].set_visible(False)
    axes.set_yticks([])
    if flat:
        axes.set_xlabel("channel")
    else:
        axes.set_xticks([])
    figure.colorbar(image, ax=axes, label="on minus off events", shrink=0.8)


@_svg(4.2, 3.6)
def raster(figure: "Figure", example: Example) -> None:
    """Spikes of the liquid during one recording."""
    axes = figure.subplots()
    n_steps, n_neurons = example.spikes.shape
    step, neuron = np.nonzero(example.spikes)
    dots = {"s": min(6.0, 3000 / n_neurons), "lw": 0, "color": BLUE}
    axes.scatter((step + 0.5) * example.dt * 1e3, neuron, rasterized=True, **dots)
    axes.set_xlim(0, n_steps * example.dt * 1e3)
    axes.set_ylim(-0.5, n_neurons - 0.5)
    axes.set(xlabel="time [ms]", ylabel="neuron")


@_svg(4.2, 2.4)
def energy(figure: "Figure", result: Result) -> None:
    """Energy per recording by component."""
    parts = energies(result)
    total = parts.pop("total")
    axes = figure.subplots()
    bars = axes.barh([short(name, 20) for name in parts], list(parts.values()), color=BLUE)
    labels = [f"{quantity(v, 'J')} ({percent(v / total if total else 0)})" for v in parts.values()]
    axes.bar_label(bars, labels, padding=3)
    axes.set_xlim(0, 1.9 * max(parts.values(), default=0) or 1)
    axes.invert_yaxis()
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.tick_params(left=False)


@_svg(4.2, 2.8)
def costs(figure: "Figure", result: Result) -> None:
    """Energy per recording on the macro and on digital platforms."""
    axes = figure.subplots()
    joules = [cost.energy["total"] for cost in result.cost]
    rows = range(len(joules))
    axes.scatter(joules, rows, color=[BLUE, *[ORANGE] * (len(joules) - 1)], zorder=3)
    for row, joule in zip(rows, joules, strict=True):
        axes.annotate(quantity(joule, "J"), (joule, row), (7, 0), textcoords="offset points", va="center")
    axes.set_yticks(rows, [f"{short(cost.platform, 18)}, {cost.counting}" for cost in result.cost])
    axes.set_ylim(len(joules) - 0.5, -0.5)
    axes.tick_params(left=False)
    axes.grid(axis="y", alpha=0.3)
    if shown := [joule for joule in joules if joule]:
        axes.set_xscale("log")
        axes.set_xlim(min(shown) / 3, 30 * max(shown))
        axes.locator_params(axis="x", numticks=4)
    axes.xaxis.set_major_formatter(lambda joule, _place: quantity(joule, "J"))
    axes.set_xlabel("energy")

"""A result as one self-contained HTML page."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np

from neurosim.report import figures
from neurosim.report.facts import comparison, components, percent, plural, quantity, summary, warnings
from neurosim.results import Result
from neurosim.store import write_text


def write_html(result: Result, path: Path, *, law: figures.Law | None = None) -> None:
    """Write ``result`` as one page that needs no network and no script.

    The same result gives the same bytes, on one machine and version.

    Args:
        result: What the run left.
        path: The page, replaced atomically.
        law: Conductances [S], rising, and the card's probability density [1/S] there, both (n_points,); the
            histogram leaves out cells outside of them (not formed, stuck, outliers). None draws every cell
            and no law.
    """
    write_text(path, _page(result, law))


def _page(result: Result, law: figures.Law | None) -> str:
    example = result.example
    low, high = map(percent, result.accuracy.ci95)
    counts = np.sum([chip.confusion for chip in result.chips], axis=0)
    chips = [
        (
            str(chip.chip),
            f"{percent(score)} ({chip.n_correct:,})",
            percent(chip.validation_accuracy),
            percent(chip.train_accuracy),
            ", ".join(f"{name} {value}" for name, value in chip.readout.items()),
        )
        for chip, score in zip(result.chips, result.accuracy.per_chip, strict=True)
    ]
    beware = "\n".join(f'<p class="warning">Warning: {escape(text)}</p>' for text in warnings(result))
    when = " before and after homeostasis" if "target" in result.rates else ""
    return document(
        result.name,
        f"""<h1>{escape(result.name)}</h1>
<p class="headline"><strong>{percent(result.accuracy.mean)}</strong>
accuracy, 95 % interval {low} to {high}, over {plural(len(result.chips), "chip")} and
{plural(result.n_test, "test recording")}</p>
{beware}
{table(summary(result)[1:])}
<h2>Recognition</h2>
<div class="grid">
<div>
{figure(figures.accuracies(result), "Accuracy of every chip on the test and the validation part.")}
{table(chips, ("Chip", f"Test (of {result.n_test:,})", "Validation", "Training", "Readout"), "numbers")}
</div>
{figure(figures.confusion(result), "Answers of all chips; the colour is the share of the true class.")}
</div>
<details><summary>Confusion matrix in numbers (rows are true classes, columns answers)</summary>
{table(_labelled(result.classes, counts), ("", *result.classes), "numbers")}
</details>
<h2>Array and liquid</h2>
<div class="grid">
{figure(figures.conductance(result, law), _cells_drawn(result, law))}
{figure(figures.rates(result), f"Firing rate of every neuron{when}.")}
</div>
<h2>One recording: class {escape(example.label)}, answer {escape(example.predicted)}</h2>
<div class="grid">
{figure(figures.picture(example), "Events of the recording, summed over time.")}
{figure(figures.raster(example), "Spikes of the liquid of the first chip.")}
</div>
<h2>Cost</h2>
<div class="grid">
{figure(figures.energy(result), "Energy per recording, from counted operations.")}
{table([(name, f"{n:,.1f}") for name, n in result.operations.items()], ("Operation", "Per recording"))}
{table([(name, quantity(s, "s")) for name, s in result.seconds.items()], ("Stage", "Wall time"))}
</div>
{_comparison(result)}
<h2>Origin</h2>
{table(list(result.versions.items()))}
<details><summary>The resolved experiment</summary>
<pre>{escape(json.dumps(result.experiment, indent=2, ensure_ascii=False))}</pre>
</details>""",
    )


def document(title: str, body: str) -> str:
    """A page that needs no network and no script."""
    css = resources.files("neurosim.report").joinpath("page.css").read_text("utf-8")
    return f"""<!DOCTYPE html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{escape(title)} - neurosim</title>
<style>
{css}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _comparison(result: Result) -> str:
    """What a recording costs on the macro and elsewhere; nothing where no cost is known."""
    if not result.cost:
        return ""
    header = ("Platform", "Counting", "Energy", "Energy / macro", "Latency", "Area")
    return f"""<div class="grid">
{figure(figures.costs(result), "Energy per recording; dense counting takes every weight in every step.")}
{table(comparison(result), header, "numbers")}
</div>
<details><summary>Energy, latency and area by component</summary>
{table(components(result), ("Cost", "Component", "Amount", "Share"), "numbers")}
</details>
<p>Digital platforms at their published peak, as if no step waited for the one before, and without the memory
traffic, control and leakage that their cards name: lower bounds of energy and latency. What each figure
leaves out stands on its card (neurosim devices show NAME).</p>"""


def _cells_drawn(result: Result, law: figures.Law | None) -> str:
    """Caption of the conductance histogram."""
    g = np.concatenate([chip.conductance for chip in result.chips])
    if law is None:
        return f"Conductance of {plural(g.size, 'cell')} of all chips."
    inside = np.count_nonzero((g >= law[0][0]) & (g <= law[0][-1]))
    return (
        f"Conductance of {inside:,} of {plural(g.size, 'cell')} of all chips against the card's law; "
        f"the others ({percent(1 - inside / max(g.size, 1))}) lie outside of its range: not formed, stuck or "
        "outliers."
    )


def _labelled(names: Sequence[str], counts: Iterable[Iterable[int]]) -> list[tuple[str, ...]]:
    return [(name, *map(str, row)) for name, row in zip(names, counts, strict=True)]


def figure(svg: str, caption: str) -> str:
    """A figure whose caption is also what a screen reader says in place of the drawing."""
    text = escape(caption)
    return f'<figure><div role="img" aria-label="{text}">{svg}</div><figcaption>{text}</figcaption></figure>'


def table(rows: Iterable[Sequence[str]], header: Sequence[str] = (), kind: str = "facts") -> str:
    """A table whose first column names the rows."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    head = f"\n<tr>{head}</tr>" if header else ""
    body = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(value)}</td>" for value in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f'<div class="scroll"><table class="{kind}">{head}\n{body}\n</table></div>'

"""A concept-shift result as a table in the terminal and one self-contained HTML page."""

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.text import Text

from neurosim.report.facts import percent, plural, quantity
from neurosim.report.figures import BLUE, GREEN, INK, ORANGE, render
from neurosim.report.html import document, figure, table
from neurosim.results import ConceptShiftResult, student
from neurosim.store import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER = (
    "Swaps an epoch",
    "Rule",
    "Same start",
    "Gain over constant, same start",
    "Best start",
    "Behind the best constant",
)
COLOURS = {"constant": ORANGE, "homeostatic": BLUE, "random": GREEN}
MARKS = {"constant": "s", "homeostatic": "o", "random": "^"}


def write(result: ConceptShiftResult, folder: Path) -> tuple[Path, Path]:
    """Write ``result.json`` (docs/formats.md) and ``report.html`` into ``folder``, made where missing."""
    numbers, page = folder / "result.json", folder / "report.html"
    write_text(numbers, json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")
    write_text(page, _page(result))
    return numbers, page


def lines(result: ConceptShiftResult) -> list[str]:
    """The comparison as lines of text, its verdict last."""
    rows = [HEADER, *_rows(result)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = ["  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*text, *_verdict(result)]


def show(result: ConceptShiftResult, console: Console) -> None:
    """Print the comparison and its verdict."""
    for line in lines(result):
        console.print(Text(line), soft_wrap=True)


def _rows(result: ConceptShiftResult) -> list[tuple[str, ...]]:
    start, (tuned, _) = result.same_start(), result.tuned()
    constant = result.rules.index("constant")
    return [
        (
            f"{swaps:g}",
            rule,
            _interval(start[:, k, j]),
            "" if j == constant else _points(start[:, k, j] - start[:, k, constant]),
            _interval(tuned[:, k, j]),
            _points(start[:, k, j] - tuned[:, k, constant]),
        )
        for k, swaps in enumerate(result.swaps_per_epoch)
        for j, rule in enumerate(result.rules)
    ]


def _verdict(result: ConceptShiftResult) -> list[str]:
    """What the streams with swaps say of the homeostatic rule, in sentences."""
    constant, need = result.rules.index("constant"), result.rules.index("homeostatic")
    start, (tuned, _) = result.same_start(), result.tuned()
    shifting = [k for k, swaps in enumerate(result.swaps_per_epoch) if swaps]
    said = []
    for name, gain in (
        ("a constant rate with the same start", start[..., need] - start[..., constant]),
        ("a constant rate, each from its best start", tuned[..., need] - tuned[..., constant]),
        ("the best-tuned constant rate, itself not tuned", start[..., need] - tuned[..., constant]),
    ):
        signs = [_sign(gain[:, k]) for k in shifting]
        said.append(
            f"Homeostatic modulation against {name}: better in {signs.count(1)}, worse in {signs.count(-1)} "
            f"and not told apart in {signs.count(0)} of {plural(len(shifting), 'stream')} with swaps."
        )
    return said


def _sign(values: npt.NDArray[np.float64]) -> int:
    """Whether the 95 % interval lies above (1) or below (-1) zero, or holds it (0)."""
    low, high = student(values)["ci95"]
    return int(low > 0) - int(high < 0)


def _interval(values: npt.NDArray[np.float64]) -> str:
    found = student(values)
    return f"{percent(found['mean'])} ± {100 * (found['ci95'][1] - found['mean']):.1f}"


def _points(values: npt.NDArray[np.float64]) -> str:
    """A difference of shares in points."""
    found = student(values)
    return f"{100 * found['mean']:+.1f} ± {100 * (found['ci95'][1] - found['mean']):.1f}"


def _page(result: ConceptShiftResult) -> str:
    n_chips = len(result.accuracy)
    first = f"all starting at a rate of {result.learning_rates[result.reference]:g}"
    hardest = f"at {result.swaps_per_epoch[-1]:g} swaps an epoch"
    captions = (
        f"Accuracy against swaps an epoch: filled, {first}; open, each rule from its best start.",
        "Accuracy against the first rate, for every number of swaps; mean over the chips.",
        f"Accuracy along the stream {hardest}, {first}.",
        f"Mean rate along the stream {hardest}, {first}.",
    )
    drawings = _against_swaps(result), _against_rate(result), _over_time(result), _rates(result)
    best_rows = [
        (f"{swaps:g}", rule, *map(percent, result.accuracy[:, k, j].mean(axis=0)))
        for k, swaps in enumerate(result.swaps_per_epoch)
        for j, rule in enumerate(result.rules)
    ]
    verdict = "\n".join(f"<p>{escape(sentence)}</p>" for sentence in _verdict(result))
    return document(
        result.name,
        f"""<h1>{escape(result.name)}: learning while labels swap</h1>
{verdict}
<p>Each of {plural(n_chips, "chip")} shows its liquid states of {plural(result.n_recordings, "recording")},
{result.epochs} times over, to projections that answer first and learn then; now and then two classes swap
their labels. Accuracy is the share of right answers over the whole stream, ± half the 95 % interval over the
chips; differences are within chips, in points. The best start of a rule is chosen on the streams of the other
chips.</p>
<h2>Concept shift</h2>
{table(_rows(result), HEADER, "numbers")}
<div class="grid">
{"".join(map(figure, drawings, captions))}
</div>
<details><summary>Accuracy at every first rate, mean over the chips</summary>
{table(best_rows, ("Swaps an epoch", "Rule", *(f"{rate:g}" for rate in result.learning_rates)), "numbers")}
</details>
<h2>Origin</h2>
{table([("Fingerprint", result.fingerprint), *result.versions.items()])}
{table([(name, quantity(s, "s")) for name, s in result.seconds.items()], ("Stage", "Wall time"))}
<details><summary>The resolved experiment</summary>
<pre>{escape(json.dumps(result.experiment, indent=2, ensure_ascii=False))}</pre>
</details>""",
    )


def _against_swaps(result: ConceptShiftResult) -> str:
    def paint(drawing: "Figure") -> None:
        axes = drawing.subplots()
        at = np.arange(len(result.swaps_per_epoch))
        start, (tuned, _) = result.same_start(), result.tuned()
        for j, rule in enumerate(result.rules):
            for values, style, face, name in (
                (start, "-", COLOURS[rule], f"{rule}, same start"),
                (tuned, "--", "none", f"{rule}, best start"),
            ):
                found = [student(values[:, k, j]) for k in at]
                mean = np.array([100 * one["mean"] for one in found])
                half = [100 * one["ci95"][1] - m for one, m in zip(found, mean, strict=True)]
                axes.errorbar(
                    at + 0.08 * (j - 1), mean, half, ls=style, marker=MARKS[rule], color=COLOURS[rule],
                    mfc=face, capsize=2, ms=5, lw=1.2, label=name,
                )  # fmt: skip
        axes.set_xticks(at, [f"{swaps:g}" for swaps in result.swaps_per_epoch])
        axes.set(xlabel="swaps an epoch", ylabel="accuracy [%]")
        drawing.legend(loc="outside upper center", ncols=2, fontsize=8)

    return render("against_swaps", 4.6, 4.2, paint)


def _against_rate(result: ConceptShiftResult) -> str:
    def paint(drawing: "Figure") -> None:
        n = len(result.swaps_per_epoch)
        panels = drawing.subplots(n, 1, sharex=True, squeeze=False)[:, 0]
        for k, axes in enumerate(panels):
            for j, rule in enumerate(result.rules):
                mean = 100 * result.accuracy[:, k, j].mean(axis=0)
                axes.plot(
                    result.learning_rates, mean, marker=MARKS[rule], ms=4, lw=1.2, color=COLOURS[rule],
                    label=rule if not k else None,
                )  # fmt: skip
            axes.axvline(result.learning_rates[result.reference], color=INK, lw=0.8, ls=":")
            axes.set_ylabel(f"{result.swaps_per_epoch[k]:g} swaps", fontsize=9)
        panels[-1].set(xscale="log", xlabel="first rate (dotted: the same start)")
        panels[-1].set_xticks(result.learning_rates, [f"{rate:g}" for rate in result.learning_rates])
        panels[-1].minorticks_off()
        drawing.supylabel("accuracy [%]", fontsize=10)
        drawing.legend(loc="outside upper center", ncols=3, fontsize=8)

    return render("against_rate", 4.6, 1.2 + 1.1 * len(result.swaps_per_epoch), paint)


def _over_time(result: ConceptShiftResult) -> str:
    return _along(result, "over_time", 100 * result.curve[:, -1, :, result.reference], "accuracy [%]")


def _rates(result: ConceptShiftResult) -> str:
    return _along(result, "rates", result.rate[:, -1, :, result.reference], "rate")


def _along(result: ConceptShiftResult, name: str, values: npt.NDArray[np.float64], label: str) -> str:
    """Mean over the chips of what ``values`` (n_chips, n_rules, n_points) say, along the last stream."""

    def paint(drawing: "Figure") -> None:
        axes = drawing.subplots()
        along = (np.arange(values.shape[-1]) + 0.5) * result.epochs / values.shape[-1]
        for j, rule in enumerate(result.rules):
            axes.plot(along, values[:, j].mean(axis=0), lw=1.2, color=COLOURS[rule], label=rule)
        axes.set(xlabel="epochs", ylabel=label)
        drawing.legend(loc="outside upper center", ncols=3, fontsize=8)

    return render(name, 4.6, 3.0, paint)

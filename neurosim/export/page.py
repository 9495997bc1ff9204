"""A readback as files: ``result.json`` (``neurosim.readback/1``), one HTML page, a card and an image."""

import json
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from neurosim.errors import CardError, MeasurementError
from neurosim.experiment import PACKAGES
from neurosim.export import drawings
from neurosim.export.hdf5 import write_plain
from neurosim.export.macro import write_macro
from neurosim.export.readback import Readback
from neurosim.fit import FittedCard, fit_card, write_card
from neurosim.report.facts import percent, plural, quantity
from neurosim.report.html import document, figure, table
from neurosim.results import accuracy_interval
from neurosim.store import write_text

SCHEMA = "neurosim.readback/1"
FILES = ("result.json", "report.html", "chip.h5", "cells.h5", "reads.h5", "card.toml")
FORMED = 0.1  # of the card's mean: above it a cell counts as formed
SAYS = {
    "as made": "the chip with the thresholds and the projection of the design",
    "remapped": "dead lines given up for spare ones",
    "recalibrated": "converters and thresholds adapted on unlabelled training recordings",
    "retrained": "the projection trained again, chosen by the validation part",
}


def write_readback(result: Readback, folder: Path, *, name: str) -> list[Path]:
    """Write what a readback found into a folder.

    Args:
        result: What was found.
        folder: Made where it is missing.
        name: Name of the fitted card.

    Returns:
        The files: ``result.json``, ``report.html``, ``chip.h5`` (the image of the chip as it is) and, where
        there is enough to fit a card to, ``card.toml`` and what it cites, ``cells.h5`` and ``reads.h5``.
    """
    written = write_macro(result.repaired, folder / "chip.h5")
    card, problem = _fit(result, folder, name)
    facts = to_json(result) | {"card": card.card.name if card else None, "card_problem": problem}
    write_text(folder / "result.json", json.dumps(facts, indent=1, allow_nan=False) + "\n")
    write_text(folder / "report.html", _page(result, facts, card))
    fitted = [folder / file for file in FILES[3:] if card and (folder / file).is_file()]
    return [folder / "result.json", folder / "report.html", *written, *fitted]


def to_json(result: Readback) -> dict[str, Any]:
    """The content of ``result.json`` (docs/formats.md), but for the fitted card."""
    design = result.design
    return {
        "schema": SCHEMA,
        "name": design.experiment.name,
        "fingerprint": design.fingerprint,
        "same_run": result.same_run,
        "chip": design.chip.number,
        "versions": {package: version(package) for package in PACKAGES},
        "n_reads": len(result.measured.t),
        "accuracy": {
            "n_test": result.n_test,
            "intended": design.accuracy,
            "stages": [
                {
                    "name": stage.name,
                    "accuracy": stage.n_correct / result.n_test,
                    "ci95": list(accuracy_interval([stage.n_correct], result.n_test).ci95),
                    "rate": stage.rate,
                }
                for stage in result.stages
            ],
        },
        "differing_spikes": result.differing_spikes,
        "vector_spikes": int(design.vectors.spikes.sum()),
        "programming": result.programming,
        "dead": {
            "rows": np.argwhere(result.dead.rows).tolist(),
            "cols": np.argwhere(result.dead.cols).tolist(),
            "in_use": _dead_in_use(result, result.design),
            "left": _dead_in_use(result, result.repaired),
            "to_program": result.to_program,
        },
        "experiment": design.resolved,
    }


def _dead_in_use(result: Readback, design: Any) -> int:
    """Cells of a design that stand on dead lines."""
    layout, dead = design.layout, result.dead
    return int((dead.rows[layout.tile, layout.row] | dead.cols[layout.tile, layout.col]).sum())


def _fit(result: Readback, folder: Path, name: str) -> tuple[FittedCard | None, str]:
    """A device card of the chip's cells that are not on dead lines, or why there is none.

    Of cells that are formed all that got the pulse tell, spare ones too; of programmed ones those in use.
    """
    layout, dead, card = result.design.layout, result.dead, result.design.chip.crossbar.pos.card
    alive = ~(dead.rows[layout.tile, layout.row] | dead.cols[layout.tile, layout.col])
    arrays = {"g_S": layout.of_cells(result.mean)[alive].astype(np.float64)}
    formed_above = 0.0
    if card.forming is None:
        arrays["target_S"] = result.design.target[alive].astype(np.float64)
    else:
        formed_above = FORMED * (card.conductance.g_mean or card.conductance.g_max).value
        pulsed = layout.on_tiles(result.design.formed, True) & ~np.isnan(result.mean)
        pulsed &= ~(dead.rows[:, :, None] | dead.cols[:, None])
        arrays["g_S"] = result.mean[pulsed].astype(np.float64)
    files = {"cells.h5": arrays}
    if len(result.measured.g) > 1:
        reads = layout.of_cells(result.measured.g)[:, alive].astype(np.float64)
        known = ~np.isnan(reads).any(axis=0)
        files["reads.h5"] = {"t_s": result.measured.t, "g_S": reads[:, known]}
    for file in FILES[3:]:
        (folder / file).unlink(missing_ok=True)
    for file, content in files.items():
        write_plain(folder / file, content)
    problem = ""
    while files:
        try:
            places = [str(folder / file) for file in files]
            fitted = fit_card(places, name, formed_above=formed_above)
            write_card(fitted.card, folder / "card.toml")
        except (MeasurementError, CardError) as why:
            problem = str(why).replace(f"{folder}/", "")
            (folder / files.popitem()[0]).unlink()
        else:
            return fitted, problem
    return None, problem


# ---- shown -----------------------------------------------------------------------------------------


def summary(result: Readback, facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of every headline number."""
    errors, dead = facts["programming"], facts["dead"]
    intended = facts["accuracy"]["intended"]
    rows = [
        ("Intended", f"{percent(intended.get('quantised', intended['simulated']))} by the simulated chip")
    ]
    for stage in facts["accuracy"]["stages"]:
        low, high = map(percent, stage["ci95"])
        rows.append(
            (
                stage["name"].capitalize(),
                f"{percent(stage['accuracy'])} (95 % interval {low} to {high}), {stage['rate']:.3g} Hz",
            )
        )
    what = f"{facts['differing_spikes']:,} differ, the design fires {facts['vector_spikes']:,}"
    error = f"{quantity(errors['mean'], 'S')} ± {quantity(errors['sigma'], 'S')}"
    lines = f"{plural(len(dead['rows']), 'word line')} and {plural(len(dead['cols']), 'bit line')}"
    cells = int(errors["cells"])
    return [
        *rows,
        ("Spikes of the test vectors", what),
        (
            "Programming error",
            f"{error}, {percent(errors['within_tolerance'])} of {cells:,} cells in tolerance",
        ),
        ("Dead lines", f"{lines}; of the cells in use on them {dead['in_use']:,}, now {dead['left']:,}"),
        *([("Still to be programmed", plural(dead["to_program"], "cell"))] if dead["to_program"] else []),
        ("Device card", " - ".join(filter(None, [facts["card"] or "none", facts["card_problem"]]))),
        ("Test recordings", f"{facts['accuracy']['n_test']:,}"),
        ("Reads", f"{facts['n_reads']:,}"),
        ("Fingerprint of the run", facts["fingerprint"]),
    ]


def warnings(facts: dict[str, Any]) -> list[str]:
    """What makes the numbers worth less than they look."""
    found = []
    if not facts["same_run"]:
        found.append(
            "cards or recordings are others than those of the exported run: the intended accuracy does not "
            "compare with the others"
        )
    if facts["dead"]["to_program"]:
        found.append(
            "cells moved to spare lines count with their targets: program them and read the chip again"
        )
    return found


def show(result: Readback, folder: Path, console: Console) -> None:
    """Print the headline numbers of a readback that was written into ``folder``."""
    facts = json.loads((folder / "result.json").read_text("utf-8"))
    shown = Table(title=facts["name"], title_justify="left", show_header=False)
    shown.add_column(style="bold", no_wrap=True)
    shown.add_column(overflow="fold")
    for row in summary(result, facts):
        shown.add_row(*row)
    console.print(shown, *(f"Warning: {text}" for text in warnings(facts)), sep="\n", markup=False)


def _page(result: Readback, facts: dict[str, Any], card: FittedCard | None) -> str:
    stages = facts["accuracy"]["stages"]
    beware = "\n".join(f'<p class="warning">Warning: {escape(text)}</p>' for text in warnings(facts))
    fits = (
        [
            (f"{Path(place).name}: {what}", value)
            for place, all_ in card.goodness.items()
            for what, value in all_.items()
        ]
        if card
        else []
    )
    dead = [("word", *map(str, line)) for line in facts["dead"]["rows"]]
    dead += [("bit", *map(str, line)) for line in facts["dead"]["cols"]]
    steps = [(stage["name"], SAYS[stage["name"]]) for stage in stages]
    return document(
        facts["name"],
        f"""<h1>{escape(facts["name"])}, chip {facts["chip"]}: read back</h1>
<p class="headline"><strong>{percent(stages[-1]["accuracy"])}</strong> accuracy of the chip after all repairs,
{percent(stages[0]["accuracy"])} as made</p>
{beware}
{table(summary(result, facts))}
<h2>Recognition</h2>
<div class="grid">
{figure(drawings.stages(facts), "Accuracy on the test part with its 95 % interval over recordings.")}
{table(steps, ("Stage", "What was done"))}
</div>
<h2>Cells</h2>
<div class="grid">
{figure(drawings.cells(result), "Conductances that were measured and those that were wanted.")}
{figure(drawings.errors(result), "Measured less wanted conductance of the cells in use.")}
</div>
<h2>Tiles</h2>
{figure(drawings.tiles(result), "Conductance of every cell; dead lines are marked at the edges.")}
{table(dead, ("Dead line", "Tile", "Number"), "numbers") if dead else "<p>No line is dead.</p>"}
<h2>Device card</h2>
{table(fits, ("Fit", "How well")) if fits else f"<p>None: {escape(facts['card_problem'])}</p>"}
<h2>Origin</h2>
{table(list(facts["versions"].items()))}
<details><summary>The resolved experiment</summary>
<pre>{escape(json.dumps(facts["experiment"], indent=2, ensure_ascii=False))}</pre>
</details>""",
    )

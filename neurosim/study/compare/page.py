"""A comparison as one self-contained HTML page, and as a table in the terminal."""

from html import escape
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurosim.report.html import document
from neurosim.store import write_text
from neurosim.study.compare import contestants, sections, text
from neurosim.study.compare.results import Comparison, Contestant

WIDE = 120  # columns of a terminal that has room for a contestant in one line


def write_page(comparison: Comparison, path: Path) -> None:
    """Write ``comparison`` as one page that needs no network and no script.

    The same comparison gives the same bytes, on one machine and version.

    Args:
        comparison: What is found so far.
        path: The page, replaced atomically.
    """
    write_text(path, document(comparison.name, "\n".join(filter(None, (part(comparison) for part in PARTS)))))


def show(comparison: Comparison, console: Console) -> None:
    """Print the contestants by family, how they stand to the reference, and what to beware of."""
    table = Table(title=Text(comparison.name), title_justify="left", box=box.SIMPLE, padding=0)
    table.add_column("contestant", no_wrap=True)
    table.add_column("accuracy [%]")
    table.add_column(Text(f"over {comparison.against} [points]"))
    for name in ("parameters", "operations", "energy", "training"):
        table.add_column(name, justify="right", no_wrap=True)
    below = " " if console.width >= WIDE else "\n"
    for family in text.sorted_families(comparison).values():
        for one in family:
            table.add_row(*(Text(below.join(cell)) for cell in _cells(comparison, one)))
        table.add_section()
    notes = (Text(f"Warning: {warning}", style="bold yellow") for warning in text.warnings(comparison))
    reasons = (Text(f"{name}: {why}", style="red") for name, why in comparison.failed.items())
    console.print(table, Text(" ".join(text.headline(comparison))), *notes, *reasons, sep="\n")


def _cells(comparison: Comparison, one: Contestant) -> list[list[str]]:
    """What stands in each column, in parts that stand below each other where the terminal is narrow."""
    difference = ["reference" if one.name == comparison.against else ""]
    if one.against:
        difference = [text.mark(one.against), f"({text.p_value(one.against)})"]
    return [
        one.name.replace(", ", ",\n").split("\n"),
        [f"{100 * one.accuracy.mean:.2f}", f"({text.ends(one.accuracy.ci95)})"],
        difference,
        text.parameters(one).split(" "),
        [text.count(one.operations)],
        text.cost(one, "energy").replace(" to ", " to\n").split("\n"),
        [text.si(one.train_seconds, "s")],
    ]


def _headline(comparison: Comparison) -> str:
    number, said = text.headline(comparison)
    beware = "\n".join(
        f'<p class="warning">Warning: {escape(each)}</p>' for each in text.warnings(comparison)
    )
    return f"""<h1>{escape(comparison.name)}</h1>
<p class="headline"><strong>{escape(number)}</strong>
{escape(said)}</p>
{beware}"""


PARTS = (
    _headline,
    contestants.contestants,
    contestants.failures,
    sections.budgets,
    sections.learning_curves,
    sections.ablations,
    sections.robustness,
    sections.hyper_parameters,
    sections.method,
)

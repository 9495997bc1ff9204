"""The table of all contestants, and those that failed."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from neurosim.report.html import table
from neurosim.study.compare.results import ALPHA, Comparison, Contestant, Paired, What
from neurosim.study.compare.text import (
    FAMILIES,
    change_ends,
    cost,
    count,
    ends,
    mark,
    p_value,
    parameters,
    share,
    si,
    sorted_families,
)

Cell = tuple[str, str]  # what is said and what is said of it below


def contestants(comparison: Comparison) -> str:
    """Every contestant by family, with what it reaches and what it costs."""
    if not comparison.contestants:
        return ""
    header: tuple[Cell, ...] = (
        ("Contestant", ""),
        ("Accuracy", "95 % interval"),
        (f"Against {comparison.against}", "[points], 95 %, p"),
        ("Parameters", "(in circuits)"),
        ("Operations", "MACs, gates times shots"),
        ("At equal parameters", "against the best plain network"),
        ("At equal operations", "against the best plain network"),
        ("Energy", "per inference"),
        ("Hardware time", "per inference"),
        ("Training", "here"),
        ("Inference", "here"),
        ("Its paper", ""),
    )
    groups = {
        FAMILIES[kind]: [_row(comparison, one) for one in here]
        for kind, here in sorted_families(comparison).items()
    }
    return f"""<h2>Contestants</h2>
<p>* is significant: p &lt; {ALPHA}, corrected by Holm over all differences of its column. A difference is the
contestant minus the other, in points of accuracy on the same test recordings. At equal parameters or
operations the other is the best plain network that has at most as many. Energy and time of quantum hardware
go from an optimistic to a realistic device.</p>
{grouped(header, groups)}"""


def failures(comparison: Comparison) -> str:
    """Contestants that failed, and why."""
    if not comparison.failed:
        return ""
    rows = table(list(comparison.failed.items()), ("Contestant", "Error"), "errors")
    return f"<h2>Failed</h2>\n{rows}"


def grouped(header: Sequence[Cell], groups: Mapping[str, Iterable[Sequence[Cell]]]) -> str:
    """A wide table in groups, whose first column stays in sight; it scrolls inside of its box."""
    head = "".join(f'<th scope="col">{_cell(cell)}</th>' for cell in header)
    bodies = "\n".join(
        f'<tbody>\n<tr class="group"><th scope="rowgroup">{escape(name)}</th>'
        f'<td colspan="{len(header) - 1}"></td></tr>\n'
        + "\n".join(
            f'<tr><th scope="row">{_cell(first)}</th>'
            + "".join(f"<td>{_cell(cell)}</td>" for cell in rest)
            + "</tr>"
            for first, *rest in rows
        )
        + "\n</tbody>"
        for name, rows in groups.items()
    )
    top = f"<thead>\n<tr>{head}</tr>\n</thead>"
    return f'<div class="scroll"><table class="numbers wide">\n{top}\n{bodies}\n</table></div>'


def _cell(cell: Cell) -> str:
    first, below = map(escape, cell)
    first = f"<strong>{first}</strong>" if first.endswith(" *") else first
    return f"{first}<br><small>{below}</small>" if below else first


def _row(comparison: Comparison, one: Contestant) -> list[Cell]:
    return [
        (one.name, f"reads {one.inputs}"),
        (share(one.accuracy.mean), ends(one.accuracy.ci95)),
        ("reference", "") if one.name == comparison.against else _difference(one.against),
        (parameters(one), ""),
        (count(one.operations), ""),
        _matched(one, one.same_parameters),
        _matched(one, one.same_operations),
        _cost(one, "energy"),
        _cost(one, "latency"),
        (si(one.train_seconds, "s"), ""),
        (si(one.infer_seconds, "s"), ""),
        (one.headline, ""),
    ]


def _cost(one: Contestant, what: What) -> Cell:
    """What an inference takes on its own hardware, and below what it takes on a digital platform."""
    digital = one.total(what, "digital")
    if digital is None or one.span(what) == (digital, digital):
        return cost(one, what), ""
    return cost(one, what), f"digital {si(digital, 'J' if what == 'energy' else 's')}"


def _difference(paired: Paired | None) -> Cell:
    if paired is None:
        return "", ""
    return mark(paired), f"{change_ends(paired.ci95)}, {p_value(paired)}"


def _matched(one: Contestant, paired: Paired | None) -> Cell:
    if paired is None:
        return ("", "") if one.kind == "reference" else ("none so small", "")
    difference, below = _difference(paired)
    return f"{paired.other}: {difference}", below

"""Parts of the page below the table: each is HTML, empty where there is nothing to say."""

from html import escape
from typing import Literal

import numpy as np

from neurosim.report.facts import plural, quantity
from neurosim.report.html import figure, table
from neurosim.results import Interval
from neurosim.study.compare import figures
from neurosim.study.compare.results import Comparison, Contestant, Paired
from neurosim.study.compare.text import (
    FAMILIES,
    change_ends,
    cost,
    count,
    interval,
    mark,
    p_value,
    parameters,
    points,
    settings,
    share,
    sorted_families,
    variant_place,
)
from neurosim.study.config import to_toml

CIRCUIT_NOISE = ("shots", "depolaris", "damping", "readout")  # names of disturbances that circuits have
NO_CIRCUIT = ("linear", "deleted", "classical")  # variants


def budgets(comparison: Comparison) -> str:
    """Accuracy against parameters and against energy, with the contestants that no other beats."""
    both = "\n".join(filter(None, (_budget(comparison, "parameters"), _budget(comparison, "energy"))))
    if not both:
        return ""
    return f'<h2>Accuracy against budget</h2>\n<div class="grid">\n{both}\n</div>'


def _span(one: Contestant, what: str) -> tuple[float, float] | None:
    if what == "energy":
        return one.span("energy")
    return (float(one.n_parameters), float(one.n_parameters))


def _budget(comparison: Comparison, what: Literal["parameters", "energy"]) -> str:
    spans = {one.name: span for one in comparison.contestants if (span := _span(one, what)) and span[0] > 0}
    here = [one for one in comparison.contestants if one.name in spans]
    if not here:
        return ""
    front = comparison.front(lambda one: spans[one.name][0] if one.name in spans else None)
    written = parameters if what == "parameters" else lambda one: cost(one, "energy")
    svg = figures.scatter(
        f"budget-{what}",
        here,
        [spans[one.name] for one in here],
        [_elsewhere(one) if what == "energy" else None for one in here],
        [(spans[one.name][0], one.accuracy.mean) for one in front],
        label="trained parameters" if what == "parameters" else "energy per inference",
        written=count if what == "parameters" else lambda joule: quantity(joule, "J"),
        floor=_floor(comparison),
        tips=[f"{one.name}\naccuracy {interval(one.accuracy)}\n{what} {written(one)}" for one in here],
    )
    caption = f"Accuracy against {what}"
    if what == "energy":
        caption += (
            " (on a digital platform; of the liquid on its macro and, hollow, on a digital one; of circuits "
            "on an optimistic quantum device, with a bar to a realistic one; the front takes the lower end)"
        )
    caption += "; upright bars: 95 % interval; small hollow marks: variants of hybrids."
    if left := [one.name for one in comparison.contestants if one.name not in spans]:
        caption += f" Not drawn, as it is none or not known: {', '.join(left)}."
    names = ", ".join(f"{one.name} ({written(one)}, {share(one.accuracy.mean)})" for one in front)
    said = f"On the Pareto front, the cheapest first: {names}."
    return f"<div>\n{figure(svg, caption)}\n<p>{escape(said)}</p>\n</div>"


def _elsewhere(one: Contestant) -> float | None:
    """Energy on a digital platform of what has a macro of its own."""
    return one.total("energy", "digital") if one.total("energy", "macro") is not None else None


def _floor(comparison: Comparison) -> float:
    """Error that test recordings without a wrong answer leave open, by the rule of three."""
    return 3 / max(comparison.n_test, 1)


def learning_curves(comparison: Comparison) -> str:
    """Accuracy against training recordings, a figure for each family."""
    families = {
        kind: curved
        for kind, here in sorted_families(comparison).items()
        if (curved := [one for one in here if len(one.curve) > 1])
    }
    if not families:
        return ""
    every = [one for here in families.values() for one in here]
    drawn = "\n".join(
        figure(
            figures.curves(f"curves-{kind}", kind, every, _floor(comparison)),
            f"{FAMILIES[kind]} by training recordings; bars: 95 % interval; thin lines: all others.",
        )
        for kind in families
    )
    sizes = sorted({size for one in every for size, _ in one.curve})
    rows = [_curve_row(one, sizes) for one in every]
    numbers = table(rows, ("Training recordings", *(f"{size:,}" for size in sizes)), "numbers")
    return f"""<h2>Learning curves</h2>
<div class="grid">
{drawn}
</div>
<details><summary>In numbers</summary>
{numbers}
</details>"""


def _curve_row(one: Contestant, sizes: list[int]) -> tuple[str, ...]:
    reached = dict(one.curve)
    return (one.name, *(interval(reached[size]) if size in reached else "" for size in sizes))


def ablations(comparison: Comparison) -> str:
    """Variants of every hybrid, and whether its circuit is needed."""
    parts = [
        _ablation(number, model, sorted(variants, key=variant_place))
        for number, (model, variants) in enumerate(comparison.hybrids().items())
    ]
    if not parts:
        return ""
    return f"""<h2>What the circuits are good for</h2>
<p>Each hybrid in full, without entangling gates (no_entanglement), with a circuit that stays as it was drawn
(frozen), with a linear map of the same shape in its place (linear), without it (deleted), and a classical
network with as many parameters (classical). The band is the interval of the full one, small dots are seeds.
Differences are variant minus full on the same recordings; noisy circuits were tried on the first of them.</p>
<div class="grid">
{"".join(parts)}
</div>"""


def _ablation(number: int, model: str, variants: list[Contestant]) -> str:
    full = next((one for one in variants if one.variant == "full"), None)
    rows = [
        (str(one.variant), one.accuracy, "classical" if one.variant in NO_CIRCUIT else one.kind, one is full)
        for one in variants
    ]
    noisy = _noisy(full) if full else {}
    drawn = [*rows, *((f"full, {name}", accuracy, "quantum", False) for name, accuracy in noisy.items())]
    svg = figures.ablation(f"ablation{number}", drawn)
    over_full = {str(one.variant): one.against_full for one in variants}
    numbers = [(name, interval(accuracy), _minus(over_full.get(name))) for name, accuracy, *_ in drawn]
    without = [one for one in variants if one.variant in ("deleted", "classical")]
    said = " ".join(_verdict(str(one.variant), one.against_full) for one in without if one.against_full)
    missing = "" if full else "The full hybrid is not done, so nothing can be said of its circuit."
    header = ("Variant", "Accuracy (95 % interval)", "Over full [points] (95 %)")
    return f"""<div>
<h3>{escape(model)}</h3>
{figure(svg, f"Accuracy of {model} and its variants; bars: 95 % interval.")}
<p>{escape(said or missing)}</p>
<details><summary>In numbers</summary>
{table(numbers, header, "numbers")}
</details>
</div>
"""


def _noisy(full: Contestant) -> dict[str, Interval]:
    """Accuracy of a hybrid whose circuit is measured in shots or has errors."""
    return {
        name: accuracy
        for name, accuracy in full.robustness.items()
        if any(noise in name.lower() for noise in CIRCUIT_NOISE)
    }


def _minus(paired: Paired | None) -> str:
    return f"{mark(paired)} ({change_ends(paired.ci95)}, {p_value(paired)})" if paired else ""


def _verdict(variant: str, paired: Paired) -> str:
    """A sentence on a hybrid without its circuit against the full one; it can say either."""
    what = "With the circuit deleted" if variant == "deleted" else "Its classical twin"
    does = "it does" if variant == "deleted" else "does"
    numbers = f"{points(paired.difference)} points ({change_ends(paired.ci95)}, {p_value(paired)})"
    match paired.verdict:
        case "better":
            return f"{what} {does} better than the full hybrid: {numbers}."
        case "worse":
            return f"{what} {does} worse than the full hybrid: {numbers}; the circuit is worth something."
    return f"{what} {does} as well as the full hybrid, as far as can be told: {numbers}."


def robustness(comparison: Comparison) -> str:
    """Accuracy under every disturbance."""
    here = [one for ones in sorted_families(comparison).values() for one in ones if one.robustness]
    if not here:
        return ""
    columns = list(dict.fromkeys(name for one in here for name in one.robustness))
    shares = np.array(
        [[one.accuracy.mean, *(_mean(one.robustness.get(name)) for name in columns)] for one in here]
    )
    svg = figures.heat("robustness", [one.name for one in here], ["undisturbed", *columns], shares)
    rows = [
        (
            one.name,
            interval(one.accuracy),
            *(interval(one.robustness[name]) if name in one.robustness else "" for name in columns),
        )
        for one in here
    ]
    numbers = table(rows, ("", "Undisturbed", *columns), "numbers")
    caption = "Accuracy under every disturbance; empty: it does not apply."
    return f"""<h2>Robustness</h2>
<p>Nothing is trained again for a disturbance. It may have been tried on the first of the test recordings
only, as the study says: compare with <q>clean</q>, the undisturbed accuracy on the same ones.</p>
{figure(svg, caption)}
<details><summary>In numbers</summary>
{numbers}
</details>"""


def _mean(accuracy: Interval | None) -> float:
    return accuracy.mean if accuracy else np.nan


def hyper_parameters(comparison: Comparison) -> str:
    """What was tried and what the validation part chose."""
    here = [one for ones in sorted_families(comparison).values() for one in ones]
    if not here:
        return ""
    rows = [
        (one.name, f"{len(one.trials):,}", settings(one.chosen), share(one.validation_accuracy))
        for one in here
    ]
    tried = [
        (one.name, f"{number + 1}", settings(values), share(accuracy))
        for one in here
        for number, (values, accuracy) in enumerate(one.trials)
    ]
    said = f"Every model had the same number of trials, {comparison.n_trials:,}"
    fewer = [one for one in here if one.trials and len(one.trials) != comparison.n_trials]
    said += f", but for {', '.join(f'{one.name} ({len(one.trials):,})' for one in fewer)}." if fewer else "."
    if not all(one.trials for one in here):
        said += " Those with 0 in the table took the settings of their model."
    header = ("Contestant", "Trials", "Chosen by validation", "Validation accuracy")
    every = table(tried, ("Contestant", "Trial", "Tried", "Validation accuracy"), "numbers")
    all_trials = f"<details><summary>All trials</summary>\n{every}\n</details>" if tried else ""
    return f"""<h2>Hyper-parameters</h2>
<p>{escape(said)}</p>
{table(rows, header, "numbers")}
{all_trials}"""


def method(comparison: Comparison) -> str:
    """How it was measured, and from what."""
    hardware = dict.fromkeys(
        (cost.which, cost.platform) for one in comparison.contestants for cost in one.costs
    )
    rows = [
        (
            "Recordings",
            f"{comparison.n_train:,} training, {comparison.n_validation:,} validation, "
            f"{comparison.n_test:,} test; the same for all",
        ),
        ("Seeds", ", ".join(map(str, comparison.seeds)) + "; of the liquid, numbers of its chips"),
        ("Trials", f"{plural(comparison.n_trials, 'setting')} of hyper-parameters for every model"),
        (
            "Choice",
            "validation chose hyper-parameters and epochs; the test part was looked at once per final fit",
        ),
        (
            "Intervals of accuracies",
            "95 %: Wilson's for the recordings and Student's t over seeds, added in quadrature; one seed "
            "leaves the first alone",
        ),
        (
            "Differences and p values",
            "two-sided t test on the difference on the same recordings, its variances over recordings and "
            "over seeds added; p values are corrected by Holm over all differences of a column",
        ),
        ("Operations", "of one inference: multiply-accumulates, and for circuits gates times shots"),
        *((f"Hardware, {which}", platform) for which, platform in sorted(hardware)),
        ("Wall times", "of this machine, mean over seeds: comparable with each other only"),
        ("Fingerprint", comparison.fingerprint),
        *comparison.versions.items(),
    ]
    notes = [
        (one.name, name, f"{value:.4g}")
        for one in comparison.contestants
        for name, value in one.notes.items()
    ]
    also = table(notes, ("Contestant", "Also measured", "Value"), "numbers") if notes else ""
    return f"""<h2>How it was measured</h2>
{table(rows)}
{also}
<details><summary>The study as TOML</summary>
<pre>{escape(to_toml(comparison.study))}</pre>
</details>"""

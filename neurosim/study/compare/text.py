"""Numbers of a comparison as text, said once for the terminal and the page."""

import math
from collections.abc import Mapping
from typing import Any

from neurosim.baselines import VARIANTS
from neurosim.report.facts import plural, quantity
from neurosim.results import Interval
from neurosim.study.compare.results import (
    POST_SELECTION,
    UNITARITY,
    Comparison,
    Contestant,
    Kind,
    Paired,
    Verdict,
    What,
)

FAMILIES: dict[Kind, str] = {
    "liquid": "Liquid",
    "quantum": "Quantum hybrids",
    "classical": "Classical rivals",
    "reference": "Reference networks",
}
VERDICTS: tuple[Verdict, ...] = ("better", "worse", "not told apart")
UNKNOWN = "not known"
NO_UNITARY = 1e-3  # error of a matrix above which no circuit has it


def share(value: float) -> str:
    """An accuracy as ``"97.13 %"``: two decimals, as differences have."""
    return f"{100 * value:.2f} %" if math.isfinite(value) else UNKNOWN


def ends(ci95: tuple[float, float]) -> str:
    """Ends of the interval of an accuracy, e.g. ``"96.20 to 97.90"``."""
    return f"{100 * ci95[0]:.2f} to {100 * ci95[1]:.2f}"


def interval(accuracy: Interval) -> str:
    """An accuracy with its interval."""
    return f"{share(accuracy.mean)} ({ends(accuracy.ci95)})"


def points(difference: float) -> str:
    """A difference of accuracies in points, e.g. ``"+1.23"``."""
    return f"{round(100 * difference, 2) + 0.0:+.2f}"  # never -0.00


def change_ends(ci95: tuple[float, float]) -> str:
    """Ends of the interval of a difference, in points."""
    return " to ".join(map(points, ci95)) if all(map(math.isfinite, ci95)) else f"interval {UNKNOWN}"


def p_value(paired: Paired) -> str:
    """The corrected p value, e.g. ``"p 0.012"``."""
    p = paired.p_corrected
    if not math.isfinite(p):
        return f"p {UNKNOWN}"
    return "p < 0.001" if p < 0.001 else f"p {p:.2g}" if p < 0.1 else f"p {min(p, 1):.2f}"


def mark(paired: Paired) -> str:
    """The difference in points, with a star where it is significant."""
    return f"{points(paired.difference)}{'' if paired.verdict == 'not told apart' else ' *'}"


def count(value: float) -> str:
    """A large number with three digits, e.g. ``"1.23 M"``."""
    return quantity(value, "").strip() if math.isfinite(value) else UNKNOWN


def parameters(one: Contestant) -> str:
    """Trained numbers, those of circuits in brackets."""
    quantum = f" ({one.n_quantum_parameters:,})" if one.n_quantum_parameters else ""
    return f"{one.n_parameters:,}{quantum}"


def si(value: float | None, unit: str) -> str:
    """A quantity that may not be known."""
    return quantity(value, unit) if value is not None and math.isfinite(value) else UNKNOWN


def cost(one: Contestant, what: What) -> str:
    """What an inference takes on the contestant's own hardware, of a quantum device from best to worst."""
    found, unit = one.span(what), "J" if what == "energy" else "s"
    if found is None:
        return UNKNOWN
    return " to ".join(dict.fromkeys(si(end, unit) for end in found))


def settings(chosen: Mapping[str, Any]) -> str:
    """Hyper-parameters in one line."""
    said = (f"{key} {f'{v:.4g}' if isinstance(v, float) else v}" for key, v in chosen.items())
    return ", ".join(said) or "none"


def sorted_families(comparison: Comparison) -> dict[Kind, list[Contestant]]:
    """Contestants by family: models from the best one down, each with its variants, then by parameters."""
    best: dict[tuple[Kind, str], float] = {}
    for one in comparison.contestants:
        key = one.kind, one.model
        best[key] = max(best.get(key, 0.0), one.accuracy.mean)

    def place(one: Contestant) -> tuple[Any, ...]:
        return -best[one.kind, one.model], one.model, variant_place(one), one.n_parameters, one.name

    found = {kind: [one for one in comparison.contestants if one.kind == kind] for kind in FAMILIES}
    return {kind: sorted(here, key=place) for kind, here in found.items() if here}


def variant_place(one: Contestant) -> int:
    """Place of a variant among those of its hybrid."""
    return VARIANTS.index(one.variant) if one.variant else len(VARIANTS)


def headline(comparison: Comparison) -> tuple[str, str]:
    """The reference's accuracy, and a sentence on how the others stand to it."""
    reference = comparison.reference
    if reference is None:
        done = plural(len(comparison.contestants), "other contestant")
        return "No result", f"of {comparison.against} yet, from which differences are taken; {done} done"
    low, high = reference.accuracy.ci95
    over = f"{plural(len(comparison.seeds), 'seed')} and {plural(comparison.n_test, 'test recording')}"
    text = f"accuracy of {reference.name}, 95 % interval {share(low)} to {share(high)}, over {over}."
    verdicts = [one.against.verdict for one in comparison.contestants if one.against]
    if not verdicts:
        return share(reference.accuracy.mean), f"{text} There is no other to compare it with yet."
    better, worse, same = (verdicts.count(which) for which in VERDICTS)
    text += (
        f" Of {plural(len(verdicts), 'other contestant')}{_with(comparison)}, {better} {_are(better)} "
        f"significantly better, {worse} {_are(worse)} significantly worse and {same} {_are(same)} not told "
        "apart from it (5 %, after Holm's correction)."
    )
    best = max(comparison.contestants, key=lambda one: one.accuracy.mean)
    if best is not reference:
        text += f" The best mean is that of {best.name}, {share(best.accuracy.mean)}."
    return share(reference.accuracy.mean), text


def _with(comparison: Comparison) -> str:
    """What is counted among the contestants besides models."""
    ones = comparison.contestants
    also = ["variants of hybrids"] if any(one.is_variant for one in ones) else []
    also += ["reference networks"] if any(one.kind == "reference" for one in ones) else []
    return f" ({' and '.join(also)} among them)" if also else ""


def warnings(comparison: Comparison) -> list[str]:
    """What makes the numbers worth less than they look."""
    found = []
    if failed := list(comparison.failed):
        found.append(f"{', '.join(failed)} failed; the reasons stand below")
    if waiting := comparison.waiting:
        left = f"{plural(waiting, 'fit')} {_are(waiting)} not done; the same command goes on with"
        found.append(f"{left} {'it' if waiting == 1 else 'them'}")
    if len(comparison.seeds) == 1:
        found.append("one seed only: intervals and tests leave out how trainings differ; use 3 or more")
    if len(comparison.seeds) == 2:
        found.append("two seeds: intervals are wide; use 3 or more")
    for one in comparison.contestants:
        if (error := one.notes.get(UNITARITY, 0.0)) > NO_UNITARY:
            what = "what was trained is no unitary, so no circuit has it"
            found.append(f"{one.name}: unitarity error {error:.2g}: {what}")
        if 0 < (kept := one.notes.get(POST_SELECTION, 1.0)) < 1:
            more = f"a device needs {1 / kept:,.3g} times as many"
            found.append(f"{one.name}: post-selection keeps {100 * kept:.3g} % of the runs: {more}")
    return found


def _are(number: int) -> str:
    return "is" if number == 1 else "are"

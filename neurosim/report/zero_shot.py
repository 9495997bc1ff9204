"""A zero-shot result: a table in the terminal, ``result.json`` and one self-contained HTML page."""

import json
from html import escape
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurosim.report import zero_shot_figures as figures
from neurosim.report.facts import percent, plural, quantity, readable
from neurosim.report.html import document, figure, table
from neurosim.results import Interval
from neurosim.store import write_text
from neurosim.zero_shot_results import Choices, Scores, TrainedScores, ZeroShotResult

BARS = (
    "Share of queries whose nearest target is of their class, with 95 % intervals; dotted lines are chance."
)
MATRIX = (
    "Class of the target that queries of each class found, seen among seen and unseen among unseen; all "
    "chips, % of the query's class."
)
CHOICES = (
    "Unseen recall of every choice (dots; the large one is the named choice) and seen recall of the other "
    "classes (rings); the line is chance."
)


def show(result: ZeroShotResult, console: Console) -> None:
    """Print the headline numbers of ``result`` and what to beware of."""
    rows = Table(title=Text(result.name), title_justify="left", show_header=False)
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    for name, value in summary(result):
        rows.add_row(name, Text(value))
    notes = (Text(f"Warning: {text}", style="bold yellow") for text in warnings(result))
    console.print(rows, *notes, sep="\n")


def write(result: ZeroShotResult, folder: Path) -> tuple[Path, Path]:
    """Write ``result.json`` (docs/formats.md) and ``report.html`` into ``folder``; returns the two paths."""
    numbers, page = folder / "result.json", folder / "report.html"
    write_text(numbers, json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")
    write_text(page, _page(result))
    return numbers, page


def summary(result: ZeroShotResult) -> list[tuple[str, str]]:
    """Name and value of every headline number of ``result``."""
    hard, chance, n = result.hardware, result.chance, result.n_queries
    seen, unseen = result.classes[: result.n_seen], result.classes[result.n_seen :]
    ways = [("", hard), *([(", ideal weights", result.ideal)] if result.ideal else [])]
    rows = [("Query and target", f"{result.query} looks for {result.target}")]
    for suffix, scores in ways:
        rows += [
            (f"Seen classes{suffix}", f"{_interval(scores.seen)}, chance {percent(chance['seen'])}"),
            (f"Unseen classes{suffix}", f"{_interval(scores.unseen)}, chance {percent(chance['unseen'])}"),
        ]
        if scores.choices:
            rows.append((f"Unseen, all choices{suffix}", _choices(scores.choices)))
    if result.paper:
        rows.append(("Authors' protocol", _paper(result)))
    if result.trained:
        rows.append(("Trained encoders (SRNN-CLIP)", _srnn(result.trained)))
    r = hard.ranking
    rows += [
        (
            "Unseen among all",
            f"{_interval(hard.unseen_among_all)}, chance {percent(chance['unseen_among_all'])}",
        ),
        (
            "R@5 and mAP, seen",
            f"{percent(r['seen_query_to_target_recall_5'])}, "
            f"{percent(r['seen_query_to_target_mean_precision'])}; back: "
            f"{percent(r['seen_target_to_query_recall_5'])}, "
            f"{percent(r['seen_target_to_query_mean_precision'])}",
        ),
        ("Seen and unseen", f"{', '.join(seen)}; {', '.join(unseen)}"),
        ("Test queries", f"{n['seen']:,} seen, {n['unseen']:,} unseen"),
        ("Recordings", "; ".join(_recordings(result, s) for s in ("query", "target"))),
        ("Chips", f"{plural(len(result.validation), 'chip')}, seed {result.experiment['seed']}"),
        ("Validation, seen classes", percent(float(np.mean(result.validation)))),
        ("Training", _training(result)),
        ("Cells per chip", f"{result.cells:,} in {plural(result.tiles, 'tile')}"),
        ("Energy per pair", quantity(result.energy["total"], "J")),
        ("Wall time", quantity(result.seconds["total"], "s")),
        ("Fingerprint", result.fingerprint),
    ]
    return rows


def warnings(result: ZeroShotResult) -> list[str]:
    """What makes the numbers of ``result`` worth less than they look."""
    found = []
    if result.hardware.choices is None:
        found.append("one choice of unseen classes says little about others; set all_splits or windows")
    if (n := len(result.validation)) < 3:
        why = "intervals leave out how chips differ" if n == 1 else "intervals are wide"
        found.append(f"{plural(n, 'chip')}: {why}; use 3 or more")
    return found


def _page(result: ZeroShotResult) -> str:
    hard, choices = result.hardware, result.hardware.choices
    headline = f"""<p class="headline"><strong>{percent(hard.seen.mean)}</strong>
of the queries of seen classes find a target of their class, 95 % interval {_ends(hard.seen)}; of unseen
classes {percent(hard.unseen.mean)}, {_ends(hard.unseen)}, where chance is
{percent(result.chance["unseen"])}</p>"""
    beware = "\n".join(f'<p class="warning">Warning: {escape(text)}</p>' for text in warnings(result))
    scores = [("hardware", hard), *([("ideal weights", result.ideal)] if result.ideal else [])]
    rows: list[tuple[str, ...]] = [
        (name, _interval(s.seen), _interval(s.unseen), _interval(s.unseen_among_all), _over(s))
        for name, s in scores
    ]
    if result.paper:
        means = [percent(float(np.mean(v))) for v in (result.paper.seen, result.paper.unseen)]
        rows.append(("authors' protocol (epoch chosen on the test)", *means, "", ""))
    if result.trained:
        t = result.trained
        rows.append(("trained encoders, in software", _interval(t.seen), _interval(t.unseen), "", ""))
    c = result.chance
    rows.append(
        (
            "chance",
            percent(c["seen"]),
            percent(c["unseen"]),
            percent(c["unseen_among_all"]),
            percent(choices.chance) if choices else "",
        )
    )
    header = ("Recall at 1", "Seen", "Unseen", "Unseen among all", "Unseen, all choices")
    ranking = [
        (
            f"{group}, {way.replace('_', ' ')}",
            *(percent(hard.ranking[f"{group}_{way}_{key}"]) for key in keys),
        )
        for group in ("seen", "unseen")
        for way in ("query_to_target", "target_to_query")
        for keys in [("recall_1", "recall_5", "mean_precision")]
    ]
    space = (
        f"Test recordings of the first chip in the common space, by {result.map.method}; a point is the name "
        "of its class, unseen ones are large and bold."
    )
    energy = [(name, quantity(joule, "J")) for name, joule in readable(result.energy).items()]
    training = [(name, f"{n:,.1f}") for name, n in result.training.items()]
    return document(
        result.name,
        f"""<h1>{escape(result.name)}: {escape(result.query)} looks for {escape(result.target)}</h1>
{headline}
{beware}
{table(summary(result))}
<h2>Seen against unseen</h2>
<div class="grid">
{figure(figures.seen_and_unseen(result), BARS)}
{table(ranking, ("Hardware", "R@1", "R@5", "mAP"), "numbers")}
</div>
{table(rows, header, "numbers")}
{_splits(choices, result) if choices else ""}
<h2>Retrieval and common space</h2>
<div class="grid">
{figure(figures.matrix(result), MATRIX)}
{figure(figures.embeddings(result), space)}
</div>
<h2>Queries and what they found</h2>
<div class="grid">
{"".join(_found(result, i) for i in range(len(result.found)))}
</div>
<h2>Cost</h2>
<div class="grid">
{table(energy, ("Energy of a pair", ""))}
{table(training, ("Training, multiplications a pair", ""))}
{table([(name, quantity(s, "s")) for name, s in result.seconds.items()], ("Stage", "Wall time"))}
</div>
<h2>Origin</h2>
{table(list(result.versions.items()))}
<details><summary>The resolved experiment</summary>
<pre>{escape(json.dumps(result.experiment, indent=2, ensure_ascii=False))}</pre>
</details>""",
    )


def _splits(choices: Choices, result: ZeroShotResult) -> str:
    each = sorted(choices.each, key=lambda one: -one.unseen_recall)
    rows = [(" ".join(one.unseen), percent(one.unseen_recall), percent(one.seen_recall)) for one in each]
    low, high = map(percent, choices.ci95)
    above = sum(one.unseen_recall > choices.chance for one in each)
    return f"""<h2>{len(each)} choices of unseen classes</h2>
<p>Over all of them unseen recall is {percent(choices.mean)}, 95 % interval {low} to {high} (over classes),
where chance is {percent(choices.chance)}; {above} of {len(each)} are above it. A single choice says more
about the choice than about the method.</p>
<div class="grid">
{figure(figures.choices(result), CHOICES)}
<details><summary>In numbers</summary>
{table(rows, ("Unseen", "Unseen recall", "Seen recall"), "numbers")}
</details>
</div>"""


def _found(result: ZeroShotResult, index: int) -> str:
    one = result.found[index]
    kind = "seen" if one.seen else "unseen"
    verdict = "right" if one.query_class == one.target_class else "wrong"
    caption = f"{kind} class {one.query_class}: found a {one.target_class}, {verdict}"
    return figure(figures.found(one, index, result.query, result.target), caption)


def _interval(value: Interval) -> str:
    return f"{percent(value.mean)} ({_ends(value)})"


def _ends(value: Interval) -> str:
    return " to ".join(map(percent, value.ci95))


def _over(scores: Scores) -> str:
    if not scores.choices:
        return ""
    low, high = map(percent, scores.choices.ci95)
    return f"{percent(scores.choices.mean)} ({low} to {high})"


def _choices(choices: Choices) -> str:
    recall = [one.unseen_recall for one in choices.each]
    low, high = map(percent, choices.ci95)
    above = sum(value > choices.chance for value in recall)
    return (
        f"{percent(choices.mean)} ({low} to {high}), chance {percent(choices.chance)}; from "
        f"{percent(min(recall))} to {percent(max(recall))}, {above} of {len(recall)} above chance"
    )


def _paper(result: ZeroShotResult) -> str:
    assert result.paper is not None  # noqa: S101 (for mypy)
    seen, unseen = (percent(float(np.mean(v))) for v in (result.paper.seen, result.paper.unseen))
    return f"seen {seen}, unseen {unseen}: one split, its best epoch chosen on the test"


def _srnn(trained: TrainedScores) -> str:
    return (
        f"seen {_interval(trained.seen)}, unseen {_interval(trained.unseen)}; {trained.ratio:.3g} times the "
        f"multiplications of training, {trained.epochs:.0f} epochs"
    )


def _recordings(result: ZeroShotResult, sense: str) -> str:
    parts = ", ".join(f"{n:,} {part}" for part, n in result.counts[sense].items())
    return f"{sense} {parts}"


def _training(result: ZeroShotResult) -> str:
    t = result.training
    return (
        f"{t['random']:.3g} multiplications a pair, {t['ratio']:.3g} times fewer than through trained "
        f"encoders of this size, {t['epochs']:.0f} epochs"
    )

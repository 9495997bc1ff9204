"""The page and the terminal table of synthetic comparisons."""

import io
import math
import re
import tomllib
from dataclasses import replace
from html import escape

import numpy as np
import pytest
from fake_comparison import SIZES, cost, interval, make_comparison, make_contestant, paired
from matplotlib.figure import Figure
from page_rules import stands_alone
from rich.console import Console
from test_report import Checker

from neurosim.report.facts import quantity
from neurosim.results import Interval
from neurosim.study.compare import figures, names, text
from neurosim.study.compare.page import show, write_page

BAD = '</title><script>alert("1")</script>&$x_{1$'


def with_ones(*ones, **changed):
    return make_comparison(contestants=ones, **changed)


def minimal():
    one = make_contestant("liquid", "liquid", 0.93, 4010, 1, against=None, curve=(), robustness={}, trials=())
    return with_ones(one, seeds=(4,), failed={}, waiting=0, versions={}, study={})


def hostile():
    bad = make_contestant(
        BAD, "classical", 0.9, 50, headline=BAD, robustness={BAD: interval(0.8)}, inputs=BAD
    )
    bad = replace(bad, chosen={BAD: BAD}, notes={BAD: 1.0}, same_parameters=paired(BAD, 0.1, 0.2))
    hybrid = replace(bad, name=f"{BAD}, full", kind="quantum", variant="full")
    costs = (cost("digital", BAD, 1.0, 1.0),)
    study = {"name": BAD}
    return with_ones(replace(bad, costs=costs), hybrid, name=BAD, against=BAD, failed={BAD: BAD}, study=study)


CASES = {
    "all": make_comparison,
    "minimal": minimal,
    "nothing yet": lambda: with_ones(failed={}, waiting=90),
    "reference failed": lambda: with_ones(
        *make_comparison().contestants[1:], failed={"liquid": "it is silent"}, waiting=0
    ),
    "hostile": hostile,
    "extremes": lambda: with_ones(
        make_contestant("liquid", "liquid", 1.0, 4010, against=None, costs=()),
        make_contestant(
            "dead",
            "classical",
            0.0,
            10**12,
            operations=math.nan,
            against=replace(paired("liquid", -1.0, math.nan), ci95=(math.nan, math.nan)),
            costs=(cost("digital", "none", 0.0, 0.0),),
        ),
        seeds=(0, 1),
    ),
}


class Page(Checker):
    """Collects the rows of all tables too: their cells, with what stands below in a cell after a bar."""

    def __init__(self, page):
        self.rows = []
        super().__init__(page)

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"}:
            self.rows[-1].append("")
        if tag == "br":
            self.rows[-1][-1] += " | "

    def handle_data(self, data):
        super().handle_data(data)
        if {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data

    def row(self, *start):
        return next(row for row in self.rows if tuple(row[: len(start)]) == start)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Every case with its page; each is drawn once."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def page(case):
        if case not in made:
            comparison = CASES[case]()
            write_page(comparison, folder / "page.html")
            made[case] = comparison, (folder / "page.html").read_text(encoding="utf-8")
        return made[case]

    return page


def shown(comparison, width=160):
    out = io.StringIO()
    show(comparison, Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("case", CASES)
def test_page_is_well_formed_and_stands_alone(case, pages):
    comparison, page = pages(case)
    checker = Page(page)
    stands_alone(page, checker)
    assert ["Fingerprint", comparison.fingerprint] in checker.rows


def test_twice_the_same_bytes(pages, tmp_path):
    write_page(make_comparison(), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == pages("all")[1]
    assert [file.name for file in tmp_path.iterdir()] == ["again.html"]


@pytest.mark.parametrize("case", ["all", "minimal", "extremes"])
def test_every_contestant_is_in_the_table_with_its_numbers(case, pages):
    comparison, page = pages(case)
    checker = Page(page)
    for one in comparison.contestants:
        low, high = (f"{100 * end:.2f}" for end in one.accuracy.ci95)
        row = checker.row(f"{one.name} | reads {one.inputs}")
        assert row[1] == f"{100 * one.accuracy.mean:.2f} % | {low} to {high}"
        assert row[3].startswith(f"{one.n_parameters:,}")
        assert ("(60)" in row[3]) == (one.n_quantum_parameters == 60)
        assert row[9:] == [
            quantity(one.train_seconds, "s"),
            quantity(one.infer_seconds, "s"),
            one.headline,
        ]


def test_differences_and_costs_of_the_table(pages):
    _, page = pages("all")
    checker = Page(page)
    hybrid, cnn = checker.row("hqnn_parallel | reads images"), checker.row("cnn | reads images")
    assert hybrid[2] == "+3.20 * | +2.00 to +4.40, p < 0.001"
    assert hybrid[4:9] == [
        "542 k",
        "mlp [16]: +1.70 * | +0.50 to +2.90, p 0.03",
        "mlp [64]: +0.20 | -1.00 to +1.40, p 0.20",
        "2 J to 70 kJ",
        "1.5 s to 9 ks",
    ]
    assert cnn[7:9] == ["1.2 µJ", "60.1 µs"]
    liquid = checker.row("liquid | reads events")
    assert (liquid[2], liquid[7:9]) == ("reference", ["3.2 µJ | digital 400 µJ", "2 ms | digital 10 ms"])
    assert checker.row("knn | reads images")[5] == "none so small"
    assert checker.row("mlp [4] | reads images")[5:7] == ["", ""]
    assert checker.row("gru | reads events")[2] == "+0.10 | -1.10 to +1.30, p 0.41"  # without a star


def test_families_stand_in_order(pages):
    _, page = pages("all")
    firsts = [row[0] for row in Page(page).rows]
    families = list(text.FAMILIES.values())
    places = [firsts.index(family) for family in families]
    assert places == sorted(places)
    models = [re.sub(r" \| .*", "", name) for name in firsts[places[1] + 1 : places[2]]]
    variants = ["", ", no_entanglement", ", frozen", ", linear", ", deleted", ", classical"]
    assert models == [model + variant for model in ("hqnn_parallel", "quantum_creep") for variant in variants]


def test_headline_counts_what_is_told_apart(pages):
    comparison, page = pages("all")
    differences = [one.against for one in comparison.contestants if one.against]
    significant = [one.difference for one in differences if one.p_corrected < 0.05]
    better, worse = sum(d > 0 for d in significant), sum(d < 0 for d in significant)
    expected = (
        f"Of {len(differences)} other contestants (variants of hybrids and reference networks among them), "
        f"{better} are significantly better, {worse} are significantly worse and "
        f"{len(differences) - better - worse} are not told apart from it"
    )
    assert expected in Page(page).text
    assert (
        "92.94 % accuracy of liquid, 95 % interval 90.25 % to 95.29 %, over 3 seeds and 600"
        in Page(page).text
    )
    assert "The best mean is that of cnn, 98.44 %." in Page(page).text
    assert (better, worse) == (8, 2)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("all", "Warning: lstm failed; the reasons stand below"),
        ("all", "Warning: 4 fits are not done"),
        ("all", "Warning: quantum_creep: unitarity error 0.88"),
        ("minimal", "Warning: one seed only"),
        ("minimal", "There is no other to compare it with yet."),
        ("extremes", "Warning: two seeds: intervals are wide"),
        ("extremes", "p not known"),
        ("nothing yet", "No result of liquid yet"),
        (
            "reference failed",
            "No result of liquid yet, from which differences are taken; 19 other contestants done",
        ),
    ],
)
def test_what_to_beware_of_is_said_on_the_page_and_in_the_terminal(case, expected, pages):
    comparison, page = pages(case)
    assert expected in Page(page).text
    assert expected in " ".join(shown(comparison).split())


def test_no_warning_where_there_is_none():
    liquid = replace(make_comparison().contestants[0], notes={"unitarity error": 1e-6})
    assert text.warnings(with_ones(liquid, failed={}, waiting=0)) == []
    selected = replace(liquid, notes={"post-selection probability": 0.031})
    (warning,) = text.warnings(with_ones(selected, failed={}, waiting=0))
    assert "keeps 3.1 % of the runs: a device needs 32.3 times as many" in warning


def test_why_a_contestant_failed(pages):
    comparison, page = pages("all")
    assert "lstm: BaselineError: loss is not finite <at epoch 3>" in shown(comparison)
    assert ["lstm", comparison.failed["lstm"]] in Page(page).rows
    assert "&lt;at epoch 3&gt;" in page


def test_hostile_text_is_escaped(pages):
    comparison, page = pages("hostile")
    assert BAD not in page
    assert page.count(escape(BAD)) > 10
    assert BAD in shown(comparison, 400)


def test_pareto_fronts_are_named_and_drawn(pages):
    comparison, page = pages("all")
    for what, price in (
        ("parameters", lambda one: one.n_parameters or None),
        ("energy", lambda one: one.span("energy")[0] or None),
    ):
        known = [one for one in comparison.contestants if price(one)]
        front = [
            one.name
            for one in sorted(known, key=price)
            if not any(
                price(other) <= price(one)
                and other.accuracy.mean >= one.accuracy.mean
                and (price(other), other.accuracy.mean) != (price(one), one.accuracy.mean)
                for other in known
            )
        ]
        assert [one.name for one in comparison.front(price)] == front
        said = next(
            said
            for said in re.findall(r"On the Pareto front, the cheapest first: (.*?)\.</p>", page)
            if (" nJ" in said) == (what == "energy")
        )
        assert re.findall(r"(?:^|\), )(.*?) \(", said) == front
    assert "cnn" in front
    assert page.count("Not drawn, as it is none or not known: knn.") == 4  # captions and what is read aloud
    assert "hqnn_parallel\naccuracy 96.11 % (93.80 to 98.08)\nenergy 2 J to 70 kJ" in page  # a tip


def test_curves_stand_in_numbers(pages):
    comparison, page = pages("all")
    checker = Page(page)
    assert ["Training recordings", *(f"{size:,}" for size in SIZES)] in checker.rows
    cnn = next(one for one in comparison.contestants if one.name == "cnn")
    reached = [f"{100 * a.mean:.2f} % ({100 * a.ci95[0]:.2f} to {100 * a.ci95[1]:.2f})" for _, a in cnn.curve]
    assert ["cnn", *reached] in checker.rows
    for kind in text.FAMILIES:
        assert f"curves-{kind}-" in page


@pytest.mark.parametrize(
    ("deleted", "expected"),
    [
        (
            0.945,
            "as well as the full hybrid, as far as can be told: +0.50 points",
        ),
        (0.80, "worse than the full hybrid: -14.00 points"),
        (0.995, "better than the full hybrid: +5.50 points"),
    ],
)
def test_ablation_says_it_either_way(deleted, expected, tmp_path):
    def over(change):
        return paired("q", change, 0.001 if abs(change) > 0.01 else 0.4) if change else None

    variants = [
        make_contestant(
            f"q, {variant}", "quantum", mean, 100, model="q", variant=variant, against_full=over(mean - 0.94)
        )
        for variant, mean in (("deleted", deleted), ("full", 0.94), ("classical", 0.9401))
    ]
    variants[1] = replace(variants[1], robustness={"1024 shots": interval(0.93), "FGSM 0.1": interval(0.2)})
    write_page(with_ones(*variants), tmp_path / "page.html")
    checker = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert f"With the circuit deleted it does {expected}" in checker.text
    assert "Its classical twin does as well as the full hybrid, as far" in checker.text
    rows = checker.rows[
        checker.rows.index(["Variant", "Accuracy (95 % interval)", "Over full [points] (95 %)"]) :
    ]
    assert [row[0] for row in rows[1:5]] == ["full", "deleted", "classical", "full, 1024 shots"]
    changes = [row[2].split(" (")[0].strip(" *") for row in rows[1:5]]
    assert changes == ["", f"{100 * (deleted - 0.94):+.2f}", "+0.01", ""]


def test_ablation_without_the_full_hybrid(tmp_path):
    one = make_contestant("q, deleted", "quantum", 0.9, 100, model="q", variant="deleted")
    write_page(with_ones(one), tmp_path / "page.html")
    assert "The full hybrid is not done" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_costs_of_its_own_hardware():
    one = make_contestant("q", "quantum", 0.9, 10)
    ends = [cost("optimistic", "a", 2.0, 3.0), cost("realistic", "b", math.inf, 9.0)]
    digital = [cost("digital", "c", 5e-3, 1.0), cost("digital", "d", 4e-3, 2.0)]
    hybrid = replace(one, costs=(*digital, *ends))
    assert hybrid.span("latency") == (3.0, 9.0)
    assert hybrid.span("energy") == (2.0, 2.0)  # what is infinite is not known
    assert replace(one, costs=tuple(digital)).span("energy") == (4e-3, 4e-3)
    nothing = replace(digital[0], energy={}, latency={})
    assert replace(one, costs=(nothing,)).span("energy") is None


def test_robustness_stands_in_numbers(pages):
    comparison, page = pages("all")
    checker = Page(page)
    header = checker.row("", "Undisturbed")
    assert set(header[2:]) == {name for one in comparison.contestants for name in one.robustness}
    hybrid = next(one for one in comparison.contestants if one.name == "hqnn_parallel")
    row = next(row for row in checker.rows if row[0] == "hqnn_parallel" and len(row) == len(header))
    assert row[header.index("1024 shots")].startswith(f"{100 * hybrid.robustness['1024 shots'].mean:.2f} %")
    assert row[header.index("FGSM 0.1")] == ""


def test_hyper_parameters_and_trials(pages):
    _, page = pages("all")
    checker = Page(page)
    assert "Every model had the same number of trials, 2. Those with 0 in the table took" in checker.text
    chosen = "training.learning_rate 0.001, training.batch 64"
    assert ["cnn", "2", chosen, "98.90 %"] in checker.rows
    assert ["cnn", "2", "training.learning_rate 0.01, training.batch 64", "93.50 %"] in checker.rows
    assert ["hqnn_parallel, deleted", "0", chosen, "96.90 %"] in checker.rows


def test_unequal_trials_are_said(tmp_path):
    one = make_contestant("cnn", "classical", 0.9, 100)
    write_page(with_ones(one, n_trials=7), tmp_path / "page.html")
    assert "number of trials, 7, but for cnn (2)." in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_how_it_was_measured(pages):
    comparison, page = pages("all")
    checker = Page(page)
    assert ["Recordings", "2,000 training, 300 validation, 600 test; the same for all"] in checker.rows
    assert ["Hardware, realistic", "superconducting, cloud"] in checker.rows
    assert ["torch", "2.11.0"] in checker.rows
    assert ["quantum_creep", "unitarity error", "0.88"] in checker.rows
    study = next(each for each in checker.texts if each.startswith("schema = "))
    assert tomllib.loads(study) == comparison.study


def test_parts_without_content_are_left_out(pages):
    _, page = pages("minimal")
    for title in ("Learning curves", "Robustness", "What the circuits are good for", "Failed"):
        assert f"<h2>{title}</h2>" not in page


@pytest.mark.parametrize("width", [160, 80])
def test_terminal_has_every_number_at_any_width(width):
    comparison = make_comparison()
    output = shown(comparison, width)
    for one in comparison.contestants:
        for part in (*one.name.split(", "), f"{one.n_parameters:,}", quantity(one.train_seconds, "s")):
            assert part in output
        assert f"{100 * one.accuracy.mean:.2f}" in output
    assert max(map(len, output.splitlines())) <= width
    if width == 160:
        row = next(line for line in output.splitlines() if line.split()[:1] == ["hqnn_parallel"])
        assert " 96.11 (93.80 to 98.08) " in row
        assert " +3.20 * (p < 0.001) " in row
        assert re.search(r" 45,194 \(60\) +542 k +2 J to 70 kJ +47.7 s", row)


def test_spread_keeps_order_and_distance():
    rng = np.random.default_rng(1)
    for n in (1, 2, 5, 20):
        wanted = sorted(rng.random(n))
        places = names.spread(wanted, 0.04)
        assert np.all(np.diff(places) >= 0.04 - 1e-12)
        assert min(places) >= -1e-12
        assert max(places) <= 1 + 1e-12
    assert names.spread([0.1, 0.5, 0.9], 0.04) == [0.1, 0.5, 0.9]  # far enough apart already
    assert names.spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])


def test_names_cover_neither_each_other_nor_marks():
    figure = Figure((5.6, 4.6), layout="constrained", dpi=150)
    axes = figure.subplots()
    marks = [(x, y) for x, y in np.random.default_rng(2).normal(0, 1, (20, 2)).round(1)]
    axes.plot(*np.transpose(marks), "o", ms=6)
    names.beside(figure, axes, [(f"network {i}", "red", at) for i, at in enumerate(marks)], marks, [])
    figure.draw_without_rendering()
    boxes = [note.get_window_extent() for note in axes.texts]
    assert len(boxes) >= 15
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert not any(box.contains(*axes.transData.transform(mark)) for mark in marks)


def test_error_scale_has_ticks_of_accuracy():
    axes = Figure().subplots()
    figures._error_scale(axes, [Interval(0.5, (0.4, 0.6), ()), Interval(0.995, (0.99, 1.0), ())], 0.001)
    low, high = axes.get_ylim()
    assert low < 40
    assert high > 99.9
    assert {50, 90, 99, 100} & set(axes.get_yticks()) == {90, 99, 100}
    place = axes.transData.transform
    heights = [place((0, y))[1] for y in (90, 99, 99.9)]
    decades = np.diff(np.log([0.1 + 0.001, 0.01 + 0.001, 0.001 + 0.001]))  # of the error
    assert np.divide(*np.diff(heights)) == pytest.approx(np.divide(*decades))

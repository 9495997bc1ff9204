"""The page of synthetic studies, whose accuracy is known in closed form."""

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from itertools import product
from typing import Any

import numpy as np
import pytest
from page_rules import stands_alone

from neurosim.report.facts import percent, quantity
from neurosim.results import accuracy_interval
from neurosim.study.page import write_page
from neurosim.study.page.accuracy import curves_of, thresholds_of
from neurosim.study.page.levels import (
    best,
    distinct,
    from_better_end,
    levels,
    loss,
    one_point_lost,
    scale,
    scattered,
    varied,
    yield_at,
)
from neurosim.study.points import Axis
from neurosim.study.results import Point, StudyResult

N_TEST = 2000
UNITS = {"device.t_after_programming": "s", "array.wires.r_wire_row": "ohm"}
PARTS = {"row_drive": 0.1, "cell_read": 0.25, "adc": 0.5, "digital_accumulate": 0.05, "projection_mac": 0.1}
AGES = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]
BAD = '</title><script>alert("1")</script>&$x_{1$'


def fall(values: Mapping[str, Any]) -> float:
    """97 % at best: 10 points go per 0.1 of read noise, 0.25 per bit, 0.5 (adapted: 0.15) per decade."""
    lost = values.get("device.sigma_read", 0.0) + 0.0025 * (8 - values.get("array.adc_bits", 8))
    a_decade = 0.0015 if values.get("ageing.thresholds") == "adapted" else 0.005
    lost += a_decade * math.log10(values.get("device.t_after_programming", 1.0))
    return 0.97 - lost - 0.02 * (values.get("device.card") == "b")


def make_row(values: Mapping[str, Any], accuracy: float, chips: int) -> dict[str, Any]:
    """The row of a point whose chips are 0.2 points apart around ``accuracy``."""
    hits = [round(N_TEST * accuracy) + 4 * number - 2 * (chips - 1) for number in range(chips)]
    hits = [hit + (hits[0] + 3 * number) % 5 - 2 for number, hit in enumerate(hits)]
    score = accuracy_interval(hits, N_TEST)
    joule = 1e-6 * 2.0 ** (values.get("array.adc_bits", 8) - 8) * values.get("reservoir.n_neurons", 400) / 400
    return {
        "accuracy": score.mean,
        "validation_accuracy": score.mean - 0.004,
        "per_chip": list(score.per_chip),
        "ci95": list(score.ci95),
        "n_test": N_TEST,
        "energy": joule,
        "energy_parts": {part: share * joule for part, share in PARTS.items()},
        "latency": 2e-3,
        "area": 3.2e-8,
        "cells": 118_272,
        "tiles": 1,
        "utilisation": 0.45,
        "rates": {"before": 30.2, "after": 20.1, "target": 20.0},
        "array": {"row_activity": 0.1},
        "seconds": 1.5,
        "fingerprint": f"{hits[0]:016x}",
    }


def make_study(
    axes: Mapping[str, Sequence[Any]],
    *,
    kind: str = "sweep",
    chips: int = 3,
    accuracy: Callable[[Mapping[str, Any]], float] = fall,
    designs: Sequence[Sequence[Any]] | None = None,
    failed: Mapping[int, str] | None = None,
    waiting: Sequence[int] = (),
    **changed: Any,
) -> StudyResult:
    """A study of a grid, or of the ``designs``; ``changed`` replaces fields."""
    points = []
    for number, row in enumerate(designs or list(product(*axes.values()))):
        values = dict(zip(axes, row, strict=True))
        error = (failed or {}).get(number)
        state = "failed" if error else "waiting" if number in waiting else "done"
        result = make_row(values, accuracy(values), chips) if state == "done" else None
        points.append(Point(number, f"key{number}", values, state, result, error))
    sweep = {"chips": chips, "design": "random" if designs else "grid", "axes": dict(axes)}
    fields: dict[str, Any] = {
        "name": "synthetic",
        "kind": kind,
        "study": {"schema": "neurosim.study/1", "name": "synthetic", "sweep": sweep},
        "fingerprint": "0123456789abcdef" * 4,
        "axes": tuple(Axis(name, (name,), UNITS.get(name, "1"), tuple(axes[name])) for name in axes),
        "points": tuple(points),
        "extra": {},
    }
    return StudyResult(**fields | changed)


def make_search(n: int = 60) -> StudyResult:
    """A search over neurons, bits and cards that trades accuracy for energy; the largest break a bound."""
    draw = np.random.default_rng(3)
    designs = [
        (int(draw.integers(5, 64)) * 20, int(draw.integers(4, 13)), str(draw.choice(["a", "b"])))
        for _ in range(n)
    ]
    axes = {"reservoir.n_neurons": (100, 1280), "array.adc_bits": (4, 12), "device.card": ("a", "b")}

    def accuracy(values: Mapping[str, Any]) -> float:
        small = 30 / values["reservoir.n_neurons"] + 0.3 * 2.0 ** -values["array.adc_bits"]
        return 0.975 - small - 0.02 * (values["device.card"] == "b")

    study = make_study(axes, kind="search", chips=1, accuracy=accuracy, designs=designs)
    place = Point(n, "waits", dict.fromkeys(axes), "waiting")  # the sampler has not filled it
    study = replace(study, points=(*study.points, place))
    out = [point.number for point in study.points[:n] if point.values["reservoir.n_neurons"] > 1200]
    reached = {
        p.number: (-p.row["accuracy"], p.row["energy"]) for p in study.points[:n] if p.number not in out
    }
    front = [
        number
        for number, (error, joule) in reached.items()
        if not any(e <= error and j <= joule and (e, j) != (error, joule) for e, j in reached.values())
    ]
    shares = {"reservoir.n_neurons": 0.551, "array.adc_bits": 0.329, "device.card": 0.12}
    extra = {
        "objectives": {"accuracy": "maximize", "energy": "minimize"},
        "constraints": {"cells": 262144},
        "front": front,
        "infeasible": out,
        "importance": {
            "method": "PED-ANOVA",
            "n": len(reached),
            "note": None,
            "shares": {"front": shares, "accuracy": shares, "energy": shares},
        },
    }
    return replace(study, extra=extra)


def make_sensitivity(method: str) -> StudyResult:
    """Sobol indices or local effects of three parameters."""
    names = ("device.sigma_read", "device.p_stuck", "device.sigma_prog")
    designs = [tuple(map(float, 0.1 * u)) for u in np.random.default_rng(4).random((40, 3))]
    study = make_study(dict.fromkeys(names, (0.0, 0.1)), kind="sensitivity", chips=2, designs=designs)
    found: dict[str, Any] = {"method": method, "dominant": names[0], "clear": True, "note": "one left out"}
    if method == "sobol":
        indices = zip(names, ((0.62, 0.7), (0.21, 0.29), (0.04, 0.05)), strict=True)
        found |= {"n": 8, "mean": 0.9123, "variance": 0.0009}
        found["parameters"] = {
            name: {"s1": s1, "s1_ci95": [s1 - 0.08, s1 + 0.08], "st": st, "st_ci95": [st - 0.05, st + 0.05]}
            for name, (s1, st) in indices
        }
        found["pairs"] = [{"of": list(names[:2]), "s2": 0.031, "s2_ci95": [-0.01, 0.072]}]
    else:
        ends = {"low": 0.0, "high": 0.1, "accuracy_low": 0.97, "slope_per": "unit"}
        found["parameters"] = {
            name: ends
            | {"accuracy_high": 0.97 + effect, "effect": effect, "slope": 10 * effect}
            | {"ci95": [effect - 0.004, effect + 0.004]}
            for name, effect in zip(names, (-0.1, -0.0312, 0.0021), strict=True)
        }
        # the base, which has no values of its own, and the ends of each range
        nothing = dict.fromkeys(names)
        values = [nothing, *(nothing | {name: end} for name in names for end in (0.0, 0.1))]
        points = zip(study.points, values, strict=False)
        study = replace(study, points=tuple(replace(point, values=given) for point, given in points))
    return replace(study, extra={"sensitivities": found})


CASES: dict[str, Callable[[], StudyResult]] = {
    "1 axis": lambda: make_study(
        {"device.sigma_read": [0.0, 0.02, 0.05, 0.1, 0.2, 0.5]},
        chips=10,
        accuracy=lambda v: 0.97 - 0.4 * v["device.sigma_read"] ** 1.5,
    ),
    "2 axes, failures": lambda: make_study(
        {"device.sigma_read": [0.0, 0.02, 0.05, 0.1, 0.2], "array.adc_bits": [4, 6, 8]},
        chips=4,
        failed={3: "CardError: bad <card>\nuse another", 7: "boom"},
        waiting=(12,),
    ),
    "3 axes": lambda: make_study(
        {
            "device.sigma_read": [0.0, 0.02, 0.05, 0.1],
            "device.p_stuck": [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3],
            "device.card": ["a_long_device_card_2023", "b"],
        },
        accuracy=lambda v: fall(v) - 0.5 * v["device.p_stuck"] ** 1.3,
    ),
    "categories": lambda: make_study({"device.card": ["b", "a"]}),
    "seeds": lambda: make_study({"device.sigma_read": [0.0, 0.1], "seed": [0, 1, 2]}, chips=1),
    "ageing": lambda: make_study(
        {"device.t_after_programming": AGES, "ageing.thresholds": ["frozen", "adapted"]}, chips=5
    ),
    "random": lambda: make_study(
        {"device.sigma_read": (0.0, 0.1), "array.adc_bits": (4, 8)},
        designs=[
            (float(u) / 10, 4 + number % 5) for number, u in enumerate(np.random.default_rng(5).random(30))
        ],
    ),
    "search": make_search,
    "Sobol": lambda: make_sensitivity("sobol"),
    "local": lambda: make_sensitivity("local"),
    "all failed": lambda: make_study({"device.sigma_read": [0.0, 0.1]}, failed={0: "one", 1: "two"}),
    "none done": lambda: make_study(
        {"device.sigma_read": [0.0, 0.1], "array.adc_bits": [6, 8]}, waiting=range(4)
    ),
    "1 done of 9": lambda: make_study(
        {"device.sigma_read": [0.0, 0.1, 0.2], "array.adc_bits": [4, 6, 8]}, waiting=range(1, 9)
    ),
    "1 point": lambda: make_study({"device.sigma_read": [0.1]}, chips=1),
    "hostile": lambda: make_study(
        {BAD: [BAD, "b"], "device.sigma_read": [0.0, 0.1, 0.2]}, failed={1: BAD}, name=BAD
    ),
}


class Checker(HTMLParser):
    """Fails on tags that do not nest; collects ids, addresses and the texts of cells and of everything."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.cells: list[str] = []
        self.titles: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag != "meta":
            self.open.append(tag)
        if tag in {"th", "td"}:
            self.cells.append("")

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.addresses += [value for name, value in attrs if name in {"href", "xlink:href", "src"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] in {"th", "td"}:
            self.cells[-1] += data
        if self.open and self.open[-1] == "title":
            self.titles.append(data)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Every case with its page; each is drawn once."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def page(case: str) -> tuple[StudyResult, str]:
        if case not in made:
            study = CASES[case]()
            write_page(study, folder / "page.html")
            made[case] = study, (folder / "page.html").read_text(encoding="utf-8")
        return made[case]

    return page


@pytest.mark.parametrize("case", CASES)
def test_page_is_well_formed_and_stands_alone(case, pages):
    study, page = pages(case)
    checker = Checker(page)
    stands_alone(page, checker)
    assert study.fingerprint in checker.cells


@pytest.mark.parametrize("case", CASES)
def test_numbers_of_every_point_are_in_a_table(case, pages):
    study, page = pages(case)
    cells = set(Checker(page).cells)
    for point in study.points:
        assert str(point.number) in cells
        if point.row:
            expected = {percent(point.row["accuracy"]), "{} to {}".format(*map(percent, point.row["ci95"]))}
            expected |= {", ".join(f"{100 * score:.1f}" for score in point.row["per_chip"])}
            expected |= {
                quantity(point.row["energy"], "J"),
                point.row["fingerprint"][:12],
                "2 ms",
                "0.032 mm²",
            }
            assert expected - cells == set()
        else:
            assert point.state in cells
            assert point.error is None or point.error in cells


@pytest.mark.parametrize("case", ["2 axes, failures", "3 axes", "ageing", "random", "search"])
def test_what_is_drawn_is_in_a_table(case, pages):
    study, page = pages(case)
    cells = " | ".join(Checker(page).cells)
    top = best(study).row["accuracy"]
    for axis in varied(study):
        curves = curves_of(study, axis) if axis != thresholds_of(study) else {}  # which makes lines
        for level in [level for here in curves.values() for level in here]:
            low, high = map(percent, level.accuracy.ci95)
            assert f"{level.label} | " in cells
            assert f"{percent(level.accuracy.mean)} ({low} to {high})" in cells
        if study.kind == "sweep":
            drawn = curves if thresholds_of(study) not in (None, axis) else {"": levels(study, axis)}
            for level in [level for here in drawn.values() for level in here]:
                shares = map(percent, yield_at(level, top - np.array([0, 0.01, 0.02, 0.05, 0.1])))
                n_chips = sum(len(point.row["per_chip"]) for point in level.points)
                assert " | ".join([level.label, f"{n_chips}", *shares]) in cells
    for part in ("row drive", "cell read", "ADC", "digital accumulation", "projection MACs"):
        assert part in cells


def test_twice_the_same_bytes(pages, tmp_path):
    write_page(CASES["2 axes, failures"](), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == pages("2 axes, failures")[1]
    assert [file.name for file in tmp_path.iterdir()] == ["again.html"]


def test_hostile_text_is_escaped(pages):
    _, page = pages("hostile")
    assert escape(BAD) in page
    assert "alert(&quot;1&quot;)" in page
    assert BAD not in page


def test_headline_and_warnings(pages):
    text = "".join(Checker(pages("2 axes, failures")[1]).texts)
    assert "device.sigma_read 0, array.adc_bits 8; worst 76." in text
    assert "Warning: 2 of 15 points failed" in text
    assert "Warning: 1 of 15 points are not done" in text
    assert "No result\nno point of this sweep is done" in "".join(Checker(pages("all failed")[1]).texts)
    assert "Warning: 1 chip per point" in "".join(Checker(pages("1 point")[1]).texts)
    assert "Warning" not in "".join(Checker(pages("1 axis")[1]).texts)


def test_one_point_is_lost_where_the_closed_form_says(pages):
    study, page = pages("1 axis")
    axis = study.axes[0]
    here = levels(study, axis)
    crossing = one_point_lost(here, scale([level.at for level in here]))
    # 0.4 x^1.5 = 0.01 at 0.0855; the line between 0.05 and 0.1 runs above that curve
    assert 0.05 < crossing.at < (0.01 / 0.4) ** (2 / 3)
    assert crossing.interval[0] < crossing.at < crossing.interval[1]
    assert f"One point of accuracy is lost at: {crossing.at:.3g} (95 % over chips: " in page


def test_one_point_lost_counts_from_the_better_end():
    study = make_study({"array.adc_bits": [2, 4, 6, 8]}, chips=1)
    here = levels(study, study.axes[0])
    assert [level.label for level in from_better_end(here)] == ["8", "6", "4", "2"]
    assert one_point_lost(here, "linear").at == pytest.approx(4, abs=0.4)
    assert one_point_lost(here, "linear").interval == (None, None)  # one chip has no interval


def test_exactly_one_point_counts_as_lost():
    study = make_study({"device.sigma_read": [0.0, 0.1]}, chips=1, accuracy=lambda v: 0.97)
    start, end = (dict(point.row) for point in study.points)
    end["per_chip"] = [start["per_chip"][0] - 0.01]  # 0.97 - 0.96 is a little less than 0.01
    points = [replace(p, row=numbers) for p, numbers in zip(study.points, (start, end), strict=True)]
    study = replace(study, points=tuple(points))
    assert one_point_lost(levels(study, study.axes[0]), "linear").at == pytest.approx(0.1)


def test_one_point_that_is_not_lost_is_said(pages):
    study, page = pages("ageing")
    cells = Checker(page).cells
    age, thresholds = study.axes
    frozen, adapted = levels(study, thresholds)
    old = [point for point in adapted.points if point.values[age.name] == 1e6]
    lost = 100 * (
        max(level.accuracy.mean for level in levels(study, age, adapted.points)[:1]) - old[0].row["accuracy"]
    )
    assert f"not reached: {lost:.2f} points at 1e+06 s" in cells
    here = levels(study, age, frozen.points)
    assert scale(AGES) == "log"
    assert one_point_lost(here, "log").at == pytest.approx(100, rel=0.5)  # half a point per decade


def test_homeostasis_is_compared_chip_by_chip(pages):
    study, page = pages("ageing")
    assert "What homeostasis buys" in page
    assert "adapted over frozen [points] (95 % over chips)" in page
    frozen, adapted = (
        [p for p in study.points if p.values["ageing.thresholds"] == how] for how in ("frozen", "adapted")
    )
    gain = np.subtract(adapted[-1].row["per_chip"], frozen[-1].row["per_chip"])
    half = 2.776445 * gain.std(ddof=1) / math.sqrt(5)  # Student's t, 4 degrees of freedom
    mean = gain.mean()
    expected = f"{100 * mean:.2f} ({100 * (mean - half):.2f} to {100 * (mean + half):.2f})"
    assert expected in Checker(page).cells


def test_loss_is_paired():
    study = make_study({"device.sigma_read": [0.0, 0.1]}, chips=4)
    start, end = levels(study, study.axes[0])
    mean, half = loss(start, end)
    change = np.subtract(*(point.row["per_chip"] for point in study.points))
    assert mean == pytest.approx(change.mean())
    assert half == pytest.approx(3.182446 * change.std(ddof=1) / 2)


def test_seeds_are_more_chips(pages):
    study, page = pages("seeds")
    assert [axis.name for axis in varied(study)] == ["device.sigma_read"]
    assert [len(level.scores) for level in levels(study, study.axes[0])] == [3, 3]
    assert "interval over 3 chips and the test recordings" in page


def test_yield_counts_chips():
    study = make_study({"device.sigma_read": [0.0, 0.1]}, chips=4)
    for point, level in zip(study.points, levels(study, study.axes[0]), strict=True):
        scores = sorted(point.row["per_chip"])
        assert list(yield_at(level, scores)) == [1.0, 0.75, 0.5, 0.25]
        assert yield_at(level, scores[-1] + 1e-6) == 0


def test_scattered_values_stand_in_ranges(pages):
    study, _ = pages("random")
    noise, bits = study.axes
    assert (scattered(study, noise), scattered(study, bits)) == (True, False)
    ranges = levels(study, noise)
    assert sum(len(level.points) for level in ranges) == 30
    assert [level.at for level in ranges] == sorted(level.at for level in ranges)
    means = [point.row["accuracy"] for point in ranges[0].points]
    low, high = ranges[0].accuracy.ci95
    assert high - low == pytest.approx(2 * 3.182446 * np.std(means, ddof=1) / 2)  # Student's t over 4 points
    grid = make_study({"device.sigma_read": [float(x) for x in np.linspace(0, 0.2, 40)]})
    assert len(levels(grid, grid.axes[0])) == 40  # a fine grid keeps its values


def test_categories_keep_the_order_of_the_study(pages):
    study, _ = pages("categories")
    assert distinct(study, study.axes[0]) == ["b", "a"]
    assert [level.at for level in levels(study, study.axes[0])] == [0, 1]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.0, 0.1, 0.2, 0.3], "linear"),
        ([1, 2, 4], "linear"),  # too near to each other to matter
        ([1.0, 10.0, 100.0], "log"),
        ([0.0, 0.01, 0.1, 1.0], "symlog"),
        ([-1.0, 0.1, 10.0, 1000.0], "linear"),
        ([float(x) for x in np.linspace(0.01, 1, 20)], "linear"),
    ],
)
def test_scale(values, kind):
    assert scale(values) == kind


def test_front_with_its_designs(pages):
    study, page = pages("search")
    checker = Checker(page)
    front = [study.points[number] for number in study.extra["front"]]
    assert len(checker.titles) == 1 + len(front)
    for point in front:
        tip = next(title for title in checker.titles if title.startswith(f"point {point.number}\n"))
        assert f"validation accuracy {percent(point.row['validation_accuracy'])}" in tip
        assert f"reservoir.n_neurons {point.values['reservoir.n_neurons']}" in tip
    assert f"{len(front)} designs that no other beats in validation accuracy and energy" in page
    top = max(point.row["accuracy"] for point in front)
    assert f"<strong>{percent(top)}</strong>" in page  # and not that of a design that breaks a bound
    assert {"55.1 %", "32.9 %", "12.0 %"} <= set(checker.cells)
    assert "PED-ANOVA of" in page


def test_importance_says_why_it_is_missing(tmp_path):
    study = make_search(12)
    nothing = {"method": "PED-ANOVA", "n": 12, "note": "importance needs 20 designs", "shares": {}}
    write_page(replace(study, extra=study.extra | {"importance": nothing}), tmp_path / "page.html")
    assert "importance needs 20 designs" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_sensitivities_with_their_intervals(pages):
    sobol, local = (Checker(pages(case)[1]) for case in ("Sobol", "local"))
    assert {"0.620", "0.540 to 0.700", "0.700", "0.650 to 0.750", "0.031", "-0.010 to 0.072"} <= set(
        sobol.cells
    )
    assert {"87.0 % at 0.1", "-10.00 (-10.40 to -9.60)", "-100 per unit", "2.1 per unit"} <= set(local.cells)
    for checker in (sobol, local):
        assert "device.sigma_read decides most, its interval is apart from the others'." in "".join(
            checker.texts
        )
        assert "Note: one left out." in checker.texts
    assert "Accuracy by axis" not in local.texts  # each point varies one parameter alone


def test_study_stands_there_as_toml(pages):
    study, page = pages("3 axes")
    shown = next(text for text in Checker(page).texts if text.startswith("schema = "))
    assert tomllib.loads(shown) == study.study

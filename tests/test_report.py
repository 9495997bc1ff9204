"""The terminal table and the HTML page of a synthetic result."""

import html
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from fake_result import EXPERIMENT, G_MEAN, G_SD, make_result
from rich.console import Console
from scipy.stats import norm

from neurosim.cards import list_cards, load_device
from neurosim.device import DeviceConfig, make_cells
from neurosim.errors import ExperimentError
from neurosim.report import show, write, write_html
from neurosim.report.cards import conductance_law, plot_device
from neurosim.report.facts import percent, quantity, summary, warnings

VOID = {"meta", "br", "link", "img", "hr"}
CASES = {
    "one chip, two classes, equal rates": {"n_chips": 1, "classes": ("left", "right"), "equal_rates": True},
    "26 classes, a cochlea": {"classes": tuple("abcdefghijklmnopqrstuvwxyz"), "height": 1},
    "silent, no cells, no energy": {
        "spikes": False,
        "cells": 0,
        "tiles": 0,
        "utilisation": 0.0,
        "energy": {"array": 0.0, "total": 0.0},
    },
    "no homeostasis": {"rates": {"before": 30.2, "after": 30.2}},
}


def law():
    g = np.linspace(G_MEAN - 4 * G_SD, G_MEAN + 4 * G_SD, 101)
    return g, norm.pdf(g, G_MEAN, G_SD)


def table(result, width=200):
    out = io.StringIO()
    show(result, Console(file=out, width=width))
    return out.getvalue()


class Checker(HTMLParser):
    """Fails on tags that do not nest; collects ids, addresses, texts."""

    def __init__(self, page):
        super().__init__()
        self.open, self.ids, self.addresses, self.texts = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.addresses += [value for name, value in attrs if name in {"href", "xlink:href", "src"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(make_result(), path, law=law())
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_shape_of_result(case, tmp_path):
    result = make_result(**case)
    write_html(result, tmp_path / "report.html", law=law())
    text = "".join(Checker((tmp_path / "report.html").read_text(encoding="utf-8")).texts)
    shown = table(result)
    for name, value in summary(result):
        assert name in shown
        assert value in shown
        assert name == "Accuracy" or value in text
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_page_has_every_number(page):
    result = make_result()
    text = "".join(Checker(page).texts)
    expected = [percent(end) for end in (result.accuracy.mean, *result.accuracy.ci95)]
    expected += [f"% ({chip.n_correct})" for chip in result.chips]
    expected += [str(n) for n in np.sum([chip.confusion for chip in result.chips], axis=0).flat]
    expected += [quantity(joule, "J") for joule in result.energy.values()]
    expected += [quantity(seconds, "s") for seconds in result.seconds.values()]
    expected += [
        "of 600",
        "1,234,567.0",
        "118,272 of 262,144 in 1 tile",
        "30.2 Hz",
        "20.1 Hz",
        "target 20 Hz",
    ]
    expected += [*result.versions.values(), result.fingerprint, '"g_mean": 3.41e-05', "epochs 33"]
    assert [number for number in expected if number not in text] == []


def test_what_was_simulated_is_said(page):
    for text in (table(make_result()), "".join(Checker(page).texts)):
        for fact in ("taox_1t1r_40nm, rram_40nm_256kb", "shared, 400 neurons", "linear", "3 chips, seed 7"):
            assert fact in text
        assert "Warning" not in text


@pytest.mark.parametrize(
    ("case", "warning"),
    [
        (
            {"equal_rates": True},
            "the liquid of chip 0, 1, 2 is silent: no neuron fires; raise reservoir.input",
        ),
        ({"n_chips": 2}, "2 chips: the interval is wide; use 3 or more"),
        ({"n_chips": 1}, "1 chip: the interval leaves out how chips differ; use 3 or more"),
    ],
)
def test_warning_is_in_the_table_and_on_the_page(case, warning, tmp_path):
    result = make_result(**case)
    write_html(result, tmp_path / "report.html")
    assert len(warnings(result)) == 1
    assert f"Warning: {warning}" in table(result)
    assert f">Warning: {warning}" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_no_homeostasis_no_before_and_after(page, tmp_path):
    write_html(make_result(rates={"before": 30.2, "after": 30.2}), tmp_path / "report.html")
    fixed = Checker((tmp_path / "report.html").read_text(encoding="utf-8")).texts
    assert {"before", "after", "target"} <= set(Checker(page).texts)
    assert not {"before", "after", "target"} & set(fixed)
    assert "homeostasis" not in "".join(fixed)
    assert "Firing rate of every neuron." in fixed


def test_components_of_the_energy_have_their_full_names(page):
    names = {"row drive", "cell read", "ADC", "digital accumulation", "projection MACs"}
    assert names <= {text.strip() for text in Checker(page).texts}


def test_page_stands_alone(page):
    checker = Checker(page)
    assert checker.addresses
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in checker.addresses)
    assert "<script" not in page
    rest = re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert not re.search(r"https?://|@import|url\((?!#)", rest)


def test_ids_are_unique_and_found(page):
    checker = Checker(page)
    assert len(set(checker.ids)) == len(checker.ids)
    used = re.findall(r'(?:href="|url\()#([^")]+)', page)
    assert set(used) <= set(checker.ids)


def test_twice_the_same_bytes(page, tmp_path):
    write_html(make_result(), tmp_path / "again.html", law=law())
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_write_leaves_numbers_and_page(page, tmp_path):
    paths = write(make_result(), tmp_path / "runs" / "one", law=law())
    assert [path.name for path in paths] == ["result.json", "report.html"]
    assert json.loads(paths[0].read_text(encoding="utf-8")) == make_result().to_json()
    assert paths[1].read_text(encoding="utf-8") == page


def test_hostile_text_is_escaped(tmp_path):
    bad = '</title><script>alert("1")</script>&[bold]$x_{1$'
    energy = {bad: 1e-9, "total": 1e-9}
    result = make_result(
        name=bad, classes=(bad, "b"), experiment=EXPERIMENT | {bad: bad}, versions={bad: bad}, energy=energy
    )
    write_html(result, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    Checker(page)
    assert "<script" not in page
    assert html.escape(bad) in page
    assert bad in table(result)


def test_histogram_counts_the_cells_outside_the_law(tmp_path, page):
    g = np.concatenate([chip.conductance for chip in make_result().chips])
    inside = np.count_nonzero(abs(g - G_MEAN) <= 4 * G_SD)
    assert f"{inside:,} of {g.size:,} cells" in page
    write_html(make_result(), tmp_path / "all.html")
    every = (tmp_path / "all.html").read_text(encoding="utf-8")
    assert f"Conductance of {g.size:,} cells of all chips." in every


def test_narrow_terminal_keeps_the_fingerprint():
    words = re.sub(r"[^0-9a-f]", "", table(make_result(), width=60).split("Fingerprint")[1])
    assert words == make_result().fingerprint


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 J"),
        (1.234e-6, "1.23 µJ"),
        (1e-3, "1 mJ"),
        (999.0, "999 J"),
        (9.999e-4, "1 mJ"),
        (-2e3, "-2 kJ"),
        (3e-21, "0.003 aJ"),
        (4e13, "40 TJ"),
        (4e16, "4e+04 TJ"),
    ],
)
def test_quantity(value, text):
    assert quantity(value, "J") == text


@pytest.mark.parametrize("name", ["taox_1t1r_40nm", "rram_milo2021", "ideal"])
def test_law_is_what_the_cells_follow(name):
    """Moments and quartiles of the density against 40,000 cells."""
    g, density = conductance_law(load_device(name))
    cells = make_cells(DeviceConfig(card=name), (200, 200), seed=1, name="chip0/pos")
    formed = cells.g[cells.formed].astype(np.float64)
    mass = np.cumsum(density) * (g[1] - g[0])
    assert mass[-1] == pytest.approx(1, abs=5e-3)
    spread = formed.std()
    assert np.interp([0.25, 0.5, 0.75], mass, g) == pytest.approx(
        np.percentile(formed, [25, 50, 75]), abs=0.04 * spread
    )


def test_lognormal_law_keeps_mean_and_spread():
    card = load_device("taox_1t1r_40nm")
    wide = card.conductance.sigma_d2d.model_copy(update={"value": 0.4})
    lognormal = card.conductance.model_copy(update={"distribution": "lognormal", "sigma_d2d": wide})
    g, density = conductance_law(card.model_copy(update={"conductance": lognormal}))
    mean = np.trapezoid(g * density, g)
    assert mean == pytest.approx(card.conductance.g_mean.value, rel=0.02)
    assert np.sqrt(np.trapezoid((g - mean) ** 2 * density, g)) == pytest.approx(0.4 * mean, rel=0.05)
    assert g[np.argmax(density)] < 0.9 * mean


@pytest.mark.parametrize(
    ("name", "panels"),
    [
        ("ideal", {"conductance"}),
        ("taox_1t1r_40nm", {"formed cells", "forming", "read noise"}),
        ("rram_wan2022", {"conductance", "programming", "read noise"}),
        ("pcm_nandakumar2019", {"conductance", "programming", "read noise", "drift"}),
    ],
)
def test_card_figure_has_the_panels_of_the_card(name, panels, tmp_path):
    plot_device(load_device(name), tmp_path / "card.svg")
    texts = {text.strip() for text in Checker((tmp_path / "card.svg").read_text(encoding="utf-8")).texts}
    titles = {"conductance", "formed cells", "forming", "programming", "read noise", "drift"}
    assert texts & titles == panels
    assert name in texts
    assert [file.name for file in tmp_path.iterdir()] == ["card.svg"]


def test_every_shipped_card_can_be_drawn(tmp_path):
    for name in list_cards("device"):
        plot_device(load_device(name), tmp_path / f"{name}.png")
    assert len(list(tmp_path.glob("*.png"))) == len(list_cards("device"))


def test_unknown_image_format(tmp_path):
    with pytest.raises(ExperimentError, match=r"no image format '\.docx'; use \.png"):
        plot_device(load_device("ideal"), tmp_path / "card.docx")

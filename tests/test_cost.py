"""What a recording costs: hand counts, laws, and the same work on digital platforms."""

import math
from dataclasses import replace

import pytest
from fake_result import make_result
from hypothesis import given
from hypothesis import strategies as st

from neurosim.array import (
    Cost,
    Tiling,
    Work,
    adc_energy,
    area,
    compare,
    count_operations,
    digital_cost,
    energy,
    in_memory,
    latency,
    macro_cost,
    tile,
)
from neurosim.cards import MacroCard, PlatformCard, list_cards, load_macro, load_platform, quantities
from neurosim.quantity import Count
from neurosim.report.facts import comparison, components, quantity, square_millimetres, summary
from neurosim.report.html import write_html

MACROS = {name: load_macro(name) for name in list_cards("macro")}
MACRO, ISAAC = MACROS["rram_40nm_256kb"], MACROS["rram_isaac_128"]
PLATFORMS = [load_platform(name) for name in list_cards("platform")]
# 2 x 3 blocks of 200 x 50 pairs, two blocks a macro
TILES = Tiling(2, 3, block=(200, 50), blocks=(2, 1), cells=2 * 400 * 150, tile_cells=512 * 512)
WORK = Work(
    n_neurons=120,
    n_steps=10,
    n_synapses=48_000,
    n_driven=9_000.0,
    n_spikes=40.0,
    n_macs=1_200,
    reads_per_step=1,
)

works = st.builds(
    Work,
    n_neurons=st.integers(1, 500),
    n_steps=st.integers(1, 200),
    n_synapses=st.integers(1, 10**6),
    n_driven=st.just(0.0),
    n_spikes=st.floats(0, 1e5),
    n_macs=st.integers(0, 10**5),
    reads_per_step=st.integers(1, 300),
    n_cycles=st.integers(1, 8),
    n_slices=st.integers(1, 4),
    reads_averaged=st.floats(1, 100),
).flatmap(lambda w: st.floats(0, 1).map(lambda share: replace(w, n_driven=share * w.n_steps * w.n_synapses)))


def with_count(card: MacroCard, **values: int) -> MacroCard:
    update = {key: Count(value=v, unit="1", status="assumed", where="test") for key, v in values.items()}
    return card.model_copy(update=update)


def total_is_the_sum(table: dict[str, float]) -> None:
    assert table["total"] == pytest.approx(sum(v for k, v in table.items() if k != "total"), rel=1e-12)


# ---- macro -----------------------------------------------------------------------------------------


def test_operations_of_a_small_array_counted_by_hand() -> None:
    # 120 columns over blocks of 50: a read spans 3, in each of which 9,000 / 120 = 75 rows are driven
    assert count_operations(TILES, WORK) == {
        "row_activations": 75 * 3,
        "cell_reads": 18_000,
        "adc_conversions": 10 * 120 * 2,
        "accumulations": 10 * 120 * 2 + 40,
        "macs": 1_200,
    }
    # 2 digits a weight: 240 columns over blocks of 50 span 5; 8 bits an input: eight times the reads
    wide = replace(TILES, col_groups=5)
    assert count_operations(wide, replace(WORK, n_cycles=8, n_slices=2)) == {
        "row_activations": 8 * 75 * 5,
        "cell_reads": 16 * 18_000,
        "adc_conversions": 16 * 2_400,
        "accumulations": 16 * 2_400 + 40,
        "macs": 1_200,
    }


def test_separate_arrays_drive_a_row_in_both() -> None:
    both = replace(TILES, arrays=2)
    one, two = count_operations(TILES, WORK), count_operations(both, WORK)
    assert two.pop("row_activations") == 2 * one.pop("row_activations")
    assert one == two
    assert area(both, MACRO, adc_bits=8)["total"] == 2 * area(TILES, MACRO, adc_bits=8)["total"]
    assert latency(both, MACRO, WORK, adc_bits=8) == latency(TILES, MACRO, WORK, adc_bits=8)


def test_latency_counted_by_hand() -> None:
    # 1 read x 2 row groups x 3 column groups on 3 macros: 2 turns; 50 pairs over 4 converters: 13 turns
    assert latency(TILES, MACRO, WORK, adc_bits=8) == pytest.approx(
        {
            "cell_read": 10 * 2 * 100e-9,
            "adc": 10 * 13 / 1.28e9,
            "digital_accumulate": 10 * 1e-9,
            "projection_mac": 1_200 * 1e-9,
            "total": 2e-6 + 130 / 1.28e9 + 10e-9 + 1.2e-6,
        }
    )
    # at 16 bits and one converter, 50 conversions of 16/8 of 0.78 ns still fit a read; at 24 bits they do not
    one = with_count(MACRO, n_adcs=1)
    assert latency(TILES, one, WORK, adc_bits=16)["cell_read"] == pytest.approx(20 * 100e-9)
    slow = latency(TILES, one, WORK, adc_bits=24)
    assert slow["cell_read"] == pytest.approx(10 * 100e-9)
    assert slow["adc"] == pytest.approx(20 * 50 * 3 / 1.28e9)


def test_isaac_converts_128_columns_while_the_next_row_is_read() -> None:
    """ISAAC's array and converter are balanced: 128 columns at 1.28 GS/s take the 100 ns of a read."""
    tiles = Tiling(1, 1, (128, 128), (1, 1), 2 * 128 * 128, 128 * 128)
    work = Work(128, 1, 128 * 128, 0.0, 0.0, 0, reads_per_step=1)
    assert latency(tiles, ISAAC, work, adc_bits=8)["adc"] == pytest.approx(ISAAC.t_read.value, rel=1e-12)


def test_area_counted_by_hand() -> None:
    table = area(TILES, MACRO, adc_bits=8)
    assert table == pytest.approx(
        {
            "cells": 3 * 512 * 512 * 2.01e-13,
            "row_drivers": 3 * 512 * 1.67e-13,
            "sample_and_hold": 3 * 512 * 3.9e-14,
            "adc": 3 * 4 * 1.2e-9,
            "accumulators": 3 * 4 * 6e-11,
            "total": table["total"],
        }
    )
    total_is_the_sum(table)
    assert area(TILES, MACRO, adc_bits=10)["adc"] == pytest.approx(table["adc"] * 1.13**2)


def test_area_of_isaacs_array_is_that_of_its_table() -> None:
    """ISAAC: eight arrays of 128 x 128 take 0.0002 mm^2, 1,024 drivers 0.00017, as many holds 0.00004."""
    tiles = Tiling(1, 8, (128, 64), (1, 1), 8 * 128 * 128, 128 * 128)
    table = area(tiles, ISAAC, adc_bits=8)
    assert table["cells"] == pytest.approx(0.0002e-6, rel=1e-3)
    assert table["row_drivers"] == pytest.approx(0.00017e-6, rel=0.01)
    assert table["sample_and_hold"] == pytest.approx(0.00004e-6, rel=0.01)
    assert table["adc"] == pytest.approx(0.0096e-6, rel=1e-12)


def test_a_conversion_costs_more_for_every_bit() -> None:
    assert adc_energy(MACRO, 8) == 1.56e-12
    assert adc_energy(MACRO, 9) == pytest.approx(1.85 * 1.56e-12)
    assert adc_energy(MACRO, 14) == pytest.approx(1.85**6 * 1.56e-12)
    assert adc_energy(MACRO, 0) == adc_energy(MACRO, 8)  # an ideal converter is no cheaper than a real one


def test_conversion_energy_is_per_sample_and_not_per_bit_clock() -> None:
    """Energy of ISAAC's converter is power over sample rate: 2 mW at 1.28 GS/s, not ten times that."""
    assert adc_energy(ISAAC, 8) == pytest.approx(2e-3 * ISAAC.t_adc.value, rel=2e-3)


@pytest.mark.parametrize("bits", [4, 6, 8, 10, 12, 14])
def test_conversion_energy_stays_between_the_best_and_the_usual_published_converters(bits: int) -> None:
    """Murmann's survey, revision 2025: envelope 0.267 pJ + 0.1446 aJ 4^ENOB; median since 2010 46 fJ 2^ENOB.

    The card's 8 bits are ISAAC's, cheaper than the median; below 6 bits the law leaves the floor.
    """
    joule = adc_energy(MACRO, bits)
    assert joule < 46e-15 * 2**bits
    assert (joule > 0.267e-12 + 0.1446e-18 * 4**bits) == (bits >= 6)


@given(works, st.sampled_from(list(MACROS.values())), st.integers(0, 24), st.floats(1e-7, 1e-4))
def test_every_table_adds_up(work: Work, macro: MacroCard, bits: int, g_mean: float) -> None:
    cost = macro_cost(tile((300, 200), macro), macro, work, g_mean=g_mean, adc_bits=bits)
    for table in (cost.energy, cost.latency, cost.area):
        total_is_the_sum(table)
        assert all(value >= 0 for value in table.values())
    for other in compare(cost, PLATFORMS, work)[1:]:
        total_is_the_sum(other.energy)


@given(works, st.sampled_from(["n_driven", "n_spikes", "n_steps", "n_macs", "n_cycles", "reads_averaged"]))
def test_more_work_costs_no_less(work: Work, field: str) -> None:
    more = replace(work, **{field: getattr(work, field) + 1})
    tiles = tile((300, 200), MACRO)
    small, large = (macro_cost(tiles, MACRO, w, g_mean=3e-5, adc_bits=8) for w in (work, more))
    assert large.energy["total"] >= small.energy["total"]
    assert large.latency["total"] >= small.latency["total"] * (1 - 1e-12)
    assert large.area == small.area


@given(works, st.integers(1, 23))
def test_a_further_bit_costs_energy_time_and_area(work: Work, bits: int) -> None:
    tiles = tile((300, 200), MACRO)
    low, high = (macro_cost(tiles, MACRO, work, g_mean=3e-5, adc_bits=b) for b in (bits, bits + 1))
    assert high.energy["adc"] > low.energy["adc"]
    assert {**high.energy, "adc": 0, "total": 0} == {**low.energy, "adc": 0, "total": 0}
    assert high.latency["total"] > low.latency["total"]
    assert high.area["total"] > low.area["total"]


@given(st.integers(1, 512))
def test_more_converters_are_faster_and_larger(n: int) -> None:
    few, many = with_count(MACRO, n_adcs=n), with_count(MACRO, n_adcs=2 * n)
    assert latency(TILES, many, WORK, adc_bits=8)["total"] <= latency(TILES, few, WORK, adc_bits=8)["total"]
    assert area(TILES, many, adc_bits=8)["adc"] == 2 * area(TILES, few, adc_bits=8)["adc"]


def test_a_read_is_as_long_as_it_integrates() -> None:
    operations = count_operations(TILES, WORK)
    once = energy(operations, MACRO, 3e-5, adc_bits=8)
    tenfold = energy(operations, MACRO, 3e-5, adc_bits=8, reads_averaged=10)
    assert tenfold["cell_read"] == pytest.approx(10 * once["cell_read"])
    assert tenfold["adc"] == once["adc"]
    longer = latency(TILES, MACRO, replace(WORK, reads_averaged=10), adc_bits=8)
    assert longer["cell_read"] == pytest.approx(10 * 2e-6)


def test_a_projection_in_memory_stands_in_place_of_its_multiplications() -> None:
    digital = macro_cost(tile((98, 1280), MACRO), MACRO, WORK, g_mean=3e-5, adc_bits=8)
    layers = [
        macro_cost(tile(shape, MACRO), MACRO, WORK, g_mean=3e-5, adc_bits=6) for shape in ((100, 20), (20, 5))
    ]
    joined = in_memory(digital, layers)
    for what in ("energy", "latency", "area"):
        table, before = getattr(joined, what), getattr(digital, what)
        total_is_the_sum(table)
        assert table["projection_memory"] == sum(getattr(layer, what)["total"] for layer in layers)
        expected = before["total"] - before.get("projection_mac", 0.0) + table["projection_memory"]
        assert table["total"] == pytest.approx(expected)


def test_the_ideal_macro_costs_heat_and_nothing_else() -> None:
    cost = macro_cost(TILES, MACROS["ideal"], WORK, g_mean=3e-5, adc_bits=14)
    assert cost.energy["total"] == cost.energy["cell_read"] > 0
    assert cost.area["total"] == 0


def test_hermes_core_gives_back_the_figures_that_it_was_made_from() -> None:
    """Le Gallo 2023, abstract: 63.1 TOPS on 64 cores at 9.76 TOPS/W; Khaddam-Aljameh: 1.59 TOPS/mm^2."""
    macro = MACROS["pcm_hermes_core"]
    tiles = tile((256, 256), macro)
    work = Work(256, 1, 256 * 256, 0.0, 0.0, 0)
    cost = macro_cost(tiles, macro, work, g_mean=1e-5, adc_bits=8)
    operations = 2 * 256**2
    assert tiles.n_tiles == 1
    assert operations / cost.energy["adc"] == pytest.approx(9.76e12, rel=1e-3)
    assert 64 * operations / cost.latency["cell_read"] == pytest.approx(63.1e12, rel=1e-3)
    assert operations / cost.latency["cell_read"] / cost.area["total"] == pytest.approx(1.59e18, rel=2e-3)


# ---- digital platforms -----------------------------------------------------------------------------


def test_digital_platform_counted_by_hand() -> None:
    card = load_platform("accelerator_45nm")
    dense, aware = (digital_cost(card, WORK, counting) for counting in ("dense", "spike-aware"))
    updates, projection = (10 * 120 + 40) * 0.1e-12, 1_200 * 1.55e-12
    assert dense.energy == pytest.approx(
        {
            "synapses": 480_000 * 0.3e-12,
            "weight_read": 480_000 * 1.25e-12,
            "digital_accumulate": updates,
            "projection_mac": projection,
            "total": 480_000 * 1.55e-12 + updates + projection,
        }
    )
    assert aware.energy == pytest.approx(
        {
            "synapses": 9_000 * 0.1e-12,
            "weight_read": 9_000 * 1.25e-12,
            "digital_accumulate": updates,
            "projection_mac": projection,
            "total": 9_000 * 1.35e-12 + updates + projection,
        }
    )
    assert (aware.latency, aware.area) == ({}, {})  # no source knows them


def test_gpu_counts_what_the_papers_group_counts() -> None:
    """0.48077 pJ per operation, two operations a multiply-accumulate: 300 W / 624 TOPS."""
    card = load_platform("gpu_a100_int8")
    assert card.energy_add.value == pytest.approx(300 / 624e12, rel=1e-4)
    assert card.energy_mac.value == pytest.approx(2 * card.energy_add.value, rel=1e-4)
    dense = digital_cost(card, replace(WORK, n_macs=0), "dense")
    assert dense.energy["synapses"] == pytest.approx(480_000 * 2 * 0.48077e-12, rel=1e-4)
    assert dense.latency["total"] == pytest.approx((480_000 + 1_240) / 312e12)


@given(works, st.sampled_from(PLATFORMS))
def test_dense_counting_is_never_below_spike_aware(work: Work, card: PlatformCard) -> None:
    dense, aware = (digital_cost(card, work, counting) for counting in ("dense", "spike-aware"))
    assert dense.energy["total"] >= aware.energy["total"]
    assert not dense.latency or dense.latency["total"] >= aware.latency["total"]
    if work.n_driven == work.n_steps * work.n_synapses:
        assert dense.latency == aware.latency


def test_comparison_starts_with_the_macro_and_has_every_platform_twice() -> None:
    cost = macro_cost(TILES, MACRO, WORK, g_mean=3e-5, adc_bits=8)
    rows = compare(cost, PLATFORMS, WORK)
    assert rows[0] == cost
    assert cost.energy == energy(count_operations(TILES, WORK), MACRO, 3e-5, adc_bits=8)
    wanted = [(card.name, counting) for card in PLATFORMS for counting in ("dense", "spike-aware")]
    assert [(row.platform, row.counting) for row in rows[1:]] == wanted


@pytest.mark.parametrize("card", PLATFORMS, ids=lambda card: card.name)
def test_every_figure_of_a_platform_has_a_source_or_a_reason(card: PlatformCard) -> None:
    for key, figure in quantities(card):
        assert figure.source or figure.value == 0, key
    assert 0 < card.energy_add.value <= card.energy_mac.value


# ---- report ----------------------------------------------------------------------------------------


def test_report_shows_every_cost(tmp_path) -> None:
    result = make_result()
    write_html(result, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    lines = dict(summary(result))
    assert lines["Latency and area"] == "175 µs, 0.06 mm²"
    assert lines["Energy elsewhere"] == "gpu 8.75 µJ dense; accelerator 777 nJ spike-aware"
    assert comparison(result)[0][:4] == ("rram_40nm_256kb", "spike-aware", "625 nJ", "1")
    assert comparison(result)[1][3:] == ("14", "30 ns", "826 mm²")
    assert comparison(result)[2][4:] == ("not known", "not known")
    for row in (*comparison(result), *components(result)):
        assert all(text in page for text in row), row
    assert math.isclose(sum(float(share[:-2]) for *_, share in components(result)[:2]), 100, abs_tol=0.1)


def test_report_without_a_cost(tmp_path) -> None:
    result = make_result(cost=())
    write_html(result, tmp_path / "report.html")
    assert "Platform" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Latency and area" not in dict(summary(result))


def test_report_of_a_free_macro(tmp_path) -> None:
    free = Cost("ideal", "spike-aware", {"total": 0.0}, {"total": 0.0}, {"total": 0.0})
    result = make_result(cost=(free,))
    write_html(result, tmp_path / "report.html")
    assert comparison(result) == [
        ("ideal", "spike-aware", quantity(0.0, "J"), "", quantity(0.0, "s"), square_millimetres(0.0))
    ]


def test_costs_are_in_the_numbers_of_a_result() -> None:
    rows = make_result().to_json()["cost"]["comparison"]
    assert [row["platform"] for row in rows] == ["rram_40nm_256kb", "gpu", "accelerator"]
    assert rows[0].keys() == {"platform", "counting", "energy", "latency", "area"}
    assert rows[2]["latency"] == {}

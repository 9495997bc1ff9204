"""A chip that was made takes the place of the simulated one: alike it is the same, unlike it is repaired."""

import contextlib
import csv
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from small_design import (
    COLS,
    ROWS,
    SETTINGS,
    small_design,
    small_experiment,
    small_macro,
    small_macro_of,
    small_recordings,
)
from typer.testing import CliRunner

from neurosim.array import with_cells
from neurosim.array.irdrop import see_pairs
from neurosim.cards import list_cards, load_device
from neurosim.cli import app
from neurosim.device import Cells
from neurosim.errors import DataNotFoundError, ImageError, MeasurementError, ShapeError
from neurosim.experiment import prepare
from neurosim.export import write
from neurosim.export.design import Design, make_design
from neurosim.export.image import read_macro
from neurosim.export.measured import Measured, read_measured, write_measured
from neurosim.export.page import FILES, write_readback
from neurosim.export.readback import Readback, chip_with, read_back
from neurosim.export.readback import _noise as noise_of_reads
from neurosim.export.remap import DeadLines, find_dead, remap
from neurosim.export.virtual import virtual_chip
from neurosim.reservoir import simulate

IDEAL = ("device.card=ideal", "array.macro=ideal")
SEPARATE = ("array.pairs=separate",)
WAN = ("device.card=rram_wan2022",)


def made(design: Design, seed: int = 1, n_reads: int = 1, **changes: object) -> Measured:
    device = design.experiment.device.model_copy(update=changes)
    return virtual_chip(design, device, seed=seed, times=60.0 * np.arange(n_reads))


def back(design: Design, measured: Measured) -> Readback:
    return read_back(design, measured, prepared=small_recordings())


# ---- the chip as made ------------------------------------------------------------------------------


def test_ideal_chip_fires_the_very_spikes_of_its_design(tmp_path: Path) -> None:
    design = small_design(*IDEAL)
    write(design, "macro", tmp_path / "image.h5")
    image = read_macro(tmp_path / "image.h5")
    write_measured(made(image), tmp_path / "measured.h5", fingerprint=image.fingerprint)
    measured = read_measured(str(tmp_path / "measured.h5"), image)
    result = back(image, measured)
    assert result.same_run
    assert result.differing_spikes == 0
    assert not result.errors.any()
    assert result.programming["within_tolerance"] == 1
    assert result.accuracy["as made"] == design.accuracy["simulated"]
    chip, _ = chip_with(image, measured, result.mean, image.layout)
    test = small_recordings().binned["test"]
    spikes = [simulate(one, test, spikes=True).spikes for one in (chip.liquid, design.chip.liquid)]
    assert spikes[0] is not None
    assert spikes[1] is not None
    assert_array_equal(*spikes)
    assert spikes[0].any()


def test_noisy_chip_is_recalibrated_and_retrained() -> None:
    design = small_design("device.sigma_read=0.03")
    # formed with another pulse, aged nothing: other cells than those of the design
    results = [back(design, made(design, seed, n_reads=4, p_stuck=0.05, v_forming=3.6)) for seed in (1, 2, 3)]
    for result in results:
        assert [stage.name for stage in result.stages] == ["as made", "recalibrated", "retrained"]
        assert result.differing_spikes > 0
        assert result.programming["sigma"] > 1e-6
    mean = {name: np.mean([result.accuracy[name] for result in results]) for name in results[0].accuracy}
    assert mean["retrained"] > mean["as made"] + 0.1
    target = design.experiment.reservoir.homeostasis
    assert target is not None
    off = [[abs(stage.rate / target.rate_target - 1) for stage in result.stages] for result in results]
    assert np.mean(off, axis=0)[1] < np.mean(off, axis=0)[0]


def test_repaired_design_is_the_chip(tmp_path: Path) -> None:
    design = small_design()
    measured = made(design, seed=5)
    result = back(design, measured)
    write(result.repaired, "macro", tmp_path / "chip.h5")
    again = back(read_macro(tmp_path / "chip.h5"), measured)
    assert again.differing_spikes == 0
    assert again.accuracy["as made"] == result.accuracy["retrained"]
    assert not again.errors.any()


def test_read_noise_of_the_chip_is_that_of_its_reads() -> None:
    design = small_design(*IDEAL)
    measured = made(design, n_reads=400, sigma_read=0.05)
    chip, _ = chip_with(design, measured, measured.g.mean(axis=0), design.layout)
    for side, cells in enumerate((chip.crossbar.pos, chip.crossbar.neg)):
        assert_allclose(cells.sigma_white.mean(), 0.05 * design.target[side].mean(), rtol=0.03)
        assert not cells.sigma_slow.any()
    noisy = small_design("device.sigma_read=0.05", "device.read_white_fraction=0.5")
    slow, _ = chip_with(noisy, made(noisy, n_reads=200), made(noisy).g[0], noisy.layout)
    assert slow.crossbar.pos.sigma_slow.sum() > 0.2 * slow.crossbar.pos.sigma_white.sum()


def test_read_noise_of_cells_that_some_reads_miss() -> None:
    g = np.random.default_rng(0).normal(1e-5, 1e-6, (4, 4)).astype(np.float32)
    g[1:, 0] = g[[1, 3], 1] = g[0, 2] = np.nan  # one read, two apart, three in a row, all
    white, slow = noise_of_reads(g, slow=True)
    assert white[0] == slow[0] == slow[1] == 0
    assert_allclose(white[1], np.std(g[[0, 2], 1], ddof=1), rtol=1e-3)
    for cell, reads in ((2, g[1:, 2]), (3, g[:, 3])):
        total = np.var(reads.astype(np.float64), ddof=1)
        assert_allclose(np.hypot(white[cell], slow[cell]), np.sqrt(total), rtol=1e-3)
        expected = min(total, (np.diff(reads.astype(np.float64)) ** 2).mean() / 2)
        assert_allclose(white[cell], np.sqrt(expected), rtol=1e-3)
    assert_allclose(noise_of_reads(g, slow=False)[0], np.hypot(white, slow), rtol=1e-6)


def test_cells_of_a_crossbar_are_exchanged_behind_its_wires() -> None:
    design = small_design("array.wires.r_wire_row=3.0", "array.wires.r_wire_col=3.0")
    crossbar = design.chip.crossbar
    pos = replace(crossbar.pos, g=crossbar.pos.g * np.float32(1.5))
    seen = with_cells(crossbar, pos, crossbar.neg)
    wanted = see_pairs(pos.g, crossbar.neg.g, crossbar.tiles, crossbar.macro, crossbar.wires, None)
    assert_array_equal(seen.pos_seen.g, wanted[0].g)
    assert (seen.neg_seen.g != crossbar.neg_seen.g).any()  # they load the same word lines
    with pytest.raises(ShapeError, match="give a conductance for every cell"):
        with_cells(crossbar, Cells(*(part[:1] for part in (pos.g, pos.formed, pos.g, pos.g)), pos.card), pos)


def test_larger_conductances_get_a_larger_unit() -> None:
    design = small_design()
    crossbar, liquid = design.chip.crossbar, design.chip.liquid
    cells = [replace(side, g=3 * side.g) for side in (crossbar.pos, crossbar.neg)]
    grown = design.chip.with_cells(*cells).liquid
    assert grown.weights.lsb > liquid.weights.lsb
    assert_allclose(grown.threshold * grown.weights.lsb, liquid.threshold * liquid.weights.lsb, rtol=1e-6)
    assert_allclose(grown.adc_full_scale, liquid.adc_full_scale, rtol=1e-6)
    weight = liquid.weights.q_in * liquid.weights.lsb
    assert_allclose(grown.weights.q_in * grown.weights.lsb, 3 * weight, atol=3 * grown.weights.lsb)


def test_a_weight_that_nobody_scales_up_needs_no_room() -> None:
    """Inputs far above the recurrent weights, whose scaling is the larger one."""
    liquid = small_design("reservoir.recurrent_scaling=1e5").liquid
    wiring, dg = liquid.wiring, np.zeros(liquid.wiring.shape, np.float32)
    k_in, k_rec = liquid.weights.scaling
    assert k_rec > k_in
    dg.flat[wiring.inputs.pair] = 0.9 * liquid.weights.lsb * 32_767 / k_in
    assert liquid.with_room(dg) is liquid
    assert wiring.recurrent is not None
    dg.flat[wiring.recurrent.pair] = 1.1 * liquid.weights.lsb * 32_767 / k_rec
    assert liquid.with_room(dg).weights.lsb > liquid.weights.lsb


def test_a_chip_whose_recurrent_cells_are_all_dead_still_runs() -> None:
    """The scaling that a spectral radius gave the design is kept, whatever the chip's own radius is."""
    design = small_design("reservoir.spectral_radius=0.9")
    crossbar = design.chip.crossbar
    dead = [replace(side, g=np.zeros_like(side.g)) for side in (crossbar.pos, crossbar.neg)]
    assert design.chip.with_cells(*dead).liquid.weights.scaling == design.liquid.weights.scaling


# ---- dead lines ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings", [(), WAN, ("array.pairs=separate",)], ids=["formed", "programmed", "separate"]
)
def test_dead_lines_are_found_and_left(settings: tuple[str, ...]) -> None:
    design = small_design(*settings)
    g = made(design, seed=2).g[0]
    assert not find_dead(design, g).rows.any()
    assert not find_dead(design, g).cols.any()
    g[0, 3], g[0, :, 6], g[0, ROWS - 1] = 0, 0, 0
    dead = find_dead(design, g)
    assert np.argwhere(dead.rows).tolist() == [[0, 3], [0, ROWS - 1]]
    assert np.argwhere(dead.cols).tolist() == [[0, 6]]
    adjacent = design.chip.crossbar.tiles.arrays == 1
    layout = remap(design.layout, dead, ~np.isnan(g), adjacent=adjacent)
    assert not dead.rows[layout.tile, layout.row].any()
    assert not dead.cols[layout.tile, layout.col].any()
    places = set(zip(layout.tile.ravel(), layout.row.ravel(), layout.col.ravel(), strict=True))
    assert len(places) == layout.tile.size
    if adjacent:
        assert_array_equal(layout.col[1], layout.col[0] + 1)
    assert layout.roles[0][0, 3] == 2
    stayed = (design.layout.row != 3) & ~np.isin(design.layout.col, [6, 7] if adjacent else [6])
    assert_array_equal(layout.row[stayed], design.layout.row[stayed])
    assert_array_equal(layout.col[stayed], design.layout.col[stayed])


def test_stuck_cells_make_no_line_dead() -> None:
    design = small_design()
    for seed in range(5):
        g = made(design, seed=seed, p_stuck=0.3).g[0]
        dead = find_dead(design, g)
        assert not dead.rows.any()
        assert not dead.cols.any()


def test_without_spares_dead_lines_stay() -> None:
    design = small_design()
    n_rows = design.liquid.wiring.shape[0]
    rows = np.zeros((1, ROWS), np.bool_)
    rows[0, :n_rows] = True
    rows[0, n_rows + 1 :] = True  # one spare line is left
    dead = DeadLines(rows, np.zeros((1, COLS), np.bool_))
    layout = remap(design.layout, dead, np.ones((1, ROWS, COLS), np.bool_), adjacent=True)
    assert np.unique(layout.row).tolist() == [*range(1, n_rows + 1)]


def test_spare_lines_that_were_not_measured_are_not_used() -> None:
    design = small_design()
    rows = np.zeros((1, ROWS), np.bool_)
    rows[0, 0] = True
    dead = DeadLines(rows, np.zeros((1, COLS), np.bool_))
    layout = remap(design.layout, dead, design.layout.used, adjacent=True)
    assert_array_equal(layout.row, design.layout.row)


def test_chip_with_dead_lines_is_remapped_and_programmed_again() -> None:
    design = small_design(*WAN)
    measured = made(design, seed=3)
    measured.g[:, 0, 2], measured.g[:, 0, :, 4] = 0, 0
    result = back(design, measured)
    assert [stage.name for stage in result.stages] == ["as made", "remapped", "recalibrated", "retrained"]
    rows, cols = design.liquid.wiring.shape
    assert result.to_program == 2 * (rows + cols - 1)
    # the chip gets its new image; what moved is programmed, and the two lines are still dead
    again = made(result.repaired, seed=3)
    again.g[:, 0, 2], again.g[:, 0, :, 4] = 0, 0
    second = back(result.repaired, again)
    assert second.to_program == 0
    assert second.accuracy["as made"] > result.accuracy["as made"]


# ---- what was measured -----------------------------------------------------------------------------


def test_csv_and_hdf5_say_the_same(tmp_path: Path) -> None:
    design = small_design("array.pairs=separate")
    measured = made(design, n_reads=2)
    write_measured(measured, tmp_path / "m.h5")
    for k in range(design.layout.n_tiles):
        with (tmp_path / f"tile{k}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["t_ms", "col", "row", "g_uS"])
            for i, t in enumerate(measured.t):
                for row, col in np.ndindex(ROWS, COLS):
                    writer.writerow([1e3 * t, col, row, 1e6 * float(measured.g[i, k, row, col])])
    for place in (tmp_path, tmp_path / "m.h5"):
        read = read_measured(str(place), design)
        assert_array_equal(read.t, measured.t)
        assert_allclose(read.g, measured.g, rtol=1e-6)


def test_plain_files_of_others_are_read(tmp_path: Path) -> None:
    design = small_design()
    g = made(design).g[0].astype(np.float64)
    with h5py.File(tmp_path / "theirs.h5", "w") as file:  # no sums, variable-length strings, doubles
        file.attrs["schema"] = "neurosim.macro/1"
        file.create_dataset("measured/g", data=g[None]).attrs["unit"] = "S"
        file["maps_uS/array0"] = 1e6 * g[0]
    for place in (tmp_path / "theirs.h5", f"{tmp_path}/theirs.h5:maps_uS/array0"):
        assert_allclose(read_measured(str(place), design).g[0], g, rtol=1e-6)


def test_measured_arrays_of_a_paper_take_the_place_of_a_tile(real_data: Path) -> None:
    """Conductances of 2,500 cells that were formed at random, half of them not."""
    off = [f"reservoir.{key}=" for key in ("n_neurons", "p_connect", "p_recurrent", "frac_excitatory")]
    settings = [
        *("reservoir.topology=shared", "reservoir.patch=5", "reservoir.n_patches=25"),
        *("reservoir.states.pool=4", "reservoir.input_scaling=4e5", f"array.macro={small_macro_of(50, 50)}"),
    ]
    experiment = small_experiment(*off, *settings)
    prepared = prepare(experiment)
    design = make_design(experiment, prepared=prepared, n_vectors=2)
    assert design.layout.used.all()
    measured = read_measured(f"{real_data}/rram/rram_measured.h5:esgnn_fig1_uS/hidden_weight", design)
    result = read_back(design, measured, prepared=prepared)
    assert 0.4 < (result.mean == 0).mean() < 0.6
    assert not result.dead.rows.any()
    assert result.accuracy["retrained"] > 0.5
    assert result.accuracy["retrained"] > result.accuracy["as made"] + 0.2


def write_h5(path: Path, **parts: object) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = parts.pop("schema", "neurosim.macro/1")
        if "fingerprint" in parts:
            file.attrs["fingerprint"] = parts.pop("fingerprint")
        for name, values in parts.items():
            unit = "s" if name == "t" else "S"
            file.create_dataset(f"measured/{name}", data=values).attrs["unit"] = unit


G = np.full((1, 1, ROWS, COLS), 1e-5, np.float32)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"g": G, "schema": "other/1"}, "schema 'other/1'"),
        ({"g": G, "fingerprint": "0" * 64}, "another chip"),
        ({"g": G[..., 1:]}, r"must be \(1, 1, 24, 40\)"),
        ({"g": -G}, r"is -1e-05, outside 0 \.\. 0\.1"),
        ({"g": G * 1e6}, "outside 0"),
        ({"g": G * np.inf}, "is inf, outside"),
        ({"g": np.repeat(G, 2, axis=0)}, "2 reads need as many rising times"),
        ({"g": np.repeat(G, 2, axis=0), "t": [1.0, 0.0]}, "2 reads need as many rising times"),
        ({"g": G * np.nan}, "cells in use were never read, the first on tile 0 in row 0, column 0"),
        ({}, "measured/g: missing"),
    ],
)
def test_wrong_measurements_are_refused(parts: dict[str, object], message: str, tmp_path: Path) -> None:
    write_h5(tmp_path / "m.h5", **parts)
    with pytest.raises(ImageError, match=message):
        read_measured(str(tmp_path / "m.h5"), small_design())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,col\n0,0\n", "must be row, col, g_uS"),
        ("row,col,g\n0,0,1\n", "needs its unit in its name"),
        ("row,col,v_V\n0,0,1\n", "one must be a conductance"),
        ("row,col,g_uS\n0,0,-1\n", "line 2: -1e-06 S is outside"),
        ("row,col,g_uS\n24,0,1\n", "line 2: row 24; must be 0 to 23"),
        ("row,col,g_uS\n0,0.5,1\n", r"col 0\.5; must be"),
        ("row,col,g_uS\n0,0,1\n0,0,1\n", "a cell stands twice at 0 s"),
        ("row,col,g_uS\n0,0,x\n", "'x' is no number"),
        ("row,col,g_uS\n0,0,1\n", "cells in use were never read"),
    ],
)
def test_wrong_tables_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "tile0.csv").write_text(text)
    for place in (tmp_path, tmp_path / "tile0.csv"):
        with pytest.raises((ImageError, MeasurementError), match=message):
            read_measured(str(place), small_design())


def test_no_table_takes_more_memory_than_reads_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.export.measured.MAX_CELLS", ROWS * COLS)  # four reads
    made_of = []
    full = np.full
    monkeypatch.setattr("neurosim.export.measured.np.full", lambda *a: made_of.append(a) or full(*a))
    (tmp_path / "tile0.csv").write_text("row,col,g_uS,t_s\n" + "".join(f"0,0,1,{t}\n" for t in range(5)))
    with pytest.raises(ImageError, match="5 times of reads; give fewer"):
        read_measured(str(tmp_path), small_design())
    assert not made_of


def test_missing_files_and_wrong_sizes_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"tile0\.csv: no such file"):
        read_measured(str(tmp_path), small_design())
    with pytest.raises(DataNotFoundError):
        read_measured(str(tmp_path / "none.h5"), small_design())
    with h5py.File(tmp_path / "few.h5", "w") as file:
        file["g_uS"] = np.ones(5)
        file["forming/v_forming_V"] = np.ones(960)
    with pytest.raises(ImageError, match=r"5 conductances; \(1, 24, 40\) cells make 960"):
        read_measured(f"{tmp_path}/few.h5:g_uS", small_design())
    with pytest.raises(ImageError, match="holds forming and no conductances"):
        read_measured(f"{tmp_path}/few.h5:forming", small_design())


# ---- what is written -------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [(), WAN], ids=["formed", "programmed"])
def test_folder_of_a_readback(settings: tuple[str, ...], tmp_path: Path) -> None:
    design = small_design(*settings)
    measured = made(design, seed=4, n_reads=12, sigma_read=0.02)
    measured.g[:, 0, 1] = 0
    result = back(design, measured)
    paths = write_readback(result, tmp_path, name="mine")
    assert {path.name for path in paths} == set(FILES)
    said = json.loads((tmp_path / "result.json").read_text())
    assert said["schema"] == "neurosim.readback/1"
    assert {stage["name"]: stage["accuracy"] for stage in said["accuracy"]["stages"]} == result.accuracy
    assert said["dead"]["rows"] == [[0, 1]]
    assert said["dead"]["left"] == 0 < said["dead"]["in_use"]
    page = (tmp_path / "report.html").read_text("utf-8")
    for text in ("Retrained", "Programming error", "Remapped", "<svg", "mine"):
        assert text in page
    assert "<script" not in page
    card = load_device(str(tmp_path / "card.toml"))
    law, original = card.conductance, design.chip.crossbar.pos.card.conductance
    if not settings:
        assert law.g_mean is not None
        assert original.g_mean is not None
        assert_allclose(law.g_mean.value, original.g_mean.value, rtol=0.05)
    else:
        assert card.programming is not None
    assert_array_equal(read_macro(tmp_path / "chip.h5").target, result.repaired.target)
    # another chip of too few reads for a law of noise leaves no file of the first behind
    few = write_readback(
        back(design, replace(measured, t=measured.t[:2], g=measured.g[:2])), tmp_path, name="x"
    )
    assert (
        {path.name for path in few} == {path.name for path in tmp_path.iterdir()} == set(FILES) - {"reads.h5"}
    )
    assert "too few" in json.loads((tmp_path / "result.json").read_text())["card_problem"]


def test_command_line_there_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [
        part for setting in [*SETTINGS, f"array.macro={small_macro()}"] for part in ("--set", setting)
    ]
    runner = CliRunner(env={"COLUMNS": "200"})

    def call(*args: str) -> str:
        result = runner.invoke(app, list(args), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    call("run", "demo", *settings)
    assert "simulated" in call("export", "runs/small")
    call("export", "runs/small", "--to", "csv", "--quantise", "--vectors", "2")
    image = read_macro(Path("runs/small/export.h5"))
    write_measured(made(image, seed=6), Path("m.h5"))
    shown = call("readback", "runs/small/export.h5", "m.h5", "--out", "runs/chip", "--card", "mine")
    assert "Retrained" in shown
    assert (tmp_path / "runs/chip/report.html").is_file()
    failed = runner.invoke(app, ["export", "runs/small", "--to", "macros"])
    assert failed.exit_code == 2
    assert "did you mean 'macro'" in failed.stderr


@given(st.text(alphabet='row,col,g_uS t_s\n0123456789.-e#"nai', max_size=300))
def test_any_table_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("tables") / "tile0.csv"
    path.write_text("row,col,g_uS\n" + text)
    with contextlib.suppress(ImageError, MeasurementError):
        read_measured(str(path), small_design())


@pytest.mark.parametrize("card", [name for name in list_cards("device") if name != "ideal"])
def test_every_technology_takes_the_place_of_the_ideal_one(card: str) -> None:
    """Made by another technology with its faults; old, worn out and hot as far as its card goes."""
    own = load_device(card)
    low, high = own.conductance.g_min.value, own.conductance.g_max.value
    ideal = small_design(*IDEAL)
    share = ideal.target / ideal.target.max()
    cells = [
        replace(side, g=np.float32(low) + share[i] * np.float32(high - low))
        for i, side in enumerate((ideal.chip.crossbar.pos, ideal.chip.crossbar.neg))
    ]
    design = replace(ideal, chip=ideal.chip.with_cells(*cells))
    changes: dict[str, object] = {"card": card, "p_stuck": 0.05, "p_dead_row": 0.05, "sigma_read": 0.02}
    if own.drift or own.relaxation:
        changes["t_after_programming"] = 100.0
    if own.endurance:
        changes["n_cycles"] = own.endurance.n_median.value
    if own.temperature:
        changes |= {"temperature": own.temperature.t_max.value, "t_after_programming": 0.0}
    measured = made(design, n_reads=3, **changes)
    assert measured.g.shape == (3, design.layout.n_tiles, *design.layout.shape)
    assert (measured.g >= 0).all()
    chip, _ = chip_with(design, measured, measured.g.mean(axis=0), design.layout)
    spikes = simulate(chip.liquid, design.vectors.binned, spikes=True).spikes
    assert spikes is not None
    assert (spikes != design.vectors.spikes).any()

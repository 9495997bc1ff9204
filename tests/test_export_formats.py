"""neurosim export --to nir, mem and spice: from a design to files that others run."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_design import small_design
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.errors import ExperimentError
from neurosim.export import ExportWarning, default_out, read_settings, write
from neurosim.export.design import Design
from neurosim.export.memory import simulate_verilog
from neurosim.export.netlist import run_spice


def exported(design: Design, to: str, out: Path, *settings: str) -> list[str]:
    """Warnings of an export."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert write(design, to, out, read_settings(to, settings)) == [out]
    assert all(one.category is ExportWarning for one in caught)
    return [str(one.message) for one in caught]


def test_memory_images_of_a_design(tmp_path: Path) -> None:
    design = small_design()
    notes = exported(design, "mem", tmp_path / "mem", "leak_bits=20", "fraction_bits=10")
    assert "left out: white read noise of the cells" in notes
    manifest = json.loads((tmp_path / "mem/manifest.json").read_text())
    assert manifest["fingerprint"] == design.fingerprint
    assert manifest["constants"]["LEAK_BITS"] == 20
    assert manifest["constants"]["ADC_MAX"] == 2 ** (design.chip.crossbar.adc_bits - 1) - 1
    facts = manifest["agreement"]
    assert facts["spikes"] == design.vectors.spikes.sum() > 20
    assert facts["spikes_differ"] <= 0.02 * facts["spikes"]
    if facts["spikes_differ"] == 0:
        lines = (tmp_path / "mem/answer.hex").read_text().split()
        codes = design.projection.codes[[int(line, 16) for line in lines]]
        assert_array_equal(codes, design.vectors.answer_integer)


@pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus Verilog is not installed")
def test_a_designs_memory_images_run_in_verilog(tmp_path: Path) -> None:
    exported(small_design(), "mem", tmp_path / "mem")
    _, _, counted = simulate_verilog(tmp_path / "mem")
    assert counted == {"recordings": 4, "spikes_differ": 0, "scores_differ": 0, "answers_differ": 0}


def test_a_coarse_chip_is_warned_of(tmp_path: Path) -> None:
    notes = exported(small_design(), "mem", tmp_path / "mem", "leak_bits=2")
    assert any("in whole numbers" in text and "beta is 0.75 for 0.7;" in text for text in notes)


def test_graph_of_a_design(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir", reason="the package nir is not installed")
    design = small_design()
    notes = exported(design, "nir", tmp_path / "x.nir", "dt=1e-4")
    assert any(text.startswith("not in the graph: converters") for text in notes)
    assert any("of 3 segments" in text for text in notes)
    assert any("dt = 0.0001 s" in text for text in notes)
    meta = nir.read(tmp_path / "x.nir").metadata
    assert meta["fingerprint"] == design.fingerprint
    assert meta["classes"].split("\n") == list(design.classes)
    assert meta["spikes"] == design.vectors.spikes.sum()
    # what is counted is what the chip does without converters
    bare = small_design("array.adc_bits=0")
    assert not any("converters" in text for text in exported(bare, "nir", tmp_path / "y.nir"))
    assert nir.read(tmp_path / "y.nir").metadata["spikes_differ"] == 0


def test_netlist_of_a_design(tmp_path: Path) -> None:
    design = small_design("array.wires.r_wire_row=5.0", "array.wires.r_wire_col=3.0")
    assert exported(design, "spice", tmp_path / "tile.cir") == []
    text = (tmp_path / "tile.cir").read_text()
    assert text.startswith(f"* small chip 0 {design.fingerprint}\n")
    expected = [float(line.split()[-1]) for line in text.splitlines() if line.startswith("* expected")]
    cells = design.layout.on_tiles(design.target, 0.0)[0, :15, :32]
    assert len(expected) == 32
    assert sum(expected) < 0.999 * cells.sum() * design.chip.crossbar.macro.v_read.value
    if not shutil.which("ngspice"):
        pytest.skip("ngspice is not installed")
    assert_allclose(run_spice(text), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("to", "settings", "message"),
    [
        ("mem", ["leek_bits=3"], r"--to mem --set: leek_bits: unknown key; did you mean 'leak_bits'\?"),
        ("mem", ["membrane_bits=99"], r"membrane_bits: Input should be less than or equal to 48"),
        ("nir", ["dt"], r"--to nir --set dt: expected key=value in TOML"),
        ("spice", ["dt=1"], r"--set dt=1: 'spice' has no settings, only nir and mem have"),
        ("spize", [], r"unknown format 'spize'; did you mean 'spice'\?"),
    ],
)
def test_settings_are_checked(to: str, settings: list[str], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        read_settings(to, settings)


def test_command_checks_settings_before_it_makes_a_design() -> None:
    done = CliRunner().invoke(app, ["export", "no such run", "--to", "mem", "--set", "leak_bits=0"])
    assert done.exit_code == 2
    assert "leak_bits" in done.output


def test_command_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.export.design.make_design", lambda *_args, **_options: small_design())
    done = CliRunner().invoke(app, ["export", "demo", "--to", "mem", "--out", str(tmp_path / "mem")])
    assert done.exit_code == 0
    assert "Warning: left out: white read noise" in done.output
    assert (tmp_path / "mem/manifest.json").exists()


@pytest.mark.parametrize(
    ("to", "name"), [("nir", "export.nir"), ("mem", "export_mem"), ("spice", "export.cir")]
)
def test_default_place(to: str, name: str, tmp_path: Path) -> None:
    assert default_out(str(tmp_path), to) == tmp_path / name


@pytest.mark.parametrize("to", ["mem", "spice"])
def test_an_export_that_fails_leaves_what_was_there(
    to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    exported(small_design(), to, out)

    def digest() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in [out, *out.rglob("*")] if file.is_file()}

    before = digest()

    def full(*_args: object, **_options: object) -> int:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space left"):
        exported(small_design(), to, out)
    assert digest() == before
    assert [file.name for file in tmp_path.iterdir()] == ["out"]

"""Macro images: what is written is read again, by our reader and by plain h5py; CSV says the same."""

import csv
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_design import COLS, ROWS, small_design

from neurosim.errors import ExperimentError, ImageError
from neurosim.export import default_out, write
from neurosim.export.design import Design
from neurosim.export.image import read_macro
from neurosim.export.schema import FIELDS, layer_fields
from neurosim.reservoir import simulate
from neurosim.store import sha256

DOCS = Path(__file__).parents[1] / "docs" / "formats.md"
WAN, PULSED = "device.card=rram_wan2022", "device.card=rram_radar_pulses2021"
DESIGNS = {
    "formed": (),
    "ideal": ("device.card=ideal", "array.macro=ideal"),
    "programmed": (WAN, "readout.kind=mlp", "readout.scaling=sqrt", "readout.epochs=2"),
    "pulses": (PULSED, "device.write_verify.tolerance=8e-6"),
    "separate": ("array.pairs=separate", "array.adc_bits=6", "array.adc_full_scale=calibrated"),
    "converters": ("array.adc_sigma_gain=0.02", "array.adc_sigma_offset=0.5", "array.adc_inl=0.5"),
    "wires": ("array.wires.r_wire_row=2.0", "array.wires.r_wire_col=2.0"),
    "curved": ("device.v_nonlinear=0.25", "reservoir.weights=int8"),
    "float": ("reservoir.weights=float32", "reservoir.spectral_radius=0.8"),
    "old": (WAN, "device.t_after_programming=3600.0", "ageing.trained_at=0.0"),
}


@pytest.fixture(params=DESIGNS, scope="module")
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Design, Path]:
    design = small_design(*DESIGNS[request.param])
    path = tmp_path_factory.mktemp("images") / "image.h5"
    assert write(design, "macro", path) == [path]
    return design, path


def assert_same(one: Any, other: Any) -> None:
    """Equal arrays, numbers and texts, down through dataclasses."""
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert_array_equal(one, other)
    elif hasattr(one, "__dataclass_fields__"):
        for name in one.__dataclass_fields__:
            assert_same(getattr(one, name), getattr(other, name))
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other or one is other


def test_image_is_read_as_the_design(pair: tuple[Design, Path]) -> None:
    design, path = pair
    again = read_macro(path)
    for name in ("layout", "projection", "vectors", "accuracy", "levels", "tolerance", "formed", "classes"):
        assert_same(getattr(design, name), getattr(again, name))
    for name in ("target", "fingerprint", "resolved", "versions", "n_steps", "sensor", "quantised"):
        assert_same(getattr(design, name), getattr(again, name))
    for name in ("threshold", "adc_step", "adc_max", "adc_errors", "beta", "alpha", "n_refractory"):
        assert_same(getattr(design.liquid, name), getattr(again.liquid, name))
    assert_same(design.chip.liquid.weights, again.chip.liquid.weights)


def test_design_that_was_read_fires_the_same_spikes(pair: tuple[Design, Path]) -> None:
    design, path = pair
    again = read_macro(path)
    states = simulate(again.liquid, again.vectors.binned, spikes=True)
    assert states.spikes is not None
    assert_array_equal(states.spikes, design.vectors.spikes)
    assert_array_equal(again.projection.predict(states.x), design.vectors.answer)
    assert_array_equal(again.projection.predict_integer(states.x), design.vectors.answer_integer)


def test_file_is_plain_hdf5_as_the_document_says(pair: tuple[Design, Path]) -> None:
    """A reader made from docs/formats.md alone: weights, spikes and answers without a line of neurosim."""
    design, path = pair
    data = path.read_bytes()
    head = data[:512].rstrip(b"\0").decode()
    assert head == f"neurosim.macro/1 sha256={hashlib.sha256(data[512:]).hexdigest()}\n"
    with h5py.File(path) as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in names:
            dataset = file[name]
            assert dataset.dtype.kind in "iufS", name
            raw = bytes(dataset[()]) if dataset.dtype.kind == "S" else dataset[()].tobytes()
            assert dataset.attrs["sha256"].decode() == hashlib.sha256(raw).hexdigest(), name
            assert dataset.attrs["unit"].decode(), name
        get = {name: file[name][()] for name in names}
        say = dict(file.attrs)
        layers = int(file["projection"].attrs["layers"])
    used = get["tiles/pair"] >= 0
    g = np.zeros((2, say["rows"] * say["cols"]), np.float32)
    for i, side in enumerate((1, -1)):
        here = get["tiles/side"] == side
        g[i, get["tiles/pair"][here]] = get["tiles/target"][here]
    assert used.sum() == g.size
    if design.chip.crossbar.wires is None:
        dg = (g[0] - g[1]).astype(np.float64)
        weights = np.zeros((say["n_channels"], say["n_neurons"]))
        pre, post, pair_ = (get[f"synapses/input_{part}"] for part in ("pre", "post", "pair"))
        weights[pre, post] = dg[pair_] * (say["scaling_input"] / say["lsb"])
        whole = design.experiment.reservoir.weights != "float32"
        assert_allclose(np.rint(weights) if whole else weights, design.liquid.weights.matrices[0], rtol=1e-6)
    ptr, neuron = get["vectors/spike_ptr"], get["vectors/spike_neuron"]
    states = np.zeros((len(ptr), len(get["projection/mean"])))
    n_steps, n_features = ptr.shape[1] - 1, int(say["n_features"])
    for i in range(len(ptr)):
        for step in range(n_steps):
            segment = step * (states.shape[1] // n_features) // n_steps
            for j in neuron[ptr[i, step] : ptr[i, step + 1]]:
                states[i, segment * n_features + get["neurons/feature"][j]] += 1
    z = np.sqrt(states) if design.projection.scaling.root else states
    z = (z - get["projection/mean"]) / get["projection/scale"]
    for k in range(layers):
        z = (np.maximum(z, 0) if k else z) @ get[f"projection/{k}/weight"] + get[f"projection/{k}/bias"]
    assert_array_equal(get["projection/code"][z.argmax(axis=1)], get["vectors/answer"])


def test_document_lists_every_dataset() -> None:
    line = re.compile(r"^\| `([a-z_/0-9K]+)` \| (\w+) \| ([\w+, ()]*) \| (\S+) \|", re.MULTILINE)
    rows = line.findall(DOCS.read_text("utf-8"))
    said = {name: (dtype, dims, unit) for name, dtype, dims, unit in rows}
    fields = (*FIELDS, *layer_fields(0, last=False))
    for field in fields:
        name = field.name.replace("projection/0", "projection/K")
        dims = "in, out" if len(field.dims) == 2 and "/0/" in field.name else ", ".join(field.dims)
        dims = "out" if "/0/" in field.name and len(field.dims) == 1 else dims
        assert said[name] == (np.dtype(field.dtype).name, dims, field.unit), name


def test_lines_and_sources_are_said() -> None:
    design = small_design()
    from neurosim.export.macro import contents
    from neurosim.export.plan import make_plan

    arrays, attributes, _ = contents(design, make_plan(design))
    roles = arrays["tiles/row_role"][0]
    rows, cols = design.liquid.wiring.shape
    assert roles.shape == (1, ROWS)
    assert roles.sum() == rows
    assert arrays["tiles/col_role"][0].sum() == 2 * cols
    assert arrays["tiles/col_role"][0].shape == (1, COLS)
    assert_array_equal(arrays["crossbar/col_neuron"][0], np.arange(cols))
    source, inputs = arrays["crossbar/row_source"][0], design.liquid.wiring.inputs
    for row in range(rows):
        driving = set(inputs.pre[inputs.pair // cols == row].tolist())
        assert source[row] == (driving.pop() if len(driving) == 1 else -1) or row >= rows - 4
    assert attributes["plan@mode"] == "form"
    assert 3 < float(attributes["plan@v_forming"]) < 4
    forming = arrays["tiles/forming"][0]
    assert_array_equal(forming[~design.layout.used], 1)
    assert_array_equal(design.layout.of_cells(forming), design.formed)


def test_plan_is_what_write_verify_does() -> None:
    from neurosim.device import open_loop, write_verify
    from neurosim.export.plan import make_plan

    design = small_design(*DESIGNS["pulses"])
    plan, config = make_plan(design), design.experiment.device
    assert plan.mode == "write_verify"
    card, procedure = design.chip.crossbar.pos.card, config.write_verify
    assert procedure is not None
    runs = [write_verify(card, design.target, procedure, seed=7, name=f"other{i}") for i in range(20)]
    assert_allclose(plan.pulses.mean(), np.mean([run.n_pulses.mean() for run in runs]), rtol=0.05)
    assert_allclose(plan.energy.sum(), np.mean([run.energy.sum() for run in runs]), rtol=0.05)
    assert_allclose(plan.time.sum(), np.mean([run.time.sum() for run in runs]), rtol=0.05)
    # the first pulses alone bring the median of many cells near to their targets
    middle = np.abs(design.target - np.median(design.target)).argmin()
    v, n = plan.v_first.flat[middle], int(plan.n_first.flat[middle])
    g = open_loop(card, [float(v)] * n, 2000, seed=1, name="median")[-1]
    assert_allclose(np.median(g), design.target.flat[middle], rtol=0.25)


def test_card_that_knows_no_pulses_has_no_plan() -> None:
    from neurosim.export.plan import make_plan

    plan = make_plan(small_design(WAN))
    assert plan.mode == "target"
    assert not plan.pulses.size


# ---- CSV -------------------------------------------------------------------------------------------


def table(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def test_csv_says_the_same_as_the_image(tmp_path: Path) -> None:
    design = small_design(*DESIGNS["pulses"])
    (manifest,) = write(design, "csv", tmp_path / "tables")
    folder, said = manifest.parent, json.loads(manifest.read_text())
    assert said["schema"] == "neurosim.macro_csv/1"
    assert said["sha256"] == {file.name: sha256(file) for file in folder.glob("*.csv")}
    assert said["attributes"]["fingerprint"] == design.fingerprint
    assert said["experiment"] == design.resolved
    tile = table(folder / "tile0.csv")
    target = np.array(tile["target_S"], np.float32).reshape(ROWS, COLS)
    assert_array_equal(design.layout.of_cells(target[None]), design.target)
    assert {"row", "col", "pair", "side", "tolerance_S", "pulses", "energy_J", "time_s"} <= tile.keys()
    assert_array_equal(
        np.array(table(folder / "neurons.csv")["threshold"], np.float32), design.liquid.threshold
    )
    weight = np.array(list(table(folder / "projection_0_weight.csv").values()), np.float32).T
    assert_array_equal(weight, design.projection.layers[0][0])
    events = table(folder / "vectors_events.csv")
    assert len(events["channel"]) == len(design.vectors.binned.channels)
    spikes = table(folder / "vectors_spikes.csv")
    where = tuple(np.array(spikes[name], np.int64) for name in ("vector", "step", "spike_neuron"))
    assert design.vectors.spikes[where].all()
    assert len(where[0]) == design.vectors.spikes.sum()


@pytest.mark.parametrize("to", ["csv", "mem"])
@pytest.mark.filterwarnings("ignore::neurosim.export.ExportWarning")
def test_folder_replaces_its_like_and_nothing_else(to: str, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    write(small_design(), to, folder)
    (folder / "left.txt").write_text("over")
    write(small_design(), to, folder)
    assert not (folder / "left.txt").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(ImageError, match="is there and is no earlier export"):
        write(small_design(), to, mine)
    assert (mine / "thesis.tex").read_text() == "years of work"


def test_unknown_format_is_said(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="did you mean 'macro'"):
        write(small_design(), "makro", tmp_path)


def test_default_place_is_beside_the_run(tmp_path: Path) -> None:
    assert default_out(str(tmp_path), "macro") == tmp_path / "export.h5"
    assert default_out("runs/a.toml", "csv") == Path("runs/a_csv")

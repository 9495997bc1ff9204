"""Reading a macro image: a design again, or a message that says what is wrong with the file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.array import ColumnErrors, build_crossbar
from neurosim.errors import ImageError
from neurosim.events.types import Binned, Sensor
from neurosim.experiment import Experiment
from neurosim.export.design import Design, Vectors
from neurosim.export.hdf5 import Reader, opened
from neurosim.export.layout import SIDES, Layout
from neurosim.export.projection import IntegerLayer, IntegerProjection, Projection
from neurosim.export.restore import restore
from neurosim.export.schema import FIELDS, MAX_CELLS, MAX_LAYERS, SCHEMA, TILES, layer_fields
from neurosim.readout.base import StateScaling
from neurosim.reservoir import Chip, Liquid, Synapses, Weights, Wiring

Array = npt.NDArray[Any]

NUMBERS = (
    ("dt", 1e-9, 1e6),
    ("scaling_input", 1e-30, 1e30),
    ("scaling_recurrent", 1e-30, 1e30),
    ("lsb", 1e-30, 1e30),
    ("adc_step", 0.0, 1e30),
    ("adc_max", 0.0, 1e30),
    ("chip", 0, 1e6),
)


def read_macro(path: Path) -> Design:
    """The design in a macro image, checked as a whole.

    Args:
        path: The file.

    Raises:
        DataNotFoundError: If there is no such file.
        ExperimentError: If the experiment in it is wrong.
        ImageError: If the file is damaged, of another schema, or contradicts itself.
    """
    with opened(path, SCHEMA, sealed=True) as reader:
        sizes = _sizes(reader)
        arrays = {
            field.name: reader.array(field, sizes)
            for field in FIELDS
            if not field.optional or reader.has(field.name)
        }
        projection = _read_projection(reader, arrays, sizes)
        _check(reader, arrays, sizes)
        texts = {name: _json(reader, f"design/{name}") for name in ("experiment", "versions", "classes")}
        numbers = {name: reader.number("", name, low, high) for name, low, high in NUMBERS}
        quantised = bool(reader.whole("quantised", 0, 1))
        mark = reader.attribute("", "fingerprint", str)
        accuracy = {
            name: reader.number("design", f"accuracy_{name}", 0, 1)
            for name in ("simulated", "integer", *(["quantised"] if quantised else []))
        }
        classes = texts["classes"]
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise reader.fail("design/classes", "must be a list of names")
        if arrays["projection/code"].max(initial=0) >= len(classes):
            raise reader.fail("projection/code", f"class outside 0 .. {len(classes) - 1}")
        vectors = _read_vectors(reader, arrays, sizes, numbers["dt"], tuple(classes))
    experiment = restore(texts["experiment"], where=str(path))
    n_states = sizes["n_features"] * experiment.reservoir.states.n_segments
    if sizes["n_states"] != n_states:
        raise ImageError(f"{path}: projection of {sizes['n_states']} states; its experiment has {n_states}")
    layout = _layout(arrays, sizes)
    chip = _chip(path, experiment, _wiring(arrays, sizes), arrays, numbers, sizes)
    target = layout.of_cells(arrays["tiles/target"])
    sides = zip((chip.crossbar.pos, chip.crossbar.neg), target, strict=True)
    chip = chip.with_cells(*(replace(side, g=g) for side, g in sides))
    signs = arrays.get("synapses/recurrent_sign", np.zeros(0))
    forced = chip.liquid.weights.rec_sign
    if not np.array_equal(signs, np.zeros_like(signs) if forced is None else forced):
        raise ImageError(f"{path}: synapses/recurrent_sign: not those of its experiment and seed")
    return Design(
        experiment=experiment,
        resolved=texts["experiment"],
        fingerprint=mark,
        versions=texts["versions"],
        n_steps=vectors.binned.n_steps,
        sensor=vectors.binned.sensor,
        chip=chip,
        layout=layout,
        tolerance=layout.of_cells(arrays["tiles/tolerance"]),
        formed=np.asarray(layout.of_cells(arrays["tiles/forming"]) == 1)
        | (chip.crossbar.pos.card.forming is None),
        projection=projection,
        classes=tuple(classes),
        vectors=vectors,
        quantised=quantised,
        levels=arrays.get("design/levels", np.empty(0)),
        accuracy=accuracy,
    )


def _read_vectors(
    reader: Reader, arrays: dict[str, Array], sizes: dict[str, int], dt: float, classes: tuple[str, ...]
) -> Vectors:
    sensor = Sensor(*(reader.whole(f"sensor_{side}", 1, 65536) for side in ("width", "height", "polarities")))
    if sensor.n_channels != sizes["n_channels"]:
        raise reader.fail("@n_channels", f"must be {sensor.n_channels}, those of the sensor")
    n, n_steps = len(arrays["vectors/label"]), reader.whole("n_steps", 1, 100_000)
    counts = np.diff(arrays["vectors/spike_ptr"], axis=1)
    if counts.shape[1] != n_steps:
        raise reader.fail("vectors/spike_ptr", f"{counts.shape[1]} steps, @n_steps says {n_steps}")
    spikes = np.zeros((n, n_steps, sizes["n_neurons"]), np.uint8)
    i, t = np.divmod(np.repeat(np.arange(n * n_steps), counts.ravel()), n_steps)
    spikes[i, t, arrays["vectors/spike_neuron"]] = 1
    binned = Binned(
        channels=arrays["vectors/channel"],
        ptr=arrays["vectors/step_ptr"],
        labels=arrays["vectors/label"],
        sensor=sensor,
        dt=dt,
        classes=classes,
        max_count=reader.whole("max_count", 0, 2**31 - 1),
    )
    return Vectors(binned, spikes, arrays["vectors/answer"], arrays["vectors/answer_integer"])


def _sizes(reader: Reader) -> dict[str, int]:
    """Lengths that the root says, so far as they may be allocated."""
    sizes = {
        name: reader.whole(name, 1, high)
        for name, high in (
            ("tiles", 4096),
            ("tile_rows", 65_536),
            ("tile_cols", 65_536),
            ("rows", 2 * 65_536),
            ("cols", 65_536),
            ("n_neurons", 65_535),
            ("n_channels", 65_536),
            ("n_features", 65_535),
            ("reads_per_step", 65_535),
        )
    }
    for what, names in (("cells", TILES), ("pairs", ("rows", "cols"))):
        n = int(np.prod([sizes[name] for name in names], dtype=object))
        if n > MAX_CELLS:
            raise reader.fail(f"@{names[0]}", f"{n:,} {what}; at most {MAX_CELLS:,} are read")
    if sizes["n_neurons"] % sizes["cols"]:  # the kernel walks the neurons column by column, unchecked
        raise reader.fail("@n_neurons", f"{sizes['n_neurons']} is no multiple of {sizes['cols']} columns")
    return sizes


def _json(reader: Reader, name: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        return json.loads(reader.text(name), parse_constant=refuse)
    except (ValueError, RecursionError) as why:
        if isinstance(why, ImageError):
            raise
        raise reader.fail(name, f"not JSON: {why}") from None


def _read_projection(reader: Reader, arrays: dict[str, Array], sizes: dict[str, int]) -> Projection:
    n = reader.attribute("projection", "layers", int)
    if not 1 <= n <= MAX_LAYERS:
        raise reader.fail("projection@layers", f"{n} is outside 1 .. {MAX_LAYERS}")
    layers, whole = [], []
    for i in range(n):
        weight, bias, weight_integer, bias_integer = (
            reader.array(field, sizes) for field in layer_fields(i, i + 1 == n)
        )
        layers.append((weight, bias))
        scale = reader.number(f"projection/{i}", "scale", 1e-300, 1e300)
        shift = int(reader.number(f"projection/{i}", "shift", 0, 62))
        whole.append(IntegerLayer(weight_integer, bias_integer, scale, shift))
    root = bool(reader.number("projection", "root", 0, 1))
    unit = reader.number("projection", "state_unit", 1e-300, 1e300)
    scaling = StateScaling(root, arrays["projection/mean"], arrays["projection/scale"])
    return Projection(scaling, layers, arrays["projection/code"], IntegerProjection(unit, root, tuple(whole)))


def _check(reader: Reader, arrays: dict[str, Array], sizes: dict[str, int]) -> None:
    """Whether numbers that point at each other do."""
    n_pairs, n_channels, n_neurons = sizes["rows"] * sizes["cols"], sizes["n_channels"], sizes["n_neurons"]
    limits = {
        "tiles/pair": n_pairs,
        "synapses/input_pre": n_channels,
        "synapses/input_post": n_neurons,
        "synapses/input_pair": n_pairs,
        "synapses/recurrent_pre": n_neurons,
        "synapses/recurrent_post": n_neurons,
        "synapses/recurrent_pair": n_pairs,
        "neurons/feature": sizes["n_features"],
        "vectors/channel": n_channels,
        "vectors/spike_neuron": n_neurons,
    }
    for name, values in arrays.items():
        if not values.size and name not in ("vectors/channel", "vectors/spike_neuron"):
            raise reader.fail(name, "is empty")
    for name, limit in limits.items():
        if name in arrays and arrays[name].max(initial=0) >= limit:
            raise reader.fail(name, f"{arrays[name].max()} is not below {limit}")
    recurrent = [name for name in arrays if name.startswith("synapses/recurrent")]
    if len(recurrent) not in (0, 4):
        raise reader.fail(
            "synapses", f"only {', '.join(sorted(recurrent))}; recurrent synapses need all four"
        )
    pair, side = arrays["tiles/pair"], arrays["tiles/side"]
    used = side != 0
    key = 2 * pair[used].astype(np.int64) + (side[used] < 0)
    if ((pair >= 0) != used).any() or not np.array_equal(np.sort(key), np.arange(2 * n_pairs)):
        raise reader.fail(
            "tiles/pair", "every pair must have one cell of either side, and no other cell a pair"
        )
    for name, items in (("step_ptr", "channel"), ("spike_ptr", "spike_neuron")):
        ptr = arrays[f"vectors/{name}"]
        if (np.diff(ptr.ravel()) < 0).any() or (ptr[1:, 0] != ptr[:-1, -1]).any() or ptr[0, 0] != 0:
            raise reader.fail(f"vectors/{name}", "must rise from 0, without gaps between vectors")
        if ptr[-1, -1] != len(arrays[f"vectors/{items}"]):
            raise reader.fail(f"vectors/{name}", f"must end at {len(arrays[f'vectors/{items}'])}")
    n_spikes = len(arrays["vectors/label"]) * (sizes["steps+1"] - 1) * n_neurons
    if n_spikes > MAX_CELLS * 16:
        raise reader.fail("vectors/spike_ptr", f"vectors of {n_spikes:,} neurons and steps; give fewer")


def _wiring(arrays: dict[str, Array], sizes: dict[str, int]) -> Wiring:
    def synapses(side: str, n_pre: int) -> Synapses:
        return Synapses(n_pre, *(arrays[f"synapses/{side}_{name}"] for name in ("pre", "post", "pair")))

    n = sizes["n_neurons"]
    return Wiring(
        shape=(sizes["rows"], sizes["cols"]),
        n_neurons=n,
        inputs=synapses("input", sizes["n_channels"]),
        recurrent=synapses("recurrent", n) if "synapses/recurrent_pre" in arrays else None,
        feature=arrays["neurons/feature"],
        n_features=sizes["n_features"],
        reads_per_step=sizes["reads_per_step"],
    )


def _chip(
    path: Path,
    experiment: Experiment,
    wiring: Wiring,
    arrays: dict[str, Array],
    numbers: dict[str, float],
    sizes: dict[str, int],
) -> Chip:
    """The chip of the experiment, with what is digital as the image says it."""
    number = numbers["chip"]
    crossbar = build_crossbar(
        experiment.array, experiment.device, wiring.shape, seed=experiment.seed, chip=int(number)
    )
    macro = crossbar.macro
    said = tuple(sizes[name] for name in TILES)
    expected = (crossbar.tiles.n_tiles, macro.rows.value, macro.cols.value)
    if said != expected:
        raise ImageError(f"{path}: {said} tiles, rows and columns; its macro card makes them {expected}")
    errors: ColumnErrors | None = ColumnErrors(
        *(arrays[f"crossbar/adc_{name}"] for name in ("gain", "offset", "inl"))
    )
    if not any(arrays[f"crossbar/adc_{name}"].any() for name in ("gain", "offset", "inl")):
        errors = None
    config = experiment.reservoir
    empty = np.empty(0, config.weights)
    weights = Weights(
        wiring,
        (numbers["scaling_input"], numbers["scaling_recurrent"]),
        numbers["lsb"],
        empty,
        empty,
        None,
        np.empty(0, np.uint8),
        0.0,
    )
    liquid = Liquid(
        weights=weights,
        config=config,
        dt=numbers["dt"],
        threshold=arrays["neurons/threshold"],
        adc_step=numbers["adc_step"],
        adc_max=numbers["adc_max"],
        adc_errors=errors and errors.of_columns(wiring.column),
    )
    return Chip(int(number), experiment.seed, replace(crossbar, adc_errors=errors), liquid)


def _layout(arrays: dict[str, Array], sizes: dict[str, int]) -> Layout:
    """Places of the cells, from what every place on a tile holds."""
    pair, side = arrays["tiles/pair"], arrays["tiles/side"]
    places = np.empty((3, 2, sizes["rows"] * sizes["cols"]), np.int32)
    for i, sign in enumerate(SIDES):
        at = np.nonzero(side == sign)
        places[:, i, pair[at]] = at
    tile, row, col = places.reshape(3, 2, sizes["rows"], sizes["cols"])
    dead_rows, dead_cols = (arrays[f"tiles/{lines}_role"] == 2 for lines in ("row", "col"))
    return Layout(
        sizes["tiles"], (sizes["tile_rows"], sizes["tile_cols"]), tile, row, col, dead_rows, dead_cols
    )

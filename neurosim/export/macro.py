"""The macro image: a design written as HDF5, ``neurosim.macro/1`` (docs/formats.md)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.export.design import Design, Vectors
from neurosim.export.hdf5 import write_file
from neurosim.export.plan import Plan, make_plan
from neurosim.export.schema import PLAN, SCHEMA, fields_by_name, layer_fields
from neurosim.reservoir import Weights, Wiring

Array = npt.NDArray[Any]


def write_macro(design: Design, out: Path) -> list[Path]:
    """Write a design as a macro image.

    Args:
        design: What is to be programmed.
        out: The file, replaced atomically.

    Returns:
        The file.
    """
    arrays, attributes, texts = contents(design, make_plan(design))
    write_file(out, SCHEMA, attributes, texts, arrays)
    return [out]


def contents(
    design: Design, plan: Plan
) -> tuple[dict[str, tuple[Array, str]], dict[str, str | int | float], dict[str, str]]:
    """Arrays with their units, attributes and texts of the image of a design."""
    chip, liquid, layout = design.chip, design.chip.liquid, design.layout
    w, wiring, crossbar = liquid.weights, liquid.wiring, chip.crossbar
    cols = wiring.shape[1]
    errors = crossbar.adc_errors
    full_scale = liquid.adc_full_scale * crossbar.macro.v_read.value
    none = np.zeros(cols, np.float32)
    pair, side = layout.pairs
    projection = design.projection
    values: dict[str, Array] = {
        "tiles/target": layout.on_tiles(design.target, 0),
        "tiles/tolerance": layout.on_tiles(design.tolerance, 0),
        "tiles/forming": _forming(design),
        "tiles/pair": pair,
        "tiles/side": side,
        "tiles/row_role": layout.roles[0],
        "tiles/col_role": layout.roles[1],
        "crossbar/row_source": _row_source(wiring),
        "crossbar/col_neuron": _only(wiring.column, np.arange(wiring.n_neurons), cols),
        "crossbar/adc_full_scale": np.full(cols, full_scale),
        "crossbar/adc_gain": errors.gain if errors else none,
        "crossbar/adc_offset": errors.offset if errors else none,
        "crossbar/adc_inl": errors.inl if errors else none,
        "neurons/threshold": liquid.threshold,
        "neurons/threshold_code": design.threshold_codes,
        "neurons/feature": wiring.feature,
        "projection/mean": projection.scaling.mean,
        "projection/scale": projection.scaling.scale,
        "projection/code": projection.codes,
        "design/levels": design.levels,
        **_synapses(w),
        **_vectors(design.vectors),
        **{
            f"plan/{name}": layout.on_tiles(getattr(plan, name), 0)
            for name in PLAN
            if getattr(plan, name).size
        },
    }
    integer = projection.integer
    fields = fields_by_name(len(integer.layers))
    for i, ((weight, bias), whole) in enumerate(zip(projection.layers, integer.layers, strict=True)):
        parts = (weight, bias, whole.weight, whole.bias)
        named = layer_fields(i, i + 1 == len(integer.layers))
        values |= {field.name: part for field, part in zip(named, parts, strict=True)}
    arrays = {
        name: (np.asarray(part).astype(fields[name].dtype), fields[name].unit)
        for name, part in values.items()
        if np.size(part) or not fields[name].optional
    }
    attributes: dict[str, str | int | float] = {
        "name": design.experiment.name,
        "fingerprint": design.fingerprint,
        "seed": chip.seed,
        "chip": chip.number,
        "quantised": int(design.quantised),
        "tiles": layout.n_tiles,
        "tile_rows": layout.shape[0],
        "tile_cols": layout.shape[1],
        "rows": wiring.shape[0],
        "cols": cols,
        "n_neurons": wiring.n_neurons,
        "n_channels": design.sensor.n_channels,
        "sensor_width": design.sensor.width,
        "sensor_height": design.sensor.height,
        "sensor_polarities": design.sensor.polarities,
        "n_features": wiring.n_features,
        "reads_per_step": wiring.reads_per_step,
        "n_steps": design.n_steps,
        "dt": liquid.dt,
        "v_read": crossbar.macro.v_read.value,
        "adc_bits": crossbar.adc_bits,
        "scaling_input": w.scaling[0],
        "scaling_recurrent": w.scaling[1],
        "lsb": w.lsb,
        "beta": liquid.beta,
        "alpha": liquid.alpha,
        "reset": liquid.config.reset,
        "refractory_steps": liquid.n_refractory,
        "adc_step": liquid.adc_step,
        "adc_max": liquid.adc_max,
        "threshold_unit": design.threshold_unit,
        "max_count": design.vectors.binned.max_count,
        "plan@mode": plan.mode,
        "plan@v_forming": plan.v_forming,
        "plan@width": plan.width,
        "plan@failed": plan.failed,
        "plan@total_energy": float(plan.energy.sum(dtype=np.float64)),
        "plan@total_time": float(plan.time.sum(dtype=np.float64)),
        "projection@layers": len(integer.layers),
        "projection@root": int(integer.root),
        "projection@state_unit": integer.unit,
        **{f"projection/{i}@scale": layer.scale for i, layer in enumerate(integer.layers)},
        **{f"projection/{i}@shift": layer.shift for i, layer in enumerate(integer.layers)},
        **{f"design@accuracy_{name}": value for name, value in design.accuracy.items()},
    }
    texts = {
        "design/experiment": json.dumps(design.resolved, sort_keys=True),
        "design/versions": json.dumps(design.versions, sort_keys=True),
        "design/classes": json.dumps(list(design.classes)),
    }
    return arrays, attributes, texts


def _forming(design: Design) -> Array:
    """Cells that get the forming pulse: those in use, and those that may stand in for them."""
    layout = design.layout
    if design.chip.crossbar.pos.card.forming is None:
        return np.zeros((layout.n_tiles, *layout.shape), np.uint8)
    rows, cols = layout.roles
    return np.where(
        layout.used, layout.on_tiles(design.formed, False), (rows != 2)[:, :, None] & (cols != 2)[:, None]
    )


def _only(place: Array, what: Array, n: int) -> Array:
    """For each of ``n`` places what stands there, -1 where there are several or none."""
    first = np.full(n, -1)
    first[place] = what
    last = np.full(n, -1)
    last[place[::-1]] = what[::-1]
    return np.where(first == last, first, -1)


def _row_source(wiring: Wiring) -> Array:
    cols, inputs, recurrent = wiring.shape[1], wiring.inputs, wiring.recurrent
    rows, sources = [inputs.pair // cols], [inputs.pre]
    if recurrent is not None:
        rows.append(recurrent.pair // cols)
        sources.append(recurrent.pre + inputs.n_pre)
    row, source = np.concatenate(rows), np.concatenate(sources)
    lowest, highest = np.full(wiring.shape[0], 2**31 - 1), np.full(wiring.shape[0], -1)
    np.minimum.at(lowest, row, source)
    np.maximum.at(highest, row, source)
    return np.where(lowest == highest, highest, -1)


def _synapses(w: Weights) -> dict[str, Array]:
    wiring = w.wiring
    parts = {"input": wiring.inputs} | ({"recurrent": wiring.recurrent} if wiring.recurrent else {})
    arrays = {
        f"synapses/{side}_{name}": getattr(synapses, name)
        for side, synapses in parts.items()
        for name in ("pre", "post", "pair")
    }
    if wiring.recurrent is not None:
        sign = np.zeros(len(wiring.recurrent.pre), np.int8) if w.rec_sign is None else w.rec_sign
        arrays["synapses/recurrent_sign"] = sign
    return arrays


def _vectors(vectors: Vectors) -> dict[str, Array]:
    channel, ends = vectors.binned.packed()
    n, n_steps = len(vectors.binned), vectors.binned.n_steps
    place = np.arange(n)[:, None] * n_steps + np.arange(n_steps + 1)
    neuron = np.nonzero(vectors.spikes)[2]
    spike_ends = np.append(0, np.cumsum(vectors.spikes.sum(axis=2, dtype=np.int64)))
    return {
        "vectors/step_ptr": ends[place],
        "vectors/channel": channel,
        "vectors/label": vectors.binned.labels,
        "vectors/spike_ptr": spike_ends[place],
        "vectors/spike_neuron": neuron,
        "vectors/answer": vectors.answer,
        "vectors/answer_integer": vectors.answer_integer,
    }

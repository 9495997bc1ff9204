"""Speed and size of the macro image of a full 256 Kb tile: see ../README.md.

256 neurons read 256 of 2,312 channels and each other: 512 rows of 256 pairs fill the 512 x 512 cells of the
macro. The design is written and read in turns, both as a whole: from the design to a sealed file, and back to
a design that runs.
"""

import json
import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from neurosim.experiment import load_experiment, prepare
from neurosim.export.design import Design, make_design
from neurosim.export.image import read_macro
from neurosim.export.macro import write_macro

ROUNDS = 5
SETTINGS = [
    *("data.train.n=300", "data.validation.n=100", "data.test.n=100", "chips=1"),
    *(
        "reservoir.topology=sparse",
        "reservoir.n_patches=",
        "reservoir.n_neurons=256",
        "reservoir.states.pool=1",
    ),
    *("reservoir.p_connect=0.1107", "reservoir.p_recurrent=1.0"),
]


def gaussian_bits(values: npt.NDArray[np.float32]) -> float:
    """Entropy of normally distributed float32 numbers [bit]: of the law, over the spacing of the numbers."""
    spread = float(values.std(dtype=np.float64))
    law = math.log2(spread * math.sqrt(2 * math.pi * math.e))
    return values.size * (law - float(np.log2(np.spacing(np.abs(values))).mean(dtype=np.float64)))


def counted_bits(values: npt.NDArray[Any]) -> float:
    """Entropy of numbers that repeat, each drawn on its own [bit]."""
    _, n = np.unique(values, return_counts=True)
    p = n / values.size
    return float(-(n * np.log2(p)).sum())


def information(design: Design) -> dict[str, float]:
    """What an image of a formed array cannot do without [byte]; the rest follows from it or is small text."""
    target, scaling = design.target, design.projection.scaling
    formed = np.stack([design.chip.crossbar.pos.formed, design.chip.crossbar.neg.formed])
    n_neurons, n_channels = design.liquid.wiring.n_neurons, design.sensor.n_channels
    parts = {
        "formed": counted_bits(formed),
        "target": gaussian_bits(target[formed]),
        # a sorted choice of 256 of 2,312 channels for every neuron; every neuron hears all the others
        "input_synapses": design.liquid.wiring.n_neurons
        * math.log2(math.comb(design.sensor.n_channels, 256)),
        "thresholds": gaussian_bits(np.log2(design.liquid.threshold)),
        "projection": sum(gaussian_bits(weight) for weight, _ in design.projection.layers),
        "states": gaussian_bits(scaling.mean) + gaussian_bits(scaling.scale),
        "events": _raster_bits(np.diff(design.vectors.binned.ptr).ravel(), n_channels),
        "spikes": _raster_bits(design.vectors.spikes.sum(axis=2).ravel(), n_neurons),
    }
    return {name: bits / 8 for name, bits in parts.items()}


def _raster_bits(counts: npt.NDArray[Any], n: int) -> float:
    """Of steps in which so many of n lines are active, any of them alike [bit]."""
    return sum(math.log2(math.comb(n, int(k))) for k in counts)


def sizes(path: Path) -> dict[str, int]:
    """Bytes that every dataset takes, which is read as a whole."""
    stored: dict[str, int] = {}

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            item[()]
            stored[name] = item.id.get_storage_size()

    with h5py.File(path) as file:
        file.visititems(look)
    return stored


def main() -> None:
    experiment = load_experiment("demo", SETTINGS)
    design = make_design(experiment, prepared=prepare(experiment))
    assert design.target.size == 512 * 512
    assert design.layout.used.all()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.h5"
        writing, reading, raw = [], [], []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            write_macro(design, path)
            writing.append(time.perf_counter() - start)
            start = time.perf_counter()
            again = read_macro(path)
            reading.append(time.perf_counter() - start)
            start = time.perf_counter()
            stored = sizes(path)
            raw.append(time.perf_counter() - start)
        assert np.array_equal(again.target, design.target)
        size = path.stat().st_size
    bound = information(design)
    print(f"{'part':16} {'information [B]':>16}")
    for name, value in bound.items():
        print(f"{name:16} {value:16,.0f}")
    print(f"\n{'dataset':32} {'stored [B]':>12}")
    for name, value in sorted(stored.items(), key=lambda item: -item[1])[:12]:
        print(f"{name:32} {value:12,}")
    formed_bound = bound["formed"] + bound["target"]
    row = {
        "write_s": round(min(writing), 3),
        "read_s": round(min(reading), 3),
        "ratio_read_h5py": round(min(reading) / min(raw), 2),
        "bytes": size,
        "information_bytes": round(sum(bound.values())),
        "ratio_size": round(size / sum(bound.values()), 3),
        "ratio_target": round(stored["tiles/target"] / formed_bound, 3),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()

"""The chip in whole numbers against the float32 kernel, in Verilog, and a tile in ngspice: see ../README.md.

make bench NAME=rtl [DATA=DIR]
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.array import ArrayConfig
from neurosim.array.wires import Wires, solve
from neurosim.device import DeviceConfig
from neurosim.errors import DataNotFoundError
from neurosim.events.binning import BinningConfig, bin_events
from neurosim.events.datasets import load
from neurosim.events.types import Binned
from neurosim.export.fixed import FixedConfig, fix
from neurosim.export.memory import agreement, save_memory, simulate_verilog
from neurosim.export.netlist import netlist, run_spice
from neurosim.export.projection import Projection, integers
from neurosim.readout.convex import RidgeReadout
from neurosim.reservoir import HomeostasisConfig, ReservoirConfig, make_chip, simulate
from neurosim.reservoir.states import readings_for

BINNING = BinningConfig(n_steps=50, duration=0.31, crop=16, polarity="off")
N_TRAIN, N_VERILOG = 3000, 64
LEAK_BITS = (6, 8, 10, 12, 14, 16, 20, 24)
TILE = 64


def recordings(data: Path | None) -> tuple[str, Binned]:
    try:
        return "N-MNIST", bin_events(load("nmnist", "all", data_dir=data), BINNING)
    except DataNotFoundError:
        return "simulated", bin_events(load("mnist-saccades", "test"), BINNING)


def spice() -> dict[str, float | None]:
    """Largest error of the wire solver over the largest current, ngspice taken as exact."""
    errors: dict[str, float | None] = {}
    draw = np.random.default_rng(0)
    for ohm in (1.0, 10.0, 100.0):
        g, v = draw.lognormal(np.log(3e-5), 0.5, (TILE, TILE)), draw.uniform(0, 0.2, TILE)
        wires = Wires(ohm, ohm)
        ours = solve(g, v, wires)[0]
        error = None
        if shutil.which("ngspice"):
            theirs = run_spice(netlist(g, v, wires))
            error = float(np.abs(ours - theirs).max() / theirs.max())
            lost = 100 * (1 - ours.sum() / (v @ g).sum())
            print(f"ngspice, {TILE} x {TILE}, {ohm:g} ohm: wires take {lost:.0f} %, error {error:.1e}")
        errors[f"ngspice_error_{ohm:g}_ohm"] = error
    return errors


def main() -> None:
    name, test = recordings(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    train = bin_events(load("mnist-saccades", "train", n=N_TRAIN), BINNING)
    config = ReservoirConfig(beta=0.9, read_noise=False, homeostasis=HomeostasisConfig())
    chip = make_chip(config, DeviceConfig(), ArrayConfig(), sensor=train.sensor, dt=train.dt, seed=0)
    liquid = chip.calibrated(train[:200]).liquid
    x = simulate(liquid, train).x
    readout = RidgeReadout(scaling="sqrt").fit(x, train.labels)
    integer = integers(readout.scaling_, readout.layers_, bits=16, largest_state=float(x.max()), whole=True)
    projection = Projection(readout.scaling_, readout.layers_, np.asarray(readout.classes_), integer)
    ours = simulate(liquid, test, spikes=True)
    assert ours.spikes is not None
    results: dict[str, Any] = {"recordings": len(test)}
    print(f"{liquid.wiring.n_neurons} neurons, {len(test)} {name} recordings, {ours.spikes.sum():,} spikes")
    print(
        f"{'leak bits':>9} {'spikes differ':>14} {'recordings':>11} {'answers':>8} {'float':>6} {'fixed':>6}"
    )
    for bits in LEAK_BITS:
        fixed = fix(
            liquid,
            projection,
            readings_for(liquid, test.n_steps),
            max_count=max(train.max_count, test.max_count),
            config=FixedConfig(leak_bits=bits),
        )
        facts = agreement(fixed, test, ours.spikes, projection.predict(ours.x))
        print(
            f"{bits:9d} {facts['spikes_differ']:14,d} {facts['recordings_differ']:11d} "
            f"{facts['answers_differ']:8d} {facts['accuracy']:6.3f} {facts['accuracy_fixed']:6.3f}"
        )
        results |= {
            f"{key}_{bits}": facts[key] for key in ("spikes_differ", "answers_differ", "accuracy_fixed")
        }
    results |= {"spikes": facts["spikes"], "accuracy": facts["accuracy"]}
    counted: dict[str, int] | None = None
    if shutil.which("iverilog"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mem"
            save_memory(path, fixed, test[:N_VERILOG], agreement=facts, origin={})
            _, _, counted = simulate_verilog(path)
        print("Icarus Verilog:", ", ".join(f"{count} {key}" for key, count in counted.items()))
    results |= {"verilog": counted} | spice()
    print(json.dumps(results))


if __name__ == "__main__":
    main()

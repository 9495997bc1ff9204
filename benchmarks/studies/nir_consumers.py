"""Spikes that other packages fire from our NIR files, against ours: see ../README.md.

make peers
make bench NAME=nir_consumers [DATA=DIR]
"""

import contextlib
import importlib
import io
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch

from neurosim.array import ArrayConfig
from neurosim.device import DeviceConfig
from neurosim.errors import DataNotFoundError
from neurosim.events.binning import BinningConfig, bin_events
from neurosim.events.datasets import load
from neurosim.events.types import Binned
from neurosim.export.nir import NirConfig, save_nir, to_nir
from neurosim.reservoir import HomeostasisConfig, ReservoirConfig, make_chip, simulate

N, SEEDS = 64, 3
HOMEOSTASIS = HomeostasisConfig(n_iterations=10, n_recordings=N)
LIQUIDS: dict[str, dict[str, Any]] = {
    "paper": {"beta": 0.9},
    "fast": {"beta": 0.7},
    "synapse": {"beta": 0.9, "tau_syn": 0.02},
    "local": {"topology": "local", "n_neurons": 400, "beta": 0.7},
    "shared": {"topology": "shared", "n_patches": 32, "beta": 0.7},
    "converters": {"beta": 0.9},  # the paper's again, with the macro's converters, which NIR cannot say
}
Module = Callable[..., Any]


def spikingjelly(graph: Any, dt: float) -> Module:
    exchange = importlib.import_module("spikingjelly.activation_based.nir_exchange")
    module: Module = exchange.import_from_nir(graph, dt=dt)
    return module


def norse(graph: Any, dt: float) -> Module:
    module: Module = importlib.import_module("norse.torch").from_nir(graph, dt=dt)
    return module


def snntorch(graph: Any, _dt: float) -> Module:
    module: Module = importlib.import_module("snntorch.import_nir").import_from_nir(graph)
    return module


CONSUMERS = {"spikingjelly": spikingjelly, "norse": norse, "snntorch": snntorch}


def recordings(data: Path | None) -> tuple[str, Binned]:
    binning = BinningConfig(n_steps=50, duration=0.31, crop=16, polarity="off")
    try:
        return "N-MNIST", bin_events(load("nmnist", "all", data_dir=data, n=N), binning)
    except DataNotFoundError:
        return "simulated", bin_events(load("mnist-saccades", "test", n=N), binning)


def differing(consumer: str, liquid: Any, binned: Binned, ours: Any) -> tuple[int, int] | str | None:
    """Spikes and recordings that differ; None: not installed; a text: why it did not run."""
    dt = 1e-4 if consumer == "snntorch" else liquid.dt  # it takes no other
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "liquid.nir"
        save_nir(path, to_nir(liquid, n_steps=binned.n_steps, config=NirConfig(dt=dt)).graph)
        x = torch.from_numpy(np.stack([binned.dense(i) for i in range(len(binned))])).float()
        try:
            with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
                module, state, out = CONSUMERS[consumer](nir.read(path), dt), None, []
                for t in range(binned.n_steps):
                    y, state = module(x[:, t], state)
                    out.append(y[0] if isinstance(y, tuple) else y)
        except ModuleNotFoundError:
            return None
        except Exception as why:  # noqa: BLE001 (whatever an importer raises is its answer)
            return type(why).__name__
    wrong = torch.stack(out, 1).numpy() != ours
    return int(wrong.sum()), int(wrong.any(axis=(1, 2)).sum())


def main() -> None:
    name, binned = recordings(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    print(f"{len(binned)} {name} recordings, {SEEDS} chips each; spikes (recordings) that differ")
    print(
        f"{'liquid':10} {'neurons':>8} {'spikes':>9}" + "".join(f"{consumer:>16}" for consumer in CONSUMERS)
    )
    results: dict[str, Any] = {"recordings": len(binned), "chips": SEEDS}
    same = dict.fromkeys(CONSUMERS, 0)
    for label, options in LIQUIDS.items():
        total, found = 0, {consumer: [] for consumer in CONSUMERS}
        config = ReservoirConfig(read_noise=False, homeostasis=HOMEOSTASIS, **options)
        array = ArrayConfig(adc_bits=None if label == "converters" else 0)
        for number in range(SEEDS):
            chip = make_chip(
                config, DeviceConfig(), array, sensor=binned.sensor, dt=binned.dt, seed=0, number=number
            )
            liquid = chip.calibrated(binned).liquid
            ours = simulate(liquid, binned, spikes=True).spikes
            assert ours is not None
            total += int(ours.sum())
            for consumer, counts in found.items():
                counts.append(differing(consumer, liquid, binned, ours))
        results[f"spikes_{label}"], shown = total, ""
        for consumer, counts in found.items():
            numbers = [count for count in counts if isinstance(count, tuple)]
            differ = [sum(column) for column in zip(*numbers, strict=True)] if len(numbers) == SEEDS else None
            shown += f"{f'{differ[0]} ({differ[1]})' if differ else counts[0] or '-':>16}"
            results[f"differ_{label}_{consumer}"] = differ
            if label != "converters":
                same[consumer] += sum(count == (0, 0) for count in counts)
        print(f"{label:10} {liquid.wiring.n_neurons:8d} {total:9,d}{shown}")
    n_chips = SEEDS * (len(LIQUIDS) - 1)
    for consumer, count in same.items():
        print(f"{consumer}: not one spike differs on {count} of {n_chips} chips")
        results[f"same_{consumer}"] = count
    print(json.dumps(results))


if __name__ == "__main__":
    main()

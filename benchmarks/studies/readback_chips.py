"""Five chips that differ from their design in every way that the cards allow, read back: see ../README.md.

    make bench NAME=readback_chips
    python benchmarks/studies/readback_chips.py RECORDINGS

For a technology that is formed and one that is programmed: one design, five chips made of it with stuck
cells, dead lines, other conditions and read noise, each read eight times. The ideal card shows that nothing
is lost on the way.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from neurosim.experiment import load_experiment, prepare
from neurosim.export.design import make_design
from neurosim.export.image import read_macro
from neurosim.export.macro import write_macro
from neurosim.export.measured import read_measured, write_measured
from neurosim.export.readback import Readback, read_back
from neurosim.export.virtual import virtual_chip
from neurosim.results import accuracy_interval

CHIPS = 5
READS = 8
FAULTS = {"p_stuck": 0.02, "p_dead_row": 0.03, "p_dead_col": 0.02, "sigma_read": 0.05}
WIRE = "wires.r_wire_row=1.0"
CASES: dict[str, tuple[list[str], dict[str, Any]]] = {
    # every cell as wanted: the way itself
    "ideal": (["device.card=ideal", "array.macro=ideal"], {}),
    # formed at random anew by another pulse; 8-bit converters with errors, wires
    "formed": (
        [
            "array.adc_bits=8",
            "array.adc_sigma_offset=0.5",
            "array.adc_sigma_gain=0.01",
            "array.wires.r_wire_row=1.0",
        ],
        FAULTS | {"v_forming": 3.6, "compliance": 0.8},
    ),
    # programmed with the card's errors, then two days old
    "programmed": (["device.card=rram_wan2022"], FAULTS | {"t_after_programming": 172_800.0}),
    # the same design reprogrammed after remapping and read again
    "programmed, second pass": (["device.card=rram_wan2022"], FAULTS | {"t_after_programming": 172_800.0}),
}


def chips(name: str, n_train: int, folder: Path) -> tuple[list[Readback], float]:
    settings, changes = CASES[name]
    experiment = load_experiment(
        "demo", [f"data.train.n={n_train}", "data.validation.n=300", "data.test.n=500", "chips=1", *settings]
    )
    prepared = prepare(experiment)
    design = make_design(experiment, prepared=prepared)
    results = []
    for seed in range(CHIPS):
        image = design
        device = experiment.device.model_copy(update=changes)
        for _ in range(2 if "second" in name else 1):
            write_macro(image, folder / "image.h5")
            image = read_macro(folder / "image.h5")
            reads = virtual_chip(image, device, seed=seed, times=60.0 * np.arange(READS))
            write_measured(reads, folder / "measured.h5", fingerprint=image.fingerprint)
            result = read_back(image, read_measured(str(folder / "measured.h5"), image), prepared=prepared)
            image = result.repaired
        results.append(result)
    return results, design.accuracy["simulated"]


def main(n_train: int = 2000) -> None:
    rows = []
    with TemporaryDirectory() as folder:
        for name in CASES:
            results, intended = chips(name, n_train, Path(folder))
            row: dict[str, Any] = {"case": name, "intended": intended}
            for stage in ("as made", "remapped", "recalibrated", "retrained"):
                # a chip without dead lines in use is as good remapped as before
                right = [round(r.accuracy.get(stage, r.accuracy["as made"]) * r.n_test) for r in results]
                found = accuracy_interval(right, results[0].n_test)
                row[stage] = {"mean": found.mean, "ci95": found.ci95, "per_chip": found.per_chip}
            row["differing_spikes"] = [r.differing_spikes for r in results]
            row["dead_lines"] = [int(r.dead.rows.sum() + r.dead.cols.sum()) for r in results]
            row["to_program"] = [r.to_program for r in results]
            row["error_sigma"] = float(np.mean([r.programming["sigma"] for r in results]))
            rows.append(row)
            print(f"| {name} | {intended:.3f} | ", end="")
            for stage in ("as made", "remapped", "recalibrated", "retrained"):
                low, high = row[stage]["ci95"]
                print(f"{row[stage]['mean']:.3f} [{low:.3f}, {high:.3f}] | ", end="")
            print(f"{min(row['differing_spikes']):,} to {max(row['differing_spikes']):,} |", flush=True)
    print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))

"""Accuracy of the local N-MNIST liquid with each effect of the 40 nm macro alone, and with all together.

Every run has the same five chips, cells, recordings and readout, so that an effect is judged by the mean
of five differences from the undisturbed chip, with the 95 % interval of Student's t. Trained on simulated
events, tested on real recordings. Rows are kept in benchmarks/results/effects.jsonl; a row that is there is
not run again; delete the file to start over.

    make bench NAME=effects DATA=DIR
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from neurosim.experiment import Experiment, Prepared, load_experiment, prepare, run
from neurosim.store import write_text

RESULTS = Path(__file__).parents[1] / "results" / "effects.jsonl"
N_TRAIN, CHIPS = 4_000, 5

IDEAL = {"reservoir.read_noise": False, "array.adc_bits": 0}
NOISE = {"reservoir.read_noise": True}
CONVERTER = {"array.adc_bits": 6, "array.adc_full_scale": "calibrated"}
ERRORS = {"array.adc_sigma_gain": 0.02, "array.adc_sigma_offset": 1.0, "array.adc_inl": 1.0}
WIRES = {"array.wires.r_wire_row": 1.0, "array.wires.r_wire_col": 1.0}
CURVED = {"device.v_nonlinear": 0.25}
FAULTS = {"device.p_stuck": 0.01, "device.p_dead_row": 0.01, "device.p_dead_col": 0.01}
ANALOG = {"readout.analog.adc_bits": 8}
OTHER = {"device.card": "rram_wan2022"}
ROWS: dict[str, dict[str, object]] = {
    "undisturbed": {},
    "read noise of 2 %, white and slow": NOISE,
    "read noise of 10 %": NOISE | {"device.sigma_read": 0.1},
    "14-bit converters of the card": {"array.adc_bits": 14},
    "6-bit converters, calibrated": CONVERTER,
    "the same with gain, offset and INL errors": CONVERTER | ERRORS,
    "4-bit converters, calibrated": CONVERTER | {"array.adc_bits": 4},
    "wires of 1 ohm a cell": WIRES,
    "wires of 10 ohm a cell": dict.fromkeys(WIRES, 10.0),
    "sinh current, V0 = 0.25 V": CURVED,
    "1 % of cells stuck, of rows and of columns dead": FAULTS,
    "half the compliance current": {"device.compliance": 0.5},
    "forming pulse of 3.6 V, 93 % formed": {"device.v_forming": 3.6},
    "projection in memory, 8-bit converters": ANALOG,
    "all together": NOISE | CONVERTER | ERRORS | WIRES | CURVED | FAULTS | ANALOG,
    "another technology: cells of rram_wan2022": OTHER,
    "the same after two days": OTHER | {"device.t_after_programming": 172_800.0},
}


def main(data_dir: Path) -> None:
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    done = {row["effect"]: row for row in map(json.loads, lines)}
    prepared = None if done.keys() >= ROWS.keys() else prepare(experiment({}), data_dir=data_dir)
    for effect, overrides in ROWS.items():
        if effect not in done:
            done[effect] = {"effect": effect, **measure(overrides, prepared)}
            write_text(RESULTS, "".join(json.dumps(done[name]) + "\n" for name in ROWS if name in done))
    rows = [done[effect] for effect in ROWS]
    base = np.array(rows[0]["per_chip"])
    for row in rows:
        low, high = row["ci95"]
        mean, half = difference(np.array(row["per_chip"]), base)
        print(f"{row['effect']:50} {row['mean']:.4f} [{low:.4f}, {high:.4f}]  {mean:+.4f} +- {half:.4f}")
    print(json.dumps({row["effect"]: row["mean"] for row in rows}))


def experiment(overrides: dict[str, object]) -> Experiment:
    size = {"data.train.n": N_TRAIN, "chips": CHIPS}
    settings = [f"{key}={json.dumps(value)}" for key, value in (size | IDEAL | overrides).items()]
    return load_experiment("nmnist_local", settings)


def measure(overrides: dict[str, object], prepared: Prepared | None) -> dict[str, object]:
    """One run: accuracy on the real recordings and what the array did."""
    result = run(experiment(overrides), prepared=prepared)
    return {
        "mean": result.accuracy.mean,
        "ci95": result.accuracy.ci95,
        "per_chip": result.accuracy.per_chip,
        "n_test": result.n_test,
        "validation": [chip.validation_accuracy for chip in result.chips],
        "array": result.array,
        "energy": result.energy["total"],
        "fingerprint": result.fingerprint,
        "versions": result.versions,
    }


def difference(scores: np.ndarray, base: np.ndarray) -> tuple[float, float]:
    """Mean of the chips' differences, and half the width of its 95 % interval."""
    d = scores - base
    return float(d.mean()), float(stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

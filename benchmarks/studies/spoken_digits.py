"""Spoken digits read by a random liquid: official split, speakers left out, and synthetic speech alone.

Three questions on FSDD, six speakers (DIR/fsdd/recordings):

- `official`: takes 0 to 4 are the test, all speakers are known (the example `fsdd`, smaller liquids, and a
  single trained layer).
- `speaker`: each speaker in turn is the test. How training is enriched (copies of other speed and pitch,
  synthetic voices) is chosen by the accuracy on a second speaker, left out of a training of its own (rows
  `choose`), averaged over the six folds. In the final runs the other five speakers are trained on; synthetic
  voices that training does not have stop the readout and choose its weight decay.
- `synthetic`: trained on synthetic voices alone (the example `spoken_digits`), tested on synthetic ones that
  training does not have and on all real recordings.

One row per run in benchmarks/results/spoken_digits.jsonl. A row that is there is not run again; delete the
file to start over.

    make bench NAME=spoken_digits DATA=DIR
"""

import json
import sys
from pathlib import Path

import numpy as np

from neurosim.experiment import load_experiment, run
from neurosim.store import write_text

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
COPIES = ["data.augment={copies=2}"]
VOICES = ["data.train.also=[{dataset='spoken-digits', split='train'}]"]
RECIPES = {"plain": [], "copies": COPIES, "voices": VOICES, "copies and voices": COPIES + VOICES}
SIZES = (200, 400, 800)
LINEAR = ["readout.kind=linear", "readout.hidden="]
SMALL = ["reservoir.n_neurons=400", *LINEAR]  # where speakers are left out, of which there are 30 runs
RESULTS = Path(__file__).parents[1] / "results" / "spoken_digits.jsonl"


def main(data_dir: Path) -> None:
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []

    def measure(key: dict[str, object], example: str, changes: list[str]) -> None:
        if any(key.items() <= row.items() for row in rows):
            return
        result = run(load_experiment(example, changes), data_dir=data_dir)
        rows.append(
            {
                **key,
                "mean": result.accuracy.mean,
                "ci95": result.accuracy.ci95,
                "per_chip": result.accuracy.per_chip,
                "n_test": result.n_test,
                "n_train": result.n_train,
                "validation": [chip.validation_accuracy for chip in result.chips],
                "cells": result.cells,
                "seconds": result.seconds["total"],
                "fingerprint": result.fingerprint,
                "versions": result.versions,
            }
        )
        write_text(RESULTS, "".join(json.dumps(row) + "\n" for row in rows))
        print(json.dumps(key), f"{result.accuracy.mean:.4f}", flush=True)

    for readout, changes in (("mlp", []), ("linear", LINEAR)):
        for size in SIZES:
            key = {"study": "official", "n_neurons": size, "readout": readout}
            measure(key, "fsdd", [f"reservoir.n_neurons={size}", *changes])
    for recipe, changes in RECIPES.items():
        for speaker, other in zip(SPEAKERS, SPEAKERS[1:] + SPEAKERS[:1], strict=True):
            key = {"study": "choose", "recipe": recipe, "speaker": speaker}
            measure(key, "fsdd", ["chips=1", *SMALL, *without(speaker, other), *changes])
    chosen = max(RECIPES, key=lambda recipe: chosen_by(rows, recipe))
    for speaker in SPEAKERS:
        key = {"study": "speaker", "recipe": chosen, "speaker": speaker}
        measure(key, "fsdd", [*SMALL, *without(speaker), *RECIPES[chosen]])
    measure({"study": "synthetic", "test": "spoken-digits", "recipe": "plain"}, "spoken_digits", [])
    real = ["data.test={dataset='fsdd', split='all'}"]
    measure({"study": "synthetic", "test": "fsdd", "recipe": "plain"}, "spoken_digits", real)
    show(rows, chosen)


def without(speaker: str, other: str | None = None) -> list[str]:
    """FSDD with one speaker as the test, and another one, or synthetic voices, for validation."""
    left = [speaker, other] if other else [speaker]
    validation = f"dataset='fsdd', split='all', speakers=['{other}']"
    if other is None:
        validation = "dataset='spoken-digits', split='validation'"
    return [
        "data.augment=",
        f"data.train={{dataset='fsdd', split='all', not_speakers={left}}}",
        f"data.validation={{{validation}}}",
        f"data.test={{dataset='fsdd', split='all', speakers=['{speaker}']}}",
    ]


def chosen_by(rows: list[dict[str, object]], recipe: str) -> float:
    """Mean validation accuracy of a recipe over the speakers left out for it."""
    found = [row["validation"] for row in rows if (row["study"], row.get("recipe")) == ("choose", recipe)]
    return float(np.mean(found))


def show(rows: list[dict[str, object]], chosen: str) -> None:
    ratios = {}
    for row in rows:
        match row["study"]:
            case "official":
                ratios[f"official_{row['n_neurons']}_{row['readout']}"] = row["mean"]
            case "speaker":
                ratios[f"speaker_{row['speaker']}"] = row["mean"]
            case "synthetic":
                ratios[f"synthetic_to_{row['test']}_{row['recipe']}"] = row["mean"]
    for recipe in RECIPES:
        print(f"validation {recipe:20} {chosen_by(rows, recipe):.4f}")
    left_out = [row["mean"] for row in rows if row["study"] == "speaker" and row["recipe"] == chosen]
    ratios["speaker_mean"] = float(np.mean(left_out))  # type: ignore[arg-type]
    for key, value in ratios.items():
        print(f"{key:32} {value:.4f}")
    print(json.dumps({"recipe": chosen, **ratios}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

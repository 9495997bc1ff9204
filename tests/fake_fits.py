"""Stands for fits of a comparison: accuracy follows from the model's settings, and nothing is trained."""

from pathlib import Path
from typing import Any

import numpy as np

from neurosim import rng
from neurosim.study.compare.evaluate import FitRow
from neurosim.study.compare.plan import Task

N_TEST = 100
LEVEL = {"liquid": 0.8, "logistic": 0.8, "mlp": 0.9, "hqnn_parallel": 0.6}


def evaluate(task: Task, _data_dir: Path | None = None) -> FitRow:
    """A row with the bits of a model that is right with a certain probability."""
    fit = task.fit
    if fit.variant == "frozen":
        raise RuntimeError("no light")
    rate = fit.set.get("training.learning_rate", 1e-3)
    level = LEVEL[fit.baseline] - 0.01 * abs(np.log(rate / 5e-3)) - 20 / (fit.n_train or 1000)
    correct = rng.stream(fit.seed, f"fake/{fit.contestant}").random(N_TEST) < level
    row: dict[str, Any] = {
        "accuracy": float(correct.mean()) if fit.trial is None else level,
        "validation_accuracy": level,
        "set": dict(fit.set),
        "seconds": 1.0,
    }
    if fit.trial is None:
        row |= {"correct": np.packbits(correct).tobytes().hex(), "n_train": fit.n_train or 1000}
        row |= {"n_validation": 50, "n_test": N_TEST}
    if fit.whole and fit.trial is None:
        size = fit.set.get("hidden", 100)
        row |= {
            "n_parameters": size,
            "n_quantum_parameters": 0,
            "operations": 2.0 * size,
            "infer_seconds": 1e-3,
        }
        row |= {"costs": [], "robustness": {"clean": 0.5, "PGD 0.1": 0.25}, "notes": {"epoch": 3.0}}
    return row  # type: ignore[return-value]


def never(_task: Task, _data_dir: Path | None = None) -> FitRow:
    """What must not be called."""
    raise AssertionError("a fit that was there is done again")


def interrupted(task: Task, data_dir: Path | None = None) -> FitRow:
    """As a user who presses Ctrl-C when the first hybrid comes."""
    if task.fit.variant:
        raise KeyboardInterrupt
    return evaluate(task, data_dir)

"""Points of a study that cost nothing: what workers evaluate instead of experiments."""

import os
import signal
import time
from pathlib import Path

from neurosim.errors import DataNotFoundError
from neurosim.experiment import Experiment
from neurosim.study.evaluate import Row


def evaluate(experiment: Experiment, _data_dir: Path | None) -> Row:
    """Accuracy falls with the read noise; a few values of p_stuck fail, each in its own way."""
    sigma, stuck = float(experiment.device.sigma_read or 0), float(experiment.device.p_stuck or 0)
    if stuck == 0.5:
        raise ValueError("no such chip")
    if stuck == 0.6:
        raise DataNotFoundError("nowhere to be found; fetch it")
    if stuck == 0.7:
        raise KeyboardInterrupt
    scores = [0.9 - sigma**1.5 - stuck - 0.01 * chip / 3 for chip in range(experiment.chips)]
    mean = sum(scores) / len(scores)
    return Row(
        accuracy=mean,
        per_chip=scores,
        ci95=[min(scores), max(scores)],
        validation_accuracy=mean,
        n_test=100,
        energy=1e-6 / 3,
        energy_parts={"reads": 1e-6 / 3},
        latency=1e-3,
        area=1e-7,
        cells=100,
        tiles=1,
        utilisation=0.5,
        rates={"before": 5.0, "after": 6.0},
        array={},
        seconds=1.0,
        fingerprint=f"{sigma} {stuck} {experiment.seed}",
    )


def slow(experiment: Experiment, data_dir: Path | None) -> Row:
    """A point that takes a while."""
    time.sleep(0.01)
    return evaluate(experiment, data_dir)


def deadly(experiment: Experiment, data_dir: Path | None) -> Row:
    """Kills its process at one point."""
    if experiment.device.sigma_read == 0.1:
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(experiment, data_dir)


def never(_experiment: Experiment, _data_dir: Path | None) -> Row:
    """Shows that a point is evaluated that should not be."""
    raise ValueError("evaluated again")

"""Kill the processes of a sweep at random moments, and look whether anything was lost or done twice.

A sweep of cheap points is run once undisturbed, and once with `kill -9` of a worker, of the parent or of all
of them at random moments; whenever the parent is gone, the same call is made again. In the end every point
must be there exactly once, nothing but what killed workers held may have been evaluated again, and the files
must be the same to the byte.

    make bench NAME=kill_sweep
    python benchmarks/studies/kill_sweep.py ROUNDS SEED
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from neurosim.experiment import Experiment
from neurosim.study.config import StudyConfig
from neurosim.study.evaluate import Row
from neurosim.study.points import sweep_points
from neurosim.study.results import FILES
from neurosim.study.run import run_study
from neurosim.study.storage import died, folder_url, open_study

JOBS = 2
SECONDS = 0.08  # that a point takes
LOG = "NEUROSIM_KILL_LOG"  # file that every evaluation is noted in
FAILING = 0.03  # a device.p_stuck at which every point fails


def evaluate(experiment: Experiment, _data_dir: Path | None) -> Row:
    """A point whose numbers follow from its values alone; of an experiment's, ``seconds`` would not."""
    sigma, stuck = float(experiment.device.sigma_read or 0), float(experiment.device.p_stuck or 0)
    with Path(os.environ[LOG]).open("a") as log:
        log.write(f"{sigma} {stuck}\n")
    time.sleep(SECONDS)
    if stuck == FAILING:
        raise ValueError(f"no chip with {stuck}")
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
        fingerprint=f"{sigma} {stuck}",
    )


def study(n: int) -> StudyConfig:
    axes = {
        "device.sigma_read": {"from": 0.0, "to": 0.5, "n": n // 4},
        "device.p_stuck": [0.0, 0.01, FAILING, 0.1],
    }
    base: dict[str, Any] = {
        "schema": "neurosim.experiment/1",
        "name": "kill",
        "data": {"train": {"split": "train"}, "test": {"split": "test"}},
        "reservoir": {"beta": 0.9},
    }
    sweep = {"axes": axes, "chips": 2}
    return StudyConfig.model_validate(
        {"schema": "neurosim.study/1", "name": "kill", "base": base, "sweep": sweep}
    )


def start(folder: Path, n: int) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    env = os.environ | {"PYTHONPATH": str(here), LOG: str(folder / "evaluations.txt")}
    return subprocess.Popen([sys.executable, __file__, "run", str(folder), str(n)], env=env)


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_work(parent: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the next evaluation begins, or the sweep is over."""
    before = log.stat().st_size if log.exists() else 0
    while parent.poll() is None and (log.stat().st_size if log.exists() else 0) == before:
        time.sleep(0.01)


def disturb(parent: subprocess.Popen[bytes], victim: str) -> int:
    """Kill a worker, the parent, or all; how many workers that ended."""
    workers = children(parent.pid)
    chosen = {"worker": workers[:1], "parent": [parent.pid], "all": [parent.pid, *workers]}[victim]
    for pid in chosen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if victim == "worker":
        return len(chosen)
    parent.wait()
    while any(map(alive, workers)):  # those of a killed parent end by themselves
        time.sleep(0.02)
    return len(workers)


def check(folder: Path, reference: Path, n: int, killed: int) -> int:
    """Compare a disturbed sweep with the undisturbed one; how many evaluations were for nothing."""
    config = study(n)
    _, points = sweep_points(config)
    queue = open_study(folder_url(folder), config, points)
    queue.bury()
    counted = [trial for trial in queue.trials() if not died(trial)]
    assert all(trial.state.is_finished() for trial in counted), "a point is left over"
    keys = Counter(trial.user_attrs["point"]["key"] for trial in counted)
    assert keys == Counter(point.key for point in points), "a point is missing or there twice"
    evaluations = Counter((folder / "evaluations.txt").read_text().splitlines())
    assert len(evaluations) == n, f"{len(evaluations)} of {n} points were evaluated"
    again = evaluations.total() - n
    assert again <= killed, f"{again} evaluations too many where {killed} workers were killed"
    for name in FILES:
        assert (folder / name).read_bytes() == (reference / name).read_bytes(), f"{name} differs"
    return again


def main(rounds: int, seed: int) -> None:
    random.seed(seed)
    n = 4 * (5 + 4 * rounds)
    kills, found = Counter[str](), Counter[str]()
    with TemporaryDirectory() as scratch:
        quiet = Path(scratch, "quiet")
        quiet.mkdir()
        assert start(quiet, n).wait() == 0
        print(f"{n} points, seed {seed}", flush=True)
        while kills.total() < rounds:
            folder = Path(scratch, f"disturbed{found['sweeps']}")
            folder.mkdir()
            parent, ended = start(folder, n), 0
            while kills.total() < rounds and parent.poll() is None:
                if random.random() < 0.8:  # else perhaps while processes start
                    wait_for_work(parent, folder / "evaluations.txt")
                time.sleep(random.uniform(0.0, 0.7))
                if parent.poll() is None:
                    victim = random.choice(["worker", "parent", "all"])
                    ended += disturb(parent, victim)
                    kills[victim] += 1
                    if victim != "worker":
                        parent = start(folder, n)
            assert parent.wait() == 0, f"the sweep ended with {parent.returncode}"
            found.update(sweeps=1, workers_killed=ended, evaluated_again=check(folder, quiet, n, ended))
    print(json.dumps({"points": n, "kills": kills.total(), **kills, **found}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run_study(study(int(sys.argv[3])), Path(sys.argv[2]), jobs=JOBS, evaluate="kill_sweep:evaluate")
    else:
        main(int((sys.argv[1:] or ["20"])[0]), int((sys.argv[2:] or ["0"])[0]))

"""How much faster a sweep is than separate runs: ten noise levels on ten chips of the default, on all cores.

A sweep of 10 points of 10 chips each is timed as a whole, `neurosim sweep` with its page. Of the 100 calls of
`neurosim run` that would do the same, a sample is timed, some before and some after the sweep, one after the
other and each on all cores. Twice: with the recordings in the cache, as on a machine in use, where runs
share them, and with an empty cache, as if nothing were shared. No states are in any cache.

    make bench NAME=sweep_sharing
    python benchmarks/studies/sweep_sharing.py --levels 10 --chips 10 --runs 8
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

STUDY = """
schema = "neurosim.study/1"
name = "sharing"
base = "demo"
[sweep]
chips = {chips}
[sweep.axes]
device.sigma_read = {{ from = 0.0, to = 0.5, n = {levels} }}
"""


def call(cache: Path, *arguments: str) -> tuple[float, float]:
    """Wall and CPU seconds of a command, its children's included."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [Path(sys.executable).with_name("neurosim"), *arguments],
        check=True,
        env=os.environ | {"NEUROSIM_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(levels: int, chips: int, runs: int) -> None:
    with TemporaryDirectory() as scratch:
        cache, empty = Path(scratch, "cache"), Path(scratch, "empty")
        study = Path(scratch, "study.toml")
        study.write_text(STUDY.format(levels=levels, chips=chips))
        warm, cold = [], []

        def separate(n: int) -> None:
            for sigma in np.linspace(0.013, 0.487, n):
                run = ("run", "demo", "--set", "chips=1", "--set", f"device.sigma_read={sigma:.4f}")
                warm.append(call(cache, *run, "--out", str(Path(scratch, "run"))))
                shutil.rmtree(cache / "states")
                cold.append(call(empty, *run, "--out", str(Path(scratch, "run"))))
                shutil.rmtree(empty)

        call(cache, "run", "demo", "--set", "chips=1", "--out", str(Path(scratch, "run")))  # fills the cache
        separate(runs // 2)
        sweep = call(cache, "sweep", str(study), "--out", str(Path(scratch, "sweep")))
        separate(runs - runs // 2)
    n = levels * chips
    rows = {"sweep, a chip and point": np.array(sweep) / n}
    rows |= {"separate run": np.median(warm, 0), "separate run, empty cache": np.median(cold, 0)}
    for name, (wall, cpu) in rows.items():
        print(f"{name:28} {wall:6.2f} s wall {cpu:6.2f} s CPU")
    (shared, shared_cpu), (alone, alone_cpu), (bare, bare_cpu) = rows.values()
    print(
        json.dumps(
            {
                "ratio_separate_runs": round(alone / shared, 2),
                "ratio_separate_runs_empty_cache": round(bare / shared, 2),
                "ratio_cpu": round(alone_cpu / shared_cpu, 2),
                "ratio_cpu_empty_cache": round(bare_cpu / shared_cpu, 2),
                "sweep_s": round(sweep[0], 1),
                "points": levels,
                "chips": chips,
                "separate_runs_timed": len(warm),
            }
        )
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--levels", type=int, default=10)
    options.add_argument("--chips", type=int, default=10)
    options.add_argument("--runs", type=int, default=6)
    main(**vars(options.parse_args()))

"""How the time of a sweep grows with its points, chips and workers.

Chips and workers: points of the default experiment, a fresh read noise for every one so that no states are in
the cache. Points: points that cost nothing, on SQLite, so that only the storage's work is left: putting them
in, taking and finishing them with two workers, and writing the files at the end. The plan for a million
points in docs/scale.md is made of these figures.

    make bench NAME=scaling
    python benchmarks/studies/scaling.py --chips 1 2 5 10 --workers 1 2 --points 100 1000 10000
"""

import argparse
import json
import resource
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import kill_sweep
import postgres_workers

from neurosim.experiment import load_experiment
from neurosim.study.config import StudyConfig
from neurosim.study.evaluate import evaluate
from neurosim.study.points import sweep_points
from neurosim.study.results import collect, write
from neurosim.study.run import run_study
from neurosim.study.storage import folder_url, open_study

fresh = (0.05 + time.time() % 1e4 * 1e-7 + k * 1e-6 for k in count())


def per_chip(n_chips: int) -> float:
    """CPU seconds of a point for every chip of it."""
    noise = f"device.sigma_read={next(fresh):.9f}"
    point = load_experiment("demo", [f"chips={n_chips}", noise])
    before = time.process_time()
    evaluate(point)
    return (time.process_time() - before) / n_chips


def with_workers(jobs: int, n: int, folder: Path) -> float:
    """Wall seconds of ``n`` points of one chip; the workers' start counts."""
    study = {
        "schema": "neurosim.study/1",
        "name": "workers",
        "base": load_experiment("demo").model_dump(mode="json", by_alias=True, exclude_unset=True),
        "sweep": {"chips": 1, "axes": {"device.sigma_read": [round(next(fresh), 9) for _ in range(n)]}},
    }
    before = time.perf_counter()
    run_study(StudyConfig.model_validate(study), folder, jobs=jobs)
    return time.perf_counter() - before


def with_points(n: int, folder: Path) -> dict[str, float]:
    """Points per second put in and done on SQLite, and seconds of writing all files."""
    put, done = postgres_workers.rate(folder_url(folder), n, 2, "points")
    config = kill_sweep.study(n).model_copy(update={"name": "points"})
    axes, points = sweep_points(config)
    queue = open_study(folder_url(folder), config, points)
    before = time.perf_counter()
    found = collect(config, axes, points, queue)
    rows = [replace(point, row=postgres_workers.ROW | full_row()) for point in found.points]
    write(replace(found, points=tuple(rows)), folder)
    return {
        "put_per_s": round(put, 1),
        "done_per_s": round(done, 1),
        "write_s": round(time.perf_counter() - before, 2),
        "bytes_per_point": round((folder / "study.db").stat().st_size / n),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def full_row() -> dict[str, object]:
    """What the files want of a row beside that of the idle points."""
    return {
        "ci95": [0.89, 0.91],
        "validation_accuracy": 0.9,
        "n_test": 100,
        "latency": 1e-3,
        "area": 1e-7,
        "energy": 8e-9,
        "cells": 100,
        "tiles": 1,
        "utilisation": 0.5,
        "rates": {"before": 5.0, "after": 6.0},
        "seconds": 1.0,
    }


def main(chips: list[int], workers: list[int], points: list[int]) -> None:
    found: dict[str, object] = {}
    per_chip(1)  # compiles, and puts the recordings into the cache
    for n in chips:
        found[f"cpu_s_per_chip_of_{n}"] = round(min(per_chip(n) for _ in range(2)), 2)
        print(f"{n:6} chips a point: {found[f'cpu_s_per_chip_of_{n}']} s CPU a chip", flush=True)
    with TemporaryDirectory() as scratch:
        for jobs in workers:
            few, many = (with_workers(jobs, n, Path(scratch, f"{jobs}_{n}")) for n in (2, 10))
            each = (many - few) / 8
            found |= {
                f"s_per_point_{jobs}_workers": round(each, 2),
                f"start_s_{jobs}_workers": round(few - 2 * each, 2),
            }
            print(f"{jobs:6} workers: {each:.2f} s a point, {few - 2 * each:.1f} s before", flush=True)
        for n in points:
            folder = Path(scratch, f"points{n}")
            folder.mkdir()
            found[f"points_{n}"] = with_points(n, folder)
            print(f"{n:6} points: {found[f'points_{n}']}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--chips", type=int, nargs="*", default=[1, 2, 5, 10])
    options.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    options.add_argument("--points", type=int, nargs="*", default=[100, 1000, 10_000])
    main(**vars(options.parse_args()))

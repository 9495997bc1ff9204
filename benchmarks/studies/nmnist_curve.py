"""Accuracy on real N-MNIST recordings against the number of simulated training recordings.

Runs the three N-MNIST examples, each on three chips of the noisy card, and keeps one row per run in
benchmarks/results/nmnist_curve.jsonl, from which docs/nmnist_curve.svg is drawn. A row that is there is
not run again; delete the file to start over.

    make bench NAME=nmnist_curve DATA=DIR
"""

import json
import sys
from pathlib import Path

import matplotlib

from neurosim.experiment import load_experiment, run
from neurosim.store import write_text

EXAMPLES = ("paper_nmnist", "nmnist_local", "nmnist_shared")
SIZES = (2_000, 8_000, 32_000, 59_000)  # the last one: all but the 1,000 whose recordings are the test
RESULTS = Path(__file__).parents[1] / "results" / "nmnist_curve.jsonl"
FIGURE = Path(__file__).parents[2] / "docs" / "nmnist_curve.svg"
COLOURS = dict(zip(EXAMPLES, ("#999999", "#0072B2", "#D55E00"), strict=True))


def main(data_dir: Path) -> None:
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    done = {(row["example"], row["n"]) for row in rows}
    for example in EXAMPLES:
        for n in SIZES:
            if (example, n) not in done:
                rows.append(measure(example, n, data_dir))
                write_text(RESULTS, "".join(json.dumps(row) + "\n" for row in rows))
    draw(rows)
    for row in rows:
        low, high = row["ci95"]
        print(f"{row['example']:15} {row['n']:6d} {row['mean']:.4f} [{low:.4f}, {high:.4f}]")
    print(json.dumps({f"{row['example']}_{row['n']}": row["mean"] for row in rows}))


def measure(example: str, n: int, data_dir: Path) -> dict[str, object]:
    """One run of one example; ``n`` counts training and validation recordings."""
    size = [f"data.train.n={n}"] if n < SIZES[-1] else []
    result = run(load_experiment(example, size), data_dir=data_dir)
    return {
        "example": example,
        "n": n,
        "mean": result.accuracy.mean,
        "ci95": result.accuracy.ci95,
        "per_chip": result.accuracy.per_chip,
        "n_test": result.n_test,
        "validation": [chip.validation_accuracy for chip in result.chips],
        "cells": result.cells,
        "tiles": result.tiles,
        "seconds": result.seconds["total"],
        "fingerprint": result.fingerprint,
        "versions": result.versions,
    }


def draw(rows: list[dict[str, object]]) -> None:
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "neurosim", "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for example in EXAMPLES:
        points = sorted((r["n"], r["mean"], *r["ci95"]) for r in rows if r["example"] == example)  # type: ignore[misc]
        n, mean, low, high = zip(*points, strict=True)
        axes.plot(n, mean, "o-", color=COLOURS[example], label=f"{example}, {cells(rows, example):,} cells")
        axes.fill_between(n, low, high, color=COLOURS[example], alpha=0.15, linewidth=0)
    axes.set(xscale="log", xlabel="simulated training recordings", ylabel="accuracy on 600 real recordings")
    axes.set_xticks(SIZES, [f"{n:,}" for n in SIZES])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(FIGURE, metadata={"Date": None})


def cells(rows: list[dict[str, object]], example: str) -> int:
    return next(int(str(row["cells"])) for row in rows if row["example"] == example)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""At which device noise the paper's liquid loses a point of accuracy, on real N-MNIST recordings.

The liquid of Lin et al. with their single trained layer, trained on simulated events of MNIST and tested on
600 real recordings; read noise, the spread of the formed cells and a programming error on top of it each go
from 0 to 50 %, five chips everywhere. Every chip is fitted with the noise that it is tested with. The three
sweeps are kept in OUT (default: runs/robustness) and gone on with; their numbers go to
benchmarks/results/robustness.csv, and from there to docs/robustness.svg.

    make bench NAME=robustness DATA=DIR
    python benchmarks/studies/robustness.py DIR --train 59000 --jobs 2 --out runs/robustness
"""

import argparse
import csv
import io
import json
from pathlib import Path

import matplotlib
import numpy as np

from neurosim.experiment import load_experiment
from neurosim.store import write_text
from neurosim.study.config import StudyConfig, SweepConfig
from neurosim.study.page.levels import from_better_end, levels, loss, one_point_lost
from neurosim.study.results import StudyResult
from neurosim.study.run import run_study

RESULTS = Path(__file__).parents[1] / "results" / "robustness.csv"
FIGURE = Path(__file__).parents[2] / "docs" / "robustness.svg"
LEVELS = [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5]
KEYS = {
    "device.sigma_read": "read noise",
    "device.sigma_d2d": "spread of formed cells",
    "device.sigma_prog": "programming error",
}
COLOURS = ("#0072B2", "#D55E00", "#009E73")
CHIPS = 5


def study(key: str, n_train: int | None) -> StudyConfig:
    size = [f"data.train.n={n_train}"] if n_train else []
    base = load_experiment("paper_nmnist", ["readout.kind=linear", *size])
    return StudyConfig(
        schema="neurosim.study/1",
        name=f"robustness_{key.rpartition('.')[2]}",
        base=base,
        sweep=SweepConfig(chips=CHIPS, axes={key: LEVELS}),
    )


def lines(result: StudyResult) -> list[dict[str, object]]:
    """One line per level, with the loss against none of this noise, paired by chip."""
    (axis,) = result.axes
    found = levels(result, axis)
    out: list[dict[str, object]] = []
    for level in found:
        lost, half = loss(found[0], level)
        low, high = level.accuracy.ci95
        out.append(
            {
                "noise": KEYS[axis.name],
                "level": level.at,
                "accuracy": round(level.accuracy.mean, 5),
                "low": round(low, 5),
                "high": round(high, 5),
                "points_lost": round(100 * lost, 3),
                "half_width": round(100 * half, 3),
                "per_chip": " ".join(f"{score:.5f}" for score in level.scores.values()),
            }
        )
    return out


def draw(rows: list[dict[str, object]]) -> None:
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "neurosim", "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for noise, colour, marker in zip(KEYS.values(), COLOURS, "osd", strict=True):
        mine = [row for row in rows if row["noise"] == noise]
        level, mean, low, high = (
            np.array([float(str(row[key])) for row in mine]) for key in ("level", "accuracy", "low", "high")
        )
        axes.plot(level, mean, f"{marker}-", color=colour, label=noise)
        axes.fill_between(level, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.set(
        xlabel="standard deviation, relative to the conductance", ylabel="accuracy on 600 real recordings"
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(FIGURE, metadata={"Date": None})


def main(data_dir: Path, out: Path, n_train: int | None, jobs: int | None) -> None:
    rows: list[dict[str, object]] = []
    lost: dict[str, object] = {}
    for key, noise in KEYS.items():
        config = study(key, n_train)
        result = run_study(config, out / config.name, jobs=jobs, data_dir=data_dir)
        rows += lines(result)
        crossing = one_point_lost(from_better_end(levels(result, result.axes[0])), "linear")
        lost[noise] = {"at": crossing.at, "ci95": crossing.interval}
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]))
    table.writeheader()
    table.writerows(rows)
    write_text(RESULTS, text.getvalue())
    draw(rows)
    for row in rows:
        print(
            f"{row['noise']:22} {row['level']:5} {row['accuracy']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
            f"  lost {row['points_lost']:+.2f} +- {row['half_width']:.2f}"
        )
    print(json.dumps({"one_point_lost": lost}))


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("data", type=Path)
    options.add_argument("--out", type=Path, default=Path("runs/robustness"))
    options.add_argument("--train", type=int, help="training and validation recordings; all without it")
    options.add_argument("--jobs", type=int)
    given = options.parse_args()
    main(given.data, given.out, given.train, given.jobs)

"""Trains one baseline on MNIST and appends a row to benchmarks/results/baselines_mnist.jsonl.

Validation is the last 10,000 training images and chooses the epoch; the 10,000 test images are looked at
once, by the chosen network of every seed. Needs torch, numpy, pydantic and scikit-learn, no installation:

    PYTHONPATH=. python benchmarks/studies/baselines_mnist.py DIR hqnn_parallel --epochs 20 --seeds 3
    PYTHONPATH=. python benchmarks/studies/baselines_mnist.py DIR hybrid_cnn --set quantum.variant=classical
    PYTHONPATH=. python benchmarks/studies/baselines_mnist.py DIR photonic --train 6000 --validation 600
    make bench NAME=baselines_mnist DATA=DIR        # every baseline of DEFAULT

With --validation both parts are drawn stratified, one draw for all seeds. DIR holds mnist/*.gz; --images
fashion-mnist reads that folder instead. --out FILE keeps rows elsewhere.
"""

import argparse
import json
import platform
import time
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.model_selection import train_test_split
from torch import nn

from neurosim.baselines import BASELINES, make_baseline, training
from neurosim.baselines.base import Array, Baseline, NetworkBaseline
from neurosim.baselines.quantum.qrnn import QrnnClassifier
from neurosim.baselines.robustness import fgsm, pgd
from neurosim.config import fingerprint
from neurosim.events.idx import read_images, read_labels
from neurosim.results import accuracy_interval
from neurosim.store import write_text

RESULTS = Path(__file__).parents[1] / "results" / "baselines_mnist.jsonl"
N_VALIDATION, N_ATTACKED = 10_000, 1_000
FALLING = {"training": {"epochs": 20, "schedule": "cosine"}}
CLASSICAL, DELETED = {"quantum": {"variant": "classical"}}, {"quantum": {"variant": "deleted"}}
DEFAULT: list[tuple[str, dict[str, Any]]] = [  # every hybrid with its twin
    ("cnn", {}),
    ("cnn_svm", {}),
    ("hqnn_parallel", FALLING),
    ("hqnn_parallel", FALLING | CLASSICAL),
    ("hqnn_parallel", FALLING | DELETED),
    ("hybrid_cnn", {}),
    ("hybrid_cnn", CLASSICAL),
    ("quantum_transfer", {}),
    ("quantum_transfer", CLASSICAL),
    ("quantum_transfer", DELETED),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DIR")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BASELINES)}")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="key of the config")
    parser.add_argument("--images", default="mnist", choices=["mnist", "fashion-mnist"])
    parser.add_argument("--train", type=int, help="training images; default: all that are left")
    parser.add_argument("--validation", type=int, help="validation images, both parts drawn stratified")
    parser.add_argument("--classes", type=int, nargs="+", help="digits that are kept; default: all")
    parser.add_argument("--attack", type=float, metavar="EPSILON", help="also FGSM and PGD of this size")
    parser.add_argument("--checkpoints", type=Path, help="folder from which an interrupted run goes on")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    accuracies = {}
    for name, config in [(name, {}) for name in options.names] or DEFAULT:
        row = measure(name, merge(config, overrides(options)), options)
        rows = options.out.read_text() if options.out.exists() else ""
        write_text(options.out, rows + json.dumps(row) + "\n")
        low, high = row["ci95"]
        print(f"{name} {row['config']}: {row['mean']:.4f} [{low:.4f}, {high:.4f}]", flush=True)
        variant = config.get("quantum", {}).get("variant")
        accuracies[f"{name}_{variant}" if variant else name] = row["mean"]
    print(json.dumps(accuracies))


def overrides(options: argparse.Namespace) -> dict[str, Any]:
    """Keys of the config that the command line names."""
    keys: dict[str, Any] = {}
    if options.epochs:
        keys["training.epochs"] = options.epochs
    if options.batch:
        keys["training.batch_size"] = options.batch
    for text in options.set:
        key, _, value = text.partition("=")
        try:
            keys[key] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            keys[key] = value
    config: dict[str, Any] = {}
    for key, value in keys.items():
        *tables, last = key.split(".")
        place = config
        for table in tables:
            place = place.setdefault(table, {})
        place[last] = value
    return config


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        merged[key] = merge(base.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def load(options: argparse.Namespace) -> list[tuple[Array, Array]]:
    """Training, validation and test images and labels."""
    folder = options.data / options.images
    x = read_images(folder / "train-images-idx3-ubyte.gz")
    y = read_labels(folder / "train-labels-idx1-ubyte.gz")
    test = (
        read_images(folder / "t10k-images-idx3-ubyte.gz"),
        read_labels(folder / "t10k-labels-idx1-ubyte.gz"),
    )
    rows = np.arange(len(y))
    train, held = rows[:-N_VALIDATION], rows[-N_VALIDATION:]
    if options.classes:
        train, held, rows = (part[np.isin(y[part], options.classes)] for part in (train, held, rows))
        kept = np.isin(test[1], options.classes)
        test = (test[0][kept], test[1][kept])
    if options.validation:
        train, held = train_test_split(
            rows,
            train_size=options.train or len(rows) - options.validation,
            test_size=options.validation,
            stratify=y[rows],
            random_state=0,
        )
    elif options.train:
        train = train[: options.train]
    return [(x[train], y[train]), (x[held], y[held]), test]


def measure(name: str, config: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """One row: every seed trained and tested."""
    train, validation, (test_x, test_y) = load(options)
    models: list[Baseline] = []
    seconds: list[float] = []
    correct: list[int] = []
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    for seed in range(options.seeds):
        model = make_baseline(name, config, seed=seed)
        run = fingerprint(name, model.settings, seed, len(train[0]), options.classes or [])
        folder = options.checkpoints / run[:16] if options.checkpoints else None
        start = time.perf_counter()
        model.fit(*train, validation, checkpoint=folder, progress=say)
        seconds.append(time.perf_counter() - start)
        correct.append(int((model.predict(test_x) == test_y).sum()))
        print(f"{name} seed {seed}: {correct[-1] / len(test_y):.4f}, {seconds[-1]:.0f} s", flush=True)
        models.append(model)
    interval = accuracy_interval(correct, len(test_y))
    row: dict[str, Any] = {
        "baseline": name,
        "images": options.images,
        "classes": options.classes,
        "config": config,
        "n_train": len(train[0]),
        "n_validation": len(validation[0]),
        "n_test": len(test_y),
        "mean": interval.mean,
        "ci95": interval.ci95,
        "per_seed": interval.per_chip,
        "validation": [model.validation_accuracy_ for model in models],
        "n_parameters": models[0].n_parameters,
        "operations": asdict(models[0].operations()),
        "seconds": seconds,
    }
    networks = [model for model in models if isinstance(model, NetworkBaseline)]
    if networks:
        row |= {
            "n_quantum_parameters": networks[0].n_quantum_parameters,
            "chosen_epochs": [model.best_epoch_ for model in networks],
            "seconds_per_epoch": [training.total_seconds(m.history_) / len(m.history_) for m in networks],
            "unitarity_error": max(epoch.unitarity_error for m in networks for epoch in m.history_),
        }
    if kept := [post_selected(m, test_x) for m in networks if isinstance(m.network_, QrnnClassifier)]:
        row["log10_post_selected"] = kept
    if networks and options.attack is not None:
        x, y = test_x[:N_ATTACKED], test_y[:N_ATTACKED]
        size = options.attack
        attacked = {
            "fgsm": [m.score(fgsm(m, x, y, size), y) for m in networks],
            "pgd": [m.score(pgd(m, x, y, size, step=size / 4, n_steps=10), y) for m in networks],
        }
        row["attack"] = {"epsilon": size, "n": len(y), **attacked}
    cuda = torch.cuda.is_available()
    return row | {
        "device": torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads",
        "peak_device_memory": torch.cuda.max_memory_allocated() if cuda else None,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
        },
    }


def post_selected(model: NetworkBaseline, x: Array) -> float:
    """Mean log10 of the probability with which the zeros that a qrnn post-selects are measured."""
    pixels = torch.from_numpy(x[:, None]).to(training.device())
    with torch.no_grad():
        features = nn.Identity() if model.features_ is None else model.features_
        return float(model.network_.kept(training.outputs(features, pixels)).mean())


def say(what: str, done: int, total: int | None) -> None:
    print(f"  {what} {done}/{total}", flush=True)


if __name__ == "__main__":
    main()

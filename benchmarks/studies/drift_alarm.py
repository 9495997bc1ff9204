"""Does a readout notice that its array has drifted? Novelty of the demo's digits on chips that grow old.

A chip of the demo's liquid is calibrated, and a readout `sage` trained on it, when it is young; then the same
chip, with the same thresholds, is used a day, a month and a year later, as its device card says. The AUROC
tells test recordings on the aged chip from the same ones on the young chip; the alarm looks at 100 recordings
at a time, without labels, at a level of 1 %. Beside it: thresholds that homeostasis has adapted again, and
Fashion-MNIST on the young chip. Rows, one for every card, are kept in benchmarks/results/drift_alarm.jsonl.

    make bench NAME=drift_alarm DATA=DIR
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score

from neurosim.events.binning import bin_events
from neurosim.events.camera import CameraConfig, simulate_camera
from neurosim.events.idx import read_images, read_labels
from neurosim.events.types import Binned
from neurosim.experiment import load_experiment, prepare
from neurosim.readout.sage import SageReadout
from neurosim.reservoir.chip import Chip, make_chip
from neurosim.store import write_text

RESULTS = Path(__file__).parents[1] / "results" / "drift_alarm.jsonl"
CARDS = ("pcm_nandakumar2019", "pcm_hermes2023", "rram_cmo_hfox2025")
AGES = {"a day": 86_400.0, "a month": 2.63e6, "a year": 3.15e7}
CHIPS, BATCH = 3, 100


def main(data_dir: Path) -> None:
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    done = {row["card"]: row for row in map(json.loads, lines)}
    for card in CARDS:
        if card not in done:
            done[card] = {"card": card, "found": measure(card, data_dir)}
            write_text(RESULTS, "".join(json.dumps(done[one]) + "\n" for one in CARDS if one in done))
        print(card)
        for what, (mean, half) in done[card]["found"].items():
            print(f"    {what:55} {mean:7.4f} +- {half:.4f}")
    print(
        json.dumps(
            {card: {k: v[0] for k, v in row["found"].items() if "AUROC" in k} for card, row in done.items()}
        )
    )


def measure(card: str, data_dir: Path) -> dict[str, list[float]]:
    """Mean and half the 95 % interval of Student's t over the chips."""
    demo = load_experiment("demo", [f"device.card={card}"])
    binned = prepare(demo).binned
    folder = data_dir / "fashion-mnist"
    shown = read_images(folder / "t10k-images-idx3-ubyte.gz")[:1000]
    labels = read_labels(folder / "t10k-labels-idx1-ubyte.gz")[:1000].astype(np.int64)
    fashion = bin_events(
        simulate_camera(shown, labels, CameraConfig(), seed=0, ids=7000 + np.arange(1000)), demo.events
    )

    def made(number: int, age: float, like: Chip | None = None) -> Chip:
        device = demo.device.model_copy(update={"t_after_programming": age})
        sensor, dt = binned["train"].sensor, binned["train"].dt
        return make_chip(
            demo.reservoir, device, demo.array, sensor=sensor, dt=dt, seed=0, number=number, like=like
        )

    found: dict[str, list[float]] = {}
    for number in range(CHIPS):
        young = made(number, 0.0).calibrated(binned["train"][:200])
        reads = young.reads(4 * demo.reservoir.n_reads)
        x = {part: young.states(binned[part], reads, use=part).x for part in ("train", "validation", "test")}
        model = SageReadout(random_state=number)
        model.fit(
            x["train"], binned["train"].labels, validation=(x["validation"], binned["validation"].labels)
        )
        ordinary, truth = model.novelty(x["test"]), binned["test"].labels
        raw = model.scores(x["test"])
        strange = young.states(fashion, reads, use="fashion").x
        row = {
            "AUROC, Fashion-MNIST on the young chip": auroc(ordinary, model.novelty(strange)),
            "accuracy, young": float(model.score(x["test"], truth)),
            "share of alarms, young": alarms(model, x["test"]),
        }
        for age, seconds in AGES.items():
            old = made(number, seconds, young)
            for name, chip in (
                ("", old),
                (", thresholds adapted again", old.readapted(binned["train"][:200])),
            ):
                aged = states(chip, binned["test"])
                row[f"AUROC, {age}{name}"] = auroc(ordinary, model.novelty(aged))
                if chip is old:
                    for score, values in model.scores(aged).items():
                        row[f"AUROC, {age}, {score} alone"] = auroc(raw[score], values)
                row[f"accuracy, {age}{name}"] = float(model.score(aged, truth))
                row[f"share of alarms, {age}{name}"] = alarms(model, aged)
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return {name: interval(values) for name, values in found.items()}


def states(chip: Chip, binned: Binned) -> np.ndarray:
    return chip.states(binned, chip.reads(chip.liquid.config.n_reads), use="test").x


def auroc(ordinary: np.ndarray, strange: np.ndarray) -> float:
    truth = np.repeat([0, 1], [len(ordinary), len(strange)])
    return float(roc_auc_score(truth, np.concatenate([ordinary, strange])))


def alarms(model: SageReadout, x: np.ndarray) -> float:
    return float(np.mean([model.alarm(x[i : i + BATCH]).raised for i in range(0, len(x), BATCH)]))


def interval(values: list[float]) -> list[float]:
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return [round(float(np.mean(values)), 4), round(float(half), 4)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))

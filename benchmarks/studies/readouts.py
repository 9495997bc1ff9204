"""What each readout claims, measured on liquid states of three chips of the demo's liquid.

The claims are those of the methods' papers as far as they held on static features; here they are tried on
spike counts of the random resistive liquid: 5,000 training, 1,000 validation and 1,000 test recordings that
ship with neurosim, on turned digits and Fashion-MNIST seen by the same simulated camera, and, for
`contrastive`, on spoken digits (FSDD) heard by the simulated cochlea. Rows are kept in
benchmarks/results/readouts.jsonl, one for every readout; a row that is there is not measured again.

    make bench NAME=readouts DATA=DIR
"""

import json
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.ndimage import rotate
from sklearn.metrics import roc_auc_score

from neurosim.cards import shipped_folder
from neurosim.concept_shift import load_concept_shift, run_concept_shift
from neurosim.events.camera import CameraConfig, simulate_camera
from neurosim.events.idx import read_images, read_labels
from neurosim.experiment import PARTS, Experiment, Prepared, encode, load_experiment, prepare
from neurosim.readout import ReadoutConfig, make_readout
from neurosim.readout.contrastive import ContrastiveConfig, ContrastiveReadout
from neurosim.readout.network import LinearReadout, MLPReadout
from neurosim.readout.neuromodulated import SOFTNESS, NeuromodulatedReadout
from neurosim.readout.projection import HypersphericalReadout, NestedReadout
from neurosim.readout.sage import SageReadout
from neurosim.reservoir.transformer import LiquidTransformer
from neurosim.store import cache_dir, load, save, write_text
from neurosim.zero_shot import load_zero_shot

RESULTS = Path(__file__).parents[1] / "results" / "readouts.jsonl"
CHIPS = 3
TRAIN, VALIDATION, TEST = "train", "validation", "test"
States = tuple[np.ndarray, np.ndarray]
data_dir = Path()


# ---- states ----------------------------------------------------------------------------------------


def images(part: str) -> States:
    """Images and labels of a part of the demo's digits, or 1,000 of Fashion-MNIST."""
    if part == "fashion":
        folder = data_dir / "fashion-mnist"
        names = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
    else:
        folder = shipped_folder("datasets/samples") / "mnist"
        names = f"{part}-images-idx3-ubyte.xz", f"{part}-labels-idx1-ubyte.xz"
    shown, labels = read_images(folder / names[0]), read_labels(folder / names[1]).astype(np.int64)
    return (shown[:1000], labels[:1000]) if part == "fashion" else (shown, labels)


@cache
def events(part: str, degrees: int):
    shown, labels = images(part)
    if degrees:
        turned = rotate(shown.astype(float), degrees, axes=(2, 1), reshape=False, order=1)
        shown = np.clip(np.rint(turned), 0, 255).astype(np.uint8)
    first = {"train": 0, "validation": 5000, "test": 6000, "fashion": 7000}[part]
    ids = first + np.arange(len(labels))
    return simulate_camera(shown, labels, CameraConfig(), seed=0, ids=ids)


@cache
def liquid(chip: int) -> LiquidTransformer:
    demo = load_experiment("demo")
    made = LiquidTransformer(
        demo.reservoir, events=demo.events, device=demo.device, array=demo.array, seed=demo.seed, chip=chip
    )
    return made.fit(events(TRAIN, 0)[:200])


@cache
def states(chip: int, part: str, degrees: int = 0) -> States:
    """States and labels of one chip, kept in the cache."""
    path = cache_dir() / "studies" / f"readouts-{chip}-{part}-{degrees}"
    entry = load(path)
    if entry is None:
        recordings = events(part, degrees)
        arrays = {"x": liquid(chip).transform(recordings), "y": recordings.labels}
        save(path, arrays, {})
        entry = arrays, {}
    return np.asarray(entry[0]["x"]), np.asarray(entry[0]["y"])


@cache
def spoken() -> tuple[Experiment, Prepared]:
    """FSDD's official split, validation held out of training, and the ear of the zero-shot example."""
    takes = [
        'query.data.train={dataset="fsdd", split="train"}',
        'query.data.test={dataset="fsdd", split="test"}',
        "query.data.validation=",
        "query.data.validation_share=0.15",
    ]
    config = load_zero_shot("zero_shot_audio_visual", takes)
    ear = config.experiment(config.query)
    return ear, prepare(ear, data_dir=data_dir)


@cache
def ears(chip: int) -> dict[str, States]:
    """States and labels of spoken digits; the ear's device instances are none of the eyes'."""
    ear, prepared = spoken()
    heard = encode(ear, prepared, number=CHIPS + chip).states
    return {part: (heard[part], prepared.binned[part].labels) for part in PARTS}


def interval(values: list[float]) -> list[float]:
    """Mean and half the 95 % interval of Student's t over the chips."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return [round(float(np.mean(values)), 4), round(float(half), 4)]


def over_chips(measure: Callable[[int], dict[str, float]]) -> dict[str, list[float]]:
    found = [measure(chip) for chip in range(CHIPS)]
    return {name: interval([one[name] for one in found]) for name in found[0]}


# ---- one function for every readout ------------------------------------------------------------------


def svm() -> dict[str, object]:
    """Squared hinge scores like softmax, and not below ridge."""

    def measure(chip: int) -> dict[str, float]:
        score = {}
        for kind in ("svm", "ridge", "linear"):
            model = make_readout(ReadoutConfig(kind=kind), seed=chip)
            model.fit(*states(chip, TRAIN), validation=states(chip, VALIDATION))
            score[kind] = float(model.score(*states(chip, TEST)))
        return score | {
            "svm - ridge": score["svm"] - score["ridge"],
            "svm - softmax": score["svm"] - score["linear"],
        }

    found = over_chips(measure)
    holds = found["svm - ridge"][0] >= -0.005 and abs(found["svm - softmax"][0]) <= 0.015
    return {
        "claim": "svm >= ridge - 0.5 points and within 1.5 points of softmax",
        "holds": holds,
        "found": found,
    }


def hyperspherical() -> dict[str, object]:
    """Digits 6 to 9 from a few recordings each, by a projection that was trained on 0 to 5."""

    def measure(chip: int) -> dict[str, float]:
        (x, y), (vx, vy), (tx, ty) = (states(chip, part) for part in (TRAIN, VALIDATION, TEST))
        old = (x[y < 6], y[y < 6]), (vx[vy < 6], vy[vy < 6])
        model = HypersphericalReadout(random_state=chip).fit(*old[0], validation=old[1])
        plain = MLPReadout(hidden=64, dropout=0.0, random_state=chip).fit(*old[0], validation=old[1])
        alone = Alone(width=64, random_state=chip).fit(*old[0], validation=old[1])
        maps = {
            "normalised softmax": model.project,
            "plain softmax": alone.project,
            "plain softmax, ReLU": lambda s: np.maximum(
                plain.scaling_(s) @ plain.layers_[0][0] + plain.layers_[0][1], 0
            ),
            "states themselves": model.scaling_,
        }
        embedded = {name: (unit(f(x[y >= 6])), unit(f(tx[ty >= 6]))) for name, f in maps.items()}
        scores: dict[str, list[float]] = {}
        random = np.random.default_rng(chip)
        for shots in (5, 20):
            for _ in range(10):
                shown = np.concatenate(
                    [random.choice(np.flatnonzero(y[y >= 6] == c), shots, False) for c in range(6, 10)]
                )
                for name, (support, query) in embedded.items():
                    means = unit(
                        np.stack([support[shown[i * shots : (i + 1) * shots]].mean(0) for i in range(4)])
                    )
                    right = (query @ means.T).argmax(1) + 6 == ty[ty >= 6]
                    scores.setdefault(f"{shots} shots, {name}", []).append(right.mean())
                joint = HypersphericalReadout()
                vars(joint).update(vars(model))
                for i, c in enumerate(range(6, 10)):
                    joint.add_class(x[y >= 6][shown[i * shots : (i + 1) * shots]], c)
                answers = joint.predict(tx) == ty
                scores.setdefault(f"{shots} shots, old and new classes", []).append(answers.mean())
                scores.setdefault(f"{shots} shots, old classes among all", []).append(answers[ty < 6].mean())
        known = model.score(tx[ty < 6], ty[ty < 6])
        return {"old classes alone": float(known)} | {name: float(np.mean(s)) for name, s in scores.items()}

    found = over_chips(measure)
    ours, plain = (found[f"20 shots, {name}"][0] for name in ("normalised softmax", "plain softmax"))
    claim = "20 shots, new classes only: >= 0.75 and >= plain softmax + 5 points"
    checks = {"0.75": ours >= 0.75, "5 points": ours >= plain + 0.05}
    return {"claim": claim, "holds": all(checks.values()), "checks": checks, "found": found}


def nested() -> dict[str, object]:
    """Accuracy against columns of one nested projection, beside heads that were trained apart."""

    def measure(chip: int) -> dict[str, float]:
        parts = [states(chip, part) for part in (TRAIN, VALIDATION, TEST)]
        knobs = {"weight_decay": (0.1,), "epochs": 15, "random_state": chip}
        model = NestedReadout(**knobs).fit(*parts[0], validation=parts[1])
        score = {}
        for width in WIDTHS:
            alone = Alone(width=width, **knobs).fit(*parts[0], validation=parts[1])
            score[f"{width} nested"] = float(model.narrowed(2 * width).score(*parts[2]))
            score[f"{width} apart"] = float(alone.score(*parts[2]))
        weight, bias = alone.layers_[0]
        cut = [(alone.scaling_(x) @ weight[:, :8] + bias[:8], y) for x, y in parts]
        probe = LinearReadout(learning_rate=0.01, random_state=chip).fit(*cut[0], validation=cut[1])
        return score | {"8 cut from 64, head trained again": float(probe.score(*cut[2]))}

    found = over_chips(measure)
    gaps = {width: round(found[f"{width} nested"][0] - found[f"{width} apart"][0], 4) for width in WIDTHS}
    gain = found["8 nested"][0] - found["8 cut from 64, head trained again"][0]
    checks = {
        "from 16 outputs on": min(gaps[width] for width in (16, 32, 64)) >= -0.01,
        "8 outputs": gain >= 0.05,
    }
    return {
        "claim": "from 16 outputs on within 1 point of heads apart; at 8 at least 5 points above a cut one",
        "holds": all(checks.values()),
        "checks": checks,
        "gaps": gaps,
        "gain over a cut projection": round(gain, 4),
        "found": found,
    }


def homeostatic() -> dict[str, object]:
    """The example concept_shift, and the same with steps tried on whole batches."""
    found = {}
    for tried in ("first recording", "whole batch"):
        whole = f"stream.whole_batch={str(tried == 'whole batch').lower()}"
        config = load_concept_shift("concept_shift", ["stream.swaps_per_epoch=[4,16]", whole])
        result = run_concept_shift(config, data_dir=data_dir)
        start, (tuned, _) = result.same_start(), result.tuned()
        for k, swaps in enumerate(result.swaps_per_epoch):
            gain, behind = start[:, k, 1] - start[:, k, 0], start[:, k, 1] - tuned[:, k, 0]
            found[f"{swaps:g} swaps, gain over constant, tried on the {tried}"] = interval(list(gain))
            found[f"{swaps:g} swaps, against the best constant, tried on the {tried}"] = interval(
                list(behind)
            )
            for j, rule in enumerate(result.rules):
                name = f"{swaps:g} swaps, {rule}, tried on the {tried}"
                found[name] = interval(list(start[:, k, j]))
                found[f"{name}, best start"] = interval(list(tuned[:, k, j]))
    claim = "4 and 16 swaps an epoch: homeostatic >= constant with the same start + 2 points"
    gains = [mean for name, (mean, _) in found.items() if "gain over constant, tried on the first" in name]
    return {"claim": claim, "holds": min(gains) >= 0.02, "found": found}


def neuromodulated() -> dict[str, object]:
    """Digits turned by 45 degrees: gains and thresholds over a readout that was trained on both."""

    def measure(chip: int) -> dict[str, float]:
        def mixed(part: str) -> States:
            (x, y), (turned, _) = states(chip, part), states(chip, part, 45)
            half = np.arange(len(y)) % 2 == 0
            return np.where(half[:, None], x, turned), y

        turned = [states(chip, part, 45) for part in (TRAIN, VALIDATION, TEST)]
        few = turned[0][0][:2500], turned[0][1][:2500]
        score = {}
        for name, base in (
            ("softmax", LinearReadout(random_state=chip)),
            ("small MLP", MLPReadout(hidden=16, dropout=0.0, random_state=chip)),
        ):
            base.fit(*mixed(TRAIN), validation=mixed(VALIDATION))
            gated = NeuromodulatedReadout(**FAST, random_state=chip)
            gated.modulate(base, *few, validation=turned[1])
            for degrees, test in ((45, turned[2]), (0, states(chip, TEST))):
                score[f"{name}, frozen, {degrees} degrees"] = float(base.score(*test))
                score[f"{name}, modulated, {degrees} degrees"] = float(gated.score(*test))
            score[f"{name}, modulated, soft gate, 45 degrees"] = soft(gated, *turned[2])
            for degrees in (45, 0):
                key = f"{name}, {{}}, {degrees} degrees"
                score[f"{name}, gain, {degrees} degrees"] = (
                    score[key.format("modulated")] - score[key.format("frozen")]
                )
        for hidden in (0, 512):
            model = NeuromodulatedReadout(hidden=hidden, **FAST, random_state=chip)
            model.fit(*states(chip, TRAIN), validation=states(chip, VALIDATION))
            score[f"all random, {hidden or 'no'} hidden neurons"] = float(model.score(*states(chip, TEST)))
        return score

    found = over_chips(measure)

    def means(what: str) -> np.ndarray:
        return np.array([found[f"{name}, {what}"][0] for name in ("softmax", "small MLP")])

    gates = means("modulated, soft gate, 45 degrees") - means("modulated, 45 degrees")
    checks = {
        "45 degrees": bool(means("gain, 45 degrees").min() >= 0.015),
        "0 degrees": bool(means("gain, 0 degrees").min() >= -0.015),
        "hard gate": bool(np.abs(gates).max() <= 0.01),
        "all random": found["all random, 512 hidden neurons"][0] >= 0.65,
    }
    claim = "45 degrees + 1.5 points, 0 degrees - 1.5 at most, hard gate within 1 of soft; all random >= 0.65"
    return {"claim": claim, "holds": all(checks.values()), "checks": checks, "found": found}


def sage() -> dict[str, object]:
    """Novelty of Fashion-MNIST and of turned digits; accuracy when the strangest fifth is rejected."""
    uniform: dict[str, list[float]] = {"validation": [], "test": []}

    def measure(chip: int) -> dict[str, float]:
        model = SageReadout(random_state=chip)
        held_x, held_y = states(chip, VALIDATION)
        # one half calibrates; the other one, of the same writers, shows whether novelty is uniform
        model.fit(*states(chip, TRAIN), validation=(held_x[::2], held_y[::2]))
        x, y = states(chip, TEST)
        ordinary = model.novelty(x)
        for name, novelty in (("validation", model.novelty(held_x[1::2])), ("test", ordinary)):
            uniform[name].append(round(float(stats.kstest(novelty, "uniform").pvalue), 4))
        found = {"accuracy": float(model.score(x, y))}
        strange = {"Fashion-MNIST": states(chip, "fashion")[0]}
        strange |= {f"turned by {degrees}": states(chip, TEST, degrees)[0] for degrees in (15, 30, 45, 90)}
        raw = model.scores(x)
        for name, other in strange.items():
            novelty = model.novelty(other)
            truth = np.repeat([0, 1], [len(ordinary), len(novelty)])
            found[f"AUROC, {name}"] = float(roc_auc_score(truth, np.concatenate([ordinary, novelty])))
            found[f"median novelty, {name}"] = float(np.median(novelty))
            for score, values in model.scores(other).items():
                joined = np.concatenate([raw[score], values])
                found[f"AUROC, {name}, {score} alone"] = float(roc_auc_score(truth, joined))
        found["median novelty, upright"] = float(np.median(ordinary))
        keep = ordinary <= np.quantile(ordinary, 0.8)
        found["accuracy without the strangest 20 %"] = float(model.score(x[keep], y[keep]))
        return found

    found = over_chips(measure)
    medians = [
        found[f"median novelty, {name}"][0]
        for name in ("upright", "turned by 15", "turned by 30", "turned by 45", "turned by 90")
    ]
    gain = found["accuracy without the strangest 20 %"][0] - found["accuracy"][0]
    checks = {
        "Fashion-MNIST": found["AUROC, Fashion-MNIST"][0] >= 0.95,
        "45 degrees": found["AUROC, turned by 45"][0] >= 0.80,
        "rejection": gain >= 0.03,
        "severity": medians == sorted(medians),
        "uniform": min(uniform["validation"]) > 0.01,
    }
    return {
        "claim": "AUROC >= 0.95 for Fashion-MNIST, >= 0.80 for 45 degrees; accuracy + 3 points without the "
        "strangest 20 %; novelty rises with the angle; uniform on ordinary recordings (KS p > 0.01)",
        "holds": all(checks.values()),
        "checks": checks,
        "KS p of each chip": uniform,
        "found": found,
    }


def contrastive() -> dict[str, object]:
    """Pairwise ranking: a picture looks for spoken words (annotation), a word for pictures (search)."""

    def measure(chip: int) -> dict[str, float]:
        ear = ears(chip)
        (x, y), (vx, vy), (tx, ty) = (states(chip, part) for part in (TRAIN, VALIDATION, TEST))
        score = {}
        for loss, temperature in LOSSES.items():
            config = ContrastiveConfig(loss=loss, temperature=temperature, epochs=30, patience=8)
            model = ContrastiveReadout(config, random_state=chip)
            held, validation = ear[TEST], (vx, ear[VALIDATION][0], vy, ear[VALIDATION][1])
            model.fit(x, ear[TRAIN][0], y, ear[TRAIN][1], validation=validation)
            found = model.evaluate(tx, held[0], ty, held[1])
            for name, way in (("annotation", "a_to_b"), ("search", "b_to_a")):
                for what in ("recall_1", "recall_5", "mean_precision"):
                    score[f"{loss}, {name}, {what}"] = float(getattr(found[way], what))
        return score

    found = over_chips(measure)
    checks = {
        "annotation R@5": found["hinge, annotation, recall_5"][0] >= 0.93,
        "search R@1": found["hinge, search, recall_1"][0] >= 0.80,
        "digit": found["hinge, annotation, recall_1"][0] >= 0.88,
    }
    claim = "hinge: annotation R@5 >= 0.93, search R@1 >= 0.80, digit of the nearest word right >= 0.88"
    return {"claim": claim, "holds": all(checks.values()), "checks": checks, "found": found}


LOSSES = {"hinge": 1.0, "hinge_hard": 1.0, "infonce": 0.1, "supervised": 0.1}  # temperatures
WIDTHS = (8, 16, 32, 64)
FAST = {"weight_decay": (0.01,), "learning_rate": 0.03, "epochs": 12}


class Alone(NestedReadout):
    """The same projection and head, of one width only."""

    def _widths(self) -> tuple[int, ...]:
        return (self.width,)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def soft(model: NeuromodulatedReadout, x: np.ndarray, y: np.ndarray) -> float:
    """Accuracy with the soft gate of training."""
    z = model.scaling_(x)
    z = model.gains_ * z / (1 + np.exp(-(z - model.thresholds_) / SOFTNESS))
    for i, (weight, bias) in enumerate(model.layers_):
        z = (np.maximum(z, 0) if i else z) @ weight + bias
    return float((model.classes_[z.argmax(1)] == y).mean())


ROWS = {f.__name__: f for f in (svm, hyperspherical, nested, neuromodulated, sage, homeostatic, contrastive)}


def main(wanted: list[str]) -> None:
    for name in wanted or ROWS:
        if name not in rows():
            measured = {"readout": name, **ROWS[name]()}
            done = rows() | {name: measured}  # another process may have written in the meantime
            write_text(RESULTS, "".join(json.dumps(done[one]) + "\n" for one in ROWS if one in done))
    for name, row in rows().items():
        print(f"{name}: {row['claim']}: {'holds' if row['holds'] else 'DOES NOT HOLD'}")
        for what, (mean, half) in row["found"].items():
            print(f"    {what:60} {mean:7.4f} +- {half:.4f}")
    print(json.dumps({name: row["holds"] for name, row in rows().items()}))


def rows() -> dict[str, dict]:
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {row["readout"]: row for row in map(json.loads, lines)}


if __name__ == "__main__":
    warnings.simplefilter("error", RuntimeWarning)
    data_dir = Path(sys.argv[1])
    main(sys.argv[2:])

"""A synthetic comparison of all kinds of contestants, with the numbers of a small real one."""

from typing import Any

import numpy as np

from neurosim.baselines.hardware import HardwareCost
from neurosim.results import Interval, accuracy_interval
from neurosim.study.compare.results import Comparison, Contestant, Paired

N_TEST = 600
SIZES = (100, 300, 1000, 2000)
VARIANTS = {
    "full": 0.0,
    "no_entanglement": 0.001,
    "frozen": -0.02,
    "linear": 0.004,
    "deleted": 0.003,
    "classical": 0.006,
}


def interval(mean: float, n_seeds: int = 3) -> Interval:
    hits = [round(N_TEST * min(mean, 1)) + d for d in (0, -4, 3, -1, 2)[:n_seeds]]
    return accuracy_interval(np.clip(hits, 0, N_TEST), N_TEST)


def paired(other: str, difference: float, p: float) -> Paired:
    return Paired(other, difference, (difference - 0.012, difference + 0.012), p / 10, p)


def cost(which: Any, platform: str, joule: float, second: float) -> HardwareCost:
    return HardwareCost(which, platform, {"all": joule, "total": joule}, {"all": second, "total": second})


def curve(mean: float, n_seeds: int) -> tuple[tuple[int, Interval], ...]:
    """Error falls with the square root of the recordings."""
    return tuple(
        (size, interval(1 - min(0.9, (1 - mean) * (SIZES[-1] / size) ** 0.5), n_seeds)) for size in SIZES
    )


def make_contestant(
    name: str, kind: Any, mean: float, n_parameters: int, n_seeds: int = 3, **changed: Any
) -> Contestant:
    """A contestant; ``changed`` replaces fields."""
    digital = cost("digital", "CPU of 2024", 2e-11 * n_parameters, 1e-9 * n_parameters)
    fields: dict[str, Any] = {
        "name": name,
        "model": name.partition(",")[0].partition(" [")[0],
        "kind": kind,
        "variant": None,
        "inputs": "images",
        "accuracy": interval(mean, n_seeds),
        "validation_accuracy": mean + 0.004,
        "n_parameters": n_parameters,
        "n_quantum_parameters": 0,
        "operations": 12.0 * n_parameters,
        "costs": (digital,),
        "train_seconds": 2.5 + n_parameters / 1000,
        "infer_seconds": 3.1e-5,
        "robustness": {"input noise 10 %": interval(mean - 0.03), "FGSM 0.1": interval(0.6 * mean)},
        "chosen": {"training.learning_rate": 0.001, "training.batch": 64},
        "trials": (
            ({"training.learning_rate": 0.001, "training.batch": 64}, mean + 0.004),
            ({"training.learning_rate": 0.01, "training.batch": 64}, mean - 0.05),
        ),
        "curve": curve(mean, n_seeds),
        "against": paired("liquid", mean - 0.93, 0.0004 if abs(mean - 0.93) > 0.015 else 0.41),
        "same_parameters": paired("mlp [16]", mean - 0.945, 0.03),
        "same_operations": paired("mlp [64]", mean - 0.96, 0.2),
        "headline": "",
        "notes": {},
    }
    return Contestant(**fields | changed)


def hybrid(model: str, mean: float, n_parameters: int, **of_full: Any) -> list[Contestant]:
    found = []
    for variant, more in VARIANTS.items():
        quantum = {"n_quantum_parameters": 60} if variant in ("full", "no_entanglement") else {}
        changed: dict[str, Any] = {
            "model": model,
            "variant": variant,
            "curve": (),
            "robustness": {},
            **quantum,
        }
        if quantum or variant == "frozen":
            changed["costs"] = (
                cost("optimistic", "ion trap", 2.0, 1.5),
                cost("realistic", "superconducting, cloud", 7e4, 9.0e3),
            )
        if variant == "full":
            noise = {"1024 shots": interval(mean - 0.005), "depolarising 0.01": interval(mean - 0.02)}
            changed |= {
                "curve": curve(mean, 3),
                "robustness": {"input noise 10 %": interval(mean - 0.05)} | noise,
                "headline": "99.21 % on MNIST with 60,000 training images",
            } | of_full
        else:
            changed |= {
                "trials": (),
                "against_full": paired(model, more, 0.0004 if abs(more) > 0.015 else 0.41),
            }
        found.append(
            make_contestant(
                model if variant == "full" else f"{model}, {variant}",
                "quantum",
                mean + more,
                n_parameters,
                **changed,
            )
        )
    return found


def make_comparison(**changed: Any) -> Comparison:
    """Liquid, two hybrids with variants, four rivals, three reference networks, one that failed."""
    liquid = make_contestant(
        "liquid",
        "liquid",
        0.93,
        4010,
        inputs="events",
        against=None,
        costs=(cost("macro", "rram_40nm_256kb", 3.2e-6, 2e-3), cost("digital", "CPU of 2024", 4e-4, 1e-2)),
        robustness={"input noise 10 %": interval(0.91), "read noise 10 %": interval(0.925)},
        trials=(({"array.dt": 0.001}, 0.93), ({"array.dt": 0.002}, 0.91)),
        chosen={"array.dt": 0.001},
    )
    rivals = [
        make_contestant("cnn", "classical", 0.985, 60_074, headline="99.23 % on MNIST"),
        make_contestant("logistic", "classical", 0.88, 7850, same_operations=None),
        make_contestant("gru", "classical", 0.931, 21_000, inputs="events"),
        make_contestant("knn", "classical", 0.925, 0, same_parameters=None),
    ]
    references = [
        make_contestant(
            f"mlp [{width}]", "reference", mean, 794 * width, same_parameters=None, same_operations=None
        )
        for width, mean in ((4, 0.85), (16, 0.945), (64, 0.96))
    ]
    fields: dict[str, Any] = {
        "name": "small",
        "fingerprint": "0123456789abcdef" * 4,
        "study": {"schema": "neurosim.study/1", "name": "small", "compare": {"models": ["liquid", "cnn"]}},
        "against": "liquid",
        "n_train": 2000,
        "n_validation": 300,
        "n_test": N_TEST,
        "seeds": (0, 1, 2),
        "n_trials": 2,
        "contestants": (
            liquid,
            *hybrid("hqnn_parallel", 0.962, 45_194),
            *hybrid("quantum_creep", 0.94, 163_000, notes={"unitarity error": 0.88}),
            *rivals,
            *references,
        ),
        "failed": {"lstm": "BaselineError: loss is not finite <at epoch 3>\nlower training.learning_rate"},
        "waiting": 4,
        "versions": {"neurosim": "0.1.0", "torch": "2.11.0"},
    }
    return Comparison(**fields | changed)

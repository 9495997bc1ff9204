"""A synthetic result with the shape and the numbers of a real one."""

from typing import Any

import numpy as np

from neurosim.array import Cost
from neurosim.results import ChipResult, Example, Result, accuracy_interval

G_MEAN, G_SD = 34.1e-6, 5.3e-6
EXPERIMENT = {
    "seed": 7,
    "device": {"card": "taox_1t1r_40nm"},
    "array": {"macro": "rram_40nm_256kb"},
    "reservoir": {"topology": "shared"},
    "readout": {"kind": "linear"},
    "cards": {"device": {"g_mean": 3.41e-5}},
}


def make_result(
    *,
    n_chips: int = 3,
    classes: tuple[str, ...] = tuple("0123456789"),
    n_neurons: int = 400,
    equal_rates: bool = False,
    spikes: bool = True,
    height: int = 34,
    **changed: Any,
) -> Result:
    """A result of ``n_chips`` chips on 600 recordings; ``changed`` replaces fields."""
    rng = np.random.default_rng(1)
    chips = []
    for number in range(n_chips):
        truth = np.arange(600) % len(classes)
        answer = np.where(rng.random(600) < 0.93, truth, rng.integers(len(classes), size=600))
        confusion = np.zeros((len(classes), len(classes)), np.int64)
        np.add.at(confusion, (truth, answer), 1)
        g = rng.normal(G_MEAN, G_SD, 20_000)
        g[rng.random(g.size) < 0.5] = 1e-7
        before = rng.gamma(1.2, 25.0, n_neurons)
        after = rng.normal(20.0, 3.0, n_neurons).clip(0)
        if equal_rates:
            before = after = np.zeros(n_neurons)
        chips.append(
            ChipResult(
                chip=number,
                n_correct=int(np.trace(confusion)),
                validation_accuracy=0.951 + 0.002 * number,
                train_accuracy=0.987,
                confusion=confusion,
                rate_before=before.astype(np.float32),
                rate_after=after.astype(np.float32),
                conductance=g.astype(np.float32),
                readout={"weight_decay": 1e-4, "epochs": 31 + number},
            )
        )
    picture = np.zeros((height, 34))
    x = np.arange(12, 24)
    for row in range(height)[6:28] if height > 1 else [0]:
        picture[row, x] = rng.poisson(4, x.size) * np.sign(x - 17.5)
    fired = (rng.random((50, n_neurons)) < 0.05) & spikes
    fields: dict[str, Any] = {
        "name": "nmnist-local",
        "fingerprint": "3f6c0a91" * 8,
        "experiment": EXPERIMENT,
        "versions": {"neurosim": "0.1.0", "numpy": "2.3.5", "python": "3.11.7"},
        "accuracy": accuracy_interval([chip.n_correct for chip in chips], 600),
        "n_train": 59_000,
        "n_validation": 1_000,
        "n_test": 600,
        "classes": classes,
        "chips": tuple(chips),
        "cells": 118_272,
        "tiles": 1,
        "utilisation": 118_272 / 262_144,
        "rates": {"before": 30.2, "after": 20.1, "target": 20.0},
        "energy": {
            "row_drive": 5e-8,
            "cell_read": 6e-8,
            "adc": 4.3e-7,
            "digital_accumulate": 6e-8,
            "projection_mac": 2.5e-8,
            "total": 6.25e-7,
        },
        "operations": {"array_macs": 1_234_567.0, "adc_conversions": 20_000.0, "spikes": 1_000.5},
        "array": {"row_activity": 0.031, "adc_full_scale": 1e-4, "adc_clipped": 2e-4},
        "programming": {},
        "cost": (
            Cost(
                "rram_40nm_256kb",
                "spike-aware",
                {"row_drive": 1.95e-7, "adc": 4.3e-7, "total": 6.25e-7},
                {"cell_read": 1.5e-4, "adc": 2.5e-5, "total": 1.75e-4},
                {"cells": 5e-8, "adc": 1e-8, "total": 6e-8},
            ),
            Cost(
                "gpu", "dense", {"synapses": 8.75e-6, "total": 8.75e-6}, {"total": 3e-8}, {"total": 8.26e-4}
            ),
            Cost("accelerator", "spike-aware", {"synapses": 7.77e-7, "total": 7.77e-7}, {}, {}),
        ),
        "seconds": {"events": 12.5, "device": 0.031, "liquid": 41.2, "readout": 9.75, "total": 63.481},
        "example": Example(
            picture.astype(np.float32), fired.astype(np.uint8), 6e-3, label=classes[1], predicted=classes[0]
        ),
    }
    return Result(**(fields | changed))

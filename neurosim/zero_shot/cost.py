"""What a pair of recordings costs, and what training for it costs against trained encoders."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neurosim.array import Cost, compare, count_operations
from neurosim.cards import list_cards, load_platform
from neurosim.experiment import Encoded, chip_cost
from neurosim.readout.contrastive import Trained


def training_cost(encoder: float, projection: float, epochs: float) -> dict[str, float]:
    """Multiplications of training for one pair of recordings, dense.

    A random liquid is simulated once and its projections are trained for E epochs, a backward pass being two
    forward passes; a trained encoder is simulated and differentiated at every epoch:

        random   F + 3 E P
        trained  3 E (F + P)

    Args:
        encoder: F, those of both encoders for one pair.
        projection: P, those of both projections.
        epochs: E.

    Assumes: the same encoders and epochs; steps in which nothing is active count, as on a GPU.
    Source: counting; with the sizes of Lin et al. it comes near their 152.83 and 393.07, see
        benchmarks/studies/paper_cost.py for what that does and does not show.
    """
    random = encoder + 3 * epochs * projection
    trained = 3 * epochs * (encoder + projection)
    return {
        "encoder": encoder,
        "projection": projection,
        "epochs": epochs,
        "random": random,
        "trained": trained,
        "ratio": trained / random,
    }


def training_of(encoded: Sequence[Encoded], trained: Trained) -> dict[str, float]:
    """`training_cost` of the liquids and projections of a chip, for the epochs that they were trained."""
    encoder = sum(one.work.n_synapses * one.work.n_steps for one in encoded)
    return training_cost(encoder, trained.a.n_weights + trained.b.n_weights, trained.epochs)


def costs_of(encoded: Sequence[Encoded], trained: Trained) -> dict[str, Any]:
    """Cells, rates and cost of one pair of recordings: both liquids one after the other."""
    costs: list[tuple[Cost, ...]] = []
    operations: dict[str, float] = {}
    for one, projection in zip(encoded, (trained.a, trained.b), strict=True):
        crossbar = one.chip.crossbar
        work = replace(one.work, n_macs=projection.n_weights)
        macro = chip_cost(crossbar, work)
        costs.append(compare(macro, map(load_platform, list_cards("platform")), work))
        for key, n in count_operations(crossbar.tiles, work).items():
            operations[key] = operations.get(key, 0.0) + n
    both = tuple(_sum(a, b, two_machines=i == 0) for i, (a, b) in enumerate(zip(*costs, strict=True)))
    tilings = [one.chip.crossbar.tiles for one in encoded]
    cells, tiles = sum(t.cells for t in tilings), sum(t.n_tiles for t in tilings)
    return {
        "cells": cells,
        "tiles": tiles,
        "utilisation": cells / (tiles * tilings[0].tile_cells),
        "rates": {
            "before": float(np.mean([one.rate_before for one in encoded])),
            "after": float(np.mean([one.rate_after for one in encoded])),
        },
        "energy": both[0].energy,
        "operations": operations,
        "cost": both,
    }


def _sum(a: Cost, b: Cost, *, two_machines: bool) -> Cost:
    """Costs of two pieces of work, one after the other, on the same machine or on two."""

    def added(x: dict[str, float], y: dict[str, float]) -> dict[str, float]:
        return {key: x.get(key, 0.0) + y.get(key, 0.0) for key in (x | y)} if x and y else {}

    return Cost(
        a.platform,
        a.counting,
        added(a.energy, b.energy),
        added(a.latency, b.latency),
        added(a.area, b.area) if two_machines else a.area,
    )

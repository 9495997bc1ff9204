"""Liquids, recordings and projections that the tests of the exporters share."""

from typing import Any

import numpy as np
import pytest

from neurosim.errors import DataNotFoundError
from neurosim.events.binning import BinningConfig, bin_events
from neurosim.events.datasets import load
from neurosim.events.types import Binned
from neurosim.export.projection import Projection, integers
from neurosim.readout.base import Readout
from neurosim.reservoir import (
    HomeostasisConfig,
    Liquid,
    ReservoirConfig,
    adapt_thresholds,
    build_liquid,
    wire,
)


def digits(request: pytest.FixtureRequest, n: int = 64, crop: int = 16) -> Binned:
    """Recordings of N-MNIST; where it is not there, simulated ones."""
    try:
        events = load("nmnist", "train", data_dir=request.getfixturevalue("real_data"), n=n)
    except (pytest.skip.Exception, DataNotFoundError):
        events = load("mnist-saccades", "test", n=n)
    return bin_events(events, BinningConfig(n_steps=50, duration=0.31, crop=crop, polarity="off"))


def adapted(binned: Binned, *, rate: float = 10.0, seed: int = 0, **options: Any) -> Liquid:
    """A random liquid after a few passes of homeostasis, so that no two thresholds are the same."""
    homeostasis = HomeostasisConfig(rate_target=rate, n_iterations=6, n_recordings=16)
    config = ReservoirConfig(homeostasis=homeostasis, **{"beta": 0.9} | options)
    wiring = wire(config, binned.sensor, seed=seed)
    dg = np.random.default_rng(seed).normal(0, 6.6e-6, wiring.shape).astype(np.float32)
    liquid = build_liquid(config, wiring, dg, dt=binned.dt, seed=seed)
    return adapt_thresholds(liquid, binned, homeostasis, noise_key=0)


def projection_of(readout: Readout, states: Any) -> Projection:
    """A trained readout as exporters take it."""
    largest, whole = float(states.max()), states.dtype.kind == "u"
    integer = integers(readout.scaling_, readout.layers_, bits=16, largest_state=largest, whole=whole)
    return Projection(readout.scaling_, readout.layers_, np.asarray(readout.classes_, np.int64), integer)

"""Liquids, recordings and projections that the tests of the exporters share."""

from typing import Any

import numpy as np
import pytest

from neurosim.errors import DataNotFoundError
from neurosim.events.binning import BinningConfig, bin_events
from neurosim.events.datasets import load
from neurosim.events.types import Binned, Sensor
from neurosim.export.projection import Projection, integers
from neurosim.readout.base import Layers, Readout
from neurosim.reservoir import HomeostasisConfig, Liquid, ReservoirConfig, adapt_thresholds, build_liquid, wire


def digits(request: pytest.FixtureRequest, crop: int = 16) -> Binned:
    """64 recordings of N-MNIST; where it is not there, simulated ones."""
    try:
        events = load("nmnist", "train", data_dir=request.getfixturevalue("real_data"), n=64)
    except (pytest.skip.Exception, DataNotFoundError):
        events = load("mnist-saccades", "test", n=64)
    return bin_events(events, BinningConfig(n_steps=50, duration=0.31, crop=crop, polarity="off"))


def adapted(binned: Binned, seed: int = 0, rate: float = 10.0, **options: Any) -> Liquid:
    """The paper's liquid, smaller where the options say so, after homeostasis."""
    config = ReservoirConfig(
        homeostasis=HomeostasisConfig(rate_target=rate, n_iterations=6, n_recordings=16), **{"beta": 0.9} | options
    )
    wiring = wire(config, binned.sensor, seed=seed)
    dg = np.random.default_rng(seed).normal(0, 6.6e-6, wiring.shape).astype(np.float32)
    liquid = build_liquid(config, wiring, dg, dt=binned.dt, seed=seed)
    assert config.homeostasis
    return adapt_thresholds(liquid, binned, config.homeostasis, noise_key=0)


def projection_of(readout: Readout, largest_state: float, *, whole: bool = True) -> Projection:
    """A trained readout as exporters take it."""
    return projection(readout.scaling_, readout.layers_, readout.classes_, largest_state, whole=whole)


def projection(scaling: Any, layers: Layers, codes: Any, largest_state: float, *, whole: bool = True) -> Projection:
    integer = integers(scaling, layers, bits=16, largest_state=largest_state, whole=whole)
    return Projection(scaling, layers, np.asarray(codes, np.int64), integer)


__all__ = ["Sensor", "adapted", "digits", "projection", "projection_of"]

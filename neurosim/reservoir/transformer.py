"""The liquid as a scikit-learn transformer: events in, states out."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from neurosim.array import ArrayConfig
from neurosim.device import DeviceConfig
from neurosim.events.binning import BinningConfig, bin_events
from neurosim.events.types import Events
from neurosim.reservoir.chip import make_chip
from neurosim.reservoir.config import ReservoirConfig
from neurosim.reservoir.states import Engine


class LiquidTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Random resistive liquid as a step of a ``Pipeline``; ``X`` is an ``Events``.

    ``fit`` forms one chip and adapts its thresholds without looking at labels; ``transform`` returns
    the states, (n, n_states). Every call reads the crossbar at the same moments with the same noise, so
    that it is repeatable; in ``neurosim.run`` the slow noise moves on from training to test.

    Args:
        reservoir, events, device, array: Configs of the stages.
        seed: Seed of all random streams.
        chip: Number of the device instance.
        engine: ``numba``, ``snntorch`` or ``brian2``.

    Attributes:
        chip_: The chip that was formed.
    """

    def __init__(
        self,
        reservoir: ReservoirConfig,
        *,
        events: BinningConfig | None = None,
        device: DeviceConfig | None = None,
        array: ArrayConfig | None = None,
        seed: int = 0,
        chip: int = 0,
        engine: Engine = "numba",
    ) -> None:
        self.reservoir = reservoir
        self.events = events
        self.device = device
        self.array = array
        self.seed = seed
        self.chip = chip
        self.engine = engine

    def fit(self, X: Events, y: Any = None) -> Self:
        """Form the chip and let its thresholds find their rate on ``X``; ``y`` is not used."""
        binned = bin_events(X, self.events or BinningConfig())
        chip = make_chip(
            self.reservoir,
            self.device or DeviceConfig(),
            self.array or ArrayConfig(),
            sensor=binned.sensor,
            dt=binned.dt,
            seed=self.seed,
            number=self.chip,
        )
        self.chip_ = chip.calibrated(binned)
        return self

    def transform(self, X: Events) -> npt.NDArray[Any]:
        """States of the recordings, (n, n_states)."""
        check_is_fitted(self)
        binned = bin_events(X, self.events or BinningConfig())
        reads = self.chip_.reads(self.reservoir.n_reads)
        return np.asarray(self.chip_.states(binned, reads, use="transform", engine=self.engine).x)

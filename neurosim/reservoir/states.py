"""Run recordings through a liquid and read its states, on any engine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from neurosim.errors import ExperimentError, ShapeError, did_you_mean
from neurosim.events.types import Binned
from neurosim.reservoir.liquid import Liquid

Engine = Literal["numba", "snntorch", "brian2"]


@dataclass(frozen=True, eq=False)
class States:
    """What is read from the liquid.

    Attributes:
        x: (n, n_segments * n_features); counts in the narrowest unsigned type, float32 rates or traces.
        n_spikes: int64 (n,), spikes of all neurons in each recording.
        spikes: uint8 (n, n_steps, n_neurons), or None unless asked for.
    """

    x: npt.NDArray[Any]
    n_spikes: npt.NDArray[np.int64]
    spikes: npt.NDArray[np.uint8] | None


@dataclass(frozen=True, eq=False)
class Readings:
    """How spikes add up to states: ``states[segment[t], feature[j]] += step_weight[t]``."""

    segment: npt.NDArray[np.int64]
    step_weight: npt.NDArray[Any]
    feature: npt.NDArray[np.int32]
    n_features: int
    n_segments: int

    def add(self, spikes: npt.NDArray[np.uint8], states: npt.NDArray[Any]) -> None:
        """Add the spikes (n, n_steps, n_neurons) of engines that hand over whole spike trains."""
        i, t, j = np.nonzero(spikes)
        np.add.at(states, (i, self.segment[t] * self.n_features + self.feature[j]), self.step_weight[t])


def readings_for(liquid: Liquid, n_steps: int) -> Readings:
    """How spikes of ``n_steps`` steps add up to states, as the liquid's config says."""
    config = liquid.config.states
    if config.n_segments > n_steps:
        raise ExperimentError(
            f"states.n_segments (={config.n_segments}) is larger than events.n_steps (={n_steps}); lower it"
        )
    segment = np.arange(n_steps) * config.n_segments // n_steps
    steps = np.bincount(segment)
    match config.kind:
        case "count":
            pooled = np.bincount(liquid.wiring.feature).max()
            weight: npt.NDArray[Any] = np.ones(n_steps, np.min_scalar_type(pooled * steps.max()))
        case "rate":
            weight = 1 / (steps[segment] * liquid.dt)
        case "trace":
            ends = np.cumsum(steps)[segment] - 1
            weight = np.exp(-(ends - np.arange(n_steps)) * liquid.dt / config.tau_trace)
    weight = weight if config.kind == "count" else weight.astype(np.float32)
    return Readings(segment, weight, liquid.wiring.feature, liquid.wiring.n_features, config.n_segments)


def per_neuron(n_neurons: int, n_steps: int) -> Readings:
    """The spikes of every neuron, counted over the whole recording."""
    weight = np.ones(n_steps, np.min_scalar_type(n_steps))
    return Readings(np.zeros(n_steps, np.int64), weight, np.arange(n_neurons, dtype=np.int32), n_neurons, 1)


def simulate(
    liquid: Liquid,
    binned: Binned,
    *,
    engine: Engine = "numba",
    noise_key: int = 0,
    first_recording: int = 0,
    spikes: bool = False,
    readings: Readings | None = None,
    progress: Callable[[int], None] | None = None,
) -> States:
    """States of a liquid for binned recordings.

    Args:
        liquid: Weights, thresholds and membrane constants.
        binned: Recordings.
        engine: ``numba``, ``snntorch`` or ``brian2``; with integer weights all three give the same spikes.
        noise_key: Key of the white read noise (``rng.key``).
        first_recording: Number of the first recording in that stream, so that a set may be run in parts.
        spikes: Whether to keep every spike.
        readings: How spikes add up to states; None: as the liquid's config says.
        progress: Called with the number of recordings just finished.

    Raises:
        ShapeError: If the recordings' channels are not the liquid's inputs.
        ExperimentError: If the engine is unknown, or there are more segments than steps.
    """
    if binned.sensor.n_channels != liquid.wiring.inputs.n_pre:
        raise ShapeError(
            f"recordings have {binned.sensor.n_channels} channels, the liquid {liquid.wiring.inputs.n_pre}; "
            "bin them as those that the liquid was built for"
        )
    readings = readings or readings_for(liquid, binned.n_steps)
    match engine:
        case "numba":
            from neurosim.reservoir.numba_engine import run_batch
        case "snntorch":
            from neurosim.reservoir.snntorch_engine import run_batch
        case "brian2":
            from neurosim.reservoir.brian2_engine import run_batch
        case _:
            raise ExperimentError(f"unknown engine '{engine}'; {did_you_mean(engine, get_args(Engine))}")
    n, n_neurons = len(binned), liquid.wiring.n_neurons
    x = np.zeros((n, readings.n_segments * readings.n_features), readings.step_weight.dtype)
    n_spikes = np.zeros(n, np.int64)
    trains = np.zeros((n, binned.n_steps, n_neurons) if spikes else (0, 0, 0), np.uint8)
    size = 512
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        run_batch(
            liquid,
            binned[part],
            readings,
            noise_key,
            first_recording + start,
            x[part],
            n_spikes[part],
            trains[part],
        )
        if progress is not None:
            progress(part.stop - part.start)
    return States(x, n_spikes, trains if spikes else None)

"""Run recordings through a liquid and read its states, on any engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from neurosim.errors import ExperimentError, ShapeError, did_you_mean
from neurosim.events.types import Binned
from neurosim.reservoir.liquid import Liquid

Engine = Literal["numba", "snntorch", "brian2"]

BLOCK = 512  # recordings that an engine gets at a time
FEW_COLUMNS = 128  # of a chip: more of them fill a loop by themselves
TOGETHER = 16_384  # neurons of all chips that run together: their state stays in the second cache


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
    states, *_ = simulate_chips(
        [liquid],
        binned,
        noise_keys=[noise_key],
        engine=engine,
        first_recording=first_recording,
        spikes=spikes,
        readings=readings,
        progress=progress,
    )
    return states


def simulate_chips(
    liquids: Sequence[Liquid],
    binned: Binned,
    *,
    noise_keys: Sequence[int],
    engine: Engine = "numba",
    first_recording: int = 0,
    spikes: bool = False,
    readings: Readings | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[States]:
    """States of several chips with one config, of each the same as alone.

    Our engine runs as many of them at once as pay: where a channel drives few columns of a chip, the chips'
    columns are driven together.

    Args:
        liquids: One or more.
        noise_keys: Key of each one's white read noise.
        progress: Called with the number of recordings just finished by a chip.
        binned, engine, first_recording, spikes, readings: See `simulate`, also for what is raised.
    """
    wiring = liquids[0].wiring
    if binned.sensor.n_channels != wiring.inputs.n_pre:
        raise ShapeError(
            f"recordings have {binned.sensor.n_channels} channels, the liquid {wiring.inputs.n_pre}; "
            "bin them as those that the liquid was built for"
        )
    readings = readings or readings_for(liquids[0], binned.n_steps)
    together = 1
    match engine:
        case "numba":
            from neurosim.reservoir.numba_engine import run_chips

            if wiring.shape[1] <= FEW_COLUMNS:
                together = max(1, TOGETHER // wiring.n_neurons)
        case "snntorch":
            from neurosim.reservoir.snntorch_engine import run_batch

            run_chips = partial(_one_by_one, run_batch)
        case "brian2":
            from neurosim.reservoir.brian2_engine import run_batch

            run_chips = partial(_one_by_one, run_batch)
        case _:
            raise ExperimentError(f"unknown engine '{engine}'; {did_you_mean(engine, get_args(Engine))}")
    n, n_chips = len(binned), len(liquids)
    x = np.zeros((n_chips, n, readings.n_segments * readings.n_features), readings.step_weight.dtype)
    n_spikes = np.zeros((n_chips, n), np.int64)
    trains = np.zeros(
        (n_chips, n, binned.n_steps, wiring.n_neurons) if spikes else (n_chips, 0, 0, 0), np.uint8
    )
    for first, start in product(range(0, n_chips, together), range(0, n, BLOCK)):
        chips, part = slice(first, first + together), slice(start, start + BLOCK)
        run_chips(
            liquids[chips],
            binned[part],
            readings,
            noise_keys[chips],
            first_recording + start,
            x[chips, part],
            n_spikes[chips, part],
            trains[chips, part],
        )
        if progress is not None:
            progress(n_spikes[chips, part].size)
    return [States(*one) for one in zip(x, n_spikes, trains if spikes else [None] * n_chips, strict=True)]


def _one_by_one(
    run_batch: Callable[..., None],
    liquids: Sequence[Liquid],
    binned: Binned,
    readings: Readings,
    noise_keys: Sequence[int],
    first_recording: int,
    *out: npt.NDArray[Any],
) -> None:
    """Run the chips through an engine that takes one at a time."""
    for liquid, key, *own in zip(liquids, noise_keys, *out, strict=True):
        run_batch(liquid, binned, readings, key, first_recording, *own)

"""Which pair of cells joins which channel or neuron to which neuron."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim import rng
from neurosim.errors import ExperimentError
from neurosim.events.types import Sensor
from neurosim.reservoir.config import ReservoirConfig

Index = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Synapses:
    """Synapses as triples: spikes of ``pre`` reach ``post`` with the weight of ``pair``.

    Attributes:
        n_pre: Number of channels or neurons on the driving side.
        pre, post, pair: int32 (n_synapses,); ``pair`` is a flat index into the crossbar.
    """

    n_pre: int
    pre: Index
    post: Index
    pair: Index

    @cached_property
    def runs(self) -> tuple[Index, Index, Index, Index]:
        """Synapses as runs: (ptr, first neuron, first pair, length), by driving side.

        A run goes on while both the neuron and the pair go up by one, so that it is one loop over
        neighbouring memory.
        """
        order = np.lexsort((self.post, self.pre))
        pre, post, pair = self.pre[order], self.post[order], self.pair[order]
        joined = (np.diff(pre) == 0) & (np.diff(post) == 1) & (np.diff(pair) == 1)
        first = np.flatnonzero(np.concatenate([[len(pre) > 0], ~joined]))
        length = np.diff(np.concatenate([first, [len(pre)]])).astype(np.int32)
        ptr = np.searchsorted(pre[first], np.arange(self.n_pre + 1)).astype(np.int32)
        return ptr, post[first], pair[first], length

    def matrix(self, values: npt.NDArray[Any], n_post: int) -> npt.NDArray[Any]:
        """Values of the pairs as a dense matrix (n_pre, n_post), 0 where there is no synapse."""
        matrix = np.zeros((self.n_pre, n_post), values.dtype)
        matrix[self.pre, self.post] = values[self.pair]
        return matrix


@dataclass(frozen=True, eq=False)
class Wiring:
    """A liquid before it has weights.

    Attributes:
        shape: Rows and columns of the crossbar of pairs that the liquid needs.
        n_neurons: Neurons.
        inputs: Synapses from channels.
        recurrent: Synapses from neurons, or None.
        feature: int32 (n_neurons,), the state that a neuron's spikes count into.
        n_features: States per segment.
        reads_per_step: Reads of the crossbar in one time step: one where all rows are driven at once, one
            per neuron or position where each has rows of its own choice.
    """

    shape: tuple[int, int]
    n_neurons: int
    inputs: Synapses
    recurrent: Synapses | None
    feature: Index
    n_features: int
    reads_per_step: int

    @property
    def column(self) -> Index:
        """Column of pairs that a neuron's synapses lie in, int32 (n_neurons,)."""
        column = np.zeros(self.n_neurons, np.int32)
        column[self.inputs.post] = self.inputs.pair % self.shape[1]
        return column


def wire(config: ReservoirConfig, sensor: Sensor, *, seed: int, chip: int = 0) -> Wiring:
    """Draw the connections of a liquid for a sensor.

    Args:
        config: Topology and sizes.
        sensor: Pixel grid of the binned recordings.
        seed: Seed of the experiment (stream ``chip<k>/reservoir/wiring``).
        chip: Device instance; each has connections of its own.

    Raises:
        ExperimentError: If the patch does not fit the sensor.
    """
    if config.topology in ("local", "shared") and config.patch > min(sensor.width, sensor.height):
        raise ExperimentError(
            f"reservoir.patch (={config.patch}) is larger than the sensor ({sensor.width} x "
            f"{sensor.height}); lower it, or take topology 'sparse'"
        )
    if config.topology == "shared":
        return _shared(config, sensor)
    draw = rng.stream(seed, f"chip{chip}/reservoir/wiring")
    n, n_in = config.n_neurons, sensor.n_channels
    match config.topology:
        case "dense":
            inputs = np.tile(np.arange(n_in), (n, 1))
            recurrent = np.tile(np.arange(n), (n, 1))
        case "sparse":
            inputs = _choose(draw, n_in, max(1, round(config.p_connect * n_in)), n)
            p_recurrent = config.p_connect if config.p_recurrent is None else config.p_recurrent
            recurrent = _choose(draw, n, round(p_recurrent * n), n)
        case _:
            inputs = _random_patches(draw, config.patch, sensor, n)
            recurrent = _choose(draw, n, round((config.p_recurrent or 0.0) * n), n)
    rows = inputs.shape[1] + recurrent.shape[1]
    return Wiring(
        shape=(rows, n),
        n_neurons=n,
        inputs=_fan_in(n_in, inputs, 0),
        recurrent=_fan_in(n, recurrent, inputs.shape[1]) if recurrent.shape[1] else None,
        feature=np.arange(n, dtype=np.int32),
        n_features=n,
        reads_per_step=1 if config.topology == "dense" else n,
    )


def _choose(draw: np.random.Generator, n_from: int, k: int, n_neurons: int) -> npt.NDArray[np.int64]:
    """For every neuron k distinct sources, (n_neurons, k)."""
    if k == 0:
        return np.empty((n_neurons, 0), np.int64)
    order = np.argsort(draw.random((n_neurons, n_from)), axis=1)
    return np.sort(order[:, :k], axis=1)


def _patch_channels(side: int, sensor: Sensor) -> npt.NDArray[np.int64]:
    """Channels of the patch in the upper left corner."""
    y, x, p = np.indices((side, side, sensor.polarities)).reshape(3, -1)
    return np.asarray((y * sensor.width + x) * sensor.polarities + p)


def _random_patches(draw: np.random.Generator, side: int, sensor: Sensor, n: int) -> npt.NDArray[np.int64]:
    """For every neuron the channels of one patch anywhere on the sensor, (n, side * side * polarities)."""
    left = draw.integers(0, sensor.width - side, n, endpoint=True)
    top = draw.integers(0, sensor.height - side, n, endpoint=True)
    corner = (top * sensor.width + left) * sensor.polarities
    return np.asarray(corner[:, None] + _patch_channels(side, sensor))


def _fan_in(n_pre: int, sources: npt.NDArray[np.int64], first_row: int) -> Synapses:
    """Synapses of neurons that own a column each: row ``first_row + k`` is driven by ``sources[:, k]``."""
    n, k = sources.shape
    post, row = np.indices((n, k))
    pair = (first_row + row) * n + post
    return Synapses(n_pre, *(a.ravel().astype(np.int32) for a in (sources, post, pair)))


def _shared(config: ReservoirConfig, sensor: Sensor) -> Wiring:
    """One bank of patches read at every position; patch is the fastest axis of the neurons."""
    lines, bank = _patch_channels(config.patch, sensor), config.n_patches
    across = (sensor.width - config.patch) // config.stride + 1
    down = (sensor.height - config.patch) // config.stride + 1
    row, column = np.divmod(np.arange(across * down), across)
    corner = (row * sensor.width + column) * config.stride * sensor.polarities
    position, line, patch = np.indices((len(corner), len(lines), bank)).reshape(3, -1)
    n = len(corner) * bank
    if n > np.iinfo(np.uint16).max:
        raise ExperimentError(
            f"reservoir: {bank} patches at {len(corner)} positions make {n} neurons, more than 65535; "
            "lower n_patches or raise stride"
        )
    inputs = (corner[position] + lines[line], position * bank + patch, line * bank + patch)
    pool = config.states.pool
    pooled = (row // pool) * -(-across // pool) + column // pool
    feature = (pooled[:, None] * bank + np.arange(bank)).ravel()
    return Wiring(
        shape=(len(lines), bank),
        n_neurons=n,
        inputs=Synapses(sensor.n_channels, *(a.astype(np.int32) for a in inputs)),
        recurrent=None,
        feature=feature.astype(np.int32),
        n_features=int(feature.max()) + 1,
        reads_per_step=len(corner),
    )

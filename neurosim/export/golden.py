"""The golden model: a chip in whole numbers, step by step, in integers alone.

Nothing here is a float, so that any machine, and the Verilog core beside this file, gives the same bits.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from neurosim.errors import ShapeError
from neurosim.events.types import Binned
from neurosim.export.fixed import FixedPoint, Ints, Table


class Runs(NamedTuple):
    """`fixed.Table` for the kernel."""

    ptr: Ints
    post: Ints
    start: Ints
    length: Ints
    weight: Ints


class Core(NamedTuple):
    """Constants of `FixedPoint` for the kernel; ``v_max`` is the largest membrane."""

    inputs: Runs
    recurrent: Runs
    threshold: Ints
    fraction_bits: int
    leak: int
    synapse_leak: int
    leak_bits: int
    adc_multiplier: int
    adc_bits: int
    adc_max: int
    v_max: int
    subtract: bool
    n_refractory: int


@dataclass(frozen=True, eq=False)
class Answers:
    """What the golden model gives for n recordings.

    Attributes:
        spikes: uint8 (n, n_steps, n_neurons).
        states: int64 (n, n_states).
        scores: int64 (n, n_classes), of the last layer; (n, 0) without a projection.
        answer: int64 (n,), place of the largest score, the first of equals; -1 without a projection.
    """

    spikes: npt.NDArray[np.uint8]
    states: Ints
    scores: Ints
    answer: Ints


def run_golden(fixed: FixedPoint, binned: Binned) -> Answers:
    """Run recordings through a chip in whole numbers.

    Raises:
        ShapeError: If the recordings do not have the chip's channels and steps.
    """
    if binned.sensor.n_channels != fixed.n_inputs or binned.n_steps != len(fixed.segment):
        raise ShapeError(
            f"recordings of {binned.sensor.n_channels} channels and {binned.n_steps} steps, the chip has "
            f"{fixed.n_inputs} and {len(fixed.segment)}; bin them as those that it was made for"
        )
    spikes = np.zeros((len(binned), binned.n_steps, fixed.n_neurons), np.uint8)
    _run(binned.channels, binned.ptr, _core(fixed), spikes)
    states = count_states(fixed, spikes)
    scores = project(fixed, states)
    best = scores.argmax(axis=1) if fixed.layers else np.full(len(binned), -1)
    return Answers(spikes, states, scores, best.astype(np.int64))


def count_states(fixed: FixedPoint, spikes: npt.NDArray[np.uint8]) -> Ints:
    """States (n, n_states) of the spikes (n, n_steps, n_neurons)."""
    states = np.zeros((len(spikes), fixed.n_states), np.int64)
    i, t, j = np.nonzero(spikes)
    np.add.at(states, (i, fixed.segment[t] * fixed.n_features + fixed.feature[j]), fixed.step_weight[t])
    return states


def project(fixed: FixedPoint, states: Ints) -> Ints:
    """Scores (n, n_classes) of the states (n, n_states)."""
    x = fixed.enters[states] if len(fixed.enters) else states
    for i, layer in enumerate(fixed.layers):
        x = (np.maximum(x, 0) >> fixed.layers[i - 1].shift if i else x) @ layer.weight.astype(
            np.int64
        ) + layer.bias
    return x if fixed.layers else x[:, :0]


def _core(fixed: FixedPoint) -> Core:
    def runs(table: Table) -> Runs:
        return Runs(table.ptr, table.post, table.start, table.length, table.weight)

    return Core(
        runs(fixed.inputs),
        runs(fixed.recurrent),
        fixed.threshold,
        fixed.fraction_bits,
        fixed.leak,
        fixed.synapse_leak,
        fixed.leak_bits,
        fixed.adc_multiplier,
        fixed.adc_bits,
        fixed.adc_max,
        2 ** (fixed.membrane_bits - 1) - 1,
        fixed.subtract,
        fixed.n_refractory,
    )


@njit(cache=True)
def _drive(acc: Ints, side: Runs, row: int) -> None:
    """Add the weights of one active row."""
    for run in range(side.ptr[row], side.ptr[row + 1]):
        for k in range(side.length[run]):
            acc[side.post[run] + k] += side.weight[side.start[run] + k]


@njit(cache=True)
def _leaked(x: int, multiplier: int, bits: int) -> int:
    """``x multiplier / 2^bits``, rounded to the nearest, halves upwards."""
    return (x * multiplier + (1 << (bits - 1))) >> bits


@njit(cache=True)
def _clipped(x: int, largest: int) -> int:
    return min(max(x, -largest), largest)


@njit(cache=True)
def _run(
    channels: npt.NDArray[np.uint16],
    ptr: npt.NDArray[np.int64],
    core: Core,
    spikes: npt.NDArray[np.uint8],
) -> None:
    """Write the spikes (n, n_steps, n_neurons) of recordings."""
    n, n_steps, n_neurons = spikes.shape
    acc, synapse = np.zeros(n_neurons, np.int64), np.zeros(n_neurons, np.int64)
    v, frozen = np.zeros(n_neurons, np.int64), np.zeros(n_neurons, np.int64)
    for i in range(n):
        synapse[:] = 0
        v[:] = 0
        frozen[:] = 0
        for t in range(n_steps):
            acc[:] = 0
            for k in range(ptr[i, t], ptr[i, t + 1]):
                _drive(acc, core.inputs, channels[k])
            if t > 0:
                for j in range(n_neurons):
                    if spikes[i, t - 1, j]:
                        _drive(acc, core.recurrent, j)
            for j in range(n_neurons):
                current = acc[j]
                if core.adc_max > 0:
                    current = _clipped(_leaked(current, core.adc_multiplier, core.adc_bits), core.adc_max)
                current = current << core.fraction_bits
                if core.synapse_leak > 0:
                    current += _leaked(synapse[j], core.synapse_leak, core.leak_bits)
                    current = _clipped(current, core.v_max)
                    synapse[j] = current
                if frozen[j] > 0:
                    frozen[j] -= 1
                    continue
                u = _clipped(_leaked(v[j], core.leak, core.leak_bits) + current, core.v_max)
                if u > core.threshold[j]:
                    spikes[i, t, j] = 1
                    frozen[j] = core.n_refractory
                    u = u - core.threshold[j] if core.subtract else 0
                v[j] = u

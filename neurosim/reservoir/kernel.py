"""The event-driven kernel: rows of active channels and neurons are added, nothing else is touched.

One recording is one task and its state stays in the first cache. Each pass below is one loop over the
neurons that the compiler turns into vector code. The only roundings are those written in
docs/engines.md; sums are integers, so their order cannot matter.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from neurosim.counter import fill_normals

Array = npt.NDArray[Any]


class Rows(NamedTuple):
    """Weights by driving side, in one of two layouts; the other one is empty.

    Attributes:
        dense: (n_pre, n_neurons or more) int8, int16 or float32, row by row.
        dense_variance: uint8 of the same shape, read-noise variance in its own unit; empty without noise.
        ptr: int32 (n_pre + 1,), runs of each row; a run joins consecutive neurons to consecutive pairs.
        post, start, length: int32 (n_runs,), first neuron, first pair and length of a run.
        bank: (n_pairs,) weights of the pairs.
        bank_variance: uint8 (n_pairs,).
    """

    dense: Array
    dense_variance: Array
    ptr: Array
    post: Array
    start: Array
    length: Array
    bank: Array
    bank_variance: Array


class Neurons(NamedTuple):
    """Constants of the membrane, in units of the weights' last bit (lsb).

    Attributes:
        threshold: float32 (n_neurons,).
        beta: Membrane left after a step.
        alpha: Synaptic current left after a step; 0: none.
        subtract: Reset by subtraction instead of to zero.
        n_refractory: Steps in which a neuron is frozen after a spike.
        adc_step, adc_max: Converter's step and largest value; step 0: no converter.
        adc_gain, adc_offset, adc_bow: float32 (n_neurons,), its gain, offset and bow; empty: 1, 0, 0.
        variance_unit: lsb^2 per unit of variance; 0: no read noise.
    """

    threshold: npt.NDArray[np.float32]
    beta: np.float32
    alpha: np.float32
    subtract: bool
    n_refractory: int
    adc_step: np.float32
    adc_max: np.float32
    adc_gain: npt.NDArray[np.float32]
    adc_offset: npt.NDArray[np.float32]
    adc_bow: npt.NDArray[np.float32]
    variance_unit: np.float32


@njit(cache=True)
def _add_dense(acc: Array, weights: Array, rows: Array, n_rows: int) -> None:
    """Acc += sum of ``weights[rows]``, eight rows at a time so that acc is written an eighth as often."""
    n = len(acc)
    k = 0
    while k + 8 <= n_rows:
        a, b, c, d = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        e, f, g, h = rows[k + 4], rows[k + 5], rows[k + 6], rows[k + 7]
        for j in range(n):
            half = weights[a, j] + weights[b, j] + weights[c, j] + weights[d, j]
            acc[j] += half + weights[e, j] + weights[f, j] + weights[g, j] + weights[h, j]
        k += 8
    while k + 2 <= n_rows:
        a, b = rows[k], rows[k + 1]
        for j in range(n):
            acc[j] += weights[a, j] + weights[b, j]
        k += 2
    if k < n_rows:
        a = rows[k]
        for j in range(n):
            acc[j] += weights[a, j]


@njit(cache=True)
def _add_runs(acc: Array, bank: Array, w: Rows, rows: Array, n_rows: int) -> None:
    """Acc += the runs of ``rows``."""
    for k in range(n_rows):
        for r in range(w.ptr[rows[k]], w.ptr[rows[k] + 1]):
            # unsigned: an index that may be negative is checked, and the loop would stay scalar
            post, start = np.uint64(w.post[r]), np.uint64(w.start[r])
            for j in range(np.uint64(w.length[r])):
                acc[post + j] += bank[start + j]


@njit(cache=True)
def _drive(acc: Array, variance: Array, w: Rows, rows: Array, n_rows: int) -> None:
    """Add the active rows' weights, and their variances where there is noise."""
    if len(w.dense):
        _add_dense(acc, w.dense, rows, n_rows)
        if len(w.dense_variance):
            _add_dense(variance, w.dense_variance, rows, n_rows)
    else:
        _add_runs(acc, w.bank, w, rows, n_rows)
        if len(w.bank_variance):
            _add_runs(variance, w.bank_variance, w, rows, n_rows)


@njit(cache=True)
def _spiking(fired: Array, out: Array) -> int:
    """Indices of the neurons that fired, eight looked at together; returns their number."""
    words, n = fired.view(np.uint64), 0
    for word in range(len(words)):
        if words[word]:
            for j in range(8 * word, 8 * word + 8):  # no branch: what did not fire is overwritten
                out[n] = j
                n += fired[j]
    return n


@njit(cache=True, error_model="numpy")
def _bend(current: Array, cell: Neurons) -> None:
    """The converters' gain, offset and bow, see ``array.quantise``."""
    for j in range(len(current)):
        x = np.float32(current[j] * cell.adc_gain[j]) + cell.adc_offset[j]
        y = min(max(x / cell.adc_max, np.float32(-1)), np.float32(1))
        current[j] = x + np.float32(cell.adc_bow[j] * (y - np.float32(np.float32(y * y) * y)))


@njit(cache=True, error_model="numpy")
def _membrane(v: Array, current: Array, fired: Array, frozen: Array, cell: Neurons) -> None:
    """One step of the membranes: leak, integrate, fire, reset."""
    kept = np.float32(cell.subtract)  # share of what lies above the threshold
    if cell.n_refractory:
        for j in range(len(v)):
            u = v[j] if frozen[j] else np.float32(cell.beta * v[j]) + current[j]
            fires = u > cell.threshold[j] and frozen[j] == 0
            v[j] = kept * (u - cell.threshold[j]) if fires else u
            frozen[j] = cell.n_refractory if fires else max(frozen[j], 1) - 1
            fired[j] = fires
    else:
        for j in range(len(v)):
            u = np.float32(cell.beta * v[j]) + current[j]
            fires = u > cell.threshold[j]
            v[j] = kept * (u - cell.threshold[j]) if fires else u
            fired[j] = fires


@njit(cache=True, parallel=True, error_model="numpy")
def run(  # noqa: PLR0912 (one branch per effect)
    channels: npt.NDArray[np.uint16],
    ptr: npt.NDArray[np.int64],
    inputs: Rows,
    recurrent: Rows,
    cell: Neurons,
    accumulator: Array,
    variance_accumulator: Array,
    noise_key: int,
    first_recording: int,
    segment: npt.NDArray[np.int64],
    step_weight: Array,
    feature: npt.NDArray[np.int32],
    n_features: int,
    n_chunks: int,
    states: Array,
    n_spikes: npt.NDArray[np.int64],
    spikes: npt.NDArray[np.uint8],
) -> None:
    """Run recordings through a liquid.

    u[t] = beta u[t-1] + I[t],  I[t] = W_in x[t] + W_rec s[t-1] (+ noise, converter, synapse),
    s[t] = u[t] > threshold, then reset.

    Args:
        channels, ptr: Binned recordings (see ``Binned``).
        inputs, recurrent: Weights; ``recurrent`` has two empty layouts where there is no recurrence.
        cell: Membrane constants.
        accumulator, variance_accumulator: Empty arrays whose dtypes the two sums are taken in.
        noise_key: Stream of the white read noise.
        first_recording: Number of the first recording in that stream.
        segment, step_weight: (n_steps,), segment of a step and what a spike in it counts.
        feature: (n_neurons,), state that a neuron counts into; ``n_features`` of them per segment.
        n_chunks: Number of tasks that the recordings are split into; does not change the results.
        states: (n, n_segments * n_features), added to.
        n_spikes: int64 (n,), written.
        spikes: uint8 (n, n_steps, n_neurons), written, or empty.
    """
    n, n_steps, n_neurons = ptr.shape[0], ptr.shape[1] - 1, len(cell.threshold)
    padded = (n_neurons + 7) // 8 * 8
    for chunk in prange(n_chunks):
        acc = np.zeros(n_neurons, accumulator.dtype)
        variance = np.zeros(n_neurons, variance_accumulator.dtype)
        current, synapse = np.zeros(n_neurons, np.float32), np.zeros(n_neurons, np.float32)
        v, z = np.zeros(n_neurons, np.float32), np.zeros(n_neurons, np.float32)
        fired, frozen = np.zeros(padded, np.uint8), np.zeros(n_neurons, np.uint8)
        active = np.zeros(padded + 1, np.int32)
        for i in range(chunk * n // n_chunks, (chunk + 1) * n // n_chunks):
            v[:] = 0
            synapse[:] = 0
            frozen[:] = 0
            n_active, total = 0, 0
            for t in range(n_steps):
                acc[:] = 0
                rows = channels[ptr[i, t] : ptr[i, t + 1]]
                if cell.variance_unit > 0:
                    variance[:] = 0
                _drive(acc, variance, inputs, rows, len(rows))
                _drive(acc, variance, recurrent, active, n_active)
                for j in range(n_neurons):
                    current[j] = np.float32(acc[j])
                if cell.variance_unit > 0:
                    fill_normals(noise_key, (first_recording + i) * n_steps + t, z)
                    for j in range(n_neurons):
                        noise = np.sqrt(np.float32(variance[j]) * cell.variance_unit) * z[j]
                        current[j] += np.float32(noise)
                if cell.adc_step > 0:
                    if len(cell.adc_gain):
                        _bend(current, cell)
                    for j in range(n_neurons):
                        level = np.float32(np.rint(current[j] / cell.adc_step)) * cell.adc_step
                        current[j] = min(max(level, -cell.adc_max), cell.adc_max)
                if cell.alpha > 0:
                    for j in range(n_neurons):
                        synapse[j] = np.float32(cell.alpha * synapse[j]) + current[j]
                        current[j] = synapse[j]
                _membrane(v, current, fired, frozen, cell)
                n_active = _spiking(fired, active)
                total += n_active
                for k in range(n_active):
                    states[i, segment[t] * n_features + feature[active[k]]] += step_weight[t]
                    if spikes.size:
                        spikes[i, t, active[k]] = 1
            n_spikes[i] = total

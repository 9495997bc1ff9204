"""The event-driven kernel: rows of active channels and neurons are added, nothing else is touched.

One recording is one task and its state stays in the first caches. Each pass below is one loop over the
neurons that the compiler turns into vector code. The only roundings are those written in
docs/engines.md; sums are integers, so their order cannot matter.

Several chips stand side by side, as crossbars whose columns are neighbours: a row of all of them is one
loop over neighbouring memory, and a recording is walked through once. What follows the sums is done chip by
chip. A chip's spikes do not depend on the chips beside it.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from neurosim.counter import fill_normals, trailing_zeros

Array = npt.NDArray[Any]

LANES = 256  # neurons that settle side by side: enough for loops to be long, few for the third cache


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
    for k in range(len(words)):
        word = words[k]
        while word:
            out[n] = 8 * k + (trailing_zeros(word) >> np.uint64(3))  # type: ignore[call-arg]
            n += 1
            word &= word - np.uint64(1)
    return n


@njit(cache=True, error_model="numpy")
def _bend(current: Array, cell: Neurons) -> None:
    """The converters' gain, offset and bow, see ``array.quantise``."""
    for j in range(len(current)):
        x = np.float32(current[j] * cell.adc_gain[j]) + cell.adc_offset[j]
        y = min(max(x / cell.adc_max, np.float32(-1)), np.float32(1))
        current[j] = x + np.float32(cell.adc_bow[j] * (y - np.float32(np.float32(y * y) * y)))


@njit(cache=True, error_model="numpy")
def _membrane(v: Array, current: Array, fired: Array, frozen: Array, threshold: Array, cell: Neurons) -> None:
    """One step of the membranes: leak, integrate, fire, reset."""
    kept = np.float32(cell.subtract)  # share of what lies above the threshold
    if cell.n_refractory:
        for j in range(len(v)):
            u = v[j] if frozen[j] else np.float32(cell.beta * v[j]) + current[j]
            fires = u > threshold[j] and frozen[j] == 0
            v[j] = kept * (u - threshold[j]) if fires else u
            frozen[j] = cell.n_refractory if fires else max(frozen[j], 1) - 1
            fired[j] = fires
    else:
        for j in range(len(v)):
            u = np.float32(cell.beta * v[j]) + current[j]
            fires = u > threshold[j]
            v[j] = kept * (u - threshold[j]) if fires else u
            fired[j] = fires


@njit(cache=True)
def _take(values: Array, sums: Array, chip: int, n_chips: int, width: int) -> None:
    """The sums of one chip's neurons as float32; in ``sums`` the chips take turns, ``width`` neurons each."""
    for first in range(0, len(values), width):
        # unsigned: see _add_runs
        to, place = np.uint64(first), np.uint64(first * n_chips + chip * width)
        for k in range(np.uint64(width)):
            values[to + k] = np.float32(sums[place + k])


@njit(cache=True)
def _of_chip(cells: Any, chip: int) -> Neurons:
    """The constants of one chip."""
    return Neurons(
        cells.threshold[chip],
        cells.beta[chip],
        cells.alpha[chip],
        cells.subtract[chip],
        cells.n_refractory[chip],
        cells.adc_step[chip],
        cells.adc_max[chip],
        cells.adc_gain[chip],
        cells.adc_offset[chip],
        cells.adc_bow[chip],
        cells.variance_unit[chip],
    )


@njit(cache=True, error_model="numpy")
def _convert(current: Array, cell: Neurons) -> None:
    """What the converters make of the currents."""
    if len(cell.adc_gain):
        _bend(current, cell)
    for j in range(len(current)):
        level = np.float32(np.rint(current[j] / cell.adc_step)) * cell.adc_step
        current[j] = min(max(level, -cell.adc_max), cell.adc_max)


@njit(cache=True, parallel=True, error_model="numpy")
def run(  # noqa: PLR0912 (one branch per effect)
    channels: npt.NDArray[np.uint16],
    ptr: npt.NDArray[np.int64],
    inputs: Rows,
    recurrent: Rows,
    cells: Any,
    width: int,
    accumulator: Array,
    variance_accumulator: Array,
    noise_keys: npt.NDArray[np.int64],
    first_recording: int,
    segment: npt.NDArray[np.int64],
    step_weight: Array,
    feature: npt.NDArray[np.uint32],
    n_features: int,
    n_chunks: int,
    states: Array,
    n_spikes: npt.NDArray[np.int64],
    spikes: npt.NDArray[np.uint8],
    currents: npt.NDArray[np.float32],
) -> None:
    """Run recordings through the liquids of some chips.

    u[t] = beta u[t-1] + I[t],  I[t] = W_in x[t] + W_rec s[t-1] (+ noise, converter, synapse),
    s[t] = u[t] > threshold, then reset.

    Args:
        channels, ptr: Binned recordings (see ``Binned``).
        inputs, recurrent: Weights of all chips side by side (see ``side_by_side``); ``recurrent`` has two
            empty layouts where there is no recurrence.
        cells: ``Neurons`` of arrays, one row a chip.
        width: Columns of a chip: neuron j of chip c is number (j // width * n_chips + c) * width + j % width
            of the sums. Where there is recurrence, it is the number of neurons.
        accumulator, variance_accumulator: Empty arrays whose dtypes the two sums are taken in.
        noise_keys: int64 (n_chips,), streams of the white read noise.
        first_recording: Number of the first recording in that stream.
        segment, step_weight: (n_steps,), segment of a step and what a spike in it counts.
        feature: uint32 (n_neurons,), state that a neuron counts into; ``n_features`` of them per segment.
        n_chunks: Number of tasks that the recordings are split into; does not change the results.
        states: (n_chips, n, n_segments * n_features), added to.
        n_spikes: int64 (n_chips, n), written.
        spikes: uint8 (n_chips, n, n_steps, n_neurons), written, or (n_chips, 0, 0, 0).
        currents: float32 of the same shape, what the membranes integrate, written, or (n_chips, 0, 0, 0).
    """
    n, n_steps = ptr.shape[0], ptr.shape[1] - 1
    n_chips, n_neurons = cells.threshold.shape
    padded = (n_neurons + 7) // 8 * 8
    for chunk in prange(n_chunks):
        acc = np.zeros(n_chips * n_neurons, accumulator.dtype)
        noisy = np.any(cells.variance_unit > 0)
        variance = np.zeros(n_chips * n_neurons * noisy, variance_accumulator.dtype)
        current, spread = np.zeros(n_neurons, np.float32), np.zeros(n_neurons, np.float32)
        z = np.zeros(n_neurons, np.float32)
        synapse, v = np.zeros((n_chips, n_neurons), np.float32), np.zeros((n_chips, n_neurons), np.float32)
        fired, frozen = np.zeros(padded, np.uint8), np.zeros((n_chips, n_neurons), np.uint8)
        active = np.zeros(n_chips * n_neurons, np.uint32)
        for i in range(chunk * n // n_chunks, (chunk + 1) * n // n_chunks):
            v[:] = 0
            synapse[:] = 0
            frozen[:] = 0
            n_spikes[:, i] = 0
            n_active = 0
            for t in range(n_steps):
                acc[:] = 0
                variance[:] = 0
                rows = channels[ptr[i, t] : ptr[i, t + 1]]
                _drive(acc, variance, inputs, rows, len(rows))
                _drive(acc, variance, recurrent, active, n_active)
                n_active = 0
                for c in range(n_chips):
                    cell = _of_chip(cells, c)
                    _take(current, acc, c, n_chips, width)
                    if cell.variance_unit > 0:
                        _take(spread, variance, c, n_chips, width)
                        fill_normals(noise_keys[c], (first_recording + i) * n_steps + t, z)
                        for j in range(n_neurons):
                            noise = np.sqrt(spread[j] * cell.variance_unit) * z[j]
                            current[j] += np.float32(noise)
                    if cell.adc_step > 0:
                        _convert(current, cell)
                    if cell.alpha > 0:
                        for j in range(n_neurons):
                            synapse[c, j] = np.float32(cell.alpha * synapse[c, j]) + current[j]
                            current[j] = synapse[c, j]
                    if currents.size:
                        currents[c, i, t] = current
                    _membrane(v[c], current, fired, frozen[c], cell.threshold, cell)
                    found = _spiking(fired, active[n_active:])
                    n_spikes[c, i] += found
                    first, weight = segment[t] * n_features, step_weight[t]
                    state = states[c, i, first : first + n_features]
                    for k in range(n_active, n_active + found):
                        state[feature[active[k]]] += weight
                    if spikes.size:
                        spikes[c, i, t] = fired[:n_neurons]
                    for k in range(n_active, n_active + found):
                        active[k] += c * n_neurons  # its row among those of all chips
                    n_active += found


@njit(cache=True)
def adapt(
    log_threshold: npt.NDArray[np.float64],
    n_spikes: npt.NDArray[np.int64],
    seconds: float,
    target: np.float32,
    eta: np.float32,
    threshold: npt.NDArray[np.float32],
) -> None:
    """One step of ``adapt_thresholds``; changes ``log_threshold`` and writes ``threshold``."""
    for j in range(len(log_threshold)):
        rate = np.float32(n_spikes[j] / seconds)
        log_threshold[j] += np.float64(np.float32(eta * (rate - target)) / (rate + target))
        threshold[j] = np.float32(np.exp(log_threshold[j]))


@njit(cache=True, parallel=True, error_model="numpy")
def settle(
    currents: npt.NDArray[np.float32],
    cell: Neurons,
    seconds: float,
    target: np.float32,
    etas: npt.NDArray[np.float32],
    threshold: npt.NDArray[np.float32],
) -> None:
    """Homeostasis of neurons that drive no others: each one's currents stay as they are, whatever fires.

    Args:
        currents: (n, n_steps, n_neurons), see ``run``.
        cell: Constants of the chip.
        seconds: Length of all recordings [s].
        target: Wanted firing rate [Hz].
        etas: Step of every pass.
        threshold: (n_neurons,), changed from before to after.
    """
    n, n_steps, n_neurons = currents.shape
    for block in prange((n_neurons + LANES - 1) // LANES):
        mine = slice(block * LANES, min((block + 1) * LANES, n_neurons))
        theta, own = threshold[mine], currents[:, :, mine].copy()
        log_theta = np.log(theta.astype(np.float64))
        n_spikes = np.zeros(len(theta), np.int64)
        v = np.zeros(len(theta), np.float32)
        fired, frozen = np.zeros(len(theta), np.uint8), np.zeros(len(theta), np.uint8)
        for k in range(len(etas)):
            n_spikes[:] = 0
            for i in range(n):
                v[:] = 0
                frozen[:] = 0
                for t in range(n_steps):
                    _membrane(v, own[i, t], fired, frozen, theta, cell)
                    for j in range(len(v)):
                        n_spikes[j] += fired[j]
            adapt(log_theta, n_spikes, seconds, target, etas[k], theta)

"""The default engine: our event-driven kernel."""

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from neurosim.events.types import Binned
from neurosim.reservoir import kernel
from neurosim.reservoir.layout import side_by_side
from neurosim.reservoir.liquid import Liquid
from neurosim.reservoir.states import Readings, per_neuron


def run_chips(
    liquids: Sequence[Liquid],
    binned: Binned,
    readings: Readings,
    noise_keys: Sequence[int],
    first_recording: int,
    states: npt.NDArray[Any],
    n_spikes: npt.NDArray[np.int64],
    spikes: npt.NDArray[np.uint8],
    currents: npt.NDArray[np.float32] | None = None,
) -> None:
    """Run recordings; adds to ``states``, writes ``n_spikes`` and, unless empty, the other two."""
    cells = zip(*(liquid.neurons() for liquid in liquids), strict=True)
    stacked: list[Any] = [np.stack(field) for field in cells]
    weights = tuple(liquid.weights for liquid in liquids)
    inputs, recurrent = side_by_side(weights)
    sums = [w.sum_dtype(binned.max_count) for w in weights]
    variances = [w.variance_dtype(binned.max_count) for w in weights]
    # one signature for all callers, for each is compiled anew: recordings read-only, results contiguous
    counted, fired, trains = (np.zeros(out.shape, out.dtype) for out in (states, n_spikes, spikes))
    kernel.run(
        _read_only(binned.channels),
        _read_only(binned.ptr),
        inputs,
        recurrent,
        kernel.Neurons(*stacked),
        weights[0].wiring.shape[1],
        np.empty(0, np.result_type(*sums)),
        np.empty(0, np.result_type(*variances)),
        np.array(noise_keys, np.int64),
        first_recording,
        readings.segment,
        readings.step_weight,
        readings.feature.astype(np.uint32),  # which the kernel need not wrap around
        readings.n_features,
        4 * numba.get_num_threads(),
        counted,
        fired,
        trains,
        np.empty((len(liquids), 0, 0, 0), np.float32) if currents is None else currents,
    )
    states += counted
    n_spikes[:], spikes[:] = fired, trains


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def kept_currents(liquid: Liquid, binned: Binned, noise_key: int) -> npt.NDArray[np.float32]:
    """What the membranes integrate, float32 (n, n_steps, n_neurons) [lsb], noise and converters included."""
    n, n_steps, n_neurons = len(binned), binned.n_steps, liquid.wiring.n_neurons
    currents = np.empty((1, n, n_steps, n_neurons), np.float32)
    counts = per_neuron(n_neurons, n_steps)
    states, n_spikes = np.zeros((1, n, n_neurons), counts.step_weight.dtype), np.empty((1, n), np.int64)
    run_chips(
        [liquid], binned, counts, [noise_key], 0, states, n_spikes, np.empty((1, 0, 0, 0), np.uint8), currents
    )
    kept: npt.NDArray[np.float32] = currents[0]
    return kept

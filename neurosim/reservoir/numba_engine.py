"""The default engine: our event-driven kernel."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from neurosim.events.types import Binned
from neurosim.reservoir import kernel
from neurosim.reservoir.liquid import Liquid
from neurosim.reservoir.states import Readings


def run_batch(
    liquid: Liquid,
    binned: Binned,
    readings: Readings,
    noise_key: int,
    first_recording: int,
    states: npt.NDArray[Any],
    n_spikes: npt.NDArray[np.int64],
    spikes: npt.NDArray[np.uint8],
) -> None:
    """Run recordings; adds to ``states``, writes ``n_spikes`` and, unless empty, ``spikes``."""
    inputs, recurrent = liquid.weights.rows
    kernel.run(
        binned.channels,
        binned.ptr,
        inputs,
        recurrent,
        liquid.neurons(),
        np.empty(0, liquid.weights.sum_dtype(binned.max_count)),
        np.empty(0, liquid.weights.variance_dtype(binned.max_count)),
        noise_key,
        first_recording,
        readings.segment,
        readings.step_weight,
        readings.feature,
        readings.n_features,
        4 * numba.get_num_threads(),
        states,
        n_spikes,
        spikes,
    )

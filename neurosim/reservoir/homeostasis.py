"""Homeostasis: thresholds that find the firing rate by themselves."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neurosim.events.types import Binned
from neurosim.reservoir import kernel
from neurosim.reservoir.config import HomeostasisConfig
from neurosim.reservoir.liquid import Liquid
from neurosim.reservoir.numba_engine import kept_currents
from neurosim.reservoir.states import per_neuron, simulate

Float = npt.NDArray[np.float32]

KEPT_BYTES = 1 << 29  # of currents that are kept from pass to pass


def firing_rates(liquid: Liquid, binned: Binned, *, noise_key: int = 0) -> Float:
    """Mean firing rate of every neuron over the recordings [Hz], float32 (n_neurons,)."""
    seconds = len(binned) * binned.n_steps * liquid.dt
    rates: Float = (_spikes_of_neurons(liquid, binned, noise_key) / seconds).astype(np.float32)
    return rates


def adapt_thresholds(
    liquid: Liquid,
    binned: Binned,
    config: HomeostasisConfig,
    *,
    noise_key: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Liquid:
    """Adapt every neuron's threshold to the target rate, without labels.

    ln theta += eta (r - r_target) / (r + r_target), with eta falling geometrically to a tenth: a step is
    bounded however wrong the rate is, and a silent neuron finds its way back.

    Args:
        liquid: Liquid on a chip as it is now, drifted or badly formed.
        binned: Unlabelled recordings.
        config: Target rate and number of passes.
        noise_key: Stream of the white read noise.
        progress: Called with the number of passes done and that of all.

    Returns:
        The liquid with its new thresholds.

    Assumes: thresholds are digital numbers beside the array and cost no cell.
    Source: multiplicative intrinsic plasticity in the sense of Turrigiano, Annu. Rev. Neurosci. 34, 89
        (2011), doi:10.1146/annurev-neuro-060909-153238; the update rule is ours.
    """
    sample = binned[: config.n_recordings]
    seconds = len(sample) * sample.n_steps * liquid.dt
    passes = np.arange(config.n_iterations) / max(config.n_iterations - 1, 1)
    etas, target = (config.eta * 0.1**passes).astype(np.float32), np.float32(config.rate_target)
    threshold = liquid.threshold.copy()
    kept = (len(sample), sample.n_steps, len(threshold))
    if liquid.wiring.recurrent is None and 4 * math.prod(kept) <= KEPT_BYTES:
        currents = kept_currents(liquid, sample, noise_key)
        kernel.settle(currents, liquid.neurons(), seconds, target, etas, threshold)
        if progress is not None:
            progress(config.n_iterations, config.n_iterations)
        return liquid.with_thresholds(threshold)
    log_threshold = np.log(threshold.astype(np.float64))
    for k, eta in enumerate(etas):
        n_spikes = _spikes_of_neurons(liquid, sample, noise_key)
        kernel.adapt(log_threshold, n_spikes, seconds, target, eta, threshold)
        liquid = liquid.with_thresholds(threshold.copy())
        if progress is not None:
            progress(k + 1, config.n_iterations)
    return liquid


def _spikes_of_neurons(liquid: Liquid, binned: Binned, noise_key: int) -> npt.NDArray[np.int64]:
    """Spikes of every neuron in all recordings, (n_neurons,)."""
    readings = per_neuron(liquid.wiring.n_neurons, binned.n_steps)
    counts = simulate(liquid, binned, noise_key=noise_key, readings=readings).x
    total: npt.NDArray[np.int64] = counts.sum(axis=0, dtype=np.int64)
    return total

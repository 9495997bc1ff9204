"""Homeostasis: thresholds that find the firing rate by themselves."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neurosim.events.types import Binned
from neurosim.reservoir.config import HomeostasisConfig
from neurosim.reservoir.liquid import Liquid
from neurosim.reservoir.states import per_neuron, simulate

Float = npt.NDArray[np.float32]


def firing_rates(liquid: Liquid, binned: Binned, *, noise_key: int = 0) -> Float:
    """Mean firing rate of every neuron over the recordings [Hz], float32 (n_neurons,)."""
    readings = per_neuron(liquid.wiring.n_neurons, binned.n_steps)
    counts = simulate(liquid, binned, noise_key=noise_key, readings=readings).x
    total = counts.sum(axis=0, dtype=np.int64)
    rates: Float = (total / (len(binned) * binned.n_steps * liquid.dt)).astype(np.float32)
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
    log_threshold = np.log(liquid.threshold.astype(np.float64))
    for k in range(config.n_iterations):
        rate = firing_rates(liquid, sample, noise_key=noise_key)
        eta = config.eta * 0.1 ** (k / max(config.n_iterations - 1, 1))
        log_threshold += eta * (rate - config.rate_target) / (rate + config.rate_target)
        liquid = liquid.with_thresholds(np.exp(log_threshold).astype(np.float32))
        if progress is not None:
            progress(k + 1, config.n_iterations)
    return liquid

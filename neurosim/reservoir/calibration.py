"""Converters' full scale from unlabelled recordings."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from neurosim.array import calibrate
from neurosim.array.adc import distort
from neurosim.events.types import Binned
from neurosim.reservoir.liquid import Liquid
from neurosim.reservoir.states import simulate

Float = npt.NDArray[np.float32]

N_RECORDINGS = 32  # their currents are held at once


def column_currents(liquid: Liquid, binned: Binned, *, noise_key: int = 0) -> Float:
    """Currents that the converters see, float32 (n, n_steps, n_neurons) [lsb].

    Args:
        liquid: Its spikes drive the recurrent rows.
        binned: Recordings, a few: all their currents are held at once.
        noise_key: Stream of the white read noise, which moves spikes but is left out of the currents.

    Assumes: read noise is small beside the currents.
    Source: definition of the liquid's input, docs/engines.md.
    """
    n, n_steps = len(binned), binned.n_steps
    spikes = simulate(liquid, binned, noise_key=noise_key, spikes=True).spikes
    inputs, recurrent = (matrix.astype(np.float32) for matrix in liquid.weights.matrices)
    channels, ptr = binned.packed()
    counts = csr_array((np.ones(len(channels), np.float32), channels, ptr), shape=(n * n_steps, len(inputs)))
    currents: Float = (counts @ inputs).reshape(n, n_steps, -1)
    if spikes is not None and liquid.wiring.recurrent is not None:
        currents[:, 1:] += spikes[:, :-1].astype(np.float32) @ recurrent
    return currents


def calibrate_converters(
    liquid: Liquid, binned: Binned, bits: int, clipped: float, *, noise_key: int = 0
) -> Liquid:
    """The liquid with converters whose full scale cuts off a share ``clipped`` of unlabelled currents.

    Currents of 0, columns that no active row drives, are left out.

    Args:
        liquid: Liquid with ideal converters.
        binned: Unlabelled recordings; the first few are enough.
        bits: Resolution of the converters.
        clipped: Share of the currents that may saturate [1].
        noise_key: Stream of the white read noise.

    Raises:
        OutOfRangeError: If the currents set no scale.
    """
    currents = column_currents(liquid, binned[:N_RECORDINGS], noise_key=noise_key)
    return liquid.with_converter(bits, calibrate(currents[currents != 0], clipped))


def clipped_share(liquid: Liquid, binned: Binned, *, noise_key: int = 0) -> float:
    """Share of the currents, other than 0, that saturate the converters, whose errors count; 0 if ideal."""
    if not liquid.adc_step:
        return 0.0
    currents = column_currents(liquid, binned[:N_RECORDINGS], noise_key=noise_key)
    driven = currents != 0
    if liquid.adc_errors is not None:
        currents = distort(
            currents, liquid.adc_errors, np.float32(liquid.adc_step), np.float32(liquid.adc_max)
        )
    return float(np.mean(np.abs(currents[driven]) > liquid.adc_max)) if driven.any() else 0.0

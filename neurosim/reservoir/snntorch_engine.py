"""The snnTorch engine: dense tensors, in which all recordings of a batch take a step together.

It runs on PyTorch's default device (``torch.set_default_device``). Sums are taken in float64, where sums of
integers are exact, and everything after them in float32, operation by operation as in the kernel.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import snntorch as snn
import torch

from neurosim.counter import fill_normals
from neurosim.events.types import Binned
from neurosim.reservoir.kernel import Neurons
from neurosim.reservoir.liquid import Liquid
from neurosim.reservoir.states import Readings


@torch.no_grad()
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
    n, n_steps, n_neurons = len(binned), binned.n_steps, liquid.wiring.n_neurons
    trains = spikes if spikes.size else np.zeros((n, n_steps, n_neurons), np.uint8)
    cell = liquid.neurons()
    # tensors, not numbers: a GPU divides by a number by multiplying with its reciprocal
    variance_unit, adc_step = torch.tensor(cell.variance_unit), torch.tensor(cell.adc_step)
    weights = _tensors(liquid, liquid.weights.matrices)
    bend = [torch.tensor(a) for a in (cell.adc_gain, cell.adc_offset, cell.adc_bow)]
    variances = _tensors(liquid, liquid.weights.variances) if cell.variance_unit > 0 else None
    lif = _neuron(cell)
    z = np.empty((n, n_neurons), np.float32)
    spk = torch.zeros(n, n_neurons, dtype=torch.float32)
    frozen = spk.int()
    state = [spk, spk] if cell.alpha > 0 else [spk]  # (synaptic current and) membrane
    for t in range(n_steps):
        x = _input(binned, t)
        current = _sums(x, spk, weights)
        if variances is not None:
            for i in range(n):
                fill_normals(noise_key, (first_recording + i) * n_steps + t, z[i])
            current += torch.sqrt(_sums(x, spk, variances) * variance_unit) * torch.tensor(z)
        if cell.adc_step > 0:
            if len(cell.adc_gain):
                current = current * bend[0] + bend[1]
                y = (current / torch.tensor(cell.adc_max)).clamp(-1, 1)
                current = current + bend[2] * (y - y * y * y)
            level = torch.round(current / adc_step) * adc_step
            current = level.clamp(-float(cell.adc_max), float(cell.adc_max))
        held, free = state[-1], frozen == 0
        spk, *state = lif(current, *state)
        spk, state[-1] = spk * free, torch.where(free, state[-1], held)
        frozen = torch.where(spk > 0, cell.n_refractory, (frozen - 1).clamp(min=0))
        trains[:, t] = spk.cpu()
    readings.add(trains, states)
    n_spikes[:] = trains.sum(axis=(1, 2), dtype=np.int64)


def _neuron(cell: Neurons) -> Any:
    """A neuron of snnTorch with our constants, reset in the step of its spike."""
    constants = {
        "beta": torch.tensor(cell.beta),
        "threshold": torch.tensor(cell.threshold),
        "reset_mechanism": "subtract" if cell.subtract else "zero",
        "reset_delay": False,
        "surrogate_disable": True,
    }
    lif = snn.Synaptic(torch.tensor(cell.alpha), **constants) if cell.alpha > 0 else snn.Leaky(**constants)
    # snnTorch takes a membrane above the threshold for one whose reset is still due, but it may lie there
    # after a reset by subtraction
    lif.mem_reset = torch.zeros_like
    snn.SpikingNeuron.instances.remove(lif)  # the class would keep every neuron alive
    return lif


def _input(binned: Binned, t: int) -> torch.Tensor:
    """Counts of every channel in step ``t``, sparse float64 (n, n_channels)."""
    slices = [binned.channels[start:stop] for start, stop in binned.ptr[:, t : t + 2]]
    recording = np.repeat(np.arange(len(slices)), [len(s) for s in slices])
    index = torch.tensor(np.stack([recording, np.concatenate(slices)]))
    ones, shape = torch.ones(index.shape[1], dtype=torch.float64), (len(slices), binned.sensor.n_channels)
    return torch.sparse_coo_tensor(index, ones, shape, check_invariants=False)


def _tensors(
    liquid: Liquid, matrices: tuple[npt.NDArray[Any], npt.NDArray[Any]]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Input and recurrent matrix in float64; None where there is no recurrence."""
    inputs, recurrent = matrices
    recurs = liquid.wiring.recurrent is not None
    return torch.tensor(inputs).double(), torch.tensor(recurrent).double() if recurs else None


def _sums(
    x: torch.Tensor, spk: torch.Tensor, matrices: tuple[torch.Tensor, torch.Tensor | None]
) -> torch.Tensor:
    """The exact sum over active rows, rounded once to float32 (n, n_neurons)."""
    inputs, recurrent = matrices
    total = x @ inputs
    return (total if recurrent is None else total + spk.double() @ recurrent).float()

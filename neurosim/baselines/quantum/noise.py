"""Noisy circuits: exact density matrices for few qubits, readout errors, and finite shots.

A density matrix (2^n, 2^n) is simulated as a state on 2 n wires, of which the first n are the ket and the
others the bra. After every gate each of its wires goes through the channels

    depolarising p:  rho -> (1 - p) rho + p/3 (X rho X + Y rho Y + Z rho Z)
    damping g:       K0 = diag(1, sqrt(1 - g)), K1 = sqrt(g) |0><1|

which is PennyLane's convention. Embedded amplitudes come for free and without noise.
"""

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from neurosim.baselines.quantum.statevector import Statevector, apply_gate
from neurosim.config import StrictModel
from neurosim.errors import BaselineError

MAX_DENSITY_QUBITS = 6


class NoiseConfig(StrictModel):
    """Errors of a gate-based device.

    Attributes:
        depolarising: Probability with which a wire of a gate is hit by a random Pauli matrix [1].
        amplitude_damping: Probability with which a wire of a gate decays from 1 to 0 [1].
        readout_error: Probability with which a measured bit is flipped [1].
    """

    depolarising: float = Field(0.0, ge=0, le=0.75)
    amplitude_damping: float = Field(0.0, ge=0, le=1)
    readout_error: float = Field(0.0, ge=0, le=0.5)

    @property
    def of_gates(self) -> bool:
        """Whether states become mixed."""
        return self.depolarising > 0 or self.amplitude_damping > 0


def noisy_probabilities(simulator: Statevector, x: Tensor, weights: Tensor, noise: NoiseConfig) -> Tensor:
    """Probabilities (C, D, B) of a circuit on a noisy device; axes and arguments as in ``Statevector``.

    Raises:
        BaselineError: If gates are noisy and there are more than ``MAX_DENSITY_QUBITS`` qubits.
    """
    if not noise.of_gates:
        return readout_errors(simulator.probabilities(x, weights), noise.readout_error)
    n = simulator.n
    if n > MAX_DENSITY_QUBITS:
        raise BaselineError(
            f"noise: {n} qubits, but density matrices are kept for at most {MAX_DENSITY_QUBITS}; "
            "take a smaller circuit or noise of the readout only"
        )
    rho = density_matrix(simulator, x, weights, noise)
    diagonal = torch.diagonal(rho.unflatten(1, (simulator.dim, simulator.dim)), dim1=1, dim2=2).real
    return readout_errors(diagonal.transpose(1, 2), noise.readout_error)


def density_matrix(simulator: Statevector, x: Tensor, weights: Tensor, noise: NoiseConfig) -> Tensor:
    """Density matrix (C, 4^n, B) before the readout, the measured axis turned to Z."""
    circuit, n = simulator.circuit, simulator.n
    x, weights = x.to(simulator.signs.dtype), weights.to(simulator.signs.dtype)
    constant, by_input = simulator.tables(x, weights)
    ket = constant.new_zeros(len(constant), simulator.dim, len(x))
    if circuit.amplitude:
        ket = simulator.initial(x, constant, by_input)
    else:
        ket[:, 0] = 1
    rho = (ket[:, :, None] * ket[:, None].conj()).flatten(1, 2)
    for number, gate in enumerate(circuit.gates):
        *controls, target = gate.wires
        control = controls[0] if controls else None
        if gate.name in ("CNOT", "CZ"):
            name = "X" if gate.name == "CNOT" else "Z"
            matrix = _pauli(rho, name)
        else:
            matrix = simulator.gate_matrix(number, constant, by_input)
        rho = _both_sides(rho, matrix, n, target, control)
        for wire in gate.wires:
            rho = _channels(rho, n, wire, noise)
    last = len(circuit.gates)
    if last in simulator.program.matrices:
        matrix = simulator.gate_matrix(last, constant, by_input)
        for wire in range(n):
            rho = _both_sides(rho, matrix, n, wire, None)
    return rho


def _pauli(like: Tensor, name: str) -> Tensor:
    values = [[0, 1], [1, 0]] if name == "X" else [[1, 0], [0, -1]]
    return torch.tensor(values, dtype=like.dtype, device=like.device)[None, None]


def _both_sides(rho: Tensor, matrix: Tensor, n: int, target: int, control: int | None) -> Tensor:
    rho = apply_gate(rho, matrix, 2 * n, target, control)
    return apply_gate(rho, matrix.conj(), 2 * n, n + target, None if control is None else n + control)


def _channels(rho: Tensor, n: int, wire: int, noise: NoiseConfig) -> Tensor:
    parts = rho.unflatten(1, (2**wire, 2, 2 ** (n - 1), 2, -1))
    (r00, r01), (r10, r11) = ([*row.unbind(3)] for row in parts.unbind(2))
    if noise.depolarising:
        mix = 2 * noise.depolarising / 3
        r00, r11 = (1 - mix) * r00 + mix * r11, (1 - mix) * r11 + mix * r00
        r01, r10 = (1 - 2 * mix) * r01, (1 - 2 * mix) * r10
    if noise.amplitude_damping:
        keep = 1 - noise.amplitude_damping
        r00, r11 = r00 + noise.amplitude_damping * r11, keep * r11
        r01, r10 = keep**0.5 * r01, keep**0.5 * r10
    rows = [torch.stack(row, 3) for row in ((r00, r01), (r10, r11))]
    return torch.stack(rows, 2).flatten(1, 5)


def readout_errors(probabilities: Tensor, error: float) -> Tensor:
    """Probabilities (C, 2^n, B) of the bits that are read if each is flipped with probability ``error``."""
    if error:
        n = int(np.log2(probabilities.shape[1]))
        for wire in range(n):
            bits = probabilities.unflatten(1, (2**wire, 2, -1))
            probabilities = ((1 - error) * bits + error * bits.flip(2)).flatten(1, 3)
    return probabilities


def sampled(probabilities: Tensor, shots: int) -> Tensor:
    """Frequencies of ``shots`` draws from probabilities (..., k), with the gradient of the probabilities.

    Draws come from PyTorch's current generator. The straight-through gradient is unbiased, because the
    expectation of a frequency is its probability.
    """
    flat = probabilities.detach().flatten(0, -2).clamp_min(0)
    drawn = torch.multinomial(flat, shots, replacement=True)
    ones = torch.ones((), dtype=flat.dtype, device=flat.device).expand(drawn.shape)
    counts = torch.zeros_like(flat).scatter_add_(1, drawn, ones)
    return probabilities + (counts / shots).view_as(probabilities) - probabilities.detach()

"""A quantum circuit as a layer of a network, and what may stand in its place."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from neurosim.baselines import Variant
from neurosim.baselines.base import Operations
from neurosim.baselines.quantum.circuit import Circuit
from neurosim.baselines.quantum.noise import NoiseConfig, noisy_probabilities, sampled
from neurosim.baselines.quantum.pennylane import PennyLane
from neurosim.baselines.quantum.statevector import Statevector
from neurosim.config import StrictModel
from neurosim.errors import BaselineError


class QuantumConfig(StrictModel):
    """The quantum part of a baseline.

    Attributes:
        variant: ``full``; ``no_entanglement``: entangling gates removed; ``frozen``: random weights that are
            not trained; ``linear``: a linear map of the same shape and tanh in the circuit's place;
            ``deleted``: nothing there; ``classical``: a classical network of as many parameters.
        shots: Measurements per circuit; None: exact expectations.
        noise: Errors of the device; its keys are those of ``NoiseConfig``.
        simulator: ``neurosim``, or ``pennylane`` (extra ``quantum``; not for ``photonic``, ``qrnn`` and
            ``quantum_creep``).
    """

    variant: Variant = "full"
    shots: int | None = Field(None, ge=1, le=10_000_000)
    noise: NoiseConfig = NoiseConfig()
    simulator: Literal["neurosim", "pennylane"] = "neurosim"


def only_our_simulator(config: QuantumConfig, name: str) -> None:
    """Refuse a simulator that does not know the parts of a baseline, which are no ``Circuit``.

    Raises:
        BaselineError: If the config asks for another one.
    """
    if config.simulator != "neurosim":
        raise BaselineError(
            f"{name}: quantum.simulator '{config.simulator}' cannot run its quantum part; take 'neurosim'"
        )


class QuantumLayer(nn.Module):
    """``n_circuits`` equal circuits side by side: inputs (B, n_circuits n_inputs) to (B, n_outputs).

    Attributes:
        circuit: What is run.
        n_circuits: How many of them.
    """

    quantum = True

    def __init__(self, circuit: Circuit, config: QuantumConfig, *, n_circuits: int = 1) -> None:
        super().__init__()
        self.circuit = circuit.without_entanglement() if config.variant == "no_entanglement" else circuit
        self.config = config
        self.n_circuits = n_circuits
        self.n_inputs, self.n_outputs = n_circuits * circuit.n_inputs, n_circuits * circuit.n_outputs
        angles = 2 * math.pi * torch.rand(n_circuits, self.circuit.n_weights)
        self.weights = nn.Parameter(angles, requires_grad=config.variant != "frozen")
        self.simulator: Statevector | PennyLane = (
            Statevector(self.circuit)
            if config.simulator == "neurosim"
            else PennyLane(self.circuit, config.noise)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, n_outputs)."""
        x = x.unflatten(-1, (self.n_circuits, self.circuit.n_inputs))
        return self._outputs(x).flatten(1)

    def _outputs(self, x: Tensor) -> Tensor:
        shots, simulator = self.config.shots, self.simulator
        if isinstance(simulator, PennyLane):
            answers: Tensor = simulator(x, self.weights)
            if not shots:
                return answers
            if self.circuit.measure == "probabilities":
                return sampled(answers, shots)
            bits = torch.stack([1 + answers, 1 - answers], -1) / 2  # every qubit in shots of its own
            return 2 * sampled(bits, shots)[..., 0] - 1
        p = noisy_probabilities(simulator, x, self.weights, self.config.noise)
        if shots:
            p = sampled(p.transpose(1, 2), shots).transpose(1, 2)
        return simulator.outputs(p)

    def work(self, x: Tensor, out: Tensor) -> Operations:
        """Circuits, gates and shots for one sample, whose patches stand on the batch axis."""
        n = self.n_circuits * len(x)
        gates = {name: n * k for name, k in self.circuit.counts().items()}
        return Operations(0, n, gates, self.circuit.depth, n * (self.config.shots or 0))

    def unitarity_error(self) -> float:
        """Largest deviation of the squared norm of the states of random inputs from 1."""
        with torch.no_grad():
            x = torch.rand(8, self.n_circuits, self.circuit.n_inputs, device=self.weights.device)
            if isinstance(self.simulator, PennyLane):
                return 0.0
            return float((self.simulator.probabilities(x, self.weights).sum(1) - 1).abs().max())

    def extra_repr(self) -> str:
        """Number of circuits and weights."""
        return f"{self.n_circuits} x {self.circuit.n_qubits} qubits, {self.weights.numel()} weights"


class BlockLinear(nn.Module):
    """tanh(W x + b) in the place of circuits side by side: a block of W for each."""

    def __init__(self, circuit: Circuit, n_circuits: int = 1) -> None:
        super().__init__()
        self.n_outputs = n_circuits * circuit.n_outputs
        bound = 1 / math.sqrt(circuit.n_inputs)
        shape = (n_circuits, circuit.n_outputs, circuit.n_inputs)
        self.weight = nn.Parameter((2 * torch.rand(shape) - 1) * bound)
        self.bias = nn.Parameter((2 * torch.rand(shape[:2]) - 1) * bound)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_outputs) of (B, n_inputs)."""
        x = x.unflatten(-1, (len(self.weight), -1))
        return torch.tanh(torch.einsum("coi,bci->bco", self.weight, x) + self.bias).flatten(1)

    def work(self, x: Tensor, out: Tensor) -> Operations:
        """Its products for one sample."""
        return Operations(self.weight.numel() * len(x))


class Deleted(nn.Module):
    """Nothing in the place of circuits: inputs are outputs."""

    def __init__(self, circuit: Circuit, n_circuits: int = 1) -> None:
        super().__init__()
        self.n_outputs = n_circuits * circuit.n_inputs

    def forward(self, x: Tensor) -> Tensor:
        """The input."""
        return x


def quantum_layer(
    circuit: Circuit, config: QuantumConfig, *, n_circuits: int = 1
) -> QuantumLayer | BlockLinear | Deleted:
    """The circuits, or what ``config.variant`` puts in their place (``classical`` is the caller's)."""
    match config.variant:
        case "linear":
            return BlockLinear(circuit, n_circuits)
        case "deleted" | "classical":
            return Deleted(circuit, n_circuits)
        case _:
            return QuantumLayer(circuit, config, n_circuits=n_circuits)

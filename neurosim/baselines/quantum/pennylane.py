"""PennyLane as the other simulator, and users' own QNodes as layers (extra ``quantum``)."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from neurosim.baselines.quantum.circuit import Circuit, Slot
from neurosim.baselines.quantum.noise import NoiseConfig, readout_errors
from neurosim.errors import BaselineError, MissingExtraError

NAMES = {"H": "Hadamard", "X": "PauliX", "Y": "PauliY", "Z": "PauliZ"}  # where theirs differ from ours


def pennylane() -> Any:
    """The package.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import pennylane as qml
    except ImportError as why:
        raise MissingExtraError(
            f"PennyLane cannot be imported ({why}); pip install 'neurosim-codesign[quantum]'"
        ) from None
    return qml


class PennyLane(nn.Module):
    """A circuit run by PennyLane's ``default.qubit``, or ``default.mixed`` where gates are noisy.

    Same inputs and outputs as ``Statevector``; it computes in double precision and returns single.
    """

    def __init__(self, circuit: Circuit, noise: NoiseConfig | None = None) -> None:
        super().__init__()
        self.circuit = circuit
        self.noise = noise or NoiseConfig()
        qml = pennylane()
        device = qml.device(
            "default.mixed" if self.noise.of_gates else "default.qubit", wires=circuit.n_qubits
        )
        # the device only simulates: QNode's default would be the same method
        self.node = qml.QNode(self._queue, device, interface="torch", diff_method="backprop")

    def _queue(self, x: Tensor, weights: Tensor) -> Any:
        qml = pennylane()
        if self.circuit.amplitude:
            qml.AmplitudeEmbedding(x, range(self.circuit.n_qubits), normalize=True)
        for gate in self.circuit.gates:
            angle: Any = gate.angle
            if isinstance(angle, Slot):
                angle = x[..., angle.index] if angle.source == "input" else weights[angle.index]
            operation = getattr(qml, NAMES.get(gate.name, gate.name))
            operation(*(() if angle is None else (angle,)), wires=gate.wires)
            for wire in gate.wires:
                if self.noise.depolarising:
                    qml.DepolarizingChannel(self.noise.depolarising, wires=wire)
                if self.noise.amplitude_damping:
                    qml.AmplitudeDamping(self.noise.amplitude_damping, wires=wire)
        if self.circuit.measure == "probabilities":
            return qml.probs(wires=range(self.circuit.n_qubits))
        pauli = getattr(qml, f"Pauli{self.circuit.measure}")
        return [qml.expval(pauli(wire)) for wire in range(self.circuit.n_qubits)]

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Outputs (B, C, n_outputs) of inputs (B, C, n_inputs) and weights (C, n_weights)."""
        answers = [self.node(x[:, c].double(), weights[c].double()) for c in range(len(weights))]
        if self.circuit.measure != "probabilities":
            answers = [torch.stack(list(answer), -1) for answer in answers]
        out = torch.stack(answers, 1).expand(len(x), -1, -1).to(weights.dtype)
        if self.circuit.measure == "probabilities":
            return readout_errors(out.transpose(1, 2), self.noise.readout_error).transpose(1, 2)
        return out * (1 - 2 * self.noise.readout_error)


class QNodeLayer(nn.Module):
    """A user's own QNode as a layer: inputs (B, n_inputs) to outputs (B, n_outputs).

    Args:
        qnode: A PennyLane QNode whose first argument is called ``inputs``, as for ``qml.qnn.TorchLayer``.
        weight_shapes: Shape of every other argument.
        n_outputs: Length of its output.
    """

    def __init__(
        self, qnode: Callable[..., Any], weight_shapes: Mapping[str, int | tuple[int, ...]], n_outputs: int
    ) -> None:
        super().__init__()
        self.layer = pennylane().qnn.TorchLayer(qnode, dict(weight_shapes))
        self.n_outputs = n_outputs

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (B, n_outputs), in the precision of the inputs (PennyLane's own is double)."""
        answer: Tensor = self.layer(x)
        if answer.shape != (len(x), self.n_outputs):
            raise BaselineError(
                f"QNode: {tuple(answer.shape)} came back for {len(x)} inputs, "
                f"expected ({len(x)}, {self.n_outputs}); give the right n_outputs"
            )
        return answer.to(x.dtype)

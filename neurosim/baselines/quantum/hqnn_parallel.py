"""HQNN-Parallel: a small CNN whose 20 features go through four circuits of five qubits side by side."""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from neurosim.baselines.base import BaselineConfig, Facts
from neurosim.baselines.quantum.circuit import Circuit, angle_embedding, strongly_entangling
from neurosim.baselines.quantum.hybrid import Hybrid, HybridConfig, widest
from neurosim.baselines.quantum.layer import quantum_layer

N_CIRCUITS, N_QUBITS, N_LAYERS = 4, 5, 3
N_FEATURES = N_CIRCUITS * N_QUBITS


class HqnnParallelConfig(HybridConfig):
    """Keys of ``hqnn_parallel``.

    Attributes:
        angles: Features as angles: as they are (``plain``), or ``tanh``: (pi/2) tanh of them.
    """

    angles: Literal["plain", "tanh"] = "tanh"


class Squash(nn.Module):
    """(pi/2) tanh(x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Angles [rad] of features."""
        return torch.tanh(x) * (math.pi / 2)


class HqnnParallel(Hybrid):
    """Two convolutions, 20 features, four 5-qubit circuits read by <Y>, a linear layer."""

    name = "hqnn_parallel"
    Config: ClassVar[type[BaselineConfig]] = HqnnParallelConfig
    facts = Facts(
        title="CNN with four parallel 5-qubit circuits",
        paper="Senokosov, Sedykh, Sagingalieva, Kyriacou, Melnikov, Quantum machine learning for image "
        "classification, 2023",
        source="arXiv:2304.09224, doi:10.1088/2632-2153/ad2aef; three independent re-implementations were "
        "read",
        headline="MNIST 99.21 % with an eighth of the parameters of a CNN at 98.71 %",
        reproduced="architecture with 45,194 parameters (180 quantum), the number published",
        differs="the authors' recipe is not public: Adam, rate 1e-3, batch 64 as the re-implementations have "
        "it. In pilots on 8,000 images the circuits cost one point against their deletion: the parameters "
        "are saved by the narrow layer before them. variant 'classical' is the CNN with a dense layer in "
        "their place",
    )

    @classmethod
    def circuit(cls) -> Circuit:
        """Angles by RX, three strongly entangling layers, <Y> of every qubit."""
        return Circuit(
            N_QUBITS, angle_embedding(N_QUBITS, "RX") + strongly_entangling(N_QUBITS, N_LAYERS), "Y"
        )

    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The network; 28 x 28 images give 1,568 features before the narrow layer."""
        if self.settings.quantum.variant == "classical":
            whole = N_CIRCUITS * self.circuit().n_weights + _count(shape, n_classes)

            def build(width: int) -> nn.Module:
                return nn.Sequential(*_front(shape, width), nn.Linear(width, n_classes))

            return widest(build, whole)
        layer = quantum_layer(self.circuit(), self.settings.quantum, n_circuits=N_CIRCUITS)
        squash = [Squash()] if self.settings.angles == "tanh" else []
        head = [*squash, layer, nn.BatchNorm1d(N_FEATURES), nn.Linear(N_FEATURES, n_classes)]
        return nn.Sequential(*_front(shape, N_FEATURES), *head)


def _count(shape: tuple[int, ...], n_classes: int) -> int:
    """Parameters of the full network without its circuits."""
    parts = [*_front(shape, N_FEATURES), nn.BatchNorm1d(N_FEATURES), nn.Linear(N_FEATURES, n_classes)]
    return sum(p.numel() for part in parts for p in part.parameters())


def _front(shape: tuple[int, ...], width: int) -> list[nn.Module]:
    """Layers up to ``width`` normalised features."""
    if len(shape) == 1:
        return [nn.Linear(shape[0], width), nn.BatchNorm1d(width), nn.ReLU()]
    channels, height, side = shape
    layers: list[nn.Module] = []
    for n_in, n_out in ((channels, 16), (16, 32)):
        layers += [nn.Conv2d(n_in, n_out, 5, padding=2), nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2)]
    flat = 32 * (height // 4) * (side // 4)
    return [*layers, nn.Flatten(), nn.Linear(flat, width), nn.BatchNorm1d(width), nn.ReLU()]

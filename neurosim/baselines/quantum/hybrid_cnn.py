"""A CNN whose last features are the amplitudes of four qubits, and the CNN that it was compared with."""

from typing import ClassVar

from torch import Tensor, nn

from neurosim.baselines.base import BaselineConfig, Facts
from neurosim.baselines.quantum.circuit import Circuit, basic_entangling
from neurosim.baselines.quantum.hybrid import Hybrid, HybridConfig
from neurosim.baselines.quantum.layer import quantum_layer
from neurosim.baselines.training import TrainingConfig

SHARED = TrainingConfig(
    epochs=50,
    batch_size=64,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.01,
    schedule="one_cycle",
    max_learning_rate=2e-3,
    clip=1.0,
    label_smoothing=0.1,
    augment="affine",
)
# What the authors gave their CNN instead: decay in the gradient, a restart every five steps, no clipping.
PUBLISHED_CLASSICAL = TrainingConfig(
    epochs=50,
    batch_size=64,
    optimizer="adam",
    learning_rate=3e-3,
    weight_decay=5e-3,
    schedule="warm_restarts",
    restart_steps=5,
    label_smoothing=0.1,
    augment="affine",
)


class HybridCnnConfig(HybridConfig):
    """Keys of ``hybrid_cnn``; the recipe is that of the authors' hybrid for every variant."""

    training: TrainingConfig = SHARED


class HybridCnn(Hybrid):
    """Two convolutions, 16 amplitudes of 4 qubits, two entangling layers, <Z>, a dense head."""

    name = "hybrid_cnn"
    Config: ClassVar[type[BaselineConfig]] = HybridCnnConfig
    tuned = (("training.max_learning_rate", 0.0005, 0.01),)
    facts = Facts(
        title="CNN with a 4-qubit circuit on 16 amplitudes, against its CNN under one recipe",
        paper="Shahzad, Hybrid Quantum-Classical Model for Image Classification, 2025",
        source="arXiv:2509.13353; code and logs: github.com/adnanphp/Hybrid-Quantum-Classical",
        headline="MNIST 99.38 % against 98.21 % of a CNN, 5 to 12 times faster, more robust",
        reproduced="both networks (142,530 parameters with 8 quantum, and 151,754), the hybrid's recipe for "
        "both",
        differs="the published advantage came from unequal recipes: the CNN had L2 in the gradient and a "
        "learning rate that restarted every five steps (PUBLISHED_CLASSICAL). Published attacks were clamped "
        "to the wrong range; neurosim.baselines.robustness clamps pixels. Images are normalised inside the "
        "network by MNIST's constants",
    )

    @classmethod
    def circuit(cls) -> Circuit:
        """16 amplitudes, two layers of RX and a CNOT ring, <Z>."""
        return Circuit(4, basic_entangling(4, 2), amplitude=True)

    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The network; ``classical`` is the authors' CNN."""
        if self.settings.quantum.variant == "classical":
            return nn.Sequential(*_front(shape, 32), *_head(1024, n_classes))
        layer = quantum_layer(self.circuit(), self.settings.quantum)
        narrow = [nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 16), nn.Softmax(1)]
        return nn.Sequential(*_front(shape, 16), *narrow, layer, *_head(layer.n_outputs, n_classes))


class Normalise(nn.Module):
    """(x - mean) / std by MNIST's constants, so that attacks and clamping see pixels."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images."""
        return (x - 0.1307) / 0.3081


def _front(shape: tuple[int, ...], width: int) -> list[nn.Module]:
    """Layers up to 32 ``width`` features."""
    if len(shape) == 1:
        return [nn.Linear(shape[0], 32 * width), nn.BatchNorm1d(32 * width), nn.ReLU()]
    layers: list[nn.Module] = [Normalise()]
    for n_in, n_out in ((shape[0], width), (width, 2 * width)):
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2)]
    return [*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten()]


def _head(n_in: int, n_classes: int) -> list[nn.Module]:
    return [nn.Linear(n_in, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, n_classes)]

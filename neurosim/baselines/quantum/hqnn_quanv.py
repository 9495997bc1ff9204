"""HQNN-Quanv: a 4-qubit circuit slides over the image in the place of a convolution."""

import math
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from neurosim.baselines.base import BaselineConfig, Facts
from neurosim.baselines.quantum.circuit import Circuit, Gate, Slot, angle_embedding
from neurosim.baselines.quantum.hybrid import Hybrid, HybridConfig
from neurosim.baselines.quantum.layer import quantum_layer
from neurosim.baselines.training import TrainingConfig
from neurosim.errors import BaselineError

SIDE = 14  # of the images that the paper feeds


class HqnnQuanvConfig(HybridConfig):
    """Keys of ``hqnn_quanv``; the paper trains on 500 images in batches of 4."""

    training: TrainingConfig = TrainingConfig(epochs=20, batch_size=4)


class Quanvolution(nn.Module):
    """A layer on patches of 2 x 2 pixels, stride 2: images (B, 1, h, w) to (B, 4, h/2, w/2)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Channels of every patch."""
        n, _, height, width = x.shape
        patches = functional.unfold(x, 2, stride=2).transpose(1, 2)  # (B, patches, 4)
        out = self.layer(math.pi * patches.flatten(0, 1)).unflatten(0, (n, -1))
        channels: Tensor = out.transpose(1, 2).unflatten(2, (height // 2, width // 2))
        return channels


class Shrink(nn.Module):
    """Images averaged down to 14 x 14."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 14, 14)."""
        return functional.adaptive_avg_pool2d(x, SIDE)


class HqnnQuanv(Hybrid):
    """A trained quanvolution of 14 x 14 images and one linear layer."""

    name = "hqnn_quanv"
    Config: ClassVar[type[BaselineConfig]] = HqnnQuanvConfig
    facts = Facts(
        title="4-qubit quanvolution and a linear layer, quantum weights trained",
        paper="Senokosov et al., Quantum machine learning for image classification, 2023",
        source="arXiv:2304.09224; circuit from a public re-implementation",
        headline="as good as a CNN with four times its kernel weights on 500 images of 14 x 14",
        reproduced="2 x 2 patches, stride 2, RY(pi x), CNOTs, four weights, <Z> of four qubits, Linear(196, "
        "10): 1,974 parameters",
        differs="both public re-implementations never train the four quantum weights; here they are trained. "
        "The 'four times fewer' counts kernel weights (4 against 16), not the 1,970 of the head. variant "
        "'classical' is the 2 x 2 convolution with four channels",
    )

    @classmethod
    def circuit(cls) -> Circuit:
        """RY(pi x) of the four pixels, then the trained part."""

        def turn(name: str, wire: int, weight: int) -> Gate:
            return Gate(name, (wire,), Slot("weight", weight))

        cnots = tuple(Gate("CNOT", wires) for wires in ((2, 3), (0, 2), (0, 3)))
        trained = (turn("RX", 0, 0), turn("RX", 1, 1), *cnots, turn("RY", 0, 2), turn("RY", 3, 3))
        return Circuit(4, angle_embedding(4, "RY") + trained)

    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The network for grey images."""
        if len(shape) != 3 or shape[0] != 1 or min(shape[1:]) < SIDE:
            raise BaselineError(
                f"hqnn_quanv: samples of shape {shape}; give grey images of at least 14 x 14 pixels, inputs "
                f"= 'images'"
            )
        first: nn.Module = nn.Conv2d(1, 4, 2, stride=2, bias=False)
        if self.settings.quantum.variant != "classical":
            first = Quanvolution(quantum_layer(self.circuit(), self.settings.quantum))
        return nn.Sequential(Shrink(), first, nn.Flatten(), nn.Linear(4 * (SIDE // 2) ** 2, n_classes))

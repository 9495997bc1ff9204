"""What the hybrids share: their config, and classical twins of a given size."""

from abc import abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar, Literal

from torch import nn

from neurosim.baselines.base import BaselineConfig, NetworkBaseline, NetworkConfig, n_trained
from neurosim.baselines.quantum.circuit import Circuit
from neurosim.baselines.quantum.layer import QuantumConfig


class HybridConfig(NetworkConfig):
    """A network with a quantum part.

    Attributes:
        inputs: ``images``; or ``states``: vectors such as liquid states, read by a linear layer in the place
            of the convolutions.
        quantum: The quantum part.
    """

    inputs: Literal["images", "states"] = "images"
    quantum: QuantumConfig = QuantumConfig()


class Hybrid(NetworkBaseline):
    """Base of the hybrids; they read images or vectors."""

    Config: ClassVar[type[BaselineConfig]] = HybridConfig

    @property
    def kind(self) -> Literal["image", "vector"]:  # type: ignore[override]
        """What the config says."""
        return "image" if self.settings.inputs == "images" else "vector"

    @classmethod
    @abstractmethod
    def circuit(cls) -> Circuit:
        """The circuit of the defaults."""

    @classmethod
    def drawing(cls) -> str:
        """The circuit as text."""
        return cls.circuit().draw()


def widest(build: Callable[[int], nn.Module], budget: int) -> nn.Module:
    """The network of the largest width >= 1 that has at most ``budget`` trained numbers."""
    low, high = 1, 2
    while n_trained(build(high)) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if n_trained(build(middle)) <= budget else (low, middle)
    return build(low)


def dense(sizes: tuple[int, ...], *, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers with batch normalisation, ReLU and dropout between them."""
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(n_in, n_out))
        if i < len(sizes) - 2:
            layers += [nn.BatchNorm1d(n_out), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers)

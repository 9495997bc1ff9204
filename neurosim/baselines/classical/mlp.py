"""Multi-layer perceptron."""

import math
from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from neurosim.baselines.base import BaselineConfig, Facts, NetworkBaseline, NetworkConfig
from neurosim.baselines.training import TrainingConfig


class MlpConfig(NetworkConfig):
    """Keys of ``mlp``.

    Attributes:
        hidden: Widths of the hidden layers.
        dropout: Probability with which a hidden unit is silenced in a training step [1].
    """

    training: TrainingConfig = TrainingConfig(epochs=20, batch_size=128, schedule="cosine")
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((256,), strict=False)
    dropout: float = Field(0.2, ge=0, lt=1)


class Mlp(NetworkBaseline):
    """Fully connected layers with ReLU."""

    name = "mlp"
    Config: ClassVar[type[BaselineConfig]] = MlpConfig
    facts = Facts(
        title="multi-layer perceptron",
        paper="the classical network that most hybrids are compared with",
        source="architecture of common use",
        headline="no published figure; about 98.3 % on the pixels of MNIST is common",
        reproduced="inputs normalised batch by batch, one hidden layer of 256 by default, dropout",
        differs="nothing is claimed by a paper",
    )

    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The network for vectors."""
        config = self.settings
        width = math.prod(shape)
        layers: list[nn.Module] = [nn.BatchNorm1d(width, affine=False)]
        for hidden in config.hidden:
            layers += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(config.dropout)]
            width = hidden
        return nn.Sequential(*layers, nn.Linear(width, n_classes))

"""Convolutional networks with a softmax head, and the same with a support-vector head."""

from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from neurosim.baselines.base import BaselineConfig, Facts, NetworkBaseline, NetworkConfig
from neurosim.baselines.training import TrainingConfig

RECIPE = TrainingConfig(epochs=20, batch_size=128, schedule="cosine")


class CnnConfig(NetworkConfig):
    """Keys of ``cnn``.

    Attributes:
        channels: Of the two convolutions.
        hidden: Width of the dense layer.
        dropout: Probability with which one of its units is silenced in a training step [1].
    """

    training: TrainingConfig = RECIPE
    channels: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field((32, 64), strict=False)
    hidden: int = Field(1024, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)


class CnnSvmConfig(CnnConfig):
    """Keys of ``cnn_svm``: those of ``cnn``, trained by the squared hinge with decay of the weights."""

    training: TrainingConfig = RECIPE.model_copy(
        update={"loss": "hinge", "optimizer": "adamw", "weight_decay": 0.01}
    )


class Cnn(NetworkBaseline):
    """Two 5 x 5 convolutions with pooling, a dense layer with dropout, a linear layer."""

    name = "cnn"
    Config: ClassVar[type[BaselineConfig]] = CnnConfig
    kind = "image"
    facts = Facts(
        title="convolutional network, softmax head",
        paper="Agarap, An Architecture Combining Convolutional Neural Network (CNN) and Support Vector "
        "Machine (SVM) for Image Classification, 2017",
        source="arXiv:1712.03541",
        headline="MNIST 99.23 %, Fashion-MNIST 91.86 %",
        reproduced="two 5 x 5 convolutions of 32 and 64 channels, 2 x 2 pooling, 1,024 hidden units, dropout "
        "0.5",
        differs="20 epochs with a falling learning rate instead of 10,000 steps of batch 128 at a constant "
        "one",
    )

    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The network for images."""
        config = self.settings
        layers: list[nn.Module] = []
        n_in, height, width = shape
        for n_out in config.channels:
            layers += [nn.Conv2d(n_in, n_out, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
            n_in, height, width = n_out, -(-height // 2), -(-width // 2)
        dense = [nn.Linear(n_in * height * width, config.hidden), nn.ReLU(), nn.Dropout(config.dropout)]
        return nn.Sequential(*layers, nn.Flatten(), *dense, nn.Linear(config.hidden, n_classes))


class CnnSvm(Cnn):
    """The same network trained by the squared hinge loss of a multi-class support vector machine."""

    name = "cnn_svm"
    Config: ClassVar[type[BaselineConfig]] = CnnSvmConfig
    tuned = (("training.learning_rate", 0.0003, 0.01), ("training.weight_decay", 0.001, 0.1))
    facts = Facts(
        title="convolutional network, support-vector head",
        paper=Cnn.facts.paper,
        source=Cnn.facts.source,
        headline="MNIST 99.04 %, Fashion-MNIST 90.72 %",
        reproduced="the network of 'cnn' with the squared one-against-all hinge in the place of softmax",
        differs="decoupled decay of all weights instead of the squared norm of the last layer; 20 epochs "
        "with a falling learning rate",
    )

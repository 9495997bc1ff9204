"""The fully trained spiking recurrent network that Lin et al. compare the liquid with."""

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from neurosim.baselines.base import BaselineConfig, Facts, NetworkBaseline, NetworkConfig
from neurosim.baselines.training import TrainingConfig

SLOPE = 2.0  # of the rectangular surrogate gradient of width 1/2: 1 / (2 lens) at lens 0.25


class SrnnConfig(NetworkConfig):
    """Keys of ``srnn``.

    Attributes:
        readout: ``ann``: a linear layer on the mean spike count; ``spiking``: leaky neurons whose mean spike
            count is the score.
        hidden: Spiking neurons.
        beta: Share of the membrane potential left after a step [1].
        threshold: Firing threshold.
        input_scale: Standard deviation of the weights at the start, over 1/sqrt(fan-in).
    """

    training: TrainingConfig = TrainingConfig(
        epochs=30, batch_size=80, learning_rate=1e-3, schedule="cosine", clip=1.0
    )
    readout: Literal["ann", "spiking"] = "ann"
    hidden: int = Field(200, ge=1)
    beta: float = Field(0.9, ge=0, lt=1)
    threshold: float = Field(0.3, gt=0)
    input_scale: float = Field(1.0, gt=0)


def surrogate() -> Any:
    """Heaviside step whose gradient is 2 within 1/4 of the threshold and 0 elsewhere."""
    from snntorch import surrogate as shapes

    def slope(x: Tensor, grad: Tensor, _spikes: Tensor) -> Tensor:
        return grad * (x.abs() < 1 / (2 * SLOPE)) * SLOPE

    return shapes.custom_surrogate(slope)


class SpikingNetwork(nn.Module):
    """u = beta u (1 - s) + W x + U s, s = [u > threshold]; sequences (B, T, n) to scores (B, n_classes)."""

    def __init__(self, n: int, config: SrnnConfig, n_classes: int) -> None:
        super().__init__()
        import snntorch as snn

        self.entry = nn.Linear(n, config.hidden, bias=False)
        self.recurrence = nn.Linear(config.hidden, config.hidden, bias=False)
        for layer in (self.entry, self.recurrence):
            nn.init.normal_(layer.weight, 0, config.input_scale / math.sqrt(layer.in_features))
        keys = {"beta": config.beta, "spike_grad": surrogate(), "reset_mechanism": "zero"}
        self.neurons = snn.Leaky(**keys, threshold=config.threshold, reset_delay=True)
        self.head = nn.Linear(config.hidden, n_classes)
        self.outputs = snn.Leaky(**keys, threshold=config.threshold) if config.readout == "spiking" else None
        self.rate = 0.0  # spikes per neuron and step of the last batch

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or spike counts of the output neurons with a slope that lets them saturate."""
        n, steps, _ = x.shape
        currents = self.entry(x)
        spikes = x.new_zeros(n, self.recurrence.in_features)
        membrane = torch.zeros_like(spikes)  # snnTorch's own start is on the CPU
        counts = torch.zeros_like(spikes)
        answer = x.new_zeros(n, self.head.out_features)
        out_membrane = torch.zeros_like(answer)
        for t in range(steps):
            spikes, membrane = self.neurons(currents[:, t] + self.recurrence(spikes), membrane)
            counts = counts + spikes
            if self.outputs is not None:
                fired, out_membrane = self.outputs(self.head(spikes), out_membrane)
                answer = answer + fired
        self.rate = float(counts.detach().mean()) / steps
        if self.outputs is None:
            logits: Tensor = self.head(counts / steps)
            return logits
        return answer * (10 / steps)  # logits between 0 and 10


class Srnn(NetworkBaseline):
    """Trained through time by a rectangular surrogate gradient."""

    name = "srnn"
    Config: ClassVar[type[BaselineConfig]] = SrnnConfig
    kind = "sequence"
    facts = Facts(
        title="spiking recurrent network, trained by surrogate gradients",
        paper="Lin et al., Resistive memory-based zero-shot liquid state machine, Nat. Comput. Sci. 5, 37, "
        "2025",
        source="doi:10.1038/s43588-024-00751-z; their public code",
        headline="N-MNIST 96.96 % (ANN readout), 93.93 % (spiking); N-TIDIGITS 82.62 % and 63.75 %",
        reproduced="200 neurons, decay 0.9, threshold 0.3, reset to zero, rectangular surrogate of width "
        "1/2, both readouts; snnTorch",
        differs="cross-entropy instead of the mean squared error; Gaussian weights over the root of the "
        "fan-in at the start; validation instead of the test part chooses the epoch",
    )

    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The network for sequences (T, n)."""
        return SpikingNetwork(shape[1], self.settings, n_classes)

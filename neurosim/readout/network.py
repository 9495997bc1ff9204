"""Readouts trained by gradient descent in PyTorch, among them softmax and multi-layer ones."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurosim import rng
from neurosim.readout.base import Array, Layers, ProbabilityMixin, Readout, Samples, Trained
from neurosim.readout.config import Scaling, Schedule


class NetworkReadout(ProbabilityMixin, Readout):
    """A readout that is trained by gradient descent, one network for every weight decay, side by side.

    Parameters are tensors whose first axis counts the networks. Weights have three axes and are decayed,
    biases have two and are not. Knobs as in ``ReadoutConfig``.
    """

    learning_rate: float
    schedule: Schedule
    epochs: int
    patience: int
    batch_size: int
    label_smoothing: float

    @abstractmethod
    def _start(
        self, n_features: int, copies: int, random: torch.Generator, dtype: torch.dtype
    ) -> list[Tensor]:
        """Parameters before training, the same for every copy."""

    @abstractmethod
    def _logits(self, parameters: list[Tensor], z: Tensor, random: torch.Generator | None = None) -> Tensor:
        """Class scores (copies, batch, n_classes) of scaled states; ``random`` is given while training."""

    @abstractmethod
    def _layers(self, arrays: list[Array]) -> Layers:
        """What remains of one network's parameters."""

    def _loss(self, parameters: list[Tensor], z: Tensor, y: Tensor, random: torch.Generator | None) -> Tensor:
        """Loss summed over the copies and the batch."""
        return cross_entropy(self._logits(parameters, z, random), y, self.label_smoothing)

    def _train(self, train: Samples, validation: Samples) -> Trained:
        """All networks see the same mini-batches, so that states are read and scaled once for all.

        AdamW acts on every weight alone, and the loss is the sum over the networks, so none feels the others.
        """
        train, validation = train.at_hand(), validation.at_hand()
        random, parameters = self._started(train)
        shrink = torch.tensor(self.weight_decay, dtype=parameters[0].dtype, device=random.device)
        optimizer = torch.optim.Adam(parameters, lr=self.learning_rate, fused=True)
        n_batches = math.ceil(len(train) / self.batch_size)

        def run_epoch(epoch: int) -> None:
            for i, (z, y) in enumerate(batches(train, self.batch_size, random)):
                rate = self.learning_rate
                if self.schedule == "cosine":
                    rate *= (1 + math.cos(math.pi * (epoch + i / n_batches) / self.epochs)) / 2
                optimizer.param_groups[0]["lr"] = rate
                loss = self._loss(parameters, z, y, random)
                optimizer.zero_grad()
                torch.autograd.backward(loss / len(y))
                with torch.no_grad():
                    for weight in parameters:
                        if weight.ndim == 3:
                            weight.mul_(1 - rate * shrink[:, None, None])
                optimizer.step()

        return self._best_epoch(parameters, run_epoch, validation)

    def _started(self, train: Samples) -> tuple[torch.Generator, list[Tensor]]:
        """Generator of all that is random in training, and one network for every weight decay."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        random = torch.Generator(device).manual_seed(rng.key(self.random_state, "readout/train"))
        dtype = torch.from_numpy(train.scaling.mean).dtype
        start = self._start(train.x.shape[1], len(self.weight_decay), random, dtype)
        return random, [p.detach().requires_grad_() for p in start]

    def _best_epoch(
        self, parameters: list[Tensor], run_epoch: Callable[[int], None], validation: Samples
    ) -> Trained:
        """Train until patience ends; keep the epoch and the weight decay that validation likes best."""
        copies = len(self.weight_decay)
        best = [p.detach().clone() for p in parameters]
        best_score = torch.full((copies,), -torch.inf, dtype=torch.float64)
        best_epoch = torch.zeros(copies, dtype=torch.int64)
        for epoch in range(self.epochs):
            run_epoch(epoch)
            score = _score(self, parameters, validation)
            better = score > best_score
            best_score[better] = score[better]
            best_epoch[better] = epoch + 1
            for kept, p in zip(best, parameters, strict=True):
                kept[better] = p.detach()[better]
            if epoch + 1 - int(best_epoch.max()) >= self.patience:
                break
        k = int(best_score.argmax())
        layers = self._layers([p[k].cpu().numpy() for p in best])
        chosen = {"weight_decay": float(self.weight_decay[k]), "epochs": int(best_epoch[k])}
        return Trained(layers, chosen, math.floor(best_score[k]) / len(validation))


class LayeredReadout(NetworkReadout):
    """Affine layers with ReLU between them."""

    hidden: int | None = None
    dropout: float = 0.0

    def _start(
        self, n_features: int, copies: int, random: torch.Generator, dtype: torch.dtype
    ) -> list[Tensor]:
        hidden = () if self.hidden is None else (self.hidden,)
        weights, biases = _layered((n_features, *hidden, len(self.classes_)), copies, random, dtype)
        return [*weights, *biases]

    def _logits(self, parameters: list[Tensor], z: Tensor, random: torch.Generator | None = None) -> Tensor:
        weights, biases = parameters[: len(parameters) // 2], parameters[len(parameters) // 2 :]
        z = project(z, weights[0], biases[0])
        for weight, bias in zip(weights[1:], biases[1:], strict=True):
            z = functional.relu(z)
            if self.dropout and random is not None:
                keep = 1 - self.dropout
                z = z * torch.empty_like(z).bernoulli_(keep, generator=random) / keep
            z = z @ weight.mT + bias[:, None, :]
        return z

    def _layers(self, arrays: list[Array]) -> Layers:
        weights, biases = arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]
        return [(w.T, b) for w, b in zip(weights, biases, strict=True)]


class LinearReadout(LayeredReadout):
    """Softmax regression, p = softmax(W z + b); knobs as in ``ReadoutConfig``."""

    def __init__(
        self,
        *,
        weight_decay: Sequence[float] = (1.0, 0.1, 0.01),
        scaling: Scaling = "standard",
        learning_rate: float = 1e-3,
        schedule: Schedule = "cosine",
        epochs: int = 30,
        patience: int = 10,
        batch_size: int = 256,
        label_smoothing: float = 0.0,
        random_state: int = 0,
    ) -> None:
        self.weight_decay = weight_decay
        self.scaling = scaling
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.label_smoothing = label_smoothing
        self.random_state = random_state


class MLPReadout(LayeredReadout):
    """One hidden layer, p = softmax(W2 relu(W1 z + b1) + b2); knobs as in ``ReadoutConfig``."""

    def __init__(
        self,
        *,
        hidden: int = 512,
        dropout: float = 0.5,
        weight_decay: Sequence[float] = (0.1,),
        scaling: Scaling = "standard",
        learning_rate: float = 1e-3,
        schedule: Schedule = "cosine",
        epochs: int = 30,
        patience: int = 10,
        batch_size: int = 256,
        label_smoothing: float = 0.0,
        random_state: int = 0,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.scaling = scaling
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.label_smoothing = label_smoothing
        self.random_state = random_state


def batches(train: Samples, size: int, random: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Scaled states and class codes of all samples, once, in random order."""
    order = torch.randperm(len(train), generator=random, device=random.device).cpu().numpy()
    for which in np.array_split(order, math.ceil(len(train) / size)):
        z, y = (torch.from_numpy(part).to(random.device) for part in train.take(which))
        yield z, y


def project(z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """W z + b (copies, batch, n_out) of shared states (batch, n_in)."""
    # one product for all copies, because they share the states: twice as fast as one for each; and again 1.7
    # times as fast with the batch, which is the longer side, as its columns
    z = weight.flatten(0, 1) @ z.mT + bias.flatten()[:, None]
    return z.reshape(*bias.shape, -1).mT


def cross_entropy(logits: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of logits (copies, batch, n_classes), summed over copies and batch."""
    return functional.cross_entropy(
        logits.flatten(0, 1), y.repeat(len(logits)), label_smoothing=label_smoothing, reduction="sum"
    )


def _layered(
    sizes: tuple[int, ...], copies: int, random: torch.Generator, dtype: torch.dtype
) -> tuple[list[Tensor], list[Tensor]]:
    """Weights (copies, n_out, n_in) and zero biases (copies, n_out), the same for every copy.

    Hidden layers: normal of variance 2 / n_in (He); the last one zero, so that all classes start equal.
    """
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    for n_in, n_out in pairwise(sizes):
        weight = torch.zeros(n_out, n_in, dtype=dtype, device=random.device)
        if len(weights) < len(sizes) - 2:
            weight.normal_(0, math.sqrt(2 / n_in), generator=random)
        weights.append(weight.expand(copies, -1, -1).clone().requires_grad_())
        biases.append(torch.zeros(copies, n_out, dtype=dtype, device=random.device, requires_grad=True))
    return weights, biases


@torch.no_grad()
def _score(readout: NetworkReadout, parameters: list[Tensor], validation: Samples) -> Tensor:
    """Score (copies,) of every network: right answers, and between equals the lower loss.

    The number of right answers plus half the geometric mean of the true class's probability (0 for a
    network that has diverged).
    """
    device = parameters[0].device
    right = torch.zeros(len(parameters[0]), dtype=torch.float64, device=device)
    loss = torch.zeros_like(right)
    for block in validation.blocks():
        z, y = (torch.from_numpy(part).to(device) for part in block)
        logits = readout._logits(parameters, z)
        right += (logits.argmax(-1) == y).sum(-1)
        truth = y.expand(len(logits), -1)[..., None]
        loss -= logits.log_softmax(-1).gather(-1, truth).sum((-1, -2)).double()
    return (right + torch.exp(-loss / len(validation)).nan_to_num() / 2).cpu()

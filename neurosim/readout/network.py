"""Softmax and multi-layer readouts trained by gradient descent in PyTorch."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurosim import rng
from neurosim.readout.base import ProbabilityMixin, Readout, Samples, Trained
from neurosim.readout.config import Scaling, Schedule


class LinearReadout(ProbabilityMixin, Readout):
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

    def _train(self, train: Samples, validation: Samples) -> Trained:
        return _descend(self, train, validation, hidden=(), dropout=0.0)


class MLPReadout(ProbabilityMixin, Readout):
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

    def _train(self, train: Samples, validation: Samples) -> Trained:
        return _descend(self, train, validation, hidden=(self.hidden,), dropout=self.dropout)


def _descend(
    readout: LinearReadout | MLPReadout,
    train: Samples,
    validation: Samples,
    *,
    hidden: tuple[int, ...],
    dropout: float,
) -> Trained:
    """Train one network per weight decay side by side; keep the epoch and decay validation likes best.

    All networks see the same mini-batches, so that states are read and scaled once for all. AdamW acts on
    every weight alone, and the loss is the sum over the networks, so none feels the others.
    """
    decays = list(readout.weight_decay)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    random = torch.Generator(device).manual_seed(rng.key(readout.random_state, "readout/train"))
    dtype = torch.from_numpy(train.scaling.mean).dtype
    sizes = (train.x.shape[1], *hidden, len(readout.classes_))
    weights, biases = _start(sizes, len(decays), random, dtype)
    parameters = [*weights, *biases]
    shrink = torch.tensor(decays, dtype=dtype, device=device)[:, None, None]
    optimizer = torch.optim.Adam(parameters, lr=readout.learning_rate, fused=True)
    best = [p.detach().clone() for p in parameters]
    best_score = torch.full((len(decays),), -torch.inf, dtype=torch.float64)
    best_epoch = torch.zeros(len(decays), dtype=torch.int64)

    train, validation = train.at_hand(), validation.at_hand()
    n_batches = math.ceil(len(train) / readout.batch_size)
    for epoch in range(readout.epochs):
        order = torch.randperm(len(train), generator=random, device=device).cpu().numpy()
        for i, which in enumerate(np.array_split(order, n_batches)):
            rate = readout.learning_rate
            if readout.schedule == "cosine":
                rate *= (1 + math.cos(math.pi * (epoch + i / n_batches) / readout.epochs)) / 2
            optimizer.param_groups[0]["lr"] = rate
            z, y = (torch.from_numpy(part).to(device) for part in train.take(which))
            logits = _forward(weights, biases, z, dropout, random)
            loss = functional.cross_entropy(
                logits.flatten(0, 1),
                y.repeat(len(decays)),
                label_smoothing=readout.label_smoothing,
                reduction="sum",
            )
            optimizer.zero_grad()
            torch.autograd.backward(loss / len(y))
            with torch.no_grad():
                for weight in weights:
                    weight.mul_(1 - rate * shrink)
            optimizer.step()
        score = _score(weights, biases, validation, device)
        better = score > best_score
        best_score[better] = score[better]
        best_epoch[better] = epoch + 1
        for kept, p in zip(best, parameters, strict=True):
            kept[better] = p.detach()[better]
        if epoch + 1 - int(best_epoch.max()) >= readout.patience:
            break

    k = int(best_score.argmax())
    arrays = [p[k].cpu().numpy() for p in best]
    layers = [(w.T, b) for w, b in zip(arrays[: len(weights)], arrays[len(weights) :], strict=True)]
    chosen = {"weight_decay": float(decays[k]), "epochs": int(best_epoch[k])}
    return Trained(layers, chosen, math.floor(best_score[k]) / len(validation))


def _start(
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


def _forward(
    weights: list[Tensor], biases: list[Tensor], z: Tensor, dropout: float, random: torch.Generator | None
) -> Tensor:
    """Logits (copies, batch, n_classes) of scaled states (batch, n_features); dropout if ``random``."""
    # one product for all copies, because they share the states: twice as fast as one for each; and again 1.7
    # times as fast with the batch, which is the longer side, as its columns
    z = weights[0].flatten(0, 1) @ z.mT + biases[0].flatten()[:, None]
    z = z.reshape(*biases[0].shape, -1).mT  # (copies, batch, n_out)
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        z = functional.relu(z)
        if dropout and random is not None:
            z = z * torch.empty_like(z).bernoulli_(1 - dropout, generator=random) / (1 - dropout)
        z = z @ weight.mT + bias[:, None, :]
    return z


@torch.no_grad()
def _score(weights: list[Tensor], biases: list[Tensor], validation: Samples, device: torch.device) -> Tensor:
    """Score (copies,) of every network: right answers, and between equals the lower loss.

    The number of right answers plus half the geometric mean of the true class's probability (0 for a
    network that has diverged).
    """
    right = torch.zeros(len(weights[0]), dtype=torch.float64, device=device)
    loss = torch.zeros_like(right)
    for block in validation.blocks():
        z, y = (torch.from_numpy(part).to(device) for part in block)
        logits = _forward(weights, biases, z, 0.0, None)
        right += (logits.argmax(-1) == y).sum(-1)
        truth = y.expand(len(logits), -1)[..., None]
        loss -= logits.log_softmax(-1).gather(-1, truth).sum((-1, -2)).double()
    return (right + torch.exp(-loss / len(validation)).nan_to_num() / 2).cpu()

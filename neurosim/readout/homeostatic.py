"""A projection that learns online at a rate which its own need moves, and its controls."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from neurosim import rng
from neurosim.readout.base import Array, Layers, Samples, Trained
from neurosim.readout.config import Modulation, Scaling
from neurosim.readout.network import LayeredReadout, batches, project

N_RECENT = 20  # samples that a step is tried on before it is taken
SHARE = 0.1  # by how much of the first rate the rate moves
LOWEST = 1e-8  # of a rate


@dataclass(eq=False)
class Learners:
    """Softmax projections that learn side by side from one stream of labelled states, each at its own rate.

    Every batch is one step of gradient descent, W -= rate W' / (1 + mean |z|^2) with W' the mean gradient of
    the cross-entropy, so that a rate means the same for any number of neurons: at about 1 a sample is learnt
    in one step. The rates obey one of three rules, looked at once a batch, for its first sample:

    ``constant``: nothing moves. ``homeostatic``: the learner tries two steps on the last samples, with the
    labels that they have now: one at its rate, one at a rate moved by a tenth of the first one, upwards if
    its own guess is an excitatory class (the upper half) and downwards if it is an inhibitory one. Where the
    second leaves more right answers it takes the sample in: the rate moves by that much, in the direction of
    the *true* class. ``random``: takes every other sample in, by chance.

    Attributes:
        weight: (n, n_classes, n_features), zero at the start; changed in place.
        bias: (n, n_classes).
        rate: float64 (n,) [1], the rates now.
        rules: A rule for each.
        norm: Mean |z|^2 of the states.
        random: Generator of the rule ``random``.
        whole_batch: Whether a tried step takes the whole batch; else its first sample, as the authors' code.

    Source: K. Man, A. Damasio, H. Neven, arXiv:2205.08645, and its public code, whose network has two hidden
        layers.
    """

    weight: Tensor
    bias: Tensor
    rate: Tensor
    rules: Sequence[Modulation]
    norm: float
    random: torch.Generator
    whole_batch: bool = False
    _recent: tuple[Tensor, Tensor] | None = field(default=None, init=False)
    _seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        device = self.rate.device
        self._step = SHARE * self.rate.clone()
        self._needs = torch.tensor([rule == "homeostatic" for rule in self.rules], device=device)
        self._dices = torch.tensor([rule == "random" for rule in self.rules], device=device)

    @torch.no_grad()
    def learn(
        self, z: Tensor, y: Tensor, meaning: Tensor | None = None, decay: Tensor | None = None
    ) -> Tensor:
        """One step of every learner.

        Args:
            z: Scaled states (batch, n_features).
            y: Class codes (batch,).
            meaning: (n_classes,), the label that each class has now; None: its own.
            decay: Weight decay of every learner (n,).

        Returns:
            Whether each learner answered rightly before the step, (n, batch).
        """
        label = y if meaning is None else meaning[y]
        logits = project(z, self.weight, self.bias)
        slope = logits.softmax(-1)
        slope.scatter_add_(
            -1, label.expand(len(slope), -1)[..., None], slope.new_tensor(-1.0).expand(*slope.shape[:2], 1)
        )
        if self._seen > N_RECENT:
            self._modulate(z, label, logits, slope, meaning)
        factor = (self.rate / ((1 + self.norm) * len(z))).to(z.dtype)[:, None, None]
        if decay is not None:
            self.weight.mul_((1 - factor * len(z) * decay[:, None, None]).clamp(min=0))
        self.weight.sub_(factor * (slope.mT @ z))
        self.bias.sub_(factor[..., 0] * slope.sum(1))
        self._remember(z, y)
        right: Tensor = logits.argmax(-1) == label
        return right

    def _modulate(
        self, z: Tensor, label: Tensor, logits: Tensor, slope: Tensor, meaning: Tensor | None
    ) -> None:
        """Move the rates, as the first sample of the batch makes the learners need it."""
        half = logits.shape[-1] // 2
        takes = torch.rand(len(self.rate), generator=self.random, device=self.rate.device) < 0.5
        takes &= self._dices
        if self._recent is not None and bool(self._needs.any()):
            recent, codes = self._recent
            truth = codes if meaning is None else meaning[codes]
            tried = slice(None) if self.whole_batch else slice(1)
            # what a step of rate 1 adds to the scores of the recent samples
            change = (recent @ z[tried].T + 1) @ slope[:, tried] / ((1 + self.norm) * len(z))
            before = project(recent, self.weight, self.bias)
            excited = logits[:, 0].argmax(-1) >= half
            moved = (self.rate + torch.where(excited, self._step, -self._step)).clamp(min=LOWEST)
            right = [
                ((before - rate.to(z.dtype)[:, None, None] * change).argmax(-1) == truth).sum(-1)
                for rate in (self.rate, moved)
            ]
            takes |= self._needs & (right[1] > right[0])
        step = self._step if label[0] >= half else -self._step
        self.rate = torch.where(takes, self.rate + step, self.rate).clamp(min=LOWEST)

    def _remember(self, z: Tensor, y: Tensor) -> None:
        old = [(z[:0], y[:0])] if self._recent is None else [self._recent]
        states, codes = zip(*old, (z, y), strict=True)
        self._recent = torch.cat(states)[-N_RECENT:], torch.cat(codes)[-N_RECENT:]
        self._seen += len(z)


class HomeostaticReadout(LayeredReadout):
    """Softmax regression that learns online at a rate moved by its own need; see `Learners`.

    Attributes:
        learning_rate_: The rate at the epoch that was kept.
    """

    def __init__(
        self,
        *,
        modulation: Modulation = "homeostatic",
        weight_decay: Sequence[float] = (0.01, 0.001),
        scaling: Scaling = "standard",
        learning_rate: float = 1.0,
        epochs: int = 30,
        patience: int = 10,
        batch_size: int = 10,
        random_state: int = 0,
    ) -> None:
        self.modulation = modulation
        self.weight_decay = weight_decay
        self.scaling = scaling
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.random_state = random_state

    def _train(self, train: Samples, validation: Samples) -> Trained:
        random, (weight, bias) = self._started(train)
        copies = len(self.weight_decay)
        rates = torch.full((copies, 1), self.learning_rate, dtype=torch.float64, device=random.device)
        decay = torch.tensor(self.weight_decay, dtype=weight.dtype, device=random.device)
        learners = Learners(
            weight.detach(),
            bias.detach(),
            rates[:, 0].clone(),
            [self.modulation] * copies,
            mean_square(train),
            torch.Generator(random.device).manual_seed(rng.key(self.random_state, "readout/modulation")),
        )

        def run_epoch(_epoch: int) -> None:
            for z, y in batches(train, self.batch_size, random):
                learners.learn(z, y, decay=decay)
            rates[:, 0] = learners.rate

        # the rate is a parameter like others: that of the epoch which is kept stays
        return self._best_epoch([learners.weight, learners.bias, rates], run_epoch, validation)

    def _logits(self, parameters: list[Tensor], z: Tensor, random: torch.Generator | None = None) -> Tensor:
        return super()._logits(parameters[:2], z, random)

    def _layers(self, arrays: list[Array]) -> Layers:
        self.learning_rate_ = float(arrays[2][0])
        return super()._layers(arrays[:2])


def mean_square(samples: Samples) -> float:
    """Mean squared length of scaled states."""
    return float(sum(np.square(z, dtype=np.float64).sum() for z, _ in samples.blocks()) / len(samples))

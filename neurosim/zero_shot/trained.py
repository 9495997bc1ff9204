"""SRNN-CLIP: spiking encoders trained through time, the optimised software model beside random liquids."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosim import rng
from neurosim.events.parts import PARTS, Part
from neurosim.events.types import Binned
from neurosim.readout.contrastive import ContrastiveConfig
from neurosim.readout.contrastive_training import contrastive_loss
from neurosim.zero_shot.config import TrainedConfig
from neurosim.zero_shot.scores import Hits, recalls

Pair = tuple[Binned, Binned]
BLOCK = 256  # recordings encoded at a time


@dataclass(frozen=True)
class TrainedRun:
    """What trained encoders reached on one choice of unseen classes.

    Attributes:
        hits: Recalls on the test part.
        validation: Recall at 1 on validation recordings of the seen classes, of the epoch it chose.
        epoch: That epoch.
        epochs: Epochs that were trained.
        encoder, projection: Multiplications for a pair of recordings, dense, of both senses.
    """

    hits: Hits
    validation: float
    epoch: int
    epochs: int
    encoder: int
    projection: int


def train_encoders(
    config: TrainedConfig,
    readout: ContrastiveConfig,
    parts: dict[Part, Pair],
    betas: tuple[float, float],
    unseen: list[int],
    seed: int,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> TrainedRun:
    """Train both encoders and their projections together, by surrogate gradients through time.

        u[t] = beta u[t-1] (1 - s[t-1]) + W x[t] + R s[t-1],  s[t] = u[t] > 1,  z = f(V mean_t s[t] + b)

    Args:
        config: Encoders and their training.
        readout: Loss, width, activation, similarity and temperature of the projections.
        parts: Recordings of both senses by part, labelled alike.
        betas: Share of the membrane potential left after a step, of both senses.
        unseen: Codes of the classes left out of training and validation.
        seed: Of weights and pairs.
        progress: Called with the number of epochs done and that of all.

    Assumes: the derivative of a spike is 1 / (2 w) within w of the threshold and 0 elsewhere.
    Source: the neuron and its surrogate are those of Lin et al., doi:10.1038/s43588-024-00751-z, as far as
        the authors' scripts show; surrogate gradients by snnTorch.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    frames = {part: [_frames(side, device) for side in parts[part]] for part in PARTS}
    labels = {part: [side.labels for side in parts[part]] for part in PARTS}
    nets = [
        _Encoder(config, readout, frames["train"][k], betas[k], rng.stream(seed, f"srnn/start/{'ab'[k]}"))
        for k in range(2)
    ]
    for net in nets:
        net.to(device)
    optimizer = torch.optim.AdamW(
        [p for net in nets for p in net.parameters()], lr=config.learning_rate, weight_decay=0.0
    )
    allowed = [np.flatnonzero(~np.isin(y, unseen)) for y in labels["train"]]
    partners = {
        y: allowed[1][labels["train"][1][allowed[1]] == y] for y in set(labels["train"][0][allowed[0]])
    }
    best, best_score, best_epoch, epoch = [_copy(net) for net in nets], -1.0, 0, 0
    for epoch in range(1, config.epochs + 1):
        draw = rng.stream(seed, f"srnn/epoch{epoch}")
        a = draw.permutation(allowed[0])
        b = np.array([draw.choice(partners[y]) for y in labels["train"][0][a]])
        for i in range(0, len(a) - 1, config.batch_size):
            some = slice(i, i + config.batch_size)
            z = [
                net(frames["train"][k][batch[some]])
                for k, (net, batch) in enumerate(zip(nets, (a, b), strict=True))
            ]
            y = torch.from_numpy(labels["train"][0][a[some]]).to(device)
            loss = contrastive_loss(readout, z[0][None], z[1][None], y[None]).sum()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_([p for net in nets for p in net.parameters()], 1.0)
            optimizer.step()
        score = _recalls(nets, frames["validation"], labels["validation"], unseen).seen
        if score > best_score:
            best, best_score, best_epoch = [_copy(net) for net in nets], score, epoch
        if progress:
            progress(epoch, config.epochs)
        if epoch - best_epoch >= config.patience:
            break
    for net, kept in zip(nets, best, strict=True):
        net.load_state_dict(kept)
    steps = [side.n_steps for side in parts["train"]]
    return TrainedRun(
        hits=_recalls(nets, frames["test"], labels["test"], unseen),
        validation=best_score,
        epoch=best_epoch,
        epochs=epoch,
        encoder=sum(n * (net.w.numel() + net.r.numel()) for n, net in zip(steps, nets, strict=True)),
        projection=sum(net.v.numel() for net in nets),
    )


class _Encoder(nn.Module):
    """One sense: a recurrent spiking layer and its projection."""

    def __init__(
        self,
        config: TrainedConfig,
        readout: ContrastiveConfig,
        frames: Tensor,
        beta: float,
        random: np.random.Generator,
    ) -> None:
        from snntorch import surrogate

        super().__init__()
        n_in, n, width = frames.shape[2], config.n_neurons, readout.width
        # a step's input has a standard deviation of half the threshold, so that some neurons fire at once
        active = max(float(frames.float().mean()) * n_in, 1.0)
        self.w = self._weights(random, (n_in, n), 0.5 / math.sqrt(active))
        self.r = self._weights(random, (n, n), 0.5 / math.sqrt(n))
        self.v = self._weights(random, (n, width), 1 / math.sqrt(n))
        self.b = nn.Parameter(torch.zeros(width))
        self.gelu, self.unit = readout.activation == "gelu", readout.similarity == "cosine"
        half = config.surrogate_width

        def rectangle(u: Tensor, gradient: Tensor, _spikes: Tensor) -> Tensor:
            return gradient * (u.abs() < half) / (2 * half)

        self.beta, self.spike = beta, surrogate.custom_surrogate(rectangle)

    @staticmethod
    def _weights(random: np.random.Generator, shape: tuple[int, int], sigma: float) -> nn.Parameter:
        return nn.Parameter(torch.from_numpy(random.normal(0, sigma, shape).astype(np.float32)))

    def forward(self, frames: Tensor) -> Tensor:
        """Embeddings (n, width) of frames (n, n_steps, n_channels)."""
        drive = frames.to(self.w.dtype) @ self.w
        u = torch.zeros_like(drive[:, 0])
        spikes = torch.zeros_like(u)
        total = torch.zeros_like(u)
        for step in drive.unbind(1):
            u = self.beta * u * (1 - spikes) + step + spikes @ self.r
            spikes = self.spike(u - 1)
            total = total + spikes
        e = total / drive.shape[1] @ self.v + self.b
        e = functional.gelu(e) if self.gelu else e
        return functional.normalize(e, dim=-1) if self.unit else e


def _frames(binned: Binned, device: torch.device) -> Tensor:
    """Every recording as frames, uint8 (n, n_steps, n_channels)."""
    return torch.from_numpy(np.stack([binned.dense(i) for i in range(len(binned))])).to(device)


def _copy(net: nn.Module) -> dict[str, Any]:
    return {key: value.detach().clone() for key, value in net.state_dict().items()}


@torch.no_grad()
def _recalls(nets: list[_Encoder], frames: list[Tensor], labels: list[Any], unseen: list[int]) -> Hits:
    """Recalls of seen and unseen queries."""
    z = [
        torch.cat([net(some) for some in torch.split(side, BLOCK)]).cpu().numpy()
        for net, side in zip(nets, frames, strict=True)
    ]
    return recalls(z[0] @ z[1].T, labels[0], labels[1], unseen)

"""Contrastive training in PyTorch: many pairs of projections in one batch, because each alone is small."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from neurosim import rng
from neurosim.errors import ExperimentError
from neurosim.events.pairing import pair
from neurosim.readout.base import StateScaling, fit_scaling
from neurosim.readout.contrastive import (
    ContrastiveConfig,
    OnEpoch,
    Pairing,
    Projection,
    Recordings,
    Trained,
)

Index = npt.NDArray[np.int64]
Weights = dict[str, Tensor]
Sides = tuple[Recordings, Recordings]


@dataclass(frozen=True, eq=False)
class Task:
    """One pair of projections to train.

    Attributes:
        classes: Codes of the classes it may see, in training and in validation.
        seed: Of its first weights, its pairs and its dropout.
        rows: Whether row i of both senses is a pair, instead of any two of a class.
    """

    classes: Index
    seed: int
    rows: bool = False


def train_side_by_side(
    config: ContrastiveConfig,
    train: Sides,
    validation: Sides,
    tasks: Sequence[Task],
    *,
    on_epoch: OnEpoch | None = None,
) -> list[Trained]:
    """Train one pair of projections per task, all in one batch; validation chooses the epoch of each.

    The loss is the sum over the tasks and AdamW acts on every weight alone, so that none feels the others.
    An epoch has the steps of the task with the fewest pairs; the pairs that are left over change with it.
    A task's weights stand still in what is returned once its patience has run out.

    Args:
        config: The readout.
        train: Training recordings of a and of b, of any classes.
        validation: Those that choose, likewise.
        tasks: What to train.
        on_epoch: See `OnEpoch`.

    Raises:
        ExperimentError: If a task has fewer than two classes, or one without recordings.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    scalings = [[_scaling(side, task.classes, config) for task in tasks] for side in train]
    x = [_states(side, scalings[k][0], device) for k, side in enumerate(train)]
    held = [_states(side, scalings[k][0], device) for k, side in enumerate(validation)]
    heads = [
        _Heads.start(config, scalings[k], "ab"[k], [task.seed for task in tasks], device) for k in range(2)
    ]
    masks = [torch.Generator(device).manual_seed(rng.key(task.seed, "contrastive/dropout")) for task in tasks]
    parameters = [w for head in heads for w in head.weights.values()]
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    codes = torch.from_numpy(train[0].y).to(device)
    judges = [_Judge(config, held, validation, task.classes, device) for task in tasks]
    best_score = np.full(len(tasks), -np.inf)
    best_epoch = np.zeros(len(tasks), np.int64)
    best = [{key: w.detach().clone() for key, w in head.weights.items()} for head in heads]
    epoch = 0
    for epoch in range(1, config.epochs + 1):
        pairs = [_pairs(train, task, config.pairing, epoch) for task in tasks]
        n = min(len(p) for p in pairs)
        which = torch.from_numpy(np.stack([p[:n] for p in pairs])).to(device)  # (tasks, n, 2)
        steps = max(1, n // config.batch_size)
        for step, batch in enumerate(which.tensor_split(steps, dim=1)):
            if config.schedule == "cosine":
                done = (epoch - 1 + step / steps) / config.epochs
                optimizer.param_groups[0]["lr"] = config.learning_rate * (1 + math.cos(math.pi * done)) / 2
            a, b = (head(x[k][batch[..., k]], masks) for k, head in enumerate(heads))
            loss = contrastive_loss(config, a, b, codes[batch[..., 0]])
            optimizer.zero_grad()
            torch.autograd.backward(loss.sum())
            optimizer.step()
        with torch.no_grad():
            folded = [head.embed_all(held[k]) for k, head in enumerate(heads)]
            score = np.array([judge(folded[0][s], folded[1][s]) for s, judge in enumerate(judges)])
        waiting = epoch - best_epoch <= config.patience
        better = waiting & (score > best_score)
        best_score[better], best_epoch[better] = score[better], epoch
        chosen = torch.from_numpy(np.flatnonzero(better)).to(device)
        for kept, head in zip(best, heads, strict=True):
            for key, w in head.weights.items():
                kept[key][chosen] = w.detach()[chosen]
        if on_epoch:
            on_epoch(epoch, _projections(heads, config, [head.weights for head in heads]))
        if not (epoch - best_epoch < config.patience).any():
            break
    pairs_of = _projections(heads, config, best)
    return [
        Trained(
            a,
            b,
            int(best_epoch[s]),
            min(epoch, int(best_epoch[s]) + config.patience),  # the others may have trained on
            math.floor(best_score[s]) / judges[s].n,
        )
        for s, (a, b) in enumerate(pairs_of)
    ]


# ---- losses ----------------------------------------------------------------------------------------


def contrastive_loss(config: ContrastiveConfig, a: Tensor, b: Tensor, y: Tensor) -> Tensor:
    """Loss of every task, (tasks,), of its batch of pairs.

    With S = A B^T / temperature, rows are queries; every loss is the mean of both ways.

        clip        cross-entropy of softmax(S) against softmax(temperature (A A^T + B B^T) / 2), whose
                    transpose is the target of the other way; gradients flow through both
        infonce     against the pair alone
        supervised  against all of the same class, evenly
        hinge       sum over negatives of max(0, margin - S_kk + S_kl), mean over the pairs
        hinge_hard  the largest of them

    Args:
        config: Loss and its constants.
        a, b: Embeddings, (tasks, batch, width).
        y: Class codes, (tasks, batch).

    Source: clip: Lin et al., doi:10.1038/s43588-024-00751-z, as far as the authors' scripts show; infonce:
        A. Radford et al., arXiv:2103.00020; supervised: P. Khosla et al., arXiv:2004.11362; hinge:
        A. Baqapuri, arXiv:1601.03478; hinge_hard: F. Faghri et al., arXiv:1707.05612.
    """
    sim = a @ b.mT / config.temperature
    same = y[:, :, None] == y[:, None, :]
    match config.loss:
        case "clip":
            target = ((a @ a.mT + b @ b.mT) / 2 * config.temperature).softmax(-1)
        case "infonce":
            target = torch.eye(sim.shape[-1], dtype=sim.dtype, device=sim.device).expand_as(sim)
        case "supervised":
            target = same.to(sim.dtype)
            target = target / target.sum(-1, keepdim=True)
        case kind:
            hard = kind == "hinge_hard"
            one, other = (_hinge(s, same, config.margin, hard=hard) for s in (sim, sim.mT))
            return (one + other) / 2
    return (_cross_entropy(sim, target) + _cross_entropy(sim.mT, target.mT)) / 2


def _cross_entropy(sim: Tensor, target: Tensor) -> Tensor:
    return -(target * sim.log_softmax(-1)).sum(-1).mean(-1)


def _hinge(sim: Tensor, same: Tensor, margin: float, *, hard: bool) -> Tensor:
    pair = sim.diagonal(dim1=-2, dim2=-1)[..., None]
    short = functional.relu(margin - pair + sim).masked_fill(same, 0.0)
    return (short.amax(-1) if hard else short.sum(-1)).mean(-1)


# ---- projections of all tasks ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Heads:
    """Projections of one sense of all tasks: every weight has the task as its first axis.

    Attributes:
        weights: As in `Projection`.
        mean, scale: (tasks, n_features) of the scaling, which is folded into the first layer.
    """

    config: ContrastiveConfig
    weights: Weights
    scalings: list[StateScaling]
    mean: Tensor
    scale: Tensor

    @classmethod
    def start(
        cls,
        config: ContrastiveConfig,
        scalings: list[StateScaling],
        name: str,
        seeds: Sequence[int],
        device: torch.device,
    ) -> "_Heads":
        """First weights: uniform within 1 / sqrt(n_in), as torch's own linear layers."""
        n_in, d = len(scalings[0].mean), config.width
        shapes = {"w1": (n_in, d), "b1": (n_in, d)}
        if config.residual:
            shapes |= {"w2": (d, d), "b2": (d, d)}
        drawn: dict[str, list[Any]] = {key: [] for key in shapes}
        for seed in seeds:
            random = rng.stream(seed, f"contrastive/start/{name}")
            for key, (fan_in, width) in shapes.items():
                size = (fan_in, width) if key[0] == "w" else (width,)
                drawn[key].append(random.uniform(-1, 1, size) / math.sqrt(fan_in))
        weights = {key: torch.from_numpy(np.stack(w).astype(np.float32)) for key, w in drawn.items()}
        if config.layer_norm:
            weights |= {"gain": torch.ones(len(seeds), d), "offset": torch.zeros(len(seeds), d)}
        weights = {key: w.to(device).requires_grad_() for key, w in weights.items()}
        mean, scale = (
            torch.from_numpy(np.stack([getattr(s, part) for s in scalings]).astype(np.float32)).to(device)
            for part in ("mean", "scale")
        )
        return cls(config, weights, scalings, mean, scale)

    def __call__(self, x: Tensor, masks: Sequence[torch.Generator]) -> Tensor:
        """Embeddings (tasks, batch, width) of each task's own states (tasks, batch, n_features)."""
        w, shift = self._folded()
        return self._rest(torch.bmm(x, w) - shift, masks)

    def embed_all(self, x: Tensor) -> Tensor:
        """The same of states (n, n_features) that all tasks share, without dropout."""
        w, shift = self._folded()
        product = (x @ w.permute(1, 0, 2).flatten(1)).reshape(len(x), len(w), -1)
        return self._rest(product.transpose(0, 1) - shift, ())

    def _folded(self) -> tuple[Tensor, Tensor]:
        """First weights that act on states as they are, and what is then to be taken off, (tasks, 1, width).

        The states of a batch are the largest array of a step: they are read once and not copied.
        """
        w = self.weights["w1"] / self.scale[..., None]
        return w, self.mean[:, None] @ w

    def _rest(self, e: Tensor, masks: Sequence[torch.Generator]) -> Tensor:
        config, w = self.config, self.weights
        e = e + w["b1"][:, None]
        if config.activation == "gelu":
            e = functional.gelu(e)
        if config.residual:
            e = e + self._dropped(torch.bmm(e, w["w2"]) + w["b2"][:, None], masks)
        else:
            e = self._dropped(e, masks)
        if config.layer_norm:
            e = functional.layer_norm(e, e.shape[-1:]) * w["gain"][:, None] + w["offset"][:, None]
        return functional.normalize(e, dim=-1) if config.similarity == "cosine" else e

    def _dropped(self, e: Tensor, masks: Sequence[torch.Generator]) -> Tensor:
        if not self.config.dropout or not masks:
            return e
        keep = 1 - self.config.dropout
        kept = [torch.empty_like(one).bernoulli_(keep, generator=g) for one, g in zip(e, masks, strict=True)]
        return e * torch.stack(kept) / keep


def _projections(
    heads: list[_Heads], config: ContrastiveConfig, weights: list[Weights]
) -> list[tuple[Projection, Projection]]:
    """Every task's two projections in NumPy."""

    def side(k: int, s: int) -> Projection:
        own = {key: w.detach()[s].cpu().numpy().copy() for key, w in weights[k].items()}
        gelu, unit = config.activation == "gelu", config.similarity == "cosine"
        return Projection(heads[k].scalings[s], gelu, own, unit)

    return [(side(0, s), side(1, s)) for s in range(len(heads[0].scalings))]


# ---- recordings ------------------------------------------------------------------------------------


def _scaling(side: Recordings, classes: Index, config: ContrastiveConfig) -> StateScaling:
    """Scaling fitted on the recordings of the classes that a task may see."""
    rows = np.flatnonzero(np.isin(side.y, classes))
    missing = sorted(set(classes.tolist()) - set(side.y[rows].tolist()))
    if missing or len(classes) < 2:
        what = f"no training recording of class {missing[0]}" if missing else f"{len(classes)} class"
        raise ExperimentError(f"contrastive readout: {what}; give two classes or more, each in both senses")
    return fit_scaling(side.x, rows, config.scaling)


def _states(side: Recordings, scaling: StateScaling, device: torch.device) -> Tensor:
    """States as float32, their root taken where the scaling takes it."""
    plain = StateScaling(scaling.root, np.zeros(1, np.float32), np.ones(1, np.float32))
    return torch.from_numpy(plain(side.x)).to(device)


def _pairs(train: Sides, task: Task, pairing: Pairing, epoch: int) -> Index:
    """Rows of a and of b of one epoch's pairs in random order, (n, 2).

    ``fixed`` zips the recordings of a class until one sense runs out. ``redrawn`` gives every class as many
    pairs as the largest one has recordings, and uses all recordings of a class equally often.
    """
    y = [side.y for side in train]
    if task.rows or pairing == "fixed":
        found = []
        for label in task.classes:
            a, b = (np.flatnonzero(labels == label) for labels in y)
            n = min(len(a), len(b))
            found.append(np.stack([a[:n], b[:n]], axis=1))
        rows = np.concatenate(found)
    else:
        names = [str(code) for code in range(max(labels.max() for labels in y) + 1)]
        drawn = pair(
            *y,
            left_classes=names,
            right_classes=names,
            seen=[names[code] for code in task.classes],
            unseen=[],
            part="train",
            seed=task.seed,
            per_class=int(max(np.bincount(labels)[task.classes].max() for labels in y)),
            name=f"contrastive/epoch{epoch}",
        )
        rows = np.stack([drawn.left, drawn.right], axis=1)
    order: Index = rng.stream(task.seed, f"contrastive/order{epoch}").permutation(len(rows))
    return rows[order]


class _Judge:
    """Validation score of a task: right answers, and between equals the probability of the right class."""

    def __init__(
        self,
        config: ContrastiveConfig,
        held: list[Tensor],
        validation: Sides,
        classes: Index,
        device: torch.device,
    ) -> None:
        rows = [np.flatnonzero(np.isin(side.y, classes)) for side in validation]
        y = [side.y[r] for side, r in zip(validation, rows, strict=True)]
        if missing := sorted(set(classes.tolist()) - (set(y[0].tolist()) & set(y[1].tolist()))):
            raise ExperimentError(
                f"contrastive readout: no validation recording of class {missing[0]} in one of the senses; "
                "raise the number of validation recordings"
            )
        self.rows = [torch.from_numpy(r).to(device) for r in rows]
        self.same = torch.from_numpy(y[0][:, None] == y[1][None, :]).to(device)
        self.temperature = config.temperature
        self.n = len(rows[0])

    def __call__(self, a: Tensor, b: Tensor) -> float:
        sim = a[self.rows[0]] @ b[self.rows[1]].T
        right = self.same.gather(1, sim.argmax(1, keepdim=True)).sum()
        sure = ((sim / self.temperature).softmax(-1) * self.same).sum(-1).mean()
        # a score of exactly one more right answer must not be reached by certainty alone
        return float(right) + min(float(sure.nan_to_num()), 0.999)

"""The one training loop of all networks: validation chooses the epoch, an interrupted run goes on."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from neurosim import rng, store
from neurosim.config import StrictModel
from neurosim.errors import BaselineError

Progress = Callable[[str, int, int | None], None]

EVALUATION_BATCH = 1000
MAX_UNITARITY_ERROR = 1e-3


class TrainingConfig(StrictModel):
    """How a network is trained.

    Attributes:
        epochs: Most passes over the training part.
        batch_size: Samples per step.
        optimizer: ``adam`` (weight decay is added to the gradient), ``adamw`` (it is not) or ``sgd``.
        learning_rate: Rate at the start.
        momentum: Of ``sgd``.
        betas: Of ``adam`` and ``adamw``.
        weight_decay: Factor of the weights [1].
        schedule: ``constant``; ``cosine`` falls to zero; ``one_cycle`` rises to ``max_learning_rate`` in the
            first 30 % of the steps and falls; ``warm_restarts``: cosine over ``restart_steps`` steps, again
            and again.
        max_learning_rate: Of ``one_cycle``.
        restart_steps: Of ``warm_restarts``.
        clip: Largest norm of the gradient; None: any.
        label_smoothing: Share of the target spread evenly over the classes.
        patience: Epochs without a better validation score after which training stops; None: never.
        loss: ``cross_entropy`` of logits; ``hinge``: squared multi-class one-against-all hinge;
            ``cross_entropy_of_probabilities``: the outputs are probabilities that are used as logits (what
            the authors of ``qrnn`` do); ``log_likelihood`` of probabilities.
        augment: ``affine``: every training image is turned by up to 5 degrees and moved by up to a tenth.
    """

    epochs: int = Field(10, ge=1)
    batch_size: int = Field(64, ge=1)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    betas: tuple[float, float] = Field((0.9, 0.999), strict=False)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine", "one_cycle", "warm_restarts"] = "constant"
    max_learning_rate: float = Field(2e-3, gt=0)
    restart_steps: int = Field(5, ge=1)
    clip: float | None = Field(None, gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    patience: int | None = Field(None, ge=1)
    loss: Literal["cross_entropy", "hinge", "cross_entropy_of_probabilities", "log_likelihood"] = (
        "cross_entropy"
    )
    augment: Literal["none", "affine"] = "none"


@dataclass(frozen=True, eq=False)
class Data:
    """Samples on the device of the training: uint8 (read as 0..1) or float32, and int64 class codes."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training part left.

    Attributes:
        loss: Mean training loss.
        accuracy: Share of right answers on the validation part.
        validation_loss: Mean loss there.
        seconds: Wall time of the pass, without validation.
        unitarity_error: Largest deviation from unitarity of the network's quantum parts; 0 without any.
    """

    loss: float
    accuracy: float
    validation_loss: float
    seconds: float
    unitarity_error: float


def device() -> torch.device:
    """The accelerator, where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def seeded(seed: int, name: str) -> Iterator[None]:
    """PyTorch's generators started from the stream ``name``, and put back afterwards."""
    with torch.random.fork_rng(devices=[0] if torch.cuda.is_available() else []):
        torch.manual_seed(rng.key(seed, name))
        yield


def as_float(x: Tensor) -> Tensor:
    """Grey levels as 0..1; other numbers as they are."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def loss_of(config: TrainingConfig) -> Callable[[Tensor, Tensor], Tensor]:
    """Mean loss of outputs (B, n_classes) and class codes (B,)."""
    match config.loss:
        case "hinge":
            return _hinge
        case "log_likelihood":
            return lambda out, y: functional.nll_loss(out.clamp_min(1e-12).log(), y)
        case _:
            return lambda out, y: functional.cross_entropy(out, y, label_smoothing=config.label_smoothing)


def _hinge(out: Tensor, y: Tensor) -> Tensor:
    sign = 2 * functional.one_hot(y, out.shape[1]).to(out.dtype) - 1
    return functional.relu(1 - sign * out).square().sum(1).mean()


def train(
    net: nn.Module,
    data: Data,
    validation: Data,
    config: TrainingConfig,
    *,
    checkpoint: Path | None = None,
    run: str = "",
    progress: Progress | None = None,
    name: str = "training",
) -> list[Epoch]:
    """Train ``net`` in place and leave it at the epoch that validation likes best.

    Draws come from PyTorch's current generators. Ties of accuracy go to the lower loss.

    Args:
        net: On the device of the data. An attribute ``penalty``, set by its forward pass, is added to the
            loss.
        data: Training part.
        validation: The part that chooses.
        config: Recipe.
        checkpoint: Folder that keeps the state after every epoch; a folder of the same ``run`` is gone on
            from, any other is replaced.
        run: Fingerprint of the run.
        progress: Called after every epoch.
        name: What it is called with.

    Returns:
        One entry per epoch.

    Raises:
        BaselineError: If a quantum part stops being unitary, or the loss is not finite.
    """
    weights = [p for p in net.parameters() if p.requires_grad and p.numel()]
    optimizer = _optimizer(weights, config)
    criterion = loss_of(config)
    n_batches = math.ceil(len(data) / config.batch_size)
    history: list[Epoch] = []
    best = _copy(net)
    if checkpoint is not None and (kept := _restore(checkpoint, run, net, optimizer)):
        history, best = kept
    for epoch in range(len(history), config.epochs):
        if config.patience and epoch - best_epoch(history) > config.patience:
            break
        net.train()
        start, total = time.perf_counter(), torch.zeros((), device=data.x.device)
        order = torch.randperm(len(data), device="cpu").to(data.x.device)
        for i, which in enumerate(order.tensor_split(n_batches)):
            optimizer.param_groups[0]["lr"] = _rate(config, epoch * n_batches + i, n_batches)
            x, y = as_float(data.x[which]), data.y[which]
            loss = criterion(net(_affine(x) if config.augment == "affine" else x), y)
            loss = loss + getattr(net, "penalty", 0.0)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            if config.clip:
                nn.utils.clip_grad_norm_(weights, config.clip)
            optimizer.step()
            total += loss.detach() * len(y)
        seconds = time.perf_counter() - start
        accuracy, validation_loss = evaluate(net, validation, criterion)
        mean = float(total) / len(data)
        history.append(Epoch(mean, accuracy, validation_loss, seconds, unitarity_error(net)))
        _check(history[-1], len(history), net)
        if best_epoch(history) == len(history) - 1:
            best = _copy(net)
        if checkpoint is not None:
            _keep(checkpoint, run, net, optimizer, history, best)
        if progress:
            progress(name, epoch + 1, config.epochs)
    net.load_state_dict(best)
    return history


def best_epoch(history: list[Epoch]) -> int:
    """Place of the epoch with the best validation accuracy; of equals the one with the lower loss."""
    if not history:
        return -1
    return max(range(len(history)), key=lambda i: (history[i].accuracy, -history[i].validation_loss, -i))


def unitarity_error(net: nn.Module) -> float:
    """Largest deviation from unitarity of the parts of a network that say theirs."""
    parts = [part for part in net.modules() if hasattr(part, "unitarity_error")]
    return max((float(part.unitarity_error()) for part in parts), default=0.0)  # type: ignore[operator]


def _check(epoch: Epoch, number: int, net: nn.Module) -> None:
    if not math.isfinite(epoch.loss):
        raise BaselineError(f"epoch {number}: loss {epoch.loss}; take a lower training.learning_rate")
    may_drift = any(getattr(part, "may_drift", False) for part in net.modules())
    if epoch.unitarity_error > MAX_UNITARITY_ERROR and not may_drift:
        raise BaselineError(
            f"epoch {number}: the quantum part deviates from unitarity by {epoch.unitarity_error:.3g}, "
            f"at most {MAX_UNITARITY_ERROR:g} is rounding; take a lower training.learning_rate"
        )


@torch.no_grad()
def outputs(net: nn.Module, x: Tensor) -> Tensor:
    """Outputs of a network in evaluation mode, batch by batch."""
    net.eval()
    return torch.cat([net(as_float(x[i : i + EVALUATION_BATCH])) for i in range(0, len(x), EVALUATION_BATCH)])


def evaluate(
    net: nn.Module, data: Data, criterion: Callable[[Tensor, Tensor], Tensor]
) -> tuple[float, float]:
    """Accuracy and mean loss."""
    out = outputs(net, data.x)
    return float((out.argmax(1) == data.y).double().mean()), float(criterion(out, data.y))


def _optimizer(weights: list[nn.Parameter], config: TrainingConfig) -> torch.optim.Optimizer:
    rate, decay = config.learning_rate, config.weight_decay
    match config.optimizer:
        case "adam":
            return torch.optim.Adam(weights, rate, config.betas, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(weights, rate, config.betas, weight_decay=decay)
        case _:
            return torch.optim.SGD(weights, rate, config.momentum, weight_decay=decay)


def _rate(config: TrainingConfig, step: int, n_batches: int) -> float:
    """Learning rate of a step."""
    low, high, n_steps = config.learning_rate, config.max_learning_rate, config.epochs * n_batches

    def cosine(start: float, end: float, share: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

    match config.schedule:
        case "cosine":
            return cosine(low, 0.0, step / n_steps)
        case "warm_restarts":
            return cosine(low, 0.0, step % config.restart_steps / config.restart_steps)
        case "one_cycle":
            peak = max(0.3 * n_steps - 1, 1e-9)
            if step <= peak:
                return cosine(high / 25, high, step / peak)
            return cosine(high, high / 25e4, (step - peak) / (n_steps - 1 - peak))
        case _:
            return low


def _affine(x: Tensor, degrees: float = 5.0, shift: float = 0.1) -> Tensor:
    """Images (B, c, h, w), each turned and moved at random; what comes in from outside is 0."""
    n = len(x)
    draw = 2 * torch.rand(n, 3) - 1
    angle, dx, dy = (draw * torch.tensor([math.radians(degrees), 2 * shift, 2 * shift])).unbind(1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    theta = torch.stack([torch.stack([cos, -sin, dx], 1), torch.stack([sin, cos, dy], 1)], 1).to(x.device)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


def _copy(net: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in net.state_dict().items()}


# --- checkpoints: plain arrays, never pickles ---


def _keep(
    path: Path,
    run: str,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    history: list[Epoch],
    best: dict[str, Tensor],
) -> None:
    tensors = {f"net.{k}": v for k, v in net.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in best.items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items() if isinstance(v, Tensor)}
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    arrays = {key: value.detach().cpu().numpy() for key, value in tensors.items() if value.numel()}
    store.save(path, arrays, {"run": run, "history": [asdict(epoch) for epoch in history]})


def _restore(
    path: Path, run: str, net: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[list[Epoch], dict[str, Tensor]] | None:
    loaded = store.load(path)
    if loaded is None or loaded[1].get("run") != run:
        return None
    tensors = {key: torch.from_numpy(np.array(value)) for key, value in loaded[0].items()}

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    empty = {key: value for key, value in net.state_dict().items() if not value.numel()}
    net.load_state_dict(part("net.") | empty)
    state: dict[int, dict[str, Any]] = {}
    for key, value in part("optimizer.").items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    where = next(iter(net.parameters())).device
    best = {key: value.to(where) for key, value in (part("best.") | empty).items()}
    return [Epoch(**epoch) for epoch in loaded[1]["history"]], best


def total_seconds(history: list[Epoch]) -> float:
    """Wall time of all epochs [s]."""
    return sum(epoch.seconds for epoch in history)

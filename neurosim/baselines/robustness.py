"""Adversarial images: FGSM and PGD on pixels in [0, 1], clamped to them after every step."""

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch.nn import functional

from neurosim.baselines.base import Array, NetworkBaseline
from neurosim.baselines.training import EVALUATION_BATCH, as_float, seeded
from neurosim.errors import BaselineError


def fgsm(model: NetworkBaseline, X: Array, y: Array, epsilon: float) -> Array:
    """Images x + epsilon sign(d loss / d x), clamped to [0, 1].

    Args:
        model: Fitted.
        X: Images, uint8, or floats in [0, 1].
        y: Their labels.
        epsilon: Largest change of a pixel [1].

    Returns:
        float32 images in the form that the model reads.

    Source: Goodfellow et al., arXiv:1412.6572.
    """
    return pgd(model, X, y, epsilon, step=epsilon, n_steps=1, random_start=False)


def pgd(
    model: NetworkBaseline,
    X: Array,
    y: Array,
    epsilon: float,
    *,
    step: float,
    n_steps: int,
    random_start: bool = True,
) -> Array:
    """Images after ``n_steps`` steps up the loss, within ``epsilon`` of X and [0, 1] (maximum norm).

    The loss is cross-entropy of the network's outputs, whatever it was trained on.

    Args:
        model: Fitted.
        X: Images, uint8, or floats in [0, 1].
        y: Their labels.
        epsilon: Largest change of a pixel [1].
        step: Change of a pixel in one step [1].
        n_steps: Steps.
        random_start: Whether to start at a random place within epsilon.

    Returns:
        float32 images in the form that the model reads.

    Raises:
        BaselineError: If pixels lie outside [0, 1], where clamping would be an attack of its own, a label is
            unknown to the model, or it has no gradient.

    Source: Madry et al., arXiv:1706.06083.
    """
    check_is_fitted(model)
    x = as_float(torch.tensor(model._samples(X)))
    if x.min() < 0 or x.max() > 1:
        raise BaselineError(
            f"attack: pixels from {float(x.min()):g} to {float(x.max()):g}; give images in [0, 1] or uint8"
        )
    if unknown := sorted(set(np.asarray(y).tolist()) - set(model.classes_.tolist())):
        raise BaselineError(f"attack: label {unknown[0]} is not among those that the model was trained on")
    codes = torch.from_numpy(np.searchsorted(model.classes_, y))
    where = next(model.network_.parameters()).device
    nets = [net for net in (model.features_, model.network_) if net is not None]
    for net in nets:
        net.eval()
    done = []
    with seeded(model.random_state, "baselines/attack"):
        for i in range(0, len(x), EVALUATION_BATCH):
            clean, truth = (part[i : i + EVALUATION_BATCH].to(where) for part in (x, codes))
            attacked = clean.clone()
            if random_start:
                attacked = (clean + epsilon * (2 * torch.rand_like(clean) - 1)).clamp(0, 1)
            for _ in range(n_steps):
                attacked.requires_grad_()
                out = attacked
                for net in nets:
                    out = net(out)
                loss = functional.cross_entropy(out, truth, reduction="sum")
                (slope,) = torch.autograd.grad(loss, attacked, allow_unused=True)
                if slope is None:
                    raise BaselineError(f"attack: {model.name} rounds its input, so that it has no gradient")
                with torch.no_grad():
                    moved = attacked + step * slope.sign()
                    attacked = torch.min(torch.max(moved, clean - epsilon), clean + epsilon).clamp(0, 1)
            done.append(attacked.detach().cpu().numpy())
    return np.concatenate(done)

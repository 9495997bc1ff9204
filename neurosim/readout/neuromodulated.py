"""Only gains and thresholds of neurons are trained; the memories around them stay as they are."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn import functional

from neurosim.errors import ExperimentError
from neurosim.readout.base import Array, Layers, Readout, StateScaling
from neurosim.readout.config import Activation, Scaling, Schedule
from neurosim.readout.network import NetworkReadout

SOFTNESS = 0.25  # width of a threshold while it is trained, in units of the scaled states
# Before training: states pass as they are, except far below their mean; of random neurons half are silent.
THRESHOLDS = (-2.0, 0.0)


class NeuromodulatedReadout(NetworkReadout):
    """Two random projections that are never trained, and between them neurons whose gains and thresholds are.

    h = M z, y = g h 1[h > tau], class scores R y: M and R are random, as a memory is that cannot be written
    again; a gain g and a threshold tau for each of the ``hidden`` neurons between them are all that is
    trained, with a logistic function of width 0.25 in place of the step. Knobs as in ``ReadoutConfig``; the
    weight decay pulls the gains to zero. With ``hidden`` = 0 there is no M and the neurons are the states.

    `modulate` puts the gains and thresholds before the layers of a trained readout instead, one of each for
    every state. All of them they act on what the liquid's neurons counted, not on their spiking: with the
    scaling ``standard`` a state below its threshold counts as the neuron's mean.

    Attributes:
        gains_, thresholds_: (n_neurons,).
        gated_layer_: The layer before which they act: 1, or 0 without hidden neurons and after `modulate`.
        layers_: The frozen layers.

    Source: S. Ghasemlou, arXiv:2602.11726 (there behind every layer of a trained network).
    """

    _frozen: Readout | None = None

    def __init__(
        self,
        *,
        hidden: int = 1024,
        weight_decay: Sequence[float] = (0.1, 0.01),
        scaling: Scaling = "standard",
        learning_rate: float = 0.02,
        schedule: Schedule = "cosine",
        epochs: int = 30,
        patience: int = 10,
        batch_size: int = 256,
        label_smoothing: float = 0.0,
        random_state: int = 0,
    ) -> None:
        self.hidden = hidden
        self.weight_decay = weight_decay
        self.scaling = scaling
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.label_smoothing = label_smoothing
        self.random_state = random_state

    def fit(self, X: Any, y: Any, validation: tuple[Any, Any] | None = None) -> Self:
        """Draw the projections and train gains and thresholds; arguments as `Readout.fit`."""
        self._frozen = None
        return super().fit(X, y, validation)

    def modulate(self, readout: Readout, X: Any, y: Any, validation: tuple[Any, Any] | None = None) -> Self:
        """Specialise a trained readout to other recordings: its layers stay, only gains and thresholds learn.

        Args:
            readout: A readout of plain layers; it is not changed, and keeps answering as before.
            X, y, validation: As in `fit`.

        Raises:
            ExperimentError: If the labels are not those that the readout was trained on.
        """
        check_is_fitted(readout)
        if not np.array_equal(found := np.unique(y), readout.classes_):
            raise ExperimentError(
                f"classes {', '.join(map(str, found))} are not those of the readout, "
                f"{', '.join(map(str, readout.classes_))}; give recordings of each of them"
            )
        self._frozen = readout
        return super().fit(X, y, validation)

    @property
    def activation(self) -> Activation:
        """That of the frozen layers."""
        return self._frozen.activation if self._frozen else "none"

    def _fit_scaling(self, x: Array, rows: Array) -> StateScaling:
        return self._frozen.scaling_ if self._frozen else super()._fit_scaling(x, rows)

    def _start(
        self, n_features: int, copies: int, random: torch.Generator, dtype: torch.dtype
    ) -> list[Tensor]:
        self.gated_layer_ = 1 if self.hidden and not self._frozen else 0
        if self._frozen:
            self._kept = self._frozen.layers_
        else:
            sizes = n_features, *([self.hidden] if self.hidden else []), len(self.classes_)
            drawn = [
                torch.empty(shape, dtype=dtype, device=random.device).normal_(generator=random)
                for shape in pairwise(sizes)
            ]
            self._kept = [
                (w.cpu().numpy() / math.sqrt(len(w)), np.zeros_like(w[0].cpu().numpy())) for w in drawn
            ]
        self._tensors = [
            [torch.as_tensor(np.ascontiguousarray(part), dtype=dtype, device=random.device) for part in layer]
            for layer in self._kept
        ]
        n_neurons = len(self._kept[self.gated_layer_][0])
        gains = torch.ones(copies, 1, n_neurons, dtype=dtype, device=random.device)
        return [gains, torch.full_like(gains[:, 0], THRESHOLDS[self.gated_layer_])]

    def _logits(self, parameters: list[Tensor], z: Tensor, random: torch.Generator | None = None) -> Tensor:
        gains, thresholds = parameters
        for i, (weight, bias) in enumerate(self._tensors):
            if i and self.activation == "relu":
                z = functional.relu(z)
            elif i and self.activation == "normalise":
                z = functional.normalize(z, dim=-1)
            if i == self.gated_layer_:
                above = z - thresholds[:, None]
                gate = (above > 0).to(z.dtype) if random is None else torch.sigmoid(above / SOFTNESS)
                z = gains * gate * z
            z = z @ weight + bias
        return z

    def _layers(self, arrays: list[Array]) -> Layers:
        gains, self.thresholds_ = arrays
        self.gains_ = gains[0]
        del self._tensors
        return self._kept

    def _input(self, z: Array, i: int) -> Array:
        z = super()._input(z, i)
        return self.gains_ * z * (z > self.thresholds_) if i == self.gated_layer_ else z

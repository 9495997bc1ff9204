"""Readouts with a small projection and one vector for every class: hyperspherical and nested.

The projection is what stands in the macro, one pair of bit lines for each of its outputs; the class vectors
behind it are few.
"""

import math
from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch.nn import functional

from neurosim.errors import ExperimentError
from neurosim.readout.base import Array, Layers, ProbabilityMixin, Samples, Trained, activate, forward, unit
from neurosim.readout.config import Activation, Head, Scaling, Schedule
from neurosim.readout.network import NetworkReadout, cross_entropy, project

COLUMNS_PER_OUTPUT = 2  # a weight is a pair of cells on adjacent bit lines
# Softmax does best on a linear projection, whose few outputs keep their sign. A margin for every class alone
# cannot be had in fewer dimensions than classes: it needs the ReLU.
ACTIVATIONS: dict[Head, Activation] = {"linear": "none", "svm": "relu", "hyperspherical": "normalise"}


class _ProjectionReadout(NetworkReadout):
    """Scores V f(P z + p) + v: projection P (width, n_features), one row of V for every class.

    f is the head's activation. With the head ``hyperspherical`` the rows of V have the length ``scale`` and v
    is 0, so that the scores are scaled cosines.
    """

    width: int
    scale: float
    head: Head

    @property
    def activation(self) -> Activation:
        """What stands between the projection and the class vectors."""
        return ACTIVATIONS[self.head]

    def _widths(self) -> tuple[int, ...]:
        """First outputs of the projection that are trained to work alone, rising."""
        return (self.width,)

    def _start(
        self, n_features: int, copies: int, random: torch.Generator, dtype: torch.dtype
    ) -> list[Tensor]:
        shapes = (self.width, n_features), (len(self.classes_), self.width)
        # all classes start equal, except where their vectors need a direction
        spread = math.sqrt(2 / n_features), (self.head == "hyperspherical") / math.sqrt(self.width)
        weights = [
            torch.empty(shape, dtype=dtype, device=random.device).normal_(0, sigma, generator=random)
            for shape, sigma in zip(shapes, spread, strict=True)
        ]
        biases = [torch.zeros(n, dtype=dtype, device=random.device) for n, _ in shapes]
        used = biases[:1] if self.head == "hyperspherical" else biases
        return [p.expand(copies, *p.shape).clone() for p in (*weights, *used)]

    def _logits(self, parameters: list[Tensor], z: Tensor, random: torch.Generator | None = None) -> Tensor:
        return self._scores_of(parameters, project(z, parameters[0], parameters[2]), self.width)

    def _scores_of(self, parameters: list[Tensor], projected: Tensor, width: int) -> Tensor:
        """Class scores from the first ``width`` outputs of the projection."""
        projected, vectors = projected[..., :width], parameters[1][..., :width]
        if self.head == "hyperspherical":
            cosines: Tensor = (
                functional.normalize(projected, dim=-1) @ functional.normalize(vectors, dim=-1).mT
            )
            return self.scale * cosines
        if self.activation == "relu":
            projected = functional.relu(projected)
        return projected @ vectors.mT + parameters[3][:, None, :]

    def _loss(self, parameters: list[Tensor], z: Tensor, y: Tensor, random: torch.Generator | None) -> Tensor:
        projected = project(z, parameters[0], parameters[2])
        losses = []
        for width in self._widths():
            scores = self._scores_of(parameters, projected, width)
            if self.head == "svm":
                target = 2 * functional.one_hot(y, len(self.classes_)) - 1
                losses.append(functional.relu(1 - target * scores).square().sum())
            else:
                losses.append(cross_entropy(scores, y, self.label_smoothing))
        return torch.stack(losses).sum() / len(losses)

    def _layers(self, arrays: list[Array]) -> Layers:
        weight, vectors, bias, *rest = arrays
        last = rest[0] if rest else np.zeros_like(vectors[:, 0])
        return self._narrow([(weight.T, bias), (vectors.T, last)], self.width)

    def _narrow(self, layers: Layers, width: int) -> Layers:
        """The layers whose projection has only its first ``width`` outputs."""
        (weight, bias), (vectors, last) = layers
        vectors = vectors[:width]
        if self.head == "hyperspherical":
            vectors = self.scale * unit(vectors.T).T
        return [(weight[:, :width], bias[:width]), (vectors, last)]

    def project(self, X: Any) -> Array:
        """Projections (n, width) of states, behind the activation: of length 1 if it is ``normalise``."""
        check_is_fitted(self)
        X = self._checked(X)
        return activate(forward(self.layers_[:1], self.scaling_(X)), self.activation)


class HypersphericalReadout(_ProjectionReadout):
    """Softmax of scaled cosines between a projection of the states and one vector for every class.

    p = softmax(scale cos(P z + p, v_c)). A class that training did not know is one vector more, the mean
    direction of a few of its recordings: nothing is trained again. Knobs as in ``ReadoutConfig``.

    Source: R. Pereira et al., arXiv:2102.03243.
    """

    head: Head = "hyperspherical"

    def __init__(
        self,
        *,
        width: int = 64,
        scale: float = 10.0,
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
        self.width = width
        self.scale = scale
        self.weight_decay = weight_decay
        self.scaling = scaling
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.label_smoothing = label_smoothing
        self.random_state = random_state

    def add_class(self, X: Any, label: Any) -> Self:
        """Store a new class as one vector: the mean direction of the projections of its states ``X``.

        On a chip this writes one column of the layer behind the projection. ``classes_`` grows at its end.

        Raises:
            ExperimentError: If the label is known already, or text where the others are numbers, or the
                reverse.
        """
        projected = self.project(X)
        kinds = {np.asarray(labels).dtype.kind in "US" for labels in (label, self.classes_)}
        if len(kinds) > 1 and self.classes_.dtype != object:  # NumPy would turn all labels into text
            raise ExperimentError(
                f"class {label!r} and those known already ({', '.join(map(repr, self.classes_.tolist()))}) "
                "are text and numbers; take a label of their type"
            )
        if label in self.classes_.tolist():
            raise ExperimentError(
                f"class {label} is known already, as are {', '.join(map(str, self.classes_))}; "
                "take a new label"
            )
        projection, (vectors, last) = self.layers_
        vector = self.scale * unit(projected.mean(axis=0))
        stored = np.concatenate([vectors, vector[:, None].astype(vectors.dtype)], axis=1)
        self.layers_ = [projection, (stored, np.append(last, last.dtype.type(0)))]
        self.classes_ = np.append(self.classes_, label)
        return self


class NestedReadout(_ProjectionReadout):
    """A projection whose first 8, 16, 32, ... outputs work alone, so that its width is chosen after training.

    The loss is the mean over the widths of that of the head on the first outputs; all widths share the
    projection and the class vectors. Outputs stand in the order of their importance, so that a macro with few
    free columns, or with dead ones, takes the first. Knobs as in ``ReadoutConfig``.

    Attributes:
        layers_: Layers of the width in use, ``chosen_["width"]``.
        nested_layers_: Layers of the whole width.
        accuracy_of_width_: Accuracy on the validation samples of every width.

    Source: A. Kusupati et al., arXiv:2205.13147 (the variant with one weight matrix, MRL-E).
    """

    def __init__(
        self,
        *,
        head: Head = "linear",
        width: int = 64,
        scale: float = 10.0,
        columns: int | None = None,
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
        self.head = head
        self.width = width
        self.scale = scale
        self.columns = columns
        self.weight_decay = weight_decay
        self.scaling = scaling
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.label_smoothing = label_smoothing
        self.random_state = random_state

    def _widths(self) -> tuple[int, ...]:
        n = max(0, math.ceil(math.log2(self.width / 8)))
        return *(8 << i for i in range(n)), self.width

    def _train(self, train: Samples, validation: Samples) -> Trained:
        width = self.width if self.columns is None else self._fitting(self.columns)
        self.nested_layers_, chosen, _ = super()._train(train, validation)
        self.accuracy_of_width_ = {}
        for one in self._widths():
            layers = self._narrow(self.nested_layers_, one)
            right = sum(
                int((forward(layers, z, self.activation).argmax(axis=1) == y).sum())
                for z, y in validation.blocks()
            )
            self.accuracy_of_width_[one] = right / len(validation)
        layers = self._narrow(self.nested_layers_, width)
        return Trained(layers, chosen | {"width": width}, self.accuracy_of_width_[width])

    def _fitting(self, columns: int) -> int:
        """The largest width that fits into so many bit lines."""
        fitting = [width for width in self._widths() if COLUMNS_PER_OUTPUT * width <= columns]
        if not fitting:
            raise ExperimentError(
                f"columns (={columns}) hold none of the widths {', '.join(map(str, self._widths()))}, "
                f"{COLUMNS_PER_OUTPUT} an output; give at least {COLUMNS_PER_OUTPUT * self._widths()[0]}"
            )
        return fitting[-1]

    def narrowed(self, columns: int) -> Self:
        """The same readout on the first outputs of its projection, as many as fit into ``columns`` bit lines.

        Raises:
            ExperimentError: If not even the first width fits.
        """
        check_is_fitted(self)
        width = self._fitting(columns)
        narrow = copy(self)
        narrow.layers_ = self._narrow(self.nested_layers_, width)
        narrow.chosen_ = self.chosen_ | {"width": width}
        narrow.validation_accuracy_ = self.accuracy_of_width_[width]
        return narrow

    @available_if(lambda self: self.head != "svm")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Class probabilities (n, n_classes); the head ``svm`` has none."""
        return ProbabilityMixin.predict_proba(self, X)

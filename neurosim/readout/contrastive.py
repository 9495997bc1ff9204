"""Two projections into one space, in which recordings of two senses lie near if they mean the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.special import erf
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_is_fitted

from neurosim.config import StrictModel
from neurosim.errors import ExperimentError, ShapeError
from neurosim.readout.base import BLOCK, STATE_TYPES, StateScaling
from neurosim.readout.config import Scaling, Schedule
from neurosim.readout.retrieval import Retrieval, nearest, score_retrieval

Array = npt.NDArray[Any]
Loss = Literal["clip", "infonce", "supervised", "hinge", "hinge_hard"]
Pairing = Literal["redrawn", "fixed"]
Similarity = Literal["cosine", "dot"]


class ContrastiveConfig(StrictModel):
    """Two projections that are trained on pairs of recordings of two senses.

    Attributes:
        loss: ``clip`` (soft targets from the similarities within each sense, the choice of Lin et al.),
            ``infonce`` (a pair against all others of the batch), ``supervised`` (all of the same class are
            pairs), ``hinge`` (pairwise ranking with a margin, summed over the negatives) or ``hinge_hard``
            (the hardest negative alone); the last two never take the same class as a negative.
        width: Dimensions of the common space.
        activation: What follows the first linear layer.
        residual: Whether a second linear layer, added to its own input, follows it.
        layer_norm: Whether embeddings are normalised over their dimensions, with a trained gain and offset.
        dropout: Share of the last linear layer's outputs that is silenced in a training step [1].
        similarity: ``cosine``, or ``dot`` (raw dot product), in training and in retrieval.
        temperature: What similarities are divided by [1].
        margin: By how much a pair must win over a negative (``hinge``) [1].
        pairing: Partners of the same class ``redrawn`` at every epoch, or ``fixed``: first with first.
        scaling: Of the states, see ``ReadoutConfig``.
        learning_rate: AdamW's rate at the start.
        weight_decay: AdamW's decoupled decay [1].
        schedule: ``cosine`` falls to zero over ``epochs``; ``constant`` stays.
        epochs: Most passes over the pairs.
        patience: Passes without a better validation score after which training stops.
        batch_size: Pairs per step.
    """

    loss: Loss = "supervised"
    width: int = Field(64, ge=1, le=4096)
    activation: Literal["gelu", "none"] = "gelu"
    residual: bool = False
    layer_norm: bool = False
    dropout: float = Field(0.0, ge=0, lt=1)
    similarity: Similarity = "cosine"
    temperature: float = Field(0.1, ge=1e-4, le=1e4)
    margin: float = Field(0.2, ge=0, le=1e4)
    pairing: Pairing = "redrawn"
    scaling: Scaling = "sqrt"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    schedule: Schedule = "constant"
    epochs: int = Field(60, ge=1)
    patience: int = Field(15, ge=1)
    batch_size: int = Field(128, ge=2)


@dataclass(frozen=True, eq=False)
class Projection:
    """One sense's way into the common space.

        h = f(W1 z + b1)      z: scaled states, f: GELU or nothing
        e = h + W2 h + b2     if residual
        e = gain (e - mean) / sqrt(var + 1e-5) + offset     over the dimensions, if layer_norm

    Attributes:
        scaling: Of the states.
        gelu: Whether f is the GELU.
        weights: ``w1`` (n_features, width), ``b1`` (width,) and, where they are, ``w2``, ``b2``, ``gain``,
            ``offset``.
        unit: Whether embeddings are divided by their length.
    """

    scaling: StateScaling
    gelu: bool
    weights: dict[str, Array]
    unit: bool

    def __call__(self, x: Array) -> Array:
        """Embeddings (n, width) of states (n, n_features)."""
        return np.concatenate([self._embed(x[i : i + BLOCK]) for i in range(0, max(len(x), 1), BLOCK)])

    def _embed(self, x: Array) -> Array:
        w = self.weights
        e = self.scaling(x) @ w["w1"] + w["b1"]
        if self.gelu:
            e = e * (1 + erf(e / np.sqrt(2, dtype=e.dtype))) / 2
        if "w2" in w:
            e = e + e @ w["w2"] + w["b2"]
        if "gain" in w:
            centred = e - e.mean(axis=1, keepdims=True)
            e = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5) * w["gain"] + w["offset"]
        if self.unit:
            e = e / np.maximum(np.linalg.norm(e, axis=1, keepdims=True), 1e-12)
        return e

    @property
    def n_weights(self) -> int:
        """Multiplications of one embedding: entries of its matrices."""
        return sum(w.size for w in self.weights.values() if w.ndim == 2)


@dataclass(frozen=True, eq=False)
class Recordings:
    """States (n, n_features) of recordings of one sense and their class codes (n,)."""

    x: Array
    y: npt.NDArray[np.int64]

    def of(self, classes: npt.ArrayLike) -> Self:
        """Those of some classes."""
        chosen = np.isin(self.y, classes)
        return type(self)(self.x[chosen], self.y[chosen])


class ContrastiveReadout(BaseEstimator):  # type: ignore[misc]
    """Projections of two senses, a (the queries) and b (the targets), trained contrastively.

    Training uses torch, retrieval is NumPy. ``config`` None takes the defaults; ``random_state`` is the seed
    of first weights, pairs and dropout.

    Attributes:
        a_, b_: The two projections.
        chosen_: What validation chose.
        validation_score_: Recall at 1 on the validation recordings, a looks for b [1].
    """

    def __init__(self, config: ContrastiveConfig | None = None, *, random_state: int = 0) -> None:
        self.config = config
        self.random_state = random_state

    def fit(
        self,
        states_a: Any,
        states_b: Any,
        labels: Any,
        labels_b: Any = None,
        *,
        validation: tuple[Any, Any, Any, Any] | None = None,
    ) -> Self:
        """Train both projections.

        Args:
            states_a: States of one sense, (n_a, n_features_a).
            states_b: Of the other, (n_b, n_features_b).
            labels: Class of every row of ``states_a``.
            labels_b: Class of every row of ``states_b``; without them row i of both is a pair.
            validation: ``(states_a, states_b, labels_a, labels_b)`` that choose the epoch; None takes the
                training recordings.

        Raises:
            ExperimentError: If there is only one class, or one that only one sense has.
            ShapeError: If states and labels differ in number.
        """
        from neurosim.readout.contrastive_training import Task, train_side_by_side

        config = self.config or ContrastiveConfig()
        sides, names = _checked(states_a, states_b, labels, labels if labels_b is None else labels_b)
        held = sides
        if validation is not None:
            held, known = _checked(*validation)
            if unknown := sorted(set(known.tolist()) - set(names.tolist())):
                raise ExperimentError(
                    f"validation label {unknown[0]} does not occur in the training labels; leave it out"
                )
            codes = np.searchsorted(names, known).astype(np.int64)
            held = Recordings(held[0].x, codes[held[0].y]), Recordings(held[1].x, codes[held[1].y])
        task = Task(np.arange(len(names)), self.random_state, rows=labels_b is None)
        (trained,) = train_side_by_side(config, sides, held, [task])
        self.a_, self.b_ = trained.a, trained.b
        self.chosen_, self.validation_score_ = {"epochs": trained.epoch}, trained.validation_score
        self.classes_ = names
        return self

    def transform_a(self, states: Any) -> Array:
        """Embeddings (n, width) of recordings of the first sense."""
        check_is_fitted(self)
        return self.a_(check_array(states, dtype=STATE_TYPES))

    def transform_b(self, states: Any) -> Array:
        """Embeddings (n, width) of recordings of the second sense."""
        check_is_fitted(self)
        return self.b_(check_array(states, dtype=STATE_TYPES))

    def similarity(self, states_a: Any, states_b: Any) -> Array:
        """Similarity of every recording of a with every one of b, (n_a, n_b)."""
        product: Array = self.transform_a(states_a) @ self.transform_b(states_b).T
        return product

    def retrieve(self, states_a: Any, states_b: Any) -> npt.NDArray[np.int64]:
        """Number of the nearest recording of b for each one of a, (n_a,)."""
        return nearest(self.similarity(states_a, states_b))

    def evaluate(self, states_a: Any, states_b: Any, labels_a: Any, labels_b: Any) -> dict[str, Retrieval]:
        """Recall and precision of both ways, ``a_to_b`` and ``b_to_a``."""
        similarity = self.similarity(states_a, states_b)
        _, codes = np.unique(np.concatenate([labels_a, labels_b]), return_inverse=True)
        a, b = codes[: len(labels_a)].astype(np.int64), codes[len(labels_a) :].astype(np.int64)
        return {"a_to_b": score_retrieval(similarity, a, b), "b_to_a": score_retrieval(similarity.T, b, a)}

    def score(self, states_a: Any, states_b: Any, labels_a: Any, labels_b: Any) -> float:
        """Share of the recordings of a whose nearest one of b is of their class."""
        return self.evaluate(states_a, states_b, labels_a, labels_b)["a_to_b"].recall_1

    def arrays(self) -> dict[str, Array]:
        """Everything that is trained or fitted, as plain arrays: ``a.w1``, ``a.b1``, ``a.mean``, ..."""
        check_is_fitted(self)
        sides = {"a": self.a_, "b": self.b_}
        return {
            f"{name}.{key}": array
            for name, side in sides.items()
            for key, array in {
                **side.weights,
                "mean": side.scaling.mean,
                "scale": side.scaling.scale,
            }.items()
        }


@dataclass(frozen=True, eq=False)
class Trained:
    """Two projections as validation chose them.

    Attributes:
        a, b: The projections.
        epoch: Epoch that validation chose, from 1.
        epochs: Epochs that were trained until patience ran out.
        validation_score: Recall at 1 on the validation recordings, a looks for b [1].
    """

    a: Projection
    b: Projection
    epoch: int
    epochs: int
    validation_score: float

    def similarity(self, a: Array, b: Array) -> Array:
        """Similarity of states of a and of b, (n_a, n_b)."""
        product: Array = self.a(a) @ self.b(b).T
        return product


# called after every epoch with its number, from 1, and the projections as they then are
OnEpoch = Callable[[int, Sequence[tuple[Projection, Projection]]], None]


def _checked(
    states_a: Any, states_b: Any, labels_a: Any, labels_b: Any
) -> tuple[tuple[Recordings, Recordings], Array]:
    """Both senses with class codes, and the class names that the codes stand for."""
    x = [check_array(states, dtype=STATE_TYPES) for states in (states_a, states_b)]
    y = [np.asarray(labels) for labels in (labels_a, labels_b)]
    for name, states, labels in zip("ab", x, y, strict=True):
        if labels.shape != (len(states),):
            raise ShapeError(
                f"sense {name}: {len(states)} states and labels of shape {labels.shape}; give one label each"
            )
    names = np.unique(np.concatenate(y))
    if alone := sorted(set(y[0].tolist()) ^ set(y[1].tolist())):
        raise ExperimentError(f"class {alone[0]} occurs in one sense only; leave its recordings out")
    if len(names) < 2:
        raise ExperimentError(f"all labels are of one class ({names[0]}); contrast needs at least two")
    a, b = (Recordings(s, np.searchsorted(names, c).astype(np.int64)) for s, c in zip(x, y, strict=True))
    return (a, b), names

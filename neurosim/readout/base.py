"""What every readout shares: scaling of the states, the validation part, and prediction."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from neurosim.errors import ExperimentError
from neurosim.readout.config import Activation, Scaling
from neurosim.split import hold_out

Array = npt.NDArray[Any]
Layers = list[tuple[Array, Array]]  # weights (n_in, n_out) and biases (n_out,)

SCALED_BYTES = 1 << 28  # of scaled states that training by descent may keep
BLOCK = 2048  # recordings scaled at a time: the states are never copied as a whole
# States keep these types; any other is converted to the first one.
STATE_TYPES = [np.float32, np.float64, np.uint8, np.uint16]


@dataclass(frozen=True, eq=False)
class StateScaling:
    """Map z = (f(x) - mean) / scale with f the square root or the identity.

    Attributes:
        root: Whether f is the square root.
        mean: (n_features,), float64 if the training states were, else float32; so is z.
        scale: (n_features,) of the same type; 1 where a feature does not vary.
    """

    root: bool
    mean: Array
    scale: Array

    def __call__(self, x: Array) -> Array:
        """Scaled copy of ``x``."""
        z = _transform(x, self.mean.dtype, self.root)
        z -= self.mean
        z /= self.scale
        return z


def fit_scaling(x: Array, rows: npt.NDArray[np.int64], kind: Scaling) -> StateScaling:
    """Mean and standard deviation of the (root of the) rows in one pass, accumulated in float64."""
    dtype = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
    if kind == "none":
        return StateScaling(False, np.zeros(x.shape[1], dtype), np.ones(x.shape[1], dtype))
    root = kind == "sqrt"
    scaler = StandardScaler(copy=False)
    for i in range(0, len(rows), BLOCK):
        scaler.partial_fit(_transform(x[rows[i : i + BLOCK]], dtype, root))
    return StateScaling(root, scaler.mean_.astype(dtype), scaler.scale_.astype(dtype))


def _transform(x: Array, dtype: np.dtype[Any], root: bool) -> Array:
    """``x`` or its root as a new array of ``dtype``."""
    z = x.astype(dtype)
    if root:
        try:
            with np.errstate(invalid="raise"):
                np.sqrt(z, out=z)
        except FloatingPointError:
            problem = f"scaling 'sqrt' needs states >= 0, got {x.min()}; use scaling 'standard'"
            raise ExperimentError(problem) from None
    return z


@dataclass(frozen=True, eq=False)
class Samples:
    """Some rows of a state matrix, scaled only as they are read.

    Attributes:
        x: States (n_all, n_features) of any of STATE_TYPES.
        y: int64 (n,), class codes of the rows.
        rows: int64 (n,), the rows of ``x`` that belong to it.
        scaling: Applied to what is read.
        scaled: The rows, already scaled, or None.
    """

    x: Array
    y: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    scaling: StateScaling
    scaled: Array | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def at_hand(self) -> Self:
        """The same samples for many epochs: scaled once, where that takes little memory."""
        if len(self) * self.x.shape[1] * self.scaling.mean.itemsize > SCALED_BYTES:
            return self
        return replace(self, scaled=self.scaling(self.x[self.rows]))

    def take(self, which: slice | npt.NDArray[np.int64]) -> tuple[Array, npt.NDArray[np.int64]]:
        """Scaled states and class codes of some of the rows."""
        if self.scaled is not None:
            return self.scaled[which], self.y[which]
        return self.scaling(self.x[self.rows[which]]), self.y[which]

    def blocks(self) -> Iterator[tuple[Array, npt.NDArray[np.int64]]]:
        """All rows in order, block by block."""
        return (self.take(slice(i, i + BLOCK)) for i in range(0, len(self), BLOCK))


class Trained(NamedTuple):
    """What training leaves: the layers, what validation chose, and the accuracy it reached there."""

    layers: Layers
    chosen: dict[str, float]
    validation_accuracy: float


def unit(z: Array) -> Array:
    """Rows, or a vector, divided by their length; zero stays zero."""
    rows: Array = z / np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), 1e-12)
    return rows.astype(z.dtype, copy=False)


def activate(z: Array, kind: Activation) -> Array:
    """What the next layer multiplies."""
    match kind:
        case "relu":
            return np.maximum(z, 0)
        case "normalise":
            return unit(z)
        case "none":
            return z


def forward(layers: Layers, z: Array, activation: Activation = "relu") -> Array:
    """Class scores (n, n_classes) of scaled states: affine layers with an activation between them."""
    for i, (weight, bias) in enumerate(layers):
        z = (activate(z, activation) if i else z) @ weight + bias
    return z


def choose(candidates: Sequence[float], solve: Callable[[float], Layers], validation: Samples) -> Trained:
    """The candidate weight decay that answers most validation samples rightly; the first of equals."""

    def trained(decay: float) -> Trained:
        layers = solve(decay)
        right = sum(int((forward(layers, z).argmax(axis=1) == y).sum()) for z, y in validation.blocks())
        return Trained(layers, {"weight_decay": float(decay)}, right / len(validation))

    return max(map(trained, candidates), key=lambda one: one.validation_accuracy)


class Readout(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """Classifier of liquid states: scaling, then affine layers with an activation between them.

    Training may use torch; prediction is NumPy. Both compute in float64 if the training states were
    float64, else in float32.

    Attributes:
        activation: What stands between the layers: ``relu``, ``none``, or ``normalise`` (division by the
            length of the vector).
        classes_: (n_classes,), the labels, sorted.
        n_features_in_: Number of features.
        scaling_: StateScaling fitted on the training states.
        layers_: Weights (n_in, n_out) and biases (n_out,) of every layer, acting on scaled states.
        chosen_: What validation chose.
        validation_accuracy_: Accuracy on the validation samples.
    """

    weight_decay: Sequence[float]
    scaling: Scaling
    random_state: int

    @property
    def activation(self) -> Activation:
        """What stands between the layers."""
        return "relu"

    @abstractmethod
    def _train(self, train: Samples, validation: Samples) -> Trained:
        """Layers that fit ``train``; ``validation`` chooses among them."""

    def fit(self, X: Any, y: Any, validation: tuple[Any, Any] | None = None) -> Self:
        """Train on states ``X`` (n, n_features) and labels ``y`` (n,).

        Args:
            X: States, best as uint8, uint16 or float32; they are not copied as a whole.
            y: Labels.
            validation: States and labels that choose the weight decay and the epoch. Without it a
                stratified tenth of the training samples is held out for this, or, where that is less
                than one per class, all training samples are used for both.

        Raises:
            ExperimentError: If there is only one class, no candidate weight decay, or a validation label
                that training has not.
        """
        if not len(self.weight_decay):
            raise ExperimentError("weight_decay is empty; give at least one candidate")
        X, y = validate_data(self, X, y, dtype=STATE_TYPES)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ExperimentError(
                f"all {len(y)} training labels are of one class ({self.classes_[0]}); "
                "a classifier needs at least two: check the data part's classes"
            )
        rows = np.arange(len(y))
        if validation is not None:
            held_x, held_codes = self._check_validation(*validation)
            held_rows = np.arange(len(held_codes))
        else:
            held_x = X
            rows, held_rows = hold_out(codes, len(self.classes_), self.random_state)
            held_codes = codes[held_rows]
        self.scaling_ = self._fit_scaling(X, rows)
        trained = self._train(
            Samples(X, codes[rows], rows, self.scaling_),
            Samples(held_x, held_codes, held_rows, self.scaling_),
        )
        self.layers_, self.chosen_, self.validation_accuracy_ = trained
        return self

    def _fit_scaling(self, x: Array, rows: npt.NDArray[np.int64]) -> StateScaling:
        return fit_scaling(x, rows, self.scaling)

    def _check_validation(self, X: Any, y: Any) -> tuple[Array, npt.NDArray[np.int64]]:
        X, y = validate_data(self, X, y, dtype=STATE_TYPES, reset=False)
        if unknown := sorted(set(y.tolist()) - set(self.classes_.tolist())):
            raise ExperimentError(
                f"validation label {unknown[0]} does not occur in the training labels; "
                f"allowed: {', '.join(map(str, self.classes_))}"
            )
        return X, np.searchsorted(self.classes_, y)

    def _scores(self, X: Any) -> Array:
        """Class scores (n, n_classes)."""
        check_is_fitted(self)
        X = self._checked(X)
        parts = range(0, len(X), BLOCK)
        return np.concatenate([self._forward(self.scaling_(X[i : i + BLOCK]), i) for i in parts])

    def _checked(self, X: Any) -> Array:
        """States (n, n_features) of one of STATE_TYPES."""
        x: Array = validate_data(self, X, dtype=STATE_TYPES, reset=False)
        return x

    def _forward(self, z: Array, first: int) -> Array:
        """Class scores of scaled states, of which the first has the number ``first``."""
        for i, (weight, bias) in enumerate(self.layers_):
            z = self._input(z, i) @ weight + bias
        return z

    def _input(self, z: Array, i: int) -> Array:
        """What layer ``i`` multiplies, of the scaled states or of what the layer before it gave."""
        return activate(z, self.activation) if i else z

    def decision_function(self, X: Any) -> Array:
        """Class scores (n, n_classes); for two classes, as in scikit-learn, their difference (n,)."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> Array:
        """Labels (n,) of states (n, n_features)."""
        best = self._scores(X).argmax(axis=1)
        labels: Array = self.classes_[best]
        return labels


class ProbabilityMixin:
    """Adds the probabilities of a readout whose scores are logits."""

    def predict_proba(self: Any, X: Any) -> Array:
        """Class probabilities (n, n_classes)."""
        probabilities: Array = softmax(self._scores(X), axis=1)
        return probabilities

"""The contract of a baseline: a scikit-learn classifier made from a config, with a card of facts.

    model = make_baseline("cnn", {"training": {"epochs": 3}}, seed=0)
    model.fit(images, labels, validation=(more_images, more_labels)).predict(test_images)

Inputs are arrays of samples: grey images (n, height, width), images (n, channel, height, width), event frames
(n, time, channel) or (n, time, polarity, height, width), or vectors such as liquid states (n, features).
Each baseline takes what it can read and says what it cannot.
"""

import math
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from neurosim import store
from neurosim.baselines.training import (
    Data,
    Epoch,
    Progress,
    TrainingConfig,
    best_epoch,
    device,
    outputs,
    seeded,
    train,
)
from neurosim.config import StrictModel, fingerprint
from neurosim.errors import BaselineError
from neurosim.split import hold_out

Array = npt.NDArray[Any]
Kind = Literal["image", "sequence", "vector"]


@dataclass(frozen=True)
class Facts:
    """Card of a baseline.

    Attributes:
        title: One line for lists.
        paper: Authors, title, year.
        source: DOI or arXiv number, and public code that was read.
        headline: What the paper reports.
        reproduced: What is built and trained here as there.
        differs: What is not, and why.
    """

    title: str
    paper: str
    source: str
    headline: str
    reproduced: str
    differs: str


@dataclass(frozen=True)
class Operations:
    """Work of one inference.

    Attributes:
        macs: Multiply-accumulates of the classical parts.
        circuits: Quantum circuits that are run.
        gates: Gates by name, of all of them together.
        depth: Time steps of the deepest circuit.
        shots: Measurements of all circuits together; 0: exact expectations, which no device gives.
        kept: Share of these measurements that count; in the others a photon is lost [1].
        photons: Photons of the largest circuit; 0: its circuits are of qubits.
    """

    macs: int
    circuits: int = 0
    gates: dict[str, int] = field(default_factory=dict)
    depth: int = 0
    shots: int = 0
    kept: float = 1.0
    photons: int = 0


class BaselineConfig(StrictModel):
    """What a baseline may be told; each adds its own keys."""


class NetworkConfig(BaselineConfig):
    """A baseline that is trained by gradient descent.

    Attributes:
        training: The recipe.
    """

    training: TrainingConfig = TrainingConfig()


class Baseline(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """Base of all baselines.

    Args:
        config: An instance of the class's ``Config``; None: its defaults.
        random_state: Seed of every draw.
    """

    name: ClassVar[str]
    facts: ClassVar[Facts]
    Config: ClassVar[type[BaselineConfig]] = BaselineConfig
    kind: ClassVar[Kind] = "vector"
    # what a search varies: key, and the ends between which its logarithm is spread; whole numbers if both are
    tuned: ClassVar[tuple[tuple[str, float, float], ...]] = ()

    def __init__(self, config: Any = None, *, random_state: int = 0) -> None:
        self.config = config
        self.random_state = random_state

    @property
    def settings(self) -> Any:
        """The config in force."""
        if self.config is not None and not isinstance(self.config, self.Config):
            raise BaselineError(
                f"{self.name}: config is a {type(self.config).__name__}, expected {self.Config.__name__}"
            )
        return self.config or self.Config()

    def fit(
        self,
        X: Any,
        y: Any,
        validation: tuple[Any, Any] | None = None,
        *,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train on samples X and labels y (n,).

        Args:
            X: Samples (see the module).
            y: Labels.
            validation: Samples and labels that choose the epoch or a knob; None: a stratified tenth of X.
            checkpoint: Folder in which an interrupted training is kept and from which it goes on.
            progress: Called with a name, what is done and what there is to do.

        Raises:
            BaselineError: If the samples do not fit the baseline or the labels.
        """
        x = self._samples(X)
        labels = np.asarray(y)
        if labels.shape != (len(x),):
            raise BaselineError(f"{self.name}: labels of shape {labels.shape} for {len(x)} samples")
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise BaselineError(f"{self.name}: all labels are {self.classes_[0]}; give at least two classes")
        if validation is None:
            rows, held = hold_out(codes, len(self.classes_), self.random_state)
            held_x, held_codes = x[held], codes[held]
        else:
            rows = np.arange(len(x))
            held_x, held_labels = self._samples(validation[0]), np.asarray(validation[1])
            if unknown := sorted(set(held_labels.tolist()) - set(self.classes_.tolist())):
                raise BaselineError(f"{self.name}: validation label {unknown[0]} is not among the others")
            if held_x.shape[1:] != x.shape[1:] or held_labels.shape != (len(held_x),):
                raise BaselineError(
                    f"{self.name}: validation of shapes {held_x.shape} and {held_labels.shape} does not fit "
                    f"training samples of shape {x.shape[1:]}"
                )
            held_codes = np.searchsorted(self.classes_, held_labels)
        self.shape_ = x.shape[1:]
        x, codes = (x, codes) if len(rows) == len(x) else (x[rows], codes[rows])
        self._fit(x, codes, held_x, held_codes, checkpoint, progress)
        self.validation_accuracy_ = float((self._probabilities(held_x).argmax(1) == held_codes).mean())
        return self

    def predict_proba(self, X: Any) -> Array:
        """Class probabilities (n, n_classes)."""
        check_is_fitted(self)
        x = self._samples(X)
        if x.shape[1:] != self.shape_:
            raise BaselineError(
                f"{self.name}: samples of shape {x.shape[1:]}, but it was trained on {self.shape_}"
            )
        return self._probabilities(x)

    def predict(self, X: Any) -> Array:
        """Labels (n,)."""
        probabilities = self.predict_proba(X)
        labels: Array = self.classes_[probabilities.argmax(1)]
        return labels

    def require(self) -> Any:
        """Import what `fit` needs beyond the package's own dependencies.

        Raises:
            MissingExtraError: If it is not installed.
        """

    def _samples(self, X: Any) -> Array:
        return samples(X, self.kind, self.name)

    @abstractmethod
    def _fit(
        self,
        x: Array,
        y: Array,
        held_x: Array,
        held_y: Array,
        checkpoint: Path | None,
        progress: Progress | None,
    ) -> None:
        """Train on samples and class codes."""

    @abstractmethod
    def _probabilities(self, x: Array) -> Array:
        """(n, n_classes) of samples in the form of ``kind``."""

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """Trained numbers."""

    @abstractmethod
    def operations(self) -> Operations:
        """Work of one inference."""

    @classmethod
    def drawing(cls) -> str:
        """The circuit as text, if there is one."""
        return ""


class NetworkBaseline(Baseline):
    """A PyTorch network trained by the shared loop."""

    Config: ClassVar[type[BaselineConfig]] = NetworkConfig
    tuned: ClassVar[tuple[tuple[str, float, float], ...]] = (("training.learning_rate", 3e-4, 1e-2),)

    @abstractmethod
    def network(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """The untrained network for samples of ``shape``; its outputs are logits."""

    def _features(self, x: Tensor, progress: Progress | None) -> nn.Module | None:
        """A map that is learned without labels first and then stays; None: none."""
        return None

    def _fit(
        self,
        x: Array,
        y: Array,
        held_x: Array,
        held_y: Array,
        checkpoint: Path | None,
        progress: Progress | None,
    ) -> None:
        where, config = device(), self.settings.training
        parts = [_tensor(a, where) for a in (x, held_x)]
        codes = [torch.from_numpy(a.astype(np.int64)).to(where) for a in (y, held_y)]
        with seeded(self.random_state, f"baselines/{self.name}"):
            self.features_ = self._features(parts[0], progress)
            if self.features_ is not None:
                parts = [outputs(self.features_, part) for part in parts]
            self.network_shape_ = tuple(parts[0].shape[1:])  # of what it reads, behind the features
            self.network_ = self.network(self.network_shape_, len(self.classes_)).to(where)
            data, validation = (Data(a, b) for a, b in zip(parts, codes, strict=True))
            run = fingerprint(
                self.settings,
                self.random_state,
                self.name,
                where.type,
                [store.digest(part) for part in (x, y, held_x, held_y)],
            )
            self.history_: list[Epoch] = train(
                self.network_,
                data,
                validation,
                config,
                checkpoint=checkpoint,
                run=run,
                progress=progress,
                name=self.name,
            )
        self.best_epoch_ = best_epoch(self.history_) + 1

    def _probabilities(self, x: Array) -> Array:
        where = next(self.network_.parameters()).device
        part = _tensor(x, where)
        with seeded(self.random_state, f"baselines/{self.name}/predict"):
            if self.features_ is not None:
                part = outputs(self.features_, part)
            out = outputs(self.network_, part)
        return self._to_probabilities(out).cpu().numpy()

    def _to_probabilities(self, out: Tensor) -> Tensor:
        """Class probabilities of the network's outputs."""
        return torch.softmax(out, 1)

    @property
    def n_parameters(self) -> int:
        """Trained numbers."""
        check_is_fitted(self)
        return n_trained(self.network_) + (n_trained(self.features_) if self.features_ is not None else 0)

    @property
    def n_quantum_parameters(self) -> int:
        """Trained numbers of the quantum parts."""
        check_is_fitted(self)
        return n_quantum(self.network_)

    def operations(self) -> Operations:
        """Work of one inference, counted on one sample of zeros."""
        check_is_fitted(self)
        where = next(self.network_.parameters()).device
        sample = torch.zeros(1, *self.shape_, device=where)
        with seeded(self.random_state, "baselines/operations"):
            if self.features_ is None:
                return count_operations([self.network_], sample)
            return count_operations([self.features_, self.network_], sample)


def _tensor(x: Array, where: torch.device) -> Tensor:
    return torch.from_numpy(np.require(x, requirements=["C", "W"])).to(where)


def n_trained(net: nn.Module) -> int:
    """Numbers of a network that training changes."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def n_quantum(net: nn.Module) -> int:
    """Those of its modules that say ``quantum = True``."""
    parts = [part for part in net.modules() if getattr(part, "quantum", False)]
    return sum(p.numel() for part in parts for p in part.parameters(recurse=False) if p.requires_grad)


def count_operations(nets: list[nn.Module], sample: Tensor) -> Operations:
    """Work of networks one after another on one sample.

    A module with a method ``work(inputs, output)`` says its own; linear, convolutional and recurrent layers
    are counted by their definition; all others (normalisation, activations) count as nothing.
    """
    done: list[Operations] = []

    def hook(part: nn.Module, inputs: Any, output: Any) -> None:
        x = inputs[0] if inputs else None
        if hasattr(part, "work"):
            done.append(part.work(x, output))  # type: ignore[operator]
        elif isinstance(part, nn.Linear):
            done.append(Operations(output.numel() * part.in_features))
        elif isinstance(part, nn.Conv2d):
            done.append(Operations(output.numel() * part.weight[0].numel()))
        elif isinstance(part, nn.RNNBase):
            steps = inputs[0].numel() // inputs[0].shape[-1]
            done.append(Operations(steps * sum(w.numel() for w in part.parameters() if w.ndim == 2)))

    handles = [part.register_forward_hook(hook) for net in nets for part in net.modules()]
    try:
        for net in nets:
            net.eval()
            with torch.no_grad():
                sample = net(sample)
    finally:
        for handle in handles:
            handle.remove()
    gates: Counter[str] = Counter()
    for one in done:
        gates.update(one.gates)
    return Operations(
        sum(one.macs for one in done),
        sum(one.circuits for one in done),
        dict(sorted(gates.items())),
        max((one.depth for one in done), default=0),
        sum(one.shots for one in done),
        min((one.kept for one in done), default=1.0),
        max((one.photons for one in done), default=0),
    )


def samples(X: Any, kind: Kind, name: str) -> Array:
    """Samples in the form that a baseline reads: grey levels as uint8, all else as float32.

    uint8 in the form of images are grey levels, which are read as 0..1; in the form of vectors or sequences
    they are counts, which are read as they are.

    Args:
        X: Grey images (n, h, w), images (n, c, h, w), event frames (n, T, channel) or (n, T, p, h, w),
            vectors.
        kind: ``image``: (n, c, h, w), frames added up over time, vectors only of square grey images;
            ``sequence``: (n, T, features), images row by row; ``vector``: (n, features), frames with
            polarity added up over time, anything else laid out flat: (n, T, channel) cannot be told from
            grey images.
        name: Of the baseline, for messages.

    Raises:
        BaselineError: If X has another form or holds something that is no finite number.
    """
    x = np.asarray(X)
    if x.dtype.kind not in "biuf":
        raise BaselineError(f"{name}: samples of type {x.dtype}; give numbers")
    forms = {"image": (2, 3, 4), "vector": (3, 4), "sequence": (4,)}
    if x.dtype != np.uint8 or x.ndim not in forms[kind]:
        x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise BaselineError(f"{name}: samples hold {x[~np.isfinite(x)][0]}; give finite numbers")
    if len(x.shape) < 2 or 0 in x.shape:
        raise BaselineError(
            f"{name}: samples of shape {x.shape}; see neurosim.baselines.base for what is allowed"
        )
    if x.ndim == 5 and kind != "sequence":
        x = x.sum(1, dtype=np.float32)
    match kind, x.ndim:
        case "vector", _:
            return x.reshape(len(x), -1)
        case "image", 2:
            side = math.isqrt(x.shape[1])
            if side * side == x.shape[1]:
                return x.reshape(len(x), 1, side, side)
        case "image", 3:
            return x[:, None]
        case ("image", 4) | ("sequence", 3):
            return x
        case "sequence", 4:
            return np.moveaxis(x, 1, 2).reshape(len(x), x.shape[2], -1)
        case "sequence", 5:
            return x.reshape(*x.shape[:2], -1)
    raise BaselineError(
        f"{name}: samples of shape {x.shape} are no {kind}s; images: (n, h, w) or (n, c, h, w), "
        "sequences: (n, time, channel)"
    )

"""A classifier that says how far a recording is from those it was trained on."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from scipy.special import softmax
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from neurosim.errors import ExperimentError
from neurosim.readout.base import BLOCK, Array, Layers, Samples, Trained, activate, forward
from neurosim.readout.config import Ensemble, Scaling, Schedule
from neurosim.readout.network import NetworkReadout, cross_entropy, project

SCORES = ("distance", "reconstruction", "confidence")
RECONSTRUCTION = SCORES.index("reconstruction")


class Alarm(NamedTuple):
    """Whether a batch of recordings looks as if it came from another array, or from elsewhere.

    Attributes:
        raised: Whether ``p_value`` is below the level that was asked for.
        p_value: Probability of so high novelties if nothing had changed.
        novelty: Mean novelty of the batch; 0.5 if nothing has changed.
    """

    raised: bool
    p_value: float
    novelty: float


class SageReadout(NetworkReadout):
    """Classifier with an autoencoder on its hidden layer, whose novelty score rejects what is strange.

    e = relu(E z + a), class scores C e + c, reconstruction D e + d; the loss is the cross-entropy plus
    ``reconstruction`` times the mean squared error of the scaled states. The *novelty* of a recording is an
    ensemble of three scores: mean distance of e to its nearest training recordings, error of the
    reconstruction, and 1 minus the largest class probability. Each is turned into the share of validation
    recordings that score at least as high, or for the reconstruction as extremely in either direction: a
    liquid that has become quiet is reconstructed too well. These shares are joined by their ``ensemble``
    mean, and the result is ranked among the validation recordings once more, so that novelty is uniform in
    [0, 1] on recordings like them, and 1 is farther than all. Knobs as in ``ReadoutConfig``.

    Attributes:
        layers_: The classifier (E and C).
        decoder_: Weights (width, n_features) and bias of the reconstruction.
        calibration_: (n_validation, 3), sorted scores of the validation recordings.

    Source: E. Schreyer et al., arXiv:2502.16329; how the three are joined is our reading of its abstract, and
        the second direction ours.
    """

    def __init__(
        self,
        *,
        width: int = 32,
        reconstruction: float = 1.0,
        neighbours: int = 10,
        ensemble: Ensemble = "mean",
        weight_decay: Sequence[float] = (0.1,),
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
        self.reconstruction = reconstruction
        self.neighbours = neighbours
        self.ensemble = ensemble
        self.weight_decay = weight_decay
        self.scaling = scaling
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.label_smoothing = label_smoothing
        self.random_state = random_state

    def _start(
        self, n_features: int, copies: int, random: torch.Generator, dtype: torch.dtype
    ) -> list[Tensor]:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(copies, *shape, dtype=dtype, device=random.device)

        encoder = torch.empty(self.width, n_features, dtype=dtype, device=random.device)
        encoder.normal_(0, math.sqrt(2 / n_features), generator=random)
        return [
            encoder.expand(copies, -1, -1).clone(), zeros(len(self.classes_), self.width),
            zeros(n_features, self.width), zeros(self.width), zeros(len(self.classes_)), zeros(n_features),
        ]  # fmt: skip

    def _logits(self, parameters: list[Tensor], z: Tensor, random: torch.Generator | None = None) -> Tensor:
        return self._both(parameters, z)[0]

    def _both(self, parameters: list[Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
        """Class scores and the hidden layer behind them, (copies, batch, ...)."""
        encoder, head, _, a, c, _ = parameters
        hidden = project(z, encoder, a).relu()
        return hidden @ head.mT + c[:, None], hidden

    def _loss(self, parameters: list[Tensor], z: Tensor, y: Tensor, random: torch.Generator | None) -> Tensor:
        logits, hidden = self._both(parameters, z)
        error = hidden @ parameters[2].mT + parameters[5][:, None] - z
        return (
            cross_entropy(logits, y, self.label_smoothing)
            + self.reconstruction * error.square().mean(-1).sum()
        )

    def _layers(self, arrays: list[Array]) -> Layers:
        encoder, head, decoder, a, c, d = arrays
        self.decoder_ = decoder.T, d
        return [(encoder.T, a), (head.T, c)]

    def _train(self, train: Samples, validation: Samples) -> Trained:
        trained = super()._train(train, validation)
        self.layers_ = trained.layers
        hidden = np.concatenate([self._hidden(z) for z, _ in train.blocks()])
        self.neighbours_ = NearestNeighbors(n_neighbors=min(self.neighbours, len(hidden))).fit(hidden)
        self._calibrate(np.concatenate([self._raw(z) for z, _ in validation.blocks()]))
        return trained

    def _calibrate(self, scores: Array) -> None:
        """Keep what ordinary recordings score, (n, 3); each of them is joined as if it had not been there."""
        self.calibration_ = np.sort(scores, axis=0)
        self._ordinary = np.sort(self._join(scores, among=1))

    def _hidden(self, z: Array) -> Array:
        return activate(forward(self.layers_[:1], z), "relu")

    def _raw(self, z: Array) -> Array:
        """Distance, reconstruction error and lack of confidence (n, 3) of scaled states; high is strange."""
        hidden = self._hidden(z)
        weight, bias = self.decoder_
        distance = self.neighbours_.kneighbors(hidden)[0].mean(axis=1)
        error = np.square(hidden @ weight + bias - z, dtype=np.float64).mean(axis=1)
        head, last = self.layers_[1]
        doubt = 1 - softmax(hidden @ head + last, axis=1).max(axis=1)
        return np.stack([distance, error, doubt], axis=1)

    def _join(self, scores: Array, among: int = 0) -> Array:
        """Ensemble of the shares of validation recordings that are at least as strange; low is strange.

        ``among`` is 1 for these recordings themselves, each of which is compared with the others only.
        """
        n = len(self.calibration_) - among
        pairs = list(zip(self.calibration_.T, scores.T, strict=True))
        above = [n - np.searchsorted(known, score, side="left") for known, score in pairs]
        below = [np.searchsorted(known, score, side="right") - among for known, score in pairs]
        both = np.minimum(2 * np.minimum(above[RECONSTRUCTION], below[RECONSTRUCTION]), n)
        above[RECONSTRUCTION] = both
        shares = (1 + np.stack(above)) / (1 + n)
        joined: Array = shares.mean(axis=0) if self.ensemble == "mean" else stats.gmean(shares, axis=0)
        return joined

    def scores(self, X: Any) -> dict[str, Array]:
        """The three scores of every recording before they are calibrated, (n,) each; high is strange."""
        check_is_fitted(self)
        x = self._checked(X)
        parts = [self._raw(self.scaling_(x[i : i + BLOCK])) for i in range(0, len(x), BLOCK)]
        return dict(zip(SCORES, np.concatenate(parts).T, strict=True))

    def novelty(self, X: Any) -> Array:
        """How far recordings are from the training data, (n,) in [0, 1]; uniform on recordings like it."""
        return self._rank(self._join(np.stack(list(self.scores(X).values()), axis=1)))

    def _rank(self, joined: Array) -> Array:
        novelty: Array = 1 - np.searchsorted(self._ordinary, joined, side="right") / len(self._ordinary)
        return novelty

    def reject(self, X: Any, level: float = 0.05) -> npt.NDArray[np.bool_]:
        """Recordings (n,) that are too strange to answer; ``level`` is the share of ordinary ones among them.

        Raises:
            ExperimentError: If ``level`` is not between 0 and 1.
        """
        _check_level(level)
        return np.asarray(self.novelty(X) >= 1 - level)

    def alarm(self, X: Any, level: float = 0.01) -> Alarm:
        """Whether a batch of recordings is stranger than the validation ones, as on a drifted array.

        One-sided Mann-Whitney test of the joined shares against those of the validation recordings; the
        labels are not needed. ``level`` is how often it may be raised though nothing has changed, on average
        over validation parts.

        Raises:
            ExperimentError: If ``level`` is not between 0 and 1.
        """
        _check_level(level)
        joined = self._join(np.stack(list(self.scores(X).values()), axis=1))
        p = float(stats.mannwhitneyu(joined, self._ordinary, alternative="less").pvalue)
        return Alarm(p < level, p, float(self._rank(joined).mean()))

    def fit(self, X: Any, y: Any, validation: tuple[Any, Any] | None = None) -> Self:
        """Train on states and labels, and calibrate on the validation part; arguments as `Readout.fit`.

        Where no part is given and too few recordings are there to hold one out, novelty is calibrated on the
        training recordings themselves and then too high on others.
        """
        return super().fit(X, y, validation)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ExperimentError(f"level (={level}) must lie between 0 and 1, e.g. 0.05")

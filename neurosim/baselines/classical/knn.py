"""Nearest neighbours."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from neurosim.baselines.base import Array, Baseline, BaselineConfig, Facts, Operations
from neurosim.baselines.training import Progress


class KnnConfig(BaselineConfig):
    """Keys of ``knn``.

    Attributes:
        k: Candidates for the number of neighbours, of which validation chooses.
        weights: ``uniform``, or ``distance``: neighbours vote by the inverse of their distance.
    """

    k: tuple[int, ...] = Field((1, 3, 5, 9), min_length=1, strict=False)
    weights: str = Field("distance", pattern="^(uniform|distance)$")


class Knn(Baseline):
    """The nearest training samples in Euclidean distance vote."""

    name = "knn"
    Config: ClassVar[type[BaselineConfig]] = KnnConfig
    tuned = (("k", 1, 30),)
    facts = Facts(
        title="nearest neighbours",
        paper="the classical floor that learns nothing and keeps everything",
        source="scikit-learn's KNeighborsClassifier",
        headline="no published figure; about 97 % on the pixels of MNIST is common",
        reproduced="Euclidean distance on the inputs as they are; validation chooses k",
        differs="nothing is claimed by a paper. The training samples are what it stores: they count as "
        "parameters",
    )

    def _fit(
        self,
        x: Array,
        y: Array,
        held_x: Array,
        held_y: Array,
        checkpoint: Path | None,
        progress: Progress | None,
    ) -> None:
        from sklearn.neighbors import KNeighborsClassifier

        config = self.settings
        best = -1.0
        for i, k in enumerate(config.k):
            model = KNeighborsClassifier(min(k, len(x)), weights=config.weights)
            model.fit(x.astype(np.float32), y)
            score = model.score(held_x.astype(np.float32), held_y)
            if score > best:
                best, self.model_, self.k_ = score, model, k
            if progress:
                progress(self.name, i + 1, len(config.k))
        self.n_stored_ = x.size

    def _probabilities(self, x: Array) -> Array:
        probabilities: Array = self.model_.predict_proba(x.astype(np.float32))
        return probabilities

    @property
    def n_parameters(self) -> int:
        """Numbers of the training samples, which are all kept."""
        return int(self.n_stored_)

    def operations(self) -> Operations:
        """A distance to every training sample."""
        return Operations(int(self.n_stored_))

"""Logistic regression on event counts, or on any vector."""

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.exceptions import ConvergenceWarning

from neurosim.baselines.base import Array, Baseline, BaselineConfig, Facts, Operations
from neurosim.baselines.training import Progress


class LogisticConfig(BaselineConfig):
    """Keys of ``logistic``.

    Attributes:
        weight_decay: Candidates [1], of which validation chooses: factor of the squared weights beside the
            mean loss.
        max_iter: Iterations of L-BFGS.
    """

    weight_decay: tuple[float, ...] = Field((1e-4, 1e-3, 1e-2), min_length=1, strict=False)
    max_iter: int = Field(200, ge=1)


class Logistic(Baseline):
    """Softmax regression on standardised inputs."""

    name = "logistic"
    Config: ClassVar[type[BaselineConfig]] = LogisticConfig
    tuned = (("weight_decay", 1e-05, 0.1),)
    facts = Facts(
        title="softmax regression on counts",
        paper="the classical floor: what the inputs say without any hidden layer",
        source="scikit-learn's LogisticRegression",
        headline="no published figure; about 92 % on the pixels of MNIST is common",
        reproduced="event frames with polarity are added up over time; validation chooses the weight decay",
        differs="nothing is claimed by a paper",
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
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        config = self.settings
        best = -1.0
        for i, decay in enumerate(config.weight_decay):
            strength = 1 / (2 * len(x) * decay) if decay else np.inf
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=config.max_iter))
            _quietly_fit(model, x.astype(np.float32), y)
            score = model.score(held_x.astype(np.float32), held_y)
            if score > best:
                best, self.model_, self.weight_decay_ = score, model, decay
            if progress:
                progress(self.name, i + 1, len(config.weight_decay))

    def _probabilities(self, x: Array) -> Array:
        probabilities: Array = self.model_.predict_proba(x.astype(np.float32))
        return probabilities

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        last = self.model_[-1]
        return int(last.coef_.size + last.intercept_.size)

    def operations(self) -> Operations:
        """One product with the weights."""
        return Operations(int(self.model_[-1].coef_.size))


def _quietly_fit(model: Any, x: npt.NDArray[np.float32], y: Array) -> None:
    """Fit without the warning that L-BFGS has used all its iterations: validation judges the result."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)

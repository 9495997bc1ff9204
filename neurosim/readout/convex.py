"""Ridge and logistic readouts: convex problems, solved exactly for every candidate weight decay."""

from collections.abc import Sequence

import numpy as np
from scipy import linalg
from sklearn.linear_model import LogisticRegression

from neurosim.errors import ExperimentError
from neurosim.readout.base import Layers, ProbabilityMixin, Readout, Samples, Trained, choose
from neurosim.readout.config import Scaling


class RidgeReadout(Readout):
    """Least squares on labels coded as +-1, one column per class.

    Minimises mean((t - W z - b)^2) + weight_decay |W|^2: scikit-learn's ``RidgeClassifier`` with
    alpha = n * weight_decay, from one pass over the states for all candidates.
    """

    def __init__(
        self,
        *,
        weight_decay: Sequence[float] = (1.0, 0.1, 0.01, 0.001),
        scaling: Scaling = "standard",
        random_state: int = 0,
    ) -> None:
        self.weight_decay = weight_decay
        self.scaling = scaling
        self.random_state = random_state

    def _train(self, train: Samples, validation: Samples) -> Trained:
        n, n_features, n_classes = len(train), train.x.shape[1], len(self.classes_)
        gram = np.zeros((n_features, n_features))
        cross = np.zeros((n_features, n_classes))
        total = np.zeros(n_features)
        for z, y in train.blocks():
            gram += z.T @ z
            cross += z.T @ (2 * np.eye(n_classes, dtype=z.dtype)[y] - 1)
            total += z.sum(axis=0, dtype=np.float64)
        mean_z = total / n
        mean_t = 2 * np.bincount(train.y, minlength=n_classes) / n - 1
        gram -= n * np.outer(mean_z, mean_z)
        cross -= n * np.outer(mean_z, mean_t)

        def solve(decay: float) -> Layers:
            damped = gram.copy()
            damped.flat[:: n_features + 1] += n * decay
            try:
                factor = linalg.cho_factor(damped, overwrite_a=True, check_finite=False)
            except linalg.LinAlgError:
                problem = f"weight_decay {decay} is too small for these states; use e.g. 1e-3"
                raise ExperimentError(problem) from None
            weight = linalg.cho_solve(factor, cross)
            bias = mean_t - mean_z @ weight
            return [(weight.astype(z.dtype), bias.astype(z.dtype))]

        return choose(self.weight_decay, solve, validation)


class LogisticReadout(ProbabilityMixin, Readout):
    """scikit-learn's ``LogisticRegression`` (L-BFGS) with C = 1 / (n * weight_decay).

    Minimises mean(cross-entropy) + weight_decay / 2 |W|^2. Needs one float copy of the scaled states.
    """

    def __init__(
        self,
        *,
        weight_decay: Sequence[float] = (0.1, 0.01, 0.001, 0.0001),
        scaling: Scaling = "standard",
        random_state: int = 0,
    ) -> None:
        self.weight_decay = weight_decay
        self.scaling = scaling
        self.random_state = random_state

    def _train(self, train: Samples, validation: Samples) -> Trained:
        z, y = train.take(slice(None))
        model = LogisticRegression(max_iter=1000, warm_start=True)

        def solve(decay: float) -> Layers:
            model.set_params(C=1 / (len(train) * decay) if decay else np.inf).fit(z, y)
            weight, bias = model.coef_.T, model.intercept_
            if len(self.classes_) == 2:
                weight, bias = (np.stack([np.zeros_like(part), part], -1) for part in (weight[:, 0], bias[0]))
            return [(weight, bias)]

        return choose(self.weight_decay, solve, validation)

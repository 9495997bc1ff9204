"""Ridge, logistic and SVM readouts: convex problems, solved exactly for every candidate weight decay."""

from collections.abc import Sequence

import numpy as np
from scipy import linalg, optimize
from sklearn.linear_model import LogisticRegression

from neurosim.errors import ExperimentError
from neurosim.readout.base import Array, Layers, ProbabilityMixin, Readout, Samples, Trained, choose
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


class SVMReadout(Readout):
    """Linear support vector machine with squared hinge, one column per class against the rest.

    Minimises mean(sum over classes of max(0, 1 - t (W z + b))^2) + weight_decay |W|^2 with t = +-1:
    scikit-learn's ``LinearSVC`` with C = 1 / (2 n weight_decay) and a free intercept, all classes at once by
    L-BFGS. Needs one float copy of the scaled states.

    Source: Y. Tang, arXiv:1306.0239; A. F. Agarap, arXiv:1712.03541 (as the last layer of a network).
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
        target = 2 * np.eye(len(self.classes_), dtype=z.dtype)[y] - 1
        n, n_features = z.shape
        gram = np.empty((n_features + 1, n_features + 1))  # of the states and a constant 1 behind them
        gram[:-1, :-1], gram[-1] = z.T @ z, np.append(z.sum(axis=0, dtype=np.float64), n)
        gram[:, -1] = gram[-1]
        start = np.zeros((n_features + 1, len(self.classes_)))

        def solve(decay: float) -> Layers:
            nonlocal start
            damped = np.full(n_features + 1, decay)
            damped[-1] = 0
            # the Hessian where every sample counts: in its metric all directions are about equally steep
            metric = gram / n
            metric.flat[:: n_features + 2] += damped + 1e-6 * metric.trace() / (n_features + 1)
            root = linalg.cholesky(metric, overwrite_a=True, check_finite=False)

            def objective(theta: Array) -> tuple[float, Array]:
                w = linalg.solve_triangular(root, theta.reshape(start.shape), check_finite=False)
                slack = np.maximum(1 - target * (z @ w[:-1].astype(z.dtype) + w[-1].astype(z.dtype)), 0)
                pull = target * slack
                slope = np.concatenate([z.T @ pull, pull.sum(axis=0)[None]]) * (-2 / n)
                slope = slope + 2 * damped[:, None] * w
                slope = linalg.solve_triangular(root, slope, trans="T", check_finite=False)
                loss = np.square(slack, dtype=np.float64).sum() / n + (damped[:, None] * w**2).sum()
                return float(loss), slope.ravel()

            limits = {"maxiter": 500, "ftol": 1e-7, "gtol": 1e-5}
            found = optimize.minimize(
                objective, (root @ start).ravel(), jac=True, method="L-BFGS-B", options=limits
            )
            start = linalg.solve_triangular(root, found.x.reshape(start.shape), check_finite=False)
            return [(start[:-1].astype(z.dtype), start[-1].astype(z.dtype))]

        return choose(self.weight_decay, solve, validation)

"""Echo state network of ReservoirPy (extra ``esn``): a random rate reservoir and a ridge readout."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from neurosim import rng
from neurosim.baselines.base import Array, Baseline, BaselineConfig, Facts, Operations
from neurosim.baselines.training import Progress
from neurosim.errors import MissingExtraError


class EsnConfig(BaselineConfig):
    """Keys of ``esn``.

    Attributes:
        units: Neurons of the reservoir.
        spectral_radius: Of the recurrent weights [1].
        leak: Share of the state that is new in every step [1].
        input_scaling: Size of the input weights [1].
        connectivity: Share of the recurrent and the input weights that are not 0 [1].
        ridge: Candidates for the ridge of the readout, of which validation chooses.
    """

    units: int = Field(200, ge=1, le=20_000)
    spectral_radius: float = Field(0.9, gt=0, le=10)
    leak: float = Field(0.3, gt=0, le=1)
    input_scaling: float = Field(0.1, gt=0)
    connectivity: float = Field(0.1, gt=0, le=1)
    ridge: tuple[float, ...] = Field((1e-4, 1e-2, 1.0), min_length=1, strict=False)


class Esn(Baseline):
    """r = (1 - a) r + a tanh(W r + W_in x); ridge regression reads its mean and its last value."""

    name = "esn"
    Config: ClassVar[type[BaselineConfig]] = EsnConfig
    tuned = (("spectral_radius", 0.3, 1.5), ("leak", 0.03, 1.0), ("input_scaling", 0.02, 1.0))
    kind = "sequence"
    facts = Facts(
        title="echo state network: a random reservoir of rates",
        paper="Jaeger, The echo state approach to analysing and training recurrent neural networks, 2001",
        source="ReservoirPy, doi:10.1007/978-3-030-61616-8_40",
        headline="none on these tasks",
        reproduced="200 units as the liquid of Lin et al., leaky tanh, ridge readout on the mean "
        "and the last state",
        differs="nothing is claimed by a paper on these tasks; the reservoir's numbers are random and not "
        "counted as parameters",
    )

    def require(self) -> Any:
        """ReservoirPy's reservoir.

        Raises:
            MissingExtraError: If it is not installed.
        """
        try:
            from reservoirpy.nodes import Reservoir
        except ImportError as why:
            raise MissingExtraError(
                f"ReservoirPy cannot be imported ({why}); pip install 'neurosim-codesign[esn]'"
            ) from None
        return Reservoir

    def _reservoir(self) -> Any:
        c = self.settings
        return self.require()(
            c.units,
            sr=c.spectral_radius,
            lr=c.leak,
            input_scaling=c.input_scaling,
            rc_connectivity=c.connectivity,
            input_connectivity=c.connectivity,
            seed=rng.stream(self.random_state, "baselines/esn"),
        )

    def _states(self, x: Array, progress: Progress | None = None) -> Array:
        """Mean state and last state beside it, (n, 2 units)."""
        states = np.empty((len(x), 2 * self.settings.units), np.float32)
        for i, sequence in enumerate(np.asarray(x, np.float64)):
            if self.reservoir_.initialized:
                self.reservoir_.reset()
            run = self.reservoir_.run(sequence)
            states[i] = np.concatenate([run.mean(0), run[-1]])
            if progress and i % 100 == 99:
                progress("esn states", i + 1, len(x))
        return states

    def _fit(
        self,
        x: Array,
        y: Array,
        held_x: Array,
        held_y: Array,
        checkpoint: Path | None,
        progress: Progress | None,
    ) -> None:
        from sklearn.linear_model import RidgeClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.reservoir_ = self._reservoir()
        states, held = self._states(x, progress), self._states(held_x)
        best = -1.0
        for ridge in self.settings.ridge:
            model = make_pipeline(StandardScaler(), RidgeClassifier(ridge * len(x)))
            score = model.fit(states, y).score(held, held_y)
            if score > best:
                best, self.model_, self.ridge_ = score, model, ridge

    def _probabilities(self, x: Array) -> Array:
        scores = self.model_.decision_function(self._states(x))
        scores = np.stack([-scores, scores], 1) if scores.ndim == 1 else scores
        e = np.exp(scores - scores.max(1, keepdims=True))
        probabilities: Array = e / e.sum(1, keepdims=True)
        return probabilities

    @property
    def n_parameters(self) -> int:
        """Weights and biases of the readout."""
        last = self.model_[-1]
        return int(last.coef_.size + np.size(last.intercept_))

    def operations(self) -> Operations:
        """Non-zero weights of the reservoir in every step, and the readout."""
        steps = self.shape_[0]
        nodes = int(self.reservoir_.W.nnz if hasattr(self.reservoir_.W, "nnz") else self.reservoir_.W.size)
        entry = self.reservoir_.Win
        entries = int(entry.nnz if hasattr(entry, "nnz") else entry.size)
        return Operations(steps * (nodes + entries) + int(self.model_[-1].coef_.size))

"""What a user may set about the readout; importable without torch or scikit-learn."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from neurosim.array.mvm import MvmConfig
from neurosim.config import StrictModel

Scaling = Literal["none", "standard", "sqrt"]
Schedule = Literal["cosine", "constant"]
Head = Literal["linear", "svm", "hyperspherical"]
Activation = Literal["relu", "none", "normalise"]
Modulation = Literal["homeostatic", "random", "constant"]
Ensemble = Literal["mean", "geometric"]
Kind = Literal[
    "linear", "mlp", "ridge", "logistic", "svm", "hyperspherical", "nested", "homeostatic", "neuromodulated",
    "sage",
]  # fmt: skip

_ALL = frozenset({"weight_decay", "scaling"})
_DESCENT = frozenset({"learning_rate", "schedule", "epochs", "patience", "batch_size", "label_smoothing"})
KNOBS: dict[Kind, frozenset[str]] = {
    "linear": _ALL | _DESCENT,
    "mlp": _ALL | _DESCENT | {"hidden", "dropout"},
    "ridge": _ALL,
    "logistic": _ALL,
    "svm": _ALL,
    "hyperspherical": _ALL | _DESCENT | {"width", "scale"},
    "nested": _ALL | _DESCENT | {"width", "scale", "head", "columns"},
    "homeostatic": _ALL | {"learning_rate", "epochs", "patience", "batch_size", "modulation"},
    "neuromodulated": _ALL | _DESCENT | {"hidden"},
    "sage": _ALL | _DESCENT | {"width", "reconstruction", "neighbours", "ensemble"},
}


class ReadoutConfig(StrictModel):
    """A trainable projection over liquid states; a knob left out takes the readout's own default.

    Attributes:
        kind: ``linear`` (softmax) or ``mlp`` (one hidden layer), trained by AdamW; ``ridge`` (least squares
            on the one-hot labels), ``logistic`` or ``svm`` (squared hinge), solved exactly;
            ``hyperspherical`` (softmax of cosines between a projection and one vector a class, so that a
            class is added by storing a vector); ``nested`` (a projection whose first 8, 16, 32, ... columns
            work alone); ``homeostatic`` (softmax, online, at a rate that its own need moves);
            ``neuromodulated`` (a gain and a threshold for every neuron between two random projections, which
            are never trained); ``sage`` (one hidden layer that also reconstructs the states, for a score of
            how strange a recording is).
        weight_decay: Candidates [1], one of which validation chooses: AdamW's decoupled decay; for
            ridge, logistic, svm and homeostatic the factor of the squared weights beside the mean loss, so
            that the same value means the same for any number of recordings.
        scaling: ``none``, ``standard`` (zero mean, unit variance) or ``sqrt`` (of the counts, whose
            variance is then nearly the same for busy and quiet neurons, and ``standard`` after it).
        learning_rate: AdamW's rate at the start; of ``homeostatic`` the first rate, 1 about where a sample is
            learnt in one step [1].
        schedule: ``cosine`` falls to zero over ``epochs``; ``constant`` stays.
        epochs: Most passes over the training states.
        patience: Passes without a better validation score after which training stops.
        batch_size: Recordings per step.
        label_smoothing: Share of the target spread evenly over the classes.
        hidden: Width of the hidden layer, or number of neurons between the random projections (0: the
            gains and thresholds are those of the states, before one random projection).
        dropout: Probability with which a hidden unit is silenced in a training step.
        width: Outputs of the projection of ``hyperspherical`` and ``nested``, of ``sage``'s hidden layer.
        scale: Factor of the cosines before the softmax [1]; ``nested`` has it with the head
            ``hyperspherical``.
        head: What ``nested`` trains on every width: ``linear`` (softmax), ``svm`` or ``hyperspherical``.
        columns: Bit lines that the projection of ``nested`` may take, two for each output: the largest
            width that fits them is used; None: the whole width.
        modulation: What moves the rate of ``homeostatic``: its need, or as controls ``random`` or nothing
            (``constant``).
        reconstruction: Weight of the squared error of the reconstruction beside the cross-entropy [1].
        neighbours: Nearest training recordings whose distance counts.
        ensemble: Mean that joins the three scores of ``sage``.
        analog: How the trained weights are multiplied in the chip's own memory; None: digitally.
    """

    kind: Kind = "linear"
    weight_decay: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(None, min_length=1, strict=False)
    scaling: Scaling | None = None
    learning_rate: float | None = Field(None, gt=0)
    schedule: Schedule | None = None
    epochs: int | None = Field(None, ge=1)
    patience: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    label_smoothing: float | None = Field(None, ge=0, lt=1)
    hidden: int | None = Field(None, ge=0)
    dropout: float | None = Field(None, ge=0, lt=1)
    width: int | None = Field(None, ge=1)
    scale: float | None = Field(None, gt=0)
    head: Head | None = None
    columns: int | None = Field(None, ge=2)
    modulation: Modulation | None = None
    reconstruction: float | None = Field(None, ge=0)
    neighbours: int | None = Field(None, ge=1)
    ensemble: Ensemble | None = None
    analog: MvmConfig | None = None

    @model_validator(mode="after")
    def _only_own_knobs(self) -> Self:
        if self.hidden == 0 and self.kind == "mlp":
            raise ValueError("hidden: kind 'mlp' needs at least 1; without a hidden layer take kind 'linear'")
        if self.kind == "nested" and self.scale is not None and self.head != "hyperspherical":
            raise ValueError("scale has no effect without head 'hyperspherical'; set it, or remove scale")
        if self.kind == "nested" and self.label_smoothing is not None and self.head == "svm":
            raise ValueError("label_smoothing has no effect with head 'svm'; remove it")
        if foreign := sorted(self.knobs().keys() - KNOBS[self.kind]):
            allowed = ", ".join(sorted(KNOBS[self.kind]))
            raise ValueError(f"kind '{self.kind}' has no {', '.join(foreign)}; remove it; allowed: {allowed}")
        return self

    def knobs(self) -> dict[str, object]:
        """The knobs of training that were set, by name."""
        return self.model_dump(exclude={"kind", "analog"}, exclude_none=True)

"""What a user may set about the readout; importable without torch or scikit-learn."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from neurosim.array.mvm import MvmConfig
from neurosim.config import StrictModel

Scaling = Literal["none", "standard", "sqrt"]
Schedule = Literal["cosine", "constant"]
Kind = Literal["linear", "mlp", "ridge", "logistic"]

_ALL = frozenset({"weight_decay", "scaling"})
_DESCENT = frozenset({"learning_rate", "schedule", "epochs", "patience", "batch_size", "label_smoothing"})
KNOBS: dict[Kind, frozenset[str]] = {
    "linear": _ALL | _DESCENT,
    "mlp": _ALL | _DESCENT | {"hidden", "dropout"},
    "ridge": _ALL,
    "logistic": _ALL,
}


class ReadoutConfig(StrictModel):
    """A trainable projection over liquid states; a knob left out takes the readout's own default.

    Attributes:
        kind: ``linear`` (softmax) or ``mlp`` (one hidden layer), trained by AdamW; ``ridge`` (least squares
            on the one-hot labels) or ``logistic``, solved exactly.
        weight_decay: Candidates [1], one of which validation chooses: AdamW's decoupled decay; for ridge
            and logistic the factor of the squared weights beside the mean loss, so that the same value
            means the same for any number of recordings.
        scaling: ``none``, ``standard`` (zero mean, unit variance) or ``sqrt`` (of the counts, whose
            variance is then nearly the same for busy and quiet neurons, and ``standard`` after it).
        learning_rate: AdamW's rate at the start.
        schedule: ``cosine`` falls to zero over ``epochs``; ``constant`` stays.
        epochs: Most passes over the training states.
        patience: Passes without a better validation score after which training stops.
        batch_size: Recordings per step.
        label_smoothing: Share of the target spread evenly over the classes.
        hidden: Width of the hidden layer.
        dropout: Probability with which a hidden unit is silenced in a training step.
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
    hidden: int | None = Field(None, ge=1)
    dropout: float | None = Field(None, ge=0, lt=1)
    analog: MvmConfig | None = None

    @model_validator(mode="after")
    def _only_own_knobs(self) -> Self:
        if foreign := sorted(self.knobs().keys() - KNOBS[self.kind]):
            allowed = ", ".join(sorted(KNOBS[self.kind]))
            raise ValueError(f"kind '{self.kind}' has no {', '.join(foreign)}; remove it; allowed: {allowed}")
        return self

    def knobs(self) -> dict[str, object]:
        """The knobs of training that were set, by name."""
        return self.model_dump(exclude={"kind", "analog"}, exclude_none=True)

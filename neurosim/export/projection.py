"""The trained projection in integers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import ExperimentError
from neurosim.readout.base import BLOCK, Layers, Readout, StateScaling, forward

SUM_BITS = 62  # of the sums' int64: one for the sign, one to spare
FINE = 4095  # levels of states that are no whole numbers


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """y = x W + b in integers; one unit of y is ``scale`` of the float layer's output.

    Attributes:
        weight: int8 or int16 (n_in, n_out).
        bias: int64 (n_out,).
        scale: Value of one unit of the sums [1].
        shift: Bits that the sums are shifted right by, towards minus infinity, after the ReLU that follows;
            0 in the last layer. ``scale`` is that before the shift.
    """

    weight: npt.NDArray[Any]
    bias: npt.NDArray[np.int64]
    scale: float
    shift: int


@dataclass(frozen=True, eq=False)
class IntegerProjection:
    """States to class scores without a float.

    Attributes:
        unit: States enter as rint(f(x) / unit), f the root where ``root``; spike counts have 1 and no root,
            so that they enter as they are.
        root: See ``unit``.
        layers: With a ReLU between them; the mean and scale of the states are folded into the first.
    """

    unit: float
    root: bool
    layers: tuple[IntegerLayer, ...]

    @property
    def bits(self) -> int:
        """Bits that the weights need."""
        return max(int(np.abs(layer.weight.astype(np.int64)).max()) for layer in self.layers).bit_length() + 1

    def inputs(self, x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """States (n, n_features) as they enter."""
        if x.dtype.kind in "ui" and self.unit == 1 and not self.root:
            return x.astype(np.int64)
        real = np.sqrt(x.astype(np.float64)) if self.root else x.astype(np.float64)
        entered: npt.NDArray[np.int64] = np.rint(real / self.unit).astype(np.int64)
        return entered

    def scores(self, x: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Class scores (n, n_out) of `inputs`; the largest one is the answer, the first of equals."""
        for i, layer in enumerate(self.layers):
            x = x @ layer.weight.astype(np.int64) + layer.bias
            if i + 1 < len(self.layers):
                x = np.maximum(x, 0) >> layer.shift
        return x

    def predict(self, x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Number of the output that answers states (n, n_features)."""
        best: npt.NDArray[np.int64] = self.scores(self.inputs(x)).argmax(axis=1)
        return best


@dataclass(frozen=True, eq=False)
class Projection:
    """The trained projection from states to classes.

    Attributes:
        scaling, layers: z = scaling(x), then affine layers with ReLU between them.
        codes: int64 (n_out,), class of every output.
        integer: The same in integers.
    """

    scaling: StateScaling
    layers: Layers
    codes: npt.NDArray[np.int64]
    integer: IntegerProjection

    def predict(self, x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Classes (n,) of states (n, n_features)."""
        blocks = [x[i : i + BLOCK] for i in range(0, len(x), BLOCK)]
        best = [forward(self.layers, self.scaling(block)).argmax(axis=1) for block in blocks]
        answers: npt.NDArray[np.int64] = self.codes[np.concatenate(best)]
        return answers

    def predict_integer(self, x: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The same by the integers."""
        answers: npt.NDArray[np.int64] = self.codes[self.integer.predict(x)]
        return answers


def projection_of(readout: Readout, x: npt.NDArray[Any], *, bits: int) -> Projection:
    """The projection that answers as a trained readout does.

    Where nothing stands between two layers, or a division by the length of what is between, which changes no
    answer, both become one.

    Args:
        readout: Trained, with whole numbers as labels.
        x: Its training states.
        bits: Of the integer weights.

    Raises:
        ExperimentError: If neurons of the readout have gains and thresholds, which no export holds.
    """
    if hasattr(readout, "gains_"):
        raise ExperimentError(
            "readout 'neuromodulated': no export holds its gains and thresholds; run it with another kind"
        )
    layers = readout.layers_
    if len(layers) > 1 and readout.activation != "relu":
        (first, offset), (last, bias) = layers
        layers = [(first @ last, offset @ last + bias)]
    whole = x.dtype.kind in "ui"
    integer = integers(readout.scaling_, layers, bits=bits, largest_state=float(x.max()), whole=whole)
    return Projection(readout.scaling_, layers, np.asarray(readout.classes_, np.int64), integer)


def integers(
    scaling: StateScaling, layers: Layers, *, bits: int, largest_state: float, whole: bool
) -> IntegerProjection:
    """A projection rounded to integers.

    With z = (f(x) - mean)/scale the first layer becomes W' = unit W/scale, b' = b - (mean/scale) W; every
    layer has one unit, the largest weight over 2^(bits-1) - 1.

    Args:
        scaling: What the projection does to states first.
        layers: Weights and biases.
        bits: Of the weights, at most 16.
        largest_state: Largest state of the training recordings.
        whole: Whether states are whole numbers.

    Assumes: states are not above ``largest_state`` times 16, for which no sum overflows.
    Source: uniform symmetric quantisation, one scale a layer.
    """
    top = np.sqrt(largest_state) if scaling.root else largest_state
    unit = 1.0 if whole and not scaling.root else float(top or 1.0) / FINE
    largest = 16 * float(top or 1.0) / unit
    scale = scaling.scale.astype(np.float64)
    shift_by = scaling.mean.astype(np.float64) / scale
    done: list[IntegerLayer] = []
    incoming = unit
    for i, (weight, bias) in enumerate(layers):
        w, b = weight.astype(np.float64), bias.astype(np.float64)
        if i == 0:
            b, w = b - shift_by @ w, w / scale[:, None]
        w = w * incoming
        step = float(np.abs(w).max()) / (2 ** (bits - 1) - 1) or 1.0
        whole_w = np.rint(w / step).astype(np.int8 if bits <= 8 else np.int16)
        whole_b = np.rint(b / step).astype(np.int64)
        bound = largest * float(np.abs(whole_w.astype(np.float64)).sum(axis=0).max()) + float(
            np.abs(whole_b).max()
        )
        shift = 0
        if i + 1 < len(layers):
            fan_in = np.log2(len(layers[i + 1][0])) + bits
            shift = max(0, int(np.ceil(np.log2(max(bound, 1.0)) + fan_in)) - SUM_BITS)
        done.append(IntegerLayer(whole_w, whole_b, step, shift))
        largest, incoming = bound / 2**shift, step * 2**shift
    return IntegerProjection(unit, scaling.root, tuple(done))

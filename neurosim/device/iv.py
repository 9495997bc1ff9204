"""Current of a cell against its voltage, and how far that is from a straight line."""

import numpy as np
import numpy.typing as npt

from neurosim.cards import DeviceCard
from neurosim.device.config import number

Array = npt.NDArray[np.float32]


def chord(card: DeviceCard, g: Array, v: npt.ArrayLike, v_nonlinear: float | None = None) -> Array:
    """What a cell conducts at a voltage, in units of its conductance: I(V)/(G V).

    sinh law:    (sinh(V/V0) / (V/V0)) / s,  s = the same at v_reference, 1 where the card names none,
    polynomial:  max(0, 1 + (n2(x) V + n3(x) V^2) / G),  x = G/g_max,
    no ``[iv]``:  1.

    So a conductance is the chord at v_reference, or the slope at 0 V.

    Args:
        card: Device card.
        g: Conductances [S], any shape.
        v: Voltages [V], of a shape that broadcasts with that of ``g``; either sign.
        v_nonlinear: V0 of a sinh law in place of the card's law [V].

    Returns:
        float32 of the common shape [1]; 1 where a polynomial's cell does not conduct.

    Assumes: V within v_read_max, which `check_read_voltage` checks; the law of a cell that relaxed, drifted
        or is hot is that of its present conductance.
    Source: the card; at low voltage the sinh law is 1 + (V/V0)^2/6.
    """
    v = np.asarray(v, np.float32)
    iv, factor = card.iv, np.ones(np.broadcast_shapes(g.shape, v.shape), np.float32)
    v0 = v_nonlinear or number(iv.v0 if iv else None)
    if v0:
        factor *= _sinhc(v / np.float32(v0)) / _sinhc(number(iv.v_reference if iv else None) / v0)
    elif iv and iv.n2 and iv.n3:
        x = g / np.float32(card.conductance.g_max.value)
        factor += np.divide((iv.n2(x) + iv.n3(x) * v) * v, g, out=np.zeros_like(factor), where=g > 0)
        factor = np.maximum(factor, 0)  # far below the measured states the fit would make a source of a cell
    return factor


def current(card: DeviceCard, g: Array, v: npt.ArrayLike, v_nonlinear: float | None = None) -> Array:
    """Current [A] of cells at voltages: I = G V `chord`; arguments as there."""
    return g * np.asarray(v, np.float32) * chord(card, g, v, v_nonlinear)


def linear_error(card: DeviceCard, g: Array, v: npt.ArrayLike, v_nonlinear: float | None = None) -> Array:
    """Relative error [1] of taking the current as G V: (G V - I)/I = 1/`chord` - 1; arguments as there."""
    with np.errstate(divide="ignore"):  # infinite where no current flows
        return np.reciprocal(chord(card, g, v, v_nonlinear)) - np.float32(1)


def _sinhc(x: npt.ArrayLike) -> Array:
    """sinh(x)/x, and 1 at 0."""
    x = np.asarray(x, np.float32)
    ratio: Array = np.divide(np.sinh(x), x, out=np.ones_like(x), where=x != 0)
    return ratio

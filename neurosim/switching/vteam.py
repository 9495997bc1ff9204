"""VTEAM: a threshold model of a memristive cell, without a device behind its numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.switching.drive import Parameter
from neurosim.switching.kernels import Array, Rates, rate_of


@dataclass(frozen=True, eq=False)
class Vteam:
    """State variable x [m] between two resistances; moves only beyond a threshold voltage.

    dx/dt = k_off (v/v_off - 1)^alpha_off  for v > v_off > 0,
            k_on (v/v_on - 1)^alpha_on     for v < v_on < 0,    0 between,
    R = r_on + (r_off - r_on) (x - x_on)/(x_off - x_on),    v = u R/(R + r_series) of the applied voltage u.

    At a constant voltage and without r_series, x is linear in time until it meets x_on or x_off.

    Attributes:
        r_on: Lowest resistance [ohm].
        r_off: Highest resistance [ohm].
        x_on: State at r_on [m].
        x_off: State at r_off [m].
        k_on: Speed factor [m/s] towards x_on, negative.
        k_off: Speed factor [m/s] towards x_off.
        alpha_on: Exponent [1].
        alpha_off: Exponent [1].
        v_on: Threshold [V], negative.
        v_off: Threshold [V].
        r_series: Resistance in series [ohm], e.g. of an access transistor.

    Assumes: linear I-V; no window but the two hard limits; no temperature.
    Source: Kvatinsky et al., IEEE TCAS-II 62, 786 (2015), doi:10.1109/TCSII.2015.2433536; the default numbers
    are an example that public ports of the model share, not a fit to a device.
    """

    r_on: Parameter = 50.0
    r_off: Parameter = 1000.0
    x_on: Parameter = 0.0
    x_off: Parameter = 3e-9
    k_on: Parameter = -10.0
    k_off: Parameter = 5e-4
    alpha_on: Parameter = 3.0
    alpha_off: Parameter = 1.0
    v_on: Parameter = -0.2
    v_off: Parameter = 0.02
    r_series: Parameter = 0.0

    @property
    def limits(self) -> tuple[Parameter, Parameter]:
        """x_on and x_off [m]."""
        return self.x_on, self.x_off

    def encode(self, state: Array) -> Array:
        """Share of the way from x_on to x_off."""
        return np.asarray((state - self.x_on) / (self.x_off - self.x_on))

    def decode(self, x: Array) -> Array:
        """State [m]."""
        return np.asarray(self.x_on + x * (self.x_off - self.x_on))


@rate_of(Vteam)
def vteam_rate(p: Any, x: float, v: float) -> Rates:
    """Rate, current and no noise; ``v`` is the applied voltage."""
    r = p.r_on + (p.r_off - p.r_on) * x
    i = v / (r + p.r_series)
    f = 0.0
    if i * r > p.v_off:
        f = p.k_off * (i * r / p.v_off - 1) ** p.alpha_off
    elif i * r < p.v_on:
        f = p.k_on * (i * r / p.v_on - 1) ** p.alpha_on
    return f / (p.x_off - p.x_on), i, 0.0

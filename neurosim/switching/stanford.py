"""Stanford-PKU model of an oxide cell: a gap between a filament and an electrode."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from neurosim.switching.drive import Parameter
from neurosim.switching.kernels import Array, Rates, rate_of

BOLTZMANN = 1.380649e-23 / 1.602176634e-19  # [eV/K], exact in the SI of 2019


@dataclass(frozen=True, eq=False)
class StanfordPku:
    """Gap g [m] that a current tunnels through; SET (shrinking gap) at positive voltage.

    i = i0 exp(-g/g0) sinh(v/v0),    T = t0 + |v i| r_th,    v = u - i r_series of the applied voltage u,
    dg = -velocity exp(-e_a/kT) sinh(gamma a0 v/(t_ox kT)) dt + s dW,    kT in eV,
    gamma = gamma0 - beta (g/1 nm)^3, and 0 where gamma |v|/t_ox < field_min,
    s = diffusion/(1 + exp((t_crit - T)/t_smooth)).

    Attributes:
        i0: Current scale [A].
        g0: Decay length of the current [m].
        v0: Voltage scale of the current [V].
        velocity: Speed factor [m/s].
        e_a: Activation energy [eV].
        a0: Hopping distance [m].
        t_ox: Oxide thickness [m].
        gamma0: Field enhancement of a closed gap [1].
        beta: Its loss per cubic nanometre of gap [1].
        field_min: Enhanced field below which nothing moves [V/m].
        r_th: Thermal resistance [K/W].
        t0: Ambient temperature [K].
        gap_min: Lowest gap [m].
        gap_max: Highest gap [m].
        diffusion: Strength of the noise [m/s^0.5]; drawn only where a call gives a ``key``.
        t_crit: Temperature at which the noise is half of that [K].
        t_smooth: Width of that transition [K].
        r_series: Resistance in series [ohm], e.g. of an access transistor.

    Assumes: instant heat; one filament. The published code adds normal numbers times 0.02 m/s to dg/dt, so
    that its noise depends on the time step; a Wiener process with 0.02 m/s sqrt(1 ns) gives the same
    variance at the step of 1 ns to which that code is bound, and the same at every other step. As published
    the noise does not vanish at 0 V.
    Source: Jiang, Wong et al., Stanford RRAM model 1.0.0, doi:10.4231/D37H1DN48 (equations and defaults);
    Guan, Yu & Wong, IEEE EDL 33, 1405 (2012), doi:10.1109/LED.2012.2210856.
    """

    i0: Parameter = 1e-3
    g0: Parameter = 0.25e-9
    v0: Parameter = 0.25
    velocity: Parameter = 10.0
    e_a: Parameter = 0.6
    a0: Parameter = 0.25e-9
    t_ox: Parameter = 12e-9
    gamma0: Parameter = 16.0
    beta: Parameter = 0.8
    field_min: Parameter = 1.4e9
    r_th: Parameter = 2.1e3
    t0: Parameter = 298.0
    gap_min: Parameter = 0.2e-9
    gap_max: Parameter = 1.7e-9
    diffusion: Parameter = 0.02 * math.sqrt(1e-9)
    t_crit: Parameter = 450.0
    t_smooth: Parameter = 500.0
    r_series: Parameter = 0.0

    @property
    def limits(self) -> tuple[Parameter, Parameter]:
        """Lowest and highest gap [m]."""
        return self.gap_min, self.gap_max

    def encode(self, state: Array) -> Array:
        """Gap in decay lengths: the conductance falls by e per unit."""
        return np.asarray(state / self.g0)

    def decode(self, x: Array) -> Array:
        """Gap [m]."""
        return np.asarray(x * self.g0)


@njit(cache=True, error_model="numpy")
def cell_voltage(i_gap: float, v0: float, r_series: float, v: float) -> float:
    """Share w of v that falls over the gap: w + r_series i_gap sinh(w/v0) = v, by Newton from above."""
    drop = r_series * i_gap
    w = min(v, v0 * math.asinh(v / drop)) if drop > 0 else v
    for _ in range(50):
        step = (w + drop * math.sinh(w / v0) - v) / (1 + drop / v0 * math.cosh(w / v0))
        w -= step
        if step <= 1e-14 * v:
            break
    return w


@rate_of(StanfordPku)
def stanford_rate(p: Any, x: float, v: float) -> Rates:
    """Rate, current and noise; ``v`` is the applied voltage."""
    i_gap = p.i0 * math.exp(-x)
    w = math.copysign(cell_voltage(i_gap, p.v0, p.r_series, abs(v)), v)
    i = i_gap * math.sinh(w / p.v0)
    t = p.t0 + abs(w * i) * p.r_th
    kt = BOLTZMANN * t  # [eV]
    gamma = p.gamma0 - p.beta * (x * p.g0 * 1e9) ** 3
    f = 0.0
    if gamma * abs(w) / p.t_ox >= p.field_min:
        f = -p.velocity / p.g0 * math.exp(-p.e_a / kt) * math.sinh(gamma * p.a0 * w / (p.t_ox * kt))
    return f, i, p.diffusion / p.g0 / (1 + math.exp((p.t_crit - t) / p.t_smooth))

"""JART VCM v1b: oxygen vacancies in the disc below a Schottky contact, with its own heat."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit

from neurosim.switching.drive import Parameter
from neurosim.switching.kernels import Array, Rates, rate_of

ELEMENTARY_CHARGE = 1.602176634e-19  # [C], exact in the SI of 2019
BOLTZMANN = 1.380649e-23 / ELEMENTARY_CHARGE  # [eV/K], exact
PLANCK = 6.62607015e-34  # [J s], exact
EPSILON_0 = 8.8541878128e-12  # [F/m], CODATA 2018
RESIDUAL = 1e-10  # largest relative error of the current


@dataclass(frozen=True, eq=False)
class JartVcm1b:
    """Vacancy concentration N [1/m^3] of a Pt/HfO2/TiOx/Ti cell; SET (growing N) at negative voltage.

    A Schottky contact, the disc, the plug and a heated line are in series and carry the current i,

        v = v_S + i (r_disc + r_plug + r_line(i) + r_tiox + r_series),
        r_disc = l/(N z q mu A),  r_plug = (l_cell - l)/(n_plug z q mu A),  A = pi r^2,
        r_line = r0 (1 + r0 alpha_line rth_line i^2),
        phi = max(0, phi_bn0 - (q^3 z N psi/(8 pi^2 eps_phi^3))^(1/4)),  psi = max(0, phi_bn0 - phi_n - v_S),
        i = A A* T^2 exp(-q phi/kT) (exp(q v_S/kT) - 1)    for v > 0, and for v < 0
        i = -A A* T/k sqrt(pi W00 q (|v_S| + phi/cosh^2(W00/kT))) exp(-q phi/W0) (exp(q |v_S|/e') - 1),
        W00 = q h/(4 pi) sqrt(z N/(m eps)),  W0 = W00/tanh(W00/kT),  e' = W00/(W00/kT - tanh(W00/kT)),
        T = t0 + r_th i (v_S + i (r_disc + r_plug)),  r_th = rth0 (r_det/r)^2 [rth_reset for v > 0].

    Vacancies hop over a barrier that the field E tilts,

        dN/dt = -(n_plug + N)/2 a nu0 F/l (exp(-W-/kT) - exp(-W+/kT)),
        W-+ = dw (sqrt(1 - g^2) -+ g pi/2 + g asin g),  g = z a E/(pi dw),
        E = i r_disc/l,  F = 1 - (N/n_max)^10                        for v < 0 (SET),
        E = (v_S + i (r_disc + r_plug))/l_cell,  F = 1 - (n_min/N)^10   for v > 0 (RESET).

    For v > 0 the barrier closes steeply at v_S = phi_bn0 - phi_n, and the contact may have three operating
    points. The one of the lowest v_S is taken: it is the only one that joins v = 0 without a jump.

    Attributes:
        n_min: Lowest concentration [1/m^3].
        n_max: Highest concentration [1/m^3].
        l_disc: Length l of the disc [m].
        radius: Radius r of the filament [m].
        n_plug: Concentration in the plug [1/m^3].
        l_cell: Length of disc and plug [m].
        r_det: Radius [m] to which rth0 belongs.
        richardson: A* [A/(m^2 K^2)].
        m_eff: Electron mass [kg].
        z: Charge number of a vacancy.
        eps_r: Permittivity [1] of the oxide.
        eps_phi: Permittivity [1] for the lowering of the barrier.
        phi_bn0: Height of the barrier [eV].
        phi_n: Fermi level below the conduction band [eV].
        mobility: mu [m^2/(V s)].
        hop: Hopping distance a [m].
        attempt: Attempt frequency nu0 [Hz].
        dw: Activation energy [eV].
        rth0: Thermal resistance [K/W].
        rth_reset: Its factor at positive voltage [1].
        r_tiox: Resistance of the TiOx layer [ohm].
        r0: Line resistance at no current [ohm].
        rth_line: Thermal resistance of the line [K/W].
        alpha_line: Its temperature coefficient [1/K].
        t0: Ambient temperature [K].
        r_series: Further resistance in series [ohm], e.g. of an access transistor.

    Assumes: instant heat (the model has no heat capacity; T passes 4,000 K during an abrupt SET); no loss of
    vacancies at 0 V, thus no retention.
    Source: Cueppers et al., APL Mater. 7, 091105 (2019), doi:10.1063/1.5108654; Bengel et al., IEEE TCAS-I
    67, 4618 (2020), doi:10.1109/TCSI.2020.3018502. Defaults are those of the official Verilog-A (CC0,
    doi:10.26165/JUELICH-DATA/LUA8QY) as two ports give them (IBM/aihwkit, pull request 501; Ntinas et al.,
    SMACD 2023, doi:10.1109/SMACD58065.2023.10192107); a netlist generator has rth0 = 10e6 K/W.
    """

    n_min: Parameter = 0.008e26
    n_max: Parameter = 20e26
    l_disc: Parameter = 0.4e-9
    radius: Parameter = 45e-9
    n_plug: Parameter = 20e26
    l_cell: Parameter = 3e-9
    r_det: Parameter = 45e-9
    richardson: Parameter = 6.01e5
    m_eff: Parameter = 9.10938e-31
    z: Parameter = 2.0
    eps_r: Parameter = 17.0
    eps_phi: Parameter = 5.5
    phi_bn0: Parameter = 0.18
    phi_n: Parameter = 0.1
    mobility: Parameter = 4e-6
    hop: Parameter = 0.25e-9
    attempt: Parameter = 2e13
    dw: Parameter = 1.35
    rth0: Parameter = 15.72e6
    rth_reset: Parameter = 0.27
    r_tiox: Parameter = 650.0
    r0: Parameter = 719.2437
    rth_line: Parameter = 90471.47
    alpha_line: Parameter = 3.92e-3
    t0: Parameter = 293.0
    r_series: Parameter = 0.0

    @property
    def limits(self) -> tuple[Parameter, Parameter]:
        """n_min and n_max [1/m^3]."""
        return self.n_min, self.n_max

    def encode(self, state: Array) -> Array:
        """Natural logarithm of N."""
        return np.log(state)

    def decode(self, x: Array) -> Array:
        """N [1/m^3]."""
        return np.exp(x)


def vary(model: JartVcm1b, shape: tuple[int, ...], random: np.random.Generator) -> JartVcm1b:
    """The model with n_min, n_max, l_disc and radius of its own for every cell.

    Each is normal with a standard deviation of 25 %, 5 %, 10 % and 11 % of the model's own value, and drawn
    again outside 0.5 .. 31 times n_min, +-10 % of n_max, l_disc and radius.

    Args:
        model: Model with one value of each.
        shape: Shape of the cells.
        random: Stream, e.g. ``rng.stream(seed, "device/switching")``.

    Assumes: independent.
    Source: deviations 0.002e26, 1e26, 0.04 nm and 5 nm as in a public netlist generator for the model; limits
    as Ntinas et al., SMACD 2023, doi:10.1109/SMACD58065.2023.10192107, give them after Bengel et al. 2020.
    """

    def draw(mean: Parameter, sigma: float, low: float, high: float) -> Array:
        from scipy.stats import truncnorm

        share = truncnorm((low - 1) / sigma, (high - 1) / sigma, 1, sigma).rvs(shape, random_state=random)
        return np.asarray(mean * share, np.float64)

    return replace(
        model,
        n_min=draw(model.n_min, 0.25, 0.5, 31.25),
        n_max=draw(model.n_max, 0.05, 0.9, 1.1),
        l_disc=draw(model.l_disc, 0.1, 0.9, 1.1),
        radius=draw(model.radius, 5 / 45, 0.9, 1.1),
    )


@njit(cache=True, error_model="numpy")
def contact(p: Any, n: float, negative: bool, v_s: float, t: float) -> Any:
    """Logarithm of the current |i| [A] through the Schottky contact at |v_S| = ``v_s`` and temperature t."""
    vt = BOLTZMANN * t
    eps = p.eps_phi * EPSILON_0 / ELEMENTARY_CHARGE
    psi = max(0.0, p.phi_bn0 - p.phi_n + (v_s if negative else -v_s))
    phi = max(0.0, p.phi_bn0 - math.sqrt(math.sqrt(p.z * n * psi / (8 * math.pi**2 * eps**3))))
    scale = math.log(math.pi * p.radius**2 * p.richardson * t)
    if not negative:
        slope = v_s / vt
        return scale + math.log(t) - phi / vt + slope + math.log(-math.expm1(-slope))
    w00 = PLANCK / (4 * math.pi) * math.sqrt(p.z * n / (p.m_eff * p.eps_r * EPSILON_0))  # [V]
    tanh = math.tanh(w00 / vt)
    root = math.pi * w00 * (v_s + phi * (1 - tanh**2))
    slope = v_s * (w00 / vt - tanh) / w00
    lost = phi * tanh / w00
    return scale + math.log(math.sqrt(root) * t / vt) - lost + slope + math.log(-math.expm1(-slope))


@njit(cache=True, error_model="numpy")
def mismatch(
    p: Any, n: float, v: float, r: float, heated: float, log_v_s: float
) -> tuple[float, float, float]:
    """Logarithm of the contact's current over that of the resistances, the latter |i| [A], and T [K].

    Args:
        p: Parameters.
        n: Concentration [1/m^3].
        v: Applied voltage [V].
        r: All resistances at no current [ohm].
        heated: Resistance of disc and plug [ohm].
        log_v_s: ln |v_S|, v_S in V.
    """
    v_s = math.exp(log_v_s)
    u = abs(v) - v_s
    cubic = p.r0**2 * p.alpha_line * p.rth_line
    i = u / r
    if cubic > 0:  # the real root of cubic i^3 + r i = u
        s = math.sqrt(r / (3 * cubic))
        i = 2 * s * math.sinh(math.asinh(1.5 * i / s) / 3)
    t = p.t0 + p.rth0 * (p.r_det / p.radius) ** 2 * (p.rth_reset if v > 0 else 1.0) * i * (v_s + i * heated)
    return contact(p, n, v < 0, v_s, t) - math.log(i), i, t


@njit(cache=True, error_model="numpy")
def resistances(p: Any, n: float) -> tuple[float, float]:
    """Resistances of the disc and of the plug [ohm]."""
    conductivity = p.z * ELEMENTARY_CHARGE * p.mobility * math.pi * p.radius**2
    return p.l_disc / (n * conductivity), (p.l_cell - p.l_disc) / (p.n_plug * conductivity)


@njit(cache=True, error_model="numpy")
def operating_point(p: Any, n: float, v: float) -> tuple[float, float, float]:
    """Contact voltage |v_S| [V], current |i| [A] and temperature [K] at concentration n and voltage v.

    The root of `mismatch` in ln |v_S|: bracketed by walking from the root of a linear contact, then closed in
    upon by the Illinois variant of regula falsi.
    """
    heated = sum(resistances(p, n))
    r = heated + p.r_tiox + p.r0 + p.r_series
    top = math.log(abs(v)) - 1e-9
    tiny = 1e-6 * abs(v)
    linear = math.exp(contact(p, n, v < 0, tiny, p.t0)) / tiny
    b = min(top, math.log(abs(v) / (1 + linear * r)))
    if v > 0 and p.phi_bn0 > p.phi_n:  # start below the voltage at which the barrier closes
        b = min(b, math.log(0.5 * (p.phi_bn0 - p.phi_n)))
    y, i, t = mismatch(p, n, v, r, heated, b)
    a, y_a = b, y
    while y_a * y > 0 and abs(y) > RESIDUAL and not (b == top and y < 0):
        a, y_a = b, y
        b = min(b - 1.1 * y, top)
        y, i, t = mismatch(p, n, v, r, heated, b)
    while y_a * y < 0 and abs(y) > RESIDUAL and abs(a - b) > 1e-14:
        c = (a * y - b * y_a) / (y - y_a)
        y_c, i, t = mismatch(p, n, v, r, heated, c)
        if y_c * y < 0:
            a, y_a = b, y
        else:
            y_a *= 0.5
        b, y = c, y_c
    return math.exp(b), i, t


@rate_of(JartVcm1b)
def jart_rate(p: Any, x: float, v: float) -> Rates:
    """Rate of ln N, current and no noise; ``v`` is the applied voltage."""
    if v == 0:
        return 0.0, 0.0, 0.0
    n = math.exp(x)
    v_s, i, t = operating_point(p, n, v)
    r_disc, r_plug = resistances(p, n)
    if v < 0:
        field, free = -i * r_disc / p.l_disc, -math.expm1(10 * (x - math.log(p.n_max)))
    else:
        field, free = (v_s + i * (r_disc + r_plug)) / p.l_cell, -math.expm1(10 * (math.log(p.n_min) - x))
    tilt = min(1.0, max(-1.0, p.z * p.hop * field / (math.pi * p.dw)))
    vt = BOLTZMANN * t
    barrier = p.dw * (math.sqrt(1 - tilt**2) + tilt * math.asin(tilt))
    hops = 2 * math.exp(-barrier / vt) * math.sinh(p.dw * tilt * math.pi / 2 / vt)
    f = -(p.n_plug + n) / (2 * n) * p.hop * p.attempt * free / p.l_disc * hops
    return f, math.copysign(i, v), 0.0

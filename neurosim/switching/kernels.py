"""The driver of switching models: one cell through one step of a waveform, and many cells side by side.

While the voltage stands still, time and charge are integrals over the state,

    t = integral dx / f(x, v),    q = integral i(x, v) / f(x, v) dx,

smooth where x(t) is stiff: a filament may wait for a second and then run away within a nanosecond. They are
summed by Lobatto's rule with four points, over pieces in which neither f nor i changes by more than a factor
e. Measured against pieces ten times finer: ln N of a JART cell within 2e-5, or 2e-5 of the time elapsed where
a pulse ends in the middle of a runaway.
"""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from numba.extending import overload

from neurosim.counter import normal

Array = npt.NDArray[np.float64]
Rates = tuple[float, float, float]

PIECE = 0.5  # longest piece of a path, in x
BEND = 1.0  # most that ln f and ln i may change over a piece
ARRIVED = 1e-6  # nearer than this to a limit, x has reached it
CLOSE = 1e-4  # what a Newton step in time may still mend, in x
NOISY_STEP = 0.05  # drift and standard deviation of one step of a noisy path, in x
INNER = (1 - 1 / math.sqrt(5)) / 2  # the first inner node of the rule; its weights are 1, 5, 5, 1 twelfths


def rate(p: Any, x: float, v: float) -> Rates:  # type: ignore[empty-body]
    """Rate f [1/s], current [A] and noise [1/s^0.5] of a cell with parameters ``p``: dx = f dt + noise dW.

    A name without a body: when Numba compiles the driver, it takes the function that `rate_of` registered
    for the fields of the record ``p``.
    """


def rate_of(model: type) -> Callable[[Callable[[Any, float, float], Rates]], Any]:
    """Decorator that makes a function the `rate` of a model; its arguments are named p, x and v.

    Numba's cache of the driver does not notice that such a function has changed: touch this file then.
    """
    names = {field.name for field in fields(model)}

    def register(function: Callable[[Any, float, float], Rates]) -> Callable[[Any, float, float], Rates]:
        @overload(rate, jit_options={"error_model": "numpy"})
        def choose(p: Any, x: float, v: float) -> Callable[[Any, float, float], Rates] | None:
            return function if set(p.fields) == names else None

        return function

    return register


@njit(cache=True, error_model="numpy")
def advance(
    p: Any, x: float, v: float, dt: float, low: float, high: float, key: int, draw: int
) -> tuple[float, float, float, float, int]:
    """Move one cell through ``dt`` seconds at a constant voltage.

    Args:
        p: Record of parameters.
        x: State.
        v: Voltage [V].
        dt: Duration [s]; may be inf.
        low: Lowest x.
        high: Highest x.
        key: Key of the noise; negative: no noise.
        draw: Number of the next random number.

    Returns:
        State and current [A] at the end, charge [C], time [s] until a limit was reached or else ``dt``, and
        the number of the next random number.
    """
    t, charge = 0.0, 0.0
    f, i, noise = rate(p, x, v)
    while key >= 0 and noise > 0 and t < dt:  # Euler and Maruyama: steps are chosen before the draw
        h = min(dt - t, (NOISY_STEP / noise) ** 2)
        if f != 0 and (high - x if f > 0 else x - low) > 0:
            h = min(h, NOISY_STEP / abs(f))
        x = min(max(x + f * h + noise * math.sqrt(h) * normal(key, draw), low), high)
        draw += 1
        charge += i * h
        t = dt if h == dt - t else t + h
        f, i, noise = rate(p, x, v)
    dx = f * (dt - t)
    while t < dt:
        room = high - x if f > 0 else x - low
        if room < ARRIVED:
            return x, i, charge + i * (dt - t), t, draw
        if abs(f) * (dt - t) < ARRIVED or f == 0:
            return x + f * (dt - t), i, charge + i * (dt - t), dt, draw
        longest = min(PIECE, room)
        dx = min(max(dx, -longest), longest)
        f_end, i_end, _ = rate(p, x + dx, v)
        bend = abs(math.log(f_end / f)) if f_end / f > 0 else math.inf
        bend = max(bend, abs(math.log(i_end / i)))
        if bend > BEND:
            dx *= min(0.5, 0.9 * BEND / bend) if bend < math.inf else 0.5
            if abs(dx) < ARRIVED:  # the rate drops to zero here
                return x, i, charge + i * (dt - t), dt, draw
            continue
        f_1, i_1, _ = rate(p, x + INNER * dx, v)
        f_2, i_2, _ = rate(p, x + (1 - INNER) * dx, v)
        took = dx / 12 * (1 / f + 5 / f_1 + 5 / f_2 + 1 / f_end)
        rest = dt - t - took
        if rest < 0 and -rest * abs(f_end) > CLOSE:  # time is up inside: guess where, with ln f linear in x
            a = math.log(f_end / f)
            share = (dt - t) / took
            dx *= share if abs(a) < 1e-6 else -math.log1p(share * math.expm1(-a)) / a
            continue
        x += dx
        t += took
        charge += dx / 12 * (i / f + 5 * i_1 / f_1 + 5 * i_2 / f_2 + i_end / f_end)
        f, i = f_end, i_end
        if abs(rest * f) <= CLOSE:
            return min(max(x + rest * f, low), high), i, charge + i * rest, dt, draw
        dx *= min(2.0, 0.9 * BEND / bend) if bend > 0 else 2.0
    return x, i, charge, dt, draw


@njit(cache=True, parallel=True, error_model="numpy")
def drive(
    params: npt.NDArray[np.void],
    x: Array,
    low: Array,
    high: Array,
    v: Array,
    dt: Array,
    n_steps: int,
    key: int,
) -> tuple[Array, Array, Array]:
    """Move every cell through every step.

    Args:
        params: Records (1,) or (n_cells,).
        x: States (n_cells,).
        low: Lowest x (1,) or (n_cells,).
        high: Highest x (1,) or (n_cells,).
        v: Voltages (1 or n_steps, 1 or n_cells) [V].
        dt: Durations (1 or n_steps, 1 or n_cells) [s].
        n_steps: Number of steps.
        key: Key of the noise; negative: no noise.

    Returns:
        x, currents [A] at the end and energies [J] of every step, float64 (n_steps, n_cells) each.
    """
    shape = (n_steps, len(x))
    states, amperes, joules = np.empty(shape), np.empty(shape), np.empty(shape)
    for cell in prange(len(x)):
        p = params[cell % len(params)]
        now = x[cell]
        draw = int(cell) << 32
        for step in range(n_steps):
            volt = v[step % v.shape[0], cell % v.shape[1]]
            span = dt[step % dt.shape[0], cell % dt.shape[1]]
            bottom, top = low[cell % len(low)], high[cell % len(high)]
            now, i, charge, _, draw = advance(p, now, volt, span, bottom, top, key, draw)
            states[step, cell], amperes[step, cell], joules[step, cell] = now, i, volt * charge
    return states, amperes, joules


@njit(cache=True, parallel=True, error_model="numpy")
def times(params: npt.NDArray[np.void], x: Array, v: Array, target: Array) -> Array:
    """Time [s] that every cell needs from x to its target at its voltage, float64 (n_cells,)."""
    out = np.empty(len(x))
    for cell in prange(len(x)):
        p = params[cell % len(params)]
        low, high = min(x[cell], target[cell]), max(x[cell], target[cell])
        end, _, _, t, _ = advance(p, x[cell], v[cell], math.inf, low, high, -1, 0)
        out[cell] = t if abs(end - target[cell]) < ARRIVED else math.inf
    return out


@njit(cache=True, parallel=True, error_model="numpy")
def currents(params: npt.NDArray[np.void], x: Array, v: Array) -> Array:
    """Current [A] of every cell in its state at its voltage, float64 (n_cells,)."""
    out = np.empty(len(x))
    for cell in prange(len(x)):
        out[cell] = rate(params[cell % len(params)], x[cell], v[cell])[1]
    return out

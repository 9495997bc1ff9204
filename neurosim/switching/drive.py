"""Switching physics: what a voltage over time does to the states of many cells.

A model is a frozen dataclass of parameters (`Vteam`, `StanfordPku`, `JartVcm1b`) with one state x per cell,
dx/dt = f(x, v), and a current i(x, v). Any parameter may be an array with one value per cell; ``r_series``
stands for an access transistor in its linear region, so that a 1T1R array is driven like any other.

    >>> import numpy as np
    >>> from neurosim.switching import JartVcm1b, apply_pulses, conductance, iv_loop, set_time
    >>> cell = JartVcm1b()
    >>> v, loop = iv_loop(cell, cell.n_min, -1.5, 1.5)  # 0 .. -1.5 .. 0 .. 1.5 .. 0 V at 1 V/s
    >>> t_set = set_time(cell, cell.n_min, [-0.5, -0.7, -0.9], target=1e26)  # [s]
    >>> array = JartVcm1b(r_series=2e3)
    >>> train = apply_pulses(array, np.full((4, 4), 2e27), 1.2, 1e-6, n_pulses=10)  # RESET, ten pulses
    >>> g = conductance(array, train.state[-1], 0.2)  # (4, 4) [S]
"""

import math
from dataclasses import Field, astuple, dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from neurosim.errors import OutOfRangeError, ShapeError
from neurosim.switching.kernels import Array, currents, drive, times

Parameter = float | Array


class Model(Protocol):
    """What the driver needs to know of a model, beside the function that it registers by `rate_of`."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def limits(self) -> tuple[Parameter, Parameter]:
        """Lowest and highest state, in its own unit."""

    def encode(self, state: Array) -> Array:
        """The state as the driver's x, a number of order one."""

    def decode(self, x: Array) -> Array:
        """The state that belongs to x."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What a waveform or a train of pulses did.

    Attributes:
        state: float64 (n_steps, *cells), state at the end of every step, in the model's unit.
        current: float64 (n_steps, *cells) [A], just before the end of every step.
        energy: float64 (n_steps, *cells) [J], integral of v i dt over every step; with what r_series takes.
    """

    state: Array
    current: Array
    energy: Array


def apply_waveform(
    model: Model,
    state: npt.ArrayLike,
    v: npt.ArrayLike,
    dt: npt.ArrayLike,
    *,
    key: int | None = None,
) -> Trace:
    """Drive every cell with a sampled voltage.

    Args:
        model: Model and its parameters.
        state: States (*cells), in the model's unit.
        v: Voltages (n_steps,), the same for all cells, or (n_steps, *cells) [V].
        dt: Duration of every step, a number or (n_steps,) [s].
        key: int of a random stream (`neurosim.rng.key`), another one for every call; without it a model's
            noise is off.

    Raises:
        ShapeError: If the shapes disagree.
        OutOfRangeError: If a state is outside the model's limits, or a duration is not positive.

    Assumes: the voltage stands still during a step; a cell feels no neighbour.
    """
    state = np.asarray(state, np.float64)
    v, dt = np.asarray(v, np.float64), np.atleast_1d(np.asarray(dt, np.float64))
    if v.ndim == 0 or v.shape[1:] not in ((), state.shape) or dt.shape not in ((1,), v.shape[:1]):
        raise ShapeError(
            f"v {v.shape} and dt {dt.shape} do not fit states {state.shape}; v is (n_steps,) or "
            "(n_steps, *cells), dt a number or (n_steps,)"
        )
    return _run(model, state, v.reshape(len(v), -1), dt.reshape(-1, 1), len(v), key)


def apply_pulses(
    model: Model,
    state: npt.ArrayLike,
    amplitude: npt.ArrayLike,
    width: npt.ArrayLike,
    n_pulses: int = 1,
    *,
    key: int | None = None,
) -> Trace:
    """Drive every cell with equal rectangular pulses.

    Args:
        model: Model and its parameters.
        state: States (*cells), in the model's unit.
        amplitude: A number, or one per cell (*cells) [V]; 0 leaves a cell as it is.
        width: A number, or one per cell (*cells) [s].
        n_pulses: Number of pulses, one step of the trace each.
        key: As in `apply_waveform`.

    Raises:
        ShapeError: If the shapes disagree.
        OutOfRangeError: If a state is outside the model's limits, or a width is not positive.

    Assumes: instant edges; nothing happens between two pulses.
    """
    state = np.asarray(state, np.float64)
    amplitude, width = np.asarray(amplitude, np.float64), np.asarray(width, np.float64)
    for name, value in (("amplitude", amplitude), ("width", width)):
        if value.shape not in ((), state.shape):
            raise ShapeError(f"{name} {value.shape} is neither a number nor one per cell {state.shape}")
    return _run(model, state, amplitude.reshape(1, -1), width.reshape(1, -1), n_pulses, key)


def current(model: Model, state: npt.ArrayLike, v: npt.ArrayLike) -> Array:
    """Current [A] through cells in a given state; ``state`` and ``v`` [V] broadcast."""
    state, v = np.broadcast_arrays(np.asarray(state, np.float64), np.asarray(v, np.float64))
    x, _, _ = _encoded(model, state)
    return currents(_records(model, state.shape), x, np.ravel(v)).reshape(state.shape)


def conductance(model: Model, state: npt.ArrayLike, v_read: float) -> Array:
    """Conductance i/v [S] of cells read at ``v_read`` [V], which does not disturb them.

    Raises:
        OutOfRangeError: If ``v_read`` is 0, or a state is outside the model's limits.
    """
    if v_read == 0:
        raise OutOfRangeError("v_read is 0 V, where a conductance i/v is undefined; read at e.g. 0.1 V")
    return current(model, state, v_read) / v_read


def iv_loop(
    model: Model,
    state: npt.ArrayLike,
    v_first: float,
    v_second: float,
    *,
    ramp: float = 1.0,
    n_points: int = 400,
    key: int | None = None,
) -> tuple[Array, Trace]:
    """Hysteresis loop: 0, ``v_first``, 0, ``v_second``, 0 V at a constant ramp.

    Args:
        model: Model and its parameters.
        state: States (*cells) at the start.
        v_first: First peak [V].
        v_second: Second peak [V].
        ramp: Speed of the voltage [V/s].
        n_points: Points of each of the four branches.
        key: As in `apply_waveform`.

    Returns:
        Voltages float64 (4 n_points,) [V], and the trace whose currents belong to them.
    """
    rise = np.linspace(1 / n_points, 1, n_points)
    fall = 1 - rise
    v = np.concatenate([v_first * rise, v_first * fall, v_second * rise, v_second * fall])
    dt = np.abs(np.diff(v, prepend=0.0)) / ramp
    return v, apply_waveform(model, state, v, dt, key=key)


def set_time(model: Model, state: npt.ArrayLike, v: npt.ArrayLike, target: npt.ArrayLike) -> Array:
    """Time [s] at a constant voltage until the state has reached a target; inf where it never does.

    t = integral from state to target of dx / f(x, v): SET, RESET and read disturb alike.

    Args:
        model: Model and its parameters; noise is off.
        state: States at the start.
        v: Voltages [V].
        target: States to be reached. All three broadcast.

    Raises:
        OutOfRangeError: If a state or target is outside the model's limits.
    """
    state, v, target = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (state, v, target)))
    x, _, _ = _encoded(model, state)
    goal, _, _ = _encoded(model, target)
    return times(_records(model, state.shape), x, np.ravel(v), goal).reshape(state.shape)


def _records(model: Model, shape: tuple[int, ...]) -> npt.NDArray[np.void]:
    """The parameters for kernels: one record for all cells, or one per cell."""
    values = [np.asarray(value, np.float64) for value in astuple(model)]
    per_cell = any(value.ndim for value in values)
    dtype = np.dtype([(field.name, np.float64) for field in fields(model)], align=True)
    records = np.empty(math.prod(shape) if per_cell else 1, dtype)
    for name, value in zip(dtype.names or (), values, strict=True):
        if value.shape not in ((), shape):
            raise ShapeError(f"{name} {value.shape} is neither a number nor one per cell {shape}")
        records[name] = value.ravel() if value.ndim else value
    return records


def _encoded(model: Model, state: Array) -> tuple[Array, Array, Array]:
    """States, lowest and highest states as x; the limits have one value, or one per cell."""
    low, high = (np.asarray(limit, np.float64) for limit in model.limits)
    outside = np.flatnonzero(~((low <= state) & (state <= high)))
    if outside.size:
        cell = outside[0]
        low, high = (np.broadcast_to(limit, state.shape).flat[cell] for limit in (low, high))
        raise OutOfRangeError(
            f"state {state.flat[cell]:g} of cell {cell} is outside {low:g} .. {high:g}, the limits of "
            f"{type(model).__name__}; change the state or the model's limits"
        )
    x, bottom, top = (np.ascontiguousarray(model.encode(a)).ravel() for a in (state, low, high))
    return x, bottom, top


def _run(model: Model, state: Array, v: Array, dt: Array, n_steps: int, key: int | None) -> Trace:
    if not (dt > 0).all():
        raise OutOfRangeError(f"a duration of {dt.min():g} s is not positive; leave that step out")
    x, low, high = _encoded(model, state)
    result = drive(_records(model, state.shape), x, low, high, v, dt, n_steps, -1 if key is None else key)
    states, amperes, joules = (a.reshape(n_steps, *state.shape) for a in result)
    return Trace(np.clip(model.decode(states), *model.limits), amperes, joules)

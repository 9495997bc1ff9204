"""The weights of some chips in the kernel's layout.

The crossbars stand side by side: a row holds the columns of all chips, so that pair (row, column) of chip c
is pair (row, c * n_columns + column), and a channel drives all chips in one go. Neurons follow their columns.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.reservoir.kernel import Rows
from neurosim.reservoir.liquid import Weights
from neurosim.reservoir.wiring import Index, Synapses, Wiring

# A run costs as much as this many bytes of a dense row (measured: about 4 ns against 0.02 ns a byte).
ADD_BYTES = 150
CACHE_LINE = 64

Array = npt.NDArray[Any]


@lru_cache(maxsize=2)  # homeostasis comes back with the same weights
def side_by_side(chips: tuple[Weights, ...]) -> tuple[Rows, Rows]:
    """Input and recurrent weights of chips of one shape: dense rows, or runs where they are sparse."""
    none = np.zeros(chips[0].q_in.size, np.uint8)
    noisy = any(len(chip.variance) for chip in chips)
    variances = [chip.variance if len(chip.variance) else none for chip in chips] if noisy else []
    wirings = [chip.wiring for chip in chips]
    return (
        _rows([w.inputs for w in wirings], [chip.q_in for chip in chips], variances, wirings[0]),
        _rows([w.recurrent for w in wirings], [chip.signed for chip in chips], variances, wirings[0]),
    )


def _rows(
    sides: Sequence[Synapses | None], q: Sequence[Array], variances: Sequence[Array], wiring: Wiring
) -> Rows:
    """Rows of one side; its channels drive all chips, its neurons their own chip."""
    dtype, n_chips, own = q[0].dtype, len(q), sides[0] is not wiring.inputs
    none, no_variance = np.empty((0, 0), dtype), np.empty((0, 0), np.uint8)
    synapses = tuple(side for side in sides if side is not None)
    if not synapses:
        empty, ptr = np.empty(0, np.int32), np.zeros(n_chips * wiring.n_neurons + 1, np.int32)
        return Rows(none, no_variance, ptr, empty, empty, empty, none.ravel(), no_variance.ravel())
    bank, spread = (_joined(each, wiring.shape) for each in (q, variances))
    ptr, post, start, length = _runs(synapses, wiring.shape[1], own)
    work = len(length) * ADD_BYTES + int(length.sum()) * dtype.itemsize
    if work < (len(ptr) - 1) * n_chips * wiring.n_neurons * dtype.itemsize:
        return Rows(none, no_variance, ptr, post, start, length, bank, spread)
    dense, variance = (_dense(synapses, each, wiring, own) for each in (q, variances))
    return Rows(dense, variance, ptr, post, start, length, bank[:0], spread[:0])


def _joined(banks: Sequence[Array], shape: tuple[int, int]) -> Array:
    """Pairs of all chips, flat: row by row, in a row chip by chip."""
    if not banks:
        return np.empty(0, np.uint8)
    return np.stack([bank.reshape(shape) for bank in banks], axis=1).ravel()


def _beside(at: Array, width: int, chip: int, n_chips: int) -> Array:
    """Where a chip's neurons or pairs stand among those of all chips, of which each has ``width`` columns."""
    places: Array = at + (at // width * (n_chips - 1) + chip) * width
    return places


@lru_cache(maxsize=8)  # a wiring is read many times
def _runs(sides: tuple[Synapses, ...], width: int, own: bool) -> tuple[Index, Index, Index, Index]:
    """``Synapses.runs`` of the chips side by side; no run of a chip leaves a row of its crossbar."""
    n = len(sides)
    if n == 1:
        return sides[0].runs
    parts = []
    for chip, side in enumerate(sides):
        ptr, post, start, length = side.runs
        pre = np.repeat(np.arange(side.n_pre), np.diff(ptr)) + chip * side.n_pre * own
        post, start = (_beside(at, width, chip, n) for at in (post, start))
        parts.append((pre, post, start, length))
    pre, post, start, length = map(np.concatenate, zip(*parts, strict=True))
    order = np.lexsort((post, pre))
    pre, post, start, length = pre[order], post[order], start[order], length[order]
    joined = (np.diff(pre) == 0) & (np.diff(post) == length[:-1]) & (np.diff(start) == length[:-1])
    first = np.flatnonzero(np.append(len(pre) > 0, ~joined))
    n_pre = sides[0].n_pre * (n if own else 1)
    ptr = np.searchsorted(pre[first], np.arange(n_pre + 1)).astype(np.int32)
    lengths = np.add.reduceat(length, first).astype(np.int32) if len(first) else length
    return ptr, post[first].astype(np.int32), start[first].astype(np.int32), lengths


def _dense(sides: Sequence[Synapses], values: Sequence[Array], wiring: Wiring, own: bool) -> Array:
    """The matrix of all chips with every row on whole cache lines (3 to 5 % faster in int8), 0 beyond."""
    if not values:
        return np.empty((0, 0), np.uint8)
    n_chips, n, width = len(values), wiring.n_neurons, wiring.shape[1]
    n_pre, dtype = sides[0].n_pre, values[0].dtype
    n_rows = n_pre * (n_chips if own else 1)
    line = -(-n_chips * n * dtype.itemsize // CACHE_LINE) * CACHE_LINE
    memory = np.zeros(n_rows * line + CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE
    rows = memory[first : first + n_rows * line].view(dtype).reshape(n_rows, -1)
    for chip, (side, value) in enumerate(zip(sides, values, strict=True)):
        columns, top = _beside(np.arange(n), width, chip, n_chips), chip * n_pre * own
        rows[top : top + n_pre, columns] = side.matrix(value, n)
    return rows

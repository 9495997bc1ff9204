"""Conductances of whole populations of cells, a hundred million at a time, none of which is kept.

A conductance depends on (key, cell, read) only, so any part of a population can be drawn alone, on any
number of threads, to the same bits.
"""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from neurosim import rng
from neurosim.counter import LN2, _bits, _float, fill_normals
from neurosim.errors import OutOfRangeError

Array = npt.NDArray[np.float32]

BLOCK = 2048  # cells that share one block of random numbers; two blocks stay in the L1 cache
READS = 2**23  # reads of one cell
CELLS = BLOCK * 2**40  # cells of one population


def sample_conductances(
    shape: int | tuple[int, ...],
    g_mean: float,
    sigma_d2d: float,
    sigma_read: float = 0.0,
    *,
    seed: int,
    name: str,
    distribution: Literal["normal", "lognormal"] = "lognormal",
    first_cell: int = 0,
    read: int = 0,
) -> Array:
    """Conductances [S] of a population of cells as one read sees them.

    G = g_cell (1 + sigma_read xi_read),  g_cell = g_mean exp(s xi - s^2/2), s^2 = ln(1 + sigma_d2d^2), or
    for a normal spread g_cell = g_mean max(0, 1 + sigma_d2d xi). Both have mean g_mean and relative standard
    deviation sigma_d2d. xi belongs to the cell, xi_read to the cell and the read.

    Args:
        shape: Number or shape of the cells.
        g_mean: Mean conductance [S].
        sigma_d2d: Spread from device to device, relative to the conductance [1].
        sigma_read: White read noise, relative to the conductance [1].
        seed: Seed of the experiment.
        name: Stream prefix, e.g. ``"yield"``.
        distribution: Law of the spread.
        first_cell: Number of the first cell in the population.
        read: Number of the read.

    Returns:
        float32 of ``shape`` [S].

    Raises:
        OutOfRangeError: If a parameter leaves its range.

    Assumes: cells independent, read noise white and normal; the normal numbers end at 6.7 sigma.
    Source: laws as in `neurosim.device.conductance.spread`; numbers as in `neurosim.counter`.
    """
    n = math.prod(shape) if isinstance(shape, tuple) else shape
    for what, value, high in (
        ("g_mean", g_mean, 0.1),
        ("sigma_d2d", sigma_d2d, 10.0),
        ("sigma_read", sigma_read, 10.0),
        ("read", read, READS - 1),
        ("first_cell", first_cell, CELLS - n),
    ):
        if not 0 <= value <= high:
            raise OutOfRangeError(f"{what} = {value:g} is outside 0 .. {high:g}; choose a value inside")
    spread = math.sqrt(math.log1p(sigma_d2d**2)) if distribution == "lognormal" else sigma_d2d
    out = np.empty(n, np.float32)
    keys = rng.key(seed, f"{name}/d2d"), rng.key(seed, f"{name}/read")
    law = np.float32(g_mean), np.float32(spread), np.float32(sigma_read)
    fill_conductances(*keys, *law, distribution == "lognormal", first_cell, read, out)
    return out.reshape(shape)


@njit(cache=True, error_model="numpy")
def exp2(x: np.float32) -> np.float32:
    """2^x in float32, for |x| < 126: 2^k 2^f with |f| <= 1/2 and the series of e^(f ln 2)."""
    k = (x + np.float32(1.5 * 2**23)) - np.float32(1.5 * 2**23)  # rounds to an integer
    r = (x - k) * LN2
    series = np.float32(1 / 24) + r * (np.float32(1 / 120) + r * np.float32(1 / 720))
    series = np.float32(1) + r * (
        np.float32(1) + r * (np.float32(0.5) + r * (np.float32(1 / 6) + r * series))
    )
    return _float(np.int32(_bits(series) + (np.int32(k) << np.int32(23))))  # type: ignore[call-arg]


@njit(cache=True, parallel=True, error_model="numpy")
def fill_conductances(
    key: int,
    read_key: int,
    g_mean: np.float32,
    spread: np.float32,
    sigma_read: np.float32,
    lognormal: bool,
    first_cell: int,
    read: int,
    out: Array,
) -> None:
    """Fill ``out`` as `sample_conductances` says; ``spread`` is s where the law is lognormal."""
    slope = spread / LN2
    offset = np.float32(-0.5) * spread * slope
    first_block = first_cell // BLOCK
    n_blocks = (first_cell + len(out) + BLOCK - 1) // BLOCK - first_block
    for b in prange(n_blocks):
        block = first_block + b
        low = max(block * BLOCK, first_cell)
        high = min((block + 1) * BLOCK, first_cell + len(out))
        xi = np.empty(BLOCK, np.float32)
        part, mine = out[low - first_cell : high - first_cell], xi[low - block * BLOCK : high - block * BLOCK]
        fill_normals(key, block, xi)
        if lognormal:
            for i in range(len(part)):
                part[i] = g_mean * exp2(slope * mine[i] + offset)
        else:
            for i in range(len(part)):
                part[i] = g_mean * max(np.float32(0), np.float32(1) + spread * mine[i])
        if sigma_read > 0:
            fill_normals(read_key, (read << 40) + block, xi)
            for i in range(len(part)):
                part[i] *= np.float32(1) + sigma_read * mine[i]

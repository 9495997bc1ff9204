"""Wire resistance (IR drop): exact currents of a crossbar, and the matrix that its linear network is.

Source V_i feeds word line i at column 0 (``drive="both"``: at the last column, too), bit line j ends below
the last row in a virtual ground, and cell (i, j) joins word node u_ij to bit node v_ij:

    source -- r_source + r_row -- u_i0 -- r_row -- u_i1 -- ... -- u_i,n-1 (-- r_row + r_source -- source)
    v_0j -- r_col -- v_1j -- ... -- v_m-1,j -- r_col + r_sense -- ground, through which I_j flows.

There is one segment before the first node and one behind the last, so r_source = r_sense = 0 is the network
to which other simulators give one "interconnect resistance". Any of the four may be 0.

Use `solve` for a few input vectors and `effective_conductance` once for many. Both treat passive arrays,
whose idle rows are held at 0 V by their drivers, and 1T1R arrays with gated word lines, whose idle rows carry
nothing.

Assumes: direct current, linear cells (but for `solve_nonlinear`), uniform wires, ideal sources and grounds.
Source: Kirchhoff's laws.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt

from neurosim.array import wire_kernels
from neurosim.errors import ExperimentError, OutOfRangeError, ShapeError, did_you_mean

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]

MAX_ITERATIONS = 1000  # of the conjugate gradients, which take 17 at 98 % loss
MAX_SECANTS = 100


@dataclass(frozen=True)
class Wires:
    """Resistances [ohm] of the wires of an array, all 0 or more.

    Attributes:
        r_row: A segment of a word line, from column to column.
        r_col: A segment of a bit line, from row to row.
        r_source: Driver of a row, in series with the first segment (at both ends, if driven from both).
        r_sense: Sense amplifier of a column, in series with the last segment.
        drive: Word lines driven from ``one`` end (column 0) or from ``both``.

    Raises:
        OutOfRangeError: If a resistance is negative or not finite.
        ExperimentError: If ``drive`` is neither.
    """

    r_row: float
    r_col: float
    r_source: float = 0.0
    r_sense: float = 0.0
    drive: Literal["one", "both"] = "one"

    def __post_init__(self) -> None:
        """Check the values and make them floats, for which the kernels are compiled."""
        for name in ("r_row", "r_col", "r_source", "r_sense"):
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise OutOfRangeError(
                    f"{name} = {value:g} ohm; a wire has 0 or more, and a finite resistance"
                )
            object.__setattr__(self, name, float(value))
        if self.drive not in ("one", "both"):
            raise ExperimentError(
                f"drive = '{self.drive}'; word lines are driven from 'one' end or from 'both'"
            )


def solve(
    g: npt.ArrayLike,
    v: npt.ArrayLike,
    wires: Wires,
    *,
    active: npt.ArrayLike | None = None,
    tol: float = 1e-8,
) -> Array:
    """Exact column currents of a batch of input vectors.

    Conjugate gradients on the bit nodes, preconditioned by the bit lines alone; word lines are eliminated
    exactly. 1 iteration at 2 % loss of current, 10 at 93 %, each O(rows cols). Vectors run in parallel, with
    the same bits for any number of threads.

    Args:
        g: Conductances [S], (rows, cols), 0 or more.
        v: Voltages of the row drivers [V], (batch, rows) or (rows,).
        wires: Resistances.
        active: bool (batch, rows) or (rows,). Rows that are not active are cut off by their transistors
            (1T1R, gated word lines), and cost no work. None: a passive array, where every driver holds its
            row at its voltage, be it 0.
        tol: Residual expected after the last step, which is not checked (before it: at most 100 times that),
            over that of no voltage on the bit lines, in the norm sqrt(r . B^-1 r). The error of the currents,
            over their largest, was tol/1000 in the median of 1,500 random arrays and 14 tol in the worst.

    Returns:
        (batch, cols) [A].

    Raises:
        ShapeError: If the shapes disagree.
        OutOfRangeError: If a conductance is negative, a number not finite, or ``tol`` cannot be reached.

    Assumes: see the module.
    Source: Kirchhoff's laws; conjugate gradients of Hestenes & Stiefel 1952 (doi:10.6028/jres.049.044).
    """
    g, v, rows = _check(g, v, active)
    return _solve(g, v, wires, rows, tol)[0]


def node_voltages(
    g: npt.ArrayLike,
    v: npt.ArrayLike,
    wires: Wires,
    *,
    active: npt.ArrayLike | None = None,
    tol: float = 1e-8,
) -> tuple[Array, Array]:
    """Voltages of all word nodes u and bit nodes v, each (batch, rows, cols) [V]; arguments as `solve`.

    A cell is under u - v. Nodes of rows that are not active have the voltage that a probe would find there.
    """
    g, v, rows = _check(g, v, active)
    if rows is None:
        nodes = _solve(g, v, wires, None, tol, want_nodes=True)[1]
    else:
        batch = zip(v, np.broadcast_to(rows, v.shape), strict=True)
        nodes = np.concatenate(
            [_solve(g * on[:, None], x[None], wires, None, tol, want_nodes=True)[1] for x, on in batch]
        )
    return nodes[:, 0], nodes[:, 1]


def effective_conductance(g: npt.ArrayLike, wires: Wires, *, activity: float | None = None) -> Array:
    """The array with its wires as one matrix: I = G_eff^T V.

    Passive array (``activity`` None): exact, for the network is linear; row i is the currents at V = e_i.

    Gated rows (1T1R): no matrix is exact, for idle rows leave the network, and with them their load. With
    ``activity`` p it is the mean field of reads that drive every row with probability p, all at one voltage:
    an active row loads its word line fully, a bit line is fed by the share p of its rows,

        G_eff,ij = G_ij (u_ij - v_ij) at V = 1 V,   W u = D v + V/R_source,   B_0 v = p D (u - v),

    where W is a word line with its cells D = diag(G) and B_0 a bit line without. That is the passive network
    with r_col and r_sense times p: one solve in all. The sum over active rows is exact where bit lines have
    no resistance, and where p = 1 and all rows are active; otherwise an approximation, whose error
    `mean_field_error` measures and `gated_bounds` bounds. Measured root mean square for p = 0.05 to 0.5:
    0.1 % of the mean current at 1 % loss, 0.2 % at 4 %, 0.3 to 1.2 % at 13 to 17 %, 1.3 to 1.9 % at 35 to
    44 %; of that, 0 to 0.6 % bias.

    Args:
        g: Conductances [S], (rows, cols).
        wires: Resistances.
        activity: Share of the rows that a read drives, in (0, 1]; None: passive.

    Returns:
        (rows, cols) [S]; passive: within 1e-7 of the largest; gated: 0 where G is 0, and below 0 for the few
        cells that carry a current backwards, from a bit line of stronger cells into a drained word line.

    Raises:
        ShapeError: If ``g`` is not a matrix.
        OutOfRangeError: If ``activity`` lies outside (0, 1], or as `solve`.

    Assumes: see above.
    Source: superposition; the mean field is ours.
    """
    g = _matrix(g)
    if activity is None:
        return _solve(g, np.eye(len(g)), wires, None, 1e-8)[0]
    u, v = node_voltages(g, np.ones(len(g)), _thinned(wires, activity))
    return np.asarray(g * (u - v)[0])


def read_noise_transfer(g: npt.ArrayLike, wires: Wires, *, activity: float | None = None) -> Array:
    """How much of a cell's own noise reaches its column: t = alpha a [1].

        sigma^2(I_j) = sum_i V_i^2 (sigma_ij t_ij)^2,     G_eff(t) = G_eff + t (G(t) - G)  to first order.

    alpha is the share of the read voltage that lies on the cell while all rows are driven alike (with
    ``activity`` p, of the mean field of `effective_conductance`). a is the share of a current injected across
    the cell that its column collects (the adjoint): with K_ij the resistance that node (i, j) of word line i
    sees, bit lines grounded, cell included, a cell loads its bit line by G' = G (1 - G K), so

        a_ij = (1 - G_ij K_ij) * product over the links k >= i of c_kj   (c of the ladder of loads G').

    Args:
        g: Conductances [S], (rows, cols).
        wires: Resistances.
        activity: As `effective_conductance`.

    Returns:
        (rows, cols), at most 1; below 0 for the few cells that carry a current backwards.

    Raises:
        As `effective_conductance`.

    Assumes: small changes, independent from cell to cell; inputs of one size; a cell disturbs only its own
        column (the others stay at their voltage).
    Source: first-order perturbation and reciprocity (Tellegen's theorem); Monte-Carlo of exact solves in
        tests/physics/test_wire_laws.py.
    """
    g = _matrix(g)
    thinned = wires if activity is None else _thinned(wires, activity)
    u, v = node_voltages(g, np.ones(len(g)), thinned)
    own = 1 - g * _word_resistance(g, wires)
    rows, link = _row_set(np.arange(len(g)), len(g), thinned)
    c = np.empty((len(rows), g.shape[1]))
    wire_kernels.factorise(_padded(g * own), rows, link, c)
    adjoint = own * np.cumprod(c[::-1], axis=0)[: len(g)][::-1]
    return np.asarray((u - v)[0] * adjoint)


def gated_bounds(g: npt.ArrayLike, active: npt.ArrayLike, wires: Wires) -> tuple[Array, Array]:
    """Bounds of I_j/V for gated rows that are all driven by the same V > 0, each (batch, cols) [S].

    Upper: the bit lines alone, fed by word lines without resistance, u = V. Lower: the bit lines alone, fed
    by the voltages that the word lines have if all bit lines are at ground. Each is one sweep over the cells.

    Proof. For the active rows, W u = D v + s and B v = D u with sources s >= 0. W and B are M-matrices: their
    inverses have no negative entry. No node is above the sources, u <= V, so v = B^-1 D u <= B^-1 D V. And
    v >= 0, so u = W^-1 (D v + s) >= W^-1 s =: u_0 and v >= B^-1 D u_0. The current of a column is the voltage
    of its last node over a resistance, and grows with v.

    Args:
        g: Conductances [S], (rows, cols).
        active: bool (batch, rows) or (rows,).
        wires: Resistances.

    Returns:
        The lower and the upper bound.

    Raises:
        ShapeError: If the shapes disagree.
        OutOfRangeError: If a conductance is negative or not finite.

    Assumes: see the module.
    Source: comparison principle for M-matrices, as above.
    """
    on = np.atleast_2d(np.asarray(active))
    g, _, _ = _check(g, np.ones(on.shape), on)
    rows = np.append(np.full(-len(g) % wire_kernels.LANES, len(g)), np.arange(len(g)))
    u = np.empty((len(rows), g.shape[1]))
    wire_kernels.word_voltages(
        _network(g, wires), rows, (rows < len(g)).astype(np.float64), np.zeros_like(u), u
    )
    fed = g * u[len(rows) - len(g) :]
    return _bit_currents(g, fed, on, wires), _bit_currents(g, g, on, wires)


@dataclass(frozen=True)
class MeanFieldError:
    """How far `effective_conductance` of gated rows is off, over reads and columns [1]; 0 without a current.

    Attributes:
        loss: Mean current that the wires take, over the mean current without them.
        bias: Mean of (mean field - exact), over the mean exact current.
        rms: Root mean square of the same.
        worst: Largest of the same.
    """

    loss: float
    bias: float
    rms: float
    worst: float


def mean_field_error(
    g: npt.ArrayLike, active: npt.ArrayLike, wires: Wires, *, activity: float
) -> MeanFieldError:
    """Error of the mean field of gated rows on given reads, against the exact solution.

    Args:
        g: Conductances [S], (rows, cols).
        active: bool (batch, rows), the rows of each read.
        wires: Resistances.
        activity: As `effective_conductance`.

    Raises:
        As `solve` and `effective_conductance`.
    """
    on = np.atleast_2d(np.asarray(active))
    exact = solve(g, np.ones(on.shape), wires, active=on)
    error = on @ effective_conductance(g, wires, activity=activity) - exact
    mean = exact.mean()
    if mean == 0:
        return MeanFieldError(0.0, 0.0, 0.0, 0.0)
    return MeanFieldError(
        loss=float(1 - mean / (on @ _matrix(g)).mean()),
        bias=float(error.mean() / mean),
        rms=float(np.sqrt(np.mean(error**2)) / mean),
        worst=float(np.abs(error).max() / mean),
    )


def solve_nonlinear(
    g: npt.ArrayLike,
    v: npt.ArrayLike,
    wires: Wires,
    v_nonlinear: float,
    *,
    active: npt.ArrayLike | None = None,
    tol: float = 1e-8,
) -> Array:
    """Column currents of cells whose current bends, I = G V_0 sinh(d/V_0) under the voltage d = u - v.

    Secant iteration: solve the linear network of the chords G_k = I(d)/d, d of the iteration before, first of
    d = 0. A cell then carries G_k d instead of I(d); the largest sum of these differences along a column over
    the largest current is how far Kirchhoff's current law is still violated.

    Args:
        g: Conductances at small voltage [S], (rows, cols).
        v: Voltages of the row drivers [V], (batch, rows) or (rows,).
        wires: Resistances.
        v_nonlinear: V_0 [V].
        active: As `solve`.
        tol: Largest such violation [1].

    Returns:
        (batch, cols) [A].

    Raises:
        ShapeError: If the shapes disagree.
        OutOfRangeError: As `solve`, if ``v_nonlinear`` is not positive, or if the iteration does not
            converge, as happens where inputs are many V_0 and the wires take most of them.

    Assumes: see the module, but for the cells; the sinh law, which device cards state as ``v_nonlinear``.
    Source: chord (secant) iteration; tests/physics/test_wire_laws.py compares with a root finder.
    """
    if not 0 < v_nonlinear < np.inf:
        raise OutOfRangeError(f"v_nonlinear = {v_nonlinear:g} V; the sinh law needs a positive voltage")
    g, v, rows = _check(g, v, active)
    currents = np.empty((len(v), g.shape[1]))
    for b, x in enumerate(v):
        on = g if rows is None else g * np.broadcast_to(rows, v.shape)[b][:, None]
        chord = np.ones_like(on)
        for _ in range(MAX_SECANTS):
            out, nodes = _solve(on * chord, x[None], wires, None, tol, want_nodes=True)
            d = (nodes[0, 0] - nodes[0, 1]) / v_nonlinear
            with np.errstate(over="ignore", invalid="ignore"):
                before, chord = chord, np.divide(np.sinh(d), d, out=np.ones_like(d), where=d != 0)
                violation = np.abs(on * (chord - before) * d * v_nonlinear).sum(axis=0).max()
            if violation <= tol * np.abs(out).max() or not np.isfinite(violation):
                break
        if not violation <= tol * np.abs(out).max():
            raise OutOfRangeError(
                f"input vector {b}: cells with v_nonlinear = {v_nonlinear:g} V did not settle in "
                f"{MAX_SECANTS} iterations; lower the input voltages or the wires' resistance"
            )
        currents[b] = out[0]
    return currents


def estimate(g: npt.ArrayLike, v: npt.ArrayLike, wires: Wires, method: Literal["series", "column"]) -> Array:
    """Closed-form approximations of passive arrays driven from one side, for comparison only.

    ``series``: each cell in series with its own weighted lengths of wire (i = 0 is farthest from ground),

        I_ij = V_i / (1/G_ij + A_j + B_i),   A_j = n r_source + r_row sum_{k=0..j} (n - k),
        B_i = (m - i) r_sense + r_col (m - i)(m - i + 1)/2.

    ``column``: bit lines alone, with r_sense, r_row and r_source left out; x_i = V_i / max |V|,

        I_j = sum_i G_ij V_i (1 - c_j (1 - (i/m)^2)),   c = a (0.05 a^2 - 0.2 a + 0.5),
        a_j = m r_col sum_i G_ij |x_i|.

    Mean relative error of the currents at inputs uniform in 0 to 0.2 V, and of ``column`` against the exact
    bit lines alone, for square arrays of |N(0, 8)| uS with 1 ohm segments / U(1, 100) uS with 2 ohm segments:

        size    no wires        series           column           column, bit lines alone
          64    0.018 / 0.28    0.003 / 0.013    0.013 / 0.19     0.004 / 0.06
         128    0.071 / 1.1     0.009 / 0.06     0.053 / 0.65     0.017 / 0.20
         256    0.28  / 4.3     0.022 / 0.16     0.20  / 0.45     0.064 / 0.58
         512    1.1   / 18      0.024 / 0.29     0.67  / 1000     0.20  / 290

    Args:
        g: Conductances [S], (rows, cols).
        v: Voltages of the row drivers [V], (batch, rows) or (rows,).
        wires: Resistances, ``drive="one"``.
        method: See above.

    Returns:
        (batch, cols) [A].

    Raises:
        ExperimentError: If there is no such method, or word lines are driven from both ends.
        ShapeError: If the shapes disagree.
        OutOfRangeError: If a conductance is negative or not finite.

    Assumes: as said; neither form bounds its error, and ``column`` diverges where a is not small.
    Source: series: of the kind of Jeong, Zidan & Lu 2018 (doi:10.1109/TNANO.2017.2784364); column: the
        polynomial of IBM's aihwkit, option ``ir_drop``. Errors: measured, benchmarks/perf/wires.py.
    """
    if method not in ("series", "column"):
        raise ExperimentError(f"method = '{method}'; {did_you_mean(method, ('series', 'column'))}")
    if wires.drive != "one":
        raise ExperimentError(
            f"estimate(method='{method}') knows word lines driven from one end only; use solve()"
        )
    g, v, _ = _check(g, v, None)
    m, n = g.shape
    if method == "series":
        j = np.arange(1, n + 1)
        down = np.arange(m, 0, -1)
        along = n * wires.r_source + wires.r_row * (n * j - j * (j - 1) / 2)
        below = down * wires.r_sense + wires.r_col * down * (down + 1) / 2
        return np.asarray(v @ (g / (1 + g * (along + below[:, None]))))
    largest = np.abs(v).max(axis=1, keepdims=True)
    a = m * wires.r_col * np.divide(np.abs(v), largest, out=np.zeros_like(v), where=largest > 0) @ g
    profile = 1 - (np.arange(m) / m) ** 2
    return np.asarray(v @ g - a * (a * (0.05 * a - 0.2) + 0.5) * ((v * profile) @ g))


# ---- networks ----------------------------------------------------------------------------------------


def _solve(
    g: Array, v: Array, wires: Wires, active: Rows | None, tol: float, *, want_nodes: bool = False
) -> tuple[Array, Array]:
    """Currents (batch, cols) and, if wanted of a passive array, node voltages (batch, 2, rows, cols)."""
    if not 0 < tol < 1:
        raise OutOfRangeError(f"tol = {tol:g}; a relative residual lies between 0 and 1, e.g. 1e-8")
    batch, (m, n) = len(v), g.shape
    sets = [np.arange(m)] if active is None else [np.flatnonzero(on) for on in active]
    laid = [_row_set(rows, m, wires) for rows in sets]
    stop = np.cumsum([len(rows) for rows, _ in laid])
    start = np.append(0, stop[:-1])
    nodes = np.empty((batch if want_nodes else 0, 2, stop[0], n))
    currents, iterations = np.empty((batch, n)), np.empty(batch, np.int64)
    wire_kernels.solve(
        _network(g, wires),
        np.concatenate([rows for rows, _ in laid]),
        np.concatenate([link for _, link in laid]),
        np.full(batch, start),
        np.full(batch, stop),
        np.hstack((v, np.zeros((batch, 1)))),
        tol,
        MAX_ITERATIONS,
        nodes,
        currents,
        iterations,
        # NumPy asks for huge pages, Numba does not: a fifth of the time at 512 x 512
        np.empty((min(batch, numba.get_num_threads()), 5, (stop - start).max(), n)),
    )
    if np.any(iterations == MAX_ITERATIONS):
        raise OutOfRangeError(
            f"tol = {tol:g} was not reached in {MAX_ITERATIONS} iterations; choose a larger one, e.g. 1e-8"
        )
    return currents, nodes[:, :, nodes.shape[2] - m :]


def _network(g: Array, wires: Wires) -> wire_kernels.Network:
    """The array with its word lines factorised; their far end is the last column."""
    r_first, g_far = wires.r_row + wires.r_source, 0.0
    if wires.drive == "both" and wires.r_row > 0:
        g_far = 1 / r_first
    elif wires.drive == "both":  # one node with two drivers
        r_first /= 2
    padded = _padded(g)
    c = wire_kernels.factorise_words(padded, r_first, wires.r_row, g_far)
    return wire_kernels.Network(padded, c, r_first, wires.r_row, g_far)


def _padded(g: Array) -> Array:
    """G with an empty row below."""
    return np.vstack((g, np.zeros(g.shape[1])))


def _row_set(rows: npt.NDArray[np.int64], m: int, wires: Wires) -> tuple[npt.NDArray[np.int64], Array]:
    """Rows padded in front to whole lanes, and the resistance from each to the next or to ground."""
    ends = np.append(rows, m)
    link = wires.r_col * (ends[1:] - ends[:-1])
    link[-1:] += wires.r_sense
    padding = -len(rows) % wire_kernels.LANES
    return np.append(np.full(padding, m), rows), np.append(np.zeros(padding), link)


def _word_resistance(g: Array, wires: Wires) -> Array:
    """Resistance that each node of the word lines sees, bit lines grounded, its own cell included [ohm]."""
    net, n = _network(g, wires), g.shape[1]
    beyond = np.empty_like(g)  # admittance towards the far end, cell included
    beyond[:, -1] = g[:, -1] + net.g_far
    for j in range(n - 2, -1, -1):
        beyond[:, j] = g[:, j] + beyond[:, j + 1] / (1 + net.r_row * beyond[:, j + 1])
    before = np.empty_like(g)  # resistance towards the source
    before[:, 0] = net.r_first
    for j in range(1, n):
        before[:, j] = net.r_row + before[:, j - 1] / (1 + before[:, j - 1] * g[:, j - 1])
    return before / (1 + before * beyond)


def _bit_currents(g: Array, fed: Array, on: Rows, wires: Wires) -> Array:
    """Currents (batch, cols) of the bit lines alone, into whose nodes the rows that are on feed ``fed``."""
    y = np.zeros((len(on), g.shape[1]))
    current = np.zeros_like(y)
    _, link = _row_set(np.arange(len(g)), len(g), wires)
    for g_i, fed_i, on_i, r in zip(g, fed, on.T[:, :, None], link[-len(g) :], strict=True):
        y += g_i * on_i
        current += fed_i * on_i
        through = 1 / (1 + r * y)
        y *= through
        current *= through
    return current


def _thinned(wires: Wires, activity: float) -> Wires:
    """Bit lines that only a share of the rows feeds."""
    if not 0 < activity <= 1:
        raise OutOfRangeError(
            f"activity = {activity:g}; the share of the rows that a read drives is in (0, 1]"
        )
    return replace(wires, r_col=activity * wires.r_col, r_sense=activity * wires.r_sense)


# ---- checks ------------------------------------------------------------------------------------------


def _matrix(g: npt.ArrayLike) -> Array:
    """Conductances as float64, in the order for which the kernels are compiled."""
    matrix = np.ascontiguousarray(g, np.float64)
    if matrix.ndim != 2 or not matrix.size:
        raise ShapeError(f"conductances of shape {matrix.shape}; a crossbar is a matrix (rows, cols)")
    if not (np.isfinite(matrix).all() and matrix.min() >= 0):
        worst = matrix[~(matrix >= 0) | ~np.isfinite(matrix)][0]
        raise OutOfRangeError(f"a conductance is {worst:g} S; every cell has 0 or more, and a finite one")
    return matrix


def _check(
    g: npt.ArrayLike, v: npt.ArrayLike, active: npt.ArrayLike | None
) -> tuple[Array, Array, Rows | None]:
    """Conductances, voltages (batch, rows) and active rows (batch or 1, rows) in their own types."""
    matrix, volts = _matrix(g), np.atleast_2d(np.ascontiguousarray(v, np.float64))
    m = len(matrix)
    if volts.ndim != 2 or volts.shape[1] != m or not volts.size:
        raise ShapeError(f"voltages of shape {np.shape(v)} for {m} rows; give (batch, {m}) or ({m},)")
    if not np.isfinite(volts).all():
        raise OutOfRangeError("a row voltage is not finite; give every row one, 0 V if it idles")
    if active is None:
        return matrix, volts, None
    rows = np.asarray(active)
    if rows.dtype != np.bool_ or np.atleast_2d(rows).shape not in ((1, m), volts.shape):
        raise ShapeError(
            f"active rows are {rows.dtype} of shape {rows.shape}; give bool ({m},) or {volts.shape}"
        )
    return matrix, volts, np.atleast_2d(rows)

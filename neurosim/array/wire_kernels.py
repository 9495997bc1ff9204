"""Kernels of the resistive network: ladders, and conjugate gradients preconditioned by the bit lines.

A line is a ladder: nodes with a cell each, joined by links of resistance R, fed at one end. From the far end
on, y is the admittance seen up to and with a node, c the share that the link behind it lets through, J the
current collected from what is injected into the nodes, b:

    y_k = G_k + c_{k-1} y_{k-1},   c_k = 1 / (1 + R_k y_k),   J_k = b_k + c_{k-1} J_{k-1},

and back from the fed end u_k = c_k (u_{k+1} + R_k J_k). This is the Gaussian elimination of a tridiagonal
system (Thomas' algorithm) in terms of resistances: for positive b only positive terms are added, and R = 0 is
no special case. The energy b . u is the sum of c_k R_k J_k^2, known before the way back.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

LANES = 8  # word lines swept together: their chains of dependent additions overlap
BEST_STEP = 1e-4  # share of r . B^-1 r that a step may be trusted to leave
BLOCK = 32  # word lines turned into columns together: a block stays in the cache


class Network(NamedTuple):
    """One array with its word lines factorised.

    Attributes:
        g: (rows + 1, cols) cell conductances [S]; the last row is empty and pads sets of rows to whole lanes.
        c: (rows + 1, cols) c of the word lines, which are fed at column 0.
        r_first: Resistance between source and column 0 [ohm].
        r_row: Resistance of the other links [ohm].
        g_far: Conductance between source and the last column [S]; 0: driven from one side.
    """

    g: Array
    c: Array
    r_first: float
    r_row: float
    g_far: float


class BitLines(NamedTuple):
    """The bit lines of the rows that take part in a read, factorised.

    Attributes:
        rows: (n,) indices of rows, a multiple of eight of them, those of padding first.
        link: (n,) resistance from each to the next, the last to the virtual ground [ohm].
        c: (n, cols) c of the bit lines.
    """

    rows: Index
    link: Array
    c: Array


class State(NamedTuple):
    """Vectors of the conjugate gradients, (n, cols) each: r = f - S v, z (later q = S p), p and s = B p."""

    r: Array
    z: Array
    p: Array
    s: Array


@njit(cache=True, error_model="numpy")
def factorise(g: Array, rows: Index, link: Array, c: Array) -> None:
    """Fill c of the ladders that are the columns of ``g[rows]``, far end first."""
    y = np.zeros(g.shape[1])
    for k in range(len(rows)):
        g_k, c_k, r = g[rows[k]], c[k], link[k]
        for j in range(len(y)):
            y[j] += g_k[j]
            c_k[j] = 1.0 / (1.0 + r * y[j])
            y[j] *= c_k[j]


@njit(cache=True, error_model="numpy")
def factorise_words(g: Array, r_first: float, r_row: float, g_far: float) -> Array:
    """Return c of the ladders that are the rows of ``g``, far end last, turned block by block."""
    m, n = g.shape
    c = np.empty((m, n))
    turned, turned_c = np.zeros((n, BLOCK)), np.empty((n, BLOCK))
    link = np.full(n, r_row)
    link[-1] = r_first
    for top in range(0, m, BLOCK):
        rows = min(BLOCK, m - top)
        for i in range(rows):
            for j in range(n):
                turned[n - 1 - j, i] = g[top + i, j]
        turned[0] += g_far
        factorise(turned, np.arange(n), link, turned_c)
        for i in range(rows):
            for j in range(n):
                c[top + i, j] = turned_c[n - 1 - j, i]
    return c


@njit(cache=True, error_model="numpy")
def _collect(t: Array, c: Array, j: Any, passed: float) -> float:
    """J of node j, in place of what is injected there; returns what its link lets through."""
    t[j] += passed
    return float(t[j] * c[j])


@njit(cache=True, error_model="numpy")
def _return(t: Array, c: Array, j: Any, u: float, r: float) -> float:
    """Voltage of node j, in place of J, behind a link of resistance r from voltage u."""
    t[j] = c[j] * (u + r * t[j])
    return float(t[j])


@njit(cache=True, error_model="numpy")
def _word_lines(t: Array, net: Network, rows: Index, v: Array) -> None:
    """Voltages of eight word lines, in place of the currents injected into their nodes; v: of the sources."""
    c = net.c
    t0, t1, t2, t3, t4, t5, t6, t7 = t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]
    c0, c1, c2, c3 = c[rows[0]], c[rows[1]], c[rows[2]], c[rows[3]]
    c4, c5, c6, c7 = c[rows[4]], c[rows[5]], c[rows[6]], c[rows[7]]
    u0 = u1 = u2 = u3 = u4 = u5 = u6 = u7 = 0.0
    for k in range(t.shape[1], 0, -1):
        j = np.uint64(k - 1)  # unsigned: an index that may be negative is checked
        u0 = _collect(t0, c0, j, u0)
        u1 = _collect(t1, c1, j, u1)
        u2 = _collect(t2, c2, j, u2)
        u3 = _collect(t3, c3, j, u3)
        u4 = _collect(t4, c4, j, u4)
        u5 = _collect(t5, c5, j, u5)
        u6 = _collect(t6, c6, j, u6)
        u7 = _collect(t7, c7, j, u7)
    u0, u1, u2, u3, u4, u5, u6, u7 = v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
    r = net.r_first
    for k in range(t.shape[1]):
        j = np.uint64(k)
        u0 = _return(t0, c0, j, u0, r)
        u1 = _return(t1, c1, j, u1, r)
        u2 = _return(t2, c2, j, u2, r)
        u3 = _return(t3, c3, j, u3, r)
        u4 = _return(t4, c4, j, u4, r)
        u5 = _return(t5, c5, j, u5, r)
        u6 = _return(t6, c6, j, u6, r)
        u7 = _return(t7, c7, j, u7, r)
        r = net.r_row


@njit(cache=True, error_model="numpy")
def word_voltages(net: Network, rows: Index, v: Array, bit: Array, u: Array) -> None:
    """Word-node voltages u that belong to the bit-node voltages ``bit``; both (len(rows), cols)."""
    for top in range(0, len(rows), LANES):
        t = u[top : top + LANES]
        for k in range(LANES):
            g_k, bit_k, t_k = net.g[rows[top + k]], bit[top + k], t[k]
            for j in range(len(t_k)):
                t_k[j] = g_k[j] * bit_k[j]
            t_k[-1] += net.g_far * v[top + k]
        _word_lines(t, net, rows[top : top + LANES], v[top : top + LANES])


@njit(cache=True, error_model="numpy")
def _down(bit: BitLines, state: State, alpha: float, passed: Array, dot: Array) -> float:
    """Step r -= alpha q (found in z), then put J of the bit lines into z; returns r . B^-1 r.

    ``passed`` (cols,) gets the currents that leave the bit lines whose voltages are B^-1 r.
    """
    passed[:] = 0.0
    dot[:] = 0.0
    for i in range(len(bit.rows)):
        r, z, c, link = state.r[i], state.z[i], bit.c[i], bit.link[i]
        for j in range(len(passed)):
            r[j] -= alpha * z[j]
            passed[j] += r[j]
            z[j] = passed[j]
        for j in range(len(passed)):
            through = c[j] * passed[j]
            dot[j] += link * passed[j] * through
            passed[j] = through
    return float(dot.sum())


@njit(cache=True, error_model="numpy")
def _up(net: Network, bit: BitLines, state: State, beta: float, t: Array, above: Array, dot: Array) -> float:
    """Finish z = B^-1 r, step p = z + beta p and s = B p, and put q = S p into z; returns p . q.

    The loops over j are kept short: the compiler gives up on vector code where too many arrays might overlap.
    """
    at_rest = np.zeros(LANES)
    above[:] = 0.0
    dot[:] = 0.0
    for top in range(len(bit.rows) - LANES, -1, -LANES):
        rows = bit.rows[top : top + LANES]
        for k in range(LANES - 1, -1, -1):
            z, p, c, link = state.z[top + k], state.p[top + k], bit.c[top + k], bit.link[top + k]
            for j in range(len(above)):
                above[j] = c[j] * (above[j] + link * z[j])
                p[j] = above[j] + beta * p[j]
            r, s, g, t_k = state.r[top + k], state.s[top + k], net.g[rows[k]], t[k]
            for j in range(len(above)):
                s[j] = r[j] + beta * s[j]
                t_k[j] = g[j] * p[j]
        _word_lines(t, net, rows, at_rest)
        for k in range(LANES):
            z, p, s, g, t_k = state.z[top + k], state.p[top + k], state.s[top + k], net.g[rows[k]], t[k]
            for j in range(len(above)):
                z[j] = s[j] - g[j] * t_k[j]
            for j in range(len(above)):
                dot[j] += p[j] * z[j]
    return float(dot.sum())


@njit(cache=True, error_model="numpy")
def _solve_one(
    net: Network, bit: BitLines, state: State, v: Array, tol: float, limit: int, nodes: Array, out: Array
) -> int:
    """Currents of one input vector; returns the number of iterations, ``limit`` if that did not do.

    B v = D u on the bit lines and W u = D v + sources on the word lines, D = diag(G). Without u: S v = f with
    S = B - D W^-1 D and f = D u(v = 0). The eigenvalues of B^-1 S lie in (0, 1]. The currents that leave the
    bit lines take the same steps as v, so v itself is kept only where it is asked for. The last residual is
    worth one more step, v += B^-1 r, at no cost, which is expected to do as much as the step before it did,
    or as ``BEST_STEP`` if that is less.

    Args:
        net: Array.
        bit: Bit lines of the rows that take part.
        state: Scratch.
        v: (n,) voltages of the sources of these rows [V].
        tol: Largest sqrt(r . B^-1 r) expected after that, over that of f.
        limit: Largest number of iterations.
        nodes: (2, n, cols) gets u and v [V]; or empty.
        out: (cols,) gets the currents [A].
    """
    n_cols = len(out)
    t, passed, step, dot = np.empty((LANES, n_cols)), np.empty(n_cols), np.zeros(n_cols), np.empty(n_cols)
    for a in (state.z, state.p, state.s):
        a[:] = 0.0
    nodes[:] = 0.0
    out[:] = 0.0
    word_voltages(net, bit.rows, v, state.z, state.r)
    for i in range(len(bit.rows)):
        state.r[i] *= net.g[bit.rows[i]]
    first = before = alpha = 0.0
    for iteration in range(limit):
        rho = _down(bit, state, alpha, passed, dot)
        if iteration == 0:
            first = before = rho
        if rho * max(rho, BEST_STEP * before) <= tol * tol * first * before:
            out += passed
            if len(nodes):
                passed[:] = 0.0
                for i in range(len(bit.rows) - 1, -1, -1):
                    passed = bit.c[i] * (passed + bit.link[i] * state.z[i])
                    nodes[1, i] += passed
                word_voltages(net, bit.rows, v, nodes[1], nodes[0])
            return iteration
        beta = rho / before if iteration else 0.0
        for j in range(n_cols):
            step[j] = passed[j] + beta * step[j]
        alpha = rho / _up(net, bit, state, beta, t, passed, dot)
        for j in range(n_cols):
            out[j] += alpha * step[j]
        if len(nodes):
            nodes[1] += alpha * state.p
        before = rho
    return limit


@njit(cache=True, parallel=True, error_model="numpy")
def solve(
    net: Network,
    rows: Index,
    link: Array,
    start: Index,
    stop: Index,
    v: Array,
    tol: float,
    limit: int,
    nodes: Array,
    out: Array,
    iterations: Index,
    scratch: Array,
) -> None:
    """Currents of a batch of input vectors, each with rows of its own.

    Args:
        net: Array.
        rows, link: Those of `BitLines` of every set of rows, one after another.
        start, stop: (batch,) the part of ``rows`` that takes part with each vector.
        v: (batch, rows + 1) voltages of the sources [V]; the last is 0.
        tol, limit: See `_solve_one`.
        nodes: (batch, 2, n, cols) gets u and v [V]; or empty.
        out: (batch, cols) gets the currents [A].
        iterations: (batch,) gets their number.
        scratch: (tasks, 5, n, cols), one for each of the tasks to which the vectors are dealt out.
    """
    n_tasks = len(scratch)
    for task in prange(n_tasks):
        work = scratch[task]
        old_start, old_stop = -1, -1
        for b in range(task, len(v), n_tasks):
            n = stop[b] - start[b]
            bit = BitLines(rows[start[b] : stop[b]], link[start[b] : stop[b]], work[4, :n])
            if (start[b], stop[b]) != (old_start, old_stop):
                factorise(net.g, bit.rows, bit.link, bit.c)
                old_start, old_stop = start[b], stop[b]
            state = State(work[0, :n], work[1, :n], work[2, :n], work[3, :n])
            own = nodes[b] if len(nodes) else np.empty((0, 0, 0))
            iterations[b] = _solve_one(net, bit, state, v[b][bit.rows], tol, limit, own, out[b])

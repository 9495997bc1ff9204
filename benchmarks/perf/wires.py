"""Speed and error of the wire solver against badcrossbar, CrossSim and SuperLU: see ../README.md.

Square arrays of two kinds, one vector of inputs uniform in 0 to 0.2 V, the same network for everybody: one
segment r between nodes, before the first and behind the last. One thread, CPU time, in turns. Errors are the
largest difference of a current over the largest current, from our solver with a residual of 1e-13.

CrossSim is not on PyPI: CROSSSIM=/path/to/cross-sim make bench NAME=wires. badcrossbar: make peers, or any
interpreter that has it and our requirements, with PYTHONPATH at this checkout.
"""

import importlib
import json
import logging
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

from neurosim.array.wires import (
    Wires,
    effective_conductance,
    estimate,
    gated_bounds,
    mean_field_error,
    read_noise_transfer,
    solve,
)

Array = npt.NDArray[np.float64]

SIZES = (64, 128, 256, 512)
OHM = {"pcm": 1.0, "rram": 2.0}
PEERS = ("badcrossbar", "crosssim", "superlu")
ROUNDS, ROUND_SECONDS, LONG = 5, 0.05, 1.0
CROSSSIM_BUDGET = 15.0  # CPU seconds to find a relaxation that converges
NOT_INSTALLED = "not installed"

Solver = Callable[[], Array]


def array(card: str, n: int) -> tuple[Array, Array]:
    """Conductances and one vector of inputs."""
    draw = np.random.default_rng(n)
    if card == "pcm":
        g = np.clip(np.abs(draw.normal(0, 8e-6, (n, n))), 0, 25e-6) + 1e-7
    else:
        g = draw.uniform(1e-6, 100e-6, (n, n))
    return g, draw.uniform(0, 0.2, n)


@dataclass
class Contender:
    """One line of the table.

    Attributes:
        label: What it is.
        run: One call.
        per_call: Vectors per call.
        peer: Whose ratio it counts for; empty: ours or none.
        read: Currents of the vector from what the call returns; None: that has none.
        seconds: CPU seconds per vector, one mean per round.
        output: What the last call returned.
    """

    label: str
    run: Callable[[], Any]
    per_call: int = 1
    peer: str = ""
    read: Callable[[Any], Array] | None = np.ravel
    seconds: list[float] = field(default_factory=list)
    output: Any = None

    def take_turn(self) -> None:
        """Run for ``ROUND_SECONDS``, at least once; what takes long has one turn only."""
        if self.seconds and self.seconds[0] * self.per_call > LONG:
            return
        spent = 0.0
        calls = 0
        while calls == 0 or spent < ROUND_SECONDS:
            start = time.process_time()
            self.output = self.run()
            spent += time.process_time() - start
            calls += 1
        self.seconds.append(spent / calls / self.per_call)

    def error(self, exact: Array) -> float | None:
        """Largest difference of a current over the largest current."""
        if self.read is None:
            return None
        return float(np.abs(self.read(self.output) - exact).max() / np.abs(exact).max())

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))


# ---- the others --------------------------------------------------------------------------------------


def superlu(g: Array, r: float) -> tuple[Callable[[], Any], Callable[[Any, Array], Array]]:
    """Factorisation of the whole network, and the currents of one vector."""
    m, n = g.shape
    along = sp.diags([np.r_[np.full(n - 1, 2.0), 1.0], -np.ones(n - 1), -np.ones(n - 1)], [0, 1, -1]) / r
    down = sp.diags([np.r_[1.0, np.full(m - 1, 2.0)], -np.ones(m - 1), -np.ones(m - 1)], [0, 1, -1]) / r
    cells = sp.diags(g.ravel())
    matrix = sp.bmat(
        [[sp.kron(sp.eye(m), along) + cells, -cells], [-cells, sp.kron(down, sp.eye(n)) + cells]], "csc"
    )
    options = {"SymmetricMode": True}

    def factorise() -> Any:
        return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)

    def currents(lu: Any, v: Array) -> Array:
        sources = np.zeros(2 * m * n)
        sources[: m * n : n] = v / r
        return np.asarray(lu.solve(sources)[-n:] / r)

    return factorise, currents


def badcrossbar(g: Array, v: Array, r: float) -> Solver | str:
    """Currents only: no node voltages, no currents of branches."""
    try:
        with warnings.catch_warnings(record=True):  # its plots need cairo
            package: Any = importlib.import_module("badcrossbar")
    except ImportError:
        return f"{NOT_INSTALLED}; make peers"
    logging.getLogger("badcrossbar").setLevel(logging.WARNING)
    resistances, volts = 1 / g, v[:, None]
    options = {"node_voltages": False, "all_currents": False}
    return lambda: np.ravel(package.compute(volts, resistances, r_i=r, **options).currents.output)


def crosssim(g: Array, v: Array, r: float) -> Solver | str:
    """Its circuit solver at the default tolerance 1e-3, with a relaxation that is known to converge.

    Its own search lowers the relaxation by 2 % after every failure. Here it is 5 %, and untimed.
    """
    path = os.environ.get("CROSSSIM")
    if not path:
        return f"{NOT_INSTALLED}; CROSSSIM=/path/to/cross-sim"
    if path not in sys.path:
        sys.path.append(path)
    try:
        backend: Any = importlib.import_module("simulator.backend")
        array: Any = importlib.import_module("simulator.circuits.array")
        simulator: Any = importlib.import_module("simulator")
    except ImportError as reason:
        return f"{NOT_INSTALLED} at {path} ({reason})"
    backend.ComputeBackend().__init__(False)  # on the CPU
    circuit = array.NoninterleavedInputSourceArray(simulator.CrossSimParameters())
    g_max, v_max = g.max(), v.max()
    circuit.Rp_row_norm = circuit.Rp_col_norm = r * g_max
    matrix, inputs = np.ascontiguousarray(g.T / g_max), v / v_max

    def run() -> Array:
        return np.asarray(circuit.solve_mvm(inputs, matrix) * (g_max * v_max))

    start = time.process_time()
    while True:
        try:
            with np.errstate(all="ignore"):
                run()
        except RuntimeError:
            circuit.gamma *= 0.95
        else:
            return run
        if time.process_time() - start > CROSSSIM_BUDGET:
            return f"no relaxation above {circuit.gamma:.2f} converges ({CROSSSIM_BUDGET:.0f} s)"


# ---- one array ---------------------------------------------------------------------------------------


def contenders(g: Array, v: Array, r: float) -> tuple[list[Contender], list[str]]:
    """Everybody on one array, ours first, and why the others are not there."""
    w, n = Wires(r, r), len(g)
    many = np.random.default_rng(1).uniform(0, 0.2, (256, n))
    g_eff = effective_conductance(g, w)
    found = [
        Contender("neurosim", partial(solve, g, v, w)),
        Contender("neurosim, compile", partial(effective_conductance, g, w), read=lambda g_eff: v @ g_eff),
        Contender("neurosim, tol 1e-4", partial(solve, g, v, w, tol=1e-4)),
        Contender("neurosim, 16 vectors", partial(solve, g, many[:16], w), 16, read=None),
        Contender("neurosim, compiled, 256 vectors", partial(np.matmul, many, g_eff), 256, read=None),
    ]
    missing = []
    for label, make in (("badcrossbar", badcrossbar), ("CrossSim, Verr 1e-3, relaxation known", crosssim)):
        run = make(g, v, r)
        if isinstance(run, str):
            missing.append(f"{make.__name__}: {run}")
        else:
            found.append(Contender(label, run, peer=make.__name__))
    if n < SIZES[-1]:  # 100 ms a vector there, after 5 s of factorising
        factorise, currents = superlu(g, r)
        found.append(Contender("SuperLU, factorise", factorise, read=None))
        found.append(Contender("SuperLU, solve", partial(currents, factorise(), v), peer="superlu"))
    return found, missing


def compare(card: str, n: int, result: dict[str, float | None]) -> None:
    """Time, print and keep one array."""
    g, v = array(card, n)
    found, missing = contenders(g, v, OHM[card])
    for _ in range(ROUNDS):
        for contender in found:
            contender.take_turn()
    exact = solve(g, v, Wires(OHM[card], OHM[card]), tol=1e-13)[0]
    ours, compiled = found[:2]
    print(f"\n{card} {n} x {n}: {1 - exact.sum() / (v @ g).sum():.1%} of the current is lost")
    print(f"{'CPU ms a vector':40} {'median':>10} {'/ first':>10} {'error':>9}")
    for c in found:
        off, ratio = c.error(exact), c.median / ours.median
        print(f"{c.label:40} {c.median * 1e3:10.4g} {ratio:10.3g} {'' if off is None else f'{off:9.0e}'}")
        if c.peer:
            result[f"ratio_{c.peer}_{card}_{n}"] = ratio
    for line in missing:
        print(line)
    result[f"error_{card}_{n}"] = ours.error(exact)
    result[f"ms_{card}_{n}"] = ours.median * 1e3
    result[f"compile_ms_{card}_{n}"] = compiled.median * 1e3


# ---- other tables ------------------------------------------------------------------------------------


def peak_mib(n: int) -> float:
    """Peak memory of the process after compiling an array and solving 16 vectors."""
    g, _ = array("rram", n)
    effective_conductance(g, Wires(2.0, 2.0))
    solve(g, np.ones((16, n)), Wires(2.0, 2.0))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def closed_forms() -> None:
    """Mean relative error of the currents."""
    print("\nclosed forms, mean relative error: no wires, series, column, column against bit lines alone")
    for card, r in OHM.items():
        for n in SIZES:
            g, _ = array(card, n)
            v = np.random.default_rng(3).uniform(0, 0.2, (4, n))
            w, columns = Wires(r, r), Wires(0.0, r)
            exact = solve(g, v, w)
            column = estimate(g, v, w, "column")
            pairs = (
                (v @ g, exact),
                (estimate(g, v, w, "series"), exact),
                (column, exact),
                (column, solve(g, v, columns)),
            )
            print(f"{card:5} {n:4}", *(f"{np.mean(np.abs(a / b - 1)):10.3g}" for a, b in pairs))


def gated() -> None:
    """Mean field of gated rows, its rigorous bounds, and read noise."""
    print("\ngated rows: share active, loss; over the mean current: bias, rms, worst, lower and upper bound")
    draw = np.random.default_rng(4)
    for card, r in OHM.items():
        for n in SIZES[:3]:
            g, _ = array(card, n)
            w = Wires(r, r)
            for p in (0.05, 0.2, 0.5):
                active = draw.random((40, n)) < p
                e = mean_field_error(g, active, w, activity=p)
                mean = solve(g, np.ones(active.shape), w, active=active).mean()
                lower, upper = (b.mean() / mean - 1 for b in gated_bounds(g, active, w))
                line = f"{card:5} {n:4} {p:5} {e.loss:8.4f} {e.bias:9.5f} {e.rms:8.5f} {e.worst:8.4f}"
                print(f"{line} {lower:8.4f} {upper:8.4f}")
    print("\nread noise of 3 %: sigma by transfer, and without wires, over that of 300 exact solutions")
    for card, n in (("pcm", 64), ("rram", 64), ("pcm", 128), ("rram", 128)):
        g, v = array(card, n)
        w = Wires(OHM[card], OHM[card])
        noisy = [solve(g * (1 + 0.03 * draw.standard_normal(g.shape)), v, w, tol=1e-6)[0] for _ in range(300)]
        sigma, t = np.std(noisy, axis=0, ddof=1), read_noise_transfer(g, w)
        ratios = (np.mean(np.sqrt(v**2 @ (0.03 * g * a) ** 2) / sigma) for a in (t, 1.0))
        print(f"{card:5} {n:4}", *(f"{x:8.3f}" for x in ratios))


def main() -> None:
    numba.set_num_threads(1)
    result: dict[str, float | None] = {}
    with threadpool_limits(1):
        result["peak_mib_512"] = peak_mib(512)
        print(f"peak memory of the process after compiling 512 x 512: {result['peak_mib_512']:.0f} MiB")
        for card in OHM:
            for n in SIZES:
                compare(card, n, result)
        closed_forms()
        gated()
    for n in SIZES:
        result[f"error_{n}"] = max(result[f"error_{card}_{n}"] or 0 for card in OHM)
        result[f"compile_ms_{n}"] = max(result[f"compile_ms_{card}_{n}"] or 0 for card in OHM)
        for peer in PEERS:
            ratios = [
                x for card in OHM if (x := result.setdefault(f"ratio_{peer}_{card}_{n}", None)) is not None
            ]
            result[f"ratio_{peer}_{n}"] = min(ratios, default=None)
    print(json.dumps({k: x if x is None else float(f"{x:.3g}") for k, x in sorted(result.items())}))


if __name__ == "__main__":
    main()

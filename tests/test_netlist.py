"""The netlist of a tile: its text, and ngspice as an independent judge of the wire solver."""

import shutil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from neurosim.array.wires import Wires, effective_conductance, solve
from neurosim.errors import ExperimentError, MissingExtraError, OutOfRangeError, ShapeError
from neurosim.export.netlist import netlist, run_spice

needs_ngspice = pytest.mark.skipif(not shutil.which("ngspice"), reason="ngspice is not installed")

WIRES: dict[str, dict[str, Any]] = {
    "two ohm": {"r_row": 2.0, "r_col": 2.0},
    "long lines": {"r_row": 40.0, "r_col": 60.0, "r_source": 300.0, "r_sense": 150.0},
    "both ends": {"r_row": 10.0, "r_col": 5.0, "r_source": 20.0, "drive": "both"},
    "bit lines": {"r_row": 0.0, "r_col": 5.0, "drive": "both"},
    "word lines": {"r_row": 5.0, "r_col": 0.0},
    "drivers": {"r_row": 0.0, "r_col": 0.0, "r_source": 100.0, "r_sense": 100.0, "drive": "both"},
    "none": {"r_row": 0.0, "r_col": 0.0},
}


def tile(rows: int, cols: int, seed: int = 0) -> tuple[Any, Any]:
    """Log-normal cells of some 30 uS, a tenth of them not formed, and voltages of either sign."""
    draw = np.random.default_rng(seed)
    g = draw.lognormal(np.log(3e-5), 0.5, (rows, cols))
    g[draw.random(g.shape) < 0.1] = 0
    return g, draw.uniform(-0.1, 0.2, rows)


@needs_ngspice
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("name", WIRES)
def test_ngspice_agrees_with_the_wire_solver(name: str, gated: bool) -> None:
    """To 1e-6 of the largest current (measured: better than 1e-12)."""
    g, v = tile(24, 16)
    wires = Wires(**WIRES[name])
    active = np.random.default_rng(1).random(24) < 0.4 if gated else None
    ours = solve(g, v, wires, active=active)[0]
    assert_allclose(
        run_spice(netlist(g, v, wires, active=active)), ours, rtol=1e-6, atol=1e-6 * np.abs(ours).max()
    )


@needs_ngspice
def test_ngspice_agrees_where_wires_take_most_of_the_current() -> None:
    g, wires = tile(32, 32)[0], Wires(50.0, 50.0)
    v = np.full(32, 0.2)
    ours = solve(g, v, wires)[0]
    assert ours.sum() < 0.5 * (v @ g).sum()
    assert_allclose(run_spice(netlist(g, v, wires)), ours, rtol=1e-6)


@needs_ngspice
def test_ngspice_agrees_with_the_effective_conductances() -> None:
    """Row by row: the matrix that liquids are built from."""
    g, wires = tile(6, 5)[0], Wires(20.0, 30.0, 10.0, 5.0)
    rows = [run_spice(netlist(g, row, wires)) for row in np.eye(6)]
    effective = effective_conductance(g, wires)
    assert_allclose(rows, effective, rtol=1e-6, atol=1e-6 * effective.max())


@needs_ngspice
@settings(max_examples=8)
@given(
    rows=st.integers(1, 6),
    cols=st.integers(1, 6),
    wires=st.builds(
        Wires,
        st.sampled_from([0.0, 0.5, 500.0]),
        st.sampled_from([0.0, 0.5, 500.0]),
        st.sampled_from([0.0, 50.0]),
        st.sampled_from([0.0, 50.0]),
        drive=st.sampled_from(["one", "both"]),
    ),
    seed=st.integers(0, 99),
)
def test_ngspice_agrees_on_any_tile(rows: int, cols: int, wires: Wires, seed: int) -> None:
    g, v = tile(rows, cols, seed)
    ours = solve(g, v, wires)[0]
    assert_allclose(run_spice(netlist(g, v, wires)), ours, rtol=1e-6, atol=1e-6 * np.abs(ours).max() + 1e-18)


def test_netlist_names_what_stands_where() -> None:
    text = netlist([[2**-16, 0.0], [2**-15, 2**-15]], [0.1, 0.2], Wires(1.0, 0.0, 3.0), title="a\nb")
    lines = text.splitlines()
    assert lines[0] == "* a b"
    assert {
        "Vr_0 s_0 0 0.1",
        "Rs_0 s_0 w_0_0 4.0",
        "Rw_1_1 w_1_0 w_1_1 1.0",
        "Rc_1_1 w_1_1 b_1_1 32768.0",
    } <= {*lines}
    assert {"Vb_0_1 b_0_1 b_1_1 0", "Vb_1_0 b_1_0 g_0 0", "Vc_1 g_1 0 0", "print i(vc_1)", ".end"} <= {*lines}
    assert not any(line.startswith("Rc_0_1") for line in lines)  # 0 S
    gated = netlist([[2**-16, 0.0], [2**-15, 2**-15]], [0.1, 0.2], Wires(1.0, 0.0), active=[True, False])
    assert "w_0_1" in gated
    assert "w_1_" not in gated


@pytest.mark.parametrize(
    ("g", "v", "active", "error", "message"),
    [
        (np.ones((2, 2)), np.ones(3), None, ShapeError, r"\(2, 2\) and voltages of shape \(3,\)"),
        (np.ones((2, 2)), np.ones(2), [1, 0], ShapeError, r"active rows are int64.*bool \(2,\)"),
        (np.ones((65, 64)), np.ones(65), None, OutOfRangeError, "4160 cells; a netlist has at most 4096"),
        (np.array([[-1.0]]), np.ones(1), None, OutOfRangeError, "0 or more"),
        (np.array([[np.nan]]), np.ones(1), None, OutOfRangeError, "finite"),
        (np.ones((1, 1)), np.array([np.inf]), None, OutOfRangeError, "finite"),
    ],
)
def test_what_is_no_tile_is_refused(
    g: Any, v: Any, active: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        netlist(g, v, Wires(1.0, 1.0), active=active)


def test_missing_simulator_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingExtraError, match="apt install ngspice"):
        run_spice("")


@needs_ngspice
def test_a_broken_circuit_is_an_error() -> None:
    with pytest.raises(ExperimentError, match="ngspice did not solve"):
        run_spice("* nothing\n.control\nquit\n.endc\n.end\n")

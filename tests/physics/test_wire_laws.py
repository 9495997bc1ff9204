"""Laws of wire resistance: Kirchhoff's, ladders in closed form, reciprocity, monotonicity, noise."""

import warnings
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize

from neurosim.array.wires import (
    Wires,
    effective_conductance,
    node_voltages,
    read_noise_transfer,
    solve,
    solve_nonlinear,
)

Array = npt.NDArray[np.float64]

DRIVES: list[Literal["one", "both"]] = ["one", "both"]


def pcm(n: int) -> Array:
    """Small conductances: 7 % of the current is lost at 128, 22 % at 256 with segments of 1 ohm [S]."""
    draw = np.random.default_rng(0)
    return np.asarray(np.clip(np.abs(draw.normal(0, 8e-6, (n, n))), 0, 25e-6) + 1e-7)


def rram(shape: tuple[int, int]) -> Array:
    """Large conductances: 22 % of the current is lost at 64, 51 % at 128 with segments of 2 ohm [S]."""
    return np.asarray(np.random.default_rng(0).uniform(1e-6, 100e-6, shape))


def violations(cells: Array, v: Array, u: Array, bit: Array, w: Wires) -> tuple[Array, Array]:
    """Sum of the currents into every word and every bit node, given those through the cells."""
    first = w.r_row + w.r_source
    word = -cells.copy()
    word[:, 0] += (v - u[:, 0]) / first
    if w.drive == "both":
        word[:, -1] += (v - u[:, -1]) / first
    along = (u[:, :-1] - u[:, 1:]) / w.r_row
    word[:, :-1] -= along
    word[:, 1:] += along
    below = (bit[:-1] - bit[1:]) / w.r_col
    into = cells.copy()
    into[:-1] -= below
    into[1:] += below
    into[-1] -= bit[-1] / (w.r_col + w.r_sense)
    return word, into


@pytest.mark.parametrize("drive", DRIVES)
def test_kirchhoffs_current_law_at_every_node(drive: Literal["one", "both"]) -> None:
    g, w = rram((70, 50)), Wires(2.0, 3.0, 100.0, 50.0, drive)
    v = np.random.default_rng(1).uniform(-0.2, 0.2, 70)
    u, bit = (a[0] for a in node_voltages(g, v, w, tol=1e-12))
    currents = solve(g, v, w, tol=1e-12)[0]
    for sums in violations(g * (u - bit), v, u, bit, w):
        assert np.abs(sums).max() < 1e-9 * np.abs(currents).max()
    assert np.allclose(bit[-1] / (w.r_col + w.r_sense), currents, rtol=1e-9)
    assert np.allclose((g * (u - bit)).sum(axis=0), currents, rtol=0, atol=1e-9 * np.abs(currents).max())


# A ladder of n cells G on links R: 2 cosh k = 2 + R G, and u_j falls as cosh k(n - 1/2 - j) to the open end.


@pytest.mark.parametrize("r", [1.0, 1000.0])
def test_a_word_line_is_the_analytic_ladder(r: float) -> None:
    n, g = 200, 30e-6
    k = np.arccosh(1 + r * g / 2)
    one = solve(np.full((1, n), g), [0.2], Wires(r, 0.0))[0]
    assert np.allclose(
        one, g * 0.2 * np.cosh(k * (n - 0.5 - np.arange(n))) / np.cosh(k * (n + 0.5)), rtol=1e-11
    )
    both = solve(np.full((1, n), g), [0.2], Wires(r, 0.0, drive="both"))[0]
    middle = (n - 1) / 2
    expected = g * 0.2 * np.cosh(k * (np.arange(n) - middle)) / np.cosh(k * (n + 1) / 2)
    assert np.allclose(both, expected, rtol=1e-11)


@pytest.mark.parametrize("r", [1.0, 1000.0])
def test_a_bit_line_is_the_analytic_ladder(r: float) -> None:
    m, g = 200, 30e-6
    k = np.arccosh(1 + r * g / 2)
    g_eff = effective_conductance(np.full((m, 1), g), Wires(0.0, r))[:, 0]
    # by reciprocity row i passes the share of a source's voltage at the other end that is left at i
    assert np.allclose(g_eff, g * np.cosh(k * (np.arange(m) + 0.5)) / np.cosh(k * (m + 0.5)), rtol=1e-10)


@pytest.mark.parametrize("depth", [1, 2, 5, 30])
def test_a_bit_line_is_the_continued_fraction(depth: int) -> None:
    draw = np.random.default_rng(depth)
    g, r_col, r_sense = draw.uniform(1e-6, 1e-3, depth), 500.0, 200.0
    y = 0.0
    for i, conductance in enumerate(g):
        y += conductance
        y = 1 / (1 / y + r_col + (r_sense if i == depth - 1 else 0.0))
    assert solve(g[:, None], np.ones(depth), Wires(0.0, r_col, 0.0, r_sense))[0, 0] == pytest.approx(
        y, rel=1e-12
    )


@pytest.mark.parametrize("shape", [(30, 30), (40, 17)])
def test_reciprocity(shape: tuple[int, int]) -> None:
    """Sources and sense amplifiers change places: the network mirrored at its other diagonal."""
    g, w = rram(shape), Wires(20.0, 30.0, 40.0, 500.0)
    turned = Wires(w.r_col, w.r_row, w.r_sense, w.r_source)
    swapped = effective_conductance(g[::-1, ::-1].T, turned)
    assert np.allclose(effective_conductance(g, w), swapped[::-1, ::-1].T, rtol=0, atol=1e-7 * g.max())


def test_superposition() -> None:
    g, w = rram((60, 60)), Wires(2.0, 2.0, 10.0, 10.0)
    a, b = np.random.default_rng(2).normal(size=(2, 60))
    together = solve(g, 2 * a - 3 * b, w)
    apart = solve(g, np.stack([a, b]), w)
    assert np.allclose(together, 2 * apart[:1] - 3 * apart[1:], rtol=0, atol=1e-8 * np.abs(together).max())


@pytest.mark.parametrize("name", ["r_row", "r_col", "r_source", "r_sense"])
@pytest.mark.parametrize("drive", DRIVES)
def test_more_resistance_never_carries_more(name: str, drive: Literal["one", "both"]) -> None:
    """Rayleigh: with all sources alike the array is one resistor between two terminals."""
    g, w = rram((24, 24)), Wires(1.0, 1.0, 1.0, 1.0, drive)
    totals = [solve(g, np.ones(24), replace(w, **{name: r})).sum() for r in (0.0, 0.1, 1.0, 10.0, 1e3, 1e5)]  # type: ignore[arg-type]
    assert (np.diff(totals) < 0).all()
    assert solve(g * (1 + np.eye(24)), np.ones(24), w).sum() > solve(g, np.ones(24), w).sum()


def test_two_drivers_lose_less_than_one() -> None:
    g, v = rram((24, 24)), np.ones(24)
    assert solve(g, v, Wires(2.0, 2.0, drive="both")).sum() > solve(g, v, Wires(2.0, 2.0)).sum()


@pytest.mark.parametrize(("n", "r", "lost"), [(64, 1.0, 0.018), (128, 1.0, 0.066), (256, 1.0, 0.217)])
def test_loss_of_small_conductances(n: int, r: float, lost: float) -> None:
    """Mean loss that was measured with another solver on arrays of this kind."""
    g, v = pcm(n), np.random.default_rng(3).uniform(0, 0.2, n)
    assert 1 - solve(g, v, Wires(r, r)).sum() / (v @ g).sum() == pytest.approx(lost, rel=0.05)


# ---- read noise --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("g", "w", "low"), [(pcm(64), Wires(1.0, 1.0), 0.97), (rram((64, 64)), Wires(2.0, 2.0), 0.9)]
)
def test_read_noise_through_wires_is_that_of_exact_solutions(g: Array, w: Wires, low: float) -> None:
    draw = np.random.default_rng(4)
    v, sigma, n = draw.uniform(0, 0.2, len(g)), 0.03 * g, 300
    currents = [solve(g + sigma * draw.standard_normal(g.shape), v, w, tol=1e-6)[0] for _ in range(n)]
    ratio = np.sqrt(v**2 @ (sigma * read_noise_transfer(g, w)) ** 2 / np.var(currents, axis=0, ddof=1))
    # the standard error of one column's ratio is 1/sqrt(2 n); the law itself is low where much is lost
    assert low < ratio.mean() < 1.01
    assert np.sqrt(v**2 @ sigma**2 / np.var(currents, axis=0)).mean() > ratio.mean() + 0.01


def test_read_noise_of_gated_rows_through_wires() -> None:
    draw = np.random.default_rng(5)
    g, w, n = rram((64, 64)), Wires(2.0, 2.0), 300
    active = draw.random(64) < 0.25
    noisy = [
        solve(g * (1 + 0.03 * draw.standard_normal(g.shape)), np.ones(64), w, active=active, tol=1e-6)[0]
        for _ in range(n)
    ]
    t = read_noise_transfer(g, w, activity=float(active.mean()))
    ratio = np.sqrt(active @ (0.03 * g * t) ** 2 / np.var(noisy, axis=0, ddof=1))
    assert 0.95 < ratio.mean() < 1.03


def test_transfer_is_the_slope_of_the_current() -> None:
    """To 1 % of the change of one cell, seen by its own column, with all rows driven alike."""
    g, w = rram((48, 48)), Wires(2.0, 2.0, 20.0, 20.0)
    t, v = read_noise_transfer(g, w), np.ones(48)
    base = solve(g, v, w, tol=1e-12)[0]
    for i, j in np.random.default_rng(6).integers(0, 48, (20, 2)):
        changed = g.copy()
        changed[i, j] *= 1.001
        slope = (solve(changed, v, w, tol=1e-12)[0, j] - base[j]) / (changed - g)[i, j]
        assert slope == pytest.approx(t[i, j], rel=0.01)


# ---- cells whose current bends -----------------------------------------------------------------------


@pytest.mark.parametrize("drive", DRIVES)
def test_sinh_cells_are_those_of_a_root_finder(drive: Literal["one", "both"]) -> None:
    g, w, v0 = rram((8, 6)), Wires(200.0, 300.0, 400.0, 500.0, drive), 0.25
    v = np.random.default_rng(7).uniform(0, 0.4, 8)

    def unbalanced(nodes: Array) -> Array:
        u, bit = nodes.reshape(2, 8, 6)
        return np.stack(violations(g * v0 * np.sinh((u - bit) / v0), v, u, bit, w)).ravel() * 1e6

    root = optimize.root(unbalanced, np.full(96, 0.1), tol=1e-12)
    expected = root.x.reshape(2, 8, 6)[1, -1] / (w.r_col + w.r_sense)
    currents = solve_nonlinear(g, v, w, v0)[0]
    assert np.allclose(currents, expected, rtol=1e-7)
    assert (currents > solve(g, v, w)[0] * 1.02).all()


# ---- another simulator -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(16, 16), (12, 21), (1, 5), (6, 1)])
def test_badcrossbar_agrees(shape: tuple[int, int], capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True):  # its plots need cairo
        badcrossbar: Any = pytest.importorskip("badcrossbar")
        g, v = rram(shape), np.random.default_rng(8).uniform(0, 0.2, (3, shape[0]))
        theirs = badcrossbar.compute(v.T, 1 / g, r_i_word_line=20.0, r_i_bit_line=30.0)
    w = Wires(20.0, 30.0)
    assert np.allclose(solve(g, v, w, tol=1e-12), theirs.currents.output, rtol=1e-9)
    u, bit = node_voltages(g, v, w, tol=1e-12)
    assert np.allclose(np.moveaxis(u, 0, -1), theirs.voltages.word_line, rtol=1e-9)
    assert np.allclose(np.moveaxis(bit, 0, -1), theirs.voltages.bit_line, rtol=1e-9)
    capsys.readouterr()

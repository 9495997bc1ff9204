"""Wire resistance: kernels against their twin, limits, threads, messages."""

from typing import Any

import naive
import numba
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurosim.array import wires
from neurosim.array.wires import (
    Wires,
    effective_conductance,
    estimate,
    gated_bounds,
    mean_field_error,
    node_voltages,
    read_noise_transfer,
    solve,
    solve_nonlinear,
)
from neurosim.errors import ExperimentError, OutOfRangeError, ShapeError

Array = npt.NDArray[np.float64]

SHAPES = [(1, 1), (1, 7), (9, 1), (8, 8), (13, 21), (24, 5)]
LOSSY = Wires(3.0, 5.0, 40.0, 20.0)
# nothing, a chip's, most of the current
OHM = st.sampled_from([0.0, 1.0, 300.0])


def array(shape: tuple[int, int], seed: int = 0, g_max: float = 1e-3) -> Array:
    """Conductances of all sizes, a fifth of them 0."""
    draw = np.random.default_rng(seed)
    return np.asarray(draw.uniform(0, g_max, shape) * (draw.random(shape) < 0.8))


def close(a: npt.ArrayLike, b: npt.ArrayLike, tol: float = 1e-10) -> bool:
    """Equal up to a share of the largest of b."""
    return bool(np.abs(np.asarray(a) - b).max() <= tol * np.abs(b).max() + 1e-300)


@st.composite
def networks(draw: Any) -> tuple[Array, Wires]:
    shape = draw(st.tuples(st.integers(1, 10), st.integers(1, 10)))
    g = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 1e-6, 3e-5, 1e-4, 1e-2])))
    w = Wires(draw(OHM), draw(OHM), draw(OHM), draw(OHM), draw(st.sampled_from(["one", "both"])))
    return g, w


# ---- against the twin --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("drive", ["one", "both"])
@pytest.mark.parametrize("gated", [False, True])
def test_solve_is_the_naive_twin(shape: tuple[int, int], drive: Any, gated: bool) -> None:
    draw = np.random.default_rng(1)
    g, v = array(shape), draw.normal(size=(4, shape[0]))
    active = draw.random(v.shape) < 0.5 if gated else None
    w = Wires(3.0, 5.0, 40.0, 20.0, drive)
    currents = solve(g, v, w, active=active, tol=1e-12)
    word, bit = node_voltages(g, v, w, active=active, tol=1e-12)
    for b, x in enumerate(v):
        on = None if active is None else active[b]
        expected, u, v_bit = naive.network(g, x, (3.0, 5.0, 40.0, 20.0), drive == "both", on)
        assert close(currents[b], expected)
        assert close(word[b], u)
        assert close(bit[b], v_bit)


@given(networks(), st.integers(0, 99))
def test_gated_rows_are_rows_without_cells(network: tuple[Array, Wires], seed: int) -> None:
    g, w = network
    draw = np.random.default_rng(seed)
    v, active = draw.normal(size=(3, len(g))), draw.random((3, len(g))) < 0.5
    expected = [solve(g * on[:, None], x, w, tol=1e-12)[0] for x, on in zip(v, active, strict=True)]
    assert close(solve(g, v, w, active=active, tol=1e-12), expected)


def test_one_set_of_active_rows_serves_the_batch() -> None:
    g, v = array((9, 6)), np.random.default_rng(0).normal(size=(3, 9))
    active = np.arange(9) % 3 > 0
    assert np.array_equal(
        solve(g, v, LOSSY, active=active), solve(g, v, LOSSY, active=np.tile(active, (3, 1)))
    )


def test_nothing_active_carries_nothing() -> None:
    g = array((9, 6))
    assert not solve(g, np.ones((2, 9)), LOSSY, active=np.zeros((2, 9), bool)).any()
    assert not solve(g, np.zeros(9), LOSSY).any()


# ---- limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drive", ["one", "both"])
def test_no_resistance_is_the_plain_product(drive: Any) -> None:
    g, v = array((13, 21)), np.random.default_rng(0).normal(size=(4, 13))
    ideal = Wires(0.0, 0.0, drive=drive)
    assert close(solve(g, v, ideal), v @ g, 1e-14)
    assert close(effective_conductance(g, ideal), g, 1e-14)
    assert close(effective_conductance(g, ideal, activity=0.3), g, 1e-14)
    assert close(read_noise_transfer(g, ideal), np.ones_like(g), 1e-14)
    lower, upper = gated_bounds(g, v > 0, ideal)
    assert close(lower, (v > 0) @ g, 1e-14)
    assert close(upper, (v > 0) @ g, 1e-14)
    for method in ("series", "column"):
        assert close(estimate(g, v, Wires(0.0, 0.0), method), v @ g, 1e-14)  # type: ignore[arg-type]


@pytest.mark.parametrize("zero", ["r_row", "r_col", "r_source", "r_sense"])
@pytest.mark.parametrize("drive", ["one", "both"])
def test_zero_is_the_limit_of_small(zero: str, drive: Any) -> None:
    g, v = array((9, 12)), np.random.default_rng(0).normal(size=9)
    values = {"r_row": 20.0, "r_col": 30.0, "r_source": 40.0, "r_sense": 50.0}
    exact = solve(g, v, Wires(**values | {zero: 0.0}, drive=drive), tol=1e-12)[0]
    tiny = values | {zero: 1e-5}
    expected, _, _ = naive.network(
        g, v, (tiny["r_row"], tiny["r_col"], tiny["r_source"], tiny["r_sense"]), drive == "both"
    )
    assert close(exact, expected, 1e-5)


def test_extreme_resistance_converges() -> None:
    g, v = array((40, 40)), np.random.default_rng(0).random(40)
    w = (1e4, 1e4, 1e6, 1e6)
    assert close(solve(g, v, Wires(*w), tol=1e-10)[0], naive.network(g, v, w)[0], 1e-6)


# ---- effective conductance, noise, bounds ------------------------------------------------------------


@given(networks(), st.integers(0, 99))
def test_effective_conductance_is_the_network(network: tuple[Array, Wires], seed: int) -> None:
    g, w = network
    v = np.random.default_rng(seed).normal(size=(3, len(g)))
    g_eff = effective_conductance(g, w)
    assert np.abs(v @ g_eff - solve(g, v, w, tol=1e-12)).max() <= 1e-6 * g_eff.sum() + 1e-300
    assert g_eff.min() >= -1e-7 * g_eff.max()


def test_mean_field_is_exact_where_it_says_so() -> None:
    g, active = array((20, 15)), np.random.default_rng(0).random((6, 20)) < 0.4
    everything = np.ones((1, 20), bool)
    assert mean_field_error(g, everything, LOSSY, activity=1.0).worst < 1e-7
    no_columns = Wires(30.0, 0.0, 40.0, 0.0)
    assert mean_field_error(g, active, no_columns, activity=0.4).worst < 1e-7


def test_reads_without_a_current_have_no_error() -> None:
    g, idle = array((20, 15)), np.zeros((3, 20), bool)
    for error in (
        mean_field_error(g, idle, LOSSY, activity=1e-6),
        mean_field_error(0 * g, ~idle, LOSSY, activity=0.1),
    ):
        assert (error.loss, error.bias, error.rms, error.worst) == (0, 0, 0, 0)


@pytest.mark.parametrize("activity", [0.1, 0.5])
def test_mean_field_is_the_mean(activity: float) -> None:
    g = np.random.default_rng(0).uniform(1e-6, 100e-6, (64, 64))
    active = np.random.default_rng(1).random((400, 64)) < activity
    w = Wires(2.0, 2.0)
    error = mean_field_error(g, active, w, activity=activity)
    exact = solve(g, np.ones(active.shape), w, active=active)
    approximate = active @ effective_conductance(g, w, activity=activity)
    assert error.bias == pytest.approx((approximate - exact).mean() / exact.mean())
    assert error.rms == pytest.approx(np.sqrt(np.mean((approximate - exact) ** 2)) / exact.mean())
    assert error.worst == pytest.approx(np.abs(approximate - exact).max() / exact.mean())
    assert error.loss == pytest.approx(1 - exact.sum() / (active @ g).sum())
    assert 0.1 < error.loss < 0.2
    assert abs(error.bias) < 0.005
    assert error.rms < 0.015


@given(networks(), st.integers(0, 99))
def test_gated_currents_lie_within_their_bounds(network: tuple[Array, Wires], seed: int) -> None:
    g, w = network
    active = np.random.default_rng(seed).random((4, len(g))) < 0.5
    exact = solve(g, np.ones(active.shape), w, active=active, tol=1e-12)
    lower, upper = gated_bounds(g, active, w)
    slack = 1e-10 * np.maximum(upper, g.max())
    assert (lower - slack <= exact).all()
    assert (exact <= upper + slack).all()


@given(networks())
def test_transfer_is_a_share(network: tuple[Array, Wires]) -> None:
    g, w = network
    for activity in (None, 0.2):
        t = read_noise_transfer(g, w, activity=activity)
        assert np.abs(t).max() <= 1 + 1e-6


# ---- threads, batches, types -------------------------------------------------------------------------


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two threads")
@pytest.mark.parametrize("gated", [False, True])
def test_threads_and_batches_change_no_bit(gated: bool) -> None:
    draw = np.random.default_rng(0)
    g, v = array((37, 29)), draw.normal(size=(5, 37))
    active = draw.random(v.shape) < 0.5 if gated else None
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = solve(g, v, LOSSY, active=active)
        numba.set_num_threads(2)
        together = solve(g, v, LOSSY, active=active)
    finally:
        numba.set_num_threads(threads)
    assert np.array_equal(alone, together)
    one_by_one = [
        solve(g, x, LOSSY, active=None if active is None else active[b])[0] for b, x in enumerate(v)
    ]
    assert np.array_equal(alone, one_by_one)


def test_a_cards_float32_and_a_view_are_taken() -> None:
    g = array((16, 24)).astype(np.float32)
    v = np.ones(8)
    expected = solve(np.array(g[::2, ::-1], np.float64), v, LOSSY)
    assert np.array_equal(solve(g[::2, ::-1], v, LOSSY), expected)
    assert expected.dtype == np.float64
    assert expected.shape == (1, 24)
    assert np.array_equal(
        solve(np.asfortranarray(g), np.asfortranarray(np.ones((4, 16))), LOSSY)[0],
        solve(g, np.ones(16), LOSSY)[0],
    )


# ---- nonlinear cells, closed forms -------------------------------------------------------------------


def test_straight_cells_are_the_limit_of_bent_ones() -> None:
    g, v = array((12, 9)), np.random.default_rng(0).uniform(0, 0.2, (3, 12))
    active = np.arange(12) % 2 == 0
    assert close(solve_nonlinear(g, v, LOSSY, 1e4), solve(g, v, LOSSY), 1e-8)
    assert close(solve_nonlinear(g, v, LOSSY, 1e4, active=active), solve(g, v, LOSSY, active=active), 1e-8)
    assert close(solve_nonlinear(g, v, Wires(0, 0), 0.25), (0.25 * np.sinh(v / 0.25)) @ g, 1e-12)


@pytest.mark.parametrize(("method", "error"), [("series", 0.006), ("column", 0.025)])
def test_closed_forms_have_the_error_they_state(method: Any, error: float) -> None:
    draw = np.random.default_rng(0)
    g = np.clip(np.abs(draw.normal(0, 8e-6, (64, 64))), 0, 25e-6) + 1e-7
    v = draw.uniform(0, 0.2, (4, 64))
    exact = solve(g, v, Wires(1.0, 1.0))
    off = np.mean(np.abs(estimate(g, v, Wires(1.0, 1.0), method) / exact - 1))
    assert error / 4 < off < error
    assert off < np.mean(v @ g / exact - 1)


def test_series_form_of_one_cell_is_exact() -> None:
    w = Wires(10.0, 20.0, 30.0, 40.0)
    assert close(estimate([[1e-3]], [[1.0]], w, "series"), [[1 / 1100]], 1e-14)
    assert close(solve([[1e-3]], [[1.0]], w), [[1 / 1100]], 1e-14)


# ---- messages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["r_row", "r_col", "r_source", "r_sense"])
@pytest.mark.parametrize("value", [-1.0, np.inf, np.nan])
def test_resistances_are_finite_and_not_negative(name: str, value: float) -> None:
    with pytest.raises(OutOfRangeError, match=f"{name} = {value:g} ohm"):
        Wires(**{"r_row": 1.0, "r_col": 1.0} | {name: value})


def test_word_lines_are_driven_from_one_or_both_ends() -> None:
    with pytest.raises(ExperimentError, match=r"drive = 'left'.*'one' end or from 'both'"):
        Wires(1.0, 1.0, drive="left")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call", [lambda g: solve(g, [1.0], LOSSY), lambda g: effective_conductance(g, LOSSY)]
)
def test_conductances_are_a_matrix_of_positive_numbers(call: Any) -> None:
    with pytest.raises(ShapeError, match=r"conductances of shape \(1,\)"):
        call([1e-6])
    with pytest.raises(ShapeError, match=r"conductances of shape \(1, 0\)"):
        call([[]])
    for bad in (-1e-6, np.nan, np.inf):
        with pytest.raises(OutOfRangeError, match=f"a conductance is {bad:g} S"):
            call([[1e-6, bad]])


def test_voltages_and_rows_must_fit() -> None:
    g = array((4, 3))
    for shape in ((3,), (2, 3), (2, 2, 4), (0, 4)):
        with pytest.raises(ShapeError, match=r"for 4 rows; give \(batch, 4\) or \(4,\)"):
            solve(g, np.ones(shape), LOSSY)
    with pytest.raises(OutOfRangeError, match="a row voltage is not finite"):
        solve(g, [1.0, 1.0, 1.0, np.nan], LOSSY)
    for active in (np.ones(4), np.ones(3, bool), np.ones((3, 4), bool)):
        with pytest.raises(ShapeError, match=r"give bool \(4,\) or \(2, 4\)"):
            solve(g, np.ones((2, 4)), LOSSY, active=active)
    with pytest.raises(ShapeError, match=r"active rows are float64"):
        gated_bounds(g, np.ones((2, 4)), LOSSY)


def test_tolerances_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    g = array((8, 8))
    for tol in (0.0, 1.0):
        with pytest.raises(OutOfRangeError, match=f"tol = {tol:g}; a relative residual"):
            solve(g, np.ones(8), LOSSY, tol=tol)
    monkeypatch.setattr(wires, "MAX_ITERATIONS", 1)
    with pytest.raises(OutOfRangeError, match="tol = 1e-08 was not reached in 1 iterations"):
        solve(g, np.ones(8), LOSSY)


@pytest.mark.parametrize("activity", [0.0, 1.1, -0.1])
def test_activity_is_a_share(activity: float) -> None:
    for function in (effective_conductance, read_noise_transfer):
        with pytest.raises(OutOfRangeError, match=rf"activity = {activity:g}; .* in \(0, 1\]"):
            function(array((4, 3)), LOSSY, activity=activity)


def test_nonlinear_messages() -> None:
    g = array((8, 8))
    for v_nonlinear in (0.0, -1.0, np.inf):
        with pytest.raises(OutOfRangeError, match=f"v_nonlinear = {v_nonlinear:g} V; the sinh law"):
            solve_nonlinear(g, np.ones(8), LOSSY, v_nonlinear)
    for v in (2.0, 1000.0):
        with pytest.raises(
            OutOfRangeError, match=r"input vector 0: cells with v_nonlinear = 0.1 V did not settle"
        ):
            solve_nonlinear(g, np.full(8, v), LOSSY, 0.1)


def test_estimate_messages() -> None:
    with pytest.raises(ExperimentError, match="method = 'serie'; did you mean 'series'"):
        estimate(array((4, 3)), np.ones(4), LOSSY, "serie")  # type: ignore[arg-type]
    with pytest.raises(ExperimentError, match="from one end only; use solve"):
        estimate(array((4, 3)), np.ones(4), Wires(1.0, 1.0, drive="both"), "series")

"""Law: one normal number per column and step is the same noise as one per cell and read.

The current of a column is I = V sum over the active rows of (G+ + sigma+ xi+) - (G- + sigma- xi-). A sum of
independent normal numbers is normal with the sum of their variances; columns share no cell and no read uses
another's numbers. So I is normal with mean V sum(G+ - G-) and variance V^2 sum(sigma+^2 + sigma-^2),
independent from column to column and from step to step, given the active rows; and which rows are active
was settled by earlier steps.
"""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from neurosim.array import ArrayConfig, Crossbar, build_crossbar, differential, white_variance
from neurosim.device import DeviceConfig
from neurosim.events.types import Binned, Sensor
from neurosim.reservoir.config import ReservoirConfig
from neurosim.reservoir.liquid import Liquid, build_liquid
from neurosim.reservoir.states import simulate
from neurosim.reservoir.wiring import wire

ROWS, COLS, N_READS = 60, 12, 6000
ALPHA = 1e-6  # of a false alarm, per number that is looked at


def random_crossbar(seed: int, shape: tuple[int, int]) -> Crossbar:
    device = DeviceConfig(sigma_read=0.2, read_white_fraction=0.5)
    return build_crossbar(ArrayConfig(), device, shape, seed=seed, chip=0)


def read_cell_by_cell(crossbar: Crossbar, draw: np.random.Generator, n_reads: int) -> npt.NDArray[np.float64]:
    """G+ - G- of every pair in every read, with a number of its own for every cell and read."""
    pos, neg = crossbar.pos, crossbar.neg
    noisy_pos = pos.g + pos.sigma_white * draw.standard_normal((n_reads, *pos.g.shape))
    noisy_neg = neg.g + neg.sigma_white * draw.standard_normal((n_reads, *neg.g.shape))
    return np.asarray(noisy_pos - noisy_neg)


@pytest.fixture(scope="module", params=[1, 2, 3])
def currents(request: pytest.FixtureRequest) -> tuple[npt.NDArray[np.float64], ...]:
    """Sums over active rows: drawn by cell and by column (N_READS, COLS), exact mean and variance (COLS,)."""
    draw = np.random.default_rng(request.param)
    crossbar = random_crossbar(request.param, (ROWS, COLS))
    active = draw.random(ROWS) < draw.uniform(0.1, 0.9)
    by_cell = read_cell_by_cell(crossbar, draw, N_READS)[:, active].sum(axis=1)
    mean = differential(crossbar)[active].astype(np.float64).sum(axis=0)
    variance = white_variance(crossbar)[active].astype(np.float64).sum(axis=0)
    by_column = mean + np.sqrt(variance) * draw.standard_normal((N_READS, COLS))
    return by_cell, by_column, mean, variance


def test_mean_of_the_columns(currents: tuple[npt.NDArray[np.float64], ...]) -> None:
    by_cell, _, mean, variance = currents
    z = (by_cell.mean(axis=0) - mean) / np.sqrt(variance / N_READS)
    assert np.abs(z).max() < stats.norm.isf(ALPHA / 2)


def test_variance_of_the_columns(currents: tuple[npt.NDArray[np.float64], ...]) -> None:
    by_cell, _, mean, variance = currents
    chi2 = ((by_cell - mean) ** 2).sum(axis=0) / variance
    assert chi2.min() > stats.chi2.ppf(ALPHA / 2, N_READS)
    assert chi2.max() < stats.chi2.isf(ALPHA / 2, N_READS)


def test_distribution_of_the_columns(currents: tuple[npt.NDArray[np.float64], ...]) -> None:
    by_cell, by_column, mean, variance = currents
    for j in range(COLS):
        assert stats.ks_2samp(by_cell[:, j], by_column[:, j]).pvalue > ALPHA
        assert stats.kstest((by_cell[:, j] - mean[j]) / np.sqrt(variance[j]), "norm").pvalue > ALPHA


def test_columns_and_steps_are_independent(currents: tuple[npt.NDArray[np.float64], ...]) -> None:
    by_cell, _, mean, variance = currents
    z = (by_cell - mean) / np.sqrt(variance)
    between_columns = (z.T @ z)[np.triu_indices(COLS, 1)] / N_READS
    between_steps = (z[1:].T @ z[:-1]) / (N_READS - 1)
    limit = stats.norm.isf(ALPHA / 2) / np.sqrt(N_READS - 1)
    assert np.abs(between_columns).max() < limit
    assert np.abs(between_steps).max() < limit


# ---- through the liquid ----------------------------------------------------------------------------

N_INPUTS, N_NEURONS, N_STEPS, N_RUNS = 30, 40, 20, 1000
CONFIG = ReservoirConfig(n_neurons=N_NEURONS, beta=0.9, input_scaling=1e5, v_threshold=5.0)


def liquid_of(crossbar: Crossbar, *, noisy: bool) -> Liquid:
    wiring = wire(CONFIG, Sensor(N_INPUTS), seed=5)
    variance = white_variance(crossbar) if noisy else None
    return build_liquid(CONFIG, wiring, differential(crossbar), dt=1e-3, seed=5, white_variance=variance)


def repeat(x: npt.NDArray[np.bool_], n: int) -> Binned:
    """One recording (n_steps, n_channels) n times."""
    step, channel = np.nonzero(x)
    one = np.searchsorted(step, np.arange(len(x) + 1))
    ptr = one + len(step) * np.arange(n)[:, None]
    labels = np.zeros(n, np.int64)
    return Binned(np.tile(channel.astype(np.uint16), n), ptr, labels, Sensor(x.shape[1]), 1e-3, ("a",), 1)


def fire_cell_by_cell(
    crossbar: Crossbar, x: npt.NDArray[np.bool_], draw: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Spike counts (N_RUNS, N_NEURONS) of LIF neurons on a matrix that is read anew in every step."""
    v, spikes = np.zeros((N_RUNS, N_NEURONS)), np.zeros((N_RUNS, N_NEURONS))
    total = np.zeros((N_RUNS, N_NEURONS), np.int64)
    for events in x:
        for k in range(N_RUNS):
            active = np.concatenate([events, spikes[k] > 0])
            matrix = CONFIG.input_scaling * read_cell_by_cell(crossbar, draw, 1)[0]
            v[k] = 0.9 * v[k] + active @ matrix
        spikes = (v > CONFIG.v_threshold).astype(np.float64)
        v[spikes > 0] = 0
        total += spikes.astype(np.int64)
    return total


def test_noisy_liquid_fires_like_one_with_a_fresh_matrix_in_every_step() -> None:
    crossbar = random_crossbar(4, (N_INPUTS + N_NEURONS, N_NEURONS))
    draw = np.random.default_rng(4)
    x = draw.random((N_STEPS, N_INPUTS)) < 0.15
    expected = fire_cell_by_cell(crossbar, x, draw)
    batches = [
        simulate(liquid_of(crossbar, noisy=True), repeat(x, N_RUNS // 4), noise_key=k).x for k in range(4)
    ]
    fired = np.concatenate(batches).astype(np.int64)

    error = np.sqrt((expected.var(axis=0) + fired.var(axis=0)) / N_RUNS)
    moving = error > 0  # the other neurons do the same in every run
    z = (fired.mean(axis=0) - expected.mean(axis=0))[moving] / error[moving]
    assert moving.sum() > N_NEURONS / 2
    assert np.abs(z).max() < 4
    np.testing.assert_array_equal(fired.mean(axis=0)[~moving], expected.mean(axis=0)[~moving])

    assert stats.ks_2samp(fired.sum(axis=1), expected.sum(axis=1)).pvalue > 1e-4
    assert stats.levene(fired.sum(axis=1), expected.sum(axis=1)).pvalue > 1e-4

    quiet = simulate(liquid_of(crossbar, noisy=False), repeat(x, 1)).x[0]
    assert (np.abs(quiet - expected.mean(axis=0))[moving] / error[moving]).max() > 20, "noise changed nothing"

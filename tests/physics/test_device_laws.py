"""The laws that a cell obeys, against their closed forms and against measured arrays.

Every tolerance is K standard errors of the sample at hand.
"""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numba
import numpy as np
import numpy.typing as npt
import pytest
from scipy import signal, stats

from neurosim import rng
from neurosim.cards import DeviceCard, load_device
from neurosim.device import (
    DeviceConfig,
    drift_exponents,
    formed_probability,
    make_cells,
    program,
    relax,
    slow_noise,
)
from neurosim.quantity import Quantity

K = 4.0
TAOX, PCM, WAN = (load_device(name) for name in ("taox_1t1r_40nm", "pcm_nandakumar2019", "rram_wan2022"))
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The arrays here are too small to share between threads."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.fixture(scope="module")
def measured(real_data: Path) -> npt.NDArray[np.float64]:
    """2,900 measured conductances of random arrays, zero where a cell is unformed."""
    with h5py.File(real_data / "rram" / "rram_measured.h5") as file:
        maps = file["esgnn_fig1_uS"]
        return np.concatenate([maps["input_weight"][()].ravel(), maps["hidden_weight"][()].ravel()])


@pytest.mark.parametrize("v", [3.2, 3.319, 3.433, 3.5, 3.66])
def test_the_forming_curve_is_the_probit_law(v: float) -> None:
    """P(formed) = Phi((V - 3.433) / 0.114)."""
    cells = make_cells(DeviceConfig(v_forming=v), (300, 400), seed=1, name="x")
    p = stats.norm.cdf((v - 3.433) / 0.114)
    assert formed_probability(TAOX, v) == pytest.approx(p)
    assert cells.formed.mean() == pytest.approx(p, abs=K * np.sqrt(p * (1 - p) / cells.g.size))


def test_the_probit_law_fits_the_measured_forming_voltages() -> None:
    """Kolmogorov-Smirnov distance of 400 measured voltages below the Dvoretzky-Kiefer-Wolfowitz bound."""
    path = REPOSITORY / "devices" / "taox_1t1r_40nm_forming.csv"
    volts, cells = np.loadtxt(path, delimiter=",", skiprows=1).T
    formed = np.cumsum(cells) / cells.sum()
    # a voltage on the grid of 0.02 V stands for the interval around it
    distance = np.abs(formed - formed_probability(TAOX, volts + 0.01)).max()
    assert distance < np.sqrt(np.log(2 / 1e-3) / (2 * cells.sum()))


def test_formed_conductances_have_the_moments_of_the_card() -> None:
    """N(34.06 uS, 15.63 %) with a fraction p_outlier beyond."""
    cells = make_cells(DeviceConfig(), (800, 800), seed=2, name="x")
    mean, sigma = TAOX.conductance.g_mean.value, TAOX.conductance.sigma_d2d.value
    z = (cells.g[cells.formed].astype(np.float64) / mean - 1) / sigma
    far = z > 6
    p = TAOX.faults.p_outlier.value
    assert far.mean() == pytest.approx(p, abs=K * np.sqrt(p / z.size))
    assert z[far].min() >= TAOX.faults.outlier_min.value - 1e-3
    assert z[far].max() <= TAOX.faults.outlier_max.value + 1e-3
    bulk = z[~far]
    assert bulk.mean() == pytest.approx(0, abs=K / np.sqrt(bulk.size))
    assert bulk.std() == pytest.approx(1, abs=K / np.sqrt(2 * bulk.size))
    assert stats.skew(bulk) == pytest.approx(0, abs=K * np.sqrt(6 / bulk.size))
    assert stats.kurtosis(bulk) == pytest.approx(0, abs=K * np.sqrt(24 / bulk.size))


def test_formed_conductances_have_spread_and_shape_of_the_measured_arrays(
    measured: npt.NDArray[np.float64],
) -> None:
    """Coefficient of variation 0.149 of 1,430 cells, near-normal, half of the cells unformed.

    Only ratios are compared, because the measured maps have no unit.
    """
    cells = make_cells(DeviceConfig(), (50, 58), seed=3, name="x")
    real = measured[measured > 0]
    half = np.mean(measured > 0)
    assert cells.formed.mean() == pytest.approx(half, abs=K * np.sqrt(2 * 0.25 / measured.size))
    made = cells.g[cells.formed].astype(np.float64)
    made = made[made < 2 * np.median(made)]  # without the outliers of the card
    cv, real_cv = made.std() / made.mean(), real.std() / real.mean()
    assert cv == pytest.approx(real_cv, abs=K * real_cv * np.sqrt(2 / (2 * real.size)))
    distance = stats.ks_2samp(stats.zscore(made), stats.zscore(real)).statistic
    assert distance < np.sqrt(-0.5 * np.log(1e-3 / 2)) * np.sqrt(1 / made.size + 1 / real.size)


@pytest.mark.parametrize(
    ("card", "target", "sigma"),
    [
        ("rram_milo2021", 50e-6, 4.33e-6),
        ("rram_milo2021", 100e-6, 3.87e-6),
        ("rram_milo2021", 225e-6, 2.73e-6),
        ("rram_wan2022", 10e-6, 2.26e-6),
        ("rram_wan2022", 20e-6, 2.02e-6),
        ("rram_wan2022", 39e-6, 1.17e-6),
        ("pcm_nandakumar2019", 12.5e-6, 0.953e-6),
        ("pcm_nandakumar2019", 25e-6, 1.055e-6),
    ],
)
def test_programming_error_follows_the_published_curve(card: str, target: float, sigma: float) -> None:
    """sigma(G) of Milo Fig. 4, Wan Extended Data Fig. 3d at 1 s, Joshi Fig. 3 (published to 5 nS)."""
    g = program(load_device(card), np.full(100_000, target), seed=4, name="x").astype(np.float64)
    assert g.std() == pytest.approx(sigma, abs=K * sigma / np.sqrt(2 * g.size) + 5e-9)
    assert g.mean() == pytest.approx(target, abs=K * sigma / np.sqrt(g.size))


@pytest.mark.parametrize(("t", "sigma"), [(1.0, 2.02e-6), (86400.0, 3.91e-6), (172800.0, 3.93e-6)])
def test_relaxation_reaches_the_measured_spread(t: float, sigma: float) -> None:
    """Total spread around 20 uS at 1 s, 1 day and 2 days: Wan Extended Data Fig. 3d."""
    target = np.full(100_000, 20e-6, np.float32)
    g = relax(WAN, program(WAN, target, seed=5, name="x"), target, t, rng.stream(5, "r")).astype(np.float64)
    assert g.std() == pytest.approx(sigma, abs=K * sigma / np.sqrt(2 * g.size) + 5e-9)


def test_relaxation_grows_linearly_in_log_time() -> None:
    """The variance half way in ln t between 1 s and 1 day is the mean of the two."""
    target = np.full(100_000, 20e-6, np.float32)
    g = program(WAN, target, seed=5, name="x")
    spread = [
        relax(WAN, g, target, t, rng.stream(5, "r")).var(dtype=np.float64) for t in (1.0, 86400**0.5, 86400.0)
    ]
    assert spread[1] == pytest.approx((spread[0] + spread[2]) / 2, rel=K * np.sqrt(2 / target.size))


def test_the_drift_exponent_is_recovered_from_a_log_log_fit() -> None:
    """Slope of ln G against ln((t + t0)/t0) is -nu, with mean and spread of nu as published for the state."""
    times = [0.0, 1e2, 1e3, 1e4, 1e5, 1e6]
    chips = [
        make_cells(
            DeviceConfig(card="pcm_nandakumar2019", sigma_prog=0.0, t_after_programming=t),
            (400, 400),
            seed=6,
            name="x",
        ).g.ravel()
        for t in times
    ]
    x = chips[0] / 25e-6
    state = (x > 0.21) & (x < 0.3)  # where the mean is clipped to 0.049
    log_g = np.log([g[state].astype(np.float64) for g in chips])
    slope, _ = np.polyfit(np.log1p(np.array(times) / 20), log_g, 1)
    nu = -slope
    std = np.sqrt(np.mean(np.clip(-0.0125 * np.log(x[state]) - 0.0059, 0.008, 0.045) ** 2))
    assert nu.mean() == pytest.approx(0.049, abs=K * std / np.sqrt(nu.size))
    assert nu.std() == pytest.approx(std, rel=K / np.sqrt(2 * nu.size))


@pytest.mark.parametrize(
    ("x", "mean", "std"), [(0.05, 0.0708, 0.0315), (0.1, 0.0601, 0.0229), (1.0, 0.0490, 0.0080)]
)
def test_drift_exponents_follow_the_published_law(x: float, mean: float, std: float) -> None:
    """Mean and spread of nu at three states; |nu| folds a little of the lower tail."""
    nu = drift_exponents(PCM, np.full(100_000, x * 25e-6, np.float32), rng.stream(7, "nu"))
    folded = stats.foldnorm(mean / std, scale=std)
    assert nu.mean() == pytest.approx(folded.mean(), abs=K * std / np.sqrt(nu.size) + 5e-5)
    assert nu.std() == pytest.approx(folded.std(), abs=K * std / np.sqrt(2 * nu.size) + 5e-5)


def slow_card(tau_min: float, tau_max: float, p_telegraph: float) -> DeviceCard:
    """The default card with other correlation times."""

    def quantity(value: float, unit: str) -> Quantity:
        return Quantity(value=value, unit=unit, where="a test", status="assumed")

    update = {"tau_min": quantity(tau_min, "s"), "tau_max": quantity(tau_max, "s")}
    noise = TAOX.read_noise.model_copy(update=update | {"p_telegraph": quantity(p_telegraph, "1")})
    return TAOX.model_copy(update={"read_noise": noise})


@pytest.mark.parametrize("p_telegraph", [0.0, 1.0])
def test_slow_noise_has_unit_variance_and_exponential_correlation_at_any_spacing(p_telegraph: float) -> None:
    """One relaxation time: <y(s) y(s + t)> = exp(-|t|/tau), many fluctuators and two levels alike."""
    times = np.array([0.0, 0.02, 0.3, 1.0, 3.0])
    y = slow_noise(slow_card(1.0, 1.001, p_telegraph), (250, 400), times, seed=8, name="x").reshape(
        len(times), -1
    )
    n = y.shape[1]
    for i, j in [(0, 0), (0, 1), (0, 2), (1, 2), (2, 3), (0, 3), (3, 4), (0, 4)]:
        expected = np.exp(-(times[j] - times[i]))
        variance = 1 + expected**2 if not p_telegraph else 1 - expected**2
        assert np.mean(y[i] * y[j], dtype=np.float64) == pytest.approx(
            expected, abs=K * np.sqrt(variance / n) + 1e-3
        )
    if p_telegraph:
        assert set(np.unique(y)) == {-1.0, 1.0}


def test_the_spectrum_of_slow_noise_is_1_over_f() -> None:
    """Slope -1 of the power spectral density between 1/(2 pi tau_max) and 1/(2 pi tau_min)."""
    tau_min, tau_max, dt = 1.0, 1e3, 0.5
    times = dt * np.arange(8192)
    for p_telegraph in (0.0, 1.0):
        y = slow_noise(slow_card(tau_min, tau_max, p_telegraph), (400,), times, seed=9, name="x")
        f, density = signal.periodogram(y, 1 / dt, axis=0)
        band = (f > 3 / (2 * np.pi * tau_max)) & (f < 1 / (2 * np.pi * tau_min) / 3)
        slope, _ = np.polyfit(np.log(f[band]), np.log(density[band].mean(axis=1)), 1, w=np.sqrt(1 / f[band]))
        assert slope == pytest.approx(-1, abs=0.1)


def test_successive_reads_correlate_as_in_measured_arrays() -> None:
    """Lag-1 correlation 0.84 .. 0.96 of 808 cells x 2,001 reads of 1T1R arrays."""
    cells = make_cells(DeviceConfig(v_forming=4.0), (200, 200), seed=10, name="x")
    times = 0.3 * np.arange(2)
    slow = slow_noise(cells.card, cells.g.shape, times, seed=10, name="x")
    white = rng.stream(10, "white").standard_normal(slow.shape)
    first, second = (cells.sigma_slow * slow + cells.sigma_white * white) / cells.g
    assert 0.84 < np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.96
    assert np.std(first) == pytest.approx(0.02, rel=K / np.sqrt(2 * first.size))

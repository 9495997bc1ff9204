"""The laws of ageing, faults, temperature and of a curved I-V, against their closed forms.

Every tolerance is K standard errors of the sample at hand.
"""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize, stats

from neurosim import rng
from neurosim.cards import DeviceCard, Endurance, Iv, Relaxation, Temperature, load_device
from neurosim.device import (
    DeviceConfig,
    acceleration,
    chord,
    current,
    drift,
    linear_error,
    make_cells,
    relax,
    slow_noise,
)
from neurosim.device.ageing import at_temperature
from neurosim.device.faults import dead_lines, wear
from neurosim.quantity import Curve, Quantity

K = 4.0
TAOX, PCM, WAN = (load_device(name) for name in ("taox_1t1r_40nm", "pcm_nandakumar2019", "rram_wan2022"))
Array = npt.NDArray[np.float32]


def quantity(value: float, unit: str = "1") -> Quantity:
    return Quantity(value=value, unit=unit, where="a test", status="assumed")


def curve(*value: float, unit: str = "S", at: tuple[float, ...] | None = None) -> Curve:
    return Curve(value=value, at=at, unit=unit, where="a test", status="assumed")


def with_section(card: DeviceCard, **sections: object) -> DeviceCard:
    return card.model_copy(update=sections)


# ---- temperature -----------------------------------------------------------------------------------


def hot(card: DeviceCard, e_a: float, t_ref: float, tcr: float = 0.0) -> DeviceCard:
    """The card with an activation energy [eV] and a temperature coefficient [1/K]."""
    kelvin = {"t_ref": t_ref, "t_min": 200.0, "t_max": 700.0}
    law = Temperature(
        **{key: quantity(value, "K") for key, value in kelvin.items()},
        e_a=quantity(e_a, "eV"),
        tcr=quantity(tcr, "1/K"),
    )
    return with_section(card, temperature=law)


@pytest.mark.parametrize(
    ("e_a", "from_85", "from_25", "bake"),
    [(1.0, 25.9, 1.76e4, 298), (1.35, 81, 5.39e5, 222), (1.5, 132, 2.33e6, 203), (2.25, 1.52e3, 3.57e9, 156)],
)
def test_acceleration_is_arrhenius(e_a: float, from_85: float, from_25: float, bake: float) -> None:
    """Factors 85 -> 125 C and 25 -> 125 C, and the bake of 30 min that stands for 10 years at 85 C."""
    kelvin = 273.15
    at_85, at_25 = hot(WAN, e_a, 85 + kelvin), hot(WAN, e_a, 25 + kelvin)
    assert acceleration(at_85, 125 + kelvin) == pytest.approx(from_85, rel=0.01)
    assert acceleration(at_25, 125 + kelvin) == pytest.approx(from_25, rel=0.01)
    ten_years = 10 * 365.25 * 86400 / 1800
    assert acceleration(at_85, bake - 0.6 + kelvin) < ten_years < acceleration(at_85, bake + 0.6 + kelvin)


def test_acceleration_is_none_at_the_cards_own_temperature_and_below_one_in_the_cold() -> None:
    card = hot(WAN, 1.0, 300.0)
    assert acceleration(card, None) == acceleration(card, 300.0) == 1.0
    assert acceleration(card, 400.0) * acceleration(hot(WAN, 1.0, 400.0), 300.0) == pytest.approx(1.0)
    assert acceleration(card, 250.0) < 1


def test_time_at_a_temperature_ages_like_more_time_at_the_cards_own() -> None:
    target = np.full(1000, 2e-5, np.float32)
    card = hot(WAN, 1.0, 300.0)
    factor = acceleration(card, 330.0)
    warm = relax(card, target, target, 1e3, rng.stream(1, "r"), temperature=330.0)
    longer = relax(WAN, target, target, factor * 1e3, rng.stream(1, "r"))
    assert np.array_equal(warm, longer)
    assert warm.std() > relax(WAN, target, target, 1e3, rng.stream(1, "r")).std()
    nu = np.full(1000, 0.05, np.float32)
    assert np.array_equal(
        drift(hot(PCM, 1.0, 300.0), target, nu, 1e3, temperature=330.0), drift(PCM, target, nu, factor * 1e3)
    )


def test_conductance_is_linear_in_temperature() -> None:
    g = np.full(3, 2e-5, np.float32)
    card = hot(WAN, 0.0, 300.0, tcr=-2e-3)
    np.testing.assert_allclose(at_temperature(card, g, 350.0), 0.9 * g, rtol=1e-6)
    np.testing.assert_allclose(at_temperature(card, g, 250.0), 1.1 * g, rtol=1e-6)
    assert not at_temperature(hot(WAN, 0.0, 300.0, tcr=-0.1), g, 350.0).any()


# ---- relaxation ------------------------------------------------------------------------------------

N = 1_000_000
G = 20e-6


def tailed(tails: tuple[float, float, float]) -> DeviceCard:
    """WAN with a first point of no spread, then 1 uS at 1 s and 2 uS at 1e4 s, and means of +1 and -2 uS."""
    sigmas, means, times = (0.0, 1e-6, 2e-6), (0.0, 1e-6, -2e-6), (1e-3, 1.0, 1e4)
    points = tuple(
        Relaxation(t=quantity(t, "s"), sigma=curve(sigma), mean=curve(mean), tail=quantity(tail))
        for t, sigma, mean, tail in zip(times, sigmas, means, tails, strict=True)
    )
    return with_section(WAN, relaxation=points)


def deviation(card: DeviceCard, t: float, n: int = N) -> npt.NDArray[np.float64]:
    target = np.full(n, G, np.float32)
    return relax(card, target, target, t, rng.stream(5, "r")).astype(np.float64) - G


def robust_share(s: float) -> float:
    """1.4826 times the median of |exp(s eta - s^2) xi|: P(|x| < m) = mean over eta of 2 Phi(m/width) - 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    width = np.exp(s * nodes - s**2)

    def excess(m: float) -> float:
        return float(weights @ (2 * stats.norm.cdf(m / width) - 1) / weights.sum() - 0.5)

    return 1.4826 * optimize.brentq(excess, 1e-3, 3.0)


@pytest.mark.parametrize("s", [0.0, 0.3, 0.9])
def test_relaxed_cells_have_the_moments_of_the_card_and_the_tail_of_its_law(s: float) -> None:
    """Mean and standard deviation whatever s; robust sigma below it; kurtosis 3 exp(4 s^2)."""
    x = deviation(tailed((s, s, s)), 1.0)
    fourth, eighth = 3 * np.exp(4 * s**2), 105 * np.exp(24 * s**2)
    assert x.mean() == pytest.approx(1e-6, abs=K * 1e-6 / np.sqrt(N))
    x -= 1e-6
    assert np.mean(x**2) == pytest.approx(1e-12, rel=K * np.sqrt((fourth - 1) / N))
    if s < 0.5:  # beyond, the sample's fourth moment rests on a few cells
        error = np.sqrt(eighth - fourth**2) + 2 * fourth * np.sqrt(fourth - 1)
        assert np.mean(x**4) / 1e-24 == pytest.approx(fourth, abs=K * error / np.sqrt(N))
    median = 1.4826 * np.median(np.abs(x))
    assert median / 1e-6 == pytest.approx(robust_share(s), rel=K * 1.2 / np.sqrt(N) + 2e-4)


def test_the_robust_sigma_of_measured_arrays_is_a_tail_of_this_law() -> None:
    """Technology C of Levy et al. at 6 uS: 0.19 of 1.00 uS after 10 ms, 2.87 of 3.16 uS after 1e5 s."""
    early, late = (
        optimize.brentq(lambda s, share=share: robust_share(s) - share, 0, 1.5)
        for share in (0.19 / 1.00, 2.87 / 3.16)
    )
    assert 1.1 < early < 1.5
    assert 0.2 < late < 0.4


def test_moments_run_linearly_in_log_time() -> None:
    """Half way in ln t: the mean of the two means, of the two variances and of the two tails."""
    middle, tail = 1e2, 0.3
    x = deviation(tailed((0.0, 0.0, 2 * tail)), middle)
    assert x.mean() == pytest.approx(-0.5e-6, abs=K * np.sqrt(2.5e-12 / N))
    x += 0.5e-6
    fourth = 3 * np.exp(4 * tail**2)
    assert np.mean(x**2) == pytest.approx(2.5e-12, rel=K * np.sqrt((fourth - 1) / N))
    error = np.sqrt(105 * np.exp(24 * tail**2) - fourth**2) + 2 * fourth * np.sqrt(fourth - 1)
    assert np.mean(x**4) / 2.5e-12**2 == pytest.approx(fourth, abs=K * error / np.sqrt(N))


def test_a_cell_has_one_path_in_time() -> None:
    """The same xi and eta at every time: with one tail, deviations at two times are in proportion."""
    card = tailed((0.5, 0.5, 0.5))
    early, late = deviation(card, 1.0, 10_000) - 1e-6, deviation(card, 1e4, 10_000) + 2e-6
    inside = late > -G + 1e-6  # the others stopped at 0
    np.testing.assert_allclose(late[inside], 2 * early[inside], atol=1e-11)


def test_charge_trap_memory_is_a_card_of_tables() -> None:
    """Agrawal's A (1 - exp(-I/B)) at 0 and 1 day as tables of 24 states: within 0.5 % of the law."""
    x = np.linspace(0, 1, 24) ** 2
    laws = [(19.88665, 176.3115), (25.59102, 186.85544)]

    def sigma(state: npt.NDArray[np.float64], a: float, b: float) -> npt.NDArray[np.float64]:
        return np.asarray(a * (1 - np.exp(-1800 * state / b)) * 1e-9)

    points = tuple(
        Relaxation(t=quantity(t, "s"), sigma=curve(*sigma(x, *law), at=tuple(x)))
        for t, law in zip((1.0, 86400.0), laws, strict=True)
    )
    card = with_section(WAN, relaxation=points)
    target = np.full(200_000, 0.3 * 40e-6, np.float32)
    g = target + np.float32(sigma(np.array(0.3), *laws[0])) * rng.stream(2, "p").standard_normal(
        target.shape, np.float32
    )
    grown = relax(card, g, target, 86400.0, rng.stream(2, "r")).std(dtype=np.float64)
    assert grown == pytest.approx(sigma(np.array(0.3), *laws[1]), rel=0.005 + K / np.sqrt(2 * g.size))


# ---- faults ----------------------------------------------------------------------------------------


def worn(n: float, p_lrs: float = 0.3) -> Array:
    """Conductances of 200,000 cells of 40 uS after n cycles."""
    law = Endurance(
        n_median=quantity(1e6), sigma_ln=quantity(0.8), p_lrs=quantity(p_lrs), n_max=quantity(1e9)
    )
    g = np.full(200_000, 40e-6, np.float32)
    return wear(with_section(TAOX, endurance=law), g, n, rng.stream(1, "endurance"))


def test_median_and_spread_of_endurance_are_recovered_by_probit() -> None:
    """Phi^-1 of the failed fraction against ln n: a line through 0 at the median, of slope 1/sigma_ln."""
    cycles = np.geomspace(2e5, 5e6, 9)
    failed = np.array([np.mean(worn(n) != np.float32(40e-6)) for n in cycles])
    slope, offset = np.polyfit(np.log(cycles), stats.norm.ppf(failed), 1)
    error = K * 2 / np.sqrt(200_000)  # a probit's standard error is at most 2 over sqrt(n) between 5 and 95 %
    assert 1 / slope == pytest.approx(0.8, rel=error)
    assert np.exp(-offset / slope) == pytest.approx(1e6, rel=0.8 * error)


def test_cells_that_failed_stay_failed_at_the_same_end() -> None:
    before, after = worn(5e5), worn(1e6)
    gone = before != np.float32(40e-6)
    assert np.array_equal(before[gone], after[gone])
    failed = after[after != np.float32(40e-6)]
    error = K * np.sqrt(0.3 * 0.7 / failed.size)
    assert np.mean(failed == np.float32(100e-6)) == pytest.approx(0.3, abs=error)
    assert set(np.unique(failed)) == {np.float32(1e-7), np.float32(100e-6)}
    assert not (worn(0.0) != np.float32(40e-6)).any()


def dead(p_row: float, p_col: float, name: str = "x") -> npt.NDArray[np.bool_]:
    g = np.ones((2000, 3000), np.float32)
    return dead_lines(TAOX, g, p_row, p_col, rng.stream(1, f"{name}/r"), rng.stream(1, f"{name}/c")) == 0


def test_dead_lines_are_binomial_and_dead_from_end_to_end() -> None:
    cells = dead(0.05, 0.02)
    rows, cols = cells.all(axis=1), cells.all(axis=0)
    assert np.array_equal(cells, rows[:, None] | cols)
    for lines, p in ((rows, 0.05), (cols, 0.02)):
        assert lines.sum() == pytest.approx(p * lines.size, abs=K * np.sqrt(lines.size * p * (1 - p)))
    assert dead(0.1, 0.04)[cells].all()
    assert not dead(0.0, 0.0).any()
    assert dead(1.0, 0.0).all()


def test_conductance_after_forming_is_in_proportion_to_the_compliance_current() -> None:
    """R = V/I: half the current leaves twice the resistance, and the same cells formed."""
    one, half = (make_cells(DeviceConfig(compliance=c), (300, 300), seed=1, name="x") for c in (1.0, 0.5))
    plain = make_cells(DeviceConfig(), (300, 300), seed=1, name="x")
    assert np.array_equal(one.g, plain.g)
    assert np.array_equal(half.formed, plain.formed)
    np.testing.assert_allclose(half.g[half.formed], plain.g[half.formed] / 2, rtol=1e-6)


# ---- current against voltage -----------------------------------------------------------------------


def bent(v0: float, v_reference: float | None = None) -> DeviceCard:
    reference = quantity(v_reference, "V") if v_reference else None
    return with_section(WAN, iv=Iv(v0=quantity(v0, "V"), v_reference=reference))


def test_sinh_is_a_straight_line_with_a_quadratic_correction() -> None:
    """I/(G V) = 1 + (V/V0)^2/6 + (V/V0)^4/120; 2.8 % off at 0.1 V for V0 = 0.25 V."""
    v = np.linspace(-0.1, 0.1, 21)
    g = np.full(21, 1e-5, np.float32)
    x = v / 0.25
    np.testing.assert_allclose(chord(bent(0.25), g, v), 1 + x**2 / 6 + x**4 / 120, rtol=2e-6)
    np.testing.assert_allclose(current(bent(0.25), g, v), 1e-5 * 0.25 * np.sinh(x), rtol=1e-6, atol=1e-20)
    assert -linear_error(bent(0.25), g, v)[-1] == pytest.approx(0.4**2 / 6, rel=0.02)
    assert chord(bent(0.25), g, v)[10] == 1


def test_the_nonlinearity_label_is_twice_a_hyperbolic_cosine() -> None:
    """I(V_w)/I(V_w/2) = 2 cosh(V_w/(2 V0)): 10 at 2 V for V0 = 0.44 V."""
    g = np.full(1, 1e-5, np.float32)
    for v0 in (0.25, 0.44, 1.0):
        label = current(bent(v0), g, 2.0) / current(bent(v0), g, 1.0)
        assert label[0] == pytest.approx(2 * np.cosh(1 / v0), rel=1e-6)
    assert current(bent(0.44), g, 2.0) / current(bent(0.44), g, 1.0) == pytest.approx(10, rel=0.03)


def test_a_conductance_measured_at_a_voltage_gives_its_current_there() -> None:
    g = np.full(1, 1e-5, np.float32)
    assert current(bent(0.25, v_reference=0.2), g, 0.2)[0] == pytest.approx(2e-6, rel=1e-6)
    assert chord(bent(0.25, v_reference=0.2), g, 0.1)[0] < 1


def test_the_polynomial_law_is_that_of_the_card() -> None:
    """Milo's I = G V + N2 V^2 + N3 V^3 at its five states; +V and -V differ by the even term."""
    g = np.array([62.5e-6, 76.2e-6, 93.9e-6, 110e-6, 225e-6])
    n2, n3 = (-2.38e-5, -1.55e-5, -0.95e-5, -0.65e-5, 0.0), (9.3e-6, 4.2e-6, 3.0e-7, -1.7e-6, 0.0)
    milo = load_device("rram_milo2021")
    at = tuple(g / 225e-6)
    iv = Iv(n2=curve(*n2, unit="A/V^2", at=at), n3=curve(*n3, unit="A/V^3", at=at))
    card = with_section(milo, iv=iv)
    for v in (0.3, -0.3):
        expected = g * v + np.array(n2) * v**2 + np.array(n3) * v**3
        np.testing.assert_allclose(current(card, g.astype(np.float32), v), expected, rtol=1e-5)
    far_below = np.full(1, 1e-7, np.float32)  # where the fit has the wrong sign
    assert chord(card, far_below, 0.3) == 0
    assert linear_error(card, far_below, 0.3) == np.inf
    nothing = np.zeros(2, np.float32)
    assert np.array_equal(chord(card, nothing, 0.3), np.ones(2))
    assert not current(card, nothing, 0.3).any()


# ---- read noise in time ----------------------------------------------------------------------------


def correlation(times: list[float], p_telegraph: float) -> float:
    """Correlation of two reads of the default card's slow noise over 200,000 cells."""
    noise = TAOX.read_noise.model_copy(update={"p_telegraph": quantity(p_telegraph)})
    first, second = slow_noise(
        with_section(TAOX, read_noise=noise), (200_000,), times, seed=3, name="x"
    ).astype(np.float64)
    return float(np.corrcoef(first, second)[0, 1])


@pytest.mark.parametrize("p_telegraph", [0.0, 1.0])
def test_a_read_a_microsecond_later_is_the_same_sample_and_a_day_later_another(p_telegraph: float) -> None:
    """Correlation: mean of exp(-t/tau) over tau = 1 .. 1e4 s, evenly in ln tau."""
    error = K / np.sqrt(200_000)
    assert correlation([0.0, 1e-6], p_telegraph) > 1 - 1e-4
    assert abs(correlation([0.0, 86400.0], p_telegraph)) < error + 1e-4
    tau = np.geomspace(1, 1e4, 9 if p_telegraph == 0 else 9001)
    half = np.mean(np.exp(-100 / tau))
    assert correlation([0.0, 100.0], p_telegraph) == pytest.approx(half, abs=error + 1e-3)


def test_a_telegraph_cell_dwells_exponentially_for_twice_its_correlation_time() -> None:
    """P(a dwell lasts longer than t) = exp(-t/(2 tau)): two levels of equal rates 1/(2 tau)."""
    update = {"tau_min": quantity(1.0, "s"), "tau_max": quantity(1.0001, "s"), "p_telegraph": quantity(1.0)}
    card = with_section(TAOX, read_noise=TAOX.read_noise.model_copy(update=update))
    dt, n_steps = 0.01, 2000
    y = slow_noise(card, (500,), dt * np.arange(n_steps), seed=4, name="x")
    lengths = []
    for cell in y.T:
        changes = np.flatnonzero(np.diff(cell))
        started = changes[:-1] < n_steps // 2  # those that start later may be cut by the end
        lengths.append(np.diff(changes)[started])
    dwell = dt * np.concatenate(lengths)
    for t in (0.5, 1.0, 2.0, 4.0):
        p = np.exp(-t / 2)
        assert np.mean(dwell > t) == pytest.approx(p, abs=K * np.sqrt(p * (1 - p) / dwell.size) + dt / 2)


def test_the_white_part_of_the_noise_is_new_a_microsecond_later() -> None:
    """Total correlation of two close reads: the slow share of the variance, 0.9 on the default card."""
    cells = make_cells(DeviceConfig(v_forming=4.0), (200, 200), seed=10, name="x")
    slow = slow_noise(cells.card, cells.g.shape, [0.0, 1e-6], seed=10, name="x")
    white = rng.stream(10, "white").standard_normal(slow.shape)
    first, second = (cells.sigma_slow * slow + cells.sigma_white * white) / cells.g
    seen = np.corrcoef(first.ravel(), second.ravel())[0, 1]
    assert seen == pytest.approx(0.9, abs=K / np.sqrt(first.size))

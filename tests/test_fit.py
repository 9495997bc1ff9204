"""Cards fitted to measurements: virtual chips give back their card, real ones what is known of them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from neurosim import rng
from neurosim.cards import DeviceCard, load_device
from neurosim.cli import app
from neurosim.device import DeviceConfig, current, make_cells, program, relax, sample_conductances, slow_noise
from neurosim.errors import CardError, DataNotFoundError, MeasurementError, NeurosimError
from neurosim.fit import fit_card, write_card
from neurosim.fit.laws import fit_conductances, fit_distribution
from neurosim.fit.measurements import read_measurement, reread
from neurosim.fit.programming import fit_programming
from neurosim.quantity import Quantity
from neurosim.report.cards import plot_device

Float = npt.NDArray[np.float64]
TAOX, WAN = load_device("taox_1t1r_40nm"), load_device("rram_wan2022")


def csv(path: Path, **columns: npt.ArrayLike) -> str:
    """A file of columns."""
    rows = np.broadcast_arrays(*map(np.ravel, map(np.asarray, columns.values())))
    lines = [",".join(repr(float(x)) for x in row) for row in zip(*rows, strict=True)]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return str(path)


def hdf5(path: Path, **datasets: npt.ArrayLike) -> str:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = np.asarray(values)
    return str(path)


def assert_recovers(fitted: Quantity | None, true: float) -> None:
    """The true value lies inside the 95 % interval, made twice as wide: one false alarm in ten thousand."""
    assert fitted
    low, high = map(float, re.search(r"95 %: (\S+) \.\. (\S+)", fitted.where).groups())
    assert low <= fitted.value <= high
    assert 2 * low - fitted.value <= true <= 2 * high - fitted.value, (
        f"{fitted.value} [{low}, {high}] for {true}"
    )


def changed(card: DeviceCard, section: str, **values: float) -> DeviceCard:
    """A card with other numbers in one section."""
    old = getattr(card, section)
    new = {key: getattr(old, key).model_copy(update={"value": value}) for key, value in values.items()}
    return card.model_copy(update={section: old.model_copy(update=new)})


# ---- virtual chips ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "sigma"), [("normal", 0.15), ("lognormal", 0.15), ("lognormal", 0.6)]
)
def test_an_array_gives_back_its_law(tmp_path: Path, distribution: str, sigma: float) -> None:
    g = sample_conductances(4000, 30e-6, sigma, seed=5, name="x", distribution=distribution).astype(
        np.float64
    )
    g[1000:2000] = 0
    g[2000:3000] = np.nan
    fitted = fit_card([csv(tmp_path / "map.csv", g_uS=g * 1e6)], "mine")
    window = fitted.card.conductance
    assert window.distribution == distribution
    assert_recovers(window.g_mean, 30e-6)
    assert_recovers(window.sigma_d2d, sigma)
    assert fitted.card.faults.p_stuck_hrs.value == 0.5
    figures = fitted.goodness[str(tmp_path / "map.csv")]
    assert float(re.search(r"p = (\S+),", figures["Kolmogorov-Smirnov distance"])[1]) > 0.001
    assert float(re.search(r"r = (\S+),", figures["quantile-quantile plot"])[1]) > 0.998


def test_a_chip_made_from_the_fitted_card_looks_like_the_one_measured(tmp_path: Path) -> None:
    cells = make_cells(DeviceConfig(), (60, 60), seed=3, name="x")
    place = hdf5(tmp_path / "map.h5", g_S=cells.g)
    volts = 3.433 + 0.114 * rng.stream(3, "v").standard_normal(400)
    seen = csv(tmp_path / "forming.csv", v_forming_V=volts)
    fitted = fit_card([place, seen], "mine", formed_above=1e-6)
    path = tmp_path / "mine.toml"
    write_card(fitted.card, path)
    assert load_device(str(path)) == fitted.card
    card = fitted.card
    assert_recovers(card.forming.v_forming, 3.433)
    assert_recovers(card.forming.sigma_v_forming, 0.114)
    assert_recovers(card.conductance.g_mean, TAOX.conductance.g_mean.value)
    assert_recovers(card.conductance.sigma_d2d, TAOX.conductance.sigma_d2d.value)
    assert card.conductance.g_min.value == pytest.approx(1e-7)
    again = make_cells(DeviceConfig(card=str(path)), (60, 60), seed=4, name="y")
    assert again.formed.mean() == pytest.approx(cells.formed.mean(), abs=0.06)
    usual = again.g[again.formed]
    assert usual.mean() == pytest.approx(cells.g[cells.formed].mean(), rel=0.02)


def test_unformed_cells_without_forming_voltages_are_stuck_at_g_min(tmp_path: Path) -> None:
    g = make_cells(DeviceConfig(), (60, 60), seed=3, name="x").g
    card = fit_card([csv(tmp_path / "map.csv", g_S=g)], "mine", formed_above=1e-6).card
    write_card(card, tmp_path / "mine.toml")
    again = make_cells(DeviceConfig(card=str(tmp_path / "mine.toml")), (60, 60), seed=4, name="y").g
    assert (again < 1e-6).mean() == pytest.approx((g < 1e-6).mean(), abs=0.05)
    assert again[again > 1e-6].mean() == pytest.approx(g[g > 1e-6].mean(), rel=0.02)


def test_outliers_are_counted_and_do_not_move_the_law() -> None:
    g = sample_conductances(20_000, 30e-6, 0.1, seed=5, name="x", distribution="normal").astype(np.float64)
    clean = fit_conductances(g).card["conductance"]
    g[::1000] *= 1.9  # 20 cells at nine sigma
    fit = fit_conductances(g).card
    assert fit["conductance"]["distribution"] == "normal"
    assert fit["conductance"]["sigma_d2d"]["value"] == pytest.approx(clean["sigma_d2d"]["value"], rel=0.01)
    assert fit["faults"]["p_outlier"]["value"] == pytest.approx(1e-3, abs=1.5e-4)
    assert 4 <= fit["faults"]["outlier_min"]["value"] <= 5
    assert 9 < fit["faults"]["outlier_max"]["value"] < 16


@pytest.mark.parametrize("p_telegraph", [0.0, 0.4])
def test_a_series_of_reads_gives_back_the_noise(tmp_path: Path, p_telegraph: float) -> None:
    card = changed(TAOX, "read_noise", tau_max=60.0, p_telegraph=p_telegraph)
    cells = make_cells(DeviceConfig(sigma_read=0.05, v_forming=4.0), (20, 20), seed=2, name="x")
    t = 0.2 * np.arange(1000)
    slow = slow_noise(card, (20, 20), t, seed=2, name="x")
    g = cells.g + cells.sigma_slow * slow
    g = g + cells.sigma_white * rng.stream(2, "white").standard_normal(g.shape)
    fitted = fit_card([hdf5(tmp_path / "reads.h5", t_s=t, g_uS=g * 1e6)], "mine")
    noise = fitted.card.read_noise
    truth = {"sigma_read": 0.05, "white_fraction": 0.1, "tau_min": 1.0, "tau_max": 60.0}
    for name, value in truth.items():
        assert_recovers(getattr(noise, name), value)
    assert noise.p_telegraph.value == pytest.approx(p_telegraph, abs=0.1)
    assert_recovers(fitted.card.conductance.g_mean, TAOX.conductance.g_mean.value)
    figures = fitted.goodness[str(tmp_path / "reads.h5")]
    off, chance = map(float, re.findall(r"(\S+)%", figures["variogram"]))
    assert off < 2 * chance


def test_reads_as_a_table_are_those_of_the_matrix(tmp_path: Path) -> None:
    random = rng.stream(1, "x")
    t, g = np.cumsum(random.uniform(0.5, 1, 30)), random.uniform(1e-5, 2e-5, (30, 12))
    offset = 100.0 * np.arange(12)  # the cells are read one after another
    columns = {"cell": np.tile(np.arange(12), 30), "t_ms": 1e3 * (t[:, None] + offset), "g_uS": g * 1e6}
    order = random.permutation(g.size)
    table = csv(tmp_path / "reads.csv", **{name: np.ravel(x)[order] for name, x in columns.items()})
    a = read_measurement(table).columns
    b = read_measurement(hdf5(tmp_path / "reads.h5", t_s=t, g_S=g)).columns
    np.testing.assert_allclose(a["t"], b["t"], atol=1e-9)
    np.testing.assert_allclose(a["g"], b["g"])


def test_noise_that_is_slower_than_the_record_is_called_unresolved(tmp_path: Path) -> None:
    cells = make_cells(DeviceConfig(v_forming=4.0), (10, 20), seed=2, name="x")
    t = 2.0 * np.arange(100)  # the card's times go to 10^4 s
    g = cells.g + cells.sigma_slow * slow_noise(TAOX, (10, 20), t, seed=2, name="x")
    fitted = fit_card([hdf5(tmp_path / "reads.h5", t_s=t, g_S=g)], "mine")
    assert "not resolved" in fitted.goodness[str(tmp_path / "reads.h5")]["slowest noise"]


def test_programming_data_give_back_spread_and_relaxation(tmp_path: Path) -> None:
    target = np.tile(np.linspace(4e-6, 40e-6, 16), 2500).astype(np.float32)
    fresh = program(WAN, target, seed=1, name="x")
    late = relax(WAN, fresh, target, 86400.0, rng.stream(1, "r"))
    t = np.repeat([1.0, 86400.0], len(target))
    columns = {"target_S": np.tile(target, 2), "g_S": np.concatenate([fresh, late]), "t_s": t}
    card = fit_card([csv(tmp_path / "programming.csv", **columns)], "mine").card
    assert [point.t.value for point in card.relaxation] == [1.0, 86400.0]
    x = np.linspace(0.15, 1, 8).astype(np.float32)
    day = next(point for point in WAN.relaxation if point.t.value == 86400.0)
    for ours, truth in (
        (card.programming.sigma_prog, WAN.programming.sigma_prog),
        (card.relaxation[1].sigma, day.sigma),
    ):
        np.testing.assert_allclose(ours(x), truth(x), rtol=0.04)
    assert card.conductance.g_max.value == pytest.approx(40e-6)
    write_card(card, tmp_path / "mine.toml")
    aged = make_cells(
        DeviceConfig(card=str(tmp_path / "mine.toml"), t_after_programming=1e4), (9, 9), seed=1, name="x"
    )
    assert np.isfinite(aged.g).all()


def test_heavy_tails_and_a_shift_after_programming_are_found() -> None:
    random = rng.stream(4, "x")
    n, sigma, grown, s = 40_000, 0.5e-6, 1.5e-6, 0.6
    target = random.uniform(20e-6, 40e-6, n)
    fresh = target + sigma * random.standard_normal(n)
    tail = np.exp(s * random.standard_normal(n) - s**2)
    late = fresh - 0.05 * target + grown * tail * random.standard_normal(n)
    t = np.repeat([1.0, 1e5], n)
    card = fit_programming(np.tile(target, 2), np.concatenate([fresh, late]), t, 40e-6).card
    first, last = card["relaxation"]
    assert "tail" not in first
    assert "mean" not in first
    low, high = map(float, re.search(r"95 %: (\S+) \.\. (\S+)", last["tail"]["where"]).groups())
    assert 2 * low - last["tail"]["value"] < s < 2 * high - last["tail"]["value"]
    mean = np.polynomial.polynomial.polyval([0.5, 1.0], last["mean"]["value"])
    np.testing.assert_allclose(mean, [-1e-6, -2e-6], rtol=0.03)
    normal = fit_programming(
        np.tile(target, 2), np.concatenate([fresh, fresh + grown * random.standard_normal(n)]), t, 40e-6
    )
    assert "tail" not in normal.card["relaxation"][1]


@pytest.mark.parametrize("v_read", [None, 0.2])
def test_current_against_voltage_gives_back_the_sinh(tmp_path: Path, v_read: float | None) -> None:
    iv = {"v0": Quantity(value=0.25, unit="V", where="a test", status="assumed")}
    ideal = load_device("ideal")
    card = ideal.model_copy(update={"iv": DeviceCard.model_fields["iv"].annotation.__args__[0](**iv)})
    g = np.linspace(5e-6, 50e-6, 25, dtype=np.float32)[:, None]
    v = np.linspace(-0.5, 0.5, 21)
    i = current(card, g, v).astype(np.float64)
    i += 0.01 * np.abs(i).max(axis=1, keepdims=True) * rng.stream(1, "x").standard_normal(i.shape)
    columns = {"v_mV": np.tile(v * 1e3, 25), "i_uA": i * 1e6, "cell": np.repeat(np.arange(25), 21)}
    fitted = fit_card([csv(tmp_path / "iv.csv", **columns)], "mine", v_read=v_read).card
    assert_recovers(fitted.iv.v0, 0.25)
    chord = np.sinh(0.8) / 0.8 if v_read else 1.0
    assert fitted.conductance.g_max.value == pytest.approx(50e-6 * chord, rel=0.02)
    assert (fitted.iv.v_reference.value if fitted.iv.v_reference else None) == v_read


def test_a_straight_line_gets_no_sinh(tmp_path: Path) -> None:
    v = np.linspace(0, 0.3, 30)
    i = 1e-5 * v + 1e-9 * rng.stream(1, "x").standard_normal(30)
    fitted = fit_card([csv(tmp_path / "iv.csv", v_V=v, i_A=i)], "mine")
    assert fitted.card.iv is None
    assert "straight line" in fitted.goodness[str(tmp_path / "iv.csv")]["law"]
    assert fitted.card.conductance.g_max.value == pytest.approx(1e-5, rel=0.01)


def test_the_distance_from_a_fitted_law_is_judged_rightly() -> None:
    """Of populations of the law itself, one in ten has p < 0.1, although the law was fitted to each."""
    p = []
    for k in range(300):
        g = sample_conductances(400, 3e-5, 0.2, seed=k, name="x").astype(np.float64)
        figure = fit_distribution(g, log=True).goodness()["Kolmogorov-Smirnov distance"]
        p.append(float(re.search(r"p = (\S+),", figure)[1]))
    assert 10 <= np.count_nonzero(np.array(p) < 0.1) <= 55
    wrong = rng.stream(1, "x").uniform(1e-5, 2e-5, 2000)
    assert "p = 0.001" in fit_distribution(wrong, log=False).goodness()["Kolmogorov-Smirnov distance"]


# ---- real data -------------------------------------------------------------------------------------


@pytest.fixture
def rram(real_data: Path) -> Path:
    path = real_data / "rram" / "rram_measured.h5"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path


def test_the_measured_maps_are_half_unformed_and_lognormal(rram: Path) -> None:
    fitted = fit_card([f"{rram}:esgnn_fig1_uS"], "maps")
    assert fitted.card.faults.p_stuck_hrs.value == pytest.approx(0.507, abs=5e-4)
    assert fitted.card.conductance.g_mean.value == pytest.approx(12.34e-6, abs=5e-8)
    assert fitted.card.conductance.sigma_d2d.value == pytest.approx(0.149, abs=1.5e-3)
    assert fitted.card.conductance.distribution == "lognormal"
    assert fitted.goodness[f"{rram}:esgnn_fig1_uS"]["outliers"].startswith("0 of 1,430")
    one = fit_card([f"{rram}:esgnn_fig1_uS/hidden_weight"], "one").card
    assert one.conductance.g_mean.value == pytest.approx(12.34e-6, rel=0.02)


def test_weights_of_pairs_are_normal_with_a_few_outliers(rram: Path) -> None:
    with h5py.File(rram) as file:
        groups = ("rgnn_atomic_force", "rgnn_hamiltonian", "rgnn_wavefunction")
        weights = [np.ravel(d) for group in groups for d in file[group].values()]
    assert sum(map(len, weights)) == 411_280
    robust = [np.abs(w - np.median(w)) / (1.4826 * np.median(np.abs(w - np.median(w)))) for w in weights]
    beyond = np.mean(np.concatenate(robust) > 5)
    ours = [fit_distribution(w.astype(np.float64), log=False) for w in weights]
    assert np.mean(np.concatenate([law.outlier for law in ours])) == pytest.approx(beyond)
    assert 1e-4 < beyond < 1e-3
    for law in ours:
        assert float(law.goodness()["quantile-quantile plot"].split()[2].strip(",")) > 0.99
    with pytest.raises(MeasurementError, match=r"weights of pairs of cells are no conductances"):
        read_measurement(f"{rram}:rgnn_hamiltonian", "uS")


def test_the_forming_curve_of_the_default_card() -> None:
    place = Path(__file__).resolve().parents[1] / "devices" / "taox_1t1r_40nm_forming.csv"
    with pytest.raises(MeasurementError, match="nothing says what cells conduct; add a file of conductances"):
        fit_card([str(place)], "mine")
    assert read_measurement(str(place)).columns["cells"].sum() == 400


# ---- the command and the figure --------------------------------------------------------------------


def test_the_command_writes_a_card_and_the_figure_shows_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random = rng.stream(1, "x")
    g = np.where(random.random(600) < 0.5, 0, 30 * (1 + 0.1 * random.standard_normal(600)))
    csv(tmp_path / "map.csv", g_uS=g)
    csv(tmp_path / "forming.csv", v_forming_V=3 + 0.1 * random.standard_normal(50))
    hdf5(tmp_path / "reads.h5", t_s=np.arange(50.0), g_uS=30 * (1 + 0.05 * random.standard_normal((50, 20))))
    v = np.linspace(-1, 1, 30)
    csv(tmp_path / "iv.csv", v_V=v, i_uA=10 * np.sinh(2 * v) + 0.01 * random.standard_normal(30))
    files = ["map.csv", "forming.csv", "reads.h5", "iv.csv"]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["devices", "fit", *files, "--name", "mine"])
    assert done.exit_code == 0, done.output
    assert re.search(r"conductance.g_mean +\S+e-05 S +fitted +conductances: mean of", done.output)
    assert "Kolmogorov-Smirnov" in done.output
    assert done.output.rstrip().endswith("mine.toml")
    with_data, without = tmp_path / "with.svg", tmp_path / "without.svg"
    done = CliRunner().invoke(app, ["devices", "plot", "mine.toml", "--out", str(with_data)])
    assert done.exit_code == 0, done.output
    card = load_device("mine.toml")
    plot_device(card, without)
    assert with_data.read_text().count("measured") > without.read_text().count("measured")
    assert reread(card.sources["conductances"], tmp_path)
    (tmp_path / "map.csv").write_text("g_uS\n1\n")
    assert reread(card.sources["conductances"], tmp_path) is None
    assert reread("10.1000/182", tmp_path) is None
    plot_device(card, without, tmp_path)


def test_programming_data_are_drawn(tmp_path: Path) -> None:
    random = rng.stream(1, "x")
    target = random.uniform(10, 40, 3000)
    csv(tmp_path / "p.csv", target_uS=target, g_uS=target + random.standard_normal(3000))
    card = fit_card([str(tmp_path / "p.csv")], "mine").card
    assert card.programming.sigma_prog(np.float32([0.5]))[0] == pytest.approx(1e-6, rel=0.05)
    assert not card.relaxation
    sizes = []
    for folder in (None, tmp_path):
        plot_device(card, tmp_path / "p.svg", folder)
        sizes.append(len((tmp_path / "p.svg").read_text()))
    assert sizes[1] > sizes[0]


def test_conductances_whose_name_carries_no_unit_need_it(tmp_path: Path) -> None:
    g = 30 * (1 + 0.1 * rng.stream(1, "x").standard_normal(100))
    place = hdf5(tmp_path / "map.h5", weights=g)
    with pytest.raises(MeasurementError, match=r"column 'g': needs its unit in its name, e.g. 'g_uS'"):
        read_measurement(place)
    data = read_measurement(place, "uS")
    assert data.columns["g"].mean() == pytest.approx(30e-6, rel=0.05)
    assert reread(data.address, tmp_path).columns["g"] == pytest.approx(data.columns["g"])


def test_a_single_outlier_near_the_law_makes_a_card(tmp_path: Path) -> None:
    """Its distance in standard deviations is below 5, where outliers of the card begin."""
    core = np.concatenate([np.linspace(-1, 1, 200), [-2.3, 2.3] * 20])
    g = 30e-6 + 2e-6 * np.append(core, 4.6)
    faults = fit_card([csv(tmp_path / "g.csv", g_S=g)], "mine").card.faults
    assert faults is not None
    assert faults.outlier_min is not None
    assert faults.outlier_max is not None
    assert faults.outlier_min.value < faults.outlier_max.value < 5


def test_broken_hdf5_is_told_from_numbers(tmp_path: Path) -> None:
    whole = Path(hdf5(tmp_path / "x.h5", g_uS=np.linspace(20, 30, 40), t_s=np.arange(3.0))).read_bytes()
    random, refused = np.random.default_rng(0), 0
    for _ in range(300):
        broken = bytearray(whole)
        for place in random.integers(0, len(whole), 8):
            broken[place] = random.integers(256)
        (tmp_path / "x.h5").write_bytes(broken)
        try:
            read_measurement(str(tmp_path / "x.h5:g_uS"))
        except MeasurementError:
            refused += 1
    assert 30 < refused < 300


# ---- what is refused -------------------------------------------------------------------------------


def wrong_csv(text: str) -> Callable[[Path], object]:
    def call(folder: Path) -> object:
        (folder / "x.csv").write_text(text)
        return fit_card([str(folder / "x.csv")], "mine")

    return call


def wrong_hdf5(name: str = "", **datasets: Any) -> Callable[[Path], object]:
    return lambda folder: fit_card([hdf5(folder / "x.h5", **datasets) + name], "mine")


def linked(folder: Path) -> object:
    with h5py.File(folder / "x.h5", "w") as file:
        file["g_S"] = h5py.ExternalLink("other.h5", "/g_S")
    return fit_card([str(folder / "x.h5")], "mine")


def typed(folder: Path) -> object:
    with h5py.File(folder / "x.h5", "w") as file:
        file["kind"] = np.dtype("f8")
    return fit_card([str(folder / "x.h5:kind")], "mine")


def both(folder: Path) -> object:
    (folder / "a.csv").write_text("g_S\n1e-5\n")
    (folder / "b.csv").write_text("target_S,g_S\n1e-5,1e-5\n")
    return fit_card([str(folder / "a.csv"), str(folder / "b.csv")], "mine")


def rows(*lines: str) -> str:
    return "\n".join(lines) + "\n"


CELLS = [f"{20 + 0.1 * k}" for k in range(30)]
REFUSED: dict[str, tuple[Callable[[Path], object], type[NeurosimError], str]] = {
    "no file": (
        lambda folder: fit_card([str(folder / "x.csv")], "m"),
        DataNotFoundError,
        r"x.csv: no such file",
    ),
    "no files": (
        lambda folder: fit_card([], "m"),
        MeasurementError,
        r"no files: nothing says what cells conduct",
    ),
    "unit": (
        lambda folder: fit_card(["x.csv"], "m", unit="V"),
        MeasurementError,
        r"unit 'V' is no unit of conductance; use S, mS, uS",
    ),
    "no rows": (wrong_csv("g_S\n"), MeasurementError, r"x.csv: no rows; the first line names the columns"),
    "not text": (
        lambda folder: ((folder / "x.csv").write_bytes(b"\xff\xfe"), fit_card([str(folder / "x.csv")], "m")),
        MeasurementError,
        r"x.csv: cannot be read as CSV",
    ),
    "no number": (
        wrong_csv("g_S\n1e-5\n\n# why\nx\n"),
        MeasurementError,
        r"line 5, column 'g_S': 'x' is no number",
    ),
    "fields": (wrong_csv("g_S\n1,2\n"), MeasurementError, r"line 2 has 2 fields, the header 1"),
    "same header": (wrong_csv("g_S,g_S\n1,2\n"), MeasurementError, r"two columns of one name in g_S, g_S"),
    "same column": (wrong_csv("g_S,g_uS\n0,0\n"), MeasurementError, r"two columns say 'g'; keep one"),
    "unknown column": (
        wrong_csv("targt_uS\n1\n"),
        MeasurementError,
        r"unknown column 'targt_uS'; did you mean 'target'",
    ),
    "wrong unit": (
        wrong_csv("g_V\n1\n"),
        MeasurementError,
        r"column 'g_V': needs its unit in its name, e.g. 'g_uS'",
    ),
    "no kind": (
        wrong_csv("g_S,v_V\n0,1\n"),
        MeasurementError,
        r"columns g, v are no kind of data; known: conductances: g",
    ),
    "range": (
        wrong_csv("g_S\n\n1e-5\n30\n"),
        MeasurementError,
        r"column 'g_S', line 4: 30 S is outside 0 .. 0.1 S; check the unit",
    ),
    "negative": (
        wrong_csv("g_uS\n-1\n"),
        MeasurementError,
        r"line 2: -1e-06 S is outside .*; subtract the offset",
    ),
    "missing": (wrong_csv("v_forming_V,cells\n3,\n"), MeasurementError, r"column 'cells', line 2: nan"),
    "few cells": (
        wrong_csv("g_uS\n1\n2\n"),
        MeasurementError,
        r"x.csv: 2 formed cells are too few .*measure 20",
    ),
    "no spread": (
        wrong_csv(rows("g_uS", *["30"] * 30)),
        MeasurementError,
        r"half of the 30 values are 3e-05: no spread",
    ),
    "few volts": (
        wrong_csv("v_forming_V\n3\n"),
        MeasurementError,
        r"forming voltages of 1 cells; give those of 20",
    ),
    "few programmed": (
        wrong_csv("target_uS,g_uS\n1,1\n"),
        MeasurementError,
        r"1 rows at t = 0 s are too few",
    ),
    "time zero": (
        wrong_csv("target_uS,g_uS,t_s\n1,1,0\n1,1,9\n"),
        MeasurementError,
        r"t = 0 s: relaxation runs in ln t; give the time of the first read",
    ),
    "exact": (
        wrong_csv(rows("target_uS,g_uS", *(f"{c},{c}" for c in CELLS))),
        MeasurementError,
        r"every cell is exactly at its target: no spread",
    ),
    "short curve": (
        wrong_csv("v_V,i_A\n0.1,1e-6\n"),
        MeasurementError,
        r"needs 5 points or more of every cell",
    ),
    "few reads": (
        wrong_csv("cell,t_s,g_uS\n0,0,1\n0,1,1\n"),
        MeasurementError,
        r"2 reads of 1 formed cells.*measure 10 of 10",
    ),
    "silent reads": (
        wrong_hdf5(t_s=np.arange(12.0), g_uS=np.full((12, 30), 5.0)),
        MeasurementError,
        r"all reads of a cell are the same",
    ),
    "uneven reads": (
        wrong_csv("cell,t_s,g_uS\n0,0,1\n0,1,1\n1,0,1\n1,1,1\n2,0,1\n"),
        MeasurementError,
        r"cell 2 has 1 reads, others have 2",
    ),
    "other rhythm": (
        wrong_csv("cell,t_s,g_uS\n0,0,1\n0,1,1\n1,0,1\n1,1,1\n2,0,1\n2,5,1\n"),
        MeasurementError,
        r"cell 2 was read at other times",
    ),
    "times of a matrix": (
        wrong_hdf5(t_s=[0.0, 1.0, 2.0], g_uS=np.ones((2, 30))),
        MeasurementError,
        r"g of shape \(2, 30\) needs 2 rising times, t has 3",
    ),
    "lengths": (
        wrong_hdf5(target_uS=[1.0, 2.0], g_uS=[1.0]),
        MeasurementError,
        r"columns differ in length: .*g has 1",
    ),
    "no dataset": (wrong_hdf5(":b", a=[1.0]), MeasurementError, r"no 'b' in '/'; known: a"),
    "below a dataset": (wrong_hdf5(":a/b", a=[1.0]), MeasurementError, r"no 'b' in '/a'; it is a dataset"),
    "groups only": (
        wrong_hdf5(**{"a_uS/b": [1.0]}),
        MeasurementError,
        r"no datasets in '/'; name a group: .*x.h5:a_uS",
    ),
    "two units": (wrong_hdf5(a_uS=[1.0], b_S=[1.0]), MeasurementError, r"in several units; name one dataset"),
    "objects": (
        lambda folder: fit_card([hdf5(folder / "x.h5", g_S=np.array([b"a"]))], "m"),
        MeasurementError,
        r"x.h5: /g_S: .*; must be plain numbers in this file",
    ),
    "empty": (wrong_hdf5(g_S=np.zeros(0)), MeasurementError, r"/g_S: shape \(0,\); must be 1 to"),
    "type": (typed, MeasurementError, r"'kind' is neither a dataset nor a group; name one"),
    "parts of cells": (
        wrong_csv(rows("v_forming_V,cells", *(f"3.{k},0.9" for k in range(30)))),
        MeasurementError,
        r"x.csv: column 'cells': not all are whole numbers",
    ),
    "one time": (
        wrong_csv(rows("cell,t_s,g_uS", *(f"{k},0,{10 + k}" for k in range(20) for _ in range(12)))),
        MeasurementError,
        r"x.csv: cells were read twice at one time",
    ),
    "no targets": (
        wrong_csv(rows("target_uS,g_uS", *(f"0,{k}" for k in range(30)))),
        MeasurementError,
        r"x.csv: all targets are 0 S",
    ),
    "link": (linked, MeasurementError, r"'g_S' is a link, which is not followed"),
    "no HDF5": (
        lambda folder: ((folder / "x.h5").write_text("x"), fit_card([str(folder / "x.h5")], "m")),
        MeasurementError,
        r"x.h5: not a readable HDF5 file",
    ),
    "two of a kind": (
        lambda folder: fit_card([csv(folder / f"{x}.csv", g_uS=range(30)) for x in "ab"], "m"),
        MeasurementError,
        r"a.csv and .*b.csv are both conductances; join them",
    ),
    "formed and programmed": (
        both,
        MeasurementError,
        r"b.csv is of cells that are programmed, .*a.csv of cells that",
    ),
    "name": (
        lambda folder: fit_card([csv(folder / "x.csv", g_uS=np.linspace(20, 30, 40))], "My card"),
        CardError,
        r"card 'My card' fitted to x.csv: name: .*pattern",
    ),
    "suffix": (
        lambda folder: write_card(TAOX, folder / "x.txt"),
        CardError,
        r"a card's file ends in .toml; name it .*x.toml",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_named_with_its_place_and_a_remedy(tmp_path: Path, case: str) -> None:
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call(tmp_path)


def test_a_source_must_be_a_citation_or_a_file_with_its_sum(tmp_path: Path) -> None:
    fitted = fit_card([csv(tmp_path / "map.csv", g_uS=np.linspace(20, 30, 40))], "mine")
    write_card(fitted.card, tmp_path / "mine.toml")
    text = (tmp_path / "mine.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace("?sha256=", "?"))
    with pytest.raises(CardError, match=r"sources.conductances: 'file:map.csv.*file:NAME\?sha256=HEX"):
        load_device(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize("name", ["taox_1t1r_40nm", "rram_wan2022", "pcm_nandakumar2019", "ideal"])
def test_a_written_card_is_the_card(tmp_path: Path, name: str) -> None:
    card = load_device(name)
    write_card(card, tmp_path / "x.toml")
    assert load_device(str(tmp_path / "x.toml")) == card

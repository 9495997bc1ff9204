"""Cards: what is shipped, what is refused, and what the refusal says."""

import re
from pathlib import Path

import numpy as np
import pytest

from neurosim import cards
from neurosim.cards import (
    list_cards,
    load_dataset,
    load_device,
    load_macro,
    load_platform,
    load_qpu,
    quantities,
)
from neurosim.errors import CardError

LOADERS = {
    "device": load_device,
    "macro": load_macro,
    "platform": load_platform,
    "qpu": load_qpu,
    "dataset": load_dataset,
}
SHIPPED = [(kind, name) for kind in LOADERS for name in list_cards(kind)]
REPOSITORY = Path(__file__).resolve().parents[1]

DEVICE = """
schema = "neurosim.device/1"
name = "mine"
title = "a test"
[sources]
paper = "10.1000/182"
[conductance]
g_mean = { value = 30e-6, unit = "S", source = "paper", where = "Fig. 1", status = "measured" }
sigma_d2d = { value = 0.1, unit = "1", source = "paper", where = "Fig. 1", status = "measured" }
g_min = { value = 1e-7, unit = "S", source = "paper", where = "Fig. 1", status = "measured" }
g_max = { value = 1e-4, unit = "S", source = "paper", where = "Fig. 1", status = "measured" }
[forming]
v_forming = { value = 3.0, unit = "V", source = "paper", where = "Fig. 2", status = "measured" }
sigma_v_forming = { value = 0.1, unit = "V", source = "paper", where = "Fig. 2", status = "measured" }
v_default = { value = 3.0, unit = "V", source = "paper", where = "Fig. 2", status = "measured" }
v_min = { value = 2.0, unit = "V", source = "paper", where = "Fig. 2", status = "measured" }
v_max = { value = 4.0, unit = "V", source = "paper", where = "Fig. 2", status = "measured" }
[programming]
sigma_prog = { value = [1e-6, 2e-6], unit = "S", source = "paper", where = "Fig. 3", status = "fitted" }
[[relaxation]]
t = { value = 1.0, unit = "s", source = "paper", where = "Fig. 4", status = "measured" }
sigma = { value = [1e-6, 2e-6], unit = "S", source = "paper", where = "Fig. 4", status = "fitted" }
[[relaxation]]
t = { value = 100.0, unit = "s", source = "paper", where = "Fig. 4", status = "measured" }
sigma = { value = [2e-6, 2e-6], unit = "S", source = "paper", where = "Fig. 4", status = "fitted" }
[drift]
t0 = { value = 1.0, unit = "s", source = "paper", where = "Fig. 5", status = "measured" }
t_max = { value = 1e5, unit = "s", source = "paper", where = "Fig. 5", status = "measured" }
nu_mean = { value = [0.05, 0], clip = [0, 0.1], unit = "1", source = "paper", where = "5", status = "fitted" }
nu_std = { value = [0.01, 0], clip = [0, 0.1], unit = "1", source = "paper", where = "5", status = "fitted" }
[read_noise]
sigma_read = { value = 0.02, unit = "1", source = "paper", where = "Fig. 6", status = "measured" }
white_fraction = { value = 0.1, unit = "1", source = "paper", where = "Fig. 6", status = "measured" }
tau_min = { value = 1.0, unit = "s", source = "paper", where = "Fig. 6", status = "measured" }
tau_max = { value = 100.0, unit = "s", source = "paper", where = "Fig. 6", status = "measured" }
[faults]
p_outlier = { value = 1e-3, unit = "1", source = "paper", where = "Fig. 7", status = "measured" }
outlier_min = { value = 5.0, unit = "1", source = "paper", where = "Fig. 7", status = "measured" }
outlier_max = { value = 9.0, unit = "1", source = "paper", where = "Fig. 7", status = "measured" }
"""


def line(key: str) -> str:
    """The whole line of ``key`` in DEVICE."""
    found = re.search(rf"^{key} = .*\n", DEVICE, re.MULTILINE)
    assert found
    return found[0]


def section(name: str) -> str:
    """A whole section of DEVICE."""
    return DEVICE[DEVICE.index(f"[{name}]") :].split("\n[", 1)[0]


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_every_shipped_card_loads_and_says_where_its_numbers_come_from(kind: str, name: str) -> None:
    card = LOADERS[kind](name)
    assert card.name == name
    for key, quantity in quantities(card):
        assert quantity.where, key
    for address in cards.cite(card):
        assert re.fullmatch(r"\w+: https://\S+", address)
    for source in card.sources.values():
        assert source.startswith("https://") or re.fullmatch(
            r"10\.\d{4,9}/[\w./()-]+|arXiv:\d{4}\.\d+", source
        )


def test_the_cards_that_are_promised_are_there() -> None:
    devices = {"taox_1t1r_40nm", "rram_milo2021", "rram_wan2022", "pcm_nandakumar2019", "ideal"}
    assert devices <= set(list_cards("device"))
    assert {"rram_40nm_256kb", "rram_isaac_128", "pcm_hermes_core", "ideal"} <= set(list_cards("macro"))
    assert {"gpu_a100_int8", "gpu_a100_fp16", "accelerator_45nm"} <= set(list_cards("platform"))
    qpus = {
        f"qpu_{kind}_{which}" for kind in ("transmon", "photonic") for which in ("optimistic", "realistic")
    }
    assert qpus <= set(list_cards("qpu"))


def test_card_folders_hold_no_code() -> None:
    folders = [REPOSITORY / model.folder for model in cards.KINDS.values()]
    assert not [file for folder in folders for file in folder.rglob("*.py")]


def test_every_toml_in_a_card_folder_is_a_card_of_some_kind() -> None:
    files = {file for folder in ("devices", "datasets") for file in (REPOSITORY / folder).glob("*.toml")}
    assert len(files) == len(SHIPPED)


def test_the_forming_law_of_the_default_card_is_that_of_its_measured_curve() -> None:
    volts, cells = np.loadtxt(
        REPOSITORY / "devices" / "taox_1t1r_40nm_forming.csv", delimiter=",", skiprows=1
    ).T
    measured = np.repeat(volts, cells.astype(int))
    forming = load_device("taox_1t1r_40nm").forming
    assert forming
    assert len(measured) == 400
    assert forming.v_forming.value == pytest.approx(measured.mean(), abs=5e-4)
    assert forming.sigma_v_forming.value == pytest.approx(measured.std(ddof=1), abs=5e-4)


def test_a_users_own_card_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(DEVICE)
    card = load_device(str(path))
    assert card.conductance.g_mean
    assert card.conductance.g_mean.value == 30e-6
    assert card.programming
    assert card.programming.sigma_prog.value == (1e-6, 2e-6)
    assert [point.t.value for point in card.relaxation] == [1.0, 100.0]
    assert dict(quantities(card))["relaxation.1.t"].value == 100.0


def assumed(key: str, value: str, unit: str) -> str:
    """The line of an assumed quantity."""
    return f'{key} = {{ value = {value}, unit = "{unit}", where = "x", status = "assumed" }}\n'


POLYNOMIAL = "[iv]\n" + assumed("n2", "[0.0]", "A/V^2") + assumed("n3", "[0.0]", "A/V^3")

MALFORMED = {
    "wrong unit": ('30e-6, unit = "S"', '30, unit = "uS"', r"conductance.g_mean: unit must be 'S' .*convert"),
    "out of range": (
        "g_mean = { value = 30e-6",
        "g_mean = { value = 30.0",
        r"conductance.g_mean: value 30 is outside 0 .. 0.1 S; check the power of ten",
    ),
    "probability above one": (
        "p_outlier = { value = 1e-3",
        "p_outlier = { value = 3.0",
        r"faults.p_outlier: value 3 is outside 0 .. 1",
    ),
    "law without width": (
        "sigma_v_forming = { value = 0.1",
        "sigma_v_forming = { value = 0.0",
        r"forming.sigma_v_forming: value 0 is outside 1e-06 .. 5 V",
    ),
    "coefficient out of range": (
        "value = [1e-6, 2e-6]",
        "value = [1e-6, 2.0]",
        r"programming.sigma_prog: value 2 is outside -0.1 .. 0.1 S",
    ),
    "unknown key": (
        "sigma_d2d =",
        "sigma_dtd =",
        r"conductance.sigma_dtd: unknown key; did you mean 'sigma_d2d'",
    ),
    "unknown section": (
        "[read_noise]",
        "[readnoise]",
        r"readnoise: unknown key; did you mean 'read_noise'",
    ),
    "unknown key of a quantity": (
        'source = "paper", where = "Fig. 3"',
        'sorce = "paper", where = "Fig. 3"',
        r"programming.sigma_prog.sorce: unknown key; did you mean 'source'",
    ),
    "unknown key in a list of tables": (
        "t = { value = 100.0",
        "tt = { value = 100.0",
        r"relaxation.1.tt: unknown key; did you mean 't'",
    ),
    "missing unit": (
        'g_min = { value = 1e-7, unit = "S",',
        "g_min = { value = 1e-7,",
        r"conductance.g_min.unit: missing; add it",
    ),
    "missing source": (
        'g_min = { value = 1e-7, unit = "S", source = "paper"',
        'g_min = { value = 1e-7, unit = "S"',
        r"conductance.g_min: source: missing for a measured value; name a key of \[sources\]",
    ),
    "missing place": (
        ', where = "Fig. 3"',
        "",
        r"programming.sigma_prog.where: missing; add it",
    ),
    "source not listed": (
        'source = "paper", where = "Fig. 3"',
        'source = "papre", where = "Fig. 3"',
        r"programming.sigma_prog: source 'papre' is not in \[sources\]; did you mean 'paper'",
    ),
    "no citation": ("10.1000/182", "Smith 2020", r"sources.paper: 'Smith 2020' is no DOI"),
    "unknown status": (
        'where = "Fig. 3", status = "fitted"',
        'where = "Fig. 3", status = "guessed"',
        r"programming.sigma_prog.status: .*'measured', 'digitised', 'fitted' or 'assumed'.*got 'guessed'",
    ),
    "number as text": (
        "t0 = { value = 1.0",
        't0 = { value = "1.0"',
        r"drift.t0.value: Input should be a valid number \(got '1.0'\)",
    ),
    "not a number": (
        "t0 = { value = 1.0",
        "t0 = { value = nan",
        r"drift.t0.value: Input should be a finite number",
    ),
    "three numbers for two": (
        "nu_std = { value = [0.01, 0]",
        "nu_std = { value = [0.01, 0, 0]",
        r"drift.nu_std.value: .*at most 2 items",
    ),
    "missing key": (line("tau_max"), "", r"read_noise.tau_max: missing; add it"),
    "window upside down": (
        "g_min = { value = 1e-7",
        "g_min = { value = 2e-4",
        r"conductance: g_min, g_max must be ascending, got 0.0002 and 0.0001; exchange",
    ),
    "times upside down": (
        "tau_min = { value = 1.0",
        "tau_min = { value = 1e3",
        r"read_noise: tau_min, tau_max must be ascending",
    ),
    "forming range upside down": (
        "v_min = { value = 2.0",
        "v_min = { value = 5.0",
        r"forming: v_min, v_max must be ascending",
    ),
    "relaxation times fall": (
        "t = { value = 100.0",
        "t = { value = 0.1",
        r"relaxation: times must ascend; sort",
    ),
    "relaxation without programming": (
        section("programming"),
        "",
        r"programming: missing; \[\[relaxation\]\]",
    ),
    "forming without mean": (line("g_mean"), "", r"conductance.g_mean: missing; a card with \[forming\]"),
    "outliers without spread": (line("sigma_d2d"), "", r"conductance.sigma_d2d: missing; faults.p_outlier"),
    "outliers without limits": (line("outlier_max"), "", r"faults: p_outlier needs .*outlier_max; add"),
    "no noise law": (line("sigma_read"), "", r"read_noise: give sigma_read, sigma_curve, q with"),
    "half of a noise law": (
        "sigma_read =",
        "q =",
        r"read_noise: give sigma_read, sigma_curve, q with",
    ),
    "two noise laws": (
        "white_fraction =",
        'q = { value = 0.1, unit = "1", where = "x", status = "assumed" }\nwhite_fraction =',
        r"read_noise: give sigma_read, sigma_curve, q with",
    ),
    "table without points": (
        "value = [1e-6, 2e-6]",
        "value = [1e-6, 2e-6], at = [0.0]",
        r"programming.sigma_prog: at: 1 points for 2 values; give one",
    ),
    "table whose points fall": (
        "value = [1e-6, 2e-6]",
        "value = [1e-6, 2e-6], at = [1.0, 0.0]",
        r"programming.sigma_prog: at: points must rise; sort",
    ),
    "clip upside down": (
        "clip = [0, 0.1]",
        "clip = [1, 0.1]",
        r"drift.nu_mean: clip must be ascending, got \[1.0, 0.1\]; exchange",
    ),
    "split without what is above": (
        "clip = [0, 0.1]",
        "clip = [0, 0.1], split = 0.5",
        r"drift.nu_mean: split and high belong together; give both",
    ),
    "two laws of current": (
        "[faults]",
        POLYNOMIAL + assumed("v0", "0.25", "V") + "[faults]",
        r"iv: give either v0 or both of n2, n3",
    ),
    "reference of a polynomial": (
        "[faults]",
        POLYNOMIAL + assumed("v_reference", "0.2", "V") + "[faults]",
        r"iv: v_reference belongs to the sinh law; remove it or give v0",
    ),
    "temperatures upside down": (
        "[faults]",
        "[temperature]\n"
        + "".join(
            assumed(f"t_{name}", t, "K") for name, t in {"ref": "300", "min": "400", "max": "250"}.items()
        )
        + "[faults]",
        r"temperature: t_min, t_max must be ascending",
    ),
    "bad name": ('name = "mine"', 'name = "My card"', r"name: String should match pattern"),
    "other schema": ("neurosim.device/1", "neurosim.device/2", r'schema: must be "neurosim.device/1"'),
    "no schema": ('schema = "neurosim.device/1"', "", r'schema: must be "neurosim.device/1", got None'),
    "not TOML": ("[sources]", "[sources", r"not valid TOML: .*line"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_card_is_refused_with_file_key_and_remedy(case: str, tmp_path: Path) -> None:
    old, new, message = MALFORMED[case]
    assert old in DEVICE
    path = tmp_path / "mine.toml"
    path.write_text(DEVICE.replace(old, new))
    with pytest.raises(CardError, match=rf"mine\.toml: .*{message}"):
        load_device(str(path))


def test_the_1f_law_needs_a_drift_section(tmp_path: Path) -> None:
    quantity = '{ value = 0.1, unit = "1", where = "x", status = "assumed" }'
    law = "".join(f"{key} = {quantity}\n" for key in ("q", "q_exponent", "q_max"))
    law += 't_read = { value = 1e-7, unit = "s", where = "x", status = "assumed" }\n'
    path = tmp_path / "mine.toml"
    path.write_text(DEVICE.replace(section("drift"), "").replace(line("sigma_read"), law))
    with pytest.raises(CardError, match=r"drift: missing; the 1/f law"):
        load_device(str(path))


def test_every_problem_of_a_card_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        DEVICE.replace("sigma_d2d =", "sigma =").replace(
            "p_outlier = { value = 1e-3", "p_outlier = { value = 2"
        )
    )
    with pytest.raises(CardError) as error:
        load_device(str(path))
    assert len(str(error.value).splitlines()) == 2


def test_a_wrong_name_gets_the_nearest_right_one() -> None:
    with pytest.raises(CardError, match=r"unknown device card 'taox_1t1r'; did you mean 'taox_1t1r_40nm'"):
        load_device("taox_1t1r")
    with pytest.raises(CardError, match=r"unknown macro card .*own card: give the path"):
        load_macro("rram_40nm")
    with pytest.raises(CardError, match=r"unknown kind of card 'devices'; did you mean 'device'"):
        list_cards("devices")


def test_a_macro_card_is_no_device_card() -> None:
    with pytest.raises(CardError, match=r'macro_ideal\.toml: schema: must be "neurosim.device/1"'):
        load_device(str(REPOSITORY / "devices" / "macro_ideal.toml"))


QPU_MISTAKES = {
    r"t_measure = .*\n": ("", r"mine\.toml: qubits\.t_measure: missing; add it"),
    r"\[qubits\]": ("[photons]", r"mine\.toml: photons\.rate: missing; add it"),
    r"\[qubits\]\n(.*\n){4}": ("", r"give \[qubits\] or \[photons\], and not both"),
    r"(power = \{ value = )25e3": (r"\g<1>25e9", r"power: value 2\.5e\+10 is outside 0\.001 .. 1e\+08 W"),
    r'(t_overhead = .*)unit = "s"': (r'\g<1>unit = "ms"', r"t_overhead: unit must be 's' \(SI\), got 'ms'"),
}


@pytest.mark.parametrize("line_of_the_card", QPU_MISTAKES)
def test_a_wrong_card_of_a_quantum_processor_is_refused(tmp_path: Path, line_of_the_card: str) -> None:
    text = (REPOSITORY / "devices" / "qpu_transmon_realistic.toml").read_text()
    wrong, message = QPU_MISTAKES[line_of_the_card]
    path = tmp_path / "mine.toml"
    path.write_text(re.sub(line_of_the_card, wrong, text, count=1))
    with pytest.raises(CardError, match=message):
        load_qpu(str(path))


def test_a_file_to_fetch_needs_a_checksum(tmp_path: Path) -> None:
    text = (REPOSITORY / "datasets" / "mnist-saccades-full.toml").read_text()
    path = tmp_path / "data.toml"
    path.write_text(re.sub(r"sha256 = .*\n", "", text, count=1))
    with pytest.raises(CardError, match=r"data\.toml: files\.0: sha256: missing; add it"):
        load_dataset(str(path))


def test_a_missing_file_and_a_missing_folder_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CardError, match=r"none\.toml: no such file"):
        load_device(str(tmp_path / "none.toml"))
    monkeypatch.setattr(cards, "__file__", str(tmp_path / "package" / "cards.py"))
    with pytest.raises(CardError, match=r"no card folder .*_cards.*install the package again"):
        list_cards("device")


def test_cards_of_a_wheel_come_before_those_of_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "package" / "_cards" / "devices"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(DEVICE)
    monkeypatch.setattr(cards, "__file__", str(tmp_path / "package" / "cards.py"))
    assert list_cards("device") == ["mine"]

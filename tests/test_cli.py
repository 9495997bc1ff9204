"""The command line: what it shows, and that bad input gives exit code 2, a remedy and no traceback."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import neurosim.cli
import neurosim.experiment
from neurosim.cards import list_cards, shipped_folder
from neurosim.cli import app
from neurosim.concept_shift import load_concept_shift
from neurosim.experiment import load_experiment
from neurosim.report.tables import HARDWARE
from neurosim.zero_shot import load_zero_shot

EXPERIMENT = """
schema = "neurosim.experiment/1"
name = "tiny"
[data]
train = { dataset = "nmnist", split = "train" }
test = { dataset = "nmnist", split = "test" }
[events]
n_steps = 10
crop = 16
[reservoir]
beta = 0.9
n_neurons = 20
homeostasis = { n_recordings = 10, n_iterations = 2 }
[readout]
kind = "ridge"
"""


def call(*args: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(arg) for arg in args])


def events(*rows: tuple[int, int, int, int]) -> bytes:
    """N-MNIST bytes of (x, y, polarity, time in us)."""
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, p, t in rows)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``tiny.toml`` and a few N-MNIST recordings: a higher digit starts later."""
    random = np.random.default_rng(0)
    for split, first, n in (("Train", 1, 5), ("Test", 1, 2)):
        for i in range(10 * n):
            digit = i % 10
            file = tmp_path / "nmnist" / split / str(digit) / f"{first + i:05d}.bin"
            file.parent.mkdir(parents=True, exist_ok=True)
            t = np.sort(random.integers(digit * 25_000, 300_000, 400))
            file.write_bytes(events(*zip(*random.integers(8, 26, (2, 400)), t % 2, t, strict=True)))
    (tmp_path / "tiny.toml").write_text(EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- what it shows ---


def test_version() -> None:
    done = call("--version")
    assert (done.exit_code, done.output.split()[0]) == (0, "neurosim")


COMMANDS = ["", "run", "demo", "devices", *(f"devices {verb}" for verb in ("list", "show", "plot", "fit"))]
COMMANDS += ["sweep", "search", "sensitivity", "worker", "dashboard"]
COMMANDS += ["datasets", *(f"datasets {verb}" for verb in ("list", "show", "fetch"))]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = call(*command.split(), "--help")
    assert done.exit_code == 0
    assert re.search(r"Usage: .*\n\s*\n .{20,}", done.output)


def test_run_help_names_every_example() -> None:
    output = call("run", "--help").output
    files = shipped_folder("examples").glob("*.toml")
    names = [file.stem for file in files]
    assert [name for name in names if name not in output] == []
    assert "docs/experiments.md" in output


@pytest.mark.parametrize("example", re.findall(r"neurosim run (.*)", neurosim.cli.run.__doc__ or ""))
def test_examples_of_run_help_are_right(example: str) -> None:
    source, *options = example.split()
    loaders = {"concept_shift": load_concept_shift, "zero_shot_audio_visual": load_zero_shot}
    load: Callable[..., object] = loaders.get(source, load_experiment)
    load(source, [options[i + 1] for i, option in enumerate(options) if option == "--set"])


def test_devices_list_names_every_card() -> None:
    output = call("devices", "list").output
    named = {tuple(line.split()[:2]) for line in output.splitlines()}
    assert {(name, kind) for kind in HARDWARE for name in list_cards(kind)} <= named


def test_devices_show_gives_value_unit_status_and_source() -> None:
    output = call("devices", "show", "taox_1t1r_40nm").output
    assert re.search(r"forming.v_forming +3.433 V +measured +wang2023", output)
    assert "https://doi.org/10.1038/s42256-023-00609-5" in output


def test_devices_show_knows_macros_and_paths() -> None:
    by_name = call("devices", "show", "rram_40nm_256kb")
    by_path = call("devices", "show", shipped_folder("devices") / "rram_40nm_256kb.toml")
    assert re.search(r"rows +512", by_name.output)
    assert by_name.output == by_path.output


def test_devices_show_knows_quantum_processors() -> None:
    shown = call("devices", "show", "qpu_transmon_realistic").output
    assert re.search(r"qubits\.t_two_qubit +6\.8e-08 s +measured +qiskit_ibm_runtime", shown)
    assert re.search(r"power +25000 W +assumed", shown)


def test_devices_plot_writes_a_picture(tmp_path: Path) -> None:
    done = call("devices", "plot", "taox_1t1r_40nm", "--out", tmp_path / "card.svg")
    assert done.exit_code == 0
    assert "<svg" in (tmp_path / "card.svg").read_text()


def test_datasets_list_says_what_is_here(tiny: Path) -> None:
    lines = call("datasets", "list", "--data", tiny).output.splitlines()
    rows = {line.split()[0]: line for line in lines if line.strip()}
    assert "train, validation, test" in rows["mnist-saccades"]
    assert "train, test" in rows["nmnist"]
    assert " no " in rows["ntidigits"]


def test_datasets_show_says_where_and_how_to_get(tiny: Path) -> None:
    here = call("datasets", "show", "nmnist", "--data", tiny).output
    assert f"60,000 recordings, {tiny / 'nmnist/Train'}" in here
    away = call("datasets", "show", "ntidigits", "--data", tiny).output
    assert "not on this machine (neurosim datasets fetch ntidigits)" in away


def test_datasets_fetch_of_what_ships() -> None:
    done = call("datasets", "fetch", "mnist-saccades")
    assert (done.exit_code, "nothing to fetch" in done.output) == (0, True)


def test_run_writes_and_prints_its_report(tiny: Path) -> None:
    done = call(
        "run", tiny / "tiny.toml", "--data", tiny, "--out", tiny / "out", "--seed", 3, "--set", "chips=2"
    )
    assert done.exit_code == 0, done.output
    result = json.loads((tiny / "out" / "result.json").read_text())
    assert (result["name"], result["experiment"]["seed"]) == ("tiny", 3)
    assert len(result["accuracy"]["per_chip"]) == 2
    assert (tiny / "out" / "report.html").stat().st_size > 10_000
    assert "Accuracy" in done.stdout
    assert str(tiny / "out" / "report.html") in done.stdout


# --- how it ends ---


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "finished stages are cached"),
        (OSError(28, "No space left on device"), 1, "the run failed: .* No space left"),
    ],
)
def test_a_run_that_does_not_finish(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def run(*_args: Any, **_options: Any) -> None:
        raise error

    monkeypatch.setattr(neurosim.experiment, "run", run)
    done = call("run", tiny / "tiny.toml", "--data", tiny)
    assert done.exit_code == code
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.output


def test_a_bug_keeps_its_traceback(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neurosim.experiment, "run", lambda *_args, **_options: 1 / 0)
    done = call("run", tiny / "tiny.toml", "--data", tiny)
    assert done.exit_code == 1
    assert isinstance(done.exception, ZeroDivisionError)


# --- bad input ---


def refused(done: Result, message: str) -> None:
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stderr).split())
    assert done.exit_code == 2, done.output
    assert re.search(message, shown), shown
    assert "Traceback" not in done.output


CARD = "ideal.toml", "devices"
MACRO = "rram_40nm_256kb.toml", "devices"
DATASET = "nmnist.toml", "datasets"
BAD_CARDS = {
    "unit": (CARD, '"S"', '"uS"', r"g_min: unit must be 'S' \(SI\), got 'uS'; convert the value"),
    "unknown key": (CARD, "g_max =", "g_mx =", r"conductance.g_mx: unknown key; did you mean 'g_max'"),
    "missing key": (CARD, "\ng_min", "\n#", r"conductance.g_min: missing; add it"),
    "no source": (
        CARD,
        '"assumed"',
        '"measured"',
        r"g_min: source: missing for a measured .*; name a key of",
    ),
    "value": (CARD, "100e-6", "100.0", r"g_max: value 100 is outside 0 .. 0.1 S; check the power of ten"),
    "text for a number": (CARD, "100e-6", '"100e-6"', r"g_max.value: .*valid number \(got '100e-6'\)"),
    "order": (
        CARD,
        "value = 0.0",
        "value = 0.05",
        r"conductance: g_min, g_max must be ascending, .*; exchange",
    ),
    "status": (CARD, '"assumed"', '"guessed"', r"status: .*'measured', 'digitised', 'fitted' or 'assumed'"),
    "schema": (CARD, "device/1", "device/7", r'schema: must be "neurosim.device/1", got .*; is it the right'),
    "not TOML": (CARD, "name =", "name", r"not valid TOML: .*at line 2"),
    "citation": (
        CARD,
        "[conductance]",
        '[sources]\na="a book"\n[conductance]',
        r"sources.a: .* is no DOI, arXiv",
    ),
    "bits": (
        MACRO,
        "adc_bits = { value = 14",
        "adc_bits = { value = 99",
        r"adc_bits: value 99 is outside 0 .. 24",
    ),
    "format": (DATASET, 'format = "nmnist"', 'format = "aer"', r"format: .*'idx', 'letters', .* or 'cortex'"),
    "plain http": (DATASET, "https://data", "http://data", r"files.0.url: .*https"),
    "leaving the folder": (DATASET, '"nmnist/Train"', '"../Train"', r"splits.train.data.0: .*pattern"),
}


@pytest.mark.parametrize("case", BAD_CARDS)
def test_bad_card(tmp_path: Path, case: str) -> None:
    (file, kind), old, new, message = BAD_CARDS[case]
    text = (shipped_folder(kind) / file).read_text()
    assert old in text
    card = tmp_path / file
    card.write_text(text.replace(old, new))
    refused(call(kind, "show", card), f"{re.escape(str(card))}: .*{message}")


BAD_EXPERIMENTS = {
    "unknown key": ("n_neurons", "n_neuron", r"reservoir.n_neuron: unknown key; did you mean 'n_neurons'"),
    "unknown table": ("[events]", "[event]", r"event: unknown key; did you mean 'events'"),
    "topology": ("beta = 0.9", 'beta = 0.9\ntopology = "ring"', r"topology: .*'dense', 'sparse', 'local' or"),
    "type": ("n_steps = 10", "n_steps = 10.5", r"events.n_steps: .*valid integer.*got 10.5"),
    "range": ("beta = 0.9", "beta = 1.0", r"reservoir.beta: .*less than 1"),
    "not a number": ("beta = 0.9", "beta = nan", r"reservoir.beta: .*finite number"),
    "twice": ("beta = 0.9", "beta = 0.9\ntau_mem = 0.1", r"reservoir: give exactly one of beta and tau_mem"),
    "test on train": ('split = "test"', 'split = "train"', r"data: test takes recordings of train"),
    "schema": ("experiment/1", "experiment/9", r"schema: .*'neurosim.experiment/1'"),
    "schema of a wrong type": ('"neurosim.experiment/1"', "[]", r"schema: .*'neurosim.experiment/1'"),
    "readout": ('"ridge"', '"ridge"\nhidden = 9', r"readout: kind 'ridge' has no hidden; remove it"),
    "not TOML": ("[readout]", "[readout", r"not valid TOML"),
}


@pytest.mark.parametrize("case", BAD_EXPERIMENTS)
def test_bad_experiment(tiny: Path, case: str) -> None:
    old, new, message = BAD_EXPERIMENTS[case]
    assert old in EXPERIMENT
    file = tiny / "bad.toml"
    file.write_text(EXPERIMENT.replace(old, new))
    refused(call("run", file, "--data", tiny), f"{re.escape(str(file))}: .*{message}")


BAD_OPTIONS = {
    "--set without value": (["--set", "reservoir"], r"--set reservoir: expected key=value, e.g."),
    "--set below a value": (["--set", "name.x=1"], r"'name' is a value, not a table; shorten the key"),
    "--set of a wrong type": (["--set", "chips=many"], r"chips: .*valid integer.*got 'many'"),
    "--seed": (["--seed", "-1"], r"--seed.*greater than or equal to 0"),
    "--engine": (["--engine", "nest"], r"'nest' is not one of 'numba', 'snntorch', 'brian2'"),
    "--data": (["--data", "nowhere"], r"--data.*nowhere.*does not exist"),
    "--out": (["--out", __file__], r"--out.*is a file"),
    "unknown option": (["--sed", "1"], r"No such option.*--sed.*--se"),
    "device card": (
        ["--set", "device.card=taox_1t1r"],
        r"did you mean 'taox_1t1r_40nm'\?.*path of its .toml",
    ),
    "macro card": (["--set", "array.macro=rram_40nm"], r"did you mean 'rram_40nm_256kb'"),
    "data set": (
        ["--set", "data.test.dataset=n-mnist"],
        r"unknown dataset card 'n-mnist'; did you mean 'nmnist'",
    ),
    "split": (["--set", "data.test.split=tests"], r"'nmnist' has no split 'tests'; did you mean 'test'"),
    "too many": (
        ["--set", "data.train.n=500"],
        r"n \(=500\) needs 50 .* class '0', there are 5; ask for at most 50",
    ),
    "forming voltage": (
        ["--set", "device.v_forming=9.0"],
        r"v_forming = 9 V is outside .*device.extrapolate = true",
    ),
    "crop": (["--set", "events.crop=99"], r"crop \(=99\) is larger than the sensor \(34 x 34\); lower it"),
    "no data": (["--set", "data.test.dataset=ntidigits"], r"neurosim datasets fetch ntidigits"),
}


def test_unwritable_out_is_found_before_the_run(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neurosim.experiment, "run", lambda *_args, **_options: 1 / 0)
    out = tiny / "tiny.toml" / "out"
    done = call("run", tiny / "tiny.toml", "--data", tiny, "--out", out)
    refused(done, "tiny.toml/out: the report cannot be written there .*; name another folder by --out")


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_option(tiny: Path, case: str) -> None:
    options, message = BAD_OPTIONS[case]
    refused(call("run", tiny / "tiny.toml", "--data", tiny, *options), message)


BAD_COMMANDS = {
    "run nowhere.toml": r"nowhere.toml: no such file",
    "run .": r"unknown example '.'; known: .*demo, .*give the path of its .toml",
    "run": r"Missing argument",
    "devices shw": r"No such command 'shw'. Did you mean 'show'",
    "devices show taox": r"unknown device, macro, platform or qpu card 'taox'; .*taox_1t1r_40nm.*give",
    "devices plot ideal --out x.xyz": r"no image format '.xyz'; use .png, .svg or .pdf",
    "datasets fetch nmist": r"did you mean 'nmnist'",
}


@pytest.mark.parametrize("command", BAD_COMMANDS)
def test_bad_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    refused(call(*command.split()), BAD_COMMANDS[command])


BAD_RECORDINGS = {
    "cut off": (events((1, 1, 0, 5)) + b"\1\2", r"7/00008.bin: byte 5: the last event is cut off"),
    "off the sensor": (events((40, 1, 0, 5)), r"7/00008.bin: byte 0: x=40, y=1 is off the 34 x 34 sensor"),
    "time": (events((1, 1, 0, 9), (1, 1, 0, 5)), r"7/00008.bin: byte 5: time runs backwards, from 9 to 5 us"),
}


@pytest.mark.parametrize("case", BAD_RECORDINGS)
def test_bad_recording(tiny: Path, case: str) -> None:
    content, message = BAD_RECORDINGS[case]
    (tiny / "nmnist" / "Train" / "7" / "00008.bin").write_bytes(content)
    refused(call("run", tiny / "tiny.toml", "--data", tiny), message)


def _not_hdf5(path: Path) -> None:
    path.write_bytes(b"none of it")


def _no_group(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["train_labels"] = file["test_labels"] = [b"man-ae-a-3"]


BAD_HDF5 = {
    "not HDF5": (_not_hdf5, r"n-tidigits.hdf5: not a readable HDF5 file.*get the file again"),
    "no group": (_no_group, r"n-tidigits.hdf5: /?train_\w+/man-ae-a-3: missing"),
}


@pytest.mark.parametrize("case", BAD_HDF5)
def test_bad_hdf5(tiny: Path, case: str) -> None:
    write: Callable[[Path], None] = BAD_HDF5[case][0]
    write(tiny / "n-tidigits.hdf5")
    parts = [f"data.{part}.dataset=ntidigits" for part in ("train", "test")]
    options = [option for part in parts for option in ("--set", part)]
    refused(call("run", tiny / "tiny.toml", "--data", tiny, *options), BAD_HDF5[case][1])

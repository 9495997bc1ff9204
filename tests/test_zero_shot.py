"""Zero-shot runs: choices of unseen classes, none of them in training, the ideal twin, report and command."""

import json
import re
import shlex
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.errors import ExperimentError
from neurosim.events import datasets
from neurosim.report import zero_shot as report
from neurosim.zero_shot import ZeroShot, load_zero_shot, run_zero_shot, training_cost, unseen_choices
from neurosim.zero_shot import run as module
from neurosim.zero_shot.config import TrainedConfig, WindowsConfig
from neurosim.zero_shot_results import ZeroShotResult, jackknife

SENSE = """
[{sense}]
name = "{sense}"
data.train = {{ dataset = "mnist-saccades", split = "train", n = 100, skip = {skip} }}
data.validation = {{ dataset = "mnist-saccades", split = "validation", n = 40 }}
data.test = {{ dataset = "mnist-saccades", split = "test", n = 40 }}
events = {{ n_steps = 20, duration = 0.31, crop = 16, polarity = "{polarity}" }}
reservoir = {{ n_neurons = 60, beta = 0.9, homeostasis = {{ n_recordings = 20, n_iterations = 3 }} }}
"""
TINY = (
    """
schema = "neurosim.zero_shot/1"
name = "tiny"
chips = 2
repeats = 1
all_splits = true
examples = 2
classes = { seen = ["0", "1", "6"], unseen = ["4", "7"] }
readout = { width = 8, epochs = 8, batch_size = 10 }
paper.readout = { loss = "clip", similarity = "dot", temperature = 1.0, width = 8, epochs = 2, patience = 2 }
"""
    + SENSE.format(sense="query", skip=0, polarity="on")
    + SENSE.format(sense="target", skip=100, polarity="off")
)


@pytest.fixture(scope="module", autouse=True)
def _recordings_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROSIM_CACHE", str(tmp_path_factory.mktemp("zero_shot")))
        patch.setattr(datasets, "BLOCK", 250)
        yield


@pytest.fixture(scope="module")
def toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("toml") / "tiny.toml"
    file.write_text(TINY)
    return file


@pytest.fixture(scope="module")
def tiny(toml: Path) -> ZeroShot:
    return load_zero_shot(toml)


@pytest.fixture(scope="module")
def result(tiny: ZeroShot) -> ZeroShotResult:
    return run_zero_shot(tiny)


def test_seen_classes_are_found_and_every_choice_is_scored(result: ZeroShotResult) -> None:
    told = result.to_json()["zero_shot"]
    assert told["chance"]["seen"] == pytest.approx(1 / 3)
    assert told["seen"]["mean"] > 0.45  # two views of the same kind of image
    choices = told["unseen_all_splits"]
    assert choices["n"] == 10
    assert choices["mean"] == pytest.approx(np.mean([one["unseen_recall"] for one in choices["each"]]))
    named = choices["each"][0]
    assert named["unseen"] == ("4", "7")
    assert named["unseen_recall"] == pytest.approx(told["unseen"]["mean"])
    assert len(told["seen"]["per_chip"]) == 2
    assert told["ideal"]["seen"]["mean"] > 0.5
    assert set(told["paper_protocol"]) >= {"seen_mean", "unseen_mean", "epochs"}


def test_counts_are_those_of_the_recalls(result: ZeroShotResult) -> None:
    counts, n = result.hardware.counts, result.n_queries
    assert counts.sum() == 2 * (n["seen"] + n["unseen"])  # two chips
    assert not counts[:3, 3:].any()
    assert not counts[3:, :3].any()
    assert np.trace(counts[:3, :3]) / (2 * n["seen"]) == pytest.approx(result.hardware.seen.mean)
    assert np.trace(counts[3:, 3:]) / (2 * n["unseen"]) == pytest.approx(result.hardware.unseen.mean)


def test_the_same_experiment_gives_the_same_numbers(tiny: ZeroShot, result: ZeroShotResult) -> None:
    again = run_zero_shot(tiny).to_json()
    first = result.to_json()
    for told in (again, first):
        del told["seconds"]
    assert again == first


def test_result_has_the_keys_of_every_result(result: ZeroShotResult) -> None:
    told = json.loads(json.dumps(result.to_json(), allow_nan=False))
    every = {
        "schema",
        "fingerprint",
        "versions",
        "accuracy",
        "classes",
        "confusion",
        "chips",
        "cells",
        "tiles",
    }
    assert every <= set(told)
    assert told["accuracy"]["n_test"] == result.n_queries["seen"]
    assert told["cells"] == 2 * 2 * (256 + 60) * 60
    assert told["energy"]["total"] == pytest.approx(sum(v for k, v in told["energy"].items() if k != "total"))
    assert {card["name"] for card in told["experiment"]["cards"]["datasets"]} == {"mnist-saccades"}


def test_without_errors_the_chips_are_their_ideal_twins(tiny: ZeroShot) -> None:
    clean = {"sigma_read": 0.0, "p_stuck": 0.0, "p_dead_row": 0.0, "p_dead_col": 0.0}
    config = tiny.model_copy(
        update={
            "chips": 1,
            "all_splits": False,
            "paper": None,
            "device": tiny.device.model_copy(update=clean),
            "array": tiny.array.model_copy(update={"adc_bits": 0}),
        }
    )
    result = run_zero_shot(config)
    assert result.ideal
    assert result.hardware.seen == result.ideal.seen
    assert result.hardware.choices is None
    assert any("one choice" in text for text in report.warnings(result))


def test_trained_encoders_beat_chance_and_cost_more(tiny: ZeroShot, tmp_path: Path) -> None:
    trained = TrainedConfig(n_neurons=40, epochs=6, batch_size=16, learning_rate=5e-3)
    few = {"chips": 1, "all_splits": False, "paper": None, "compare_ideal": False}
    config = tiny.model_copy(update=few | {"trained": trained})
    result = run_zero_shot(config)
    assert result.trained
    assert result.trained.seen.mean > 0.45  # chance is 1/3
    assert result.trained.ratio > 5
    encoder = 2 * 20 * (256 * 40 + 40 * 40)
    cost = 3 * result.trained.epochs * (encoder + 2 * 40 * 8)
    assert result.trained.multiplications == pytest.approx(cost)
    assert run_zero_shot(config).trained == result.trained
    _, page = report.write(result, tmp_path)
    assert "trained encoders, in software" in page.read_text()


def test_homeostasis_and_training_meet_no_unseen_recording(
    tiny: ZeroShot, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.model_copy(update={"chips": 1, "all_splits": False, "paper": None, "compare_ideal": False})
    clean = run_zero_shot(config)
    prepare = module.prepare

    def spoilt(*args: Any, **kwargs: Any) -> Any:
        from dataclasses import replace

        whole = prepare(*args, **kwargs)
        binned = dict(whole.binned)
        for part in ("train", "validation"):
            rows = np.arange(len(binned[part]))
            unseen = np.isin(binned[part].labels, [4, 7])
            rows[unseen] = rows[unseen][0]  # all the same recording
            binned[part] = replace(binned[part][rows], labels=binned[part].labels)
        return replace(whole, binned=binned, content="spoilt" + whole.content)

    monkeypatch.setattr(module, "prepare", spoilt)
    other = run_zero_shot(config)
    assert other.hardware.seen == clean.hardware.seen
    assert other.hardware.unseen == clean.hardware.unseen


def test_choices_are_all_or_windows_and_the_named_one_is_first(tiny: ZeroShot) -> None:
    assert unseen_choices(tiny)[0] == ("4", "7")
    assert sorted(unseen_choices(tiny)) == sorted(combinations("01467", 2))
    windows = load_windows(tiny, contiguous=True, random=3)
    chosen = unseen_choices(windows)
    assert chosen[:4] == [("4", "7"), ("0", "1"), ("1", "4"), ("4", "6")]
    assert len(chosen) == len(set(chosen)) <= 4 + 1 + 3
    assert unseen_choices(windows) == chosen
    none = tiny.model_copy(update={"all_splits": False})
    assert unseen_choices(none) == [("4", "7")]


def load_windows(tiny: ZeroShot, **windows: Any) -> ZeroShot:
    return tiny.model_copy(update={"all_splits": False, "windows": WindowsConfig(**windows)})


def test_jackknife_of_single_classes_is_the_standard_error() -> None:
    values = np.random.default_rng(0).uniform(0.4, 0.6, 12)
    low, high = jackknife(values.tolist(), [frozenset([c]) for c in range(12)], 12)
    half = stats.t.ppf(0.975, 11) * stats.sem(values)
    assert_allclose([low, high], [values.mean() - half, values.mean() + half], rtol=1e-12)


def test_jackknife_covers_the_truth_where_choices_share_classes() -> None:
    random = np.random.default_rng(1)
    pairs = [frozenset(p) for p in combinations(range(9), 2)]
    hits = narrow = 0
    for _ in range(300):
        skill = random.normal(0, 0.1, 9)  # of a class: it moves every choice that the class is in
        values = [0.5 + skill[list(p)].sum() / 2 for p in pairs]
        low, high = jackknife(values, pairs, 9)
        hits += low <= 0.5 <= high
        half = 1.96 * stats.sem(values)
        narrow += abs(np.mean(values) - 0.5) <= half
    assert hits / 300 > 0.92
    assert narrow < hits


def test_training_cost_comes_near_the_ratios_of_the_paper() -> None:
    image, audio = 50 * (256 * 200 + 200**2), 129 * (64 * 200 + 200**2)
    two_layers = 2 * (200 * 64 + 64**2)
    assert training_cost(image + audio, two_layers, 100)["ratio"] == pytest.approx(152.83, rel=0.05)
    neural = 201 * (192 + 2048) * 2048 + 49 * (784 + 2048) * 2048
    assert training_cost(neural, 2 * 2048 * 256, 200)["ratio"] == pytest.approx(393.07, rel=0.02)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (['classes.unseen=["4", "6"]'], "class '6' stands twice"),
        (['classes.unseen=["4"]'], "at least 2"),
        (['classes.unseen=["4", "x"]'], "query.data has no class 'x'"),
        (["windows.random=2"], "give all_splits or windows, not both"),
        (["readout.loss=clop"], "readout.loss"),
        (["query.data.test.n=5"], "raise its n"),
        (
            ["target.reservoir.homeostasis.n_recordings=31"],
            r"target.reservoir.homeostasis.n_recordings \(=31\): target.data has 30 training",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(toml: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        run_zero_shot(load_zero_shot(toml, overrides))


def test_too_many_choices_are_refused(toml: Path) -> None:
    text = toml.read_text().replace('["0", "1", "6"]', json.dumps([f"c{i}" for i in range(22)]))
    text = text.replace('["4", "7"]', '["a", "b", "c", "d"]')
    file = toml.parent / "letters.toml"
    file.write_text(text)
    with pytest.raises(ExperimentError, match=r"14,950 choices of 4 of 26 classes.*use windows"):
        load_zero_shot(file)


def test_the_command_writes_a_page_that_needs_no_network(toml: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    done = CliRunner().invoke(app, ["run", str(toml), "--out", str(out), "--set", "chips=1"])
    assert done.exit_code == 0, done.output
    assert "Unseen, all choices" in done.output
    page = (out / "report.html").read_text()
    assert not re.search(r"(src|href)=\"https?:", page)
    assert page.count("<svg") == 4 + 2
    for text in ("10 choices of unseen classes", "chance is 50.0 %", "unseen class 4: found a"):
        assert text in page
    assert json.loads((out / "result.json").read_text())["zero_shot"]["unseen_all_splits"]["n"] == 10


@pytest.mark.parametrize("name", ["zero_shot_audio_visual", "zero_shot_neural_visual"])
def test_shipped_examples_try_many_choices(name: str) -> None:
    config = load_zero_shot(name)
    assert len(unseen_choices(config)) > 30
    assert config.compare_ideal
    assert config.paper


def test_keys_of_the_page_are_those_of_the_models() -> None:
    from zero_shot_keys import PAGE, markdown

    assert PAGE.read_text(encoding="utf-8") == markdown(), "run: python tests/zero_shot_keys.py"


def test_commands_of_the_page_can_be_read() -> None:
    from zero_shot_keys import PAGE

    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    commands = [shlex.split(line) for line in re.findall(r"^    neurosim run (.*)$", text, re.MULTILINE)]
    assert len(commands) == 5
    for name, *options in commands:
        load_zero_shot(name, [value for key, value in pairwise(options) if key == "--set"])


def test_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from zero_shot_keys import PAGE

    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block, str(PAGE), "exec"), {})
    assert float(capsys.readouterr().out) > 0.8


def test_names_of_classes_and_senses_cannot_inject_markup(result: ZeroShotResult, tmp_path: Path) -> None:
    from dataclasses import replace

    bad = replace(result, query="<script>x</script>")
    _, page = report.write(bad, tmp_path)
    assert "<script>" not in page.read_text()

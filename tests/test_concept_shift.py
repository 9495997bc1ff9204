"""Concept shift: the streams are what they say, results are honest about the tuned constant rate."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.concept_shift import RULES, StreamConfig, load_concept_shift, run_stream
from neurosim.errors import ExperimentError
from neurosim.report.concept_shift import lines, write
from neurosim.results import ConceptShiftResult, student

EXAMPLE = Path(__file__).parents[1] / "examples/concept_shift.toml"
SMALL = ["chips=2", "data.n=60", "reservoir.n_neurons=30", "reservoir.homeostasis.n_iterations=2"]
STREAM = ["stream.epochs=1", "stream.learning_rates=[1.0,10.0]", "stream.swaps_per_epoch=[0,4]"]


def blobs(n: int):
    random = np.random.default_rng(0)
    y = random.integers(4, size=n)
    return (random.normal(size=(n, 8)) + 3 * np.eye(4, 8)[y]).astype(np.float32), y


def stream(swaps: float, *, seed: int = 0, rate: float = 3.0, epochs: int = 3):
    x, y = blobs(800)
    config = StreamConfig(epochs=epochs)
    rules, rates = RULES, (rate,) * len(RULES)
    return run_stream(x, y, config, swaps_per_epoch=swaps, rules=rules, rates=rates, seed=seed, name="test")


def test_without_swaps_everybody_learns_and_with_them_accuracy_falls():
    accuracy = [stream(swaps).accuracy[0] for swaps in (0, 8, 40)]
    assert accuracy[0] > 0.9
    assert accuracy[0] > accuracy[1] + 0.05 > accuracy[2] + 0.1


def test_curves_average_to_the_accuracy_and_constant_rates_stay():
    found = stream(8)
    np.testing.assert_allclose(found.curve.mean(axis=1), found.accuracy, atol=0.01)
    assert np.all(found.rate[0] == 3.0)
    assert not np.all(found.rate[2] == 3.0)


def test_a_stream_can_be_repeated_and_another_seed_is_another_stream():
    assert np.array_equal(stream(8).curve, stream(8).curve)
    assert not np.array_equal(stream(8).curve, stream(8, seed=1).curve)


def test_a_swap_every_other_epoch_comes_at_its_time():
    # half a swap an epoch: the first and only one of two epochs stands at their end
    early, late = stream(0, epochs=2).curve, stream(0.5, epochs=2).curve
    assert np.array_equal(early[:, :-1], late[:, :-1])
    assert (late[:, -1] < early[:, -1]).all()


def result(accuracy: np.ndarray) -> ConceptShiftResult:
    _, swaps, _, rates = accuracy.shape
    along = np.repeat(accuracy[..., None], 5, axis=-1)
    return ConceptShiftResult(
        name="shift", fingerprint="f" * 64, experiment={"<name>": 1}, versions={"numpy": "2"},
        rules=RULES, learning_rates=tuple(10.0**k for k in range(rates)), reference=0,
        swaps_per_epoch=tuple(range(swaps)), epochs=3, n_recordings=50, accuracy=accuracy, curve=along,
        rate=along, seconds={"streams": 1.0, "total": 1.0},
    )  # fmt: skip


def test_a_rate_is_tuned_on_the_other_chips():
    accuracy = np.full((3, 1, 3, 2), 0.5)
    accuracy[0, 0, :, 1] = 1.0  # great on chip 0 only, bad on the others
    accuracy[1:, 0, :, 1] = 0.4
    tuned, best = result(accuracy).tuned()
    assert best[:, 0, 0].tolist() == [0, 1, 1]
    assert tuned[:, 0, 0].tolist() == [0.5, 0.4, 0.4]


def test_the_report_says_that_a_tuned_constant_rate_wins(tmp_path):
    random = np.random.default_rng(0)
    accuracy = 0.5 + 0.01 * random.random((4, 2, 3, 2))
    accuracy[:, :, 1, 0] += 0.1  # homeostatic beats constant with the same start
    accuracy[:, :, 0, 1] += 0.3  # the tuned constant rate beats both
    shift = result(accuracy)
    text = lines(shift)
    assert text[-3].endswith("better in 1, worse in 0 and not told apart in 0 of 1 stream with swaps.")
    assert text[-1].endswith("better in 0, worse in 1 and not told apart in 0 of 1 stream with swaps.")
    numbers, page = write(shift, tmp_path)
    html = page.read_text()
    assert html.count("<svg") == 4
    assert "&lt;name&gt;" in html
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org", "")
    row = json.loads(numbers.read_text())["concept_shift"]["rows"][4]
    assert (row["rule"], row["swaps_per_epoch"]) == ("homeostatic", 1)
    assert row["gain_over_constant"]["ci95"][0] > 0 > row["behind_tuned_constant"]["ci95"][1]


def test_student_interval_equals_scipy():
    from scipy import stats

    values = [0.3, 0.5, 0.45, 0.6]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    np.testing.assert_allclose(student(values)["ci95"], expected)


def test_the_command_runs_it(tmp_path):
    options = [part for value in SMALL + STREAM for part in ("--set", value)]
    done = CliRunner().invoke(app, ["run", "concept_shift", *options, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "result.json").read_text())
    shift = written["concept_shift"]
    assert [(r["swaps_per_epoch"], r["rule"]) for r in shift["rows"]] == [
        (swaps, rule) for swaps in (0, 4) for rule in RULES
    ]
    assert len(shift["rows"][0]["same_start"]["per_chip"]) == 2
    assert written["experiment"]["cards"]["device"]["name"] == "taox_1t1r_40nm"
    assert "Homeostatic modulation against" in done.output


def test_the_example_is_valid():
    config = load_concept_shift(EXAMPLE)
    assert config.name == EXAMPLE.stem
    assert config.chips >= 5
    assert config.stream.swaps_per_epoch[0] == 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stream.learning_rate=0.7", r"stream: learning_rate \(=0.7\) must be one of learning_rates"),
        ("stream.swaps_per_epoch=[-1]", "greater than or equal to 0"),
        ("stream.learning_rates=[1.0,0.0]", "greater than 0"),
        ("stream.learning_rates=[1.0,1.0]", "learning_rates: the same number twice"),
        ("chips=1", "greater than or equal to 2"),
        ("stream.speed=1", "unknown key"),
    ],
)
def test_bad_configs_are_refused(override, message):
    with pytest.raises(ExperimentError, match=message):
        load_concept_shift(EXAMPLE, [override])

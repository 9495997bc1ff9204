"""Local and Sobol sensitivities against closed forms."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fake_row import make_row
from scipy import stats

from neurosim.config import validate
from neurosim.errors import ExperimentError, MissingExtraError
from neurosim.experiment import Experiment
from neurosim.study.config import load_study
from neurosim.study.run import headline, run_study
from neurosim.study.sensitivity import SensitivityConfig, analyse, design

KEYS = ["device.sigma_read", "device.sigma_prog", "device.p_stuck"]


def make(**keys: Any) -> SensitivityConfig:
    return validate(SensitivityConfig, keys, where="study", error=ExperimentError)


def table(config: SensitivityConfig) -> npt.NDArray[np.float64]:
    return np.array([[point[key] for key in config.parameters] for point in design(config)])


def rows(accuracy: npt.ArrayLike) -> list[dict[str, Any] | None]:
    return [None if np.isnan(value) else {"accuracy": value} for value in np.asarray(accuracy)]


def test_ishigami() -> None:
    """y = sin x1 + a sin^2 x2 + b x3^4 sin x1, whose indices are known (Ishigami and Homma 1990)."""
    pytest.importorskip("SALib")
    a, b = 7.0, 0.1
    span = {"low": -np.pi, "high": np.pi}
    config = make(n=1024, second_order=True, parameters=dict.fromkeys(KEYS, span))
    x1, x2, x3 = table(config).T
    found = analyse(config, rows(np.sin(x1) + a * np.sin(x2) ** 2 + b * x3**4 * np.sin(x1)))
    v1, v2, v13 = (1 + b * np.pi**4 / 5) ** 2 / 2, a**2 / 8, b**2 * np.pi**8 * 8 / 225
    total = v1 + v2 + v13
    assert found["mean"] == pytest.approx(a / 2, abs=0.02)
    assert found["variance"] == pytest.approx(total, rel=0.02)
    numbers = [found["parameters"][key] for key in KEYS]
    assert [one["s1"] for one in numbers] == pytest.approx([v1 / total, v2 / total, 0], abs=0.02)
    assert [one["st"] for one in numbers] == pytest.approx(
        [(v1 + v13) / total, v2 / total, v13 / total], abs=0.02
    )
    assert [pair["s2"] for pair in found["pairs"]] == pytest.approx([0, v13 / total, 0], abs=0.03)
    assert found["pairs"][1]["of"] == [KEYS[0], KEYS[2]]
    for one, truth in zip(numbers, [v1 / total, v2 / total, 0], strict=True):
        assert one["s1_ci95"][0] < truth < one["s1_ci95"][1]


def test_additive() -> None:
    """Without interactions first and total order agree: c_i^2 / sum of c^2 of variables spread evenly."""
    pytest.importorskip("SALib")
    parameters = {
        KEYS[0]: {"low": 0.0, "high": 0.5},
        KEYS[1]: {"low": 1e-3, "high": 1.0, "scale": "log"},
        KEYS[2]: {"low": 0.0, "high": 1.0},
    }
    config = make(n=1024, parameters=parameters)
    x = table(config)
    y = 0.9 - 6 * x[:, 0] - 2 / 3 * np.log10(x[:, 1]) - 1 * x[:, 2]
    found = analyse(config, rows(y))
    shares = np.array([9, 4, 1]) / 14  # every term's span is 3, 2, 1
    for key, share in zip(KEYS, shares, strict=True):
        assert found["parameters"][key]["s1"] == pytest.approx(share, abs=0.02)
        assert found["parameters"][key]["st"] == pytest.approx(share, abs=0.02)
    assert (found["dominant"], found["clear"], found["note"]) == (KEYS[0], True, None)
    assert found["pairs"] == []


def test_sobol_design_is_reproducible_and_of_the_promised_size() -> None:
    pytest.importorskip("SALib")
    parameters = {KEYS[0]: {"low": 0.0, "high": 0.5}, "array.adc_bits": {"low": 4, "high": 10}}
    for seed in (0, 1):  # SALib takes seed 0 for none
        config = make(n=16, parameters=parameters, seed=seed)
        points = design(config)
        assert points == design(config)
        assert len(points) == 16 * 4
        assert {type(point["array.adc_bits"]) for point in points} == {int}
        answers = rows(np.random.default_rng(3).random(len(points)))
        assert analyse(config, answers) == analyse(config, answers)
    assert len(design(make(n=16, parameters=parameters, second_order=True))) == 16 * 6
    assert design(make(n=16, parameters=parameters, seed=2)) != points


def test_a_failed_point_takes_its_base_sample_along() -> None:
    pytest.importorskip("SALib")
    config = make(n=64, parameters={key: {"low": 0.0, "high": 1.0} for key in KEYS})
    y = table(config) @ [3.0, 2.0, 1.0]
    y[[0, 7]] = np.nan  # of the first and of the second base sample, 5 points each
    found = analyse(config, rows(y))
    assert found["n"] == 62
    assert found["note"] == "2 of 64 base samples left out, whose points failed or are not done"
    assert found["parameters"][KEYS[0]]["st"] == pytest.approx(9 / 14, abs=0.1)


def test_sobol_without_an_answer() -> None:
    pytest.importorskip("SALib")
    config = make(n=4, parameters={KEYS[0]: {"low": 0.0, "high": 1.0}})
    same = analyse(config, rows(np.full(12, 0.9)))
    assert (same["dominant"], same["parameters"]) == (None, {})
    assert same["note"] == "accuracy is the same at all points; widen the ranges"
    few = analyse(config, rows([np.nan, *np.linspace(0, 1, 11)]))
    assert few["note"].endswith("fewer than 4 complete base samples give no indices")


def per_chip(config: SensitivityConfig, base: dict[str, float], offsets: list[float]) -> list[Any]:
    """Answers of y = 0.9 - 2 x1 - 0.05 log10(x2) + 0.1 x1 (x3 - 0.1), plus an offset that a chip keeps."""
    answers = []
    for point in design(config):
        x1, x2, x3 = (base | point).values()
        y = 0.9 - 2 * x1 - 0.05 * np.log10(x2) + 0.1 * x1 * (x3 - 0.1)
        answers.append({"per_chip": [y + offset for offset in offsets]})
    return answers


def test_local_differences() -> None:
    parameters = {
        KEYS[0]: {"low": 0.01, "high": 0.03},
        KEYS[1]: {"low": 1e-2, "high": 1.0, "scale": "log"},
        KEYS[2]: {"low": 0.05, "high": 0.15},
    }
    config = make(method="local", parameters=parameters)
    base = {KEYS[0]: 0.02, KEYS[1]: 0.1, KEYS[2]: 0.1}
    assert [len(point) for point in design(config)] == [0] + [1] * 6
    # chips differ by far more than the parameters do, and cancel: all points have the same ones
    found = analyse(config, per_chip(config, base, [0.0, 0.3, -0.2]))
    read, prog, stuck = (found["parameters"][key] for key in KEYS)
    assert read["slope"] == pytest.approx(-2)
    assert read["effect"] == pytest.approx(-0.04)
    assert read["ci95"] == pytest.approx([-0.04, -0.04])
    assert (prog["slope"], prog["slope_per"]) == (pytest.approx(-0.05), "decade")
    assert stuck["slope"] == pytest.approx(0.1 * 0.02)
    assert found["base"] == pytest.approx(0.9 - 0.04 + 0.05 + 0.1 / 3)
    assert (found["dominant"], found["clear"], found["note"]) == (KEYS[1], True, None)


def test_local_interval_is_students_over_paired_chips() -> None:
    config = make(method="local", parameters={KEYS[0]: {"low": 0.0, "high": 1.0}})
    low, high = [0.9, 0.8, 0.85], [0.7, 0.5, 0.75]
    found = analyse(config, [None, {"per_chip": low}, {"per_chip": high}])
    truth = stats.ttest_rel(high, low).confidence_interval(0.95)
    assert found["parameters"][KEYS[0]]["ci95"] == pytest.approx([truth.low, truth.high])
    assert (found["dominant"], found["clear"]) == (KEYS[0], False)  # the interval holds 0
    assert found["base"] is None


def test_local_with_one_chip_or_a_failed_point() -> None:
    config = make(method="local", parameters={key: {"low": 0.0, "high": 1.0} for key in KEYS[:2]})
    found = analyse(config, [{"per_chip": [value]} for value in (0.9, 0.8, 0.7, 0.9, 0.8)])
    assert found["parameters"][KEYS[0]]["ci95"] is None
    assert "one chip gives no intervals" in found["note"]
    assert not found["clear"]
    found = analyse(config, [{"per_chip": [0.9, 0.9]}, None, *[{"per_chip": [0.5, 0.6]}] * 3])
    assert list(found["parameters"]) == KEYS[1:2]
    assert found["note"] == "1 of 2 parameters left out, whose points failed or are not done"
    assert found["dominant"] is None  # nothing changes anything


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"parameters": {}}, "nothing to vary; name keys of the experiment with low and high"),
        ({"parameters": {"device.sigma_reed": {"low": 0, "high": 1}}}, "did you mean 'sigma_read'"),
        ({"parameters": {KEYS[0]: {"low": 2.0, "high": 1.0}}}, "must be below high"),
        ({"parameters": {KEYS[0]: {"low": 0.0, "high": 1.0, "scale": "log"}}}, "needs low above 0"),
        ({"parameters": {KEYS[0]: {"low": 0.0, "high": 1.0}}, "n": 100}, "take 64 or 128"),
        ({"parameters": {KEYS[0]: {"low": 0, "high": 1}}, "method": "morris"}, "'sobol' or 'local'"),
        ({"parameters": {KEYS[0]: {"low": 0, "high": 1}}, "method": "local", "n": 8}, "'local' has no n"),
    ],
)
def test_wrong_configs(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        make(**keys)


def test_without_salib(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_salib(name: str, *args: Any) -> Any:
        if name.startswith("SALib"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", no_salib)
    config = make(parameters={KEYS[0]: {"low": 0.0, "high": 1.0}})
    with pytest.raises(MissingExtraError, match=r"pip install 'neurosim-codesign\[study\]', or take"):
        design(config)


STUDY = """
schema = "neurosim.study/1"
name = "noise"
base = "demo"
[sensitivity]
{how}
[sensitivity.parameters]
device.sigma_read = {{ low = 0.0, high = 0.1 }}
array.adc_bits = {{ low = 4, high = 6 }}
"""


def evaluate(experiment: Experiment, _data_dir: Path | None) -> dict[str, Any]:
    """Stands in for `neurosim.study.evaluate.evaluate`."""
    bits, sigma = experiment.array.adc_bits, experiment.device.sigma_read
    accuracy = 0.5 + (0.0 if bits is None else 0.01 * bits) - (0.0 if sigma is None else 2 * sigma)
    return make_row(accuracy)


@pytest.mark.parametrize("how", ['method = "local"', "n = 8"])
def test_an_analysis_through_the_storage(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("SALib")
    monkeypatch.setattr("neurosim.study.run.write", lambda _result, _folder: [])  # test_search writes them
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(how=how), encoding="utf-8")
    study = load_study(path)
    result = run_study(study, tmp_path / "runs", jobs=1, evaluate="test_sensitivity:evaluate")
    assert result.kind == "sensitivity"
    assert {point.state for point in result.points} == {"done"}
    found = result.extra["sensitivities"]
    assert found["dominant"] == "device.sigma_read"
    assert "device.sigma_read decides most" in headline(result)
    config = study.sensitivity
    assert config
    points = design(config)
    # whole numbers make equal points, which are run once
    assert len(result.points) == len({str(point) for point in points})
    bits, sigma = ([point.get(key) for point in points] for key in ("array.adc_bits", "device.sigma_read"))
    accuracy = [0.5 + 0.01 * (b or 0) - 2 * (s or 0) for b, s in zip(bits, sigma, strict=True)]
    direct = analyse(config, [{"accuracy": value, "per_chip": [value, value]} for value in accuracy])
    assert found == direct

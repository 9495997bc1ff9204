"""Search for designs: the space, the proposals, the front and the importance of keys."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
import pytest
from fake_row import make_row
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.config import validate
from neurosim.errors import ExperimentError
from neurosim.experiment import Experiment
from neurosim.study.config import StudyConfig, load_study
from neurosim.study.front import importance, pareto_front, summarise
from neurosim.study.results import Point, StudyResult
from neurosim.study.run import headline, run_study
from neurosim.study.search import (
    SearchConfig,
    directions,
    distributions,
    judge,
    objective_values,
    propose,
    violations,
)

SPACE: dict[str, Any] = {
    "reservoir.n_neurons": {"low": 100, "high": 2000, "step": 20},
    "array.adc_bits": {"low": 4, "high": 10},
    "device.t_after_programming": {"low": 1.0, "high": 1e6, "scale": "log"},
    "device.card": ["taox_1t1r_40nm", "rram_milo2021"],
}


def make(**keys: Any) -> SearchConfig:
    data = {"n_trials": 60, "space": SPACE} | keys
    return validate(SearchConfig, data, where="study", error=ExperimentError)


def model(design: dict[str, Any]) -> dict[str, Any]:
    """More neurons and bits are better and cost more; nothing else matters."""
    n, bits = design["reservoir.n_neurons"], design["array.adc_bits"]
    accuracy = 1 - 50 / n - 2.0**-bits
    cost = {"energy": n * 2.0**bits, "area": float(n), "cells": n, "tiles": 1 + n // 1280}
    return make_row(accuracy - 0.01, validation_accuracy=accuracy, **cost)


def evaluate(experiment: Experiment, _data_dir: Path | None) -> dict[str, Any]:
    """Stands in for `neurosim.study.evaluate.evaluate`."""
    if experiment.array.adc_bits == 6:
        raise ExperimentError("six bits are sold out")
    return model(
        {
            "reservoir.n_neurons": experiment.reservoir.n_neurons,
            "array.adc_bits": experiment.array.adc_bits,
        }
    )


def search(config: SearchConfig, n: int) -> list[optuna.trial.FrozenTrial]:
    """A search without files, of ``n`` trials."""
    study = optuna.create_study(directions=directions(config))
    for _ in range(n):
        trial = study.ask()
        row = model(propose(config, study, trial._trial_id))
        study.tell(trial, judge(config, study, trial._trial_id, row))
    return study.trials


def naive_front(losses: npt.NDArray[np.float64]) -> list[bool]:
    """Pairs and objectives one by one."""
    front = []
    for mine in losses:
        beaten = False
        for other in losses:
            no_worse = all(o <= m for o, m in zip(other, mine, strict=True))
            better = any(o < m for o, m in zip(other, mine, strict=True))
            beaten = beaten or (no_worse and better)
        front.append(not beaten)
    return front


@given(arrays(np.float64, st.tuples(st.integers(0, 12), st.integers(1, 4)), elements=st.integers(0, 4)))
def test_front_is_that_of_brute_force(losses: npt.NDArray[np.float64]) -> None:
    assert pareto_front(losses).tolist() == naive_front(losses)


@pytest.mark.parametrize("constraints", [{}, {"tiles": 1}, {"tiles": 1, "accuracy": 0.9, "energy": 4e5}])
def test_front_is_that_of_optuna(constraints: dict[str, float]) -> None:
    config = make(objectives=["accuracy", "energy"], constraints=constraints)
    study = optuna.create_study(directions=directions(config))
    points = []
    for number in range(60):
        trial = study.ask()
        design = propose(config, study, trial._trial_id)
        row = model(design)
        study.tell(trial, judge(config, study, trial._trial_id, row))
        points.append(Point(number, f"design-{number}", design, "done", row))
    summary = summarise(config, points)
    best = {tuple(trial.params.values()) for trial in study.best_trials}
    assert {tuple(points[number].values.values()) for number in summary["front"]} == best
    assert len(summary["front"]) == len(best)  # of equal designs the first
    for number in summary["front"]:
        assert all(beyond <= 0 for beyond in violations(config, points[number].row or {}).values())
    for number in summary["infeasible"]:
        assert any(beyond > 0 for beyond in violations(config, points[number].row or {}).values())
    assert bool(summary["infeasible"]) == bool(constraints)


def test_bounds_are_relative_and_look_the_right_way() -> None:
    config = make(constraints={"accuracy": 0.8, "tiles": 2, "energy": 100.0})
    row = model({"reservoir.n_neurons": 1280, "array.adc_bits": 5}) | {"validation_accuracy": 0.6}
    assert violations(config, row) == pytest.approx({"accuracy": 0.25, "tiles": 0.0, "energy": 408.6})
    assert objective_values(config, row) == [0.6, 1280 * 32]  # validation, not test


@pytest.mark.parametrize("constraints", [{}, {"tiles": 1}])
def test_what_the_macro_does_not_know_is_an_error(constraints: dict[str, float]) -> None:
    row = model({"reservoir.n_neurons": 1280, "array.adc_bits": 5}) | {"latency": None}
    with pytest.raises(ExperimentError, match="does not give its latency; take latency out of objectives"):
        objective_values(make(objectives=["accuracy", "latency"], constraints=constraints), row)


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_a_search_is_reproducible_and_learns(sampler: str) -> None:
    config = make(sampler=sampler, n_trials=60, constraints={"tiles": 1})
    first, second = search(config, 60), search(config, 60)
    assert [trial.params for trial in first] == [trial.params for trial in second]
    other = search(make(sampler=sampler, seed=1), 3)
    assert [trial.params for trial in other] != [trial.params for trial in first[:3]]
    feasible = [trial.params["reservoir.n_neurons"] < 1280 for trial in first]
    assert np.mean(feasible[30:]) > np.mean(feasible[:10])


def test_proposals_lie_in_the_space() -> None:
    for trial in search(make(), 40):
        n, bits, age, card = trial.params.values()
        assert isinstance(n, int)
        assert n in range(100, 2001, 20)
        assert isinstance(bits, int)
        assert 4 <= bits <= 10
        assert 1.0 <= age <= 1e6
        assert card in SPACE["device.card"]


def test_importance_finds_the_key_that_decides() -> None:
    config = make(objectives=["accuracy", "area"])
    trials = search(config, 120)
    designs = list({str(trial.params): trial for trial in trials}.values())
    values = np.array([trial.values for trial in designs])
    found = importance(config, [trial.params for trial in designs], values)
    assert (found["method"], found["n"], found["note"]) == ("PED-ANOVA", len(designs), None)
    assert set(found["shares"]) == {"front", "accuracy", "area"}
    for shares in found["shares"].values():
        assert set(shares) == set(SPACE)
        assert sum(shares.values()) == pytest.approx(1)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert next(iter(found["shares"]["area"])) == "reservoir.n_neurons"  # nothing else is in it
    again = importance(config, [trial.params for trial in designs], values)
    assert again == found


def test_importance_says_when_there_is_too_little() -> None:
    found = importance(make(), [], np.zeros((0, 2)))
    assert found["note"] == "0 designs keep to the constraints, importance needs 20: raise n_trials"
    assert found["shares"] == {}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"space": {}}, "nothing to search; name keys of the experiment with a range or a list"),
        (
            {"objectives": ["speed"]},
            "objectives.0: Input should be 'accuracy', 'energy', 'area' or 'latency'",
        ),
        ({"objectives": []}, "objectives"),
        ({"objectives": ["energy", "energy"]}, "one stands there twice; remove it"),
        ({"space": {"array.adc_bits": {"low": 8, "high": 4}}}, r"low \(=8\) must be below high \(=4\)"),
        ({"space": {"device.t_after_programming": {"low": 0.0, "high": 1.0, "scale": "log"}}}, "above 0"),
        ({"space": {"array.adc_bots": {"low": 4, "high": 8}}}, "did you mean 'adc_bits'"),
        ({"space": {"array.adc_bots": [4, 8]}}, "did you mean 'adc_bits'"),
        ({"space": {"device.card": {"low": 4, "high": 8}}}, "takes no numbers"),
        ({"space": {"device.card": ["taox_1t1r_40nm"]}}, r"two or more .*one alone goes to \[set\]"),
        ({"space": {"array.adc_bits": [4, 4]}}, "two or more different values"),
        ({"space": {"array.adc_bits": {"low": 4, "high": 9, "step": 2}}}, "the last one is 8"),
        ({"space": {"array.adc_bits": {"low": 4, "high": 8, "step": 2, "scale": "log"}}}, "remove one"),
        ({"constraints": {"tiles": 0}}, "tiles = 0 keeps every design out; give bounds above 0"),
        ({"constraints": {"rows": 1}}, "'tiles'"),
        ({"sampler": "tpe", "population": 8}, "sampler 'tpe' has none; remove it"),
        ({"n_trials": 0}, "n_trials"),
    ],
)
def test_wrong_configs(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        make(**keys)


STUDY = """
schema = "neurosim.study/1"
name = "designs"
base = "demo"
[set]
reservoir.topology = "local"
reservoir.n_patches = ""
reservoir.states.pool = 1
[search]
n_trials = 24
constraints = { tiles = 1 }
[search.space]
reservoir.n_neurons = { low = 100, high = 2000, step = 20 }
array.adc_bits = { low = 4, high = 8 }
device.v_forming = { low = 3.2, high = 4.0 }
"""


def study(folder: Path, *overrides: str) -> StudyConfig:
    path = folder / "study.toml"
    path.write_text(STUDY, encoding="utf-8")
    return load_study(path, overrides)


@pytest.fixture
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.study.run.write", lambda _result, _folder: [])


def run(config: StudyConfig, folder: Path) -> StudyResult:
    return run_study(config, folder, jobs=1, evaluate="test_search:evaluate")


def test_a_search_through_the_storage(tmp_path: Path) -> None:
    result = run(study(tmp_path), tmp_path / "a")
    assert result.kind == "search"
    assert [axis.name for axis in result.axes] == [
        "reservoir.n_neurons",
        "array.adc_bits",
        "device.v_forming",
    ]
    assert len(result.points) == 24
    failed = [point for point in result.points if point.state == "failed"]
    assert failed
    for point in result.points:
        sold_out = point.values["array.adc_bits"] == 6
        assert (point.state, point.error) == (
            ("failed", "six bits are sold out") if sold_out else ("done", None)
        )
        if point.row:
            assert point.row["cells"] == point.values["reservoir.n_neurons"]
    assert result.extra["front"]
    assert result.extra["objectives"] == {"accuracy": "maximize", "energy": "minimize"}
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert {"study.toml", "points.csv", "result.nc", "report.html"} <= names


@pytest.mark.usefixtures("_no_files")
def test_a_search_goes_on(tmp_path: Path) -> None:
    whole = run(study(tmp_path, "search.population=8"), tmp_path / "whole")
    part = run(study(tmp_path, "search.population=8", "search.n_trials=10"), tmp_path / "part")
    assert len(part.points) == 10
    rest = run(study(tmp_path, "search.population=8"), tmp_path / "part")
    assert rest.points == whole.points  # and, as it were, a search is reproducible
    assert rest.extra == whole.extra
    with pytest.raises(ExperimentError, match="is another one"):
        run(study(tmp_path, "search.seed=1"), tmp_path / "part")


@pytest.mark.usefixtures("_no_files")
def test_every_design_may_fail(tmp_path: Path) -> None:
    overrides = [
        "search.n_trials=3",
        "array.adc_bits=6",
        'search.space={"device.v_forming"={low=3.2,high=4.0}}',
    ]
    result = run(study(tmp_path, *overrides), tmp_path)
    assert {point.state for point in result.points} == {"failed"}
    assert (result.extra["front"], result.extra["infeasible"]) == ([], [])


@pytest.mark.usefixtures("_no_files")
def test_headline(tmp_path: Path) -> None:
    result = run(study(tmp_path, "search.n_trials=8"), tmp_path)
    states = [point.state for point in result.points]
    kept = states.count("done") - len(result.extra["infeasible"])
    assert headline(result) == (
        f"{states.count('done')} of 8 points done, {states.count('failed')} failed; "
        f"{kept} keep to the constraints, no other beats {len(result.extra['front'])} of them"
    )


def test_a_study_that_asks_something_else() -> None:
    ended = CliRunner().invoke(app, ["sensitivity", "search_macro"])
    assert ended.exit_code == 2
    assert "study 'search_macro' has no [sensitivity]; add it, or run: neurosim search" in ended.output


def test_the_example_is_a_search_of_one_macro() -> None:
    config = load_study("search_macro").search
    assert config
    assert config.constraints == {"tiles": 1}
    assert set(config.space) == set(distributions(config))

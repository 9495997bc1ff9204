"""A study from its TOML to its files: designs, resuming, failing points, and what is refused."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import fake_points
import numpy as np
import pytest
import xarray as xr
from optuna.trial import TrialState
from rich.console import Console
from test_cli import call, refused

from neurosim.errors import DataNotFoundError, ExperimentError, MissingExtraError, NeurosimError
from neurosim.events import datasets
from neurosim.experiment import load_experiment
from neurosim.study import storage as storage_module
from neurosim.study import worker as worker_module
from neurosim.study.config import StudyConfig, load_study, to_toml, with_values
from neurosim.study.evaluate import Row, evaluate
from neurosim.study.points import at, sweep_points, unit
from neurosim.study.results import FILES, StudyResult
from neurosim.study.run import run_study
from neurosim.study.storage import (
    Queue,
    folder_url,
    open_storage,
    open_study,
    serve_dashboard,
    study_url,
)
from neurosim.study.sweep import sweep
from neurosim.study.view import live_view, summary
from neurosim.study.worker import Status, do_points, join, work

STUDY = """
schema = "neurosim.study/1"
name = "tiny"
base = "demo"
[set]
data.train.n = 200
"reservoir.n_patches" = 8
[sweep]
chips = 2
[sweep.axes]
device.sigma_read = { from = 0.0, to = 0.2, n = 3 }
"device.p_stuck" = [0.0, 0.1]
"""
FAKE = "fake_points:evaluate"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(STUDY)
    return file


@pytest.fixture
def tiny(toml: Path) -> StudyConfig:
    return load_study(toml)


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the fakes, and nobody draws figures."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr("neurosim.study.page.write_page", lambda _result, path: path.write_text("a page"))


def opened(config: StudyConfig, folder: Path) -> Queue:
    folder.mkdir(exist_ok=True)
    return open_study(folder_url(folder), config, sweep_points(config)[1])


def with_axes(config: StudyConfig, **axes: Any) -> StudyConfig:
    data = config.to_json()
    data["sweep"]["axes"] = {f"device.{key}": values for key, values in axes.items()}
    return StudyConfig.model_validate(data)


def states(result: StudyResult) -> list[str]:
    return [point.state for point in result.points]


def table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "points.csv").read_text().splitlines()))


# --- config ---


def test_a_study_is_its_base_with_changes(tiny: StudyConfig) -> None:
    assert (tiny.base.data.train.n, tiny.base.reservoir.n_patches, tiny.experiment.chips) == (200, 8, 2)
    assert tiny.kind == "sweep"


def test_the_written_study_is_the_same_study(tiny: StudyConfig, tmp_path: Path) -> None:
    again = tmp_path / "again.toml"
    again.write_text(to_toml(tiny.to_json()))
    assert load_study(again) == tiny
    assert [p.key for p in sweep_points(load_study(again))[1]] == [p.key for p in sweep_points(tiny)[1]]


def test_a_written_none_is_none(tmp_path: Path, toml: Path) -> None:
    off = load_study(toml, ["reservoir.homeostasis=false", "sweep.axes={wires={keys=['seed'],values=[1]}}"])
    again = tmp_path / "again.toml"
    again.write_text(to_toml(off.to_json()))
    assert load_study(again) == off
    assert load_study(again).base.reservoir.homeostasis is None


def test_tables_in_lists_are_written_as_toml(tmp_path: Path, toml: Path) -> None:
    also = 'data.train.also=[{dataset="fsdd", split="train", speakers=["theo", "lucas"]}]'
    more = load_study(toml, [also])
    again = tmp_path / "again.toml"
    again.write_text(to_toml(more.to_json()))
    assert load_study(again) == more
    assert more.base.data.train.also[0].speakers == ("theo", "lucas")


def test_overrides_go_to_the_study_or_to_its_base(toml: Path) -> None:
    config = load_study(toml, ["sweep.chips=5", "data.train.n=60", "name=other", "device.card=ideal"])
    assert (config.name, config.experiment.chips) == ("other", 5)
    assert (config.base.data.train.n, config.base.device.card) == (60, "ideal")


def test_a_base_lies_beside_its_study(toml: Path) -> None:
    (toml.parent / "mine.toml").write_text(to_toml(load_study(toml).to_json()["base"]))
    toml.write_text(STUDY.replace('"demo"', '"mine.toml"'))
    assert load_study(toml).base.reservoir.n_patches == 8


@pytest.mark.parametrize("example", ["sweep_read_noise", "sweep_ageing"])
def test_examples_are_studies(example: str) -> None:
    axes, points = sweep_points(load_study(example))
    assert len(points) == np.prod([len(axis.values) for axis in axes])


BAD = {
    "no question": ("[sweep]", "[swep]", "swep: unknown key; did you mean 'sweep'"),
    "two questions": (
        "[sweep]",
        "[sensitivity]\nmethod='local'\nparameters={device.sigma_read={low=0.0,high=0.1}}\n[sweep]",
        "a study needs exactly one of .sweep., .search., .sensitivity., .compare.",
    ),
    "key": ("device.sigma_read", "device.sigma_red", "sigma_red: experiments have no such key; did you mean"),
    "value": ("= [0.0, 0.1]", "= [0.0, 1.5]", "p_stuck = 1.5: no point with it is valid:\n.*device.p_stuck"),
    "type": ("= [0.0, 0.1]", '= [0.0, "a"]', "p_stuck = 'a': no point with it"),
    "twice": ("= [0.0, 0.1]", "= [0.1, 0.1]", "device.p_stuck: a value is there twice"),
    "card": ('"device.p_stuck" = [0.0, 0.1]', '"device.card" = ["idel"]', "did you mean 'ideal'"),
    "span": ("to = 0.2", "to = 0.0", r"low \(=0\) must be below high"),
    "log": ("n = 3", 'n = 3, scale = "log"', "needs low above 0"),
    "whole": ("device.sigma_read", "array.adc_bits", "takes whole numbers only"),
    "n_points": ("chips = 2", "n_points = 3", "n_points: design 'grid' has as many as its axes make"),
    "no n_points": ("chips = 2", 'design = "sobol"', "n_points: design 'sobol' needs it"),
    "seeds": (
        "[sweep.axes]",
        "seeds = [0]\n[sweep.axes]\nseed = [1]",
        "seeds and the axis 'seed' say the same",
    ),
    "base": ('base = "demo"', 'base = "dmo"', "unknown example 'dmo'; did you mean 'demo'"),
    "value as table": ("data.train.n", "name.x", "name.x: 'name' is a value, not a table; shorten the key"),
    "schema": ("study/1", "study/2", "schema: .*'neurosim.study/1'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_study(toml: Path, case: str) -> None:
    old, new, message = BAD[case]
    assert old in STUDY
    toml.write_text(STUDY.replace(old, new))
    with pytest.raises(NeurosimError, match=message):
        sweep_points(load_study(toml))


def test_bad_override(toml: Path) -> None:
    with pytest.raises(ExperimentError, match="--set chips: expected key=value"):
        load_study(toml, ["chips"])


def test_unknown_study() -> None:
    with pytest.raises(
        ExperimentError, match="unknown study 'sweep_read_nois'; did you mean 'sweep_read_noise'"
    ):
        load_study("sweep_read_nois")


def test_a_search_is_no_sweep() -> None:
    with pytest.raises(ExperimentError, match=r"has no \[sweep\]; add it, or run neurosim search"):
        sweep_points(load_study("search_macro"))


def test_values_are_put_in_a_copy() -> None:
    data = {"a": {"b": 1}, "c": 2}
    assert with_values(data, {"a.b": 3, "d.e": 4}) == {"a": {"b": 3}, "c": 2, "d": {"e": 4}}
    assert data == {"a": {"b": 1}, "c": 2}


# --- points ---


def test_a_grid_has_every_combination_once(tiny: StudyConfig) -> None:
    axes, points = sweep_points(tiny)
    assert [axis.values for axis in axes] == [(0.0, 0.1, 0.2), (0.0, 0.1)]
    assert [tuple(point.values.values()) for point in points] == [
        (s, p) for s in (0.0, 0.1, 0.2) for p in (0.0, 0.1)
    ]
    assert len({point.key for point in points}) == 6
    assert at(tiny.experiment, points[3].overrides).device.sigma_read == 0.1


def test_log_spans_whole_numbers_and_joint_axes(toml: Path) -> None:
    axes = """
[sweep]
seeds = [0, 3]
[sweep.axes]
device.t_after_programming = { from = 1.0, to = 1e6, n = 3, scale = "log" }
array.adc_bits = { from = 4, to = 8, n = 3 }
wires = { keys = ["array.wires.r_wire_row", "array.wires.r_wire_col"], values = [0.5, 2.0] }
"""
    toml.write_text(STUDY[: STUDY.index("[sweep]")] + axes)
    config = load_study(toml)
    axes_, points = sweep_points(config)
    assert [axis.values for axis in axes_] == [(1.0, 1e3, 1e6), (4, 6, 8), (0.5, 2.0), (0, 3)]
    assert [axis.unit for axis in axes_] == ["s", "1", "ohm", "1"]
    last = at(config.experiment, points[-1].overrides)
    assert last.array.wires
    assert (last.array.wires.r_wire_row, last.array.wires.r_wire_col, last.seed) == (2.0, 2.0, 3)


@pytest.mark.parametrize("design", ["random", "sobol"])
def test_more_points_go_on_where_fewer_stopped(tiny: StudyConfig, design: str) -> None:
    def drawn(n: int) -> list[dict[str, Any]]:
        data = tiny.to_json()
        data["sweep"] |= {"design": design, "n_points": n}
        return [dict(point.values) for point in sweep_points(StudyConfig.model_validate(data))[1]]

    many = drawn(40)
    assert drawn(7) == many[:7]
    noise = np.array([values["device.sigma_read"] for values in many])
    assert noise.min() >= 0
    assert noise.max() <= 0.2
    assert np.histogram(noise, 4, (0, 0.2))[0].min() >= (9 if design == "sobol" else 3)
    assert Counter(values["device.p_stuck"] for values in many).keys() == {0.0, 0.1}


def test_a_point_is_another_one_after_an_edit_of_its_card(tiny: StudyConfig, tmp_path: Path) -> None:
    from neurosim.cards import shipped_folder
    from neurosim.study import points

    card = tmp_path / "mine.toml"
    text = (shipped_folder("devices") / "ideal.toml").read_text()
    keys = []
    for value in ("100e-6", "90e-6"):
        card.write_text(text.replace("100e-6", value))
        points._card.cache_clear()
        keys.append(sweep_points(with_axes(tiny, card=[str(card)]))[1][0].key)
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    ("key", "expected"),
    [("device.v_forming", "V"), ("array.wires.r_wire_row", "ohm"), ("device.card", "1"), ("seed", "1")],
)
def test_units_are_those_of_the_docstrings(key: str, expected: str) -> None:
    assert unit(key) == expected


# --- a sweep in this process ---


def test_a_sweep_leaves_its_files_and_a_failing_point_its_error(tiny: StudyConfig, tmp_path: Path) -> None:
    config = with_axes(tiny, sigma_read=[0.0, 0.1], p_stuck=[0.0, 0.5])
    result = run_study(config, tmp_path / "out", jobs=1, evaluate=FAKE)
    assert states(result) == ["done", "failed", "done", "failed"]
    assert result.points[1].error == "ValueError: no such chip"
    assert all((tmp_path / "out" / name).stat().st_size for name in FILES)
    rows = table(tmp_path / "out")
    assert [row["state"] for row in rows] == states(result)
    assert rows[1]["error"] == "ValueError: no such chip"
    data = xr.load_dataset(tmp_path / "out" / "result.nc", engine="scipy")
    assert data.accuracy.dims == ("device.sigma_read", "device.p_stuck", "chip")
    assert data.accuracy.shape == (2, 2, 2)
    assert data.energy.attrs["units"] == "J"
    assert np.isnan(data.accuracy_mean.values[:, 1]).all()
    for row, (sigma, _) in zip(rows[::2], [(0.0, 0), (0.1, 0)], strict=True):
        at_point = data.sel({"device.sigma_read": sigma, "device.p_stuck": 0.0})
        assert (
            float(row["accuracy"]) == at_point.accuracy_mean == pytest.approx(float(at_point.accuracy.mean()))
        )


def test_the_same_command_adds_only_missing_points(tiny: StudyConfig, tmp_path: Path) -> None:
    small = with_axes(tiny, sigma_read=[0.0, 0.1], p_stuck=[0.0])
    large = with_axes(tiny, sigma_read=[0.0, 0.05, 0.1], p_stuck=[0.0, 0.1])
    before = run_study(small, tmp_path, jobs=1, evaluate=FAKE)
    assert run_study(small, tmp_path, jobs=1, evaluate="fake_points:never").points == before.points
    after = run_study(large, tmp_path, jobs=1, evaluate=FAKE)
    assert states(after) == ["done"] * 6
    kept = {point.key: point.row for point in after.points}
    assert all(kept[point.key] == point.row for point in before.points)
    assert len(opened(large, tmp_path).trials()) == 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"sigma_read": [0.0]}, "1 of its points are not in this one"), (None, "its base experiment differs")],
)
def test_another_study_in_the_same_folder_is_refused(
    tiny: StudyConfig, tmp_path: Path, change: dict[str, Any] | None, reason: str
) -> None:
    config = with_axes(tiny, sigma_read=[0.0, 0.1])
    run_study(config, tmp_path, jobs=1, evaluate=FAKE)
    other = config.model_copy(update={"base": config.base.model_copy(update={"seed": 9})})
    with pytest.raises(ExperimentError, match=f"study 'tiny' is in .* already .*{reason}.*--out"):
        run_study(with_axes(config, **change) if change else other, tmp_path, jobs=1, evaluate=FAKE)


def test_missing_data_stop_a_worker_only_at_its_first_point(tiny: StudyConfig, tmp_path: Path) -> None:
    first = with_axes(tiny, p_stuck=[0.6, 0.0])
    with pytest.raises(DataNotFoundError, match="fetch it"):
        run_study(first, tmp_path / "a", jobs=1, evaluate=FAKE)
    assert [t.state for t in opened(first, tmp_path / "a").points().values()] == [TrialState.WAITING] * 2
    later = run_study(with_axes(tiny, p_stuck=[0.0, 0.6]), tmp_path / "b", jobs=1, evaluate=FAKE)
    assert later.points[1].error == "nowhere to be found; fetch it"


def test_ctrl_c_gives_the_point_back(tiny: StudyConfig, tmp_path: Path) -> None:
    config = with_axes(tiny, p_stuck=[0.0, 0.7, 0.1])
    with pytest.raises(KeyboardInterrupt):
        run_study(config, tmp_path, jobs=1, evaluate=FAKE)
    assert sorted(row["state"] for row in table(tmp_path)) == ["done", "waiting", "waiting"]


def test_evaluate_reduces_an_experiment_to_numbers(
    tiny: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "BLOCK", 250)
    small = {"data.train.n": 60, "data.test.n": 40, "data.validation.n": 40, "chips": 1, "events.n_steps": 10}
    base = at(tiny.base, small | {"reservoir.homeostasis.n_iterations": 2})
    row = evaluate(base)
    again = evaluate(base)
    assert json.loads(json.dumps(row)) == row
    assert row.keys() == Row.__annotations__.keys()
    assert row | {"seconds": 0} == again | {"seconds": 0}
    assert row["energy"] == pytest.approx(sum(row["energy_parts"].values()))
    assert 0 <= row["ci95"][0] <= row["accuracy"] <= row["ci95"][1] <= 1


# --- the queue ---


def test_every_point_is_taken_once(tiny: StudyConfig, tmp_path: Path) -> None:
    queues = [opened(tiny, tmp_path) for _ in range(3)]
    for place, queue in enumerate(queues):
        queue.start = place / 3
    taken = []
    while any(tasks := [queue.take() for queue in queues]):
        taken += [task.key for task in tasks if task]
    assert Counter(taken) == Counter(point.key for point in sweep_points(tiny)[1])


def test_a_point_put_in_twice_is_one(tiny: StudyConfig, tmp_path: Path) -> None:
    queue = opened(tiny, tmp_path)
    for trial in queue.trials():
        queue._add(trial.user_attrs["point"], trial.distributions)
    assert len(queue.trials()) == 12
    n = work(queue, tiny, evaluate=FAKE)
    assert n == 6
    assert sum(trial.state == TrialState.COMPLETE for trial in queue.trials()) == 6


def held_by_a_dead_process(config: StudyConfig, folder: Path) -> str:
    """A point that is running, and whose process is gone."""
    code = f"""
from pathlib import Path
from neurosim.study.config import load_study
from neurosim.study.storage import *
print(join_study(folder_url(Path({str(folder)!r})), load_study({str(folder / "study.toml")!r})).take().key)
"""
    (folder / "study.toml").write_text(to_toml(config.to_json()))
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_dead_process_of_this_machine_gives_up_its_point_at_once(tiny: StudyConfig, tmp_path: Path) -> None:
    queue = opened(tiny, tmp_path)
    key = held_by_a_dead_process(tiny, tmp_path)
    assert queue.points()[key].state == TrialState.RUNNING
    assert [trial.user_attrs["point"]["key"] for trial in queue.bury()] == [key]
    assert queue.points()[key].state == TrialState.WAITING
    assert queue.bury() == []
    assert len(queue.trials()) == 7


def test_a_living_process_keeps_its_point(tiny: StudyConfig, tmp_path: Path) -> None:
    queue = opened(tiny, tmp_path)
    assert queue.take()
    assert queue.bury() == []


def test_a_process_of_another_machine_is_dead_when_its_heartbeat_stops(
    tiny: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = opened(tiny, tmp_path)
    monkeypatch.setattr(storage_module, "_host", lambda: "elsewhere")
    task = queue.take()
    assert task
    monkeypatch.undo()
    with queue.alive(task):
        pass
    assert queue.bury() == []
    assert queue.points()[task.key].state == TrialState.RUNNING
    monkeypatch.setattr(queue.storage, "grace_period", 1)
    time.sleep(2.5)  # heartbeats are told apart by whole seconds
    queue.bury()
    assert queue.points()[task.key].state == TrialState.WAITING


def test_a_process_killed_before_it_signed_is_dead_after_a_while(
    tiny: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = opened(tiny, tmp_path)
    first = queue.trials()[0]
    assert queue.storage.set_trial_state_values(first._trial_id, TrialState.RUNNING)
    assert queue.bury() == []
    monkeypatch.setattr(storage_module, "UNSIGNED", -storage_module.UNSIGNED)
    assert len(queue.bury()) == 1


def test_the_answer_of_a_process_given_up_for_dead_is_dropped(tiny: StudyConfig, tmp_path: Path) -> None:
    queue = opened(tiny, tmp_path)
    late = queue.take()
    assert late
    queue.storage.set_trial_state_values(late.trial_id, TrialState.FAIL)
    queue.bury()
    row = fake_points.evaluate(tiny.experiment, None)
    queue.done(late, row)
    queue.failed(late, "too late")
    assert queue.points()[late.key].state == TrialState.WAITING


# --- storages ---


def test_a_journal_is_a_storage(tiny: StudyConfig, tmp_path: Path) -> None:
    url = f"journal://{tmp_path / 'study.log'}"
    result = run_study(tiny, tmp_path / "out", jobs=1, storage=url, evaluate=FAKE)
    assert states(result) == ["done"] * 6
    assert not (tmp_path / "out" / "study.db").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("study.db", "--storage study.db: expected a URL, e.g. postgresql://"),
        ("nosql://host/x", "--storage nosql://...: cannot be opened: .*nosql"),
        ("sqlite:////nowhere/at/all.db", "cannot be opened: .*unable to open"),
        ("grpc://host:port", "cannot be opened"),
    ],
)
def test_a_storage_that_is_none(url: str, message: str) -> None:
    if url.startswith("grpc"):
        pytest.importorskip("grpc")
    with pytest.raises(ExperimentError, match=message):
        open_storage(url)


def test_a_storage_without_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"driver is not installed.*psycopg.binary"):
        open_storage("postgresql+psycopg://me:secret@host/x")


def test_a_worker_joins_what_was_started(tiny: StudyConfig, tmp_path: Path) -> None:
    url = folder_url(tmp_path)
    with pytest.raises(ExperimentError, match=r"no study 'tiny' in .*; start it with: neurosim sweep"):
        join(tiny, url, evaluate=FAKE)
    opened(tiny, tmp_path)
    other = tiny.model_copy(update={"base": tiny.base.model_copy(update={"seed": 9})})
    with pytest.raises(ExperimentError, match="another base experiment than this file"):
        join(other, url, evaluate=FAKE)
    assert join(tiny, url, evaluate=FAKE) == 6
    assert join(tiny, url, evaluate=FAKE) == 0


def test_passwords_are_not_shown() -> None:
    assert storage_module._shown("postgresql://me:secret@host/x") == "postgresql://...@host/x"


def test_dashboard(tiny: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tiny, tmp_path)
    assert study_url(str(tmp_path)) == folder_url(tmp_path)
    assert study_url("journal:///x") == "journal:///x"
    with pytest.raises(ExperimentError, match=r"runs/read_noise: no study.db there"):
        study_url("sweep_read_noise")
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'neurosim-codesign.study.'"):
        serve_dashboard(study_url(str(tmp_path)), 8080)


# --- worker processes ---


def test_several_workers_give_the_same_files_as_one(tiny: StudyConfig, tmp_path: Path) -> None:
    seen: list[Status] = []
    run_study(tiny, tmp_path / "one", jobs=1, evaluate=FAKE)
    run_study(tiny, tmp_path / "two", jobs=2, evaluate="fake_points:slow", show=seen.append)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert (seen[0].done, seen[-1].done, seen[-1].over) == (0, 6, True)
    assert seen[-1].best == ({"device.sigma_read": 0.0, "device.p_stuck": 0.0}, seen[-1].best[1])


def test_a_point_that_kills_its_workers_fails(
    tiny: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "MAX_DEATHS", 1)
    config = with_axes(tiny, sigma_read=[0.1])
    queue = opened(config, tmp_path)
    do_points(queue, config, folder_url(tmp_path), tmp_path, jobs=2, evaluate="fake_points:deadly")
    (trial,) = queue.points().values()
    assert "its process died 1 times" in trial.user_attrs["error"]


def test_workers_that_cannot_work_say_why(tiny: StudyConfig, tmp_path: Path) -> None:
    config = with_axes(tiny, p_stuck=[0.6])
    queue = opened(config, tmp_path)
    with pytest.raises(NeurosimError, match=r"nowhere to be found; fetch it\n.*workers.log"):
        do_points(queue, config, folder_url(tmp_path), tmp_path, jobs=2, evaluate=FAKE)


# --- what is shown ---

STATUS = Status(10, 4, 1, 2, 5, 20.0, 2, ({"device.sigma_read": 0.05}, 0.912))


def test_summary() -> None:
    assert summary(STATUS) == (
        "4 of 10 points done; 1 failed; 2 running on 2 workers here; 15 a minute, 0:00:20 left; "
        "best 91.20 % at device.sigma_read = 0.05"
    )


@pytest.mark.parametrize("terminal", [False, True])
def test_live_view(terminal: bool) -> None:
    text = io.StringIO()
    with live_view(Console(file=text, force_terminal=terminal, width=200)) as show:
        show(STATUS)
    assert "best 91.20 %" in text.getvalue()


def test_lines_without_a_terminal() -> None:
    console = Console(record=True, file=io.StringIO(), force_terminal=False, width=200)
    over = Status(10, 9, 1, 0, 10, 40.0, 2, None)
    with live_view(console) as show:
        for status in (STATUS, STATUS, over, over):
            show(status)
    assert [line.split(" of ")[0] for line in console.export_text().splitlines()] == ["4", "9"]


# --- Python and the command line ---


def test_sweep_from_python(tmp_path: Path) -> None:
    base = load_experiment("demo")
    data = sweep(
        base, {"device.sigma_read": np.array([0.0, 0.1]), "array.adc_bits": [4, 6]}, chips=3, evaluate=FAKE
    )
    assert dict(data.sizes) == {"device.sigma_read": 2, "array.adc_bits": 2, "chip": 3}
    assert data["device.sigma_read"].attrs["units"] == "1"
    assert not data.accuracy.isnull().any()
    kept = sweep(base, {"device.sigma_read": [0.0, 0.1]}, chips=3, folder=tmp_path, evaluate=FAKE)
    more = sweep(base, {"device.sigma_read": [0.0, 0.1, 0.2]}, chips=3, folder=tmp_path, evaluate=FAKE)
    xr.testing.assert_equal(kept.accuracy, more.accuracy[:2])


def test_words_as_an_axis() -> None:
    data = sweep(load_experiment("demo"), {"device.card": ["ideal", "taox_1t1r_40nm"]}, evaluate=FAKE)
    assert list(data["device.card"].values) == ["ideal", "taox_1t1r_40nm"]


def test_sweep_refuses_what_is_no_sweep() -> None:
    with pytest.raises(ExperimentError, match=r"sweep: sweep.axes: .*at least 1"):
        sweep(load_experiment("demo"), {})


def test_the_commands(toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "import_module", lambda _name: fake_points)
    done = call("sweep", toml, "--out", tmp_path / "out", "--jobs", 1, "--set", "sweep.chips=3")
    assert done.exit_code == 0, done.output
    assert "6 of 6 points done" in done.output
    assert str(tmp_path / "out" / "report.html") in done.output
    handler = signal.getsignal(signal.SIGTERM)
    late = call("worker", toml, "--storage", folder_url(tmp_path / "out"), "--set", "sweep.chips=3")
    signal.signal(signal.SIGTERM, handler)
    assert (late.exit_code, late.output) == (0, "0 points\n")
    refused(call("sweep", toml, "--out", tmp_path / "out"), "its base experiment differs")
    refused(call("dashboard", tmp_path), "no study.db there; name the folder or the URL")

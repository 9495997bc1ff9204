"""Processes of a study are killed at random moments: every point is done once, and nothing is lost.

The long version is benchmarks/studies/kill_sweep.py; PostgreSQL, where it is installed, is in
benchmarks/studies/postgres_workers.py.
"""

import json
import multiprocessing
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from test_study import STUDY

from neurosim.study.config import load_study
from neurosim.study.points import sweep_points
from neurosim.study.storage import died, folder_url, join_study, open_study
from neurosim.study.worker import work

STUDIES = Path(__file__).parents[1] / "benchmarks" / "studies"


def worker(url: str, toml: Path, start: float) -> None:
    config = load_study(toml)
    queue = join_study(url, config)
    queue.start = start
    work(queue, config, evaluate="fake_points:slow")


def test_killed_workers_lose_nothing(tmp_path: Path) -> None:
    toml = tmp_path / "tiny.toml"
    toml.write_text(STUDY.replace("n = 3", "n = 60"))
    config = load_study(toml)
    points, url = sweep_points(config)[1], folder_url(tmp_path)
    queue = open_study(url, config, points)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    dice, kills = random.Random(0), 0
    while not all(trial.state.is_finished() for trial in queue.points().values()):
        team = [context.Process(target=worker, args=(url, toml, place / 3)) for place in range(3)]
        for process in team:
            process.start()
        time.sleep(dice.uniform(0.2, 0.8))
        for process in team if kills < 9 else []:
            process.kill()
            kills += 1
        for process in team:
            process.join()
    queue.bury()
    trials = queue.trials()
    assert kills
    assert Counter(t.user_attrs["point"]["key"] for t in trials if not died(t)) == Counter(
        p.key for p in points
    )
    assert all(trial.state.is_finished() for trial in trials)


def script(name: str, *args: object) -> dict[str, object]:
    command = [sys.executable, STUDIES / f"{name}.py", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_killed_sweep_goes_on_and_ends_the_same() -> None:
    assert script("kill_sweep", 2, 1)["kills"] == 2


def test_workers_on_postgresql_come_and_go() -> None:
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    found = script("postgres_workers", 24, 0, "--no-rates")
    if reason := found.get("skipped"):
        pytest.skip(str(reason))
    assert found["points"] == 24

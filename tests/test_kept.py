"""Binned recordings that are kept on disk and shared by processes."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from neurosim import store
from neurosim.events import kept
from neurosim.events.types import Binned, Sensor


def part(seed: int = 0, n: int = 6) -> Binned:
    draw = np.random.default_rng(seed)
    ends = np.append(0, np.cumsum(draw.integers(0, 4, n * 5)))
    ptr = ends[np.arange(n)[:, None] * 5 + np.arange(6)]
    channels = draw.integers(0, 24, ends[-1]).astype(np.uint16)
    return Binned(channels, ptr, draw.integers(0, 2, n), Sensor(4, 3, 2), 6.2e-3, ("a", "b"), 3)


def assert_same(one: Binned, other: Binned) -> None:
    for name in ("channels", "ptr", "labels"):
        assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("sensor", "dt", "classes", "max_count"):
        assert getattr(one, name) == getattr(other, name)


def test_parts_come_back_as_they_were(tmp_path: Path) -> None:
    whole = part()
    parts = {"train": whole[:4], "validation": whole[4:], "test": part(1)}
    assert kept.load(tmp_path / "entry") is None
    kept.save(tmp_path / "entry", parts)
    found = kept.load(tmp_path / "entry")
    assert found is not None
    for name, one in parts.items():
        assert_same(found[name], one)
    assert len(list((tmp_path / "entry").glob("channels_*"))) == 2, "shared channels are written once"


@pytest.mark.parametrize("damage", ["channels_test.npy", "manifest.json"])
def test_damaged_parts_are_made_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "entry"
    kept.shared(path, lambda: {"test": part()})
    (path / damage).write_bytes((path / damage).read_bytes()[:-3])
    assert kept.load(path) is None
    assert_same(kept.shared(path, lambda: {"test": part()})["test"], part())
    assert kept.load(path) is not None


def test_an_entry_of_another_kind_is_no_part(tmp_path: Path) -> None:
    store.save(tmp_path / "entry", {"x": np.zeros(3)}, {"test": {"channels": "test"}})
    assert kept.load(tmp_path / "entry") is None


def ask(folder: Path) -> None:
    def make() -> dict[str, Binned]:
        with (folder / "made").open("a") as log:
            log.write("made\n")
        return {"test": part()}

    assert_same(kept.shared(folder / "entry", make)["test"], part())


def test_of_processes_that_ask_at_once_one_makes_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    team = [context.Process(target=ask, args=(tmp_path,)) for _ in range(3)]
    for process in team:
        process.start()
    for process in team:
        process.join()
    assert [process.exitcode for process in team] == [0, 0, 0]
    assert (tmp_path / "made").read_text() == "made\n"

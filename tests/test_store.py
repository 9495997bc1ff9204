"""The store: entries are whole or absent, whatever happens to the files."""

import json
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from neurosim import store

ARRAYS = {"a": np.arange(6, dtype=np.uint16).reshape(2, 3), "b": np.ones(4, np.float32)}


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    store.save(tmp_path / "cache" / "entry", ARRAYS, {"n": 2})
    return tmp_path / "cache" / "entry"


def manifest(entry: Path, **change: Any) -> None:
    content = json.loads((entry / "manifest.json").read_text())
    (entry / "manifest.json").write_text(json.dumps(content | change))


# ---- writing and reading ---------------------------------------------------------------------------


def test_round_trip_by_memory_map(entry: Path) -> None:
    loaded = store.load(entry)
    assert loaded is not None
    arrays, meta = loaded
    assert meta == {"n": 2}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in arrays.items():
        assert isinstance(array, np.memmap)
        assert array.dtype == ARRAYS[name].dtype
        assert_array_equal(array, ARRAYS[name])


@pytest.mark.parametrize(
    "array",
    [
        np.empty(0, np.uint16),
        np.empty((0, 7), np.float32),
        np.empty((3, 0)),
        np.array(5.0),
        np.array([True, False]),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(10)[::3],
    ],
    ids=["empty", "no rows", "no columns", "scalar", "bool", "fortran", "strided"],
)
def test_arrays_of_every_kind(tmp_path: Path, array: Any) -> None:
    store.save(tmp_path / "entry", {"x": array}, {})
    loaded = store.load(tmp_path / "entry")
    assert loaded is not None
    assert loaded[0]["x"].dtype == array.dtype
    assert_array_equal(loaded[0]["x"], array)


def test_entry_without_arrays(tmp_path: Path) -> None:
    store.save(tmp_path / "entry", {}, {"done": True})
    assert store.load(tmp_path / "entry") == ({}, {"done": True})


def test_pickled_objects_are_neither_written_nor_read(entry: Path) -> None:
    pickled = np.array([{}], object)
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        store.save(entry, {"a": pickled}, {})
    np.save(entry / "a.npy", pickled, allow_pickle=True)
    assert store.load(entry) is None


def test_open_arrays_outlive_a_new_entry(entry: Path) -> None:
    loaded = store.load(entry)
    store.save(entry, {"a": np.zeros(1)}, {})
    assert loaded is not None
    assert_array_equal(loaded[0]["a"], ARRAYS["a"])


# ---- crashes and races -----------------------------------------------------------------------------


def test_crash_in_the_middle_leaves_the_old_entry(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any, **_options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        store.save(entry, {"a": np.zeros(9)}, {"n": 3})
    loaded = store.load(entry)
    assert loaded is not None
    assert loaded[1] == {"n": 2}
    assert list(entry.parent.iterdir()) == [entry], "the temporary folder is still there"


def test_text_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "new" / "result.json"
    store.write_text(file, "old")
    with pytest.raises(UnicodeEncodeError):
        store.write_text(file, "\ud800")
    assert file.read_text() == "old"
    store.write_text(file, "neu \N{OHM SIGN}")
    assert file.read_text(encoding="utf-8") == "neu \N{OHM SIGN}"
    assert list(file.parent.iterdir()) == [file]


def test_a_file_never_replaces_a_folder(entry: Path) -> None:
    with pytest.raises(IsADirectoryError, match="entry"):
        store.write_text(entry, "text")
    assert store.load(entry) is not None


def _write_often(path: Path, value: int) -> None:
    for _ in range(60):
        store.save(path, {"x": np.full(1000, value)}, {"value": value})


def test_two_writers_and_a_reader(tmp_path: Path) -> None:
    """No writer fails, the reader sees one writer's entry or none, and one of them stays."""
    path = tmp_path / "entry"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_often, args=(path, value)) for value in (1, 2)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if loaded := store.load(path):
            (arrays, meta) = loaded
            assert (arrays["x"] == meta["value"]).all()
            seen.add(meta["value"])
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen
    assert store.load(path) is not None
    assert list(tmp_path.iterdir()) == [path]


# ---- damage ----------------------------------------------------------------------------------------


def _delete(entry: Path) -> None:
    shutil.rmtree(entry)


def _flip(entry: Path) -> None:
    content = bytearray((entry / "a.npy").read_bytes())
    content[-1] ^= 1
    (entry / "a.npy").write_bytes(content)


def _cut(entry: Path) -> None:
    os.truncate(entry / "a.npy", 100)


def _lose(entry: Path) -> None:
    (entry / "b.npy").unlink()


def _no_manifest(entry: Path) -> None:
    (entry / "manifest.json").unlink()


def _cut_manifest(entry: Path) -> None:
    os.truncate(entry / "manifest.json", 40)


def _binary_manifest(entry: Path) -> None:
    (entry / "manifest.json").write_bytes(b"\xff\xfe\0")


@pytest.mark.parametrize(
    "damage", [_delete, _flip, _cut, _lose, _no_manifest, _cut_manifest, _binary_manifest]
)
def test_damaged_entry(entry: Path, damage: Any) -> None:
    damage(entry)
    assert store.load(entry) is None
    store.save(entry, ARRAYS, {})
    assert store.load(entry) is not None


@pytest.mark.parametrize(
    "content",
    [
        *("[]", "3", "null", "{}", '{"sha256": {}}', '{"meta": {}}', '{"sha256": [], "meta": {}}'),
        *('{"sha256": {"a": 1}, "meta": {}}', '{"sha256": {"a\\u0000": ""}, "meta": {}}'),
        *('{"sha256": {}, "meta": 3}', '{"sha256": {}, "meta": ["ab", 1]}'),
    ],
)
def test_foreign_manifest(entry: Path, content: str) -> None:
    (entry / "manifest.json").write_text(content)
    assert store.load(entry) is None


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00\xff\xff{"),
        *(b"\x93NUMPY\x01\x00\x02\x00{\n", b"\x93NUMPY\x01\x00\x16\x00{'descr': '<f4', 3 4}\n"),
    ],
)
def test_array_file_of_another_kind(entry: Path, content: bytes) -> None:
    (entry / "a.npy").write_bytes(content)
    assert store.load(entry) is None


@pytest.mark.parametrize("name", ["../other/a", "/{root}/other/a", "./../other/a", "../entry/a", "sub/../a"])
def test_names_in_a_manifest_do_not_leave_the_entry(entry: Path, name: str) -> None:
    store.save(entry.parent / "other", ARRAYS, {})
    name = name.replace("/{root}", str(entry.parent))
    manifest(entry, sha256={name: store.digest(ARRAYS["a"])})
    assert store.load(entry) is None


# ---- places and hashes -----------------------------------------------------------------------------


def test_cache_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("NEUROSIM_CACHE", "/own")
    assert store.cache_dir() == Path("/own")
    monkeypatch.delenv("NEUROSIM_CACHE")
    assert store.cache_dir() == Path("/xdg/neurosim")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert store.cache_dir() == tmp_path / ".cache" / "neurosim"


def test_digest_sees_type_shape_and_content_but_not_layout() -> None:
    a = np.arange(6, dtype=np.int32).reshape(2, 3)
    others = (a.T, a.ravel(), a.astype(np.int64), a.view(np.uint32), a + 1, a[:, :0])
    assert len({store.digest(x) for x in (a, *others)}) == 7
    assert store.digest(np.asfortranarray(a)) == store.digest(a[:, ::1]) == store.digest(a)
    assert store.digest(np.empty((0, 3))) != store.digest(np.empty((3, 0)))


def test_code_hashes_every_module_of_a_package() -> None:
    package = Path(store.__file__).parent
    n_modules = len(list((package / "reservoir").glob("*.py")))
    hashes = store.code("rng.py", "reservoir")
    assert len(hashes) == 1 + n_modules
    assert hashes[0] == store.sha256(package / "rng.py")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        store.code("nowhere.py")

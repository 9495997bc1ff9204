"""A file is data: whatever is wrong with an image is said, and nothing outside of it is touched."""

import contextlib
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import mutations
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_design import small_design
from typer.testing import CliRunner

from neurosim.cli import app
from neurosim.errors import DataNotFoundError, ImageError, NeurosimError
from neurosim.export import write
from neurosim.export.image import read_macro
from neurosim.export.measured import read_measured, write_measured
from neurosim.export.virtual import virtual_chip
from neurosim.reservoir import simulate


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder, design = tmp_path_factory.mktemp("good"), small_design()
    write(design, "macro", folder / "image.h5")
    reads = virtual_chip(design, design.experiment.device, seed=1, times=(0.0, 1.0))
    write_measured(reads, folder / "measured.h5", fingerprint=design.fingerprint)
    return {kind: (folder / f"{kind}.h5").read_bytes() for kind in ("image", "measured")}


def edited(data: bytes, edit: Callable[[Any], None]) -> bytes:
    """The file after an edit, with the right sum."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        edit(file)
    return mutations.sealed(buffer.getvalue())


def put(name: str, place: Any, value: float) -> Callable[[Any], None]:
    """Set a number of a dataset, and its sum, as somebody would who knows the format."""

    def edit(file: Any) -> None:
        values = file[name][()]
        values[place] = value
        mutations.replace(file, name, values)

    return edit


def say(name: str, value: Any) -> Callable[[Any], None]:
    return lambda file: file.attrs.__setitem__(name, value)


def swap(name: str, **options: Any) -> Callable[[Any], None]:
    def edit(file: Any) -> None:
        del file[name]
        file.create_dataset(name, **options).attrs["unit"] = b"S"

    return edit


def link(name: str, target: Any) -> Callable[[Any], None]:
    def edit(file: Any) -> None:
        del file[name]
        file[name] = target

    return edit


def empty(*names: str) -> Callable[[Any], None]:
    """Nothing along the first axis, everywhere."""

    def edit(file: Any) -> None:
        for name in names:
            mutations.replace(file, name, file[name][:0])

    return edit


def swap_text(text: bytes) -> Callable[[Any], None]:
    def edit(file: Any) -> None:
        del file["design/experiment"]
        dataset = file.create_dataset("design/experiment", data=np.bytes_(text))
        dataset.attrs["sha256"] = np.bytes_(hashlib.sha256(text).hexdigest())

    return edit


TARGET = "tiles/target"
OUTSIDE = h5py.ExternalLink("/etc/passwd", "/x")
BOMB = {"shape": (1, 24, 40), "dtype": "f4"}
HOSTILE: dict[str, tuple[Callable[[Any], None], str]] = {
    "nan": (put(TARGET, (0, 1, 2), np.nan), r"tiles/target: \[0, 1, 2\] is nan, outside 0 \.\. 0\.1 \[S\]"),
    "negative": (put(TARGET, (0, 0, 0), -1e-6), r"tiles/target: \[0, 0, 0\] is -1e-06, outside 0"),
    "large": (put(TARGET, (0, 0, 0), 34.1), r"is 34\.1, outside 0 \.\. 0\.1 \[S\]"),
    "schema": (say("schema", b"neurosim.macro/2"), "schema 'neurosim.macro/2'; must be 'neurosim.macro/1'"),
    "no schema": (lambda file: file.attrs.__delitem__("schema"), "@schema: missing"),
    "unit": (
        lambda file: file[TARGET].attrs.__setitem__("unit", b"uS"),
        "tiles/target: unit 'uS'; must be 'S'",
    ),
    "sum": (
        lambda file: file[TARGET].write_direct(np.full((1, 24, 40), 1e-6, "f4")),
        "tiles/target: its SHA-256 is wrong",
    ),
    "missing": (lambda file: file.__delitem__(TARGET), "tiles/target: missing"),
    "shape": (swap(TARGET, data=np.zeros((1, 24, 39), "f4")), r"shape \(1, 24, 39\); must be \(1, 24, 40\)"),
    "axes": (swap(TARGET, data=np.zeros((24, 40), "f4")), r"shape \(24, 40\); must be \(tiles, tile_rows"),
    "integers": (swap(TARGET, data=np.zeros((1, 24, 40), "i4")), "type int32; must be float32"),
    "objects": (swap(TARGET, data=["x"] * 3, dtype=h5py.string_dtype()), "must be plain numbers"),
    "vlen": (swap(TARGET, shape=(1, 24, 40), dtype=h5py.vlen_dtype(np.float32)), "must be plain numbers"),
    "compound": (swap(TARGET, shape=(1, 24, 40), dtype=[("a", "f4")]), "must be plain numbers"),
    "soft link": (link(TARGET, h5py.SoftLink("/tiles/tolerance")), "is a link, which is not followed"),
    "external link": (
        link(TARGET, OUTSIDE),
        "is a link, which is not followed",
    ),
    "linked group": (
        link("tiles", OUTSIDE),
        "is a link, which is not followed",
    ),
    "cycle": (lambda file: link("tiles", file["/"])(file), "tiles/target: missing"),
    "external data": (
        swap(TARGET, shape=(1, 24, 40), dtype="f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]),
        "in this very file",
    ),
    "declared": (
        swap(TARGET, shape=(2**20, 2**20, 2**20), dtype="f4", chunks=(1, 64, 64)),
        "must be",
    ),
    "tiles": (say("tiles", 4096), "@tiles: |shape"),
    "cells": (
        lambda file: [say(n, 65536)(file) for n in ("tile_rows", "tile_cols")],
        "at most 67,108,864 are read",
    ),
    "empty chunks": (swap(TARGET, **BOMB, chunks=(1, 24, 40)), "@sha256: missing"),
    "filter": (swap(TARGET, data=np.zeros((1, 24, 40), "f4"), compression="lzf"), "only gzip, shuffle"),
    "pair twice": (put("tiles/pair", (0, 0, 0), 1), "every pair must have one cell of either side"),
    "pair far": (put("tiles/pair", (0, 0, 0), 10**6), "is not below"),
    "synapse far": (put("synapses/input_post", 0, 16), "synapses/input_post: 16 is not below 16"),
    "columns": (say("cols", 5), "@n_neurons: 16 is no multiple of 5 columns"),
    "more columns": (say("cols", 32), "@n_neurons: 16 is no multiple of 32 columns"),
    "no vectors": (
        empty(*(f"vectors/{n}" for n in ("label", "step_ptr", "spike_ptr", "answer", "answer_integer"))),
        "vectors/.*: is empty",
    ),
    "no synapses": (empty(*(f"synapses/input_{n}" for n in ("pre", "post", "pair"))), "input_pre: is empty"),
    "events": (put("vectors/step_ptr", (0, 1), 10**6), "vectors/step_ptr"),
    "class far": (put("projection/code", 0, 99), "projection/code: class outside 0 .. 9"),
    "layers": (lambda file: file["projection"].attrs.__setitem__("layers", 9), "9 is outside 1 .. 8"),
    "lsb": (say("lsb", np.nan), "@lsb: nan is no finite number"),
    "seed text": (say("tiles", b"one"), "@tiles: |S3 of shape"),
    "no json": (swap_text(b"not json"), "design/experiment: not JSON"),
    "no number": (swap_text(b'{"seed": NaN}'), "design/experiment: not JSON: NaN is no number"),
    "deep json": (swap_text(b"[" * 100_000), "design/experiment: not JSON"),
    "other json": (swap_text(b"{}"), "no resolved experiment"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_image_is_refused(name: str, good: dict[str, bytes], tmp_path: Path) -> None:
    edit, message = HOSTILE[name]
    path = tmp_path / "image.h5"
    path.write_bytes(edited(good["image"], edit))
    with pytest.raises(NeurosimError, match=message) as why:
        read_macro(path)
    assert str(path) in str(why.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda data: data[:-1], "was cut off or changed"),
        (lambda data: data[: len(data) // 2], "was cut off or changed"),
        (lambda data: data[:100], "does not begin with|was cut off"),
        (lambda data: b"", "does not begin with 'neurosim.macro/1'"),
        (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "was cut off or changed"),
        (lambda data: data[512:], "does not begin with"),
        (lambda data: b"\x80\x04\x95pickle" + data, "does not begin with"),
        (lambda data: mutations.sealed(data[:512] + b"nothing"), "not a readable HDF5 file"),
    ],
)
def test_damaged_image_is_refused(
    data: Callable[[bytes], bytes], message: str, good: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "image.h5"
    path.write_bytes(data(good["image"]))
    with pytest.raises(ImageError, match=message):
        read_macro(path)


def test_oversized_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.h5"
    with path.open("wb") as file:
        file.truncate(2**31)  # sparse
    with pytest.raises(ImageError, match=r"2,147,483,648 bytes; at most"):
        read_macro(path)
    with pytest.raises(DataNotFoundError, match="no such file"):
        read_macro(tmp_path / "none.h5")


def test_zeros_that_unpack_to_more_than_is_left_are_refused(good: dict[str, bytes], tmp_path: Path) -> None:
    """Sixteen kilobytes that declare a gigabyte."""
    path = tmp_path / "measured.h5"

    for n_reads, message in (
        (270_000, "reads; give 1 to 10000"),
        (9_000, "declares more than the file holds"),
    ):

        def bomb(file: Any, n: int = n_reads) -> None:
            del file["measured/g"]
            chunks = (1, 1, 24, 40)
            g = file.create_dataset("measured/g", (n, *chunks[1:]), "f4", chunks=chunks, compression=9)
            g.attrs["unit"] = b"S"

        path.write_bytes(edited(good["measured"], bomb))
        with pytest.raises(ImageError, match=message):
            read_measured(str(path), small_design())


@given(st.integers(0, 2**32))
def test_mutated_images_are_refused_or_run(good: dict[str, bytes], tmp_path_factory: Any, seed: int) -> None:
    kind = "image" if seed % 2 else "measured"
    _, data = mutations.mutate(good[kind], seed)
    path = tmp_path_factory.mktemp("mutated") / "file.h5"
    path.write_bytes(data)
    with contextlib.suppress(NeurosimError):
        if kind == "image":
            design = read_macro(path)
            simulate(design.liquid, design.vectors.binned)
        else:
            read_measured(str(path), small_design())


@pytest.mark.parametrize("which", ["image", "measured"])
def test_bad_files_leave_what_is_there_untouched(which: str, good: dict[str, bytes], tmp_path: Path) -> None:
    files = {}
    for kind, data in good.items():
        files[kind] = tmp_path / f"{kind}.h5"
        files[kind].write_bytes(data[:-1] if kind == which else data)
    out = tmp_path / "out"
    out.mkdir()
    (out / "result.json").write_text("mine")
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.rglob("*.*")}
    result = CliRunner().invoke(app, ["readback", *map(str, files.values()), "--out", str(out)])
    assert result.exit_code == 2
    assert "was cut off or changed" in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.stderr
    assert before == {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.rglob("*.*")}


def test_export_that_fails_leaves_the_old_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image.h5"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("neurosim.export.hdf5._write", fail)
    with pytest.raises(OSError, match="disk full"):
        write(small_design(), "macro", path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]

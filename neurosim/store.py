"""Arrays on disk: written atomically, checked when opened, read by memory map.

An entry is a folder ``<name>/`` of plain ``.npy`` files and a ``manifest.json`` with the SHA-256 of
each. It appears by a single rename, so a reader sees all of it or nothing.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]


def cache_dir() -> Path:
    """Folder for what can be made again: ``$NEUROSIM_CACHE``, else the user's cache folder."""
    if path := os.environ.get("NEUROSIM_CACHE"):
        return Path(path)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "neurosim"


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield folder / path.name
        if path.is_dir():  # a folder cannot be renamed over one that is not empty
            shutil.rmtree(path)
        (folder / path.name).replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as tmp:
        tmp.write_text(text, encoding="utf-8")


def save(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]], meta: Mapping[str, Any]) -> None:
    """Write ``arrays`` and the JSON-able ``meta`` as the entry ``path``."""
    with atomic_path(path) as tmp:
        tmp.mkdir()
        for name, array in arrays.items():
            np.save(tmp / f"{name}.npy", array, allow_pickle=False)
        sums = {name: sha256(tmp / f"{name}.npy") for name in arrays}
        manifest = json.dumps({"meta": dict(meta), "sha256": sums}, indent=1)
        (tmp / "manifest.json").write_text(manifest, encoding="utf-8")


def load(path: Path, *, mmap: bool = True) -> tuple[Arrays, dict[str, Any]] | None:
    """Arrays and meta of the entry ``path``, or None where it is missing or damaged."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        arrays: Arrays = {}
        for name, expected in manifest["sha256"].items():
            file = path / f"{name}.npy"
            if file.parent != path or sha256(file) != expected:
                return None
            arrays[name] = np.load(file, mmap_mode="r" if mmap else None, allow_pickle=False)
        return arrays, dict(manifest["meta"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(array: np.ndarray[Any, Any]) -> str:
    """SHA-256 of an array's type, shape and content."""
    head = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    head.update(np.ascontiguousarray(array).data)
    return head.hexdigest()


def code(*places: str) -> list[str]:
    """Hashes of the modules and subpackages that make an entry: changed code never serves old ones."""
    package = Path(__file__).parent
    files = [f for place in places for f in sorted((package / place).rglob("*.py")) or [package / place]]
    return [sha256(file) for file in files]

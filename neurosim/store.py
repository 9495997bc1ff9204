"""Arrays on disk: written atomically, checked when opened, read by memory map.

An entry is a folder ``<name>/`` of plain ``.npy`` files and a ``manifest.json`` with the digest of
each. It appears by a single rename, and what a reader has mapped is what it checks, so that it sees all
of one writer's entry or nothing.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import tokenize
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
    """A temporary path beside ``path`` that takes its name only if the block succeeds.

    Of several writers the last one wins. A folder replaces a folder, a file never does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        new = folder / path.name
        yield new
        while True:
            try:
                new.replace(path)
                break
            except OSError as why:
                if why.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            with contextlib.suppress(FileNotFoundError):  # another writer has just moved it away
                path.rename(tempfile.mkdtemp(dir=folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let no other process into a block for the same ``path``; a process that dies lets go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
        sums = {name: digest(array) for name, array in arrays.items()}
        manifest = json.dumps({"meta": dict(meta), "sha256": sums}, indent=1)
        (tmp / "manifest.json").write_text(manifest, encoding="utf-8")


def load(path: Path) -> tuple[Arrays, dict[str, Any]] | None:
    """Memory-mapped arrays and meta of the entry ``path``, or None where it is missing or damaged."""
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        arrays: Arrays = {}
        for name, expected in manifest["sha256"].items():
            file = path / f"{name}.npy"
            if file.parent != path:
                return None
            arrays[name] = np.lib.format.open_memmap(file, mode="r")  # type: ignore[no-untyped-call]
            if digest(arrays[name]) != expected:
                return None
        return arrays, dict(manifest["meta"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    except (SyntaxError, tokenize.TokenError):  # NumPy reads an array's header as Python source
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

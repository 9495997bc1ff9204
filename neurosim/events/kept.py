"""Binned recordings in the array store: once per machine, memory-mapped by every process."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurosim import store
from neurosim.events.types import Binned, Sensor


def shared(path: Path, make: Callable[[], Mapping[str, Binned]]) -> dict[str, Binned]:
    """Parts of a data set from the entry ``path``; made and kept by the first process that asks for them.

    Args:
        path: Entry of the store, named by all that the parts depend on.
        make: Called where the entry is missing or damaged, by one process at a time.
    """
    if (found := load(path)) is not None:
        return found
    with store.locked(path):
        if (found := load(path)) is not None:  # another process was faster
            return found
        made = make()
        save(path, made)
    return load(path) or dict(made)  # memory maps from here on


def save(path: Path, parts: Mapping[str, Binned]) -> None:
    """Write parts as an entry; channels that several parts share are written once."""
    arrays: store.Arrays = {}
    meta: dict[str, Any] = {}
    owners: dict[int, str] = {}
    for name, part in parts.items():
        owner = owners.setdefault(id(part.channels), name)
        arrays |= {f"channels_{owner}": part.channels, f"ptr_{name}": part.ptr, f"labels_{name}": part.labels}
        sensor = [part.sensor.width, part.sensor.height, part.sensor.polarities]
        meta[name] = {"channels": owner, "sensor": sensor, "dt": part.dt, "max_count": part.max_count}
        meta[name]["classes"] = list(part.classes)
    store.save(path, arrays, meta)


def load(path: Path) -> dict[str, Binned] | None:
    """The parts of an entry, or None where it is missing or damaged."""
    entry = store.load(path)
    if entry is None:
        return None
    arrays, meta = entry
    try:
        return {
            name: Binned(
                np.asarray(arrays[f"channels_{about['channels']}"]),
                np.asarray(arrays[f"ptr_{name}"]),
                np.asarray(arrays[f"labels_{name}"]),
                Sensor(*about["sensor"]),
                about["dt"],
                tuple(about["classes"]),
                about["max_count"],
            )
            for name, about in meta.items()
        }
    except (KeyError, TypeError):
        return None

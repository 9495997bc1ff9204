"""One seed per experiment, one named stream per use.

Adding a stage never shifts another stage's numbers, because a stream depends on the seed and its own
name only. The same seed gives the same numbers for any number of threads on the same machine and
version; across versions the numbers may change (NumPy promises no more).
"""

import hashlib

import numpy as np


def _entropy(seed: int, name: str) -> list[int]:
    digest = hashlib.sha256(name.encode()).digest()
    return [seed, *np.frombuffer(digest[:16], "<u4").tolist()]


def stream(seed: int, name: str) -> np.random.Generator:
    """NumPy generator of the stream ``name`` (e.g. ``"device/forming"``) of an experiment."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(_entropy(seed, name))))


def key(seed: int, name: str) -> int:
    """63-bit key of the stream ``name``, for kernels that draw by counter: always an int64 to Numba."""
    state = np.random.SeedSequence(_entropy(seed, name)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))

"""Fixtures that more than one test file uses."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# test workers share the cores; read when torch is first imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("dev", max_examples=25, deadline=None)  # the first call compiles
settings.register_profile("ci", max_examples=100, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data sets, laid out as they are distributed."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("NEUROSIM_DATA", beside))
    if not path.is_dir():
        pytest.skip(f"no real data at {path}; set NEUROSIM_DATA")
    return path


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's cache, and the user's cache out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROSIM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield

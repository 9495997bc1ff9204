import inspect
import subprocess
import sys

import pytest

import neurosim

HEAVY = {"torch", "numba", "brian2", "tonic", "snntorch", "matplotlib", "sklearn", "scipy.stats"}


def test_names_are_few_sorted_and_there() -> None:
    assert list(neurosim.__all__) == sorted(set(neurosim.__all__))
    assert len(neurosim.__all__) <= 30
    assert set(neurosim.__all__) <= set(dir(neurosim))


@pytest.mark.parametrize("name", neurosim.__all__)
def test_every_name_is_documented(name: str) -> None:
    value = getattr(neurosim, name)
    assert inspect.getdoc(value)
    assert getattr(value, "__module__", "").startswith("neurosim")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        neurosim.nothing  # noqa: B018


HELP = (
    "import sys; sys.argv = ['neurosim', '--help']; from neurosim.cli import app; app(standalone_mode=False)"
)


@pytest.mark.parametrize(
    "code",
    ["import neurosim", HELP, "import neurosim.cards; neurosim.cards.list_cards('device')"],
    ids=["import", "help", "cards"],
)
def test_heavy_packages_are_not_loaded_before_they_are_used(code: str) -> None:
    check = f"{code}\nimport sys\nsys.exit(' '.join(sys.modules.keys() & {HEAVY}))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""

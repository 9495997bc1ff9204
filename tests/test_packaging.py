import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from neurosim.cards import list_cards

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("devices", "datasets", "examples")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout with the packages that are installed."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def _tracked(folder: Path) -> set[str]:
    return {
        str(p.relative_to(ROOT)) for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts
    }


def test_wheel_holds_the_cards_and_examples_and_nothing_beside_the_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name.removeprefix("neurosim/_cards/") for name in names if name.startswith("neurosim/_cards/")}
    assert packed == set().union(*(_tracked(ROOT / folder) for folder in SHIPPED))
    assert {name.split("/")[0].split("-")[0] for name in names} == {"neurosim", "neurosim_codesign"}
    assert not [name for name in names if "__pycache__" in name]


def test_wheel_holds_the_verilog(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"neurosim/export/liquid_core.v", "neurosim/export/liquid_tb.v"} <= set(names)


def test_wheel_is_small_enough_for_an_index(wheel: Path) -> None:
    assert wheel.stat().st_size < 10e6


def test_wheel_finds_its_own_cards(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import neurosim.cards as c; print(c.shipped_folder('examples'), *c.list_cards('device'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(tmp_path / "neurosim/_cards/examples"), *list_cards("device")]


@pytest.mark.parametrize("folder", SHIPPED)
def test_data_folders_hold_no_code(folder: str) -> None:
    assert not list((ROOT / folder).rglob("*.py"))


def test_the_tested_set_covers_the_dependencies_and_names_no_build_of_torch() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    versions: dict[str, str] = {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"] + project["optional-dependencies"]["dev"]:
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"python_version": "3.11"}):
            assert wanted.specifier.contains(versions[canonicalize_name(wanted.name)].removeprefix("=="))
    assert versions["torch"] == "==2.13.0"
    assert not [name for name in versions if name.startswith(("nvidia", "triton", "cuda"))]

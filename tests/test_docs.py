"""What the documents say is true: code blocks run, tables agree with the results they are made from."""

import json
import re
from pathlib import Path

import pytest
from experiment_keys import PAGE, markdown

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert float(capsys.readouterr().out) > 0.6


def test_accuracies_of_the_readme_are_those_of_the_results() -> None:
    lines = (ROOT / "benchmarks/results/nmnist_curve.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 12
    for row in rows:
        line = next(line for line in README.splitlines() if line.startswith(f"| `{row['example']}`"))
        assert f"{row['mean']:.3f}" in line, row["example"]
        assert f"{row['cells']:,}" in line


def test_effects_of_the_readme_are_those_of_the_results() -> None:
    lines = (ROOT / "benchmarks/results/effects.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 17
    for row in rows:
        low, high = row["ci95"]
        change = 100 * (row["mean"] - rows[0]["mean"])
        line = next(line for line in README.splitlines() if line.startswith(f"| {row['effect']} |"))
        assert f"| {row['mean']:.3f} [{low:.3f}, {high:.3f}] |" in line
        assert row is rows[0] or f"| {change:+.1f} ± " in line


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("*/*.md")), ids=str)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize(
    "command", re.findall(r"neurosim ((?:devices|datasets|baselines) \w+|run|demo)", README)
)
def test_commands_of_the_readme_exist(command: str) -> None:
    from typer.testing import CliRunner

    from neurosim.cli import app

    assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0


def test_page_of_the_baselines_runs_and_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    from neurosim.baselines import BASELINES

    page = (ROOT / "docs/baselines.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "baselines.md", "exec"), {})
    accuracy, n_parameters, _ = capsys.readouterr().out.split(maxsplit=2)
    assert float(accuracy) > 0.9
    assert int(n_parameters) == 45_194 - 8 * 21  # two classes instead of ten
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert set(BASELINES) <= set(re.findall(r"`(\w+)`", " ".join(rows)))


def test_keys_of_a_study_are_those_of_the_models() -> None:
    from neurosim.study.config import StudyConfig, SweepConfig
    from neurosim.study.search import SearchConfig
    from neurosim.study.sensitivity import SensitivityConfig

    page = (ROOT / "docs/studies.md").read_text(encoding="utf-8")
    tables = {"sweep": SweepConfig, "search": SearchConfig, "sensitivity": SensitivityConfig}
    rows = re.findall(r"^\| (?:`\[(\w+)\]` )?\| `(\w+)` \|", page, re.MULTILINE)
    said: dict[str, set[str]] = {}
    for table, key in rows:
        name = table or list(said)[-1]
        said.setdefault(name, set()).add(key)
    assert said == {name: set(model.model_fields) for name, model in tables.items()}
    assert set(tables) | {"schema_", "name", "base"} == set(StudyConfig.model_fields)


def test_keys_of_an_experiment_are_those_of_the_models() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run: python tests/experiment_keys.py"

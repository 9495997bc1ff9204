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


def test_python_of_the_readouts_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs/readouts.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(block, "docs/readouts.md", "exec"), {})
    assert capsys.readouterr().out.split("\n")[:-1] == ["True", "(60, 16)", "(3,) True True", "True"]


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


def test_claims_of_the_readouts_page_are_those_of_the_results() -> None:
    page = (ROOT / "docs/readouts.md").read_text(encoding="utf-8")
    lines = (ROOT / "benchmarks/results/readouts.jsonl").read_text().splitlines()
    for row in map(json.loads, lines):
        line = next(
            one for one in page.splitlines() if one.startswith(f"| `{row['readout']}` | ") and "**" in one
        )
        partly = any(row.get("checks", {}).values())
        assert ("**holds**" in line) == row["holds"], line
        assert ("**in part**" in line) == (partly and not row["holds"]), line
        numbers = {f"{mean:.3f}" for mean, _ in row["found"].values()}
        shown = re.findall(r"(?<!± )0\.\d{3}", line)
        assert shown
        assert set(shown) <= numbers, line


def test_ages_of_the_readouts_page_are_those_of_the_results() -> None:
    page = (ROOT / "docs/readouts.md").read_text(encoding="utf-8")
    rows = [
        json.loads(one) for one in (ROOT / "benchmarks/results/drift_alarm.jsonl").read_text().splitlines()
    ]
    for row in rows:
        found = row["found"]
        for age in ("a day", "a month", "a year"):
            line = next(one for one in page.splitlines() if one.startswith(f"| `{row['card']}` | {age} |"))
            for number in (f"AUROC, {age}", f"accuracy, {age}", f"accuracy, {age}, thresholds adapted again"):
                assert "| {:.3f} ± {:.3f} |".format(*found[number]) in line


def test_tutorial_from_card_to_chip_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from neurosim.cli import app

    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/from-card-to-chip.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for language, block in re.findall(r"```(sh|python)\n(.*?)```", page, re.DOTALL):
        if language == "python":
            exec(compile(block, "from-card-to-chip.md", "exec"), names)
            continue
        for command in block.strip().splitlines():
            program, *words = command.split()
            assert program == "neurosim"
            assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    assert names["score"]


def test_accuracies_of_the_tutorial_are_those_of_the_results() -> None:
    page = (ROOT / "docs/from-card-to-chip.md").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, (ROOT / "benchmarks/results/readback_chips.jsonl").read_text().splitlines()):
        line = next(line for line in page if line.startswith(f"| {row['case']} |"))
        for stage in ("as made", "remapped", "recalibrated", "retrained"):
            low, high = row[stage]["ci95"]
            assert f"{row[stage]['mean']:.3f} [{low:.3f}, {high:.3f}]" in line


def test_spoken_digits_of_the_benchmarks_are_those_of_the_results() -> None:
    page = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    lines = (ROOT / "benchmarks/results/spoken_digits.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    recipes: dict[str, list[float]] = {}
    for row in rows:
        if row["study"] == "choose":
            recipes.setdefault(row["recipe"], []).extend(row["validation"])
    chosen = max(recipes, key=lambda recipe: sum(recipes[recipe]))
    left_out = [row for row in rows if row["study"] == "speaker" and row["recipe"] == chosen]
    assert chosen == "voices"
    assert len(left_out) == 6
    assert all(
        f"({sum(values) / 6:.3f}" in page or f"{sum(values) / 6:.3f})" in page for values in recipes.values()
    )
    assert f"| mean | {sum(row['mean'] for row in left_out) / 6:.3f} |" in page
    for row in rows:
        low, high = row["ci95"] or (0, 0)
        measured = f"{row['mean']:.3f} [{low:.3f}, {high:.3f}]"
        if row["study"] == "official":
            assert f"| {row['n_neurons']} neurons | {row['readout']} | {measured} |" in page
        elif row in left_out:
            assert f"| {row['speaker']} | {measured} |" in page
        elif row["study"] == "synthetic":
            assert f"{row['mean']:.3f} on " in page


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

"""What the documents say is true: code blocks run, tables agree with the results they are made from."""

import csv
import json
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from experiment_keys import PAGE, markdown

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = ROOT / "benchmarks" / "results"


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RESULTS / f"{name}.jsonl").read_text().splitlines()]


def _section(page: str, title: str) -> str:
    """What stands under a heading of the second level."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    return str(found)


def _cells(page: str, start: str) -> list[str]:
    """Cells of the table's one row that starts so, the first cell left out."""
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def _measured(of: dict[str, Any], digits: int = 3) -> str:
    low, high = of["ci95"]
    return f"{of['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


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


def test_robustness_of_the_readme_is_that_of_the_results() -> None:
    section = _section(README, "How much noise it bears")
    with (RESULTS / "robustness.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {len(row["per_chip"].split()) for row in rows} == {5}
    levels = [float(level.removesuffix(" %")) / 100 for level in _cells(section, "accuracy at")]
    by_noise: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_noise.setdefault(row["noise"], []).append(row)
    for noise, those in by_noise.items():
        accuracy = {float(row["level"]): f"{float(row['accuracy']):.3f}" for row in those}
        assert _cells(section, noise) == [accuracy[level] for level in levels]
    at, lost, half = np.array(
        [
            [float(row[key]) for key in ("level", "points_lost", "half_width")]
            for row in by_noise["read noise"]
        ]
    ).T

    def one_point(points: npt.NDArray[np.float64]) -> float:
        k = int(np.argmax(points >= 1))
        return float(np.interp(1, points[k - 1 : k + 1], 100 * at[k - 1 : k + 1]))

    mean, early, late = one_point(lost), one_point(lost + half), one_point(lost - half)
    assert f"read noise of {mean:.0f} % (95 % over chips: {early:.1f} to {late:.0f} %)" in section
    others = [row for noise in by_noise if noise != "read noise" for row in by_noise[noise][1:]]
    assert all(float(row["points_lost"]) < float(row["half_width"]) for row in others)  # no loss is shown
    widths = [float(row["half_width"]) for row in others]
    assert f"are ± {min(widths):.1f} to\n± {max(widths):.1f} points" in section


def test_senses_of_the_readme_are_those_of_the_results() -> None:
    section = " ".join(_section(README, "Across senses").split("\n"))
    rows = {row["case"]: row for row in _rows("zero_shot")}
    for case, name in (
        ("official", "FSDD, official split"),
        ("authors", "the same, dense liquids of 200 neurons as in the paper"),
        ("letters", "simulated handwriting, 22 letters seen, 4 not"),
    ):
        row = rows[case]
        kinds = ("seen", "unseen", "unseen_all_splits")
        assert _cells(_section(README, "Across senses"), name) == [_measured(row[kind]) for kind in kinds]
    every = rows["official"]["unseen_all_splits"]
    worst, best = every["quartiles"][0], every["quartiles"][-1]
    assert (
        f"over all {every['n']} choices of two digits it is {every['mean']:.3f}, which is chance" in section
    )
    assert every["ci95"][0] < every["chance"] < every["ci95"][1]
    assert f"anywhere between {worst:.3f} and {best:.3f}" in section
    strangers = [row["seen"]["mean"] for case, row in rows.items() if case.startswith("without ")]
    assert len(strangers) == 6
    assert f"never heard by {min(strangers):.3f} to {max(strangers):.3f} of the queries" in section
    spoken = _rows("spoken_digits")
    sizes = (row for row in spoken if row["study"] == "official")
    official = max(sizes, key=lambda row: float(np.mean(row["validation"])))
    left_out = [row["mean"] for row in spoken if row["study"] == "speaker" and row.get("recipe") == "voices"]
    assert f"with {_measured(official)} on FSDD's official split" in section
    assert f"with {sum(left_out) / 6:.3f} on average" in section
    (synthetic,) = (row for row in spoken if row["study"] == "synthetic" and row["test"] == "fsdd")
    assert f"with {synthetic['mean']:.3f} after synthetic" in section


def test_chips_of_the_readme_are_those_of_the_results() -> None:
    section = _section(README, "To the chip and back")
    for row in _rows("readback_chips"):
        stages = [_measured(row[stage]) for stage in ("as made", "remapped", "recalibrated", "retrained")]
        assert _cells(section, row["case"]) == [f"{row['intended']:.3f}", *stages]


def test_baselines_of_the_readme_and_their_page_are_those_of_the_results() -> None:
    from neurosim.baselines import make_baseline

    section = _section(README, "Beside quantum and classical networks")
    page = _section((ROOT / "docs/baselines.md").read_text(encoding="utf-8"), "Measured on full MNIST")
    rows = [row for row in _rows("baselines_mnist") if row["baseline"] not in ("photonic", "quantum_creep")]
    columns = {"full": 1, "classical": 2, "deleted": 3}
    shown = 0
    for row in rows:
        name = f"`{row['baseline']}`"
        model = make_baseline(row["baseline"], row["config"])
        if row["classes"] == [0, 1]:
            components, pixels = model.settings.components, model.settings.side**2
            name += f", 0 and 1 by {components} components" if components else f", 0 and 1 by {pixels} pixels"
        variant = getattr(getattr(model.settings, "quantum", None), "variant", "full")
        runs = f"{len(row['per_seed'])}, {model.settings.training.epochs}"
        assert ("CPU" if row["baseline"] == "qrnn" else "H100") in row["device"]
        cells = _cells(section, name)
        assert cells[0] == runs
        assert cells[columns[variant]] == f"{_measured(row, 4)}, {row['n_parameters']:,}"
        label = "" if row["baseline"].startswith("cnn") else f"`{variant}`"
        (line,) = (line for line in page.splitlines() if line.startswith(f"| {name} | {label} |"))
        _, accuracy, parameters, seeds, paper, points = (cell.strip() for cell in line.split("|")[2:-1])
        quantum = f" ({row['n_quantum_parameters']:,} quantum)" if row["n_quantum_parameters"] else ""
        assert accuracy == _measured(row, 4)
        assert (parameters, seeds) == (f"{row['n_parameters']:,}{quantum}", runs)
        assert bool(paper) == bool(points)
        if paper:
            headline = paper.removeprefix("about ")
            digits = 2 if "." in headline and len(headline) == 5 else 1
            assert points == f"{100 * row['mean'] - float(headline):+.{digits}f}"
            assert headline in model.facts.headline
        shown += 1
    assert shown == len([line for line in page.splitlines() if line.startswith("| `")])


def test_small_tasks_of_the_baselines_page_are_those_of_the_results() -> None:
    from neurosim.baselines import make_baseline

    page = (ROOT / "docs/baselines.md").read_text(encoding="utf-8")
    sections = {"photonic": "The photonic challenge's task", "quantum_creep": "Layers swapped one by one"}
    for baseline, title in sections.items():
        section = _section(page, title)
        rows = [row for row in _rows("baselines_mnist") if row["baseline"] == baseline]
        for row in rows:
            settings = make_baseline(baseline, row["config"]).settings
            variant = settings.quantum.variant
            if baseline == "photonic":
                name = f"`{settings.model}`, `{variant}`"
            else:
                kind = f"level = {settings.level}" if variant == "full" else variant
                name = f"`{kind}`, {settings.training.learning_rate:g}"
            accuracy, parameters, runs, *_ = _cells(section, name)
            assert accuracy == _measured(row, 4)
            assert parameters == f"{row['n_parameters']:,}"
            assert runs == f"{len(row['per_seed'])}, {settings.training.epochs}"
            drawn = f"{row['n_train']:,} training and {row['n_validation']:,} validation images"
            assert drawn in " ".join(section.split())
        assert len(rows) == sum(line.startswith("| `") for line in section.splitlines())


def test_examples_of_the_readme_are_those_that_ship() -> None:
    table = [line for line in _section(README, "Use it").splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in table)))
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    examples = {path.stem for path in (ROOT / "examples").glob("*.toml")}
    assert named == examples | extras - {"all", "dev", "peers"}


def test_claims_of_the_readouts_page_are_those_of_the_results() -> None:
    page = (ROOT / "docs/readouts.md").read_text(encoding="utf-8")
    lines = (ROOT / "benchmarks/results/readouts.jsonl").read_text().splitlines()
    told = {"**holds**": 0, "**in part**": 0, "**does not hold**": 0}
    for row in map(json.loads, lines):
        line = next(
            one for one in page.splitlines() if one.startswith(f"| `{row['readout']}` | ") and "**" in one
        )
        partly = any(row.get("checks", {}).values())
        assert ("**holds**" in line) == row["holds"], line
        assert ("**in part**" in line) == (partly and not row["holds"]), line
        (verdict,) = (one for one in told if one in line)
        told[verdict] += 1
        numbers = {f"{mean:.3f}" for mean, _ in row["found"].values()}
        shown = re.findall(r"(?<!± )0\.\d{3}", line)
        assert shown
        assert set(shown) <= numbers, line
    words = ("no", "one", "two", "three", "four", "five", "six", "seven")
    n_all, n_held, n_part, n_failed = (words[n] for n in (len(lines), *told.values()))
    told_there = " ".join(README.split())
    assert f"of {n_all} claims about readouts {n_held} hold on liquid states, {n_part} in part" in told_there
    assert f"in part and {n_failed} does not" in told_there


def test_ages_of_the_readouts_page_are_those_of_the_results() -> None:
    page = (ROOT / "docs/readouts.md").read_text(encoding="utf-8")
    rows = [
        json.loads(one) for one in (ROOT / "benchmarks/results/drift_alarm.jsonl").read_text().splitlines()
    ]
    for row in rows:
        found = row["found"]
        for age in ("young", "a day", "a month", "a year"):
            line = next(one for one in page.splitlines() if one.startswith(f"| `{row['card']}` | {age} |"))
            assert f"| {found[f'share of alarms, {age}'][0]:.2f} |" in line
            if age == "young":
                assert "| {:.3f} ± {:.3f} |".format(*found["accuracy, young"]) in line
                continue
            for number in (f"AUROC, {age}", f"accuracy, {age}", f"accuracy, {age}, thresholds adapted again"):
                assert "| {:.3f} ± {:.3f} |".format(*found[number]) in line
    young = [row["found"]["share of alarms, young"][0] for row in rows]
    shares = ", ".join(f"{100 * share:.0f} %" for share in young[:-1]) + f" and {100 * young[-1]:.0f} %"
    assert f"raised for {shares} of the batches: {round(30 * sum(young))} of 90" in page


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
    "command",
    sorted(set(re.findall(r"(?m)(?:^    |`)neurosim ((?:devices|datasets|baselines) \w+|\w+)", README))),
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


def test_costs_of_the_baselines_are_those_of_the_cards() -> None:
    import torch

    from neurosim.baselines import make_baseline
    from neurosim.baselines.base import count_operations
    from neurosim.baselines.hardware import hardware_costs
    from neurosim.report.facts import quantity

    page = _section((ROOT / "docs/baselines.md").read_text(encoding="utf-8"), "What an inference costs")
    names = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert {"cnn", "hqnn_parallel", "photonic"} <= set(names)
    for name in names:
        model = make_baseline(name)
        shape = (784,) if model.kind == "vector" else (1, 28, 28)
        work = count_operations([model.network(shape, 10)], torch.zeros(1, *shape))
        cells = [f"{work.macs:,}", f"{work.circuits:,}"]
        for cost in hardware_costs(work):
            cells.append(quantity(cost.latency["total"], "s") if cost.latency else "")
            cells.append(quantity(cost.energy["total"], "J"))
        assert _cells(page, f"`{name}`") == [*cells, "", ""][:6]


def test_cards_of_the_pages_are_those_of_the_models() -> None:
    from neurosim.cards import KINDS, Card, QpuCard, list_cards, load_qpu, quantities

    page = _section((ROOT / "docs/formats.md").read_text(encoding="utf-8"), "Cards")
    said = re.findall(r"^\| `(neurosim\.\w+/1)` \| `(\w+)` \|", page, re.MULTILINE)
    assert said == [(model.schema_id, kind) for kind, model in KINDS.items()]
    page = _section((ROOT / "devices/README.md").read_text(encoding="utf-8"), "Quantum processors")
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `")]
    units = {key: unit.strip() for keys, unit in rows for key in re.findall(r"`([\w.]+)`", keys)}
    cards = [load_qpu(name) for name in list_cards("qpu")]
    assert units == {key: of.unit for card in cards for key, of in quantities(card)}
    assert set(list_cards("qpu")) <= set(re.findall(r"`(\w+)`", page))
    assert {key.partition(".")[0] for key in units} == set(QpuCard.model_fields) - set(Card.model_fields)


def test_keys_of_a_study_are_those_of_the_models() -> None:
    from neurosim.study.compare.config import CompareConfig, ModelConfig, RobustnessConfig
    from neurosim.study.config import StudyConfig, SweepConfig
    from neurosim.study.search import SearchConfig
    from neurosim.study.sensitivity import SensitivityConfig

    tables: dict[str, Any] = {"sweep": SweepConfig, "search": SearchConfig, "sensitivity": SensitivityConfig}
    assert {*tables, "compare", "schema_", "name", "base"} == set(StudyConfig.model_fields)
    tables |= {"compare": CompareConfig, "compare.model.NAME": ModelConfig}
    tables |= {"compare.robustness": RobustnessConfig}
    said: dict[str, set[str]] = {}
    for page in ("studies", "compare"):
        text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
        for table, key in re.findall(r"^\| (?:`\[([\w.]+)\]` )?\| `(\w+)` \|", text, re.MULTILINE):
            said.setdefault(table or list(said)[-1], set()).add(key)
    assert said == {name: set(model.model_fields) for name, model in tables.items()}


@pytest.mark.parametrize("study", ["compare_small", "compare_nmnist"])
def test_comparisons_of_the_page_are_those_of_the_results(study: str) -> None:
    bench = runpy.run_path(str(ROOT / "benchmarks/studies/compare.py"))
    page = _section((ROOT / "docs/compare.md").read_text(encoding="utf-8"), f"Measured: `{study}`")
    shown = [line for line in page.splitlines() if line.startswith("| `")]
    assert shown == bench["markdown"](_rows(study), bench["PAPER"].get(study, {}))


def test_comparison_of_the_readme_is_that_of_the_results() -> None:
    said = _section(README, "Beside quantum and classical networks")
    rows = {row["name"]: row for row in _rows("compare_small")}
    models = [name for name, row in rows.items() if row["kind"] != "reference" and ", " not in name]
    low, high = (100 * end for end in rows["liquid"]["ci95"])
    assert f"for each of {len(models)} models" in said
    for text in (
        f"liquid {_percent(rows, 'liquid')} [{low:.1f}, {high:.1f}]",
        f"`gru` ({_percent(rows, 'gru')})",
        f"`cnn` {_percent(rows, 'cnn')}",
        f"`hqnn_parallel` {_percent(rows, 'hqnn_parallel')} with them and "
        f"{_percent(rows, 'hqnn_parallel, deleted')} without",
        f"`hybrid_cnn` {_percent(rows, 'hybrid_cnn')} and {_percent(rows, 'hybrid_cnn, deleted')}",
    ):
        assert text in " ".join(said.split())
    assert rows["gru"]["against"]["p"] > 0.05


def _percent(rows: dict[str, dict[str, Any]], name: str) -> str:
    return f"{100 * rows[name]['mean']:.1f} %"


def test_the_study_of_the_page_on_comparing_is_one(tmp_path: Path) -> None:
    from neurosim.study.compare.plan import finals
    from neurosim.study.config import load_study

    page = (ROOT / "docs/compare.md").read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.toml").write_text(toml, encoding="utf-8")
    compare = load_study(tmp_path / "mine.toml").compare
    assert compare
    names = {fit.contestant for fit in finals(compare, {})}
    assert {"head", "head, deleted", "hqnn_parallel, frozen", "logistic 50"} <= names


def test_keys_of_an_experiment_are_those_of_the_models() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run: python tests/experiment_keys.py"

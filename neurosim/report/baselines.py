"""Cards of the baselines in the terminal."""

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurosim.baselines import BASELINES, baseline_class


def list_baselines(console: Console) -> None:
    """Print the baselines."""
    table = Table("name", "reads", "what it is")
    for name in BASELINES:
        found = baseline_class(name)
        table.add_row(name, f"{found().kind}s", Text(found.facts.title))
    console.print(table)


def show_baseline(name: str, console: Console) -> None:
    """Print the card of a baseline, its keys and its circuit.

    Raises:
        BaselineError: If there is none of that name.
    """
    found = baseline_class(name)
    table = Table(title=name, show_header=False)
    for what, text in asdict(found.facts).items():
        table.add_row(what, Text(text))
    table.add_row("keys", Text("\n".join(_keys(found.Config()))))
    console.print(table)
    if drawing := found.drawing():
        console.print(Text(drawing), soft_wrap=True)


def _keys(config: BaseModel, prefix: str = "") -> list[str]:
    """Every key of a config with its default, as TOML writes it."""
    lines: list[str] = []
    for key in type(config).model_fields:
        value: Any = getattr(config, key)
        if isinstance(value, BaseModel):
            lines += _keys(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {_toml(value)}")
    return lines


def _toml(value: Any) -> str:
    match value:
        case None:
            return "false"
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return str(value)

"""Cards as tables in the terminal."""

from pathlib import Path

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from neurosim.cards import (
    Card,
    DeviceCard,
    MacroCard,
    cite,
    list_cards,
    load_dataset,
    load_device,
    load_macro,
    quantities,
)
from neurosim.config import read_toml
from neurosim.errors import CardError, did_you_mean
from neurosim.events.datasets import places
from neurosim.quantity import Sourced


def list_hardware(console: Console) -> None:
    """Print the shipped device and macro cards."""
    table = _table("name", "kind", "what it is")
    for name in list_cards("device"):
        table.add_row(name, "device", Text(load_device(name).title))
    for name in list_cards("macro"):
        table.add_row(name, "macro", Text(load_macro(name).title))
    console.print(table)


def show_hardware(name: str, console: Console) -> None:
    """Print every quantity of the device and macro cards called ``name``, or of the card in that file.

    Raises:
        CardError: If there is none, or it is wrong.
    """
    for card in _hardware(name):
        table = _table("key", "value", "status", "source and place")
        for key, quantity in quantities(card):
            place = ": ".join(filter(None, [", ".join(quantity.source), quantity.where]))
            table.add_row(key, _value(quantity), quantity.status, Text(place))
        _show(card, table, console)


def list_datasets(console: Console, data_dir: Path | None) -> None:
    """Print the shipped dataset cards and whether their files are on this machine."""
    table = _table("name", "recordings", "here", "licence", "what it is")
    for card in map(load_dataset, list_cards("dataset")):
        here = places(card, data_dir)
        n = sum(split.n for split in card.splits.values())
        table.add_row(card.name, f"{n:,}", ", ".join(here) or "no", Text(card.licence), Text(card.title))
    console.print(table)


def show_dataset(name: str, console: Console, data_dir: Path | None) -> None:
    """Print what a data set holds and where its splits stand on this machine.

    Raises:
        CardError: If there is no such card, or it is wrong.
    """
    card = load_dataset(name)
    here = places(card, data_dir)
    table = _table("", "")
    size = card.sensor
    table.add_row("classes", Text(" ".join(card.classes)))
    table.add_row("sensor", f"{size.width} x {size.height} pixels, polarities: {size.polarities}")
    table.add_row(
        "licence", Text(card.licence if card.redistributable else f"{card.licence}, not to be passed on")
    )
    for split, part in card.splits.items():
        place = here.get(split, f"not on this machine (neurosim datasets fetch {card.name})")
        table.add_row(split, Text(f"{part.n:,} recordings, {place}"))
    _show(card, table, console)


def _hardware(name: str) -> list[DeviceCard | MacroCard]:
    if name.endswith(".toml"):
        is_macro = read_toml(Path(name), CardError).get("schema") == MacroCard.schema_id
        return [load_macro(name) if is_macro else load_device(name)]
    devices, macros = list_cards("device"), list_cards("macro")
    if name not in {*devices, *macros}:
        hint = did_you_mean(name, {*devices, *macros})
        raise CardError(
            f"unknown device or macro card '{name}'; {hint} (your own card: give the path of its .toml)"
        )
    cards: list[DeviceCard | MacroCard] = [load_device(name)] if name in devices else []
    return [*cards, load_macro(name)] if name in macros else cards


def _show(card: Card, table: Table, console: Console) -> None:
    title = Text.assemble((card.name, "bold"), f": {card.title}")
    notes = [Text(" ".join(card.notes.split()))] if card.notes else []
    console.print(Group(title, "", table, "", *notes, *map(Text, cite(card)), ""))


def _table(*columns: str) -> Table:
    table = Table(show_header=any(columns), box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column in ("key", "name"), overflow="fold")
    return table


def _value(quantity: Sourced) -> str:
    values = quantity.value if isinstance(quantity.value, tuple) else (quantity.value,)
    number = ", ".join(f"{value:.6g}" for value in values)
    return number if quantity.unit == "1" else f"{number} {quantity.unit}"

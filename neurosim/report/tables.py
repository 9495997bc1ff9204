"""Cards as tables in the terminal."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from neurosim.cards import (
    KINDS,
    Card,
    cite,
    list_cards,
    load_dataset,
    load_device,
    load_macro,
    load_platform,
    load_qpu,
    quantities,
)
from neurosim.config import read_toml
from neurosim.errors import CardError, did_you_mean
from neurosim.events.datasets import places
from neurosim.fit import FittedCard
from neurosim.quantity import Sourced

HARDWARE: dict[str, Callable[[str], Card]] = {
    "device": load_device,
    "macro": load_macro,
    "platform": load_platform,
    "qpu": load_qpu,
}


def list_hardware(console: Console) -> None:
    """Print the shipped cards of devices, macros, platforms and quantum processors."""
    table = _table("name", "kind", "what it is")
    for kind, load in HARDWARE.items():
        for name in list_cards(kind):
            table.add_row(name, kind, Text(load(name).title))
    console.print(table)


def show_hardware(name: str, console: Console) -> None:
    """Print every quantity of the cards called ``name`` of any kind of hardware, or of the card in that file.

    Raises:
        CardError: If there is none, or it is wrong.
    """
    for card in _hardware(name):
        _show(card, _quantities(card), console)


def show_fit(fitted: FittedCard, console: Console) -> None:
    """Print every quantity of a card that was fitted, and how well it fits."""
    table = _table("file", "how well it fits")
    for place, figures in fitted.goodness.items():
        table.add_row(Text(Path(place).name, "bold"), "")
        for what, figure in figures.items():
            table.add_row(f"  {what}", Text(figure))
    _show(fitted.card, _quantities(fitted.card), console)
    console.print(table, "")


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


def _hardware(name: str) -> list[Card]:
    if name.endswith(".toml"):
        schema = read_toml(Path(name), CardError).get("schema")
        kind = next((kind for kind in HARDWARE if KINDS[kind].schema_id == schema), "device")
        return [HARDWARE[kind](name)]
    names = {kind: list_cards(kind) for kind in HARDWARE}
    found = [HARDWARE[kind](name) for kind in HARDWARE if name in names[kind]]
    if not found:
        hint = did_you_mean(name, {known for group in names.values() for known in group})
        raise CardError(
            f"unknown {', '.join([*HARDWARE][:-1])} or {[*HARDWARE][-1]} card '{name}'; {hint} "
            "(your own card: give the path of its .toml)"
        )
    return found


def _show(card: Card, table: Table, console: Console) -> None:
    title = Text.assemble((card.name, "bold"), f": {card.title}")
    notes = [Text(" ".join(card.notes.split()))] if card.notes else []
    console.print(Group(title, "", table, "", *notes, *map(Text, cite(card)), ""))


def _quantities(card: Card) -> Table:
    table = _table("key", "value", "status", "source and place")
    for key, quantity in quantities(card):
        place = ": ".join(filter(None, [", ".join(quantity.source), quantity.where]))
        table.add_row(key, _value(quantity), quantity.status, Text(place))
    return table


def _table(*columns: str) -> Table:
    table = Table(show_header=any(columns), box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column in ("key", "name"), overflow="fold")
    return table


def _value(quantity: Sourced) -> str:
    values = quantity.value if isinstance(quantity.value, tuple) else (quantity.value,)
    number = ", ".join(f"{value:.6g}" for value in values)
    return number if quantity.unit == "1" else f"{number} {quantity.unit}"

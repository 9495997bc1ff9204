"""A result as a table in the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurosim.report.facts import summary, warnings
from neurosim.results import Result


def show(result: Result, console: Console) -> None:
    """Print the headline numbers of ``result`` and what to beware of."""
    table = Table(title=Text(result.name), title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in summary(result):
        table.add_row(name, Text(value))
    console.print(
        table, *(Text(f"Warning: {text}", style="bold yellow") for text in warnings(result)), sep="\n"
    )

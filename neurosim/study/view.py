"""How far a study is, in the terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from neurosim.study.worker import Show, Status

EVERY = 10  # [s] between lines where the output is no terminal


@contextmanager
def live_view(console: Console) -> Iterator[Show]:
    """A view that stays in place; lines now and then where ``console`` is no terminal."""
    if not console.is_terminal:
        last = -float(EVERY), False

        def say(status: Status) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last[0] >= EVERY or status.over > last[1]:
                last = now, status.over
                console.print(Text(summary(status)), soft_wrap=True)

        yield say
        return
    with Live(console=console, transient=False) as live:

        def show(status: Status) -> None:
            table = Table.grid(padding=(0, 1))
            table.add_row(
                ProgressBar(total=max(1, status.total), completed=status.done + status.failed, width=40)
            )
            table.add_row(Text(summary(status)))
            live.update(table)

        yield show


def summary(status: Status) -> str:
    """One line: how much is done, by whom, how fast, how long still, and the best point."""
    parts = [f"{status.done} of {status.total} points done"]
    if status.failed:
        parts.append(f"{status.failed} failed")
    if not status.over:
        parts.append(f"{status.running} running on {status.workers} workers here")
        if status.remaining is not None:
            left = timedelta(seconds=round(status.remaining))
            parts.append(f"{60 * status.rate:.3g} a minute, {left} left")
    if status.best:
        values, accuracy = status.best
        where = ", ".join(f"{name} = {_short(value)}" for name, value in values.items() if value is not None)
        parts.append(f"best {100 * accuracy:.2f} % at {where}")
    return "; ".join(parts)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

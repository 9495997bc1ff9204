"""What a run is shown as: a table in the terminal, ``result.json`` and one self-contained HTML page.

Cards are shown by ``report.tables`` (numbers) and ``report.cards`` (laws, which need the device model).
"""

import json
from pathlib import Path

from neurosim.report.figures import Law
from neurosim.report.html import write_html
from neurosim.report.terminal import show
from neurosim.results import Result
from neurosim.store import write_text

__all__ = ["show", "write", "write_html"]


def write(result: Result, folder: Path, *, law: Law | None = None) -> tuple[Path, Path]:
    """Write ``result.json`` (docs/formats.md) and ``report.html`` into ``folder``.

    Args:
        result: What the run left.
        folder: Made where it is missing.
        law: See `write_html`.

    Returns:
        The two paths.
    """
    numbers, page = folder / "result.json", folder / "report.html"
    write_text(numbers, json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")
    write_html(result, page, law=law)
    return numbers, page

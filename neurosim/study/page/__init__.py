"""A study as one self-contained HTML page."""

from pathlib import Path

from neurosim.report.html import document
from neurosim.store import write_text
from neurosim.study.page import accuracy, designs, sections
from neurosim.study.results import StudyResult

PARTS = (
    sections.headline,
    sections.facts,
    designs.front,
    designs.importance,
    designs.sensitivities,
    accuracy.homeostasis,
    accuracy.accuracy,
    sections.pairs,
    sections.yields,
    designs.cost,
    designs.failures,
    designs.every_point,
    designs.origin,
)


def write_page(result: StudyResult, path: Path) -> None:
    """Write ``result`` as one page that needs no network and no script.

    The same result gives the same bytes, on one machine and version.

    Args:
        result: What the study has so far.
        path: The page, replaced atomically.
    """
    write_text(path, document(result.name, "\n".join(filter(None, (part(result) for part in PARTS)))))

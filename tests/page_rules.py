"""What every page of a study or a comparison must keep to."""

import re
from typing import Any


def stands_alone(page: str, checker: Any) -> None:
    """No network, no script, every address inside of the page, no number that is none.

    Args:
        page: The HTML.
        checker: Its parser, with ``ids`` and ``addresses``.
    """
    assert len(set(checker.ids)) == len(checker.ids)
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= set(checker.ids)
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in checker.addresses)
    assert "default-src 'none'" in page
    assert "<script" not in page
    rest = re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert not re.search(r"https?://|@import|url\((?!#)|nan\b", rest)

"""Examples as the pages have them, so that what a reader copies is what is tested."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
URL: Final = "http://localhost:8642"  # of every example


def example(page: str, language: str, mark: str, *, url: str) -> str:
    """The one block of this language on a page (of the project's folder) that holds `mark`.

    It calls the system at `url`.
    """
    text = (ROOT / page).read_text("utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if mark in block]
    return str(found).replace(URL, url)

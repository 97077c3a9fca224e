"""docs/chat.md has the numbers that the code has."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.registry.chat.request import DEFAULT_TIMEOUT, LONGEST_TIMEOUT
from shared.store.jobs import gates

PAGE = " ".join((Path(__file__).parents[2] / "docs" / "chat.md").read_text("utf-8").split())


@pytest.mark.parametrize(
    "told",
    [
        f"({DEFAULT_TIMEOUT:.0f}; {LONGEST_TIMEOUT:,.0f} at most: "
        f"{LONGEST_TIMEOUT / 86_400:g} days)",
        f"after {gates.STRIKES_TO_CLOSE} failures in a row",
        f"{gates.FIRST_BACKOFF:g} s, doubled each time in a row, up to {gates.LONGEST_BACKOFF:g} s",
        f"({gates.RETRY_AFTER_BOUNDS[0]:g} s at least, "
        f"{gates.RETRY_AFTER_BOUNDS[1] / 60:g} minutes at most)",
    ],
)
def test_the_page_has_the_bounds_of_a_job_and_of_the_pauses(told: str) -> None:
    assert told in PAGE

"""How many examples a property test tries: few in every run, many where a profile asks for them.

`--hypothesis-profile=long` (`tests/conftest.py` says how many that is) takes minutes a test.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings

LONG = "long"
LONG_EXAMPLES = 2_000
LONG_STEPS = 60


def bounded(examples: int, **others: Any) -> settings:
    """So many examples, unless the profile in force wants as many as `long` does."""
    if settings().max_examples >= LONG_EXAMPLES:
        return settings()
    return settings(max_examples=examples, deadline=None, **others)

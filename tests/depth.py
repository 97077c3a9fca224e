"""How many examples a property test tries: few in every run, many where a profile asks for them.

`pytest --hypothesis-profile=long` takes minutes a test; `tests/conftest.py` registers it.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import settings

LONG: Final = "long"
LONG_EXAMPLES: Final = 4_000  # of a test that names no number itself
TIMES: Final = 100  # as many as in every run, of one that does
LONG_STEPS: Final = 60


def bounded(examples: int, **others: Any) -> settings:
    """So many examples; 100 times as many, and the profile's steps, with the profile `long`."""
    if settings().max_examples == LONG_EXAMPLES:
        others |= {"stateful_step_count": LONG_STEPS}
        examples *= TIMES
    return settings(max_examples=examples, deadline=None, **others)

"""How a refusal quotes what came: within bounds, whatever it is."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, Final

MOST_SHOWN: Final = 60  # characters of a refused value
LIKE_ENOUGH: Final = 0.7  # difflib's ratio: `form` is like `from`, `ape` not like `api_key`
LONGEST_PATH: Final = 200  # characters; a client's own field names may be of any length
_MANY_DIGITS: Final = 10**MOST_SHOWN


def shown(value: Any) -> str:
    """A value as a message quotes it: in JSON's words, cut to a length that people read.

    Of what holds other values only the size: there may be anything in it.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, int) and abs(value) >= _MANY_DIGITS:
        return f"a number of more than {MOST_SHOWN} digits"
    if isinstance(value, str) and len(value) > MOST_SHOWN:
        return f"{repr(value[:MOST_SHOWN])[:MOST_SHOWN]}… ({len(value):,} characters)"
    return repr(value)


def unknown_field(path: str, known: Collection[str]) -> str:
    """What is told of a field that there is not, with the one of its neighbours that it is like."""
    told = f"Expected only documented fields, got {path or 'one without a name'}."
    near = get_close_matches(path.rpartition(".")[2], known, 1, LIKE_ENOUGH)
    return f"{told} Nearest: {near[0]}." if near else told

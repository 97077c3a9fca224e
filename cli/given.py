"""What providers wrote, as it came: the server passes fields on, of whatever type they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def fields(found: object) -> Mapping[str, Any]:
    """The fields of what should be an object; none of anything else."""
    return found if isinstance(found, Mapping) else {}


def objects(found: object) -> Sequence[Mapping[str, Any]]:
    """The objects in what should be a list of them."""
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def text(content: object) -> str:
    """The text of a content: a string, or the texts of a list of parts."""
    if isinstance(content, str):
        return content
    found = (part.get("text") for part in objects(content))
    return "".join(one for one in found if isinstance(one, str))

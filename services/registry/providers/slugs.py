"""Slugs: the part of a model id that names its provider."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from itertools import count
from typing import Final

RESERVED: Final = frozenset({"test", "checks"})  # paths below /v1/providers
PATTERN: Final = "[a-z0-9][a-z0-9-]{0,62}"
_WHOLE: Final = re.compile(PATTERN)
_LENGTH: Final = 63
_OTHERS: Final = re.compile(r"[^a-z0-9]+")


def is_slug(text: str) -> bool:
    """Whether `text` could be a slug. Ask before a database does: PostgreSQL refuses NUL."""
    return _WHOLE.fullmatch(text) is not None


def derive(name: str, taken: Container[str]) -> str:
    """A slug for `name` that is not taken: accents dropped, other characters as one hyphen.

    A name without any Latin letter or digit gives `provider`; what is taken gets a number.
    """
    plain = unicodedata.normalize("NFKD", name).casefold()  # what № becomes is upper-case
    letters = "".join(ch for ch in plain if not unicodedata.combining(ch))
    stem = _OTHERS.sub("-", letters).strip("-")[:_LENGTH].rstrip("-") or "provider"
    if stem not in taken and stem not in RESERVED:
        return stem
    for number in count(2):
        suffix = f"-{number}"
        slug = stem[: _LENGTH - len(suffix)].rstrip("-") + suffix
        if slug not in taken:
            return slug
    raise AssertionError("count never ends")

"""JSON from strangers: bounded in depth and size, without NaN, fit to be stored.

msgspec refuses NaN, Infinity, numbers out of range, raw control characters and invalid UTF-8, and
keeps the last of duplicate keys. It also refuses lone surrogates, which some servers send when
they cut an emoji in two: those are parsed a second time and replaced.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

import msgspec

MAX_DEPTH: Final = 64
# 8 MiB of `[],[],…` would take 170 MB as Python objects, of `"a":0,"b":0,…` 80 MB. An answer with
# 20 log probabilities for each of 4,096 tokens has 180,000 brackets, 600,000 commas and 700,000
# quotes.
MAX_BRACKETS: Final = 250_000
MAX_COMMAS: Final = 1_000_000
MAX_QUOTES: Final = 1_000_000

_BOM: Final = b"\xef\xbb\xbf"
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT: Final = "\ufffd"


class NotJson(ValueError):
    """The bytes are no JSON within the bounds; the message ends the sentence "got …"."""


def parse(raw: bytes, *, share: float = 1.0) -> Any:
    """The value written in `raw`, NUL and lone surrogates replaced by U+FFFD; raises NotJson.

    `share` of the values that a completion may have is what there may be.
    """
    raw = raw.removeprefix(_BOM)
    brackets = raw.count(b"[") + raw.count(b"{")
    if (
        brackets > share * MAX_BRACKETS
        or raw.count(b",") > share * MAX_COMMAS
        or raw.count(b'"') > share * MAX_QUOTES
    ):
        raise NotJson("JSON with more values than an answer can have")
    unstorable = b"\\u0000" in raw
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        raise NotJson(f"JSON nested more than {MAX_DEPTH} deep") from None
    except ValueError:
        if not _SURROGATE_ESCAPE.search(raw):
            raise NotJson("bytes that are no JSON" if raw.strip() else "an empty body") from None
        value = _parse_tolerating_surrogates(raw)
        unstorable = True
    if brackets > MAX_DEPTH:  # fewer brackets cannot nest deeper
        _check_depth(value)
    return replaced(value, _UNSTORABLE, _REPLACEMENT) if unstorable else value


def _parse_tolerating_surrogates(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise NotJson(f"JSON nested more than {MAX_DEPTH} deep") from None
    except ValueError:
        raise NotJson("bytes that are no JSON") from None


def _refuse_constant(_name: str) -> NoReturn:
    raise NotJson("JSON with NaN or Infinity")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotJson("JSON with a number out of range")
    return value


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        level = [
            child
            for parent in level
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        depth += 1
        if depth > MAX_DEPTH:
            raise NotJson(f"JSON nested more than {MAX_DEPTH} deep")


def replaced(value: Any, pattern: re.Pattern[str], by: str) -> Any:
    """`value` with every match of `pattern` in its strings and keys replaced by `by`."""
    if isinstance(value, str):
        return pattern.sub(by, value)
    if isinstance(value, list):
        return [replaced(item, pattern, by) for item in value]
    if isinstance(value, dict):
        return {pattern.sub(by, key): replaced(item, pattern, by) for key, item in value.items()}
    return value

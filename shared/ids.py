"""Prefixed ids that sort by time.

An id is a prefix and a ULID (26 characters of Crockford's base 32, https://github.com/ulid/spec).
Within one process ids grow strictly, also inside one millisecond, so that the order of the ids is
the order of submission.
"""

from __future__ import annotations

import re

from ulid import ULID

PROVIDER = "prov_"
COMPLETION = "chatcmpl-"
RESPONSE = "resp_"  # another view of the same row
KEY = "key_"
EVENT = "evt_"
CHECK = "chk_"
AUDIT = "aud_"
WORKER = "wrk_"

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def new(prefix: str = "") -> str:
    """A new id with this prefix."""
    return f"{prefix}{ULID()}"


def bare(prefix: str, text: str) -> str | None:
    """The ULID inside `text`, or None when `text` is no id with this prefix."""
    if text.startswith(prefix) and _ULID.fullmatch(text, len(prefix)):
        return text[len(prefix) :]
    return None


def at(moment: float) -> str:
    """The first of all bare ULIDs of this moment, in Unix seconds."""
    return str(ULID.from_int(max(int(moment * 1000), 0) << 80))


def made_at(ulid: str) -> float:
    """When this bare ULID was made, in Unix seconds."""
    return ULID.from_str(ulid).timestamp


def number(ulid: str) -> int:
    """The 128 bits of this bare ULID."""
    return int(ULID.from_str(ulid))

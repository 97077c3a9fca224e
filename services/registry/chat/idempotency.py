"""`Idempotency-Key`: the same key and body mean the same job, however often they are sent.

The key is the client's own (draft-ietf-httpapi-idempotency-key-header: a quoted string; bare ones
are taken too). What is compared is a keyed digest of the canonical body: the order of its members
and its spacing are irrelevant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import msgspec
from flask import Request

from shared.crypto import Sealer
from shared.errors import InvalidValue

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = {"Idempotent-Replayed": "true"}
_KEY: Final = re.compile(r'"([\x20-\x7e]{1,255})"|([\x21\x23-\x7e]{1,255})')


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A key, and the digest of the body that came with it."""

    key: str
    fingerprint: str


def of(request: Request, body: bytes, sealer: Sealer) -> Idempotency | None:
    """What the request, whose body is valid JSON, says; raises InvalidValue for no usable key."""
    sent = request.headers.get(HEADER)
    if sent is None:
        return None
    found = _KEY.fullmatch(sent.strip())
    if found is None:
        raise InvalidValue(
            "Expected an Idempotency-Key of 1 to 255 visible ASCII characters, got "
            f"{len(sent)} characters that are no such key. A random UUID is a good one.",
            param=HEADER,
        )
    canonical = msgspec.json.encode(msgspec.json.decode(body), order="deterministic")
    return Idempotency(found[1] or found[2], sealer.fingerprint(canonical.decode()))

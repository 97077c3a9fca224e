"""Webhooks after the Standard Webhooks specification: secrets, what is stored, and signatures.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from shared.telemetry import Secret

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = (24, 64)  # at least and at most, once decoded


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where the end of a job is told, and the secret that signs it."""

    url: str
    secret: Secret


def is_secret(text: str) -> bool:
    """Whether this is `whsec_` and the base64 of 24 to 64 bytes, padding included."""
    if not text.startswith(PREFIX):
        return False
    try:
        key = _key(text)
    except (binascii.Error, ValueError):
        return False
    least, most = SECRET_BYTES
    return least <= len(key) <= most


def packed(webhook: Webhook) -> bytes:
    """The webhook as it is sealed."""
    return msgspec.json.encode({"url": webhook.url, "secret": webhook.secret.reveal()})


def unpacked(plain: bytes) -> Webhook:
    """The webhook in what was sealed."""
    stored: dict[str, str] = msgspec.json.decode(plain)
    return Webhook(stored["url"], Secret(stored["secret"]))


def headers(secret: Secret, event_id: str, body: bytes, *, now: float) -> Mapping[str, str]:
    """The headers of one try; `now` in Unix seconds, receivers refuse what is minutes old."""
    timestamp = str(int(now))
    signed = b".".join((event_id.encode(), timestamp.encode(), body))
    digest = hmac.new(_key(secret.reveal()), signed, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)

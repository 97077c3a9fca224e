"""Where things are in the API, and what is said about them there (API.md)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

CHAT: Final = "/v1/chat/completions"
MODELS: Final = "/v1/models"
PROVIDERS: Final = "/v1/providers"
KEYS: Final = "/v1/keys"
TERMINAL: Final = frozenset({"completed", "failed", "cancelled"})
MOST_A_PAGE: Final = 100
LONGEST_WAIT: Final = 60  # seconds: what `Prefer: wait` is clipped to

Document = dict[str, Any]


def job(job_id: str, rest: str = "") -> str:
    """The path of a job, or of what is below it."""
    return f"{CHAT}/{quote(job_id, safe='')}{rest}"


def provider(reference: str, rest: str = "") -> str:
    """The path of a provider by id or slug, or of what is below it."""
    return f"{PROVIDERS}/{quote(reference, safe='')}{rest}"


def key(key_id: str) -> str:
    """The path of a key."""
    return f"{KEYS}/{quote(key_id, safe='')}"

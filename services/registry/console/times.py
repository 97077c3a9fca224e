"""Times in templates: for scripts, which show them in the reader's zone, and without scripts."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(at: float) -> str:
    """Unix seconds as the `datetime` of a `<time>` element (RFC 3339)."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def utc_words(at: float) -> str:
    """Unix seconds as people read them where no script runs: `22 Nov 2026, 21:05:09 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%d %b %Y, %H:%M:%S UTC")

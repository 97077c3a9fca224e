"""Retry-After in both forms of RFC 9110 §10.2.3, clipped to what is sensible."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

LEAST: Final = 1.0
MOST: Final = 900.0


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """How long to leave the upstream alone, in seconds from `now` (Unix seconds).

    None when it named no time, or nothing that can be read as one.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
            # A date without a zone, or with "-0000", is UTC.
            seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
        except (ValueError, OverflowError, TypeError):
            return None
    if math.isnan(seconds):
        return None
    return min(max(seconds, LEAST), MOST)

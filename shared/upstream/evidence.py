"""What one call did so far, written by the transport's hooks and read when it fails.

It travels in a context variable, because aiohttp looks names up and dials in tasks of its own:
they inherit the context, and with it this one mutable record.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class Evidence:
    """`sent` turns true just before the first byte of the request is written.

    `refusal` is the guard's verdict; `connect_seconds` stays None on a kept connection.
    """

    on_sent: Callable[[], None]
    sent: bool = False
    refusal: str | None = None
    dialled_at: float | None = None
    connect_seconds: float | None = None


current: Final[contextvars.ContextVar[Evidence]] = contextvars.ContextVar("upstream_evidence")

"""What one call did so far, written by the transport's hooks and read when it ends.

It travels in a context variable, because aiohttp looks names up and dials in tasks of its own:
they inherit the context, and with it this one mutable record.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(slots=True)
class Evidence:
    """`sent` turns true when the call got its connection, before the first byte is written.

    `refusal` is the guard's verdict. `dialled` says that a new connection was tried, and
    `connect_seconds` how long it took, DNS and TLS included; None on a kept connection.
    """

    on_sent: Callable[[], None]
    sent: bool = False
    refusal: str | None = None
    dialled: bool = False
    connect_seconds: float | None = None
    transport: asyncio.Transport | None = None

    def connected(self, transport: asyncio.Transport | None, seconds: float) -> None:
        """The connection stands; what follows may reach the upstream."""
        self.transport = transport
        if self.dialled:
            self.connect_seconds = seconds
        if not self.sent:
            self.sent = True
            self.on_sent()

    def drop_unsent(self) -> None:
        """Let go of a connection that is closing, or that still holds bytes of the request.

        A closing transport waits until its peer took all of them, which a deaf one never does.
        """
        transport = self.transport
        if transport is not None and (
            transport.is_closing() or transport.get_write_buffer_size() > 0
        ):
            transport.abort()


current: Final[contextvars.ContextVar[Evidence]] = contextvars.ContextVar("upstream_evidence")

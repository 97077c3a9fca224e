"""What one call did so far, written on its way and read when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Evidence:
    """`sent` turns true when the call got its connection, before the first byte is written.

    `refusal` is the guard's verdict on an address. `connect_seconds` is how long a new connection
    took, DNS and TLS included; None on a kept one.
    """

    on_sent: Callable[[], None]
    sent: bool = False
    refusal: str | None = None
    connect_seconds: float | None = None
    transport: asyncio.Transport | None = None

    def connected(self, transport: asyncio.Transport, seconds: float | None) -> None:
        """The connection stands; what follows may reach the upstream."""
        self.transport = transport
        self.connect_seconds = seconds
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

"""One connection to one server: a request at a time, and its answer."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from typing import Final, cast

from shared.upstream.incoming import Incoming

_ONE_WRITE: Final = 1024 * 1024  # bytes of a body; above it the loop breathes between slices
_SLICE: Final = 256 * 1024
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


class Connection(asyncio.BufferedProtocol):
    """Reads into `room`, which all connections of a loop share: nothing stays in it.

    `on_lost` is called when the connection is gone, `idle_since` is the keeper's to use.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        room: memoryview,
        on_lost: Callable[[Connection], None],
    ) -> None:
        self.idle_since = 0.0
        self._loop = loop
        self._room = room
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._incoming: Incoming | None = None
        self._rest = memoryview(b"")  # of a large body, not written yet
        self._closed = False  # by us
        self._gone = False
        self._congested = False
        self._moved: asyncio.Future[None] | None = None  # done when writing may go on, or must end

    @property
    def transport(self) -> asyncio.Transport:
        """What the bytes go through."""
        assert self._transport is not None  # noqa: S101 - before it there is nobody to ask
        return self._transport

    @property
    def is_open(self) -> bool:
        """Whether requests may be tried on it."""
        return not (self._closed or self._gone or self.transport.is_closing())

    @property
    def is_quiet(self) -> bool:
        """Whether it is open, and nothing came that was not read: its end, mostly."""
        if not self.is_open:
            return False
        came = select.poll()
        came.register(self.transport.get_extra_info("socket"), select.POLLIN)
        return not came.poll(0)

    def ask(self, head: bytes, body: bytes) -> Incoming:
        """Send a request; of a large body only the beginning, the rest by `send_rest`."""
        self._incoming = incoming = Incoming(self._loop, self.transport)
        if len(body) > _ONE_WRITE:
            self._rest = memoryview(body)
            self.transport.write(head)
        else:
            self.transport.write(head + body)
        if not self.is_open:
            incoming.end("closed before the request", in_order=False)
        return incoming

    async def send_rest(self) -> None:
        """Send what is left of a large body, as fast as it is taken; until an answer comes."""
        incoming = self._incoming
        while self._rest and incoming is not None and not incoming.head.done():
            self.transport.write(self._rest[:_SLICE])
            self._rest = self._rest[_SLICE:]
            if self._congested:
                self._moved = self._loop.create_future()
                await asyncio.wait((self._moved, incoming.head), return_when="FIRST_COMPLETED")
            else:
                await asyncio.sleep(0)

    def finish(self) -> bool:
        """The answer was read, or is not wanted any more; whether another request may follow.

        Where none may, the connection is closed.
        """
        incoming, self._incoming = self._incoming, None
        keeps = incoming is not None and incoming.keeps and not self._rest and self.is_open
        self._rest = memoryview(b"")
        if not keeps:
            self.close()
        return keeps

    def close(self) -> None:
        """Close it once what was written is sent."""
        self._closed = True
        self.transport.close()

    def abort(self) -> None:
        """Close it now."""
        self._closed = True
        self.transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio, after TLS as well."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by asyncio: where to read to."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Called by asyncio: so many bytes came."""
        incoming = self._incoming
        if incoming is None:
            self.close()  # nothing was asked; what such a server says next would be no answer
            return
        began = bool(incoming.status)
        incoming.feed(self._room[:nbytes])
        if incoming.status and not (began or incoming.complete):
            self._acknowledge()

    def eof_received(self) -> None:
        """Called by asyncio: the peer sends no more, which asyncio answers by closing."""
        self._end("closed by the server", in_order=not self._closed)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio, at last."""
        self._gone = True
        how = "closed" if exc is None else type(exc).__name__
        self._end(how, in_order=exc is None and not self._closed)
        self._on_lost(self)

    def pause_writing(self) -> None:
        """Called by asyncio: too much waits to be taken."""
        self._congested = True

    def resume_writing(self) -> None:
        """Called by asyncio: the peer takes more."""
        self._congested = False
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    def _acknowledge(self) -> None:
        """Have the kernel acknowledge the head at once, and not within 40 ms.

        A server that does not set TCP_NODELAY keeps the first chunk until then (RFC 1122, 4.2.3.2
        and 4.2.3.4). Linux only; elsewhere it stays so.
        """
        if _QUICKACK is not None:
            self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _end(self, how: str, *, in_order: bool) -> None:
        if self._incoming is not None:
            self._incoming.end(how, in_order=in_order)
        self.resume_writing()

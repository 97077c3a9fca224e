"""A listener whose end closes every connection that it has accepted, whatever its state.

asyncio's own server leaves some to the garbage collector, as a ResourceWarning in a later test:
one that was accepted in the last turn, and one with bytes that its client does not take (`close`
waits for them; on a busy machine the client's RST comes after the loop has ended).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final
from weakref import WeakSet

BACKLOG: Final = 4096  # also the most that one turn accepts


@asynccontextmanager
async def accepting(
    protocol: Callable[[], asyncio.Protocol], port: int = 0, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Give each connection to 127.0.0.1 a new `protocol` until the block ends; yields the port.

    At the end of the block all are closed at once; what was not yet sent is lost.
    """
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", port), backlog=BACKLOG) as listener:
        listener.setblocking(False)
        accepted = _Accepted(listener, protocol, tls)
        loop.add_reader(listener, accepted.accept)
        try:
            yield listener.getsockname()[1]
        finally:
            loop.remove_reader(listener)
            await accepted.end()


class _Accepted:
    """The connections of one listener."""

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._tls = tls
        self._arriving: set[asyncio.Task[None]] = set()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._transports: WeakSet[asyncio.Transport] = WeakSet()

    def accept(self) -> None:
        """Accept all that wait; each is known from this moment."""
        for _ in range(BACKLOG):
            try:
                connection, _peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            self._sockets.add(connection)
            task = asyncio.get_running_loop().create_task(self._welcome(connection))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _welcome(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(
                self._protocol, connection, ssl=self._tls
            )
        except OSError:
            return  # the client left, or failed, inside the handshake; asyncio has closed it
        self._transports.add(transport)

    async def end(self) -> None:
        """Close all, and return when they are closed: a few turns, as nobody is waited for."""
        if self._tls is not None:
            for connection in tuple(self._sockets):
                # A handshake has no transport to abort; the end of its socket fails it at once.
                with suppress(OSError):  # closed already
                    connection.shutdown(socket.SHUT_RDWR)
        while self._arriving or any(connection.fileno() >= 0 for connection in self._sockets):
            for transport in tuple(self._transports):
                transport.abort()
            await asyncio.sleep(0)

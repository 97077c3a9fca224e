"""A server that does to each connection what a script says, and remembers what it saw."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from tests.simulators import accepting


class Wire:
    """One connection, seen from the server."""

    def __init__(
        self, stage: Stage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.stage = stage
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """Read one whole request; it counts as work that the upstream began."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        self.stage.bytes_seen += len(head)
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        body = await self._reader.readexactly(length)
        self.stage.bytes_seen += length
        self.stage.requests.append(head + body)
        return head + body

    async def touched(self) -> None:
        """Wait for a first byte: the client knows then that its connection stands."""
        await self._reader.readexactly(1)

    async def send(self, raw: bytes) -> None:
        """Send these bytes."""
        self._writer.write(raw)
        await self._writer.drain()

    async def hang_up(self) -> None:
        """Wait until the other side closes."""
        while await self._reader.read(65536):
            pass
        self.stage.hung_up.set()

    def reset(self) -> None:
        """End the connection with a RST."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Script: TypeAlias = Callable[[Wire], Awaitable[None]]


class Stage:
    """What the server saw: connections, bytes, whole requests; `hung_up` when a client left."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0
        self.connections = 0
        self.bytes_seen = 0
        self.requests: list[bytes] = []
        self.hung_up = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def protocol(self) -> asyncio.Protocol:
        """What one connection gets: a stream for the script."""
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._connected)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._play(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run the script on one connection, then close it."""
        self.connections += 1
        try:
            await self.script(Wire(self, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left, or the test is over
        finally:
            writer.close()

    async def stop(self) -> None:
        """End what still runs."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Stage]:
    """A stage on a port of 127.0.0.1; every connection plays `script`."""
    stage = Stage(script)
    try:
        async with accepting(stage.protocol, tls=tls) as stage.port:
            yield stage
    finally:
        await stage.stop()


def answering(raw: bytes) -> Script:
    """Read the request, send these bytes, close."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(raw)

    return script


def http(
    status: int, body: bytes = b"", content_type: str = "application/json", *headers: str
) -> bytes:
    """A whole answer as bytes."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}", *headers]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

"""One connection, seen from a server that writes raw bytes."""

from __future__ import annotations

import asyncio
import socket
import struct

LONGEST_HEAD = 2**20


class Wire:
    """What a script may do with its connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """One whole request; raises IncompleteReadError when the client leaves before its end."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return head + await self._reader.readexactly(length)

    async def send(self, raw: bytes) -> None:
        """Send these bytes; waits while the client does not read."""
        self._writer.write(raw)
        await self._writer.drain()

    async def hang_up(self) -> None:
        """Wait until the other side closes."""
        while await self._reader.read(65536):
            pass

    def reset(self) -> None:
        """End the connection with a RST."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

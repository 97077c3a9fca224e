"""One proxied connection: two pumps, each of which treats its bytes as its way says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Literal

Address = tuple[str, int] | str  # of a Unix socket where it is one word
Side = Literal["there", "back"]  # from the client to the server, from the server to the client

PIECE: Final = 65_536
PIECES_WAITING: Final = 64  # of a direction; more stay in the kernel's buffers
DRIP_SECONDS: Final = 0.05
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # struct linger: on, 0 s


@dataclass(frozen=True, slots=True)
class Way:
    """What happens to the bytes of one direction.

    `delay` in seconds, for each piece; `rate` in bytes a second. `held` bytes wait until the way
    changes, as in a partition that heals. A connection that lost `swallowed` bytes never passes
    any again in that direction. After `cut_after` more bytes a connection is reset on both sides.
    """

    delay: float = 0.0
    rate: float | None = None
    held: bool = False
    swallowed: bool = False
    cut_after: int | None = None


PASS: Final = Way()


class Ways:
    """Both ways as they are now, for all connections of a proxy."""

    def __init__(self) -> None:
        self.now: dict[Side, Way] = {"there": PASS, "back": PASS}
        self.changed = asyncio.Event()  # that of the next change

    def switch(self, there: Way, back: Way) -> None:
        """Treat what comes from now on like this."""
        self.now = {"there": there, "back": back}
        self.changed.set()
        self.changed = asyncio.Event()


class Connection:
    """A client's connection and the one to the server that belongs to it; `task` runs `join`."""

    def __init__(self, ways: Ways, client: asyncio.StreamWriter) -> None:
        self.task: asyncio.Task[None] | None = None
        self._ways = ways
        self._client = client
        self._server: asyncio.StreamWriter | None = None
        self._deaf: set[Side] = set()  # nothing passes there any more
        self._forgotten: set[Side] = set()  # whose receiver we closed
        self._left: dict[Side, tuple[Way, int]] = {}  # bytes until the cut, of that way

    async def join(self, client: asyncio.StreamReader, target: Address) -> None:
        """Connect to `target` and pass bytes both ways until all ended; raises OSError."""
        if isinstance(target, str):
            server, self._server = await asyncio.open_unix_connection(target)
        else:
            server, self._server = await asyncio.open_connection(*target)
        there = self._pump("there", client, self._server)
        await _all(there, self._pump("back", server, self._client))

    def reset(self) -> None:
        """End both halves with a RST (a Unix socket knows none, and just ends)."""
        for writer in (self._client, self._server):
            if writer is not None:
                reset(writer)
        if self.task is not None:
            self.task.cancel()

    def forget(self, side: Side) -> None:
        """Close the half to which `side` leads; the other is never told."""
        self._deaf.add(side)
        self._forgotten.add(side)
        writer = self._server if side == "there" else self._client
        if writer is not None:
            writer.close()

    def close(self) -> None:
        """Close both halves."""
        for half in (self._client, self._server):
            if half is not None:
                half.close()

    async def _pump(
        self, side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_WAITING)
        time = asyncio.get_running_loop().time

        async def take() -> None:
            piece = b"-"
            while piece:
                piece = await self._read(side, reader)
                await waiting.put((time() + self._ways.now[side].delay, piece))

        async def give() -> None:
            piece = b"-"
            while piece:
                due, piece = await waiting.get()
                await asyncio.sleep(max(0.0, due - time()))
                await self._pass(side, writer, piece)

        await _all(take(), give())

    async def _read(self, side: Side, reader: asyncio.StreamReader) -> bytes:
        """The next piece, b"" at the end; of a half that was forgotten nothing ever comes."""
        try:
            piece = await reader.read(PIECE)
        except ConnectionError:
            if not self._forgotten:
                raise
            piece = b""
        if not piece and ("back" if side == "there" else "there") in self._forgotten:
            await asyncio.Event().wait()
        return piece

    async def _pass(self, side: Side, writer: asyncio.StreamWriter, piece: bytes) -> None:
        while (way := self._ways.now[side]).held:
            await self._ways.changed.wait()
        if way.swallowed:
            self._deaf.add(side)
        if side in self._deaf:
            if not piece:  # the sender has gone: now the other half may go, too
                self.reset()
            return
        if way.cut_after is not None and self._is_cut(side, way, len(piece)):
            _, left = self._left[side]
            writer.write(piece[: len(piece) + left])
            await writer.drain()
            self.reset()
            return
        if way.rate is None:
            writer.write(piece)
            await writer.drain()
        else:
            await self._drip(side, writer, piece)
        if not piece and writer.can_write_eof():
            writer.write_eof()

    def _is_cut(self, side: Side, way: Way, size: int) -> bool:
        """Count `size` bytes; whether they reach the cut, which `_left` is below by then."""
        of, left = self._left.get(side, (way, way.cut_after))
        if of is not way or left is None:
            left = way.cut_after or 0
        self._left[side] = (way, left - size)
        return left - size <= 0

    async def _drip(self, side: Side, writer: asyncio.StreamWriter, piece: bytes) -> None:
        while piece:
            rate = self._ways.now[side].rate
            few = len(piece) if rate is None else max(1, int(rate * DRIP_SECONDS))
            writer.write(piece[:few])
            await writer.drain()
            piece = piece[few:]
            await asyncio.sleep(DRIP_SECONDS)


def reset(writer: asyncio.StreamWriter) -> None:
    """End this half with a RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # it is closed
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


async def _all(*works: Awaitable[None]) -> None:
    """Wait for all; the first that fails ends the others. (A TaskGroup would wrap its error.)"""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""One answer while it comes: its head, then its body in pieces.

llhttp parses (by httptools). What it has no bounds for is bounded here: the head, and whatever else
is no body.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MOST_HEADERS: Final = 128
# Of a head, of chunk sizes and trailers between two pieces: all that is neither kept nor counted.
MOST_FRAMING: Final = 64 * 1024
NO_STATUS_LINE: Final = "no status line"
_SWITCHING_PROTOCOLS: Final = 101
_BODILESS: Final = frozenset({204, 304})
# Bytes that wait for their reader, before the peer is asked to wait.
_MOST_WAITING: Final = 128 * 1024


class RuleBroken(Exception):
    """The bytes break HTTP's rules; `rule` is a phrase for people, without a word of the bytes."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class ConnectionEnded(Exception):
    """The connection ended before the answer did; the message says how, in one word or two."""


class Incoming(AsyncIterator[bytes]):
    """The answer to one request, an iterator over its body's pieces.

    `head` is done when status and headers are there. Iterating and `hand_over` raise RuleBroken or
    ConnectionEnded where the body does not come to its end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.ReadTransport) -> None:
        self.head: asyncio.Future[None] = loop.create_future()
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.keeps = False  # whether the server keeps the connection after this answer
        self._loop = loop
        self._transport = transport
        # Let go at the end: it and this hold each other.
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        # As in other clients: servers that write bare LFs, or blanks where none belong, are many.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._framing = 0
        self._until_the_end = False  # the body ends with the connection
        self._interim = False  # inside a 1xx
        self._surplus = False  # more than one answer came
        self._rule: str | None = None
        self._failure: Exception | None = None
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._take: Callable[[bytes], bool] | None = None

    # What the connection tells

    def feed(self, data: memoryview) -> None:
        """Take these bytes, which are the caller's again afterwards."""
        parser = self._parser
        if parser is None:
            self.keeps = False  # a server that goes on after its answer
            return
        self._framing += len(data)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:  # a 101 that nobody asked for; what follows is no HTTP
            self.complete, self.keeps = True, False
        except HttpParserError:
            self._rule = self._rule or self._broken_rule(parser)
        if self._framing > MOST_FRAMING:
            self._rule = f"over {MOST_FRAMING // 1024} KiB of head or framing"
        if self._rule is not None:
            if self.head.done():  # what came before the fault is the reader's
                self._deliver()
            self._fail(RuleBroken(self._rule))
            return
        if self.complete:
            self.keeps = self.keeps and not self._surplus
            self._parser = None
        self._deliver()

    def end(self, how: str, *, in_order: bool) -> None:
        """The connection ended; `in_order` when the peer closed it."""
        if self.complete or self._failure is not None:
            return
        if self._until_the_end and in_order:
            self.complete = True
            self._parser = None
            self._deliver()
        else:
            self._fail(ConnectionEnded(how))

    # What the reader asks

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self.complete:
                raise StopAsyncIteration
            await self._something()
        piece = self._pieces.popleft()
        self._waiting -= len(piece)
        if self._paused and self._waiting < _MOST_WAITING:
            self._paused = False
            self._transport.resume_reading()
        return piece

    async def hand_over(self, take: Callable[[bytes], bool]) -> None:
        """Call `take` with each piece the moment it comes, until it says False or the body ends.

        Without a turn of the loop and a wake-up of the reader between, which cost more than most
        chunks of a stream. What `take` raises is raised here.
        """
        while self._pieces:
            if not take(await anext(self)):
                return
            if self._pieces:  # others get their turn
                await asyncio.sleep(0)
        if self._failure is not None:
            raise self._failure
        if self.complete:
            return
        self._take = take
        try:
            await self._something()
        finally:
            self._take = None
        if self._failure is not None:
            raise self._failure

    async def _something(self) -> None:
        """Wait for a piece, or the end."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # Within `feed`

    def on_message_begin(self) -> None:
        """Called by the parser: an answer begins."""
        self._surplus = self._surplus or self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, for trailers as well."""
        if self.head.done() or self._surplus:
            return
        if len(self.headers) == MOST_HEADERS:
            self._rule = f"more than {MOST_HEADERS} headers"
            raise RuleBroken(self._rule)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        if self._surplus:
            return
        assert self._parser is not None  # noqa: S101 - it is what calls
        status = self._parser.get_status_code()
        self._interim = 100 <= status < 200 and status != _SWITCHING_PROTOCOLS
        if self._interim:
            self.headers.clear()
            return
        self.status = status
        self._framing = 0
        given = {name.lower(): value for name, value in self.headers}
        chunked = given.get(b"transfer-encoding", b"").lower().endswith(b"chunked")
        self._until_the_end = not (chunked or b"content-length" in given or status in _BODILESS)

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        if not self._surplus:
            self._framing = 0
            self._pieces.append(data)
            self._waiting += len(data)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self._interim:
            self._interim = False
        elif not self._surplus and self._parser is not None:
            self.complete = True
            self.keeps = self._parser.should_keep_alive()

    def _broken_rule(self, parser: HttpResponseParser) -> str:
        if not parser.get_status_code():
            return NO_STATUS_LINE
        return "a faulty body" if self.status else "a faulty head"

    def _deliver(self) -> None:
        """Tell the reader what there is, and have the peer wait when there is too much."""
        if self.status and not self.head.done():
            self.head.set_result(None)
        waiter = self._waiter
        if waiter is None or waiter.done():  # done: woken before, or its reader gives up
            self._hold_back()
        elif self._take is None:
            if self._pieces or self.complete:
                waiter.set_result(None)
        else:
            self._give(self._take, waiter)

    def _give(self, take: Callable[[bytes], bool], waiter: asyncio.Future[None]) -> None:
        more = True
        try:
            while more and self._pieces:
                piece = self._pieces.popleft()
                self._waiting -= len(piece)
                more = take(piece)
        except Exception as error:
            waiter.set_exception(error)
            return
        if not waiter.done() and (self.complete or not more):
            waiter.set_result(None)

    def _hold_back(self) -> None:
        if self._waiting >= _MOST_WAITING and not self._paused and not self.complete:
            self._paused = True
            self._transport.pause_reading()

    def _fail(self, failure: Exception) -> None:
        self._failure = failure
        self._parser = None
        self.keeps = False
        if not self.head.done():
            self.head.set_exception(failure)
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

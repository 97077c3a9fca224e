"""An answer while it comes: who waits for whom, when a piece is handed over or acknowledged."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import Awaitable, Callable

import pytest

from shared.upstream.connection import Connection
from shared.upstream.incoming import ConnectionEnded, Incoming, RuleBroken

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class Transport(asyncio.ReadTransport):
    """Remembers whether it reads."""

    reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Taken:
    """A reader that remembers the pieces it was given."""

    def __init__(self, *, wants_more: bool = True) -> None:
        self.pieces: list[bytes] = []
        self._wants_more = wants_more

    def __call__(self, piece: bytes) -> bool:
        self.pieces.append(piece)
        return self._wants_more

    async def all_of(self, incoming: Incoming) -> None:
        """Read by iterating."""
        async for piece in incoming:
            self(piece)


def with_incoming(check: Callable[[Incoming, Transport], Awaitable[None]]) -> None:
    async def main() -> None:
        transport = Transport()
        await check(Incoming(asyncio.get_running_loop(), transport), transport)

    asyncio.run(main())


def feed(incoming: Incoming, data: bytes) -> None:
    incoming.feed(memoryview(data))


def test_the_peer_waits_while_128_kib_are_not_read() -> None:
    async def check(incoming: Incoming, transport: Transport) -> None:
        feed(incoming, HEAD % 2**20)
        await incoming.head
        for _ in range(4):
            assert transport.reading
            feed(incoming, b"x" * 2**15)
        assert not transport.reading
        assert len(await anext(incoming)) == 2**15
        assert transport.reading

    with_incoming(check)


def test_pieces_are_handed_over_the_moment_they_come() -> None:
    async def check(incoming: Incoming, transport: Transport) -> None:
        feed(incoming, HEAD % 6 + b"ab")
        await incoming.head
        taken = Taken()
        reading = asyncio.ensure_future(incoming.hand_over(taken))
        await asyncio.sleep(0)
        assert taken.pieces == [b"ab"]
        feed(incoming, b"cd")
        assert taken.pieces == [b"ab", b"cd"]
        assert not reading.done()
        feed(incoming, b"ef")
        await reading
        assert taken.pieces == [b"ab", b"cd", b"ef"]

    with_incoming(check)


def test_whoever_has_enough_is_handed_no_more() -> None:
    async def check(incoming: Incoming, transport: Transport) -> None:
        feed(incoming, HEAD % 6)
        taken = Taken(wants_more=False)
        reading = asyncio.ensure_future(incoming.hand_over(taken))
        await asyncio.sleep(0)
        feed(incoming, b"ab")
        feed(incoming, b"cd")
        await reading
        assert taken.pieces == [b"ab"]
        assert await anext(incoming) == b"cd"

    with_incoming(check)


def test_whoever_gave_up_is_handed_nothing() -> None:
    """Its time ran out in the same turn of the loop in which the piece comes."""

    async def check(incoming: Incoming, transport: Transport) -> None:
        feed(incoming, HEAD % 6)
        taken = Taken()
        reading = asyncio.ensure_future(incoming.hand_over(taken))
        await asyncio.sleep(0)
        reading.cancel()
        feed(incoming, b"ab")
        assert taken.pieces == []
        with pytest.raises(asyncio.CancelledError):
            await reading

    with_incoming(check)


def test_what_the_reader_raises_ends_its_reading() -> None:
    async def check(incoming: Incoming, transport: Transport) -> None:
        feed(incoming, HEAD % 6)

        def take(piece: bytes) -> bool:
            raise LookupError(piece.decode())

        reading = asyncio.ensure_future(incoming.hand_over(take))
        await asyncio.sleep(0)
        feed(incoming, b"ab")
        with pytest.raises(LookupError, match="ab"):
            await reading

    with_incoming(check)


@pytest.mark.parametrize("handed_over", [False, True])
def test_a_body_that_breaks_off_is_told_after_its_pieces(handed_over: bool) -> None:
    async def check(incoming: Incoming, transport: Transport) -> None:
        feed(incoming, HEAD % 6 + b"ab")
        incoming.end("closed by the server", in_order=True)
        taken = Taken()
        with pytest.raises(ConnectionEnded, match="closed by the server"):
            await (incoming.hand_over(taken) if handed_over else taken.all_of(incoming))
        assert taken.pieces == [b"ab"]

    with_incoming(check)


@pytest.mark.parametrize("handed_over", [False, True])
def test_what_came_before_a_broken_rule_is_told_as_well(handed_over: bool) -> None:
    async def check(incoming: Incoming, transport: Transport) -> None:
        feed(incoming, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await incoming.head
        taken = Taken()
        reading = asyncio.ensure_future(
            incoming.hand_over(taken) if handed_over else taken.all_of(incoming)
        )
        await asyncio.sleep(0)
        feed(incoming, b"2\r\nab\r\nzz\r\n")
        with pytest.raises(RuleBroken, match="a faulty body"):
            await reading
        assert taken.pieces == [b"ab"]

    with_incoming(check)


def test_an_answer_that_was_read_waits_for_no_collector() -> None:
    """It and its parser hold each other, with all headers; thousands a minute would wait."""

    async def check(incoming: Incoming, transport: Transport) -> None:
        feed(incoming, HEAD % 2 + b"ab")
        assert [piece async for piece in incoming] == [b"ab"]

    async def main() -> None:
        incoming = Incoming(asyncio.get_running_loop(), Transport())
        await check(incoming, Transport())
        gone = weakref.ref(incoming)
        del incoming
        assert gone() is None

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


class Socket:
    """Remembers which options were set."""

    def __init__(self) -> None:
        self.options: list[tuple[int, int, int]] = []

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options.append((level, option, value))


class Wire(asyncio.Transport):
    """A transport that takes everything."""

    def __init__(self, held: Socket) -> None:
        super().__init__({"socket": held})
        self.written = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)

    def close(self) -> None: ...

    def is_closing(self) -> bool:
        return False


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="Linux has it")
@pytest.mark.parametrize(
    ("pieces", "acknowledged"),
    [
        ([HEAD % 2 + b"ab"], 0),  # our next request will do
        ([HEAD % 2, b"a", b"b"], 1),
        ([HEAD[:20], HEAD[20:] % 2, b"ab"], 1),
    ],
    ids=["whole", "head first", "in pieces"],
)
def test_a_head_whose_body_is_to_come_is_acknowledged_at_once(
    pieces: list[bytes], acknowledged: int
) -> None:
    """A server without TCP_NODELAY keeps its first chunk for 40 ms otherwise."""
    held = Socket()

    async def main() -> None:
        room = memoryview(bytearray(4096))
        connection = Connection(asyncio.get_running_loop(), room, lambda _: None)
        connection.connection_made(Wire(held))
        connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"")
        for piece in pieces:
            connection.get_buffer(-1)[: len(piece)] = piece
            connection.buffer_updated(len(piece))

    asyncio.run(main())
    quickly = (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    assert held.options == [quickly] * acknowledged


def test_a_large_body_waits_for_its_peer_and_ends_with_an_early_answer() -> None:
    size = 4 * 2**20

    async def main() -> None:
        room, wire = memoryview(bytearray(4096)), Wire(Socket())
        connection = Connection(asyncio.get_running_loop(), room, lambda _: None)
        connection.connection_made(wire)
        incoming = connection.ask(b"POST / HTTP/1.1\r\n\r\n", b"x" * size)
        connection.pause_writing()
        sending = asyncio.ensure_future(connection.send_rest())
        for _ in range(5):
            await asyncio.sleep(0)
        assert 0 < wire.written < 2**20, "it waits"
        connection.resume_writing()
        connection.pause_writing()
        for _ in range(5):
            await asyncio.sleep(0)
        before = wire.written
        feed(incoming, HEAD.replace(b"200", b"413") % 0)
        await asyncio.wait_for(sending, 5)
        assert wire.written == before
        assert not connection.finish(), "half a request was sent: no other may follow it"

    asyncio.run(main())


def test_nothing_of_a_1xx_is_left_in_the_answer() -> None:
    async def check(incoming: Incoming, transport: Transport) -> None:
        feed(incoming, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + HEAD % 0)
        await incoming.head
        assert (incoming.status, incoming.headers) == (200, [(b"Content-Length", b"0")])

    with_incoming(check)

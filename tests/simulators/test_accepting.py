"""A listener leaves no connection to the garbage collector: its warning would hit a later test."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import warnings
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import pytest
import trustme

from tests.simulators import accepting

UNSENT = 2**24  # bytes: more than the kernel takes from a server whose client does not read


class Shouting(asyncio.Protocol):
    """Sends more than a client takes, then closes, which waits for the client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(bytes(UNSENT))
        transport.close()


class Stepwise:
    """A client whose every step is made while the loop stands still."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        self.socket = stack.enter_context(socket.socket())
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(5)

    def is_closed(self) -> bool:
        """Whether the server has closed the connection; what it sent before is thrown away."""
        try:
            while self.socket.recv(2**20):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        return True


def left_behind(main: Callable[[], Coroutine[Any, Any, None]]) -> list[str]:
    """The warnings of what a loop has left open at its end."""
    gc.freeze()  # what other tests have left is neither looked at nor blamed on this one
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            asyncio.run(main())
            gc.collect()
    finally:
        gc.unfreeze()
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("turns", range(4))
def test_a_connection_is_closed_however_shortly_before_the_end_it_came(turns: int) -> None:
    with ExitStack() as stack:
        clients = []

        async def main() -> None:
            async with accepting(asyncio.Protocol) as port:
                clients.append(Stepwise(port, stack))
                for _ in range(turns):
                    await asyncio.sleep(0)

        assert left_behind(main) == []
        assert clients[0].is_closed()


def test_a_connection_is_closed_although_its_client_takes_no_bytes() -> None:
    with ExitStack() as stack:
        clients = []

        async def main() -> None:
            async with accepting(Shouting) as port:
                clients.append(Stepwise(port, stack))
                await asyncio.sleep(0.01)

        assert left_behind(main) == []
        assert clients[0].is_closed()


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00"], ids=["nothing", "half a hello"])
def test_a_connection_is_closed_inside_the_tls_handshake(said: bytes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with ExitStack() as stack:
        clients = []

        async def main() -> None:
            async with accepting(Shouting, tls=context) as port:
                clients.append(Stepwise(port, stack))
                clients[0].socket.send(said)
                await asyncio.sleep(0.01)

        assert left_behind(main) == []
        assert clients[0].is_closed()


def test_over_tls_the_protocol_gets_what_was_meant() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data.upper())

    async def main() -> None:
        async with accepting(Echo, tls=context) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"HELLO"
            writer.transport.abort()

    assert left_behind(main) == []

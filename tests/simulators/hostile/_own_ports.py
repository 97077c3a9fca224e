"""What is about the connection itself, each on a port of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tests.simulators.hostile._behaviour import Asked, good, http
from tests.simulators.hostile._certificates import Authority
from tests.simulators.hostile._connections import Connections
from tests.simulators.hostile._wire import Wire
from tests.simulators.sockets import unaccepting

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class OwnPort:
    """A behaviour with its own port; `open` gives the origin, and knows the CA of TLS ones."""

    name: str
    line: str
    open: Callable[[Authority], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def _never_accept(_: Authority) -> AsyncIterator[str]:
    with unaccepting() as origin:
        yield origin


def _scripted(
    play: Callable[[Wire], object],
    *,
    scheme: str = "http",
    tls: Callable[[Authority], ssl.SSLContext | None] = lambda _: None,
) -> Callable[[Authority], AbstractAsyncContextManager[str]]:
    """Play this on every connection, once its TLS stands if there is any."""

    @asynccontextmanager
    async def opened(authority: Authority) -> AsyncIterator[str]:
        async with Connections(play).listening(HOST, 0, tls(authority)) as port:
            yield f"{scheme}://{HOST}:{port}"

    return opened


async def _nothing(_: Wire) -> None:
    await asyncio.Event().wait()


async def _reset(wire: Wire) -> None:
    wire.reset()


async def _close(_: Wire) -> None:
    pass


async def _stall(wire: Wire) -> None:
    await wire.hang_up()


async def _plain(wire: Wire) -> None:
    await wire.send(http(400, b"This is plain HTTP.", "text/plain"))


async def _answer(wire: Wire) -> None:
    asked = Asked.of(await wire.request())
    await wire.send(http(200, good(asked)))


OWN_PORTS: Final = (
    OwnPort("never-accept", "a host that drops every packet", _never_accept),
    OwnPort("accept-then-silence", "accepts, and never reads or writes", _scripted(_nothing)),
    OwnPort("reset-on-connect", "resets as soon as it accepted", _scripted(_reset)),
    OwnPort("close-on-connect", "closes as soon as it accepted", _scripted(_close)),
    OwnPort("tls-stall", "stalls in the TLS handshake", _scripted(_stall, scheme="https")),
    OwnPort("tls-reset", "resets in the TLS handshake", _scripted(_reset, scheme="https")),
    OwnPort("no-tls", "speaks plain HTTP where TLS is wanted", _scripted(_plain, scheme="https")),
    OwnPort(
        "tls-expired",
        "has a certificate that expired in 2020",
        _scripted(_answer, scheme="https", tls=lambda ca: ca.context(HOST, expired=True)),
    ),
    OwnPort(
        "tls-wrong-host",
        "has a certificate for another host",
        _scripted(_answer, scheme="https", tls=lambda ca: ca.context("other.example")),
    ),
)

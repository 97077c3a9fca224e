"""Connections: kept for the next call, or looked up, judged, dialled and secured anew."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiohappyeyeballs import start_connection

from shared.upstream.connection import Connection
from shared.upstream.evidence import Evidence
from shared.upstream.failures import NotConnected, Step
from shared.upstream.guard import GuardedResolver, Lookup, guarded_sockets
from shared.upstream.names import KeptNames
from shared.upstream.policy import OutboundPolicy

# Servers close idle connections after 5 s; a POST on a dying one is an ambiguous failure.
_KEEPALIVE_SECONDS: Final = 2
_ROOM: Final = 32 * 1024  # bytes read at once; in a turn of the loop a call takes two at most
_NEXT_ADDRESS_SECONDS: Final = 0.25  # RFC 8305, section 5


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a connection belongs to; `host` is a name or an address, without brackets."""

    host: str
    port: int
    tls: ssl.SSLContext | None


_Kept: TypeAlias = defaultdict[Peer, list[Connection]]


class Pool:
    """The connections of one loop, as many as are asked for. The guard judges each that is made."""

    def __init__(self, policy: OutboundPolicy, lookup: Lookup) -> None:
        self._loop = asyncio.get_running_loop()
        self._policy = policy
        self._resolver = GuardedResolver(policy, lookup)
        self._names = KeptNames(self._resolver)
        self._room = memoryview(bytearray(_ROOM))
        self._kept: _Kept = defaultdict(list)
        self._all: set[Connection] = set()
        self._tidying: asyncio.TimerHandle | None = None

    async def connection(self, peer: Peer, seconds: float, evidence: Evidence) -> Connection:
        """A connection that stands; a new one within `seconds`.

        They cover DNS, all addresses and TLS together. Raises NotConnected, and TimeoutError.
        """
        connection = self._take_kept(peer)
        if connection is not None:
            evidence.connected(connection.transport, None)
            return connection
        began = time.monotonic()
        async with asyncio.timeout(seconds):
            connection = await self._new(peer, seconds, evidence)
        evidence.connected(connection.transport, time.monotonic() - began)
        return connection

    def give_back(self, peer: Peer, connection: Connection) -> None:
        """Its call is over: keep the connection for the next one, where that may be."""
        if connection.finish():
            connection.idle_since = time.monotonic()
            self._kept[peer].append(connection)
            if self._tidying is None:
                self._tidying = self._loop.call_later(_KEEPALIVE_SECONDS, self._tidy)

    async def aclose(self) -> None:
        """Close all; calls in flight lose theirs."""
        if self._tidying is not None:
            self._tidying.cancel()
        for connection in list(self._all):
            connection.abort()
        await self._names.aclose()
        await self._resolver.close()
        while self._all:
            await asyncio.sleep(0)

    def _take_kept(self, peer: Peer) -> Connection | None:
        kept = self._kept.get(peer)
        oldest = time.monotonic() - _KEEPALIVE_SECONDS
        while kept:
            connection = kept.pop()
            if connection.idle_since > oldest and connection.is_quiet:
                return connection
            connection.close()
        return None

    async def _new(self, peer: Peer, seconds: float, evidence: Evidence) -> Connection:
        try:
            addresses = await self._names.addresses(peer.host, peer.port)
        except OSError as error:
            raise NotConnected(Step.LOOKUP, error) from None
        try:
            dialled = await start_connection(
                addresses,
                happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS,
                socket_factory=guarded_sockets(self._policy, evidence),
            )
        except OSError as error:
            raise NotConnected(Step.DIAL, error) from None
        try:
            _, connection = await self._loop.create_connection(
                self._made,
                sock=dialled,
                ssl=peer.tls,
                server_hostname=peer.host.rstrip(".") if peer.tls is not None else None,
                ssl_handshake_timeout=seconds if peer.tls is not None else None,
            )
        except OSError as error:
            raise NotConnected(Step.TLS, error) from None
        self._all.add(connection)
        return connection

    def _made(self) -> Connection:
        return Connection(self._loop, self._room, self._all.discard)

    def _tidy(self) -> None:
        """Close what waited too long."""
        oldest = time.monotonic() - _KEEPALIVE_SECONDS
        for peer, kept in list(self._kept.items()):
            for connection in kept:
                if connection.idle_since <= oldest:
                    connection.close()
            kept[:] = [connection for connection in kept if connection.is_open]
            if not kept:
                del self._kept[peer]
        self._tidying = (
            self._loop.call_later(_KEEPALIVE_SECONDS / 2, self._tidy) if self._kept else None
        )

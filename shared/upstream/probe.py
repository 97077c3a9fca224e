"""Reaching a server step by step, for people who want to know which step fails, and why.

Every name is looked up and every address dialled through the guard, and every certificate judged
by the contexts of `tls`, as for any call; only the order is made visible. Names are looked up in
threads of its own, so that names which hang here hold no call up.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.errors import UpstreamTlsFailed
from shared.upstream._contract import Obstacle
from shared.upstream.addresses import LOOPBACK, inside, parse
from shared.upstream.failures import words
from shared.upstream.guard import (
    Addresses,
    AddressInfo,
    ForbiddenAddress,
    GuardedResolver,
    Lookup,
    guarded_sockets,
    literal_address,
)
from shared.upstream.obstacles import (
    ASK_NAME_SERVER,
    CHECK_CA,
    CHECK_FIREWALL,
    CHECK_LISTENING,
    CHECK_LOCALHOST,
    CHECK_ROUTE,
    CHECK_SPELLING,
    CHECK_TLS_PORT,
    WIDEN_POLICY,
    certificate_remedy,
    handshake_remedy,
)
from shared.upstream.policy import OutboundPolicy
from shared.upstream.tls import TlsContexts

_TOLD_ADDRESSES: Final = 4


@dataclass(frozen=True, slots=True)
class Reached:
    """A TCP connection that stands, and the address at its other end."""

    connection: socket.socket
    address: str


class Probe:
    """The steps; each raises Obstacle, also when its `seconds` are over."""

    def __init__(self, policy: OutboundPolicy, lookup: Lookup, tls: TlsContexts) -> None:
        self._policy = policy
        self._resolver = GuardedResolver(policy, lookup)
        self._socket = guarded_sockets(policy)
        self._tls = tls

    async def aclose(self) -> None:
        """End the threads that look names up."""
        await self._resolver.close()

    async def resolve(self, host: str, port: int, *, seconds: float) -> Addresses:
        """The addresses of a host, every one of which may be dialled."""
        try:
            async with asyncio.timeout(seconds):
                return await self._addresses(host, port)
        except ForbiddenAddress as refusal:
            raise Obstacle(
                f"Expected an address that may be called, but {refusal.reason}.", WIDEN_POLICY
            ) from None
        except TimeoutError:
            raise Obstacle(
                f"Expected the name {host} to be looked up within {seconds:g} s, got no answer.",
                ASK_NAME_SERVER,
            ) from None
        except OSError as error:
            again = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
            raise Obstacle(
                f"Expected the name {host} to have an address, got: {words(error)}.",
                ASK_NAME_SERVER if again else CHECK_SPELLING,
            ) from None

    async def _addresses(self, host: str, port: int) -> Addresses:
        literal = literal_address(host, port)
        if literal is None:
            return await self._resolver.resolve(host, port)
        if (refusal := self._policy.refusal(host, port)) is not None:
            raise ForbiddenAddress(refusal)
        return [literal]

    async def connect(self, addresses: Addresses, *, seconds: float) -> Reached:
        """A connection to the first address that takes one; they share the time evenly.

        One after the other, so that an address which does not answer is seen as such; calls race
        them.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        failures: list[tuple[str, OSError]] = []
        for place, info in enumerate(addresses):
            address, port = info[4][:2]
            share = (ends - loop.time()) / (len(addresses) - place)
            try:
                return Reached(await self._dialled(info, share), address)
            except OSError as error:
                failures.append((f"{address} port {port}", error))
        raise _unconnected(failures, seconds)

    async def _dialled(self, info: AddressInfo, seconds: float) -> socket.socket:
        connection = self._socket(info)
        try:
            connection.setblocking(False)
            async with asyncio.timeout(seconds):
                await asyncio.get_running_loop().sock_connect(connection, info[4])
        except BaseException:
            connection.close()
            raise
        return connection

    async def secure(
        self,
        reached: Reached,
        host: str,
        *,
        verify: bool,
        ca_certificate: str | None,
        seconds: float,
    ) -> str:
        """Shake hands on a connection, which is closed by it; the TLS version that was agreed on.

        A certificate that is not trusted raises, unless `verify` is off.
        """
        try:
            context = await self._tls.context(verify, ca_certificate)
        except BaseException as error:
            reached.connection.close()
            if isinstance(error, UpstreamTlsFailed):
                raise Obstacle(error.message, CHECK_CA) from None
            raise
        try:
            async with asyncio.timeout(seconds):
                # From here on the socket is asyncio's, which closes it whatever comes.
                transport, _ = await asyncio.get_running_loop().create_connection(
                    asyncio.Protocol,
                    sock=reached.connection,
                    ssl=context,
                    server_hostname=host.rstrip("."),
                )
        except ssl.SSLCertVerificationError as error:
            raise Obstacle(
                f"Expected a certificate that is trusted for {host}, got: {error.verify_message}.",
                certificate_remedy(error.verify_code, given_ca=ca_certificate is not None),
            ) from None
        except ssl.SSLError as error:
            raise Obstacle(
                f"Expected a TLS handshake with {host}, got: {error.reason or 'an unknown fault'}.",
                handshake_remedy(error.reason),
            ) from None
        except TimeoutError:
            raise Obstacle(
                f"Expected a TLS handshake with {host} within {seconds:g} s, got no answer.",
                CHECK_TLS_PORT,
            ) from None
        except OSError:
            raise Obstacle(
                f"Expected a TLS handshake with {host}, got a connection that was closed.",
                CHECK_TLS_PORT,
            ) from None
        agreed = transport.get_extra_info("ssl_object")
        transport.abort()
        return str(agreed.version())


def _unconnected(failures: Sequence[tuple[str, OSError]], seconds: float) -> Obstacle:
    """What became of every address; the remedy is for the last, which the name lists last."""
    where, last = failures[-1]
    told = "; ".join(f"{at}: {_said(error)}" for at, error in failures[:_TOLD_ADDRESSES])
    message = f"Expected a connection within {seconds:g} s, got {told}."
    if isinstance(last, ForbiddenAddress):
        return Obstacle(message, WIDEN_POLICY)
    if isinstance(last, ConnectionRefusedError):
        literal = parse(where.partition(" ")[0])
        local = literal is not None and inside(literal, LOOPBACK)
        return Obstacle(message, CHECK_LOCALHOST if local else CHECK_LISTENING)
    if isinstance(last, TimeoutError):
        return Obstacle(message, CHECK_FIREWALL)
    return Obstacle(message, CHECK_ROUTE)


def _said(error: OSError) -> str:
    if isinstance(error, ForbiddenAddress):
        return error.reason
    return "no answer" if isinstance(error, TimeoutError) else words(error)

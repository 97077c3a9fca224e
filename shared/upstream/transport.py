"""httpx's transport over connections of our own, with our guard and classification.

httpx's own pool collapses beyond about 100 requests in flight. Parsing is httptools', the rest is
asyncio's; docs/decisions/0003 has the reasons, and what other clients cost.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

import httpx

from shared.errors import OutboundForbidden
from shared.upstream.connection import Connection
from shared.upstream.endpoint import is_resolved, is_webhook_url
from shared.upstream.evidence import Evidence
from shared.upstream.failures import NotConnected, before_the_head, inside_the_body, not_connected
from shared.upstream.guard import Lookup, system_lookup
from shared.upstream.incoming import ConnectionEnded, Incoming, RuleBroken
from shared.upstream.policy import OutboundPolicy
from shared.upstream.pool import Peer, Pool

DESTINATION: Final = "destination"
CONNECT_BOUND: Final = "connect_bound"  # seconds; DNS, all addresses and TLS together
TLS_CONTEXT: Final = "tls_context"  # for https only
EVIDENCE: Final = "evidence"
# Of an answer: its body, an iterator. httpx would put a generator around each of its pieces.
PIECES: Final = "pieces"


@dataclass(frozen=True, slots=True)
class Destination:
    """One URL in the forms that a call needs.

    `authority` and `path` (with its query) stand in requests as they stand in the URL; `where` is
    host:port, as messages name a server.
    """

    url: httpx.URL
    host: str
    port: int
    authority: bytes
    path: bytes
    where: str
    https: bool


@lru_cache(maxsize=1024)
def destination(url: str, *, is_webhook: bool = False) -> Destination:
    """The destination of a URL that the resolver wrote: quoted already, not to be quoted again.

    Raises OutboundForbidden for any other URL, which clients might read in different ways.
    """
    if not (is_webhook_url(url) if is_webhook else is_resolved(url)):
        raise OutboundForbidden(
            "Expected a URL as the endpoint resolver writes it, got another one; save the "
            "provider's endpoint again.",
            sent=False,
        )
    parsed = httpx.URL(url)
    https = parsed.scheme == "https"
    host = parsed.host
    port = parsed.port or (443 if https else 80)
    authority, _, path = url.partition("://")[2].partition("/")
    return Destination(
        url=parsed,
        host=host,
        port=port,
        authority=authority.encode("ascii"),
        path=b"/" + path.encode("ascii"),
        where=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        https=https,
    )


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends one request; raises UpstreamFailure or ConnectionLost, never httpx's errors.

    Every request says in its extensions where it goes, how long connecting may take, and where its
    evidence is kept.
    """

    def __init__(self, policy: OutboundPolicy, lookup: Lookup = system_lookup) -> None:
        self._policy = policy
        self._lookup = lookup
        self._pool: Pool | None = None  # made on the loop of the first call

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The head of the answer; its stream raises what `inside_the_body` says."""
        pool = self._pool
        if pool is None:
            pool = self._pool = Pool(self._policy, self._lookup)
        to: Destination = request.extensions[DESTINATION]
        evidence: Evidence = request.extensions[EVIDENCE]
        tls: ssl.SSLContext | None = request.extensions.get(TLS_CONTEXT)
        peer = Peer(to.host, to.port, tls)
        # Failures are raised outside of `except`, so that none drags another one along.
        failure: Exception
        try:
            connection = await pool.connection(peer, request.extensions[CONNECT_BOUND], evidence)
        except (NotConnected, TimeoutError) as error:
            failure = not_connected(error, evidence, where=to.where, https=to.https)
        else:
            try:
                incoming = await _answered(connection, request, to)
            except (RuleBroken, ConnectionEnded) as error:
                failure = before_the_head(error, where=to.where, https=to.https)
            else:
                body = Body(pool, peer, connection, incoming, to)
                return httpx.Response(
                    incoming.status,
                    headers=incoming.headers,
                    stream=body,
                    extensions={PIECES: body},
                )
        raise failure

    async def aclose(self) -> None:
        """Close all connections and end the threads that look names up."""
        if self._pool is not None:
            await self._pool.aclose()


async def _answered(connection: Connection, request: httpx.Request, to: Destination) -> Incoming:
    """Send the request and wait for the answer's head; whatever is raised closed the connection."""
    body = b"".join(cast("httpx.ByteStream", request.stream))
    try:
        incoming = connection.ask(_head(request, to, len(body)), body)
        await connection.send_rest()
        await incoming.head
    except BaseException:
        connection.close()
        raise
    return incoming


def _head(request: httpx.Request, to: Destination, size: int) -> bytes:
    lines = [b"%s %s HTTP/1.1\r\nHost: %s" % (request.method.encode(), to.path, to.authority)]
    lines += [b"%s: %s" % pair for pair in request.headers.raw]
    if size or request.method == "POST":
        lines.append(b"Content-Length: %d" % size)
    if any(b"\n" in line or b"\r" in line for line in lines[1:]):
        raise ValueError("a header of ours holds a line break")
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Body(httpx.AsyncByteStream):
    """The body in pieces as they come; raises what `inside_the_body` makes of its faults."""

    def __init__(
        self, pool: Pool, peer: Peer, connection: Connection, incoming: Incoming, to: Destination
    ) -> None:
        self._pool = pool
        self._peer = peer
        self._connection = connection
        self._incoming = incoming
        self._to = to

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._incoming)
        except (RuleBroken, ConnectionEnded) as error:
            failure = inside_the_body(error, where=self._to.where, https=self._to.https)
        raise failure

    async def hand_over(self, take: Callable[[bytes], bool]) -> None:
        """Call `take` with each piece the moment it comes, until it says False or the body ends."""
        try:
            await self._incoming.hand_over(take)
            return
        except (RuleBroken, ConnectionEnded) as error:
            failure = inside_the_body(error, where=self._to.where, https=self._to.https)
        raise failure

    async def aclose(self) -> None:
        """Keep the connection when the body was read to its end, close it otherwise."""
        self._pool.give_back(self._peer, self._connection)

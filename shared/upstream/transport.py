"""httpx over aiohttp's connections, with our own session, guard and classification.

httpx's own pool collapses beyond about 100 requests in flight; aiohttp's does not. The session is
made on the first call, on the loop that will own it.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Final, cast

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from yarl import URL

from shared.errors import OutboundForbidden
from shared.upstream.endpoint import is_resolved, is_webhook_url
from shared.upstream.evidence import current
from shared.upstream.failures import before_the_head, inside_the_body
from shared.upstream.guard import GuardedResolver, Lookup, guarded_sockets, system_lookup
from shared.upstream.policy import OutboundPolicy

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

DESTINATION: Final = "destination"
CONNECT_BOUND: Final = "connect_bound"  # seconds; DNS, all addresses and TLS together
TLS_CONTEXT: Final = "tls_context"  # for https only
# Of an answer: its body, an iterator. httpx would put a generator around each of its pieces.
PIECES: Final = "pieces"

# Servers close idle connections after 5 s; a POST on a dying one is an ambiguous failure.
_KEEPALIVE_SECONDS: Final = 2
_DNS_CACHE_SECONDS: Final = 30
_CHUNK_BYTES: Final = 64 * 1024
_ONE_WRITE_BYTES: Final = 1024 * 1024  # above it aiohttp wants a file, so that the loop breathes


@dataclass(frozen=True, slots=True)
class Destination:
    """One URL in the forms that a call needs; `where` is host:port, as messages name a server."""

    url: httpx.URL
    exact: URL
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
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    where = f"{host}:{parsed.port or (443 if https else 80)}"
    return Destination(parsed, URL(url, encoded=True), where, https)


class GuardedTransport(AiohttpTransport):
    """Sends one request; raises UpstreamFailure or ConnectionLost, never httpx's or aiohttp's.

    Every request needs an `Evidence` in the context, and in its extensions where it goes and how
    long connecting may take.
    """

    def __init__(self, policy: OutboundPolicy, lookup: Lookup = system_lookup) -> None:
        # A bare context keeps httpx from reading a certificate store that nothing here uses.
        super().__init__(verify=_unused_context(), trust_env=False, client=self._open)
        self._policy = policy
        self._lookup = lookup
        self._resolver: GuardedResolver | None = None

    def _open(self) -> aiohttp.ClientSession:
        self._resolver = GuardedResolver(self._policy, self._lookup)
        connector = _Connector(
            limit=0,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            ttl_dns_cache=_DNS_CACHE_SECONDS,
            resolver=self._resolver,
            socket_factory=guarded_sockets(self._policy),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The head of the answer; its stream raises UpstreamStreamBroken when the body breaks."""
        session = self.client if isinstance(self.client, aiohttp.ClientSession) else None
        if session is None:
            session = self.client = self._open()
        evidence = current.get()
        to: Destination = request.extensions[DESTINATION]
        body = b"".join(cast(httpx.ByteStream, request.stream))
        failure = None
        try:
            answer = await session.request(
                request.method,
                to.exact,
                headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
                data=BytesIO(body) if len(body) > _ONE_WRITE_BYTES else body or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=request.extensions[CONNECT_BOUND]
                ),
                ssl=request.extensions.get(TLS_CONTEXT, True),
            )
        except (aiohttp.ClientError, OSError) as error:
            failure = before_the_head(error, evidence, where=to.where, https=to.https)
        if failure is not None:
            # Raised out here, so that no traceback leads to aiohttp's, which hold our headers.
            raise failure
        pieces = _Body(answer, to.where)
        return httpx.Response(
            answer.status,
            headers=answer.raw_headers,
            stream=pieces,
            extensions={PIECES: pieces},
        )

    async def aclose(self) -> None:
        """Close all connections and end the threads that look names up."""
        await super().aclose()
        if self._resolver is not None:
            await self._resolver.close()


class _Connector(aiohttp.TCPConnector):
    """Notes in the evidence when a call has its connection.

    That is the last moment before bytes can leave, so a false `sent` is a proof. A trace hook
    (`on_request_headers_sent`) proves the same, costs 50 µs a call and does not show the transport.
    """

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        evidence = current.get()
        began = time.monotonic()
        connection = await super().connect(req, traces, timeout)
        try:
            evidence.connected(connection.transport, time.monotonic() - began)
        except BaseException:
            connection.close()
            raise
        return connection


class _Body(httpx.AsyncByteStream):
    """The body in pieces as they come."""

    def __init__(self, answer: aiohttp.ClientResponse, where: str) -> None:
        self._answer = answer
        self._where = where

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        failure = None
        try:
            piece = await self._answer.content.read(_CHUNK_BYTES)
        except (aiohttp.ClientError, OSError) as error:
            failure = inside_the_body(error, where=self._where)
        if failure is not None:
            raise failure
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        # Keeps the connection when the body was read to its end, closes it otherwise.
        self._answer.release()


def _unused_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

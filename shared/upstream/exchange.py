"""One request and its answer, inside all bounds."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import httpx

from shared.errors import UpstreamAuthenticationFailed, UpstreamTimeout
from shared.upstream._contract import Bounds, Target
from shared.upstream.evidence import Evidence
from shared.upstream.limits import Limits
from shared.upstream.reading import Call, Opened
from shared.upstream.tls import TlsContexts
from shared.upstream.transport import (
    CONNECT_BOUND,
    DESTINATION,
    EVIDENCE,
    TLS_CONTEXT,
    Destination,
    destination,
)

T = TypeVar("T")

_HEADERS: Final = (
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", b"dragoman"),
)


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds since the call began; `connect` alone is a duration, None on a kept connection."""

    connect: float | None
    first_byte: float
    total: float


class Exchanger:
    """Runs calls over one transport, thousands at once.

    Without httpx's client between: of cookies, redirects, authentication and hooks nothing is
    wanted here, and it ties each response to itself, which kept answers with the headers of their
    requests in memory until the garbage collector came.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, tls: TlsContexts) -> None:
        self._tls = tls
        self._transport = transport

    async def aclose(self) -> None:
        """Close all connections; calls in flight end as lost connections."""
        await self._transport.aclose()

    async def run(
        self,
        call: Call,
        target: Target,
        bounds: Bounds,
        on_sent: Callable[[], None] | None,
        read: Callable[[Opened], Awaitable[T]],
    ) -> tuple[T, Timings]:
        """What `read` makes of the answer; raises UpstreamFailure or ConnectionLost.

        The connection is closed when `read` leaves before the body's end.
        """
        limits = Limits(bounds.total)

        def sent() -> None:
            limits.allow("first_byte", bounds.first_byte)
            if on_sent is not None:
                on_sent()

        evidence = Evidence(sent)
        to = destination(call.url, is_webhook=call.is_webhook)
        request = _request(call, to, target, bounds, evidence)
        try:
            with contextlib.suppress(TimeoutError):
                async with limits:
                    come, first_byte = await self._bounded(
                        request, call, to, target, limits, bounds, read
                    )
                    return come, Timings(evidence.connect_seconds, first_byte, limits.elapsed)
        finally:
            evidence.drop_unsent()
        # Out here, so that no traceback leads to frames and objects that hold our headers.
        raise _expired(call, to.where, limits.phase, evidence, bounds)

    async def _bounded(
        self,
        request: httpx.Request,
        call: Call,
        to: Destination,
        target: Target,
        limits: Limits,
        bounds: Bounds,
        read: Callable[[Opened], Awaitable[T]],
    ) -> tuple[T, float]:
        if to.https:
            request.extensions[TLS_CONTEXT] = await self._tls.context(
                target.verify_tls, target.ca_certificate
            )
        response = await self._transport.handle_async_request(request)
        first_byte = limits.elapsed
        try:
            come = await read(Opened(response, call, target, to.where, limits, bounds))
        finally:
            await response.aclose()
        return come, first_byte


def _request(
    call: Call, to: Destination, target: Target, bounds: Bounds, evidence: Evidence
) -> httpx.Request:
    headers = [*_HEADERS, *call.headers]
    if call.body:
        headers.append((b"Content-Type", b"application/json"))
    if target.api_key is not None:
        key = target.api_key.reveal()
        if not (key.isascii() and key.isprintable()):  # an encoding error would quote it
            raise UpstreamAuthenticationFailed(
                "Expected an api_key of printable ASCII characters, got others; set it again.",
                sent=False,
            )
        headers.append((b"Authorization", b"Bearer " + key.encode("ascii")))
    # A stream keeps httpx from preparing headers that the transport adds: 2 µs instead of 59.
    return httpx.Request(
        call.method,
        to.url,
        headers=headers,
        stream=httpx.ByteStream(call.body),
        extensions={DESTINATION: to, CONNECT_BOUND: bounds.connect, EVIDENCE: evidence},
    )


def _expired(
    call: Call, where: str, phase: str, evidence: Evidence, bounds: Bounds
) -> UpstreamTimeout:
    came = {
        "first_byte": f"no answer within {bounds.first_byte:g} s of sending (first_byte_timeout)",
        "idle": f"an answer that stood still for {bounds.idle:g} s (idle_timeout)",
        "total": f"none that was complete within {bounds.total:g} s (total_timeout)",
    }
    return UpstreamTimeout(
        f"Expected {call.expected} from {where}, got {came[phase]}.",
        sent=evidence.sent,
        phase=phase,
        may_have_been_billed=evidence.sent,
    )

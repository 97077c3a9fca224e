"""One request and its whole answer, inside all bounds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import httpx

from shared.errors import (
    UpstreamAuthenticationFailed,
    UpstreamStreamBroken,
    UpstreamTimeout,
)
from shared.upstream._contract import Bounds, Target
from shared.upstream.answers import NO_JSON, RawAnswer, media_type, unusable
from shared.upstream.evidence import Evidence, current
from shared.upstream.limits import Limits
from shared.upstream.tls import TlsContexts
from shared.upstream.transport import (
    CONNECT_BOUND,
    DESTINATION,
    TLS_CONTEXT,
    Destination,
    destination,
)
from shared.upstream.upstream_text import body_without_key

_ERROR_BYTES: Final = 64 * 1024
_ERROR_SECONDS: Final = 5.0  # the status is known already; its text is worth this wait
_HEADERS: Final = (
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"identity"),
    (b"User-Agent", b"dragoman"),
)


@dataclass(frozen=True, slots=True)
class Call:
    """What to send where; `expected` names the answer in messages."""

    method: str
    url: str
    expected: str
    most_bytes: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds since the call began; `connect` alone is a duration, None on a kept connection."""

    connect: float | None
    first_byte: float
    total: float


class _NoCookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """Keep none: two providers may share a host, and nothing of one may reach the other."""


class _Client(httpx.AsyncClient):
    """httpx's client with a jar that stays empty, which costs 50 µs a call less than its own."""

    _no_cookies = _NoCookies()

    @property
    def cookies(self) -> httpx.Cookies:
        return self._no_cookies

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        raise AttributeError("this client keeps no cookies")


class Exchanger:
    """Runs calls over one transport, thousands at once."""

    def __init__(self, transport: httpx.AsyncBaseTransport, tls: TlsContexts) -> None:
        self._tls = tls
        self._http = _Client(transport=transport, trust_env=False, follow_redirects=False)

    async def aclose(self) -> None:
        """Close all connections; calls in flight end as lost connections."""
        await self._http.aclose()

    async def run(
        self, call: Call, target: Target, bounds: Bounds, on_sent: Callable[[], None] | None
    ) -> tuple[RawAnswer, Timings]:
        """The answer, whatever its status; raises UpstreamFailure or ConnectionLost."""
        limits = Limits(bounds.total)

        def sent() -> None:
            limits.allow("first_byte", bounds.first_byte)
            if on_sent is not None:
                on_sent()

        evidence = Evidence(sent)
        to = destination(call.url)
        request = _request(call, to, target, bounds)
        token = current.set(evidence)
        try:
            with contextlib.suppress(TimeoutError):
                async with limits:
                    return await self._bounded(request, call, to, target, limits, bounds)
        finally:
            current.reset(token)
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
    ) -> tuple[RawAnswer, Timings]:
        if to.https:
            request.extensions[TLS_CONTEXT] = await self._tls.context(
                target.verify_tls, target.ca_certificate
            )
        response = await self._http.send(request, stream=True)
        first_byte = limits.elapsed
        try:
            answer = await _read(response, call, target, to.where, limits, bounds.idle)
        finally:
            await response.aclose()
        return answer, Timings(current.get().connect_seconds, first_byte, limits.elapsed)


def _request(call: Call, to: Destination, target: Target, bounds: Bounds) -> httpx.Request:
    headers = list(_HEADERS)
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
    # A stream keeps httpx from preparing headers that aiohttp adds anyway: 2 µs instead of 59.
    return httpx.Request(
        call.method,
        to.url,
        headers=headers,
        stream=httpx.ByteStream(call.body),
        extensions={DESTINATION: to, CONNECT_BOUND: bounds.connect},
    )


async def _read(
    response: httpx.Response, call: Call, target: Target, where: str, limits: Limits, idle: float
) -> RawAnswer:
    good = 200 <= response.status_code < 300
    # Not read: a page is of no use, and a stream need not end.
    wrong = NO_JSON.get(media_type(response.headers)) if good else None
    body: bytes | None = b""
    if good and wrong is None:
        body = await _whole_body(response, call.most_bytes, limits, idle)
    elif not good:
        body = await _what_comes(response, limits, min(_ERROR_SECONDS, idle))
    answer = RawAnswer(
        expected=call.expected,
        status=response.status_code,
        headers=response.headers,
        body=body_without_key(body, target.api_key) if body else b"",
        where=where,
        key=target.api_key,
    )
    if body is None:
        wrong = f"a body over {call.most_bytes // 2**20} MiB"
    if wrong is not None:
        raise unusable(answer, wrong)
    return answer


def _raw(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it came; httpx's own `aiter_raw` adds two layers of generators to each chunk."""
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - for the type checker
    return response.stream.__aiter__()


async def _whole_body(
    response: httpx.Response, most: int, limits: Limits, idle: float
) -> bytes | None:
    """The body, or None when it is larger than `most` bytes."""
    limits.allow("idle", idle)
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        return None
    chunks: list[bytes] = []
    size = 0
    async for chunk in _raw(response):
        limits.allow("idle", idle)
        size += len(chunk)
        if size > most:
            return None
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _what_comes(response: httpx.Response, limits: Limits, patience: float) -> bytes:
    """The beginning of an error's body; one that breaks off or stalls does not hide the status."""
    limits.allow("total", limits.rest)
    text = bytearray()
    with contextlib.suppress(TimeoutError, UpstreamStreamBroken):
        async with asyncio.timeout(patience):
            async for chunk in _raw(response):
                text += chunk
                if len(text) > _ERROR_BYTES:
                    break
    return bytes(text[:_ERROR_BYTES])


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

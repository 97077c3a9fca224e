"""Reading an answer whose head came: whole, or as far as its status is worth."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

import httpx

from shared.upstream._contract import Bounds, Target
from shared.upstream.answers import NO_JSON, RawAnswer, media_type, unusable
from shared.upstream.failures import BODY_FAULTS
from shared.upstream.limits import Limits
from shared.upstream.transport import PIECES, Body
from shared.upstream.upstream_text import Concealer

_ERROR_BYTES: Final = 64 * 1024
_ERROR_SECONDS: Final = 5.0  # the status is known already; its text is worth this wait
_RECEIPT_BYTES: Final = 4 * 1024
_RECEIPT_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Call:
    """What to send where; `expected` names the answer in messages.

    The URL is one of an endpoint's, unless `is_webhook`.
    """

    method: str
    url: str
    expected: str
    most_bytes: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    is_webhook: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer whose head came, and what bounds the rest; `where` is host:port."""

    response: httpx.Response
    call: Call
    target: Target
    where: str
    limits: Limits
    bounds: Bounds

    @property
    def pieces(self) -> Body:
        """The body as it comes; always the same iterator."""
        pieces: Body = self.response.extensions[PIECES]
        return pieces

    @property
    def is_good(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.response.status_code < 300

    @property
    def media_type(self) -> str:
        """The media type, lower-case, without parameters; "" when none was given."""
        return media_type(self.response.headers)

    @property
    def is_too_large(self) -> bool:
        """Whether the announced length is over the bound."""
        declared = self.response.headers.get("content-length", "")
        return declared.isdigit() and int(declared) > self.call.most_bytes

    def answer(self, body: bytes = b"") -> RawAnswer:
        """The answer with this body."""
        return RawAnswer(
            expected=self.call.expected,
            status=self.response.status_code,
            headers=self.response.headers,
            body=body and Concealer(self.target.api_key).body(body),
            where=self.where,
            key=self.target.api_key,
        )


async def whole(opened: Opened, begun: bytes = b"") -> RawAnswer:
    """The answer, whatever its status; `begun` is what was read of its body before.

    Raises UpstreamInvalidAnswer for a good one that is too large, or no JSON by its media type.
    """
    if not opened.is_good:
        return opened.answer(await _what_comes(opened))
    # Not read: a page is of no use, and a stream need not end.
    if (other := NO_JSON.get(opened.media_type)) is not None:
        raise unusable(opened.answer(), other)
    body = await _whole_body(opened, begun)
    if body is None:
        raise unusable(opened.answer(), f"a body over {opened.call.most_bytes // 2**20} MiB")
    return opened.answer(body)


async def acknowledged(opened: Opened) -> int:
    """The status; of the body only as much is read as may let the connection be kept."""
    limits = opened.limits
    left = limits.rest
    limits.allow("total", left)
    with contextlib.suppress(TimeoutError, *BODY_FAULTS):
        async with asyncio.timeout(min(_RECEIPT_SECONDS, left / 2)):
            size = 0
            async for piece in opened.pieces:
                size += len(piece)
                if size > _RECEIPT_BYTES:
                    break
    return opened.response.status_code


async def _whole_body(opened: Opened, begun: bytes) -> bytes | None:
    """The body, or None when it is larger than it may be."""
    most, limits, idle = opened.call.most_bytes, opened.limits, opened.bounds.idle
    limits.allow("idle", idle)
    if opened.is_too_large:
        return None
    pieces = [begun]
    size = len(begun)
    async for piece in opened.pieces:
        limits.allow("idle", idle)
        size += len(piece)
        if size > most:
            return None
        pieces.append(piece)
    return b"".join(pieces)


async def _what_comes(opened: Opened) -> bytes:
    """The beginning of an error's body; one that breaks off or stalls does not hide the status."""
    opened.limits.allow("total", opened.limits.rest)
    text = bytearray()
    with contextlib.suppress(TimeoutError, *BODY_FAULTS):
        async with asyncio.timeout(min(_ERROR_SECONDS, opened.bounds.idle)):
            async for piece in opened.pieces:
                text += piece
                if len(text) > _ERROR_BYTES:
                    break
    return bytes(text[:_ERROR_BYTES])

"""A request's body comes within a time: whoever drips it holds a connection and a greenlet.

gunicorn bounds how long a request's head may take, and nothing of its body.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent

from shared.errors import BodyTooSlow


# An ordinary exception, unlike gevent's own: where reading ended in one, gunicorn closes the
# connection behind the answer.
class _Late(Exception):
    pass


class TimelyBody:
    """The body of one request; reading raises BodyTooSlow `seconds` after it was made."""

    __slots__ = ("_body", "_seconds", "_until")

    def __init__(self, body: Any, seconds: float) -> None:
        self._body = body
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def read(self, *size: int) -> bytes:
        """As a file's; so are the others."""
        data: bytes = self._in_time(self._body.read, *size)
        return data

    def readline(self, *size: int) -> bytes:
        """Up to the end of a line."""
        line: bytes = self._in_time(self._body.readline, *size)
        return line

    def readlines(self, *hint: int) -> list[bytes]:
        """All lines."""
        lines: list[bytes] = self._in_time(self._body.readlines, *hint)
        return lines

    def __iter__(self) -> Iterator[bytes]:
        """Line by line."""
        return iter(self.readline, b"")

    def _in_time(self, reading: Callable[..., Any], *bounds: int) -> Any:
        try:
            with gevent.Timeout(max(self._until - time.monotonic(), 0.0), _Late):
                return reading(*bounds)
        except _Late:
            raise BodyTooSlow(
                f"Expected the whole body within {self._seconds:g} s, got a part of it. Send it "
                "faster, or less at once."
            ) from None

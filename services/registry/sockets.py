"""A client's connection as gunicorn writes to it."""

from __future__ import annotations

import errno
from typing import Any


class HeadFirst:
    """A socket for one answer, whose head goes out together with the first bytes of the body.

    gunicorn sends them apart: one system call more, and a client that wakes up twice. A client that
    takes nothing for `seconds` has left: it would hold a connection and a greenlet for ever.
    """

    __slots__ = ("_held", "_seconds", "_socket")

    def __init__(self, socket: Any, seconds: float) -> None:
        self._socket = socket
        self._seconds = seconds
        socket.settimeout(seconds)  # of each wait; what is read has an earlier one of its own
        self._held: bytes | None = None  # the head; empty once it is out

    def sendall(self, data: bytes) -> None:
        """Keep the first bytes, which are the head; send all that follows, at once."""
        if self._held is None:
            self._held = data
            return
        if self._held:
            data, self._held = self._held + data, b""
        self._send(data)

    def end(self) -> None:
        """Send the head of an answer that has no body, and leave the socket as it was."""
        held, self._held = self._held, b""
        try:
            if held:
                self._send(held)
        finally:
            self._socket.settimeout(None)

    def _send(self, data: bytes) -> None:
        # gevent's own `sendall` asks for the size of the buffer first, makes a timer, and bounds
        # the whole of an answer, which may be large and its client slow.
        try:
            sent = self._socket.send(data)
            while sent < len(data):
                sent += self._socket.send(memoryview(data)[sent:])
        except TimeoutError:  # gunicorn knows the other as a client's own doing
            told = f"took nothing of its answer for {self._seconds:g} s"
            raise ConnectionResetError(errno.ECONNRESET, told) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

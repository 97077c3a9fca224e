"""A client's connection as gunicorn writes to it."""

from __future__ import annotations

from typing import Any


class HeadFirst:
    """A socket for one answer, whose head goes out together with the first bytes of the body.

    gunicorn sends them apart: one system call more, and a client that wakes up twice.
    """

    __slots__ = ("_held", "_socket")

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._held: bytes | None = None  # the head; empty once it is out

    def sendall(self, data: bytes) -> None:
        """Keep the first bytes, which are the head; send all that follows, at once."""
        if self._held is None:
            self._held = data
            return
        if self._held:
            data, self._held = self._held + data, b""
        # gevent's own `sendall` asks for the size of the buffer first, and makes a timer.
        if (sent := self._socket.send(data)) < len(data):
            self._socket.sendall(memoryview(data)[sent:])

    def flush(self) -> None:
        """Send the head of an answer that has no body."""
        held, self._held = self._held, b""
        if held:
            self._socket.sendall(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

"""A listener that nobody may reach: it accepts nothing, and the kernel counts for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


class Trap:
    """One port on several addresses of this machine."""

    def __init__(self, port: int, listeners: list[socket.socket]) -> None:
        self.port = port
        self._listeners = listeners

    def connections(self) -> int:
        """How many connections came since the last look; each is closed."""
        came = 0
        for listener in self._listeners:
            while True:
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    break
                connection.close()
                came += 1
        return came


@contextmanager
def trap(*addresses: str, port: int = 0) -> Iterator[Trap]:
    """A trap on these addresses, all with the same port; connections wait to be counted."""
    with ExitStack() as stack:
        listeners = []
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = stack.enter_context(socket.socket(family))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind((address, port))
            listener.listen(1024)
            port = port or listener.getsockname()[1]
            listeners.append(listener)
        yield Trap(port, listeners)

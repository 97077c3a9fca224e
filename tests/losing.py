"""A way to a server on which answers get lost: the server has worked, the client hears nothing."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

_PIECE = 65_536


class Losing(socketserver.ThreadingTCPServer):
    """Passes connections on to `address`; the first `lost` answers end the connection instead."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], lost: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.address = address
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._left = lost
        self._lock = threading.Lock()

    def loses(self) -> bool:
        """Whether the answer that begins now gets lost."""
        with self._lock:
            self._left -= 1
            return self._left >= 0


class _Connection(socketserver.BaseRequestHandler):
    server: Losing

    def handle(self) -> None:
        client: socket.socket = self.request
        with socket.create_connection(self.server.address) as upstream:
            there = threading.Thread(target=self._ask, args=(client, upstream), daemon=True)
            there.start()
            while piece := upstream.recv(_PIECE):
                if piece.startswith(b"HTTP/") and self.server.loses():
                    break
                client.sendall(piece)
            client.shutdown(socket.SHUT_RDWR)
            there.join()

    @staticmethod
    def _ask(client: socket.socket, upstream: socket.socket) -> None:
        try:
            while piece := client.recv(_PIECE):
                upstream.sendall(piece)
            upstream.shutdown(socket.SHUT_WR)
        except OSError:  # the other side was quicker to end it
            return


@contextmanager
def losing(url: str, lost: int) -> Iterator[Losing]:
    """Serve until the block ends, on an ephemeral port; `lost` answers never arrive."""
    place = urlsplit(url)
    assert place.hostname is not None
    assert place.port is not None
    with Losing((place.hostname, place.port), lost) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="losing")
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

"""A port of a worker's own for its metrics, where no registry serves them: other machines.

Off unless `DRAGOMAN_METRICS_LISTEN` names an address. Whoever scrapes it brings
`DRAGOMAN_METRICS_TOKEN`; without one it listens on loopback only (`shared.config` sees to that).
"""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import Final

from shared.metrics.exposition import CONTENT_TYPE, page
from shared.metrics.snapshot import Snapshot
from shared.setting_values import split_listener

PATH: Final = "/metrics"
REQUEST_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class Exporter:
    """Serves `snapshot()` at `/metrics` of this address and port; raises OSError if it is taken."""

    def __init__(self, listen: str, token: str | None, snapshot: Callable[[], Snapshot]) -> None:
        self._server = _Server(listen, token, snapshot)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics port", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        logger.info("metrics are served", extra={"port": self.port})

    def stop(self) -> None:
        """Close the port and end the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listen: str, token: str | None, snapshot: Callable[[], Snapshot]) -> None:
        self.token = token
        self.snapshot = snapshot
        host, port = split_listener(listen)
        self.address_family = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, int(port)), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_SECONDS

    def do_GET(self) -> None:
        if not is_token(self.headers.get("Authorization"), self.server.token):
            self._answer(401, b"Expected `Authorization: Bearer <DRAGOMAN_METRICS_TOKEN>`.\n")
        elif self.path.partition("?")[0] != PATH:
            self._answer(404, b"Expected /metrics.\n")
        else:
            self._answer(200, page([self.server.snapshot()]), CONTENT_TYPE)

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        logger.debug("scrape", extra={"line": format % args})


def is_token(authorization: str | None, token: str | None) -> bool:
    """Whether this header brings the token; every header does where there is none."""
    if token is None:
        return True
    scheme, _, brought = (authorization or "").partition(" ")
    right = hmac.compare_digest(brought.strip().encode("utf-8", "surrogatepass"), token.encode())
    return scheme.lower() == "bearer" and right

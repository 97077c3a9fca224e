"""A server on this machine may have a certificate of one's own authority."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from cli.api import Api
from cli.connection import Server
from cli.failures import Unreachable


class Answering(BaseHTTPRequestHandler):
    """Answers every GET with an empty object."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A server by https, and the file with its authority."""
    authority, file = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Server(f"https://localhost:{server.server_port}", "dgm_x"), file
        server.shutdown()
        thread.join()


def test_its_authority_is_named_as_for_any_other_program(
    own: tuple[Server, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, file = own
    with Api(server) as api, pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        api.call("GET", "/v1/me")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # is for other machines
    with Api(server) as api:
        assert api.send("GET", "/v1/me") == {}

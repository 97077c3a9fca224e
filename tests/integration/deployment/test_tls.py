"""The proxy's certificate is changed while connections are open: nobody is cut off or refused."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from tests.compose_file import ROOT
from tests.composed import HAPROXY
from tests.eventually import eventually
from tests.ports import free_port

CONFIGURATION = ROOT / "deploy" / "compose" / "haproxy.cfg"
NAME = "dragoman.example"
_UNITS = {"s": 1, "m": 60, "h": 3600}


class Backend(ThreadingHTTPServer):
    """Stands for a registry: `/stream` says one line, and another once `go_on` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.go_on = threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def end(self) -> None:
        self.go_on.set()
        self.shutdown()
        self.thread.join()
        self.server_close()


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.headers['X-Forwarded-Proto']}\n".encode())
        if self.path == "/stream":
            self.wfile.flush()
            assert isinstance(self.server, Backend)
            self.server.go_on.wait(30)
            self.wfile.write(b"end\n")

    def log_message(self, *_: object) -> None:
        """Nothing: these are tests."""


class Proxy:
    """HAProxy as its image runs it, with certificates of an authority of its own."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        assert HAPROXY is not None
        self.authority = trustme.CA()
        self.certificate = folder / "dragoman.pem"
        self.renew()
        self.port, self.tls_port = free_port(), free_port()
        place = f"127.0.0.1:{backend.server_address[1]}"
        env = {
            "PORT": str(self.port),
            "TLS_PORT": str(self.tls_port),
            "TLS_CERTIFICATE": str(self.certificate),
            "REGISTRY_1": place,
            "REGISTRY_2": place,
        }
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [HAPROXY, "-W", "-db", "-f", str(CONFIGURATION)],
                env={**os.environ, **env},
                stdout=log,
                stderr=log,
            )
        eventually(self.answers, 10)

    def renew(self) -> None:
        """Write chain and key anew, in place."""
        made = self.authority.issue_cert(NAME)
        pem = made.private_key_pem.bytes() + b"".join(one.bytes() for one in made.cert_chain_pems)
        self.certificate.write_bytes(pem)

    def connect(self) -> HTTPSConnection:
        """A connection that trusts only this authority."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        # The name of the certificate, at the address of this machine.
        context.check_hostname = False
        connection = HTTPSConnection("127.0.0.1", self.tls_port, timeout=10, context=context)
        connection.connect()
        return connection

    def serial(self) -> str:
        """The number of the certificate that a new connection is shown."""
        connection = self.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        shown = connection.sock.getpeercert()
        connection.close()
        assert shown is not None
        return str(shown["serialNumber"])

    def answers(self) -> bool:
        """Whether a request over TLS reaches a registry."""
        try:
            connection = self.connect()
        except OSError:
            return False
        connection.request("GET", "/health/live")
        answer = connection.getresponse()
        return answer.status == 200 and answer.read() == b"https\n"


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.end()


@pytest.fixture
def proxy(tmp_path: Path, backend: Backend) -> Iterator[Proxy]:
    if HAPROXY is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must not skip this: HAProxy is not on PATH")
        pytest.skip("no HAProxy here")
    proxy = Proxy(tmp_path, backend)
    yield proxy
    proxy.process.terminate()
    proxy.process.wait(10)


def test_plain_http_is_sent_to_https(proxy: Proxy) -> None:
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    connection.request("POST", "/v1/chat/completions", headers={"Host": NAME})
    answer = connection.getresponse()
    there = f"https://{NAME}/v1/chat/completions"
    assert (answer.status, answer.headers["Location"]) == (308, there)
    connection.close()


def test_a_renewed_certificate_is_shown_and_open_streams_go_on(
    proxy: Proxy, backend: Backend
) -> None:
    before, stream = proxy.serial(), proxy.connect()
    stream.request("GET", "/stream")
    answer = stream.getresponse()
    assert answer.readline() == b"https\n"
    assert answer.headers["Strict-Transport-Security"]
    answered: list[bool] = []
    with caller(lambda: answered.append(proxy.answers())):
        proxy.renew()
        proxy.process.send_signal(signal.SIGUSR2)
        eventually(lambda: proxy.serial() != before, 10)
    assert answered
    assert all(answered)
    backend.go_on.set()
    assert answer.read() == b"end\n"
    stream.close()


class caller:  # noqa: N801 - reads as a word
    """Calls again and again, from a thread of its own, until the block ends."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(call,))

    def _run(self, call: Callable[[], object]) -> None:
        while not self._ended.is_set():
            call()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def test_a_proxy_that_was_replaced_waits_as_long_as_any_call_may_take() -> None:
    text = CONFIGURATION.read_text("utf-8")
    found = {
        name: int(number) * _UNITS[unit]
        for name, number, unit in re.findall(
            r"^ +(timeout server|timeout client|hard-stop-after) (\d+)([smh])", text, re.M
        )
    }
    longest = max(found["timeout server"], found["timeout client"])
    assert found["hard-stop-after"] >= longest

"""Each way to break a connection is what both of its ends see, on real sockets."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.eventually import eventually
from tests.faultproxy import FaultProxy, Way, fault_proxy

SILENCE = 0.2  # seconds after which nothing is thought to come
WORD = b"twelve bytes"


class Echo(socketserver.ThreadingTCPServer):
    """Sends back what comes; `ends` says how each connection ended."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echoing)
        self.heard = b""
        self.ends: list[str] = []


class Echoing(socketserver.BaseRequestHandler):
    server: Echo

    def handle(self) -> None:
        try:
            while piece := self.request.recv(65_536):
                self.server.heard += piece
                self.request.sendall(piece)
        except ConnectionResetError:
            self.server.ends.append("reset")
        else:
            self.server.ends.append("closed")


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    host, port = echo.server_address[:2]
    with fault_proxy((str(host), int(port))) as started:
        yield started


@contextmanager
def connected(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        yield client


def said(client: socket.socket, word: bytes = WORD) -> bytes:
    """What comes back for `word`, until it is whole."""
    client.sendall(word)
    found = b""
    while len(found) < len(word):
        piece = client.recv(65_536)
        assert piece, f"the connection ended after {found!r}"
        found += piece
    return found


def silent(client: socket.socket) -> bool:
    """Whether nothing comes, not even an end."""
    client.settimeout(SILENCE)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(5)
    return False


def test_it_passes_bytes_and_orderly_ends_in_both_directions(proxy: FaultProxy, echo: Echo) -> None:
    large = bytes(range(256)) * 8_000
    with connected(proxy) as client:
        sender = threading.Thread(target=client.sendall, args=(large,))
        sender.start()
        found = b""
        while len(found) < len(large):
            found += client.recv(65_536)
        sender.join()
        assert found == large
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    eventually(lambda: echo.ends == ["closed"] and proxy.connections == 0, 5)


def test_pieces_are_delayed_each_by_as_much(proxy: FaultProxy) -> None:
    with connected(proxy) as client:
        proxy.switch(there=Way(delay=0.1), back=Way(delay=0.1))
        began = time.monotonic()
        said(client)
        assert 0.2 <= time.monotonic() - began < 2
        proxy.heal()
        began = time.monotonic()
        said(client)
        assert time.monotonic() - began < 0.1


def test_a_narrow_way_passes_so_many_bytes_a_second(proxy: FaultProxy) -> None:
    with connected(proxy) as client:
        proxy.switch(back=Way(rate=1_000))
        began = time.monotonic()
        assert said(client, bytes(300)) == bytes(300)
        assert 0.25 <= time.monotonic() - began < 2


def test_held_bytes_come_when_the_way_is_free_again(proxy: FaultProxy, echo: Echo) -> None:
    with connected(proxy) as client:
        proxy.switch(there=Way(held=True))
        client.sendall(WORD)
        assert silent(client)
        assert echo.heard == b""
        proxy.heal()
        assert client.recv(100) == WORD


@pytest.mark.parametrize("side", ["there", "back"])
def test_a_black_hole_takes_connections_and_bytes_and_never_gives_them_back(
    proxy: FaultProxy, echo: Echo, side: str
) -> None:
    with connected(proxy) as old:
        proxy.switch(**{side: Way(swallowed=True)})
        with connected(proxy) as new:
            for client in (old, new):
                client.sendall(WORD)
                assert silent(client)
            proxy.heal()
            assert silent(old)
            if side == "there":
                assert echo.heard == b""
            with connected(proxy) as later:
                assert said(later) == WORD
    eventually(lambda: proxy.connections == 0, 5)


def test_a_reset_is_a_reset_for_both_ends_and_for_new_ones_while_it_lasts(
    proxy: FaultProxy, echo: Echo
) -> None:
    with connected(proxy) as client:
        said(client)
        assert proxy.reset(new=True) == 1
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionResetError), connected(proxy) as client:  # noqa: PT012
        client.sendall(WORD)
        client.recv(1)
    eventually(lambda: echo.ends == ["reset"], 5)
    proxy.heal()
    with connected(proxy) as client:
        assert said(client) == WORD


def test_new_connections_are_refused_while_old_ones_go_on(proxy: FaultProxy) -> None:
    with connected(proxy) as client:
        said(client)
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port))
        assert said(client) == WORD
        port = proxy.port
        proxy.heal()
        assert proxy.port == port
        with connected(proxy) as later:
            assert said(later) == WORD


def test_a_forgotten_server_is_gone_and_its_client_hears_nothing(
    proxy: FaultProxy, echo: Echo
) -> None:
    with connected(proxy) as client:
        said(client)
        assert proxy.forget_server() == 1
        eventually(lambda: echo.ends == ["closed"], 5)
        client.sendall(WORD)
        assert silent(client)
        assert echo.heard == WORD
        with connected(proxy) as later:
            assert said(later) == WORD
    eventually(lambda: proxy.connections == 0, 5)


def test_a_forgotten_client_is_gone_and_its_server_hears_nothing(
    proxy: FaultProxy, echo: Echo
) -> None:
    with connected(proxy) as client:
        said(client)
        assert proxy.forget_client() == 1
        assert client.recv(1) == b""
    with connected(proxy) as later:
        assert said(later) == WORD
        assert echo.ends == []


@pytest.mark.parametrize("side", ["there", "back"])
def test_a_message_is_cut_in_its_middle(proxy: FaultProxy, echo: Echo, side: str) -> None:
    with connected(proxy) as client:
        proxy.switch(**{side: Way(cut_after=7)})
        client.sendall(WORD)
        found = b""
        with pytest.raises(ConnectionResetError):  # noqa: PT012
            while True:
                found += client.recv(100)
        if side == "there":
            eventually(lambda: echo.heard == WORD[:7], 5)
        else:
            assert echo.heard == WORD
            assert found in (b"", WORD[:7])  # a reset may overtake what came before it
    eventually(lambda: echo.ends == ["reset"], 5)

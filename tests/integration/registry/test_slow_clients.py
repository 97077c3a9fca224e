"""Slow clients: bodies that drip, answers that nobody takes. The setting says how long."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.registry.conftest import Process, Stage

SECONDS = 1.0
ANSWERS = 200
HEAD = "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n{more}\r\n"


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Process]]:
    """A registry that waits a second for a body, and no longer."""
    folder: Path = tmp_path_factory.mktemp("slow")
    stage = Stage(folder, DRAGOMAN_BODY_SECONDS=str(SECONDS))
    stage.valkey.start()
    try:
        with stage.process() as process:
            yield stage, process
    finally:
        stage.close()


def connected(process: Process) -> socket.socket:
    host, port = process.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def drip(connection: socket.socket, head: str, byte: bytes) -> bytes:
    """Send `byte` again and again until there is an answer; what was answered until the end."""
    connection.sendall(head.encode())
    connection.settimeout(0.1)
    received = b""
    for _ in range(100):
        try:
            connection.sendall(byte)
            piece = connection.recv(65536)
        except TimeoutError:
            continue
        except OSError:  # it was closed behind the answer, with bytes of ours unread
            return received
        if not piece:
            return received
        received += piece
    raise AssertionError(f"still open after 10 s: {received!r}")


@pytest.mark.parametrize("framing", ["Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n"])
def test_a_body_that_drips_is_refused_in_time_and_its_connection_closed(
    patient: tuple[Stage, Process], framing: str
) -> None:
    stage, process = patient
    more = f"Authorization: Bearer {stage.key}\r\n{framing}"
    head = HEAD.format(path="/v1/providers", kind="application/json", more=more)
    byte = b" " if "Length" in framing else b"1\r\n \r\n"
    began = time.monotonic()
    with connected(process) as connection:
        received = drip(connection, head, byte)
    assert SECONDS <= time.monotonic() - began < SECONDS + 5
    first, _, rest = received.partition(b"\r\n")
    assert first.startswith(b"HTTP/1.1 408 ")
    error = json.loads(rest.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] == "body_too_slow"
    assert error["message"].startswith("Expected the whole body within 1 s, got a part of it.")


def test_so_is_a_form_of_somebody_without_a_key(patient: tuple[Stage, Process]) -> None:
    _, process = patient
    kind = "application/x-www-form-urlencoded"
    head = HEAD.format(path="/login", kind=kind, more="Content-Length: 1000\r\n")
    with connected(process) as connection:
        assert drip(connection, head, b"k").startswith(b"HTTP/1.1 408 ")


def test_a_body_in_pieces_that_comes_in_time_is_served_as_is_what_follows_it(
    patient: tuple[Stage, Process],
) -> None:
    stage, process = patient
    body = json.dumps({"name": "few"}).encode()
    more = f"Authorization: Bearer {stage.key}\r\nContent-Length: {len(body)}\r\n"
    head = HEAD.format(path="/v1/keys", kind="application/json", more=more)
    with connected(process) as connection:
        for _ in range(2):
            connection.sendall(head.encode() + body[:5])
            time.sleep(SECONDS * 0.6)
            connection.sendall(body[5:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")


def ask_often(connection: socket.socket, times: int) -> None:
    """Requests one behind the other, whose answers are more than all buffers between hold."""
    connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * times)


def taken(connection: socket.socket, pause: float) -> int:
    """How many bytes come until the end, or until for a second none do."""
    connection.settimeout(1)
    size = 0
    try:
        while piece := connection.recv(1 << 20):
            size += len(piece)
            time.sleep(pause)
    except (TimeoutError, ConnectionResetError):
        pass
    return size


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side takes no more of what is sent."""
    try:
        for _ in range(10):
            connection.sendall(b"GET ")
            time.sleep(0.05)
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


@pytest.fixture(scope="module")
def whole(patient: tuple[Stage, Process]) -> int:
    """The bytes of all answers, which are as long as each other."""
    _, process = patient
    with connected(process) as connection:
        ask_often(connection, 1)
        return ANSWERS * taken(connection, 0)


def test_who_takes_nothing_of_an_answer_is_left(patient: tuple[Stage, Process], whole: int) -> None:
    stage, process = patient
    with connected(process) as connection:
        ask_often(connection, ANSWERS)
        time.sleep(SECONDS + 1)
        assert taken(connection, 0) < whole
        assert is_closed(connection)
    assert " ERROR " not in stage.log.read_text()


def test_who_takes_answers_slowly_gets_all_of_them(
    patient: tuple[Stage, Process], whole: int
) -> None:
    _, process = patient
    began = time.monotonic()
    with connected(process) as connection:
        ask_often(connection, ANSWERS)
        assert taken(connection, 0.05) == whole
    assert time.monotonic() - began > SECONDS + 0.5

"""The head of an answer and the begin of its body are one write."""

from __future__ import annotations

import pytest

from services.registry.sockets import HeadFirst


class Client:
    """A socket that takes at most `room` bytes at once."""

    def __init__(self, room: int = 1_000) -> None:
        self.sent: list[bytes] = []
        self.timeouts: list[float | None] = []
        self._room = room

    def settimeout(self, seconds: float | None) -> None:
        self.timeouts.append(seconds)

    def send(self, data: bytes) -> int:
        if not self._room:
            raise TimeoutError
        self.sent.append(bytes(data[: self._room]))
        return len(self.sent[-1])

    def fileno(self) -> int:
        return 7


def test_head_and_first_bytes_go_out_together_and_what_follows_at_once() -> None:
    client = Client()
    answer = HeadFirst(client, 2.0)
    answer.sendall(b"head;")
    assert client.sent == []
    answer.sendall(b"one;")
    answer.sendall(b"two;")
    answer.end()
    assert client.sent == [b"head;one;", b"two;"]


def test_what_the_socket_does_not_take_at_once_follows() -> None:
    client = Client(room=6)
    answer = HeadFirst(client, 2.0)
    answer.sendall(b"head;")
    answer.sendall(b"one;")
    assert client.sent == [b"head;o", b"ne;"]


def test_an_answer_without_a_body_is_sent_at_its_end_once() -> None:
    client = Client()
    answer = HeadFirst(client, 2.0)
    answer.sendall(b"head;")
    answer.end()
    answer.end()
    assert client.sent == [b"head;"]


def test_nothing_is_sent_of_no_answer_and_all_else_is_the_sockets_own() -> None:
    client = Client()
    answer = HeadFirst(client, 2.0)
    answer.end()
    assert client.sent == []
    assert answer.fileno() == 7
    with pytest.raises(AttributeError):
        answer.unknown  # noqa: B018


def test_a_client_that_takes_nothing_is_told_as_one_that_left() -> None:
    """Which gunicorn knows; its waiting has a bound, and what is read afterwards has none of it."""
    client = Client(room=0)
    answer = HeadFirst(client, 2.0)
    answer.sendall(b"head;")
    with pytest.raises(ConnectionResetError, match="took nothing of its answer for 2 s"):
        answer.sendall(b"one;")
    answer.end()
    assert client.timeouts == [2.0, None]

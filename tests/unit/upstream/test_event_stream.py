"""Server-sent events as chat servers send them: every spelling, split anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.upstream.event_stream import MAX_LINE, Event, EventParser, LineTooLong


def events(parts: Iterable[bytes]) -> list[Event]:
    parser = EventParser()
    found = [event for part in parts for event in parser.feed(part)]
    return found + parser.close()


def data(raw: bytes) -> list[bytes]:
    return [event.data for event in events([raw])]


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a \n\n", [b" a "]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\ndata: b\ndata:c\n\n", [b"a\nb\nc"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [b"a"]),
        (b": comment\n\n:\n: more\ndata: a\n: inside\n\n", [b"a"]),
        (b"id: 7\nretry: 5\nevent: message\nwhatever: x\nwhatever\ndata: a\n\n", [b"a"]),
        (b"data:\n\ndata\n\ndata: \n\n", []),
        (b" data: a\n\nDATA: a\n\n", []),
        ("data: é😀\n\n".encode(), ["é😀".encode()]),
        (b"data: \xff\x00\n\n", [b"\xff\x00"]),
    ],
)
def test_what_is_read(raw: bytes, found: list[bytes]) -> None:
    assert data(raw) == found


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n", b"\n\n"])
def test_the_last_event_needs_no_blank_line_and_no_line_feed(end: bytes) -> None:
    assert data(b"data: a\n\ndata: [DONE]" + end) == [b"a", b"[DONE]"]


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b'event: error\ndata: {"a":1}\n\ndata: b\n\n', [(b'{"a":1}', True), (b"b", False)]),
        (b'event:error\ndata: {"a":1}\n\n', [(b'{"a":1}', True)]),
        (b'error: {"a":1}\n\n', [(b'{"a":1}', True)]),
        (b"event: error\n\ndata: b\n\n", [(b"b", False)]),
        (b"event: errors\ndata: b\n\n", [(b"b", False)]),
        (b"event: error\nevent: message\ndata: b\n\n", [(b"b", False)]),
    ],
)
def test_an_error_is_told_by_its_event_or_by_llama_servers_own_field(
    raw: bytes, found: list[tuple[bytes, bool]]
) -> None:
    assert [tuple(event) for event in events([raw])] == found


LINES = st.sampled_from(
    [b"data: ", b"data:", b":", b"event: error", b"error: x", b"id: 1", b"", b"\xef\xbb\xbf", b"da"]
)
TEXTS = st.binary(max_size=6) | st.sampled_from(["é".encode(), "😀".encode(), b"{}", b"[DONE]"])
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b""])
STREAMS = st.lists(st.tuples(LINES, TEXTS, ENDS).map(b"".join), max_size=12).map(b"".join)


@given(STREAMS, st.lists(st.integers(min_value=0, max_value=200), max_size=20))
@example(b"data: a\r\n\r\n", [8])
@example(b"data: a\r\n\r\n", [8, 8, 9, 10])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2, 3])
def test_any_split_of_the_bytes_gives_the_same_events(raw: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(raw), *(min(cut, len(raw)) for cut in cuts)})
    parts = [raw[begin:end] for begin, end in itertools.pairwise(places)]
    assert events(parts) == events([raw])
    assert events(bytes((byte,)) for byte in raw) == events([raw])


def test_a_line_of_1_mib_is_read_and_a_longer_one_is_refused() -> None:
    fits = b"data:" + b"x" * (MAX_LINE - 5)
    assert len(data(fits + b"\n\n")[0]) == MAX_LINE - 5
    for raw in (fits + b"y\n\n", fits + b"y", b":" + b"x" * MAX_LINE):
        with pytest.raises(LineTooLong):
            data(raw)
    with pytest.raises(LineTooLong):
        events([fits] + [b"y"] * 2)


def test_an_endless_line_in_small_pieces_is_not_copied_with_each_of_them() -> None:
    """Joined each time, these pieces would be 64 GB; a second is far more than they take."""
    parser = EventParser()
    for _ in range(MAX_LINE // 8):
        assert parser.feed(b"12345678") == []
    with pytest.raises(LineTooLong):
        parser.feed(b"9")

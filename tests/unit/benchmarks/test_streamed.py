"""What arrived of a stream is read afterwards: its text, and when each piece was there."""

from __future__ import annotations

import pytest

from benchmarks.scenarios.streams import Broken, Streamed


def data(*, content: str | None = None, sent: float | None = None) -> bytes:
    delta = f'{{"content": "{content}"}}' if content is not None else "{}"
    stamp = f', "sim_sent_at": {sent}' if sent is not None else ""
    return f'data: {{"choices": [{{"delta": {delta}}}]{stamp}}}\n\n'.encode()


def test_a_piece_has_the_time_of_the_read_that_completed_it() -> None:
    first, second = data(content="one", sent=10.0), data(content=" two", sent=10.5)
    arrived = [
        (10.1, data()),
        (10.2, first[:9]),
        (10.3, first[9:] + second[:5]),
        (10.7, second[5:]),
    ]
    text, first_piece, deliveries = Streamed(10.0, [*arrived, (10.8, b"data: [DONE]\n\n")]).spoken()
    assert text == "one two"
    assert first_piece == pytest.approx(0.3)
    assert deliveries == pytest.approx([0.3, 0.2])


def test_comments_are_no_chunks() -> None:
    streamed = Streamed(0.0, [(1.0, b": ping\n\n" + data(content="x") + b"data: [DONE]\n\n")])
    assert streamed.spoken()[0] == "x"


@pytest.mark.parametrize("end", [b"", b'data: {"choi', b"data: [DONE]"])
def test_a_stream_that_does_not_end_with_done_is_broken(end: bytes) -> None:
    with pytest.raises(Broken, match="ends with"):
        Streamed(0.0, [(1.0, data(content="x") + end)]).spoken()

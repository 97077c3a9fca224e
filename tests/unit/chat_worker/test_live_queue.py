"""What waits for Redis: in turn, in order, in entries of a bounded size, and never too much."""

from __future__ import annotations

import pytest

from services.chat_worker import live_queue
from services.chat_worker.live_queue import LiveQueue, LiveStream, Parcel


@pytest.fixture
def queue() -> LiveQueue:
    """A queue that is closed, so that taking from it never waits."""
    queue = LiveQueue()
    queue.close()
    return queue


def stream_of(queue: LiveQueue, job_id: str, *chunks: bytes) -> LiveStream:
    stream = queue.stream(job_id, silence=60)
    for chunk in chunks:
        stream.append(chunk)
    return stream


def taken(queue: LiveQueue) -> list[tuple[str, int, list[bytes]]]:
    return [
        (parcel.stream.job_id, parcel.entry.first, list(parcel.entry.chunks))
        for parcel in queue.take()
    ]


def test_what_piles_up_of_one_job_is_one_entry(queue: LiveQueue) -> None:
    stream = stream_of(queue, "a", b"0", b"1")
    stream_of(queue, "b", b"x")
    stream.append(b"2")
    assert taken(queue) == [("a", 0, [b"0", b"1", b"2"]), ("b", 0, [b"x"])]
    stream.append(b"3")
    assert taken(queue) == [("a", 3, [b"3"])]
    assert taken(queue) == []


def test_the_end_waits_behind_the_last_chunk_and_comes_alone_after_it(queue: LiveQueue) -> None:
    stream = stream_of(queue, "a", b"0")
    stream.end()
    assert taken(queue) == [("a", 0, [b"0"])]
    stream.end()
    assert taken(queue) == [("a", 1, [])]


def test_a_stream_that_never_began_has_no_end(queue: LiveQueue) -> None:
    stream_of(queue, "a").end()
    assert taken(queue) == []


def test_what_is_put_back_comes_first_and_goes_before_what_came_since(queue: LiveQueue) -> None:
    stream_of(queue, "a", b"0")
    second = stream_of(queue, "b", b"0")
    parcels = queue.take()
    stream_of(queue, "c", b"0")
    second.append(b"1")
    queue.put_back(parcels)
    assert taken(queue) == [("a", 0, [b"0"]), ("b", 0, [b"0", b"1"]), ("c", 0, [b"0"])]


def test_an_end_that_is_put_back_comes_again(queue: LiveQueue) -> None:
    stream = stream_of(queue, "a", b"0")
    queue.take()
    stream.end()
    queue.put_back(queue.take())
    assert taken(queue) == [("a", 1, [])]


def test_entries_and_batches_have_a_bounded_size(
    queue: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_queue, "ENTRY_BYTES", 10)
    monkeypatch.setattr(live_queue, "BATCH_BYTES", 25)
    stream_of(queue, "a", b"12345", b"12345", b"1", b"2")
    stream_of(queue, "b", b"longer than an entry", b"x")
    stream_of(queue, "c", b"y")
    assert taken(queue) == [
        ("a", 0, [b"12345", b"12345"]),
        ("b", 0, [b"longer than an entry"]),
    ]
    assert taken(queue) == [("c", 0, [b"y"]), ("a", 2, [b"1", b"2"]), ("b", 1, [b"x"])]


def test_beyond_its_bound_the_stream_that_waits_longest_is_given_up_for_good(
    queue: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_queue, "MOST_BYTES", 10)
    oldest = stream_of(queue, "a", b"123456")
    stream_of(queue, "b", b"1234")
    stream_of(queue, "c", b"1")
    oldest.append(b"7")
    assert taken(queue) == [("b", 0, [b"1234"]), ("c", 0, [b"1"])]
    oldest.append(b"8")
    assert taken(queue) == []
    oldest.end()
    assert taken(queue) == [("a", 3, [])]


def test_a_stream_given_up_while_it_was_sent_is_not_put_back(queue: LiveQueue) -> None:
    stream = stream_of(queue, "a", b"0")
    parcels = queue.take()
    queue.give_up(stream)
    queue.put_back(parcels)
    assert taken(queue) == []


def test_the_bound_counts_what_waits_and_not_what_was_taken(
    queue: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_queue, "MOST_BYTES", 10)
    stream = stream_of(queue, "a")
    for number in range(100):
        stream.append(b"123456")
        assert taken(queue) == [("a", number, [b"123456"])]
    for _ in range(3):
        stream.append(b"123")
        parcels: list[Parcel] = [*queue.take()]
        queue.put_back(parcels)
    assert taken(queue) == [("a", 100, [b"123", b"123", b"123"])]

"""Who has which chunks: what is sent to whom, in turn, in order, in messages of a bounded size."""

from __future__ import annotations

import pytest

from services.chat_worker import live_queue
from services.chat_worker.live_queue import LiveQueue, LiveStream
from shared.live import FOLLOWED_SECONDS, Follows


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> LiveQueue:
    return LiveQueue(monotonic=clock)


def stream_of(queue: LiveQueue, job_id: str, *chunks: bytes, shown: bool = True) -> LiveStream:
    stream = queue.stream(job_id)
    if shown:
        stream.show()
    for chunk in chunks:
        stream.append(chunk)
    return stream


def taken(queue: LiveQueue) -> dict[str, list[tuple[str, int, list[bytes]]]]:
    """What is sent now, by reader: job, first number, chunks."""
    return {
        reader: [(entry.job_id, entry.first, list(entry.chunks)) for entry in entries]
        for reader, entries in queue.take().entries.items()
    }


def follow(queue: LiveQueue, reader: str, **lasts: int) -> None:
    queue.follow(Follows(reader, begin=lasts))


def test_what_nobody_follows_is_not_sent(queue: LiveQueue) -> None:
    stream_of(queue, "a", b"0", b"1")
    assert not queue.due.is_set()
    assert taken(queue) == {}


def test_what_piles_up_for_a_reader_is_one_entry_a_job(queue: LiveQueue) -> None:
    follow(queue, "r", a=-1, b=-1)
    stream = stream_of(queue, "a", b"0", b"1")
    stream_of(queue, "b", b"x")
    stream.append(b"2")
    assert queue.due.is_set()
    assert taken(queue) == {"r": [("a", 0, [b"0", b"1", b"2"]), ("b", 0, [b"x"])]}
    assert not queue.due.is_set()
    stream.append(b"3")
    assert taken(queue) == {"r": [("a", 3, [b"3"])]}


def test_each_reader_is_where_he_is(queue: LiveQueue) -> None:
    follow(queue, "r", a=-1)
    stream = stream_of(queue, "a", b"0", b"1")
    taken(queue)
    stream.append(b"2")
    follow(queue, "late", a=0)
    assert taken(queue) == {"r": [("a", 2, [b"2"])], "late": [("a", 1, [b"1", b"2"])]}


def test_a_reader_who_came_before_the_claim_is_remembered(queue: LiveQueue) -> None:
    follow(queue, "r", a=-1)
    stream_of(queue, "a", b"0")
    assert taken(queue) == {"r": [("a", 0, [b"0"])]}


def test_nothing_is_sent_before_it_may_be_seen_and_then_all(queue: LiveQueue) -> None:
    follow(queue, "r", a=-1)
    stream = stream_of(queue, "a", b"0", b"1", shown=False)
    assert taken(queue) == {}
    follow(queue, "late", a=-1)
    assert taken(queue) == {}
    stream.show()
    assert taken(queue) == {name: [("a", 0, [b"0", b"1"])] for name in ("r", "late")}


def test_what_nobody_saw_may_begin_anew_for_the_same_readers(queue: LiveQueue) -> None:
    follow(queue, "r", a=-1)
    first = stream_of(queue, "a", b"lost", shown=False)
    first.end()
    stream_of(queue, "a", b"0")
    assert taken(queue) == {"r": [("a", 0, [b"0"])]}


def test_the_end_of_an_earlier_claim_ends_no_later_one(queue: LiveQueue) -> None:
    first = stream_of(queue, "a", shown=False)
    second = stream_of(queue, "a", b"0")
    first.end()
    follow(queue, "r", a=-1)
    second.append(b"1")
    assert taken(queue) == {"r": [("a", 0, [b"0", b"1"])]}


def test_what_is_missed_is_sent_again(queue: LiveQueue) -> None:
    follow(queue, "r", a=-1)
    stream_of(queue, "a", b"0", b"1", b"2")
    taken(queue)
    follow(queue, "r", a=0)
    assert taken(queue) == {"r": [("a", 1, [b"1", b"2"])]}


def test_a_renewal_sends_nothing_again_but_begins_where_it_was_not_known(queue: LiveQueue) -> None:
    follow(queue, "r", a=-1)
    stream_of(queue, "a", b"0", b"1")
    taken(queue)
    queue.follow(Follows("r", still={"a": 0}))
    assert taken(queue) == {}
    queue.follow(Follows("unheard", still={"a": 0}))
    assert taken(queue) == {"unheard": [("a", 1, [b"1"])]}


def test_who_is_not_renewed_is_forgotten(queue: LiveQueue, clock: Clock) -> None:
    follow(queue, "gone", a=-1)
    stream = stream_of(queue, "a", b"0")
    taken(queue)
    clock.now += FOLLOWED_SECONDS / 2
    follow(queue, "r", a=0)
    clock.now += FOLLOWED_SECONDS / 2 + 1
    queue.follow(Follows("r", still={"a": 0}))
    stream.append(b"1")
    assert taken(queue) == {"r": [("a", 1, [b"1"])]}


def test_who_stops_gets_nothing_more(queue: LiveQueue) -> None:
    follow(queue, "r", a=-1, b=-1)
    follow(queue, "other", a=-1)
    first, second = stream_of(queue, "a", b"0"), stream_of(queue, "b", b"0")
    taken(queue)
    queue.follow(Follows("r", stop=("a", "never followed")))
    first.append(b"1")
    second.append(b"1")
    assert taken(queue) == {"other": [("a", 1, [b"1"])], "r": [("b", 1, [b"1"])]}
    queue.gone("r")
    second.append(b"2")
    assert taken(queue) == {}


def test_what_is_left_at_the_end_is_sent_and_then_nothing_is_kept(queue: LiveQueue) -> None:
    follow(queue, "r", a=-1, b=-1)
    last, sent = stream_of(queue, "a", b"0"), stream_of(queue, "b", b"0")
    last.end()
    assert taken(queue) == {"r": [("a", 0, [b"0"]), ("b", 0, [b"0"])]}
    sent.end()
    assert (queue._readers, queue._running) == ({}, {})


def test_what_was_not_sent_is_sent_again_also_after_the_end(queue: LiveQueue) -> None:
    follow(queue, "r", a=-1, b=-1)
    ended, running = stream_of(queue, "a", b"0"), stream_of(queue, "b", b"0")
    ended.end()
    batch = queue.take()
    running.append(b"1")
    queue.put_back(batch)
    assert taken(queue) == {"r": [("b", 0, [b"0", b"1"]), ("a", 0, [b"0"])]}
    assert "a" not in queue._readers


def test_entries_and_batches_have_a_bounded_size_and_come_in_turn(
    queue: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_queue, "ENTRY_BYTES", 10)
    monkeypatch.setattr(live_queue, "BATCH_BYTES", 25)
    follow(queue, "r", a=-1, b=-1, c=-1)
    stream_of(queue, "a", b"12345", b"12345", b"1", b"2")
    stream_of(queue, "b", b"longer than an entry", b"x")
    stream_of(queue, "c", b"y")
    assert taken(queue) == {
        "r": [("a", 0, [b"12345", b"12345"]), ("b", 0, [b"longer than an entry"])]
    }
    assert taken(queue) == {"r": [("c", 0, [b"y"]), ("a", 2, [b"1", b"2"]), ("b", 1, [b"x"])]}
    assert not queue.due.is_set()


def test_followers_of_very_many_jobs_are_not_all_kept_in_mind(
    queue: LiveQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_queue, "MOST_FOLLOWED", 2)
    follow(queue, "r", a=-1, b=-1, c=-1)
    follow(queue, "other", b=-1)
    for name in "abc":
        stream_of(queue, name, b"0")
    assert taken(queue) == {
        "r": [("a", 0, [b"0"]), ("b", 0, [b"0"])],
        "other": [("b", 0, [b"0"])],
    }

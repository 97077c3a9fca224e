"""The log of a job's chunks, as its row keeps it."""

from __future__ import annotations

import gzip

import pytest

from shared.live import ChunkLog, chunk_log, logged_chunks


def chunk(number: int) -> bytes:
    return (
        b'{"id":"chatcmpl-01J","object":"chat.completion.chunk","model":"acme/m","choices":'
        b'[{"index":0,"delta":{"content":" w%d"}}],"sequence_number":%d}' % (number * 7919, number)
    )


@pytest.mark.parametrize("count", [1, 2, 3_000])
def test_every_chunk_comes_back_in_order(count: int) -> None:
    log = ChunkLog()
    chunks = [chunk(number) for number in range(count)]
    for each in chunks:
        log.append(each)
    assert (log.count, log.size) == (count, sum(len(each) + 1 for each in chunks))
    assert logged_chunks(log.packed()) == chunks


def test_a_log_is_json_lines_that_any_gunzip_reads() -> None:
    log = ChunkLog()
    log.append(b'{"n":0}')
    log.append(b'{"n":1}')
    assert gzip.decompress(log.packed()) == b'{"n":0}\n{"n":1}\n'


def test_a_log_that_is_packed_goes_on() -> None:
    log = ChunkLog()
    log.append(b"{}")
    log.packed()
    log.append(b"[]")
    assert logged_chunks(log.packed()) == [b"{}", b"[]"]


def test_a_log_without_a_chunk_is_empty() -> None:
    assert ChunkLog().packed() == b""


def test_a_long_log_takes_a_tenth_of_its_size_at_most() -> None:
    log = ChunkLog()
    for number in range(3_000):
        log.append(chunk(number))
    assert len(log.packed()) < log.size / 10


@pytest.mark.parametrize("count", [0, 1, 5, 2_000])
def test_what_a_reader_misses_is_found_wherever_it_is(count: int) -> None:
    log, chunks = ChunkLog(), [b'{"sequence_number":%d}' % number * 3 for number in range(count)]
    for chunk in chunks:
        log.append(chunk)
    for first in {0, 1, 4, 499, 500, count - 1, count} - {-1}:
        assert log.since(first, 1_000_000) == chunks[first:]
        part = log.since(first, 1_000)
        assert part == chunks[first : first + len(part)]
        assert sum(map(len, part)) <= 1_000
        assert len(part) >= min(14, count - first)
    assert log.count == count


def test_a_chunk_that_is_longer_than_what_is_asked_for_comes_alone() -> None:
    log = ChunkLog()
    for chunk in (b"x" * 100_000, b"y" * 100_000, b"z"):
        log.append(chunk)
    assert [log.since(first, 10) for first in range(4)] == [
        [b"x" * 100_000],
        [b"y" * 100_000],
        [b"z"],
        [],
    ]


def test_a_log_that_was_packed_goes_on() -> None:
    log = ChunkLog()
    log.append(b"0")
    log.packed()
    log.append(b"1")
    assert log.since(0, 100) == [b"0", b"1"]
    assert log.since(1, 100) == [b"1"]
    assert logged_chunks(log.packed()) == [b"0", b"1"]


def test_the_last_chunks_are_at_hand_once_a_log_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    log = ChunkLog()
    log.append(b"0")
    log.packed()
    monkeypatch.setattr(chunk_log, "logged_chunks", None)  # unpacking would be an error
    assert log.since(0, 100) == [b"0"]

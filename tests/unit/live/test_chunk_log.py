"""The log of a job's chunks, as its row keeps it."""

from __future__ import annotations

import gzip

import pytest

from shared.live import ChunkLog, logged_chunks


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

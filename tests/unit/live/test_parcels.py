"""Chunks on their way: what is in a message, who opens it, and what a reader takes from it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.crypto import SealBroken, Sealer
from shared.keyring import Keyring
from shared.live import Entry, channel_of, open_entries, seal_entries

SEALER = Sealer(Keyring.generate())
CHUNKS = [b'{"sequence_number":%d,"content":"\xc3\xa9\\n"}' % number for number in range(5, 8)]
ENTRIES = [Entry("01J", 5, CHUNKS), Entry("01K", 0, [b"{}"]), Entry("01L", 9, CHUNKS[:2])]


def test_what_is_sealed_opens_again_job_by_job_and_chunk_by_chunk() -> None:
    message = seal_entries(SEALER, "wrk_1", ENTRIES)
    assert open_entries(SEALER, "wrk_1", message) == ENTRIES
    assert b"sequence_number" not in message
    assert b"01J" not in message


def test_a_message_may_be_large() -> None:
    entries = [Entry("01J", 0, [b"x" * 1_000_000, b"y"]), Entry("01K", 0, [b"z"] * 50_000)]
    assert open_entries(SEALER, "wrk_1", seal_entries(SEALER, "wrk_1", entries)) == entries


@pytest.mark.parametrize(
    "changed",
    [
        lambda message: message[:-1] + bytes([message[-1] ^ 1]),
        lambda message: message[:-20],
        lambda message: b"v2" + message[2:],
        lambda _: b"",
        lambda _: b"v1.none.of ours, but as long as one of them would be",
        lambda _: b"v1.\xff\xfe.",
    ],
)
def test_what_no_worker_of_ours_wrote_does_not_open(changed: Callable[[bytes], bytes]) -> None:
    message = seal_entries(SEALER, "wrk_1", ENTRIES)
    with pytest.raises(SealBroken):
        open_entries(SEALER, "wrk_1", changed(message))


def test_a_message_opens_for_its_reader_only() -> None:
    with pytest.raises(SealBroken):
        open_entries(SEALER, "wrk_2", seal_entries(SEALER, "wrk_1", ENTRIES))


@pytest.mark.parametrize(
    ("last", "taken"),
    [
        (3, None),  # number 4 is missing
        (4, CHUNKS),
        (5, CHUNKS[1:]),
        (6, CHUNKS[2:]),
        (7, []),
        (9, []),
    ],
)
def test_a_reader_takes_what_is_new_to_him_and_sees_a_gap(
    last: int, taken: list[bytes] | None
) -> None:
    assert ENTRIES[0].after(last) == taken


def test_a_reader_before_the_first_chunk_takes_all() -> None:
    assert Entry("01J", 0, CHUNKS).after(-1) == CHUNKS


def test_each_reader_has_the_channel_that_everybody_uses() -> None:
    assert channel_of("wrk_1") == "dragoman:live:wrk_1"

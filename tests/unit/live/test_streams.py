"""An entry of a job's stream: what is in it, who can open it, and what a reader takes from it."""

from __future__ import annotations

import pytest

from shared.crypto import SealBroken, Sealer
from shared.keyring import Keyring
from shared.live import Entry, entry_id, open_entry, position_after, seal_entry, stream_key

SEALER = Sealer(Keyring.generate())
CHUNKS = [b'{"sequence_number":%d,"content":"\xc3\xa9\\n"}' % number for number in range(5, 8)]
ENTRY = Entry(5, CHUNKS)


def test_what_is_sealed_opens_again_chunk_by_chunk() -> None:
    fields = seal_entry(SEALER, "01J", ENTRY)
    assert fields["first"] == "5"
    assert open_entry(SEALER, "01J", fields) == ENTRY
    assert "sequence_number" not in str(fields)


@pytest.mark.parametrize(
    ("job_id", "changed"),
    [
        ("01K", {}),  # moved to another job
        ("01J", {"first": "4"}),  # said to begin elsewhere
        ("01J", {"first": "five"}),
        ("01J", {"sealed": "v1.none.of.ours"}),
    ],
)
def test_an_entry_opens_only_where_it_was_written(job_id: str, changed: dict[str, str]) -> None:
    fields = seal_entry(SEALER, "01J", ENTRY) | changed
    with pytest.raises(SealBroken):
        open_entry(SEALER, job_id, fields)


@pytest.mark.parametrize("field", ["first", "sealed"])
def test_an_entry_without_a_field_is_none_of_ours(field: str) -> None:
    fields = seal_entry(SEALER, "01J", ENTRY)
    del fields[field]
    with pytest.raises(SealBroken):
        open_entry(SEALER, "01J", fields)


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
    assert ENTRY.after(last) == taken


def test_a_reader_before_the_first_chunk_takes_all() -> None:
    assert Entry(0, CHUNKS).after(-1) == CHUNKS


def place(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("-"))


@pytest.mark.parametrize("last", range(-1, 7))
def test_behind_a_readers_position_are_exactly_the_entries_that_hold_something_new(
    last: int,
) -> None:
    entries = [Entry(0, CHUNKS[:2]), Entry(2, CHUNKS[:1]), Entry(3, CHUNKS)]
    for entry in entries:
        behind = place(entry_id(entry)) > place(position_after(last))
        assert behind is (entry.first + len(entry.chunks) - 1 > last)


def test_the_stream_of_a_job_has_the_key_that_everybody_uses() -> None:
    assert stream_key("01J") == "dragoman:live:01J"

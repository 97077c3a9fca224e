"""The chunks of a running job on their way to whoever follows it: one Redis stream a job.

    key     `dragoman:live:<bare job id>`
    entry   id `<next>-0`, where `next` is the number of the chunk that follows those within
    first   number of the first chunk within, decimal; a job's chunks count 0, 1, 2, …
    sealed  the chunks, sealed at table `live`, row <bare job id>, column <first>

A chunk is one JSON object in UTF-8 as clients get it after `data: `, our fields and its
`sequence_number` included; the sealed text holds them with a line feed between each two.

Only one worker ever writes a job's stream, each entry goes on where the one before ended, and an
id that exists is refused: so an entry that is sent twice is stored once. Chunks may still come
twice (in a longer entry, after a failure that was none) or be missing (Redis was wiped or away for
too long): `Entry.after` tells both. A stream lives for `KEPT_SECONDS` after its job ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.crypto import SealBroken, Sealer

KEPT_SECONDS: Final = 60
_TABLE: Final = "live"


@dataclass(frozen=True, slots=True)
class Entry:
    """Some chunks of a job in a row; `first` is the number of the first, and there is one."""

    first: int
    chunks: Sequence[bytes]

    def after(self, last: int) -> Sequence[bytes] | None:
        """Its chunks that follow number `last` (-1: all); None when some before it are missing.

        Empty when the reader had all of them.
        """
        if self.first > last + 1:
            return None
        return self.chunks[last + 1 - self.first :]


def stream_key(job_id: str) -> str:
    """The Redis key of the stream of the job with this bare id."""
    return f"dragoman:live:{job_id}"


def position_after(last: int) -> str:
    """Where a reader who has the chunks up to number `last` begins to XREAD (-1: from the start).

    All entries behind this position hold something new to him, and none before it does.
    """
    return f"{last + 1}-0"


def entry_id(entry: Entry) -> str:
    """The id under which an entry is added; greater than all before it."""
    return f"{entry.first + len(entry.chunks)}-0"


def seal_entry(sealer: Sealer, job_id: str, entry: Entry) -> dict[str, str]:
    """The fields of an entry."""
    first = str(entry.first)
    sealed = sealer.seal(b"\n".join(entry.chunks), table=_TABLE, row=job_id, column=first)
    return {"first": first, "sealed": sealed}


def open_entry(sealer: Sealer, job_id: str, fields: Mapping[str, str]) -> Entry:
    """The entry with these fields; raises SealBroken for whatever no worker of ours wrote."""
    try:
        first, sealed = fields["first"], fields["sealed"]
        number = int(first)
    except (KeyError, ValueError):
        raise SealBroken(f"live {job_id}: an entry without its fields") from None
    plain = sealer.open(sealed, table=_TABLE, row=job_id, column=first)
    return Entry(number, plain.split(b"\n"))

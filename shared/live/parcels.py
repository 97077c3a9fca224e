"""The chunks of running jobs on their way to one reader: a registry process that follows them.

    channel  `dragoman:live:<reader>`, a Redis channel: what nobody hears is gone
    message  chunks of any number of jobs, sealed at table `live`, row <reader>, column `chunks`

A chunk is one JSON object in UTF-8 as clients get it after `data: `, our fields and its
`sequence_number` included. The sealed text holds, for each job, the line `<bare job id> <number of
the first chunk> <count>` and the chunks, a line each; a job's chunks count 0, 1, 2, …

Chunks may come twice or be missing, and `Entry.after` tells both. Whoever misses some asks for them
again (`live.follows`): the worker has all chunks of a job that runs, the row those of one that
ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shared.crypto import Sealer

_TABLE: Final = "live"
_COLUMN: Final = "chunks"


@dataclass(frozen=True, slots=True)
class Entry:
    """Some chunks of a job in a row; `first` is the number of the first, and there is one."""

    job_id: str
    first: int
    chunks: Sequence[bytes]

    def after(self, last: int) -> Sequence[bytes] | None:
        """Its chunks that follow number `last` (-1: all); None when some before it are missing.

        Empty when the reader had all of them.
        """
        if self.first > last + 1:
            return None
        return self.chunks[last + 1 - self.first :]


def channel_of(reader: str) -> str:
    """The channel on which this reader hears."""
    return f"dragoman:live:{reader}"


def seal_entries(sealer: Sealer, reader: str, entries: Iterable[Entry]) -> bytes:
    """The message that brings these entries to a reader."""
    lines: list[bytes] = []
    for entry in entries:
        lines.append(b"%b %d %d" % (entry.job_id.encode(), entry.first, len(entry.chunks)))
        lines += entry.chunks
    return sealer.seal_bytes(b"\n".join(lines), table=_TABLE, row=reader, column=_COLUMN)


def open_entries(sealer: Sealer, reader: str, message: bytes) -> list[Entry]:
    """The entries in a message; raises SealBroken for whatever no worker of ours wrote to him."""
    lines = sealer.open_bytes(message, table=_TABLE, row=reader, column=_COLUMN).split(b"\n")
    entries = []
    place = 0
    while place < len(lines):
        job_id, first, count = lines[place].split()
        begin, place = place + 1, place + 1 + int(count)
        entries.append(Entry(job_id.decode(), int(first), lines[begin:place]))
    return entries

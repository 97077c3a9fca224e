"""Jobs as responses: whatever route they came by, and whether they were streamed or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from services.registry import problems
from services.registry.chat.documents import Seen, facts, failure
from services.registry.chat.frames import Frames, stored_chunks
from services.registry.chat.naming import RESPONSES
from services.registry.parts import Parts
from services.registry.responses import documents
from services.registry.responses.frames import EventFrames
from services.registry.responses.output import Output
from shared.crypto import SealBroken
from shared.store import jobs
from shared.store.jobs import Job, StoredLog


class ResponseView:
    """Jobs as responses. Raises SealBroken where the client's own body does not open."""

    naming = RESPONSES
    opens = True  # its first events tell the id by which a client comes back

    def __init__(self, parts: Parts) -> None:
        self._sealer = parts.sealer
        self._read = parts.transactions.read

    def document(self, seen: Seen) -> dict[str, Any]:
        """The response."""
        job, around = seen
        asked, stored = self._stored(job)
        if not job.state.terminal:
            shown = documents.begun(job, asked, job.state.value)
        else:
            error = failure(job, self._sealer)
            chunks: Iterable[bytes] = ()
            try:
                chunks = stored_chunks(job, stored, self._sealer) if stored else ()
            except SealBroken as broken:
                error = problems.unreadable(broken).document()
            output = Output(job.id)
            for _ in output.all_of(chunks):
                pass
            for _ in output.end(whole=documents.is_whole(job, output, error)):
                pass
            shown = documents.ended(job, asked, output, error, self._sealer)
        return {**shown, **facts(job, around)}

    def frames(self, job: Job, *, after: int, numbered: bool) -> Frames:
        """Its events; they have their numbers within, so `numbered` changes nothing."""
        del numbered
        asked, _ = self._stored(job)
        return EventFrames(job, asked, self._sealer, heard=after)

    def _stored(self, job: Job) -> tuple[Mapping[str, Any], StoredLog | None]:
        """What the client asked for, and the chunks where they are needed."""

        def find(tx: sa.Connection) -> tuple[str | None, StoredLog | None]:
            log = jobs.log_of(tx, job.id) if job.state.terminal else None
            return jobs.original_of(tx, job.id), log

        original, log = self._read(find)
        if original is None:
            return {}, log
        plain = self._sealer.open(original, table=jobs.TABLE, row=job.id, column=jobs.ORIGINAL)
        asked: dict[str, Any] = msgspec.json.decode(plain)
        return asked, log

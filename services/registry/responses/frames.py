"""A job's stream as OpenAI's events, in bytes: `event: <type>`, `data: <JSON>`, a blank line.

    0, 1, 2   response.created, queued, in_progress: always, whatever became of the job
    3, …      what the chunks say (`output`)
    the last  exactly one of response.completed, incomplete and failed; then the stream ends

A number belongs to an event for ever: whoever comes back behind number N is told N+1 and so on, and
nothing behind the last. So a reader's chunks are folded from the first one, and what he has is left
out. Only where chunks were lost the end comes under the number that follows the reader's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from services.registry.responses import documents
from services.registry.responses.items import Event
from services.registry.responses.output import Output
from shared.crypto import Sealer
from shared.domain import JobState
from shared.store.jobs import Job


class EventFrames:
    """One reader's events behind number `heard`; `asked` is the client's own body."""

    after = -1  # all chunks are needed

    def __init__(self, job: Job, asked: Mapping[str, Any], sealer: Sealer, *, heard: int) -> None:
        self._job = job
        self._asked = asked
        self._sealer = sealer
        self._heard = heard
        self._number = 0  # of the next event
        self._output = Output(job.id)
        self._silent = True  # no chunk came

    def opening(self) -> bytes:
        """That it was created, and queued."""
        return self._numbered([self._lifecycle("created"), self._lifecycle("queued")])

    def of(self, chunks: Sequence[bytes], first: int) -> bytes:
        """The events of these chunks."""
        del first
        return self._numbered(self._begins()) + self._numbered(self._output.all_of(chunks))

    def end(self, job: Job | None, error: dict[str, Any] | None) -> bytes:
        """What is open is closed, then how it ended; a deleted job ends as cancelled."""
        lost = self._silent and (job is None or job.lost_chunks)
        whole = documents.is_whole(job, self._output, error)
        frames = self._numbered([*self._begins(), *self._output.end(whole=whole)])
        if lost:
            # How many events there were is not known: who heard some of them still hears the end.
            self._number = max(self._number, self._heard + 1)
        return frames + self._numbered([self._last(job, error)])

    def _begins(self) -> Iterable[Event]:
        if not self._silent:
            return []
        self._silent = False
        return [self._lifecycle("in_progress")]

    def _lifecycle(self, name: str) -> Event:
        status = "in_progress" if name == "in_progress" else "queued"
        response = documents.begun(self._job, self._asked, status)
        return {"type": f"response.{name}", "response": response}

    def _last(self, job: Job | None, error: dict[str, Any] | None) -> Event:
        if job is None:
            response = documents.begun(self._job, self._asked, JobState.CANCELLED.value)
            response |= {"error": error, "output": self._output.items()}
        else:
            response = documents.ended(job, self._asked, self._output, error, self._sealer)
        told = response["status"] if response["error"] is None else "failed"
        return {"type": f"response.{told}", "response": response}

    def _numbered(self, events: Iterable[Event]) -> bytes:
        """The frames of those that the reader has not heard."""
        frames = []
        for event in events:
            number, self._number = self._number, self._number + 1
            if number > self._heard:
                numbered = {"type": event["type"], "sequence_number": number, **event}
                data = msgspec.json.encode(numbered)
                frames.append(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), data))
        return b"".join(frames)

"""The four forms of a submission: a job at once, a job that is watched, a plain call, a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Response

from services.registry import problems
from services.registry.chat.frames import CONTENT_TYPE, HEADERS
from services.registry.chat.idempotency import REPLAYED
from services.registry.chat.jobs import Jobs
from services.registry.chat.replies import Replies, location
from services.registry.chat.request import FOREGROUND_TIMEOUT
from services.registry.chat.streams import Stream
from services.registry.chat.submission import Submitted
from services.registry.clients import Client
from services.registry.parts import Parts
from services.registry.preferences import Preferences
from services.registry.waiting import LOOK_SECONDS, WORKERS_MARGIN
from shared import ids
from shared.errors import Cancelled, NotFound
from shared.store.access import Caller
from shared.store.jobs import Job

FIRST_CHUNK_SECONDS: Final = 10.0  # of silence, after which a stream's status line goes out

Submit = Callable[[], Submitted]


class Calls:
    """Submissions over the parts of one process."""

    def __init__(self, parts: Parts, jobs: Jobs, replies: Replies) -> None:
        self._parts = parts
        self._jobs = jobs
        self._replies = replies

    def background(self, submit: Submit, caller: Caller, prefer: Preferences) -> Response:
        """The job: at once, or when it ended or `Prefer: wait` is over."""
        submitted = submit()
        job, _ = submitted.seen
        if prefer.wait and not job.state.terminal:
            named = ids.COMPLETION + job.id
            seen = self._jobs.wait(named, caller, seconds=prefer.wait, is_known=None)
            submitted = Submitted(seen, submitted.replayed)
        return self._replies.accepted(submitted, prefer)

    def plain(self, job_id: str, submit: Submit, caller: Caller, client: Client) -> Response:
        """The completion, or its failure as an HTTP error."""
        with self._parts.waiting.held(job_id, client) as wait:
            submitted = submit()
            job, _ = submitted.seen
            if not submitted.replayed:
                wait.deadline, wait.begun = job.deadline, True
                wait.ended.wait(self._patience(job))
        named = ids.COMPLETION + job.id
        try:
            if submitted.replayed:
                patience = min(self._patience(job), FOREGROUND_TIMEOUT)
                job, _ = self._jobs.wait(named, caller, seconds=patience, is_known=None)
            else:
                job, _ = self._jobs.get(named, caller)
        except NotFound:  # deleted while this call waited
            return problems.of_failure(Cancelled().document())
        return self._replies.ended(job, replayed=submitted.replayed)

    def stream(self, job_id: str, submit: Submit, *, background: bool, client: Client) -> Response:
        """A stream from chunk 0; an HTTP error where the job fails before its first chunk."""
        stream = self._parts.streams.open(job_id, client=None if background else client)
        try:
            submitted = submit()
            job, _ = submitted.seen
            if submitted.replayed:
                stream.close()
                stream = self._parts.streams.open(job.id)
                stream.join()
            else:
                stream.begin(deadline=None if background else job.deadline)
            stream.first(FIRST_CHUNK_SECONDS)
        except BaseException:
            stream.close()
            raise
        if stream.job is not None and stream.failed_unheard:
            stream.close()
            return self._replies.ended(stream.job, replayed=submitted.replayed)
        headers = {"Location": location(job.id), **(REPLAYED if submitted.replayed else {})}
        return _streamed(stream, headers, numbered=False)

    def resume(self, job_id: str, caller: Caller, *, after: int) -> Response:
        """A stream behind chunk `after`, with the number of each chunk as its `id:`."""
        job, _ = self._jobs.get(job_id, caller)
        stream = self._parts.streams.open(job.id, after=after)
        stream.join()
        return _streamed(stream, {}, numbered=True)

    def _patience(self, job: Job) -> float:
        # Whoever ends the job last is this process's own look, at the latest by then.
        return job.deadline + WORKERS_MARGIN + 3 * LOOK_SECONDS - self._parts.now()


def _streamed(stream: Stream, headers: dict[str, str], *, numbered: bool) -> Response:
    body = stream.frames(numbered=numbered)
    answer = Response(body, content_type=CONTENT_TYPE, headers={**HEADERS, **headers})
    answer.call_on_close(stream.close)
    return answer

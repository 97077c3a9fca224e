"""The four forms of a submission: a job at once, a job that is watched, a plain call, a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from flask import Response, request

from services.registry import clients, problems
from services.registry.chat.frames import CONTENT_TYPE, HEADERS, PING, Frames
from services.registry.chat.idempotency import REPLAYED
from services.registry.chat.jobs import Jobs
from services.registry.chat.replies import Replies
from services.registry.chat.request import FOREGROUND_TIMEOUT, Chat
from services.registry.chat.streams import Stream
from services.registry.chat.submission import Submitted
from services.registry.chat.views import View
from services.registry.clients import Client
from services.registry.parts import Parts
from services.registry.preferences import Preferences
from services.registry.waiting import LOOK_SECONDS, WORKERS_MARGIN
from shared.errors import Cancelled, NotFound
from shared.store.access import Caller
from shared.store.jobs import Job

FIRST_CHUNK_SECONDS: Final = 10.0  # of silence, after which a stream's status line goes out
RESUMED_SECONDS: Final = 1.0  # likewise, of one that cannot fail any more before it begins

Submit = Callable[[], Submitted]


class Calls:
    """Submissions over the parts of one process, whose jobs are shown in one view."""

    def __init__(self, parts: Parts, jobs: Jobs, view: View) -> None:
        self._parts = parts
        self._jobs = jobs
        self._view = view
        self._replies = Replies(parts, view)

    def answer(
        self,
        job_id: str,
        submit: Submit,
        chat: Chat,
        caller: Caller,
        client: Client,
        prefer: Preferences,
    ) -> Response:
        """The form that the chat asks for."""
        if chat.stream:
            return self.stream(job_id, submit, background=chat.background, client=client)
        if chat.background:
            return self.background(submit, caller, prefer)
        return self.plain(job_id, submit, caller, client)

    def background(self, submit: Submit, caller: Caller, prefer: Preferences) -> Response:
        """The job: at once, or when it ended or `Prefer: wait` is over."""
        submitted = submit()
        job, _ = submitted.seen
        if prefer.wait and not job.state.terminal:
            named = self._view.naming.named(job.id)
            seen = self._jobs.wait(named, caller, seconds=prefer.wait, is_known=None)
            submitted = Submitted(seen, submitted.replayed)
        return self._replies.accepted(submitted, prefer)

    def plain(self, job_id: str, submit: Submit, caller: Caller, client: Client) -> Response:
        """The completion, or its failure as an HTTP error."""
        with self._parts.waiting.held(job_id, client, foreground=True) as wait:
            submitted = submit()
            job, _ = submitted.seen
            if not submitted.replayed:
                wait.deadline, wait.begun = job.deadline, True
                wait.ended.wait(self._patience(job))
        named = self._view.naming.named(job.id)
        try:
            if submitted.replayed:
                patience = min(self._patience(job), FOREGROUND_TIMEOUT)
                job, _ = self._jobs.wait(
                    named, caller, seconds=patience, is_known=None, foreground=True
                )
            else:
                job, _ = self._jobs.get(named, caller)
        except NotFound:  # deleted while this call waited
            return problems.of_failure(Cancelled(may_have_been_billed=True).document())
        return self._replies.ended(job, replayed=submitted.replayed)

    def stream(self, job_id: str, submit: Submit, *, background: bool, client: Client) -> Response:
        """A stream from chunk 0; an HTTP error where the job fails before its first chunk."""
        streams = self._parts.streams
        stream = streams.open(
            job_id, client=None if background else client, foreground=not background
        )
        try:
            submitted = submit()
            job, _ = submitted.seen
            if submitted.replayed:
                stream.close()
                stream = streams.open(job.id, foreground=not background)
                stream.join()
            else:
                stream.begin(deadline=None if background else job.deadline)
            form = self._view.frames(job, after=-1, numbered=False)
            if not (background and self._view.opens):
                stream.first(FIRST_CHUNK_SECONDS)
        except BaseException:
            stream.close()
            raise
        if stream.job is not None and stream.failed_unheard:
            stream.close()
            return self._replies.ended(stream.job, replayed=submitted.replayed)
        headers = {
            "Location": self._view.naming.location(job.id),
            **(REPLAYED if submitted.replayed else {}),
        }
        return _streamed(stream, form, headers)

    def resume(self, job_id: str, caller: Caller, *, after: int) -> Response:
        """A stream behind number `after`; chunks have their number as `id:`."""
        job, _ = self._jobs.get(job_id, caller)
        form = self._view.frames(job, after=after, numbered=True)
        stream = self._parts.streams.open(job.id, after=form.after)
        stream.join()
        try:
            if not self._view.opens:
                stream.first(RESUMED_SECONDS)
        except BaseException:
            stream.close()
            raise
        return _streamed(stream, form, {})

    def _patience(self, job: Job) -> float:
        # Whoever ends the job last is this process's own look, at the latest by then.
        return job.deadline + WORKERS_MARGIN + 3 * LOOK_SECONDS - self._parts.now()


def _streamed(stream: Stream, form: Frames, headers: dict[str, str]) -> Response:
    client = clients.of(request)

    def body() -> Iterator[bytes]:
        yield from stream.frames(form)
        if stream.cut_short:
            # SDKs take an orderly end for the end of the answer, and repeat a post without one:
            # so the head goes out, with a ping at least, and then the connection breaks.
            yield PING
            clients.cut(client)

    answer = Response(body(), content_type=CONTENT_TYPE, headers={**HEADERS, **headers})
    answer.call_on_close(stream.close)
    return answer

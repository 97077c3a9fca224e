"""One streamed answer: live chunks first, what is missing from the row, and how it ended.

Every reader, of every process, gets chunk N+1 behind chunk N, because the numbers were given once,
by the worker. The row decides when it is over; Redis only makes it quick.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import gevent
import sqlalchemy as sa

from services.registry import problems
from services.registry.chat.documents import failure
from services.registry.chat.following import Following
from services.registry.chat.frames import PING, Frames, stored_chunks
from services.registry.waiting import Wait, Waiting
from shared.crypto import SealBroken, Sealer
from shared.domain import JobState
from shared.errors import Cancelled, StoreUnavailable
from shared.store import jobs
from shared.store.jobs import Job, StoredLog

PING_SECONDS: Final = 15.0

Read = Callable[[Callable[[sa.Connection], Any]], Any]


class Streams:
    """All streams of one process."""

    def __init__(self, following: Following, waiting: Waiting, read: Read, sealer: Sealer) -> None:
        self.following = following
        self.waiting = waiting
        self.read = read
        self.sealer = sealer
        self.released = False
        self._open: set[Stream] = set()

    def start(self) -> None:
        """Start telling the workers who follows which job."""
        self.following.start()

    def open(
        self,
        job_id: str,
        *,
        after: int = -1,
        client: socket.socket | None = None,
        foreground: bool = False,
    ) -> Stream:
        """The stream of the job with this bare id, behind chunk number `after`.

        Open it before the job can end; with `client` its hang-up cancels the job. A `foreground`
        one goes on while this process stops. Close it.
        """
        stream = Stream(self, job_id, after, client, foreground=foreground)
        self._open.add(stream)
        return stream

    def count(self) -> int:
        """How many streams are open."""
        return len(self._open)

    def closed(self, stream: Stream) -> None:
        """Forget a stream."""
        self._open.discard(stream)

    def release(self) -> None:
        """End the streams that lose nothing by it, because this process stops.

        Their clients resume behind the last number; foreground calls go on while they may.
        """
        self.released = True
        for stream in self._open:
            stream.release()


class Stream:
    """One reader's stream; iterate it once, then close it."""

    def __init__(
        self,
        streams: Streams,
        job_id: str,
        after: int,
        client: socket.socket | None,
        *,
        foreground: bool = False,
    ) -> None:
        self.job: Job | None = None  # once it has ended
        self.cut_short = False  # this process stops: what was sent is not the whole
        self._streams = streams
        self._job_id = job_id
        self._sent = after
        self._cancels = client is not None
        self._silent = False  # nothing was there to be sent for as long as the head may wait
        self._resources = ExitStack()
        held = streams.waiting.held(job_id, client, foreground=foreground)
        self._wait: Wait = self._resources.enter_context(held)
        self._follow = self._resources.enter_context(streams.following.follow(job_id, after))
        self._rest: list[bytes] | None = None  # the stored chunks that follow, once it has ended
        self._unreadable: dict[str, Any] | None = None
        self._over = streams.released and not foreground

    def begin(self, *, deadline: float | None = None) -> None:
        """The job's row is there now; `deadline` is a foreground call's."""
        self._wait.deadline, self._wait.begun = deadline, True

    def join(self) -> None:
        """The job was there before: it may have ended long ago."""
        self._wait.begun = True
        self._wait.ended.set()

    @property
    def failed_unheard(self) -> bool:
        """Whether the job ended without success, and no chunk of it is there to be sent."""
        done = self.job is not None and self.job.state is not JobState.COMPLETED
        return done and not self._rest and self._sent < 0

    def release(self) -> None:
        """End soon, unless it is a foreground call's."""
        self._over = not self._wait.foreground
        self._follow.news.set()

    def close(self) -> None:
        """Stop following; a foreground call that has not ended is cancelled. Twice is once."""
        self._streams.closed(self)
        self._resources.close()
        if self._cancels and self._rest is None:
            gevent.spawn(self._streams.waiting.give_up, self._job_id)
        self._cancels = False

    def first(self, seconds: float) -> None:
        """Return when there is something to send, or after `seconds`; `job` is set if it ended."""
        until = time.monotonic() + seconds
        while not self._follow.pending and (left := until - time.monotonic()) > 0:
            if self._over:
                return
            self._follow.news.clear()
            gevent.wait([self._follow.news, self._wait.ended], left, count=1)
            if self._has_ended():
                return
        self._silent = not self._follow.pending

    def frames(self, form: Frames) -> Iterator[bytes]:
        """The bytes of the answer in this form, then it is closed."""
        try:
            yield from filter(None, self._all(form))
        finally:
            self.close()

    def _all(self, form: Frames) -> Iterator[bytes]:
        yield form.opening()
        if self._silent:
            yield PING  # the head, which names the job, goes out with the first bytes
        while True:
            self._follow.news.clear()
            if chunks := self._follow.taken():
                yield self._frames(form, chunks)
            elif self._has_ended():
                break
            elif self._over:
                self.cut_short = True
                return
            elif not gevent.wait([self._follow.news, self._wait.ended], PING_SECONDS, count=1):
                yield PING
        if self._rest:
            yield self._frames(form, self._rest)
        yield self._end(form)

    def _frames(self, form: Frames, chunks: list[bytes]) -> bytes:
        first = self._sent + 1
        self._sent += len(chunks)
        return form.of(chunks, first)

    def _has_ended(self) -> bool:
        """Whether the row is terminal; then `_rest` holds what was not sent yet."""
        if self._rest is not None:
            return True
        if not self._wait.ended.is_set():
            return False
        try:
            found = self._streams.read(self._look)
        except StoreUnavailable:
            self._wait.ended.clear()  # nothing is known of the end; the next look sets it again
            return False
        if found is None:  # deleted
            self._rest = []
            return True
        job, stored = found
        if not job.state.terminal:
            self._wait.ended.clear()
            return False
        self.job = job
        heard = self._follow.taken()
        self._rest = heard if stored is None else self._stored(job, stored)
        return True

    def _look(self, tx: sa.Connection) -> tuple[Job, StoredLog | None] | None:
        """The row; and its log, where that has chunks that were not heard while the job ran."""
        job = jobs.get(tx, self._job_id, owner=None)
        if job is None:
            return None
        if not job.state.terminal or job.log_chunks == self._follow.last + 1:
            return job, None
        stored = jobs.log_of(tx, self._job_id)
        return None if stored is None else (job, stored)

    def _stored(self, job: Job, stored: StoredLog) -> list[bytes]:
        try:
            return stored_chunks(job, stored, self._streams.sealer)[self._sent + 1 :]
        except SealBroken as broken:
            self._unreadable = problems.unreadable(broken).document()
            return []

    def _end(self, form: Frames) -> bytes:
        if self.job is None:  # it was deleted, and cancelled before
            return form.end(None, Cancelled(may_have_been_billed=True).document())
        return form.end(self.job, self._unreadable or failure(self.job, self._streams.sealer))

"""One claim, from the sealed request to its outcome.

The key is opened here, in the function that sends it, and lives in a `Secret` until then. Nothing
of a call is written here: the outcome goes to the keeper, and its conditional UPDATE decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from services.chat_worker import outcomes, targets, told
from services.chat_worker.publishing import Publishing
from services.chat_worker.record import Record
from shared import telemetry
from shared.crypto import SealBroken, Sealer, UnknownKey
from shared.domain import OnInterrupt, OnUnavailable
from shared.errors import DeadlineExceeded, Interrupted, JobFailure, Unreadable
from shared.metrics import unreadable
from shared.store import jobs
from shared.store.jobs import ClaimedJob, Outcome
from shared.upstream import ChatAnswer, ConnectionLost, StreamEnd, Target, UpstreamClient

TRIES: Final = 3  # of a job that does not wait, inside one claim
TRIES_WITHIN: Final = 1.0  # seconds
PAUSES: Final = (0.15, 0.35)  # seconds before the second and the third try


class Call:
    """A claim under way; `run` returns its outcome and never raises but for cancellation.

    With `publishing` the answer is asked for as a stream, whose chunks go there.
    """

    def __init__(
        self,
        job: ClaimedJob,
        *,
        client: UpstreamClient,
        sealer: Sealer,
        publishing: Publishing | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.job = job
        self.publishing = publishing
        self.tells_when_cut = False  # whether an outcome is wanted when the task is cancelled
        self._client = client
        self._sealer = sealer
        self._clock = clock
        self._record = Record(job, sealer=sealer, publishing=publishing, clock=clock)

    @property
    def repeatable(self) -> bool:
        """Whether the job may run again when this call is lost after its bytes left."""
        return self.job.on_interrupt == OnInterrupt.RETRY and not self._record.seen

    async def run(self) -> Outcome:
        """Call the provider, up to three times where that is safe, within the job's deadline."""
        telemetry.job_id.set(self.job.id)
        telemetry.request_id.set(self.job.request_id)
        telemetry.attempt.set(self.job.attempt)
        try:
            outcome = await self._run()
            told.note(self.job, outcome)
            return outcome
        finally:
            if self.publishing is not None:
                self.publishing.end()

    def cut_off(self) -> Outcome:
        """The outcome when this process ends before the answer came."""
        if self._record.sent:
            lost = Interrupted(may_have_been_billed=True)
            outcome = self._record.failed(lost, tells_of_provider=False)
        else:
            outcome = outcomes.released(self.job)
        told.note(self.job, outcome)
        return outcome

    def abandoned(self) -> Outcome | None:
        """What is to be written of a call whose job was taken away; None where nothing was sent."""
        return self._record.cut_short()

    async def _run(self) -> Outcome:
        record = self._record
        try:
            target = targets.opened(self.job.target, self._sealer)
            body = self._sealer.open(
                self.job.request_sealed, table=jobs.TABLE, row=self.job.id, column=jobs.REQUEST
            )
        except SealBroken as broken:
            unreadable.tell(broken)
            waits = self.job.on_unavailable == OnUnavailable.WAIT
            if isinstance(broken, UnknownKey) and waits:
                return outcomes.postponed(self.job, now=self._clock())
            return record.failed(Unreadable(), tells_of_provider=False)
        if (left := self.job.deadline - self._clock()) <= 0:
            return record.failed(DeadlineExceeded())
        try:
            async with asyncio.timeout(left):
                end = await self._tries_within_a_second(target, body)
            return record.completed(end)
        except TimeoutError:
            return record.failed(DeadlineExceeded(may_have_been_billed=record.sent))
        except JobFailure as failure:
            return record.failed(failure)

    async def _tries_within_a_second(self, target: Target, body: bytes) -> ChatAnswer | StreamEnd:
        while True:
            self._record.begin_try()
            try:
                return await self._try(target, body)
            except ConnectionLost as lost:
                sentence = f"{lost.message} {Interrupted.standard}"
                raise Interrupted(sentence, may_have_been_billed=True) from None
            except JobFailure as failure:
                pause = self._pause_before_next(failure)
                if pause is None:
                    raise
            self._record.note_refused()
            await asyncio.sleep(pause)

    async def _try(self, target: Target, body: bytes) -> ChatAnswer | StreamEnd:
        bounds, on_sent = targets.bounds(self.job.target.options), self._record.note_sent
        if self.publishing is None:
            return await self._client.chat(target, body, bounds, on_sent=on_sent)
        return await self._client.stream_chat(
            target, body, bounds, on_sent=on_sent, on_chunk=self.publishing.take
        )

    def _pause_before_next(self, failure: JobFailure) -> float | None:
        tries = self._record.tries
        if self.job.on_unavailable != OnUnavailable.FAIL or tries >= TRIES:
            return None
        if self._has_begun or not outcomes.may_be_tried_again(failure):
            return None
        pause = max(PAUSES[tries - 1], failure.retry_after or 0.0)
        elapsed = self._clock() - self._record.started_at
        return pause if elapsed + pause <= TRIES_WITHIN else None

    @property
    def _has_begun(self) -> bool:
        return self.publishing is not None and self.publishing.began

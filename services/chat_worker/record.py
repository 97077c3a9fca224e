"""What one claim did so far, and the outcome that this comes to."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from services.chat_worker import outcomes
from services.chat_worker.publishing import Publishing
from shared.crypto import Sealer
from shared.domain import JobState
from shared.errors import JobFailure, UpstreamInvalidAnswer
from shared.store import jobs
from shared.store.jobs import ClaimedJob, Evidence, Outcome
from shared.upstream import ChatAnswer, StreamEnd

MOST_RESULT_BYTES: Final = 8 * 1024 * 1024  # as of a whole answer; its chunks may take more


class Record:
    """The facts of one claim; `publishing` has the chunks of a streamed one."""

    def __init__(
        self,
        job: ClaimedJob,
        *,
        sealer: Sealer,
        publishing: Publishing | None,
        clock: Callable[[], float],
    ) -> None:
        self.sent = False  # whether any byte of a request may have left
        self.tries = 0
        self.started_at = clock()
        self._job = job
        self._sealer = sealer
        self._publishing = publishing
        self._clock = clock
        self._try_started_at = self.started_at
        self._try_began = time.monotonic()

    @property
    def seen(self) -> bool:
        """Whether a reader may have seen a chunk."""
        return self._publishing is not None and self._publishing.seen

    def begin_try(self) -> None:
        """A request is about to be sent."""
        self.tries += 1
        self._try_started_at = self._clock()
        self._try_began = time.monotonic()

    def note_sent(self) -> None:
        """The first byte is about to leave."""
        self.sent = True

    def note_refused(self) -> None:
        """What was sent was refused and is over: only the next try can leave bytes in doubt."""
        self.sent = False

    def completed(self, end: ChatAnswer | StreamEnd) -> Outcome:
        """The outcome of an answer; raises UpstreamInvalidAnswer when it is too long to keep."""
        answer, log = self._answer(end)
        result = msgspec.json.encode(answer)
        if log is not None and len(result) > MOST_RESULT_BYTES:
            raise UpstreamInvalidAnswer(
                f"Expected a stream that adds up to at most {MOST_RESULT_BYTES // 2**20} MiB, got "
                "more. Ask for fewer tokens.",
                sent=True,
                may_have_been_billed=True,
            )
        return Outcome(
            job_id=self._job.id,
            worker_id=self._job.worker_id,
            attempt=self._job.attempt,
            state=JobState.COMPLETED,
            evidence=self._evidence(
                "completed",
                answer.get("usage"),
                sent=True,
                connect_seconds=end.connect_seconds,
                first_byte_seconds=end.first_byte_seconds,
                upstream_status=end.status,
                upstream_request_id=end.request_id,
            ),
            account=self._job.account,
            gate=outcomes.gate_effect(self._job, None, call_started_at=self._try_started_at),
            result_sealed=self._seal(jobs.RESULT, result),
            log_sealed=log,
            log_chunks=self._chunks,
            extra_calls=self.tries - 1,
        )

    def failed(self, failure: JobFailure, *, tells_of_provider: bool = True) -> Outcome:
        """The outcome of a failure; it may be that the job returns to the queue."""
        gate = None
        # An earlier call of this job may have been billed, whatever became of this one.
        failure.may_have_been_billed |= self._job.interrupts > 0
        if tells_of_provider:
            gate = outcomes.gate_effect(self._job, failure, call_started_at=self._try_started_at)
        outcome = outcomes.after_failure(
            self._job,
            failure,
            tries=max(self.tries, 1),
            now=self._clock(),
            gate=gate,
            seen=self.seen,
        )
        evidence = self._evidence_so_far(failure.code, upstream_status=failure.upstream_status)
        outcome = dataclasses.replace(outcome, evidence=evidence, account=self._job.account)
        if outcome.state is not JobState.FAILED:
            return outcome
        error = self._seal(jobs.ERROR, msgspec.json.encode(failure.document()))
        return dataclasses.replace(
            outcome, error_sealed=error, log_sealed=self._sealed_log(), log_chunks=self._chunks
        )

    def cut_short(self) -> Outcome | None:
        """What the call did until its job was taken away; None where no byte of it left."""
        if not self.sent:
            return None
        return Outcome(
            job_id=self._job.id,
            worker_id=self._job.worker_id,
            attempt=self._job.attempt,
            state=JobState.CANCELLED,
            evidence=self._evidence_so_far(outcomes.ABANDONED),
            account=self._job.account,
            log_chunks=self._chunks,
        )

    def _answer(self, end: ChatAnswer | StreamEnd) -> tuple[dict[str, Any], str | None]:
        """The completion, and the sealed log of the chunks that it came in."""
        if isinstance(end, ChatAnswer):
            return end.body, None
        if end.whole is not None:
            return end.whole, None
        assert self._publishing is not None  # noqa: S101 - a stream was asked for
        return self._publishing.completion(), self._sealed_log()

    @property
    def _chunks(self) -> int | None:
        return None if self._publishing is None else self._publishing.count

    def _sealed_log(self) -> str | None:
        log = self._publishing.log() if self._publishing is not None else b""
        return self._seal(jobs.LOG, log) if log else None

    def _seal(self, column: str, plain: bytes) -> str:
        return self._sealer.seal(plain, table=jobs.TABLE, row=self._job.id, column=column)

    def _evidence_so_far(self, outcome: str, *, upstream_status: int | None = None) -> Evidence:
        usage, first = None, None
        if self._publishing is not None:
            usage = self._publishing.completion().get("usage")
            first = self._publishing.seconds_to_first(self._try_began)
        return self._evidence(
            outcome,
            usage,
            sent=self.sent,
            first_byte_seconds=first,
            upstream_status=upstream_status,
        )

    def _evidence(self, outcome: str, usage: object, *, sent: bool, **measured: Any) -> Evidence:
        return Evidence(
            chat_url=self._job.target.chat_url,
            key_fingerprint=self._job.target.api_key_fingerprint,
            provider_revision=self._job.target.revision,
            started_at=self.started_at,
            ended_at=self._clock(),
            calls=self.tries,
            outcome=outcome,
            sent=sent,
            prompt_tokens=_count(usage, "prompt_tokens"),
            completion_tokens=_count(usage, "completion_tokens"),
            **measured,
        )


def _count(usage: object, name: str) -> int | None:
    """A token count, when the upstream gave a sane one: unknown is not zero."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < 2**63 else None

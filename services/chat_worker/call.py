"""One claim, from the sealed request to its outcome.

The key is opened here, in the function that sends it, and lives in a `Secret` until then. Nothing
of a call is written here: the outcome goes to the keeper, and its conditional UPDATE decides.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from services.chat_worker import outcomes
from shared import telemetry
from shared.crypto import SealBroken, Sealer
from shared.domain import JobState, OnUnavailable
from shared.errors import DeadlineExceeded, Interrupted, JobFailure, Unstorable
from shared.store import jobs
from shared.store.jobs import ClaimedJob, Evidence, Outcome
from shared.telemetry import Secret
from shared.upstream import Bounds, ChatAnswer, ConnectionLost, Target, UpstreamClient

TRIES: Final = 3  # of a job that does not wait, inside one claim
TRIES_WITHIN: Final = 1.0  # seconds
PAUSES: Final = (0.15, 0.35)  # seconds before the second and the third try

logger = logging.getLogger(__name__)


class Call:
    """A claim under way; `run` returns its outcome and never raises but for cancellation."""

    def __init__(
        self,
        job: ClaimedJob,
        *,
        client: UpstreamClient,
        sealer: Sealer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.job = job
        self.sent = False  # whether any byte of a request may have left
        self.tells_when_cut = False  # whether an outcome is wanted when the task is cancelled
        self._client = client
        self._sealer = sealer
        self._clock = clock
        self._tries = 0
        self._started_at = clock()
        self._try_started_at = self._started_at

    async def run(self) -> Outcome:
        """Call the provider, up to three times where that is safe, within the job's deadline."""
        telemetry.job_id.set(self.job.id)
        telemetry.request_id.set(self.job.request_id)
        try:
            target = self._open_target()
            body = self._open(jobs.REQUEST, self.job.request_sealed)
        except SealBroken:
            logger.exception("a sealed value does not open")
            return self._failed(
                Unstorable(
                    "Expected the job and its provider's key to open with the keyring in force; "
                    "they do not. See whether all services share one keyring."
                ),
                tells_of_provider=False,
            )
        if (left := self.job.deadline - self._clock()) <= 0:
            return self._failed(DeadlineExceeded())
        try:
            async with asyncio.timeout(left):
                answer = await self._tries_within_a_second(target, body)
        except TimeoutError:
            return self._failed(DeadlineExceeded(may_have_been_billed=self.sent))
        except JobFailure as failure:
            return self._failed(failure)
        return self._completed(answer)

    def cut_off(self) -> Outcome:
        """The outcome when this process ends before the answer came."""
        if not self.sent:
            return outcomes.released(self.job)
        return self._failed(Interrupted(may_have_been_billed=True), tells_of_provider=False)

    async def _tries_within_a_second(self, target: Target, body: bytes) -> ChatAnswer:
        bounds = _bounds(self.job.target.options)
        while True:
            self._tries += 1
            self._try_started_at = self._clock()
            try:
                return await self._client.chat(target, body, bounds, on_sent=self._note_sent)
            except ConnectionLost as lost:
                sentence = f"{lost.message} {Interrupted.standard}"
                raise Interrupted(sentence, may_have_been_billed=True) from None
            except JobFailure as failure:
                pause = self._pause_before_next(failure)
                if pause is None:
                    raise
            # What was refused is over: only the next try can leave bytes in doubt again.
            self.sent = False
            await asyncio.sleep(pause)

    def _pause_before_next(self, failure: JobFailure) -> float | None:
        if self.job.on_unavailable != OnUnavailable.FAIL or self._tries >= TRIES:
            return None
        if not outcomes.may_be_tried_again(failure):
            return None
        pause = max(PAUSES[self._tries - 1], failure.retry_after or 0.0)
        elapsed = self._clock() - self._started_at
        return pause if elapsed + pause <= TRIES_WITHIN else None

    def _note_sent(self) -> None:
        self.sent = True

    def _open(self, column: str, sealed: str) -> bytes:
        return self._sealer.open(sealed, table=jobs.TABLE, row=self.job.id, column=column)

    def _open_target(self) -> Target:
        provider = self.job.target
        key = None
        if provider.api_key_sealed is not None:
            key = Secret(
                self._sealer.open(
                    provider.api_key_sealed,
                    table="provider",
                    row=provider.id,
                    column="api_key_sealed",
                ).decode("ascii")
            )
        return Target(
            chat_url=provider.chat_url,
            models_url=provider.models_url,
            api_key=key,
            verify_tls=provider.options.get("verify_tls", True),
            ca_certificate=provider.options.get("ca_certificate"),
        )

    def _completed(self, answer: ChatAnswer) -> Outcome:
        usage = answer.body.get("usage")
        evidence = self._evidence(
            "completed",
            sent=True,
            connect_seconds=answer.connect_seconds,
            first_byte_seconds=answer.first_byte_seconds,
            upstream_status=answer.status,
            upstream_request_id=answer.request_id,
            prompt_tokens=_count(usage, "prompt_tokens"),
            completion_tokens=_count(usage, "completion_tokens"),
        )
        return Outcome(
            job_id=self.job.id,
            worker_id=self.job.worker_id,
            attempt=self.job.attempt,
            state=JobState.COMPLETED,
            evidence=evidence,
            gate=outcomes.gate_effect(self.job, None, call_started_at=self._try_started_at),
            result_sealed=self._seal(jobs.RESULT, msgspec.json.encode(answer.body)),
            extra_calls=self._tries - 1,
        )

    def _failed(self, failure: JobFailure, *, tells_of_provider: bool = True) -> Outcome:
        gate = None
        # An earlier call of this job may have been billed, whatever became of this one.
        failure.may_have_been_billed |= self.job.interrupts > 0
        if tells_of_provider:
            gate = outcomes.gate_effect(self.job, failure, call_started_at=self._try_started_at)
        outcome = outcomes.after_failure(
            self.job, failure, tries=max(self._tries, 1), now=self._clock(), gate=gate
        )
        evidence = self._evidence(
            failure.code, sent=self.sent, upstream_status=failure.upstream_status
        )
        error = None
        if outcome.state is JobState.FAILED:
            error = self._seal(jobs.ERROR, msgspec.json.encode(failure.document()))
        return dataclasses.replace(outcome, evidence=evidence, error_sealed=error)

    def _seal(self, column: str, plain: bytes) -> str:
        return self._sealer.seal(plain, table=jobs.TABLE, row=self.job.id, column=column)

    def _evidence(self, outcome: str, *, sent: bool, **measured: Any) -> Evidence:
        return Evidence(
            chat_url=self.job.target.chat_url,
            key_fingerprint=self.job.target.api_key_fingerprint,
            provider_revision=self.job.target.revision,
            started_at=self._started_at,
            ended_at=self._clock(),
            calls=self._tries,
            outcome=outcome,
            sent=sent,
            **measured,
        )


def _bounds(options: Any) -> Bounds:
    default = Bounds()
    return Bounds(
        connect=options.get("connect_timeout", default.connect),
        first_byte=options.get("first_byte_timeout", default.first_byte),
        idle=options.get("idle_timeout", default.idle),
        total=options.get("total_timeout", default.total),
    )


def _count(usage: object, name: str) -> int | None:
    """A token count, when the upstream gave a sane one: unknown is not zero."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < 2**63 else None

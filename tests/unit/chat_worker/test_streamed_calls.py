"""A claim that streams: what is stored of it, and when it may be called again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.chat_worker import record
from services.chat_worker.call import Call
from services.chat_worker.live_queue import LiveQueue
from services.chat_worker.publishing import Publishing
from shared.domain import JobState
from shared.errors import (
    JobFailure,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamStreamBroken,
    UpstreamTimeout,
)
from shared.live import Follows, logged_chunks
from shared.store import jobs
from shared.store.jobs import ClaimedJob, Outcome
from shared.upstream import Bounds, StreamEnd, Target
from tests.unit.chat_worker.test_call import SEALER, claimed, opened

Chunk = dict[str, Any]
Script = Callable[[Callable[[Chunk], None]], Awaitable[StreamEnd]]

FIRST: Chunk = {"id": "up", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
LAST: Chunk = {"id": "up", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE: Chunk = {"id": "up", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
BROKEN = UpstreamStreamBroken("cut", sent=True, may_have_been_billed=True)


class PlayedStream:
    """Plays one script a call."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.calls = 0

    async def stream_chat(
        self,
        _target: Target,
        _body: bytes,
        _bounds: Bounds,
        *,
        on_sent: Callable[[], None],
        on_chunk: Callable[[Chunk], None],
    ) -> StreamEnd:
        self.calls += 1
        on_sent()
        return await self.scripts.pop(0)(on_chunk)


def plays(*chunks: Chunk, then: JobFailure | None = None, whole: Chunk | None = None) -> Script:
    async def script(on_chunk: Callable[[Chunk], None]) -> StreamEnd:
        for chunk in chunks:
            on_chunk(json.loads(json.dumps(chunk)))
        if then is not None:
            raise then
        return StreamEnd(200, "req-up", 0.01, 0.1, 0.2, len(chunks), whole)

    return script


def hangs_after(*chunks: Chunk) -> Script:
    async def script(on_chunk: Callable[[Chunk], None]) -> StreamEnd:
        await plays(*chunks)(on_chunk)
        await asyncio.Event().wait()
        raise AssertionError

    return script


class Stage:
    """One streamed claim; `allowed` says whether the database answers before the next chunk."""

    def __init__(self, *scripts: Script, allowed: bool = True, **job: Any) -> None:
        self.job: ClaimedJob = claimed(stream=True, **job)
        self.queue = LiveQueue()
        self.queue.follow(Follows("r", begin={self.job.id: -1}))
        self.client = PlayedStream(*scripts)
        self.publishing = Publishing(
            self.job,
            self.queue.stream(self.job.id),
            before_first=self._allow if allowed else lambda: None,
        )
        self.call = Call(
            self.job,
            client=self.client,  # type: ignore[arg-type]
            sealer=SEALER,
            publishing=self.publishing,
        )

    def _allow(self) -> None:
        self.publishing.permit()

    def run(self) -> Outcome:
        return asyncio.run(self.call.run())

    def cut(self) -> Outcome:
        async def begin_and_cut() -> Outcome:
            task = asyncio.create_task(self.call.run())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return self.call.cut_off()

        return asyncio.run(begin_and_cut())

    def live(self) -> list[bytes]:
        entries = self.queue.take().entries.get("r", ())
        return [chunk for entry in entries for chunk in entry.chunks]


def log_of(outcome: Outcome) -> list[bytes]:
    assert outcome.log_sealed is not None
    packed = SEALER.open(outcome.log_sealed, table=jobs.TABLE, row="01J", column=jobs.LOG)
    return logged_chunks(packed)


def test_a_stream_is_stored_as_the_answer_it_adds_up_to_with_its_log_and_evidence() -> None:
    stage = Stage(plays(FIRST, LAST, USAGE))
    outcome = stage.run()
    assert outcome.state is JobState.COMPLETED
    answer = opened(outcome, jobs.RESULT)
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hi"}
    assert [json.loads(line)["sequence_number"] for line in log_of(outcome)] == [0, 1]
    assert stage.live() == log_of(outcome)
    assert outcome.log_chunks == 2
    assert outcome.evidence is not None
    evidence = outcome.evidence
    assert (evidence.first_byte_seconds, evidence.upstream_request_id) == (0.1, "req-up")
    assert (evidence.prompt_tokens, evidence.completion_tokens) == (3, 1)


def test_a_server_that_does_not_stream_leaves_a_plain_result_and_no_log() -> None:
    whole = {"id": "up", "choices": [{"index": 0, "message": {"content": "all at once"}}]}
    stage = Stage(plays(whole=whole))
    outcome = stage.run()
    assert opened(outcome, jobs.RESULT) == whole
    assert outcome.log_sealed is None
    assert stage.live() == []


@pytest.mark.parametrize(
    "failure",
    [
        BROKEN,
        UpstreamTimeout("slow", sent=True, phase="idle", may_have_been_billed=True),
        UpstreamRefused("no more", sent=True, may_have_been_billed=True),
    ],
)
@pytest.mark.parametrize("on_interrupt", ["fail", "retry"])
def test_a_stream_that_fails_after_a_chunk_was_seen_ends_with_its_log_and_is_never_repeated(
    failure: JobFailure, on_interrupt: str
) -> None:
    stage = Stage(plays(FIRST, USAGE, then=failure), on_interrupt=on_interrupt)
    outcome = stage.run()
    assert (outcome.state, outcome.error_code) == (JobState.FAILED, failure.code)
    assert outcome.may_have_been_billed
    assert stage.live() == log_of(outcome) != []
    assert outcome.evidence is not None
    assert outcome.evidence.prompt_tokens == 3  # what was told before the end was paid
    assert 0 <= (outcome.evidence.first_byte_seconds or -1) < 1


def test_a_lost_stream_of_which_nothing_was_seen_runs_again_where_that_was_asked_for() -> None:
    stage = Stage(plays(FIRST, then=BROKEN), on_interrupt="retry", allowed=False)
    outcome = stage.run()
    assert (outcome.state, outcome.interrupted) == (JobState.QUEUED, True)
    assert outcome.log_sealed is None
    assert stage.live() == []


def test_the_last_lost_stream_of_a_job_leaves_its_log_although_nobody_saw_it() -> None:
    stage = Stage(plays(FIRST, then=BROKEN), on_interrupt="retry", allowed=False, interrupts=2)
    outcome = stage.run()
    assert outcome.state is JobState.FAILED
    assert len(log_of(outcome)) == 1


def test_a_stream_that_completes_before_it_may_be_seen_has_its_log_all_the_same() -> None:
    stage = Stage(plays(FIRST, LAST), on_interrupt="retry", allowed=False)
    outcome = stage.run()
    assert outcome.state is JobState.COMPLETED
    assert len(log_of(outcome)) == 2
    assert stage.live() == []


def test_a_refusal_for_now_before_the_first_chunk_is_tried_again_as_ever() -> None:
    refused = UpstreamRateLimited("later", sent=True, refused_for_now=True)
    stage = Stage(plays(then=refused), plays(FIRST, LAST))
    outcome = stage.run()
    assert (outcome.state, stage.client.calls) == (JobState.COMPLETED, 2)
    assert len(log_of(outcome)) == 2


@pytest.mark.parametrize("on_unavailable", ["fail", "wait"])
def test_whatever_an_upstream_says_after_a_chunk_there_is_no_second_call(
    on_unavailable: str,
) -> None:
    refused = UpstreamRateLimited("later", sent=True, refused_for_now=True)
    stage = Stage(plays(FIRST, then=refused), on_unavailable=on_unavailable)
    outcome = stage.run()
    assert (outcome.state, outcome.error_code) == (JobState.FAILED, "upstream_rate_limited")
    assert outcome.did_nothing is False
    assert stage.client.calls == 1


def test_the_deadline_ends_a_stream_with_what_came_of_it() -> None:
    stage = Stage(hangs_after(FIRST), on_interrupt="retry", deadline=time.time() + 0.05)
    outcome = stage.run()
    assert outcome.error_code == "deadline_exceeded"
    assert len(log_of(outcome)) == 1


@pytest.mark.parametrize("on_interrupt", ["fail", "retry"])
def test_at_shutdown_a_stream_that_was_seen_is_interrupted_with_its_log(on_interrupt: str) -> None:
    stage = Stage(hangs_after(FIRST), on_interrupt=on_interrupt)
    assert stage.call.repeatable is (on_interrupt == "retry")
    outcome = stage.cut()
    assert (outcome.state, outcome.error_code) == (JobState.FAILED, "interrupted")
    assert stage.call.repeatable is False
    assert len(log_of(outcome)) == 1


def test_at_shutdown_a_stream_that_nobody_saw_runs_again() -> None:
    stage = Stage(hangs_after(FIRST), on_interrupt="retry", allowed=False)
    outcome = stage.cut()
    assert (outcome.state, outcome.interrupted) == (JobState.QUEUED, True)
    assert outcome.log_sealed is None


def test_the_live_stream_ends_however_the_call_ends() -> None:
    for stage in (Stage(plays(FIRST, LAST)), Stage(plays(FIRST, then=BROKEN))):
        stage.run()
        assert stage.queue._running == {}
    cut = Stage(hangs_after(FIRST))
    cut.cut()
    assert cut.queue._running == {}


def test_a_stream_that_adds_up_to_too_much_fails_with_the_chunks_that_were_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record, "MOST_RESULT_BYTES", 10)
    stage = Stage(plays(FIRST, LAST))
    outcome = stage.run()
    assert (outcome.state, outcome.error_code) == (JobState.FAILED, "upstream_invalid_answer")
    assert outcome.may_have_been_billed
    assert outcome.log_sealed is not None

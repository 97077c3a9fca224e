"""One claim from the sealed request to its outcome, against a client that the test plays."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from services.chat_worker.call import Call
from services.chat_worker.figures import Figures
from shared.crypto import Sealer
from shared.domain import JobState
from shared.errors import UpstreamRateLimited, UpstreamUnreachable
from shared.keyring import Keyring
from shared.store import jobs
from shared.store.jobs import ClaimedJob, Outcome
from shared.store.jobs import Target as StoredTarget
from shared.upstream import Bounds, ChatAnswer, ConnectionLost, Target

ANSWER = {"id": "up-1", "choices": [{"index": 0}], "usage": {"prompt_tokens": 3}}
Script = Callable[[Callable[[], None]], Awaitable[ChatAnswer]]


class PlayedClient:
    """Answers each call with the next of its scripts, and keeps what it was asked."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.asked: list[tuple[Target, bytes, Bounds]] = []

    async def chat(
        self,
        target: Target,
        body: bytes,
        bounds: Bounds,
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> ChatAnswer:
        self.asked.append((target, body, bounds))
        assert on_sent is not None
        return await self.scripts.pop(0)(on_sent)


async def answers(on_sent: Callable[[], None]) -> ChatAnswer:
    on_sent()
    return ChatAnswer(dict(ANSWER), 200, "req-up", 0.01, 0.1, 0.2)


async def refuses(_: Callable[[], None]) -> ChatAnswer:
    raise UpstreamUnreachable("no way", sent=False)


async def asks_for_patience(on_sent: Callable[[], None]) -> ChatAnswer:
    on_sent()
    raise UpstreamRateLimited("later", sent=True, refused_for_now=True, retry_after=30)


async def is_cut_off(on_sent: Callable[[], None]) -> ChatAnswer:
    on_sent()
    raise ConnectionLost("The connection was reset.")


async def hangs(on_sent: Callable[[], None]) -> ChatAnswer:
    on_sent()
    await asyncio.Event().wait()
    raise AssertionError


async def hangs_before_it_sends(_: Callable[[], None]) -> ChatAnswer:
    await asyncio.Event().wait()
    raise AssertionError


SEALER = Sealer(Keyring.generate())


def claimed(**changes: Any) -> ClaimedJob:
    key = SEALER.seal(b"sk-canary", table="provider", row="prov_1", column="api_key_sealed")
    target = StoredTarget(
        "prov_1", "a", "http://h/c", "http://h/m", key, "f1", {"idle_timeout": 7}, 4
    )
    values: dict[str, Any] = {
        "id": "01J",
        "worker_id": "wrk_1",
        "attempt": 1,
        "target": target,
        "request_id": "req-1",
        "request_sealed": SEALER.seal(
            b'{"model":"m"}', table=jobs.TABLE, row="01J", column=jobs.REQUEST
        ),
        "on_interrupt": "fail",
        "on_unavailable": "fail",
        "interrupts": 0,
        "deadline": 2e9,
        "background": True,
        "owner": "ann",
        "key_id": "key_1",
        "model": "acme/m",
        "created_at": 1e9,
        "stream": False,
        "include_usage": False,
        "publishing": False,
    }
    return ClaimedJob(**values | changes)


def run(client: PlayedClient, job: ClaimedJob) -> tuple[Outcome, Call]:
    call = Call(job, client=client, sealer=SEALER)  # type: ignore[arg-type]
    return asyncio.run(call.run()), call


def cut(client: PlayedClient, job: ClaimedJob) -> Outcome:
    """The outcome of a call that is cut off once it hangs."""

    async def begin_and_cut() -> Outcome:
        call = Call(job, client=client, sealer=SEALER)  # type: ignore[arg-type]
        task = asyncio.create_task(call.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return call.cut_off()

    return asyncio.run(begin_and_cut())


def opened(outcome: Outcome, column: str) -> Any:
    sealed = outcome.result_sealed if column == jobs.RESULT else outcome.error_sealed
    assert sealed is not None
    return json.loads(SEALER.open(sealed, table=jobs.TABLE, row="01J", column=column))


def test_an_answer_is_sealed_as_it_came_with_its_evidence() -> None:
    client = PlayedClient(answers)
    outcome, _ = run(client, claimed())
    assert outcome.state is JobState.COMPLETED
    assert opened(outcome, jobs.RESULT) == ANSWER
    assert outcome.evidence is not None
    assert outcome.evidence.prompt_tokens == 3
    assert outcome.evidence.completion_tokens is None  # unknown is not zero
    ((target, body, bounds),) = client.asked
    assert target.api_key is not None
    assert target.api_key.reveal() == "sk-canary"
    assert (body, bounds.idle, bounds.connect) == (b'{"model":"m"}', 7, 5)


def test_a_job_that_does_not_wait_tries_three_times_where_nothing_was_sent() -> None:
    outcome, _ = run(PlayedClient(refuses, refuses, answers), claimed())
    assert (outcome.state, outcome.extra_calls) == (JobState.COMPLETED, 2)
    outcome, _ = run(PlayedClient(refuses, refuses, refuses), claimed())
    assert (outcome.state, outcome.error_code) == (JobState.FAILED, "upstream_unreachable")
    assert opened(outcome, jobs.ERROR)["may_have_been_billed"] is False


def test_it_does_not_try_again_when_the_upstream_asks_for_more_patience_than_a_second() -> None:
    client = PlayedClient(asks_for_patience)
    outcome, _ = run(client, claimed())
    assert outcome.error_code == "upstream_rate_limited"
    assert len(client.asked) == 1


def test_a_waiting_job_makes_one_try_a_claim() -> None:
    client = PlayedClient(refuses)
    outcome, _ = run(client, claimed(on_unavailable="wait"))
    assert (outcome.state, len(client.asked)) == (JobState.QUEUED, 1)


def test_a_lost_connection_is_interrupted_and_may_have_been_billed() -> None:
    outcome, _ = run(PlayedClient(is_cut_off), claimed())
    document = opened(outcome, jobs.ERROR)
    assert (document["code"], document["may_have_been_billed"]) == ("interrupted", True)


def test_the_jobs_deadline_ends_a_call_and_says_whether_bytes_had_left() -> None:
    outcome, _ = run(PlayedClient(hangs), claimed(deadline=time.time() + 0.05))
    assert (outcome.error_code, outcome.may_have_been_billed) == ("deadline_exceeded", True)
    outcome, _ = run(PlayedClient(hangs), claimed(deadline=0.0))
    assert (outcome.error_code, outcome.may_have_been_billed) == ("deadline_exceeded", False)


def unreadable() -> float:
    """How many values this process has found that do not open."""
    return Figures().registry.get_sample_value("dragoman_values_unreadable_total") or 0.0


def test_a_request_sealed_elsewhere_ends_the_job_without_a_call() -> None:
    foreign = SEALER.seal(b"{}", table=jobs.TABLE, row="other", column=jobs.REQUEST)
    client = PlayedClient()
    outcome, _ = run(client, claimed(request_sealed=foreign))
    assert (outcome.state, outcome.error_code) == (JobState.FAILED, "unreadable")
    assert client.asked == []


def test_a_job_whose_key_is_not_here_waits_for_one_that_has_it_unless_somebody_waits() -> None:
    other = Sealer(Keyring.generate())
    place = {"table": jobs.TABLE, "row": claimed().id, "column": jobs.REQUEST}
    foreign = other.seal(b"{}", **place)
    for on_unavailable, state in (("wait", JobState.QUEUED), ("fail", JobState.FAILED)):
        client, before = PlayedClient(), unreadable()
        job = claimed(request_sealed=foreign, on_unavailable=on_unavailable)
        outcome, _ = run(client, job)
        assert unreadable() == before + 1
        assert (outcome.state, outcome.error_code) == (state, "unreadable")
        assert client.asked == []
        if state is JobState.QUEUED:
            assert outcome.extra_calls == -1
            assert outcome.not_before > time.time()


@pytest.mark.parametrize(
    ("on_interrupt", "sent", "state"),
    [
        ("fail", False, JobState.QUEUED),
        ("retry", False, JobState.QUEUED),
        ("fail", True, JobState.FAILED),
        ("retry", True, JobState.QUEUED),
    ],
)
def test_at_shutdown_only_what_was_sent_is_in_doubt(
    on_interrupt: str, sent: bool, state: JobState
) -> None:
    script = hangs if sent else hangs_before_it_sends
    outcome = cut(PlayedClient(script), claimed(on_interrupt=on_interrupt))
    assert outcome.state is state
    assert outcome.interrupted is (sent and on_interrupt == "retry")


def test_the_key_shows_in_no_outcome() -> None:
    for client in (PlayedClient(answers), PlayedClient(is_cut_off), PlayedClient(refuses)):
        outcome, _ = run(client, claimed(on_unavailable="wait"))
        assert "sk-canary" not in repr(outcome)


def test_an_earlier_lost_call_may_have_been_billed_whatever_became_of_this_one() -> None:
    outcome, _ = run(PlayedClient(refuses, refuses, refuses), claimed(interrupts=1))
    assert outcome.may_have_been_billed is True
    assert opened(outcome, jobs.ERROR)["may_have_been_billed"] is True


@pytest.mark.parametrize(
    ("script", "changes", "told"),
    [
        (answers, {}, None),
        (is_cut_off, {}, "the job failed"),
        (refuses, {"on_unavailable": "wait"}, "the job waits again"),
    ],
)
def test_a_call_that_did_not_complete_has_one_line_in_the_log(
    script: Script, changes: dict[str, Any], told: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    outcome, _ = run(PlayedClient(script), claimed(**changes))
    lines = [record for record in caplog.records if record.name == "services.chat_worker.told"]
    assert [line.message for line in lines] == ([told] if told else [])
    for line in lines:
        found = cast(Any, line)
        assert (found.provider, found.code) == ("a", outcome.error_code)
        assert (found.attempt, found.worker) == (1, "wrk_1")

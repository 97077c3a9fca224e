"""Streamed jobs with a real Valkey and an upstream that streams: what readers see, what is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from services.chat_worker import live_sender
from shared import live
from shared.domain import JobState
from shared.store import jobs, usage
from shared.store.database import Database
from shared.store.usage import HOUR, Period
from tests.eventually import eventually
from tests.integration.chat_worker.conftest import Bench, LocalWorker, local_worker
from tests.integration.chat_worker.streamed import (
    log_of,
    numbers,
    publishing,
    reading,
    seen,
    submit,
    text,
)
from tests.integration.chat_worker.test_holders import write_lock
from tests.simulators import Mode
from tests.simulators.counting import text_of


@pytest.fixture
def worker(bench: Bench) -> Iterator[LocalWorker]:
    """A worker in this process."""
    database = Database(bench.settings.database_url)
    with local_worker(bench, database) as worker:
        yield worker
    database.dispose()


def _heard(subscription: Any) -> bool:
    """Whether anything was said; also while the connection is made anew."""
    try:
        return subscription.get_message(timeout=0.2) is not None
    except redis.ConnectionError:
        return False


def test_a_stream_is_seen_while_it_runs_and_stored_as_its_readers_saw_it(
    bench: Bench, worker: LocalWorker
) -> None:
    job_id = submit(bench, {"hold_before": 10})
    with reading(bench, job_id) as reader:
        worker.keeper.ring()
        eventually(lambda: len(reader.heard()) == 10, 10)
        assert bench.job(job_id).state is JobState.IN_PROGRESS
        assert numbers(seen(bench, job_id, after=6)) == [7, 8, 9]
        bench.upstream.release()
        bench.ended(job_id)
        chunks = log_of(bench, job_id)
        eventually(lambda: reader.heard() == chunks, 5)
        assert b"word1" not in b"".join(reader.sent)
    assert seen(bench, job_id) == []  # from now on the row has them
    assert numbers(chunks) == list(range(len(chunks)))
    names = {(chunk["id"], chunk["model"]) for chunk in chunks}
    assert names == {(f"chatcmpl-{job_id}", "acme/m")}
    assert text(chunks) == bench.answer(job_id) == text_of(20)
    with bench.database.read() as tx:
        (attempt,) = jobs.attempts(tx, job_id)
    assert (attempt.prompt_tokens, attempt.completion_tokens) == (7, 3)


def test_the_usage_chunk_is_in_the_log_only_where_it_was_asked_for(
    bench: Bench, worker: LocalWorker
) -> None:
    asked, hidden = submit(bench, include_usage=True), submit(bench)
    worker.keeper.ring()
    bench.ended(asked, hidden)
    *rest, last = log_of(bench, asked)
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 3)
    assert numbers(log_of(bench, hidden)) == numbers(rest)


def test_a_server_that_answers_whole_leaves_a_result_and_no_log(
    bench: Bench, worker: LocalWorker
) -> None:
    bench.upstream.set_mode(Mode.NO_STREAMS, "chat")
    job_id = submit(bench)
    worker.keeper.ring()
    bench.ended(job_id)
    assert bench.answer(job_id) == text_of(20)
    assert (log_of(bench, job_id), seen(bench, job_id)) == ([], [])


@pytest.mark.parametrize(
    ("ending", "code"), [("cut", "upstream_stream_broken"), ("error", "upstream_refused")]
)
def test_a_stream_that_breaks_off_after_it_was_seen_fails_with_what_came_and_is_not_repeated(
    bench: Bench, worker: LocalWorker, ending: str, code: str
) -> None:
    sim = {"hold_before": 6, "ending": ending, "end_after": 7}
    job_id = submit(bench, sim, on_interrupt="retry")
    worker.keeper.ring()
    eventually(lambda: len(seen(bench, job_id)) == 6, 10)
    bench.upstream.release()
    (job,) = bench.ended(job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, code)
    assert numbers(log_of(bench, job_id)) == list(range(7))
    assert bench.upstream.calls_of(job_id).begun == 1


def test_a_call_that_may_be_repeated_shows_nothing_before_the_database_knows(
    bench: Bench, worker: LocalWorker
) -> None:
    bench.upstream.hold()
    repeatable, other = (
        submit(bench, {"hold_before": 10}, on_interrupt=word) for word in ("retry", "fail")
    )
    worker.keeper.ring()
    bench.upstream.wait_until(lambda stats: stats.in_flight == 2, 10)
    with write_lock(bench):
        bench.upstream.release()
        eventually(lambda: len(seen(bench, other)) == 10, 4)
        assert seen(bench, repeatable) == []
    eventually(lambda: len(seen(bench, repeatable)) == 10, 10)
    assert (publishing(bench, repeatable), publishing(bench, other)) == (True, False)
    bench.upstream.release()
    bench.ended(repeatable, other)
    assert text(log_of(bench, repeatable)) == text_of(20)


def test_a_call_that_lost_its_job_before_its_first_chunk_shows_nothing_and_is_closed(
    bench: Bench, worker: LocalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the look once a second, which would tell, too.
    monkeypatch.setattr(jobs, "lost", lambda _tx, _claims: set())
    bench.upstream.hold()
    lost, other = (
        submit(bench, {"hold_before": 10}, on_interrupt=word) for word in ("retry", "fail")
    )
    worker.keeper.ring()
    bench.upstream.wait_until(lambda stats: stats.in_flight == 2, 10)
    with write_lock(bench) as connection:
        bench.upstream.release()
        eventually(lambda: len(seen(bench, other)) == 10, 4)
        taken = "UPDATE chat_job SET worker_id = 'wrk_other', attempt = 2 WHERE id = ?"
        connection.execute(taken, (lost,))
        connection.execute("COMMIT")
    bench.upstream.wait_until(lambda stats: stats.closed_early == 1, 5)
    assert (seen(bench, lost), publishing(bench, lost)) == ([], False)
    bench.upstream.release()
    bench.ended(other)


def test_when_the_lease_is_over_only_calls_that_others_may_repeat_are_closed(
    bench: Bench, worker: LocalWorker
) -> None:
    shown = submit(bench, {"hold_before": 10}, on_interrupt="retry")
    unseen = submit(bench, {"hold_before": 0}, on_interrupt="retry")
    worker.keeper.ring()
    eventually(lambda: len(seen(bench, shown)) == 10, 10)
    bench.upstream.wait_until(lambda stats: stats.in_flight == 2, 10)
    worker.engine.cut_off_retryable()
    bench.upstream.wait_until(lambda stats: stats.closed_early == 1, 5)
    bench.until(unseen, lambda job: job.last_cause == "interrupted")
    bench.upstream.release()
    bench.ended(shown)
    assert text(log_of(bench, shown)) == text_of(20)
    assert bench.upstream.calls_of(shown).begun == 1


def test_a_reader_has_every_chunk_although_redis_lost_everything(
    bench: Bench, worker: LocalWorker
) -> None:
    job_id = submit(bench, {"hold_before": 10})
    with reading(bench, job_id) as reader:
        worker.keeper.ring()
        eventually(lambda: len(reader.heard()) == 10, 10)
        bench.valkey.flush()
        assert len(seen(bench, job_id)) == 10
        bench.upstream.release()
        bench.ended(job_id)
        eventually(lambda: reader.heard() == log_of(bench, job_id), 5)


def test_the_last_chunks_of_a_stream_are_sent_before_its_end_is_told(
    bench: Bench, worker: LocalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = submit(bench, {"hold_before": 10})
    with reading(bench, job_id) as reader:
        worker.keeper.ring()
        eventually(lambda: len(reader.heard()) == 10, 10)
        for pause in ("LONGEST_PAUSE", "PAUSE_PER_ENTRY"):  # from the next message on
            monkeypatch.setattr(live_sender, pause, 60.0)
        bench.upstream.release()
        bench.ended(job_id)
        worker.engine.tell_ended([job_id])
        eventually(lambda: reader.heard() == log_of(bench, job_id), 5)


def test_a_worker_that_begins_to_listen_asks_who_follows(bench: Bench, worker: LocalWorker) -> None:
    with redis.Redis.from_url(bench.valkey.url, socket_timeout=5) as client:
        asked = client.pubsub(ignore_subscribe_messages=True)
        asked.subscribe(live.WHO_FOLLOWS)
        asked.get_message(timeout=2)
        bench.valkey.stop()
        bench.valkey.start()
        eventually(lambda: _heard(asked), 10)
        asked.close()


def test_a_frozen_redis_delays_no_stream_and_gets_its_chunks_when_it_is_back(
    bench: Bench, worker: LocalWorker
) -> None:
    job_id = submit(bench, {"hold_before": 10})
    with reading(bench, job_id) as reader:
        worker.keeper.ring()
        eventually(lambda: len(reader.heard()) == 10, 10)
        bench.valkey.freeze()
        try:
            bench.upstream.release()
            bench.ended(job_id, timeout=3)
        finally:
            bench.valkey.thaw()
        chunks = log_of(bench, job_id)
        assert text(chunks) == text_of(20)
        eventually(lambda: reader.heard() == chunks, 5)


def test_a_cancelled_streams_connection_is_closed_and_its_chunks_are_dropped(
    bench: Bench, worker: LocalWorker
) -> None:
    job_id = submit(bench, {"hold_before": 10})
    worker.keeper.ring()
    eventually(lambda: len(seen(bench, job_id)) == 10, 10)
    before = used(bench)
    bench.cancel(job_id)
    bench.upstream.wait_until(lambda stats: stats.closed_early == 1, 2)
    assert bench.job(job_id).state is JobState.CANCELLED
    assert log_of(bench, job_id) == []
    (attempt,) = eventually(lambda: bench.attempts(job_id), 5)
    assert (attempt.outcome, attempt.completion_tokens) == ("abandoned", None)
    after = used(bench)
    assert after["unknown_usage"] - before["unknown_usage"] == 1
    assert after["completion_tokens"] - before["completion_tokens"] == 10, "as many chunks came"


def test_the_chunks_of_a_job_that_is_deleted_while_it_streams_were_used(
    bench: Bench, worker: LocalWorker
) -> None:
    job_id = submit(bench, {"hold_before": 10})
    worker.keeper.ring()
    eventually(lambda: len(seen(bench, job_id)) == 10, 10)
    before = used(bench)
    bench.delete(job_id)
    eventually(lambda: used(bench)["completion_tokens"] - before["completion_tokens"] == 10, 5)
    assert bench.attempts(job_id) == []


def used(bench: Bench) -> dict[str, Any]:
    """The sums of all that the tests here used."""
    with bench.database.read() as tx:
        (total,) = usage.totals(tx, Period(0, time.time() + HOUR), [])
    return total

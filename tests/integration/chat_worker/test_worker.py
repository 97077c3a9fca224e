"""What a chat worker survives, and what it does when it must stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from shared.domain import JobState
from tests.eventually import eventually
from tests.integration.chat_worker.conftest import Bench
from tests.postgres import PostgresServer
from tests.simulators._running import Running
from tests.valkey import OwnValkey


def test_queued_jobs_are_answered_each_with_its_own_answer_and_one_call(bench: Bench) -> None:
    ids = [bench.submit() for _ in range(50)]
    bench.start_worker()
    assert {job.state for job in bench.ended(*ids)} == {JobState.COMPLETED}
    assert [bench.answer(job_id) for job_id in ids] == [f"answer to {job_id}" for job_id in ids]
    assert all(bench.upstream.calls_of(job_id).begun == 1 for job_id in ids)


def test_it_works_without_redis_and_notices_new_jobs_within_its_own_second(bench: Bench) -> None:
    bench.valkey.stop()
    bench.start_worker()
    first = bench.submit()
    bench.ended(first, timeout=5)
    assert bench.answer(first) == f"answer to {first}"


def test_it_outlives_a_redis_that_restarts(bench: Bench) -> None:
    worker = bench.start_worker()
    bench.valkey.stop()
    during = bench.submit()
    bench.ended(during, timeout=5)
    bench.valkey.start()
    after = bench.submit()
    bench.ended(after, timeout=5)
    assert worker.process.poll() is None


def test_a_redis_that_refuses_writes_costs_it_neither_its_life_nor_a_call(bench: Bench) -> None:
    bench.upstream.hold()
    running = bench.submit()
    worker = bench.start_worker()
    bench.upstream.wait_until(lambda stats: stats.in_flight == 1, 10)
    bench.valkey.refuse_writes()
    eventually(lambda: worker.said("NOREPLICAS"), 10)
    bench.upstream.release()
    during = bench.submit()
    bench.ended(running, during, timeout=5)
    bench.valkey.accept_writes()
    eventually(bench.valkey.reads, 10)
    assert worker.process.poll() is None
    assert worker.log.read_text().count("Traceback") <= 5


def test_a_stop_lets_running_calls_finish_and_claims_nothing_more(bench: Bench) -> None:
    bench.upstream.hold()
    running = bench.submit()
    worker = bench.start_worker()
    bench.upstream.wait_until(lambda stats: stats.in_flight == 1, 10)
    worker.send(signal.SIGTERM)
    eventually(lambda: worker.said("waiting for running calls"), 5)
    waiting = bench.submit()
    bench.upstream.release()
    assert worker.process.wait(10) == 0
    assert bench.answer(running) == f"answer to {running}"
    assert bench.job(waiting).state is JobState.QUEUED


def test_after_the_grace_running_calls_follow_on_interrupt(bench: Bench) -> None:
    bench.upstream.hold()
    fails, repeats = bench.submit(), bench.submit(on_interrupt="retry")
    worker = bench.start_worker(DRAGOMAN_GRACE_SECONDS="0.2")
    bench.upstream.wait_until(lambda stats: stats.in_flight == 2, 10)
    assert worker.stop() == 0
    (failed,) = bench.ended(fails)
    assert (failed.error_code, failed.may_have_been_billed) == ("interrupted", True)
    assert bench.job(repeats).state is JobState.QUEUED
    bench.upstream.release()
    bench.start_worker()
    bench.ended(repeats)
    assert bench.answer(repeats) == f"answer to {repeats}"
    assert bench.job(repeats).calls == 2


def test_calls_of_a_killed_worker_end_once_and_none_is_made_twice_by_default(
    bench: Bench,
) -> None:
    bench.upstream.hold()
    ids = [bench.submit() for _ in range(20)]
    again = bench.submit(on_interrupt="retry")
    worker = bench.start_worker()
    bench.upstream.wait_until(lambda stats: stats.in_flight == 21, 10)
    worker.send(signal.SIGKILL)
    worker.process.wait(5)
    bench.upstream.release()
    bench.start_worker()
    ended = bench.ended(*ids, again, timeout=4 * 1.0 + 10)
    assert {job.error_code for job in ended[:-1]} == {"interrupted"}
    assert all(bench.upstream.calls_of(job_id).begun == 1 for job_id in ids)
    assert ended[-1].state is JobState.COMPLETED
    assert bench.upstream.calls_of(again).begun == 2


def test_a_worker_that_was_stopped_for_too_long_goes_on_as_a_new_one(bench: Bench) -> None:
    bench.upstream.hold()
    job_id = bench.submit()
    stopped = bench.start_worker()
    bench.upstream.wait_until(lambda stats: stats.in_flight == 1, 10)
    stopped.send(signal.SIGSTOP)
    bench.start_worker()
    (failed,) = bench.ended(job_id)
    bench.upstream.release()
    stopped.send(signal.SIGCONT)
    eventually(lambda: stopped.said("going on as a new worker"), 10)
    # The answer that came meanwhile is dropped, or its connection closed unread: what is first.
    assert stopped.stop() == 0
    assert bench.job(job_id) == failed
    assert bench.upstream.calls_of(job_id).begun == 1


def test_a_cancelled_jobs_connection_is_closed_within_two_seconds(bench: Bench) -> None:
    bench.upstream.hold()
    job_id = bench.submit()
    worker = bench.start_worker()
    bench.upstream.wait_until(lambda stats: stats.in_flight == 1, 10)
    bench.cancel(job_id)
    bench.upstream.wait_until(lambda stats: stats.closed_early == 1, 2)
    assert bench.job(job_id).state is JobState.CANCELLED
    (attempt,) = eventually(lambda: bench.attempts(job_id), 5)
    assert (attempt.outcome, attempt.sent, attempt.fenced) == ("abandoned", True, True)
    assert attempt.chat_url.startswith(bench.upstream.url)
    assert not worker.said("too late"), "nobody had waited for it"


def test_a_dead_provider_holds_its_jobs_at_the_gate_until_it_is_back(bench: Bench) -> None:
    dead = bench.add_provider("dead", "http://127.0.0.1:1")
    waiting = bench.submit(provider_id=dead)
    impatient = bench.submit(provider_id=dead, on_unavailable="fail")
    bench.start_worker()
    (failed,) = bench.ended(impatient, timeout=10)
    assert failed.error_code == "upstream_unreachable"
    bench.until(waiting, lambda job: job.gate_reason is not None)
    assert bench.job(waiting).last_cause == "upstream_unreachable"
    assert bench.job(waiting).calls == 0
    with bench.database.write() as tx:
        tx.execute(
            sa.text("UPDATE provider SET chat_url = :url WHERE id = :id"),
            {"url": f"{bench.upstream.url}/v1/chat/completions", "id": dead},
        )
    bench.ended(waiting, timeout=15)
    assert bench.answer(waiting) == f"answer to {waiting}"


def test_a_second_worker_helps_a_full_one(bench: Bench) -> None:
    bench.upstream.hold()
    ids = [bench.submit() for _ in range(8)]
    for _ in range(2):
        bench.start_worker(DRAGOMAN_CHAT_CONCURRENCY="4")
    bench.upstream.wait_until(lambda stats: stats.in_flight == 8, 15)
    bench.upstream.release()
    assert {job.state for job in bench.ended(*ids)} == {JobState.COMPLETED}


def test_bad_configuration_is_told_whole_and_ends_with_78(bench: Bench) -> None:
    with pytest.raises(RuntimeError) as caught:
        bench.start_worker(DRAGOMAN_PORT="x", REDIS_URL="nowhere")
    assert "exit 78" in str(caught.value)
    assert "DRAGOMAN_PORT: expected" in str(caught.value)
    assert "REDIS_URL: expected" in str(caught.value)
    assert bench.workers == []


@pytest.fixture
def own_postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A durable cluster that the test may stop."""
    server = PostgresServer(durable=True)
    server.create()
    yield server
    server.remove()


def test_answers_that_come_while_the_database_is_away_are_written_when_it_is_back(
    tmp_path: Path, upstream: Running, valkey: OwnValkey, own_postgres: PostgresServer
) -> None:
    bench = Bench(tmp_path, upstream, valkey, own_postgres.fresh_database())
    try:
        # The lease outlasts the outage, as the default of 60 s does for an ordinary restart.
        worker = bench.start_worker(DRAGOMAN_LEASE_SECONDS="20")
        upstream.hold()
        ids = [bench.submit() for _ in range(10)]
        upstream.wait_until(lambda stats: stats.in_flight == 10, 10)
        own_postgres.stop(signal.SIGQUIT)
        upstream.release()
        upstream.wait_until(lambda stats: stats.answered == 10, 10)
        eventually(lambda: worker.said("the database does not answer"), 10)
        bench.database.dispose()
        own_postgres.start()
        assert {job.state for job in bench.ended(*ids)} == {JobState.COMPLETED}
        assert all(upstream.calls_of(job_id).begun == 1 for job_id in ids)
        eventually(lambda: worker.said("the database is back"), 5)
    finally:
        bench.close()


def test_a_frozen_redis_keeps_it_neither_from_working_nor_from_stopping(bench: Bench) -> None:
    worker = bench.start_worker()
    assert bench.valkey.process is not None
    bench.valkey.process.send_signal(signal.SIGSTOP)
    try:
        job_id = bench.submit()
        bench.ended(job_id, timeout=5)
        worker.send(signal.SIGTERM)
        eventually(lambda: bench.workers_listed() == 0, 5)
    finally:
        bench.valkey.process.send_signal(signal.SIGCONT)
    assert worker.process.wait(15) == 0

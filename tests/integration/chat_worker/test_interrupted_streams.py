"""Streams whose worker dies or stops: what was seen is never run again, what was not may be."""

from __future__ import annotations

import signal

from shared.domain import JobState
from tests.eventually import eventually
from tests.integration.chat_worker.conftest import Bench
from tests.integration.chat_worker.streamed import (
    log_of,
    numbers,
    publishing,
    seen,
    submit,
    text,
)
from tests.simulators.counting import text_of


def test_of_a_killed_workers_streams_only_those_that_nobody_saw_run_again(bench: Bench) -> None:
    shown = submit(bench, {"hold_before": 10}, on_interrupt="retry")
    unseen = submit(bench, {"hold_before": 0}, on_interrupt="retry")
    worker = bench.start_worker()
    eventually(lambda: len(seen(bench, shown)) == 10, 10)
    bench.upstream.wait_until(lambda stats: stats.in_flight == 2, 10)
    assert (publishing(bench, shown), publishing(bench, unseen)) == (True, False)
    worker.send(signal.SIGKILL)
    worker.process.wait(5)
    bench.start_worker()
    (job,) = bench.ended(shown)
    assert (job.state, job.error_code) == (JobState.FAILED, "interrupted")
    assert job.may_have_been_billed
    bench.upstream.wait_until(lambda stats: stats.begun == 3, 10)
    bench.upstream.release()
    bench.ended(unseen)
    assert bench.answer(unseen) == text(log_of(bench, unseen)) == text_of(20)
    assert bench.upstream.calls_of(shown).begun == 1
    assert bench.upstream.calls_of(unseen).begun == 2


def test_streams_that_are_cut_off_at_a_stop_end_with_their_log_unless_nobody_saw_them(
    bench: Bench,
) -> None:
    default = submit(bench, {"hold_before": 10})
    shown = submit(bench, {"hold_before": 5}, on_interrupt="retry")
    unseen = submit(bench, {"hold_before": 0}, on_interrupt="retry")
    worker = bench.start_worker(DRAGOMAN_GRACE_SECONDS="0.2")
    eventually(lambda: len(seen(bench, default)) == 10, 10)
    eventually(lambda: len(seen(bench, shown)) == 5, 10)
    bench.upstream.wait_until(lambda stats: stats.in_flight == 3, 10)
    assert worker.stop() == 0
    for job_id, count in ((default, 10), (shown, 5)):
        job = bench.job(job_id)
        assert (job.state, job.error_code) == (JobState.FAILED, "interrupted")
        assert numbers(log_of(bench, job_id)) == list(range(count))
    assert bench.job(unseen).state is JobState.QUEUED

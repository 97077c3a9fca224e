"""Two thousand jobs on a slow upstream run at once in one chat worker."""

from __future__ import annotations

import asyncio
import time

import psutil
import pytest

from tests.api import Api, chat_body
from tests.campaigns.load import burst, collect
from tests.eventually import eventually
from tests.simulators import spawned
from tests.system import System

JOBS = 2000
LATENCY_SECONDS = 3.0
# `./dragoman benchmark --only drain` measures; a shared CI machine gets more than its 8 s.
DRAIN_SECONDS = 20.0
HIGH_WATER = 1500
WORKER_MIB = 250


@pytest.mark.timeout(180)
def test_two_thousand_jobs_of_three_seconds_run_at_once(
    system: System, api: Api, name: str
) -> None:
    with spawned("--latency", str(LATENCY_SECONDS)) as upstream:
        model = f"{api.add_provider(name, upstream.url)['slug']}/sim-model"
        # Held calls keep their 3 s until all are submitted: how many run at once then depends on
        # the worker alone, not on how fast this machine submits.
        upstream.hold()
        bodies = [chat_body(model, f"many-{number}", background=True) for number in range(JOBS)]
        accepted = asyncio.run(burst(system.url, system.admin_key, bodies, connections=50))
        submitted_at = time.monotonic()
        upstream.wait_until(lambda s: s.in_flight >= HIGH_WATER, LATENCY_SECONDS)
        upstream.release()
        upstream.wait_until(lambda s: s.answered == JOBS, DRAIN_SECONDS)
        memory = psutil.Process(system.pid_of("chat-worker")).memory_info().rss / 2**20
        ids = [entry.job_id for entry in accepted]
        waiting = ids[-50:]  # the last ones end last, and asking for all would be a load of its own

        def ended() -> bool:
            return all(api.job(job_id)["status"] == "completed" for job_id in waiting)

        eventually(ended, DRAIN_SECONDS)
        took = time.monotonic() - submitted_at
        jobs = asyncio.run(collect(system.url, system.admin_key, ids))
        high_water = upstream.stats().high_water
        calls = upstream.calls()
    print(f"drained in {took:.1f} s, {high_water} in flight at most, worker {memory:.0f} MiB")
    assert took <= DRAIN_SECONDS
    assert memory <= WORKER_MIB
    assert [job for job in jobs.values() if job is None or job["status"] != "completed"] == []
    assert {seen.begun for seen in calls.values()} == {1}

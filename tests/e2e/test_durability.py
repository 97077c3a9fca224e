"""What is accepted survives stopped and killed processes."""

from __future__ import annotations

import signal
import statistics
import time

import httpx

from tests.api import CHAT, Api, chat_body
from tests.e2e.conftest import LEASE_SECONDS
from tests.simulators import Remote
from tests.system import System

IN_FLIGHT = 100
ENDED_SECONDS = 15.0
ACCEPT_SECONDS = 0.050


def test_a_202_is_quick_while_every_worker_is_down_and_the_jobs_run_once_they_start(
    system: System, api: Api, far_upstream: Remote, name: str
) -> None:
    provider = api.add_provider(name, far_upstream.url)
    api.discovered(provider["id"], "ok", 5)
    model = f"{provider['slug']}/sim-model"
    took, ids = [], []
    # Killed, not frozen: a frozen process may hold SQLite's write lock.
    for worker in ("chat-worker", "discovery-worker", "beat"):
        system.signal(worker, signal.SIGKILL)
    for number in range(40):
        began = time.monotonic()
        ids.append(api.submit(model, f"stopped-{number}"))
        took.append(time.monotonic() - began)
    assert far_upstream.stats().begun == 0
    assert statistics.median(took) <= ACCEPT_SECONDS, f"{statistics.median(took) * 1000:.1f} ms"
    jobs = api.ended(ids, ENDED_SECONDS)
    assert {job["status"] for job in jobs.values()} == {"completed"}
    assert max(calls.begun for calls in far_upstream.calls().values()) == 1


def test_a_killed_worker_loses_nothing_and_calls_nobody_twice(
    system: System, api: Api, far_upstream: Remote, name: str
) -> None:
    model = f"{api.add_provider(name, far_upstream.url)['slug']}/sim-model"
    far_upstream.hold()
    running = [api.submit(model, f"killed-{number}") for number in range(IN_FLIGHT)]
    far_upstream.wait_until(lambda s: s.in_flight == IN_FLIGHT, timeout=20)
    pid = system.signal("chat-worker", signal.SIGKILL)
    killed_at = time.monotonic()
    far_upstream.release()
    queued = [api.submit(model, f"later-{number}") for number in range(10)]
    jobs = api.ended([*running, *queued], ENDED_SECONDS)
    assert time.monotonic() - killed_at <= ENDED_SECONDS
    assert system.restarted("chat-worker", pid) != pid
    for job_id in running:
        error = jobs[job_id]["error"]
        assert (error["code"], error["may_have_been_billed"]) == ("interrupted", True)
    assert {jobs[job_id]["status"] for job_id in queued} == {"completed"}
    calls = far_upstream.calls()
    assert len(calls) == IN_FLIGHT + 10
    assert max(seen.begun for seen in calls.values()) == 1
    assert api.ended(running, 5) == {job_id: jobs[job_id] for job_id in running}


def test_on_interrupt_retry_runs_the_call_again_after_a_kill(
    system: System, api: Api, far_upstream: Remote, name: str
) -> None:
    model = f"{api.add_provider(name, far_upstream.url)['slug']}/sim-model"
    far_upstream.hold()
    options = {"on_interrupt": "retry"}
    job_id = api.submit(model, "again", background_options=options)
    far_upstream.wait_until(lambda s: s.in_flight == 1, timeout=20)
    system.signal("chat-worker", signal.SIGKILL)
    far_upstream.wait_until(lambda s: s.closed_early == 1, timeout=5)
    far_upstream.wait_until(lambda s: s.in_flight == 1, timeout=2 * LEASE_SECONDS + 10)
    far_upstream.release()
    job = api.ended([job_id], 10)[job_id]
    assert (job["status"], job["attempts"]) == ("completed", 2)
    assert far_upstream.calls()["again"].begun == 2


def test_a_killed_registry_forgets_no_job(
    system: System, api: Api, far_upstream: Remote, name: str
) -> None:
    model = f"{api.add_provider(name, far_upstream.url)['slug']}/sim-model"
    far_upstream.hold()
    ids = [api.submit(model, f"registry-{number}") for number in range(20)]
    pid = system.signal("registry", signal.SIGKILL)
    far_upstream.release()
    system.restarted("registry", pid)
    jobs = api.ended(ids, ENDED_SECONDS)
    assert {job["status"] for job in jobs.values()} == {"completed"}


def test_each_202_is_readable_by_id_from_the_very_next_request(
    system: System, api: Api, far_upstream: Remote, name: str
) -> None:
    model = f"{api.add_provider(name, far_upstream.url)['slug']}/sim-model"
    with httpx.Client(base_url=system.url, headers=api.http.headers) as other:
        for number in range(20):
            answer = api.http.post(CHAT, json=chat_body(model, f"read-{number}", background=True))
            assert other.get(answer.headers["Location"]).status_code == 200

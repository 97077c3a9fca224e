"""A job that kills its worker each time it runs: promise 8."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.api import CHAT, chat_body
from tests.campaigns.checker import Evidence, Finding, check, ends
from tests.campaigns.faults import Say
from tests.campaigns.jobtable import JobTable
from tests.campaigns.load import Load, Shape
from tests.campaigns.stage import Stage, stage
from tests.eventually import eventually

POISON_SECONDS = 30.0  # what its call would take
LOSSES = 3
LEASE_SECONDS = 2
NOTICE_SECONDS = 2 * LEASE_SECONDS + 10


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """One poison job after another for `seconds` (one at least), beside harmless ones."""
    env = {"DRAGOMAN_LEASE_SECONDS": str(LEASE_SECONDS)}
    with stage(folder, env=env, second_worker=False) as setting:
        system = setting.system
        # Harmless jobs ask for a retry: one that is killed beside the poison still completes.
        shape = Shape(kinds={"r": 1.0}, latency=(0.05, 0.1), rate=5, connections=8)
        load = Load(system.url, system.admin_key, setting.model, run="calm", shape=shape, seed=seed)
        load.start()
        stopped = Finding("8", "poison jobs that did not end as poisoned")
        deadline, number = time.monotonic() + seconds, 0
        try:
            while number == 0 or time.monotonic() < deadline:
                number += 1
                if (broken := poisoned(setting, f"poison-r-{number}", say)) is not None:
                    stopped.broken.append(broken)
        finally:
            load.stop()
        system.api.ended([entry.job_id for entry in load.accepted], NOTICE_SECONDS)
        calls = setting.upstream.calls()
        evidence = Evidence(load.accepted, load.collect(), load.first_seen, calls, tolerated=())
        say(f"harmless jobs: {dict(ends(evidence))}")
        return [stopped, *check(evidence)]


def poisoned(
    setting: Stage, mark: str, say: Say, *, on_kill: Callable[[], None] = lambda: None
) -> str | None:
    """Kill whichever worker runs one job, until it has ended; what is wrong with that, or None."""
    system, table = setting.system, JobTable(setting.system.database_url)
    job_id = _submitted(setting, mark)
    killed = 0

    def runs_or_has_ended() -> bool:
        return setting.upstream.calls_of(mark).in_flight > 0 or table.has_ended(job_id)

    while killed <= LOSSES:
        eventually(runs_or_has_ended, NOTICE_SECONDS + 30)
        if table.has_ended(job_id):
            break
        if (pid := table.holder(job_id)) is None or not _kill(setting, pid):
            time.sleep(0.05)  # killed by somebody else meanwhile
            continue
        killed += 1
        on_kill()
        say(f"{mark} has killed worker {pid} ({killed} of {LOSSES})")
        eventually(lambda: not setting.upstream.calls_of(mark).in_flight, 10)
    system.api.healthy(60)
    job = system.api.ended([job_id], NOTICE_SECONDS + 30)[job_id]
    begun = setting.upstream.calls_of(mark).begun
    if job["error"] is None or job["error"]["code"] != "poisoned" or begun > LOSSES:
        return f"{job_id} ({mark}): {job['status']}, {job['error']}, called {begun} times"
    return None


def _submitted(setting: Stage, mark: str) -> str:
    """Its id, also where the registry is away for a while: the key makes repeating safe."""
    body = chat_body(
        setting.model,
        mark,
        background=True,
        background_options={"on_interrupt": "retry"},
        sim={"latency": POISON_SECONDS},
    )

    def accepted() -> str | None:
        try:
            answer = setting.system.api.http.post(
                CHAT, json=body, headers={"Idempotency-Key": mark}
            )
        except httpx.TransportError:
            return None
        return str(answer.json()["id"]) if answer.status_code == 202 else None

    return eventually(accepted, 60, every=0.2)


def _kill(setting: Stage, pid: int) -> bool:
    if setting.extra is not None and setting.extra.replace(signal.SIGKILL, pid=pid):
        return True
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True

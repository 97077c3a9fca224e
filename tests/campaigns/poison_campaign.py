"""A job that kills its worker each time it runs: promise 8."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.campaigns.checker import Evidence, Finding, check, ends
from tests.campaigns.faults import Say
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
                if (broken := _poison(setting, f"poison-r-{number}", say)) is not None:
                    stopped.broken.append(broken)
        finally:
            load.stop()
        system.api.ended([entry.job_id for entry in load.accepted], NOTICE_SECONDS)
        calls = setting.upstream.calls()
        evidence = Evidence(load.accepted, load.collect(), load.first_seen, calls, tolerated=())
        say(f"harmless jobs: {dict(ends(evidence))}")
        return [stopped, *check(evidence)]


def _poison(setting: Stage, mark: str, say: Say) -> str | None:
    """Kill the worker at each call of one job; what is wrong with its end, or None."""
    system, options = setting.system, {"on_interrupt": "retry"}
    sim = {"latency": POISON_SECONDS}
    job_id = system.api.submit(setting.model, mark, sim=sim, background_options=options)
    for loss in range(1, LOSSES + 1):
        eventually(lambda: setting.upstream.calls_of(mark).in_flight, NOTICE_SECONDS + 30)
        pid = system.signal("chat-worker", signal.SIGKILL)
        say(f"{mark} has killed worker {pid} ({loss} of {LOSSES})")
        eventually(lambda: not setting.upstream.calls_of(mark).in_flight, 10)
    job = system.api.ended([job_id], NOTICE_SECONDS + 30)[job_id]
    begun = setting.upstream.calls_of(mark).begun
    if job["error"] is None or job["error"]["code"] != "poisoned" or begun > LOSSES:
        return f"{job_id} ({mark}): {job['status']}, {job['error']}, called {begun} times"
    return None

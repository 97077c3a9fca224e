"""Workers restarted one after another under load, as a deploy does: promise 9."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.campaigns.checker import Evidence, Finding, check, ends
from tests.campaigns.faults import Say
from tests.campaigns.load import Load, Shape
from tests.campaigns.stage import stage
from tests.simulators import Remote

SHAPE = Shape(kinds={"b": 1.0}, latency=(0.2, 2.0), rate=30)
GRACE_SECONDS = 10  # as the stage sets it; every call is shorter
RESTART_SECONDS = GRACE_SECONDS + 60  # the runner waits up to 30 s before it restarts again
ROUND = ("chat-worker", "discovery-worker")


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """SIGTERM each worker in turn for `seconds` (each once at least)."""
    with stage(folder, second_worker=False) as setting:
        system = setting.system
        load = Load(system.url, system.admin_key, setting.model, run="roll", shape=SHAPE, seed=seed)
        load.start()
        deadline, restarts = time.monotonic() + seconds, 0
        try:
            setting.upstream.wait_until(lambda s: s.in_flight >= 10, timeout=20)
            while restarts < len(ROUND) or time.monotonic() < deadline:
                name = ROUND[restarts % len(ROUND)]
                old = system.signal(name, signal.SIGTERM)
                new = system.restarted(name, old, RESTART_SECONDS)
                restarts += 1
                goes_on(setting.upstream)
                say(f"restart {restarts}: {name} {old} is now {new}")
        finally:
            load.stop()
        system.api.ended([entry.job_id for entry in load.accepted], 60)
        calls = setting.upstream.calls()
        evidence = Evidence(load.accepted, load.collect(), load.first_seen, calls, tolerated=())
        say(f"jobs: {dict(ends(evidence))} over {restarts} restarts")
        interrupted = Finding("9", "jobs that a restart interrupted")
        interrupted.broken.extend(
            job_id
            for job_id, job in evidence.jobs.items()
            if job is not None and (job["error"] or {}).get("code") == "interrupted"
        )
        return [interrupted, *check(evidence)]


def goes_on(upstream: Remote) -> None:
    """Wait until ten more calls are answered."""
    enough = upstream.stats().answered + 10
    upstream.wait_until(lambda stats: stats.answered >= enough, timeout=30)

"""`python -m benchmarks.jobs`: accepting, draining and answering, on this machine.

Load generator, system and upstream share the machine; the upstream is a process of its own. Three
figures: the time to a 202 while all workers are stopped; the time in which one chat worker drains
jobs whose upstream takes 3 s each; plain calls a second when the upstream takes no time.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import description
from tests.api import chat_body
from tests.campaigns.jobtable import JobTable
from tests.campaigns.load import Accepted, burst
from tests.eventually import eventually
from tests.simulators import Remote, spawned
from tests.system import System

WORKERS = ("chat-worker", "discovery-worker", "beat")


@dataclass(frozen=True, slots=True)
class Accepting:
    """Milliseconds from request to 202, one request after another, workers stopped."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Draining:
    """Seconds after the last submission; MiB of the chat worker; submissions a second."""

    seconds: float
    submissions: float
    most_in_flight: int
    worker_mib: float
    registry_mib: float
    called_twice: int


@dataclass(frozen=True, slots=True)
class Answering:
    """Plain calls a second over all connections, and their time in milliseconds."""

    calls: float
    p50: float
    p99: float


def accepting(system: System, upstream: Remote, jobs: int) -> Accepting:
    """`jobs` submissions, one after another."""
    model = _provider(system, "accepting", upstream)
    bodies = [chat_body(model, f"accept-{n}", background=True) for n in range(jobs)]
    with system.suspended(*WORKERS):
        accepted = asyncio.run(burst(system.url, system.admin_key, bodies, connections=1))
    _all_ended(system)
    return Accepting(*_percentiles(accepted))


def draining(system: System, jobs: int, latency: float) -> Draining:
    """`jobs` submissions as fast as 50 connections go, each `latency` seconds at the upstream."""
    with spawned("--latency", str(latency)) as upstream:
        model = _provider(system, "draining", upstream)
        bodies = [chat_body(model, f"drain-{n}", background=True) for n in range(jobs)]
        began = time.monotonic()
        asyncio.run(burst(system.url, system.admin_key, bodies, connections=50))
        submitted = time.monotonic()
        upstream.wait_until(lambda s: s.answered >= jobs, 300)
        worker = system.process("chat-worker").memory_info().rss / 2**20
        registry = system.process("registry")
        family = [registry, *registry.children(recursive=True)]
        _all_ended(system)
        ended = time.monotonic()
        return Draining(
            seconds=ended - submitted,
            submissions=jobs / (submitted - began),
            most_in_flight=upstream.stats().high_water,
            worker_mib=worker,
            registry_mib=sum(process.memory_info().rss for process in family) / 2**20,
            called_twice=sum(calls.begun > 1 for calls in upstream.calls().values()),
        )


def answering(system: System, upstream: Remote, calls: int, connections: int) -> Answering:
    """`calls` plain calls over `connections`, no latency at the upstream."""
    model = _provider(system, "answering", upstream)
    bodies = [chat_body(model, f"plain-{n}") for n in range(calls)]
    began = time.monotonic()
    answered = asyncio.run(burst(system.url, system.admin_key, bodies, connections=connections))
    rate = calls / (time.monotonic() - began)
    return Answering(rate, *_percentiles(answered))


def _provider(system: System, name: str, upstream: Remote) -> str:
    provider = system.api.add_provider(name, upstream.url)
    # A worker that is frozen while it writes down what it discovered holds SQLite's write lock.
    system.api.discovered(provider["id"], "ok", 10)
    return f"{provider['slug']}/sim-model"


def _all_ended(system: System) -> None:
    jobs = JobTable(system.database_url)
    eventually(lambda: jobs.live() == 0, 120, every=0.05)


def _percentiles(accepted: Sequence[Accepted]) -> tuple[float, float]:
    took = sorted(entry.took * 1000 for entry in accepted)
    return statistics.median(took), took[int(len(took) * 0.99)]


def main() -> int:
    """Measure and print; exits 1 when a job was called twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs")
    parser.add_argument("--jobs", type=int, default=2000, help="jobs to drain")
    parser.add_argument("--latency", type=float, default=3.0, help="seconds each takes upstream")
    parser.add_argument("--calls", type=int, default=5000, help="plain calls")
    arguments = parser.parse_args()
    print("\n".join(description()), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="dragoman-bench-") as folder,
        spawned() as upstream,
        System(Path(folder) / "data") as system,
    ):
        accept = accepting(system, upstream, 300)
        print(
            f"accept a background job, workers stopped: p50 {accept.p50:.1f} ms, "
            f"p99 {accept.p99:.1f} ms",
            flush=True,
        )
        answer = answering(system, upstream, arguments.calls, 50)
        print(
            f"plain calls, 50 connections, upstream 0 s: {answer.calls:.0f}/s, "
            f"p50 {answer.p50:.0f} ms, p99 {answer.p99:.0f} ms",
            flush=True,
        )
        drain = draining(system, arguments.jobs, arguments.latency)
    print(
        f"{arguments.jobs} jobs of {arguments.latency:g} s, one chat worker: submitted at "
        f"{drain.submissions:.0f}/s, all done {drain.seconds:.1f} s after the last submission, "
        f"{drain.most_in_flight} in flight at most, chat worker {drain.worker_mib:.0f} MiB, "
        f"registry {drain.registry_mib:.0f} MiB, called twice: {drain.called_twice}"
    )
    return 1 if drain.called_twice else 0


if __name__ == "__main__":
    sys.exit(main())

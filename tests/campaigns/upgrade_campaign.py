"""To this release from the one before, and back, under load: expand, migrate, one by one.

The composition on PostgreSQL, each service under its own role. Jobs and plain calls go on all the
time; the schema stays as it is on the way back. Promise 9, with two releases beside each other.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from tests.api import Api
from tests.campaigns.checker import Evidence, Finding, check, ends
from tests.campaigns.faults import Say
from tests.campaigns.load import Load, Shape
from tests.campaigns.release_before import release_before
from tests.compose_file import ROOT
from tests.composed import ENTRY, HAPROXY, REGISTRIES, WORKERS, Composed
from tests.eventually import eventually
from tests.postgres import PostgresServer
from tests.simulators import CountingSimulator, Running, running

SHAPE = Shape(kinds={"b": 2.0, "p": 1.0}, latency=(0.1, 1.0), rate=20, connections=24)
GRACE_SECONDS = 5  # every call is shorter
SETTINGS = {
    "DRAGOMAN_GRACE_SECONDS": str(GRACE_SECONDS),
    "DRAGOMAN_OUTBOUND_ALLOW": "loopback",
    "DRAGOMAN_REGISTRY_WORKERS": "1",
    "DRAGOMAN_TRUSTED_PROXIES": "127.0.0.1",
    "DRAGOMAN_UNSTORED_RESULT_TTL": "604800",  # plain calls are compared at the end
}
UNUSABLE = 78
ALL = (*REGISTRIES, *WORKERS)


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """There and back for `seconds`, and once at least.

    Raises NoReleaseBefore, PostgresMissing, and RuntimeError without an HAProxy.
    """
    if HAPROXY is None:
        raise RuntimeError("Expected HAProxy on PATH, got none. Install the package haproxy.")
    old = release_before(folder / "before")
    server = PostgresServer()
    composed = Composed(folder, server, SETTINGS)
    try:
        server.create()
        composed.code = dict.fromkeys((*ALL, "migrate"), old)
        composed.start()
        say(f"all of the release before runs, on schema {schema(composed)}")
        with running(CountingSimulator()) as upstream, Api(composed.url, composed.admin_key) as api:
            return _there_and_back(composed, api, upstream, seconds, seed, say)
    finally:
        composed.stop()
        server.remove()


def _there_and_back(
    composed: Composed, api: Api, upstream: Running, seconds: float, seed: int, say: Say
) -> list[Finding]:
    old = composed.code["migrate"]
    order = Finding("9", "processes that started on a schema that is not theirs")
    slug = api.add_provider("steady", upstream.url)["slug"]
    key = composed.admin_key
    load = Load(composed.url, key, f"{slug}/m", run="upgrade", shape=SHAPE, seed=seed)
    load.start()
    try:
        goes_on(load, upstream)
        order.broken.extend(_refuses(composed, ROOT, "Run `dragoman migrate`."))
        composed.code["migrate"] = ROOT
        composed.command("migrate")
        say(f"expanded to schema {schema(composed)} while the release before runs")
        goes_on(load, upstream)
        deadline, rounds = time.monotonic() + seconds, 0
        while not rounds or time.monotonic() < deadline:
            replace(composed, ALL, ROOT, load, upstream, say)
            replace(composed, tuple(reversed(ALL)), old, load, upstream, say)
            rounds += 1
        contract(composed)
        order.broken.extend(_refuses(composed, old, "Start a newer release."))
    finally:
        load.stop()
    api.ended([entry.job_id for entry in load.accepted], 60)
    calls = upstream.calls()
    accepted = [*load.accepted, *load.plain]
    evidence = Evidence(accepted, load.collect(), load.first_seen, calls, tolerated=())
    say(f"jobs: {dict(ends(evidence))}")
    refused = Finding("9", "calls that were refused")
    refused.broken.extend(f"{one.mark}: {one.why}" for one in load.refused)
    denied = Finding("9", "statements that a role was not granted", composed.denials())
    return [refused, denied, order, defects(composed), *check(evidence)]


def replace(
    composed: Composed,
    names: Sequence[str],
    code: Path,
    load: Load,
    upstream: Running,
    say: Say,
) -> None:
    """Restart these one after the other with that code; work goes on after each."""
    whose = "this release" if code == ROOT else "the release before"
    for name in names:
        composed.code[name] = code
        composed.restart(name)
        goes_on(load, upstream)
        say(f"{name} is of {whose}")


def goes_on(load: Load, upstream: Running) -> None:
    """Wait until ten more jobs are accepted and ten more calls answered."""
    accepted, answered = len(load.accepted) + 10, upstream.stats().answered + 10
    eventually(lambda: len(load.accepted) >= accepted, 30)
    upstream.wait_until(lambda stats: stats.answered >= answered, 30)


def defects(composed: Composed) -> Finding:
    """Tracebacks, and errors of the database, in anybody's log."""
    found = Finding("9", "errors in the logs")
    for name in ALL:
        for line in composed.log(name).splitlines():
            if re.search(r" ERROR | exception=|ProgrammingError|Traceback", line):
                found.broken.append(f"{name}: {line[:300]}")
    return found


def schema(composed: Composed) -> int:
    """The schema's revision, as the database says."""
    with _as_owner(composed) as connection:
        row = connection.execute("SELECT revision FROM installation").fetchone()
    assert row is not None
    return int(row[0])


def contract(composed: Composed) -> None:
    """Declare the schema one that only this release may run on."""
    with _as_owner(composed) as connection:
        connection.execute("UPDATE installation SET compatible_from = revision")


def _as_owner(composed: Composed) -> psycopg.Connection[Any]:
    return psycopg.connect(composed.secret("database_url_migrate"), autocommit=True)


def _refuses(composed: Composed, code: Path, remedy: str) -> list[str]:
    """What is wrong with how a chat worker of that code refuses to start; nothing, as a rule."""
    env = composed.environment("chat-worker-1") | {"PYTHONPATH": str(code)}
    env |= {"TMPDIR": str(composed.folder), "DRAGOMAN_METRICS_LISTEN": ""}
    command = [*ENTRY, "chat-worker"]
    done = subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode == UNUSABLE and remedy in done.stderr:
        return []
    return [f"{code}: exit status {done.returncode}, expected {UNUSABLE}: {done.stderr[-500:]}"]

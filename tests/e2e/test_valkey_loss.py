"""Valkey is expendable: without it, frozen or wiped, nothing is lost and work goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.campaigns.checker import Evidence, check, table
from tests.campaigns.load import Load, Shape
from tests.e2e.conftest import LEASE_SECONDS
from tests.simulators import Remote
from tests.system import System
from tests.valkey import OwnValkey

RESUMED_SECONDS = 30.0
ENDED_SECONDS = 15.0
SUBMIT_SECONDS = 0.25  # the 99th of 100; PROMISES.md row 6
PICKED_UP_SECONDS = 5.0  # the claim loop looks every second by itself


@pytest.fixture(scope="module")
def valkey() -> Iterator[OwnValkey]:
    # A socket's path holds about 100 bytes, and a test's folder may be longer.
    with TemporaryDirectory(prefix="dragoman-") as short, OwnValkey(Path(short)) as started:
        yield started


@pytest.fixture(scope="module")
def system(valkey: OwnValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One system on that Valkey for the tests of this file; each leaves both running."""
    env = {"REDIS_URL": valkey.url, "DRAGOMAN_LEASE_SECONDS": str(LEASE_SECONDS)}
    with System(tmp_path_factory.mktemp("valkey-loss") / "data", env=env) as started:
        yield started


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_an_idle_worker_finds_jobs_without_valkey_and_submitting_stays_quick(
    system: System, valkey: OwnValkey, far_upstream: Remote, name: str, how: str
) -> None:
    model = f"{system.api.add_provider(name, far_upstream.url)['slug']}/sim-model"
    first = system.api.submit(model, "with valkey")
    system.api.ended([first], PICKED_UP_SECONDS)
    (valkey.stop if how == "stopped" else valkey.freeze)()
    try:
        took = []
        for number in range(100):
            began = time.monotonic()
            system.api.submit(model, f"without-{number}")
            took.append(time.monotonic() - began)
        # No call is left whose end would wake the claim loop: it has to look by itself.
        far_upstream.wait_until(lambda s: s.answered == 101, ENDED_SECONDS)
        last = system.api.submit(model, "alone")
        job = system.api.ended([last], PICKED_UP_SECONDS)[last]
    finally:
        (valkey.start if how == "stopped" else valkey.thaw)()
    assert job["status"] == "completed"
    assert sorted(took)[98] <= SUBMIT_SECONDS, [f"{seconds:.3f}" for seconds in sorted(took)[-5:]]


def test_stopped_and_wiped_under_load_it_loses_nothing_and_work_goes_on(
    system: System, valkey: OwnValkey, far_upstream: Remote, name: str
) -> None:
    upstream = far_upstream
    model = f"{system.api.add_provider(name, upstream.url)['slug']}/sim-model"
    shape = Shape(latency=(0.1, 0.5), rate=40, connections=16)
    load = Load(system.url, system.admin_key, model, run="v", shape=shape, seed=1)
    load.start()
    try:
        upstream.wait_until(lambda s: s.answered >= 50, timeout=20)
        valkey.stop()
        valkey.wipe()
        gone = upstream.stats().begun
        upstream.wait_until(lambda s: s.begun >= gone + 80, timeout=20)  # goes on without it
        valkey.start()
        began = time.monotonic()
        provider = system.api.add_provider(f"{name} after", upstream.url)
        system.api.discovered(provider["id"], "ok", RESUMED_SECONDS)
        back = upstream.stats().answered
        upstream.wait_until(lambda s: s.answered >= back + 50, RESUMED_SECONDS)
        assert time.monotonic() - began <= RESUMED_SECONDS
    finally:
        load.stop()
    jobs = system.api.ended([entry.job_id for entry in load.accepted], ENDED_SECONDS)
    assert load.refused == []
    findings = check(Evidence(load.accepted, jobs, load.first_seen, upstream.calls(), tolerated=()))
    assert all(finding.holds for finding in findings), table(findings)
    assert sorted(system.pids()) == ["beat", "chat-worker", "discovery-worker", "registry"]

"""Valkey is expendable: without it, or with a frozen one, idle workers find jobs all the same.

What becomes of a load while it is stopped and wiped, the campaign `mixed` shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.conftest import LEASE_SECONDS
from tests.simulators import Remote
from tests.system import System
from tests.valkey import OwnValkey

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

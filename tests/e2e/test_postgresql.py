"""The same system on PostgreSQL, with a chat worker killed in the middle."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.e2e.conftest import LEASE_SECONDS
from tests.postgres import PostgresServer
from tests.simulators import CountingSimulator, running
from tests.system import System


def test_jobs_and_plain_calls_end_once_on_postgresql_too(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    env = {
        "DATABASE_URL": postgres_server.fresh_database(),
        "DRAGOMAN_LEASE_SECONDS": str(LEASE_SECONDS),
    }
    with System(tmp_path / "data", env=env) as system, running(CountingSimulator()) as sim:
        api = system.api
        slug = api.add_provider("acme", sim.url)["slug"]
        assert api.chat(f"{slug}/m", "plain").status_code == 200
        sim.hold()
        held = [api.submit(f"{slug}/m", f"held-{n}") for n in range(20)]
        sim.wait_until(lambda stats: stats.in_flight == 20, 10)
        system.signal("chat-worker", signal.SIGKILL)
        sim.release()
        later = [api.submit(f"{slug}/m", f"later-{n}") for n in range(20)]
        jobs = api.ended([*held, *later], 30)
        assert {jobs[job_id]["error"]["code"] for job_id in held} == {"interrupted"}
        assert {jobs[job_id]["status"] for job_id in later} == {"completed"}
        assert all(calls.begun == 1 for calls in sim.calls().values())
        assert not (tmp_path / "data" / "dragoman.db").exists()

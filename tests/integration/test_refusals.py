"""What cannot work does not start; a service says so with exit status 78, and all at once."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.refusal import Refusal
from deploy.up import System
from shared import config
from shared.keyring import Keyring
from shared.store.migrate import migrate
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
SERVICES = ("services.registry", "services.chat_worker", "services.discovery_worker")
OURS = ("DRAGOMAN_", "DATABASE_URL", "REDIS_URL")


def refusals(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """Service → what it said; AssertionError unless each ended with 78 and said nothing else."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    running = {
        service: subprocess.Popen(
            [sys.executable, "-P", "-m", service],
            env={**inherited, "PYTHONPATH": str(ROOT), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for service in SERVICES
    }
    said = {}
    for service, process in running.items():
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (78, ""), err
        said[service] = err.splitlines()
    return said


def test_every_service_tells_all_that_is_missing_at_once(tmp_path: Path) -> None:
    for faults in refusals({"DRAGOMAN_DATA_DIR": str(tmp_path)}).values():
        assert len(faults) == 3
        assert faults[0].startswith("REDIS_URL: expected")
        assert faults[1].startswith("DRAGOMAN_KEYRING_FILE")
        assert "dragoman migrate" in faults[2]


def test_no_service_starts_with_a_keyring_that_is_not_the_databases(tmp_path: Path) -> None:
    environ = {"DRAGOMAN_DATA_DIR": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1"}
    migrate(config.load(environ))
    other = Keyring.generate()
    for faults in refusals({**environ, "DRAGOMAN_KEYRING": other.dump()}).values():
        (fault,) = faults
        assert "expected the keyring that this database was sealed with" in fault
        assert "backup" in fault


def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = {"DRAGOMAN_DATA_DIR": str(tmp_path), "DRAGOMAN_PORT": str(port)}
        with pytest.raises(Refusal, match=rf"cannot listen on 127\.0\.0\.1 port {port}.*--port"):
            asyncio.run(System(config.load(environ), environ).run())
    assert not (tmp_path / "dragoman.db").exists()
    assert not (tmp_path / "run.json").exists()


def test_a_database_that_is_away_stops_the_start_with_the_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    environ = {
        "DRAGOMAN_DATA_DIR": str(tmp_path),
        "DRAGOMAN_PORT": str(port),
        "DATABASE_URL": f"postgresql://me:geheim@127.0.0.1:{port}/none",
    }
    with pytest.raises(Refusal, match="could not be migrated") as refused:
        asyncio.run(System(config.load(environ), environ).run())
    assert refused.value.exit_status == 78
    said = capfd.readouterr().err
    assert "expected a database that answers" in said
    assert "geheim" not in said

"""The process: its start, its stop, and a database that goes away."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from services.registry import main
from tests.api import CHAT, chat_body
from tests.eventually import eventually
from tests.integration.registry.conftest import OURS, ROOT, Stage

if TYPE_CHECKING:
    from tests.postgres import PostgresServer


def test_every_fault_of_the_configuration_is_told_at_once(tmp_path: Path) -> None:
    environ = {
        "DRAGOMAN_DATA_DIR": str(tmp_path),
        "DRAGOMAN_PORT": "many",
        "DATABASE_URL": "mysql://db",
        "REDIS_URL": "localhost",
        "DRAGOMAN_COLOUR": "red",
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "services.registry"],
        env={**inherited, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ended.returncode, ended.stdout) == (78, "")
    assert [line.partition(":")[0] for line in ended.stderr.splitlines()] == [
        "DATABASE_URL",
        "REDIS_URL",
        "DRAGOMAN_PORT",
        "DRAGOMAN_COLOUR",
    ]
    assert 'DRAGOMAN_PORT: expected a whole number from 1 to 65535, got "many"' in ended.stderr


def test_without_redis_url_migration_or_keyring_it_does_not_start(
    bare: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bare.environ["DRAGOMAN_DATA_DIR"]
    assert main.main({"DRAGOMAN_DATA_DIR": folder}) == 78
    assert "REDIS_URL: expected redis://" in capsys.readouterr().err
    assert main.main({**bare.environ, "DATABASE_URL": f"sqlite:///{folder}/other.db"}) == 78
    assert "expected a database prepared by `dragoman migrate`" in capsys.readouterr().err
    Path(folder, "keyring.json").unlink()
    assert main.main(bare.environ) == 78
    assert "DRAGOMAN_KEYRING_FILE" in capsys.readouterr().err


def test_a_stop_lets_calls_end_takes_no_new_ones_and_resigns(bare: Stage) -> None:
    bare.valkey.start()
    with bare.process() as process, ThreadPoolExecutor(2) as pool:
        api, model = process.api, f"{bare.provider(process)}/m"
        call = pool.submit(api.chat, model)
        job = bare.claimed()
        stopping = pool.submit(process.stop)

        def closed() -> bool:
            try:
                httpx.get(f"{process.url}/health/live")
            except httpx.ConnectError:
                return True
            return False

        eventually(closed, 5)
        assert not call.done()
        bare.complete(job, notice=True)
        assert call.result(5).status_code == 200
        assert stopping.result(10) == 0
    with bare.database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM leader").scalar_one() == 0
    assert "Traceback" not in bare.log.read_text()


def test_a_database_that_is_away_is_503_and_never_a_202(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    stage = Stage(tmp_path, DATABASE_URL=postgres_server.fresh_database())
    stage.valkey.start()
    try:
        with stage.process() as process:
            api, model = process.api, f"{stage.provider(process)}/m"
            submitted = [api.submit(model)]
            stage.database.dispose()
            postgres_server.stop()
            try:
                for background in (True, False):
                    body = chat_body(model, background=background)
                    answer = api.http.post(CHAT, json=body)
                    assert answer.status_code == 503
                    assert answer.json()["error"]["code"] == "store_unavailable"
                    assert answer.headers["Retry-After"] == "1"
                    assert "x-should-retry" not in answer.headers
                ready = api.http.get("/health/ready")
                assert ready.status_code == 503
                assert ready.json()["checks"]["database"] == "away"
                assert api.http.get("/health/live").status_code == 200
            finally:
                postgres_server.start()

            def accepted() -> str | None:
                answer = api.http.post(CHAT, json=chat_body(model, background=True))
                return answer.json()["id"] if answer.status_code == 202 else None

            submitted.append(eventually(accepted, 10, every=0.1))
            assert [api.job(job_id)["status"] for job_id in submitted] == ["queued"] * 2
            assert len(stage.states()) == 2
    finally:
        stage.close()


def test_every_202_of_200_at_once_is_durable_and_workers_that_die_are_replaced(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, DRAGOMAN_REGISTRY_WORKERS="2")
    stage.valkey.start()
    try:
        with stage.process() as process, ThreadPoolExecutor(200) as pool:
            model = f"{stage.provider(process)}/m"
            ids = list(pool.map(lambda n: process.api.submit(model, str(n)), range(200)))
            for child in psutil.Process(process.popen.pid).children():
                child.kill()
            states = stage.states()
            assert {f"chatcmpl-{bare_id}" for bare_id in states} == set(ids)
            assert (len(states), set(states.values())) == (200, {"queued"})

            def serves() -> bool:
                try:
                    return httpx.get(f"{process.url}/health/live").status_code == 200
                except httpx.TransportError:
                    return False

            eventually(serves, 10)
            assert process.stop() == 0
    finally:
        stage.close()

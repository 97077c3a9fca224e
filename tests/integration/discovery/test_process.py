"""The worker as a process: its start, its tasks, and what it does without Redis or database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.queues import TASK_CHECK, TASK_OBSERVE, TASK_REFRESH, TASK_REFRESH_DUE, make_celery
from tests.eventually import eventually
from tests.integration.discovery.conftest import ROOT, Stage
from tests.simulators import running, vllm

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

STOPPED = 8.0  # seconds between SIGTERM and the end
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"


def send(stage: Stage, task: str, **arguments: Any) -> None:
    """As the registry, a chat worker or beat sends it."""
    with make_celery(stage.settings, "sender") as celery:
        celery.send_task(task, kwargs=arguments, retry=False, ignore_result=True)


def end(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(STOPPED)


def test_bad_configuration_is_reported_whole_and_ends_with_78(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "DRAGOMAN_DATA_DIR": str(tmp_path)}
    environ |= {"REDIS_URL": "localhost", "DRAGOMAN_DISCOVERY_INTERVAL": "soon"}
    ended = subprocess.run(
        [sys.executable, "-m", "services.discovery_worker"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 78
    assert "REDIS_URL: expected redis://" in ended.stderr
    assert "DRAGOMAN_DISCOVERY_INTERVAL: expected a number" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_redis_it_starts_checks_on_schedule_and_stops(tmp_path: Path) -> None:
    stage = Stage(tmp_path, DRAGOMAN_DISCOVERY_INTERVAL="1")
    with running(vllm(models=["one"])) as sim, stage.process() as process:
        acme = stage.registry.add("acme", sim.url)
        stage.listed(acme, "one")
        sim.simulator.models = ["one", "two"]
        stage.listed(acme, "one", "two")
        assert end(process) == 0
    stage.database.dispose()


def test_tasks_are_done_also_after_redis_was_lost_with_everything_in_it(stage: Stage) -> None:
    with running(vllm(key="sk-1", models=["a"])) as sim, stage.process() as process:
        acme = stage.registry.add("acme", sim.url, key="sk-1")
        stage.found(acme, lambda v: v.status == "ok" and v.key_verified_at)
        stage.valkey.start()
        for task in (TASK_REFRESH, TASK_REFRESH_DUE, TASK_CHECK):
            send(stage, task, of_a_later_release=True)
        send(stage, TASK_OBSERVE, provider_id=acme, verdict="auth_failed", revision=1)
        stage.found(acme, lambda v: v.key_verified_at is None, timeout=20)
        stage.valkey.stop()
        eventually(lambda: "Connection to broker lost" in stage.log, 10)
        stage.valkey.wipe()
        stage.valkey.start()
        send(stage, TASK_OBSERVE, provider_id=acme, verdict="ok", revision=1)
        stage.found(acme, lambda v: v.key_verified_at, timeout=20)
        assert end(process) == 0
    assert "sk-1" not in stage.log
    assert "Traceback" not in stage.log
    assert "Deprecat" not in stage.log
    assert " INFO discovery-worker celery" not in stage.log


def test_a_frozen_redis_holds_up_neither_checks_nor_the_end_of_work(stage: Stage) -> None:
    stage.valkey.start()
    with running(vllm(models=["a"])) as sim, stage.process() as process:
        eventually(stage.valkey.reads, 10)  # Celery is connected
        stage.valkey.freeze()
        try:
            stage.listed(stage.registry.add("acme", sim.url), "a")
            process.send_signal(signal.SIGTERM)
            eventually(lambda: "discovery has ended" in stage.log, 5)
        finally:
            stage.valkey.thaw()


def test_a_database_that_was_away_is_used_again(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    url = postgres_server.fresh_database()
    stage = Stage(tmp_path, DATABASE_URL=url, DRAGOMAN_DISCOVERY_INTERVAL="1")
    with running(vllm(models=["one"])) as sim, stage.process() as process:
        acme = stage.registry.add("acme", sim.url)
        stage.listed(acme, "one")
        postgres_server.stop()
        try:
            eventually(lambda: "the database does not answer" in stage.log, 10)
            sim.simulator.models = ["two"]
        finally:
            postgres_server.start()
        stage.database.dispose()
        stage.listed(acme, "two", timeout=10)
        assert end(process) == 0
    stage.database.dispose()
    assert "the database is back" in stage.log

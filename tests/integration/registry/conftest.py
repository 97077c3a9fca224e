"""A registry as `up` starts it: gunicorn in its own process, a real store, a real Valkey."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from shared import config, live
from shared.domain import EventType, JobState
from shared.store import events, jobs
from shared.store.jobs import ClaimedJob, Outcome, Retention
from shared.store.migrate import migrate
from shared.store.opening import open_store
from shared.store.schema import chat_job
from tests.api import Api
from tests.eventually import eventually
from tests.system import free_port
from tests.valkey import OwnValkey

ROOT = Path(__file__).parents[3]
RETENTION = Retention(600, 60)
OURS = ("DRAGOMAN_", "DATABASE_URL", "REDIS_URL")


class Process:
    """One registry; answers at `api` once made."""

    def __init__(self, environ: dict[str, str], port: int, key: str, log: Path) -> None:
        ready, told = os.pipe()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        with log.open("ab") as out:
            self.popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "services.registry"],
                env={
                    **inherited,
                    **environ,
                    "PYTHONPATH": str(ROOT),
                    "DRAGOMAN_PORT": str(port),
                    "DRAGOMAN_READY_FD": str(told),
                },
                pass_fds=[told],
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        os.close(told)
        with os.fdopen(ready, "rb") as answer:
            assert answer.read(1) == b"\n", log.read_text()
        self.url = f"http://127.0.0.1:{port}"
        self.api = Api(self.url, key)

    def kill(self) -> None:
        """SIGKILL arbiter and workers."""
        self.api.close()
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(10)

    def stop(self, seconds: float = 15) -> int:
        """SIGTERM, and its exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(seconds)


class Stage:
    """One installation and the pens of the workers that are not there."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.log = folder / "log"
        self.valkey = OwnValkey(folder / "v")
        self.environ = {
            "DRAGOMAN_DATA_DIR": str(folder),
            "DRAGOMAN_OUTBOUND_ALLOW": "loopback",
            "REDIS_URL": self.valkey.url,
            "DRAGOMAN_REGISTRY_WORKERS": "1",
            **environ,
        }
        self.settings = config.load(self.environ)
        migrate(self.settings)
        self.key = self.settings.admin_key_file.read_text().strip()
        self.database, self.sealer = open_store(self.settings)
        self._names = itertools.count(1)

    @contextmanager
    def process(self) -> Iterator[Process]:
        """A registry that serves; killed at the end."""
        process = Process(self.environ, free_port(), self.key, self.log)
        try:
            yield process
        finally:
            process.kill()

    def provider(self, process: Process) -> str:
        """The slug of a new provider."""
        name = f"p{next(self._names)}"
        return str(process.api.add_provider(name, "http://127.0.0.1:9")["slug"])

    def claimed(self) -> ClaimedJob:
        """The one queued job, once there is one, as a chat worker takes it."""

        def claim() -> Sequence[ClaimedJob]:
            with self.database.write() as tx:
                return jobs.claim(tx, worker_id="wrk", want=1, now=1e9, retention=RETENTION)

        (job,) = eventually(claim, 10, every=0.005)
        return job

    def complete(self, job: ClaimedJob, *, notice: bool) -> None:
        """Store an answer as a chat worker does, and tell of it or not."""
        result = json.dumps({"choices": [{"message": {"content": "hi"}}]}).encode()
        place = {"table": jobs.TABLE, "row": job.id, "column": jobs.RESULT}
        outcome = Outcome(
            job.id,
            job.worker_id,
            job.attempt,
            JobState.COMPLETED,
            result_sealed=self.sealer.seal(result, **place),
        )
        with self.database.write() as tx:
            assert jobs.finish(tx, [outcome], now=1e9, retention=RETENTION).held
        if notice:
            with self.redis() as client:
                client.publish(live.ENDED, job.id)

    def states(self) -> dict[str, str]:
        """Bare id → state of every job."""
        with self.database.read() as tx:
            rows = tx.execute(sa.select(chat_job.c.id, chat_job.c.state)).all()
        return {row.id: row.state for row in rows}

    def append_events(self, count: int) -> int:
        """As another process appends them; the last one's number."""
        with self.database.write() as tx:
            for _ in range(count):
                last = events.append(
                    tx, EventType.MODELS_CHANGED, subject="prov_x", revision=1, at=1.0
                )
        return last.seq

    def redis(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.valkey.socket), decode_responses=True)

    def stream(self) -> list[str]:
        """The ids of the entries in the event stream."""
        with self.redis() as client:
            entries: Any = client.xrange(live.STREAM)
        return [entry_id for entry_id, _ in entries]

    def close(self) -> None:
        self.valkey.stop()
        self.database.dispose()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Stage]:
    """An installation on SQLite whose Valkey is not started."""
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An installation on SQLite with a Valkey that runs, for all tests of a module."""
    stage = Stage(tmp_path_factory.mktemp("registry"))
    stage.valkey.start()
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def registry(stage: Stage) -> Iterator[Process]:
    """Its registry, for all tests of a module."""
    with stage.process() as process:
        yield process

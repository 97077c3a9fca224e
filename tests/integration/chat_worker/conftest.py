"""A bench on which real chat workers run: store, Valkey, counting upstream, no registry."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from services.chat_worker.engine import Engine
from services.chat_worker.figures import Figures
from services.chat_worker.keeper import Keeper
from services.chat_worker.live_sender import LiveSender
from services.chat_worker.notices import Notices
from services.chat_worker.senders import Listener
from shared import config, ids, queues
from shared.crypto import Sealer
from shared.domain import JobState
from shared.store import jobs, providers
from shared.store.database import Database
from shared.store.jobs import NewJob, Retention
from shared.store.migrate import migrate
from shared.store.opening import open_store
from shared.tracing import Tracing
from shared.upstream.policy import OutboundPolicy
from tests.contract.job_store.conftest import new_provider
from tests.eventually import eventually
from tests.simulators._running import Running, running
from tests.simulators.counting import CountingSimulator
from tests.valkey import OwnValkey

ROOT = Path(__file__).parents[3]
LEASE_SECONDS = 1.0
RETENTION = Retention(600, 60)


class Worker:
    """One chat worker process."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self.log = log
        readable, writable = os.pipe()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.chat_worker"],
                cwd=ROOT,
                env={**environ, config.READY_FD: str(writable)},
                pass_fds=[writable],
                stdout=output,
                stderr=output,
            )
        os.close(writable)
        with os.fdopen(readable, "rb") as ready:
            if ready.read(1) != b"\n":
                raise RuntimeError(f"exit {self.process.wait(10)} at start:\n{log.read_text()}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.send(signal.SIGTERM)
        return self.process.wait(30)

    def said(self, words: str) -> bool:
        return words in self.log.read_text()


class Bench:
    """What the registry would do, in short words, and workers to do the rest."""

    def __init__(
        self, folder: Path, upstream: Running, valkey: OwnValkey, database_url: str
    ) -> None:
        self.folder = folder
        self.upstream = upstream
        self.valkey = valkey
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith("DRAGOMAN_")},
            "DATABASE_URL": database_url,
            "DRAGOMAN_DATA_DIR": str(folder),
            "DRAGOMAN_GRACE_SECONDS": "10",
            "DRAGOMAN_LEASE_SECONDS": str(LEASE_SECONDS),
            "DRAGOMAN_OUTBOUND_ALLOW": "loopback",
            "REDIS_URL": valkey.url,
        }
        ours = {
            k: v
            for k, v in self.environ.items()
            if k.startswith("DRAGOMAN_") or k in ("DATABASE_URL", "REDIS_URL")
        }
        self.settings = config.load(ours)
        migrate(self.settings)
        self.database: Database
        self.sealer: Sealer
        self.database, self.sealer = open_store(self.settings)
        self.workers: list[Worker] = []
        self.provider_id = self.add_provider("acme", upstream.url)

    def add_provider(self, slug: str, url: str) -> str:
        new = new_provider(slug, chat_url=f"{url}/v1/chat/completions")
        with self.database.write() as tx:
            providers.create(tx, new)
        return new.id

    def start_worker(self, **environ: str) -> Worker:
        log = self.folder / f"worker-{len(self.workers)}.log"
        self.workers.append(Worker(self.environ | environ, log))
        return self.workers[-1]

    def submit(self, sim: Mapping[str, Any] | None = None, **changes: Any) -> str:
        job_id = ids.new()
        body: dict[str, Any] = {
            "model": "m",
            "messages": [{"role": "user", "content": "hi"}],
            "user": job_id,
        }
        if changes.get("stream"):
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        plain = json.dumps(body | ({"sim": sim} if sim else {})).encode()
        values: dict[str, Any] = {
            "id": job_id,
            "owner": "ann",
            "key_id": "key_1",
            "request_id": None,
            "provider_id": self.provider_id,
            "model": "acme/m",
            "upstream_model": "m",
            "background": True,
            "store": True,
            "service_tier": "default",
            "metadata": {},
            "on_interrupt": "fail",
            "on_unavailable": "wait",
            "deadline": time.time() + 600,
            "created_at": time.time(),
            "request_sealed": self.sealer.seal(
                plain, table=jobs.TABLE, row=job_id, column=jobs.REQUEST
            ),
        }
        with self.database.write() as tx:
            assert jobs.insert(tx, NewJob(**values | changes))
        return job_id

    def workers_listed(self) -> int:
        """How many workers have a row: one that stopped in order has none."""
        with self.database.read() as tx:
            return int(tx.execute(sa.text("SELECT count(*) FROM worker")).scalar_one())

    def cancel(self, job_id: str) -> None:
        with self.database.write() as tx:
            assert jobs.cancel(tx, job_id, now=time.time(), retention=RETENTION)

    def delete(self, job_id: str) -> None:
        """As the registry does: a live job is cancelled first."""
        with self.database.write() as tx:
            jobs.cancel(tx, job_id, now=time.time(), retention=RETENTION)
            jobs.delete(tx, job_id)

    def job(self, job_id: str) -> jobs.Job:
        with self.database.read() as tx:
            found = jobs.get(tx, job_id, owner=None)
        assert found is not None
        return found

    def attempts(self, job_id: str) -> Sequence[Any]:
        with self.database.read() as tx:
            return jobs.attempts(tx, job_id)

    def ended(self, *job_ids: str, timeout: float = 20) -> list[jobs.Job]:
        """Wait until all of these are terminal; returns them."""

        def all_ended() -> list[jobs.Job] | None:
            found = [self.job(job_id) for job_id in job_ids]
            return found if all(job.state.terminal for job in found) else None

        return eventually(all_ended, timeout)

    def until(self, job_id: str, reached: Callable[[jobs.Job], bool], timeout: float = 10) -> None:
        eventually(lambda: reached(self.job(job_id)), timeout)

    def answer(self, job_id: str) -> Any:
        """The text of a completed job."""
        job = self.job(job_id)
        assert job.state is JobState.COMPLETED, job
        assert job.result_sealed is not None
        plain = self.sealer.open(
            job.result_sealed, table=jobs.TABLE, row=job_id, column=jobs.RESULT
        )
        return json.loads(plain)["choices"][0]["message"]["content"]

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.send(signal.SIGCONT)
                worker.process.kill()
            worker.process.wait(10)
        self.database.dispose()


class Silent:
    """Nobody needs to know."""

    def ended(self, job_ids: Sequence[str], *, hooked: bool) -> None: ...

    def more_work(self) -> None: ...

    def resting(self) -> None: ...

    def fenced(self, job_ids: object) -> None: ...

    def swept(self, swept: object) -> None: ...


class LocalWorker(NamedTuple):
    """The parts of a worker that tests reach for."""

    keeper: Keeper
    engine: Engine


@contextmanager
def local_worker(bench: Bench, database: Database) -> Iterator[LocalWorker]:
    """A worker on threads of this process, without Celery: cheaper, and stopped at any place."""
    engine = Engine(
        policy=OutboundPolicy.from_settings(bench.settings),
        sealer=bench.sealer,
        live=LiveSender(queues.loop_redis(bench.settings), bench.sealer),
        notices=Notices(queues.loop_redis(bench.settings)),
        concurrency=10,
        on_outcomes=lambda outcomes: keeper.take(outcomes),
        before_publishing=lambda claims: keeper.publish(claims),
        figures=Figures(),
        tracing=Tracing(),
    )
    keeper = Keeper(
        database=database,
        sealer=bench.sealer,
        engine=engine,
        lease_seconds=5.0,
        retention=RETENTION,
        reporter=Silent(),
    )
    listener = Listener(
        queues.listening_redis(bench.settings, block_seconds=1.0),
        on_cancelled=lambda: None,
        on_follows=engine.follow,
    )
    engine.start()
    keeper.start()
    listener.start()
    try:
        yield LocalWorker(keeper, engine)
    finally:
        keeper.stop_claiming()
        engine.cut_off()
        keeper.stop()
        listener.stop()
        engine.stop()


@pytest.fixture
def upstream() -> Iterator[Running]:
    """The counting upstream, on a thread of this process."""
    with running(CountingSimulator()) as served:
        yield served


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[OwnValkey]:
    """A Valkey that runs."""
    server = OwnValkey(tmp_path / "valkey").start()
    yield server
    server.stop()


@pytest.fixture
def bench(tmp_path: Path, upstream: Running, valkey: OwnValkey) -> Iterator[Bench]:
    """A bench on SQLite."""
    bench = Bench(tmp_path, upstream, valkey, f"sqlite:///{tmp_path / 'dragoman.db'}")
    yield bench
    bench.close()

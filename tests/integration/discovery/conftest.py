"""Discovery over a real store: in this process, or as the process that `up` starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from services.discovery_worker.discovery import Discovery
from shared import config
from shared.crypto import Sealer
from shared.queues import quick_redis
from shared.store import catalogue, discovery
from shared.store.catalogue import CatalogueModel, Verdict
from shared.store.database import Database
from shared.store.migrate import migrate
from shared.store.opening import open_store
from tests.eventually import eventually
from tests.registered import Registered
from tests.valkey import OwnValkey

if TYPE_CHECKING:
    from tests.integration.discovery.scene import Scene

ROOT = Path(__file__).parents[3]


class Stage:
    """One installation: its settings, its store, and a registry's pen."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.valkey = OwnValkey(folder / "v")
        self.environ = {
            "DRAGOMAN_DATA_DIR": str(folder),
            "DRAGOMAN_OUTBOUND_ALLOW": "loopback",
            "REDIS_URL": self.valkey.url,
            **environ,
        }
        self.settings = config.load(self.environ)
        migrate(self.settings)
        self.database: Database
        self.sealer: Sealer
        self.database, self.sealer = open_store(self.settings)
        self.registry = Registered(self.database, self.sealer, now=0.0)
        self.crashes: list[str] = []

    @contextmanager
    def discovering(self) -> Iterator[Discovery]:
        """Discovery at work in this process, told of what the registry writes."""
        work = Discovery(
            self.settings,
            self.database,
            self.sealer,
            on_crash=lambda: self.crashes.append("the loop ended"),
        )
        work.start()
        self.registry.news = work.refresh_due
        try:
            yield work
        finally:
            self.registry.news = lambda: None
            work.stop()
            assert self.crashes == []

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[bytes]]:
        """The worker as a process, once it says that it is ready."""
        ready, told = os.pipe()
        command = [sys.executable, "-P", "-m", "services.discovery_worker"]
        environ = {**os.environ, **self.environ, "PYTHONPATH": str(ROOT)}
        with (Path(self.environ["DRAGOMAN_DATA_DIR"]) / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**environ, "DRAGOMAN_READY_FD": str(told)},
                pass_fds=[told],
                stdout=log,
                stderr=log,
            )
        os.close(told)
        try:
            assert os.read(ready, 1) == b"\n", self.log
            yield process
        finally:
            os.close(ready)
            process.kill()
            process.wait()

    @property
    def log(self) -> str:
        return (Path(self.environ["DRAGOMAN_DATA_DIR"]) / "log").read_text()

    def verdict(self, provider_id: str) -> Verdict | None:
        with self.database.read() as tx:
            return catalogue.verdicts(tx, [provider_id]).get(provider_id)

    def models(self, provider_id: str) -> list[CatalogueModel]:
        with self.database.read() as tx:
            return list(catalogue.models(tx, [provider_id]))

    def found(
        self, provider_id: str, holds: Callable[[Verdict], object], timeout: float = 5.0
    ) -> Verdict:
        """The provider's verdict, once it is checked and satisfies this."""

        def ask() -> Verdict | None:
            verdict = self.verdict(provider_id)
            return verdict if verdict and verdict.checked_at and holds(verdict) else None

        return eventually(ask, timeout)

    def listed(self, provider_id: str, *ids: str, timeout: float = 5.0) -> list[CatalogueModel]:
        """The provider's models, once they are these."""

        def ask() -> list[CatalogueModel] | None:
            models = self.models(provider_id)
            return models if {m.upstream_id for m in models} == set(ids) else None

        return eventually(ask, timeout)

    def error(self, provider_id: str) -> dict[str, Any]:
        """The opened error of its last check."""
        verdict = self.verdict(provider_id)
        assert verdict is not None
        assert verdict.error_sealed is not None
        place = {"table": discovery.TABLE, "row": provider_id, "column": discovery.ERROR}
        document: dict[str, Any] = json.loads(self.sealer.open(verdict.error_sealed, **place))
        return document


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """An installation on SQLite whose Valkey is not started."""
    stage = Stage(tmp_path)
    yield stage
    stage.valkey.stop()
    stage.database.dispose()


@pytest.fixture
def scene(stage: Stage) -> Iterator[Scene]:
    """A relay and a follower that have read an empty stream."""
    from tests.integration.discovery.scene import Scene

    stage.valkey.start()
    with quick_redis(stage.settings) as client:
        scene = Scene(stage, client)
        scene.turn()
        assert scene.rereads == 1
        yield scene

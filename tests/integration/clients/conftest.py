"""One running system for all who misbehave; none of them may leave it worse than it was."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.api import Api
from tests.eventually import eventually
from tests.integration.clients.wire import Answer, head, post, talk
from tests.simulators import CountingSimulator, Running, running
from tests.system import System

PUBLIC_HOST = "dragoman.test"
QUEUE_LIMIT = 150


@dataclass(frozen=True, slots=True)
class World:
    """The system, what a member may use of it, and what it may not."""

    system: System
    sim: Running
    model: str
    member: str  # a living key without rights
    revoked: str
    expired: str
    foreign_job: str  # of another owner than the member

    @property
    def api(self) -> Api:
        return self.system.api

    @property
    def key(self) -> str:
        return self.system.admin_key

    def ask(self, method: str, path: str, *headers: str, key: str = "") -> Answer:
        """A request with a key and without a body."""
        return self.send(head(method, path, self.bearer(key), *headers))

    def post(
        self, path: str, body: bytes, *headers: str, key: str = "", method: str = "POST"
    ) -> Answer:
        """A request with a key and this body."""
        return self.send(post(path, body, self.bearer(key), *headers, method=method))

    def send(self, raw: bytes) -> Answer:
        return talk(self.system.port, raw)

    def bearer(self, key: str = "") -> str:
        """The line that names a key, the admin's unless told."""
        return f"Authorization: Bearer {key or self.key}"


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    """`./dragoman up` with a member, keys that are over, and a job of somebody else."""
    env = {
        "DRAGOMAN_GRACE_SECONDS": "1",
        "DRAGOMAN_PUBLIC_HOSTS": PUBLIC_HOST,
        "DRAGOMAN_QUEUE_LIMIT": str(QUEUE_LIMIT),
    }
    with (
        tempfile.TemporaryDirectory(prefix="dragoman-") as folder,
        running(CountingSimulator()) as sim,
        System(Path(folder) / "data", env=env) as system,
    ):
        api = system.api
        slug = api.add_provider("open", sim.endpoint)["slug"]

        def key(name: str, **fields: object) -> dict[str, str]:
            body = {"name": name, "owner": "ann", "role": "member", **fields}
            made: dict[str, str] = api.http.post("/v1/keys", json=body).json()
            return made

        revoked = key("revoked")
        api.http.delete(f"/v1/keys/{revoked['id']}")
        expired = key("expired", expires_at=int(time.time()) + 2)["key"]

        def is_over() -> bool:
            header = {"Authorization": f"Bearer {expired}"}
            return httpx.get(f"{system.url}/v1/me", headers=header).status_code == 401

        eventually(is_over, 5)
        yield World(
            system=system,
            sim=sim,
            model=f"{slug}/sim-model",
            member=key("member")["key"],
            revoked=revoked["key"],
            expired=expired,
            foreign_job=api.submit(f"{slug}/sim-model", "foreign"),
        )

"""The registry's application over a real database, called as a WSGI server calls it.

No part runs in the background, and there is no Redis: what is seen here needs neither.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import Client, TestResponse

from services.registry.app import create_app
from services.registry.bootstrap import assemble
from services.registry.console import attempts
from services.registry.parts import Parts
from services.registry.request_ids import RequestIds
from shared import config
from shared.domain import DiscoveryStatus, EventType, GateReason, JobState
from shared.store import access, events, jobs
from shared.store.access import Role
from shared.store.catalogue import CatalogueModel
from shared.store.database import Database
from shared.store.jobs import ClaimedJob, Outcome, Retention
from shared.store.migrate import migrate
from shared.store.opening import open_store
from shared.store.schema import discovery, model, provider_gate
from shared.upstream.policy import OutboundPolicy

CHAT = "/v1/chat/completions"
RETENTION = Retention(600.0, 60.0)
_ANY: Any = object()


class Registry:
    """One application, and the pens of the processes that are not there."""

    def __init__(self, parts: Parts, database: Database) -> None:
        self.parts = parts
        self.database = database
        self.app = create_app(parts)
        self.client = Client(RequestIds(self.app, parts.figures))
        self.keys = {"admin": self.add_key("admin", Role.ADMIN)}
        self.keys |= {name: self.add_key(name, Role.MEMBER) for name in ("ann", "ben")}
        self._names = itertools.count(1)

    def name(self) -> str:
        """A name that no other test uses; its own slug too."""
        return f"p{next(self._names)}"

    def add_key(self, owner: str, role: Role, **changes: Any) -> str:
        secret = access.new_secret()
        with self.database.write() as tx:
            key_id = access.add_key(tx, secret, name=owner, owner=owner, role=role, now=1.0)
            if changes:
                changed = sa.table("api_key", sa.column("id"), *map(sa.column, changes))
                tx.execute(sa.update(changed).where(changed.c.id == key_id).values(**changes))
        return secret.reveal()

    def call(
        self, method: str, path: str, body: Any = None, *, who: str = "admin", **headers: str
    ) -> TestResponse:
        """One request; `body` goes as JSON unless it is bytes."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if who:
            sent["Authorization"] = f"Bearer {self.keys[who]}"
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            sent = {"Content-Type": "application/json", **sent}
        return self.client.open(path, method=method, data=data, headers=sent)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> TestResponse:
        return self.call("POST", path, body, **options)

    def add(self, name: str = "", **fields: Any) -> dict[str, Any]:
        """The document of a new provider."""
        body = {"name": name or self.name(), "endpoint": "http://10.0.0.1:8000", **fields}
        answer = self.post("/v1/providers", body)
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.get_json()
        return document

    def submit(self, model: str, *, who: str = "admin", **fields: Any) -> dict[str, Any]:
        """The document of a new background job."""
        body = {"model": model, "messages": [{"role": "user", "content": "x"}], "background": True}
        answer = self.post(CHAT, {**body, **fields}, who=who)
        assert answer.status_code == 202, answer.text
        document: dict[str, Any] = answer.get_json()
        return document

    def listed(self, query: str, **options: Any) -> list[str]:
        """The ids of one page of jobs."""
        answer = self.get(f"{CHAT}?{query}", **options)
        assert answer.status_code == 200, answer.text
        return [job["id"] for job in answer.get_json()["data"]]

    def job(self, job_id: str, **options: Any) -> dict[str, Any]:
        document: dict[str, Any] = self.get(f"{CHAT}/{job_id}", **options).get_json()
        return document

    def claim(self, *job_ids: str) -> Sequence[ClaimedJob]:
        """As a chat worker takes these jobs, and only these."""
        wanted = {job_id.removeprefix("chatcmpl-") for job_id in job_ids}
        with self.database.write() as tx:
            taken = jobs.claim(
                tx, worker_id="wrk", want=100, now=self.parts.now(), retention=RETENTION
            )
        return [job for job in taken if job.id in wanted]

    def finish(self, claimed: ClaimedJob, state: JobState, **changes: Any) -> None:
        """As a chat worker ends a job; `result` and `error` are sealed on the way."""
        for name in ("result", "error"):
            if name in changes:
                plain = json.dumps(changes.pop(name)).encode()
                changes[f"{name}_sealed"] = self.parts.sealer.seal(
                    plain, table=jobs.TABLE, row=claimed.id, column=f"{name}_sealed"
                )
        changes["account"] = claimed.account
        outcome = Outcome(claimed.id, claimed.worker_id, claimed.attempt, state, **changes)
        with self.database.write() as tx:
            ended = jobs.finish(tx, [outcome], now=self.parts.now(), retention=RETENTION).held
        assert len(ended) == 1

    def completed(self, job_id: str, result: Any) -> None:
        """As a chat worker stores an answer."""
        (claimed,) = self.claim(job_id)
        self.finish(claimed, JobState.COMPLETED, result=result)

    def attempts_of(self, job_id: str) -> int:
        """How many attempts of a job are stored."""
        with self.database.read() as tx:
            return len(jobs.attempts(tx, job_id.removeprefix("chatcmpl-")))

    def discovered(
        self, provider_id: str, *ids: str, status: str = "ok", error: Any = None
    ) -> None:
        """As the discovery worker records a list."""
        sealed = error and self.parts.sealer.seal(
            json.dumps(error).encode(), table="discovery", row=provider_id, column="error_sealed"
        )
        with self.database.write() as tx:
            tx.execute(
                sa.insert(discovery).values(
                    provider_id=provider_id,
                    status=DiscoveryStatus(status),
                    revision=1,
                    checked_at=50.9,
                    ok_at=50.9,
                    error_sealed=sealed,
                    failures=0,
                    empty_lists=0,
                    next_check_at=350.9,
                )
            )
            for upstream_id in ids:
                row = CatalogueModel(
                    provider_id, upstream_id, "listed", 40.0, 50.0, None, None, "them", 4096
                )
                values = {name: getattr(row, name) for name in CatalogueModel.__dataclass_fields__}
                tx.execute(sa.insert(model).values(**values, raw={}))

    def gate(self, provider_id: str, reason: GateReason, until: float) -> None:
        """As a chat worker leaves a provider alone."""
        row = {"closed_at": 1.0, "closed_until": until, "reason": reason, "cause": "x"}
        with self.database.write() as tx:
            tx.execute(
                sa.insert(provider_gate).values(
                    provider_id=provider_id, provider_revision=1, failures=1, strikes=0, **row
                )
            )

    def disable(self, provider_id: str) -> None:
        answer = self.call("PATCH", f"/v1/providers/{provider_id}", {"enabled": False})
        assert answer.status_code == 200, answer.text

    def events_of(self, subject: str) -> list[tuple[EventType, int]]:
        with self.database.read() as tx:
            found = events.after(tx, 0, limit=10_000)
        return [(one.type, one.revision) for one in found if one.subject == subject]

    def column(self, table: sa.Table, row_id: str, name: str) -> Any:
        with self.database.read() as tx:
            query = sa.select(table.c[name]).where(table.c.id == row_id)
            return tx.execute(query).scalar_one()


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """One installation for all tests of this package: each uses names of its own."""
    folder: Path = tmp_path_factory.mktemp("registry")
    environ = {
        "DRAGOMAN_DATA_DIR": str(folder),
        "DRAGOMAN_OUTBOUND_ALLOW": "10.0.0.0/8",
        "REDIS_URL": f"unix://{folder}/none.sock",
    }
    if request.param == "postgresql":
        environ["DATABASE_URL"] = request.getfixturevalue("postgres_server").fresh_database()
    settings = config.load(environ)
    migrate(settings)
    database, sealer = open_store(settings)
    parts = assemble(settings, sealer, OutboundPolicy.from_settings(settings))
    yield Registry(parts, database)
    parts.transactions.close()
    database.dispose()


@pytest.fixture(autouse=True)
def browsers_log_in_as_often_as_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of a minute log in more often with one key than people do."""
    monkeypatch.setattr(attempts, "MOST_OF_A_KEY", 10_000)


@pytest.fixture
def slug(registry: Registry) -> str:
    """The slug of a new provider."""
    return str(registry.add()["slug"])


def chat_body(model: str, **fields: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": model, "messages": [{"role": "user", "content": "x"}], **fields}


def refused(answer: TestResponse, status: int, code: str, param: Any = _ANY) -> dict[str, Any]:
    """The problem document of an answer, which must be whole and say this."""
    document: dict[str, Any] = answer.get_json(force=True)
    assert (answer.status_code, document["error"]["code"]) == (status, code), answer.text
    assert answer.content_type == "application/problem+json"
    assert list(document) == ["type", "title", "status", "detail", "instance", "error"]
    assert document["status"] == status
    assert document["detail"] == document["error"]["message"]
    assert document["instance"] == answer.request.path
    if param is not _ANY:
        assert document["error"]["param"] == param, answer.text
    return document

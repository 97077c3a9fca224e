"""Several registries change one provider at once: nothing is lost, nothing fails.

On PostgreSQL only: on SQLite a transaction that writes is alone from its beginning.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shared.store import events
from tests.integration.registry.conftest import Process, Stage

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

EDITS = 6  # of each client
OWN_FIELDS = ("connect_timeout", "idle_timeout", "total_timeout")
COUNTING = 3  # clients that raise the same number


@pytest.fixture
def stage(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Stage]:
    """An installation whose Valkey is not started: edits need none."""
    stage = Stage(tmp_path, DATABASE_URL=postgres_server.fresh_database())
    yield stage
    stage.close()


def set_own(process: Process, path: str, member: str) -> list[int]:
    """Set one option again and again; the revisions that this made."""
    answers = [
        process.api.http.patch(path, json={"options": {member: n + 1}}) for n in range(EDITS)
    ]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json()["revision"] for answer in answers]


def count_up(process: Process, path: str) -> list[int]:
    """Raise the number in the description, each time from what was read."""
    made: list[int] = []
    while len(made) < EDITS:
        seen = process.api.http.get(path)
        body = {"description": str(int(seen.json()["description"]) + 1)}
        headers = {"If-Match": seen.headers["ETag"]}
        answer = process.api.http.patch(path, json=body, headers=headers)
        assert answer.status_code in (200, 412), answer.text
        if answer.status_code == 200:
            made.append(answer.json()["revision"])
    return made


def test_edits_of_many_clients_through_two_registries_lose_nothing(stage: Stage) -> None:
    with stage.process() as one, stage.process() as other, ThreadPoolExecutor(6) as pool:
        made = one.api.add_provider("acme", "http://127.0.0.1:9", description="0")
        decoy = other.api.add_provider("decoy", "http://127.0.0.1:9")
        path = f"/v1/providers/{made['id']}"
        turns = itertools.cycle((one, other))
        setting = [pool.submit(set_own, next(turns), path, name) for name in OWN_FIELDS]
        counting = [pool.submit(count_up, next(turns), path) for _ in range(COUNTING)]
        # Two providers in the batches of two processes: whoever locks rows crosswise stands still.
        crosswise: list[httpx.Response] = []
        while not all(client.done() for client in (*setting, *counting)):
            body: dict[str, Any] = {"tags": [str(len(crosswise))]}
            crosswise.append(next(turns).api.http.patch(f"/v1/providers/{decoy['id']}", json=body))
        revisions = sorted(r for client in (*setting, *counting) for r in client.result())
        last = other.api.http.get(path).json()
    assert {answer.status_code for answer in crosswise} == {200}
    assert revisions == list(range(2, 2 + len(revisions)))
    assert len(revisions) == EDITS * (len(OWN_FIELDS) + COUNTING)
    assert (last["revision"], last["description"]) == (revisions[-1], str(EDITS * COUNTING))
    assert [last["options"][name] for name in OWN_FIELDS] == [EDITS] * len(OWN_FIELDS)
    with stage.database.read() as tx:
        told = events.timeline(tx, made["id"], limit=1_000, newest_first=False)
        assert [event.revision for event in told] == [1, *revisions]
        assert events.last_seq(tx) == len(events.after(tx, 0, limit=10_000))

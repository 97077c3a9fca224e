"""A disabled provider takes no work and keeps what waits; many hands may change it at once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import gevent
import pytest
import sqlalchemy as sa

from shared.domain import DiscoveryStatus, JobState
from shared.store.schema import discovery
from tests.contract.registry.conftest import CHAT, Registry, chat_body, refused
from tests.contract.registry.test_provider_changes import PROVIDERS, patched, told

MODELS = "/v1/models"


@pytest.fixture
def rings(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with each ring for the chat workers."""
    heard: list[str] = []
    monkeypatch.setattr(registry.parts.bell, "ring", lambda: heard.append("ring"))
    return heard


def test_a_disabled_provider_takes_no_job_and_keeps_those_that_wait(
    registry: Registry, rings: list[str]
) -> None:
    made = registry.add()
    waiting = registry.submit(f"{made['slug']}/m")["id"]
    assert patched(registry, made["id"], {"enabled": False})["enabled"] is False
    for fields in ({"background": True}, {}):
        answer = registry.post(CHAT, chat_body(f"{made['slug']}/m", **fields))
        refused(answer, 409, "provider_disabled", "model")
    job = registry.job(waiting)
    assert job["status"] == "queued"
    assert job["waiting_for"] == {"reason": "provider_disabled", "until": None, "cause": None}
    assert registry.claim(waiting) == []
    rings.clear()
    assert patched(registry, made["id"], {"enabled": True})["enabled"] is True
    assert rings == ["ring"]
    assert registry.job(waiting)["waiting_for"] is None
    registry.completed(waiting, {"choices": []})
    assert registry.job(waiting)["status"] == "completed"
    assert registry.submit(f"{made['slug']}/m")["status"] == "queued"


def test_a_call_that_runs_while_its_provider_is_disabled_ends_as_ever(registry: Registry) -> None:
    made = registry.add()
    job_id = registry.submit(f"{made['slug']}/m")["id"]
    (claimed,) = registry.claim(job_id)
    patched(registry, made["id"], {"enabled": False})
    assert registry.job(job_id)["status"] == "in_progress"
    registry.finish(claimed, JobState.COMPLETED, result={"choices": []})
    assert registry.job(job_id)["status"] == "completed"


def test_the_models_of_a_disabled_provider_are_offered_to_nobody(registry: Registry) -> None:
    made = registry.add()
    registry.discovered(made["id"], "m")
    patched(registry, made["id"], {"enabled": False})
    assert registry.get(f"{MODELS}?provider={made['slug']}").get_json()["data"] == []
    refused(registry.get(f"{MODELS}/{made['slug']}/m"), 404, "model_not_found")
    patched(registry, made["id"], {"enabled": True})
    assert registry.get(f"{MODELS}/{made['slug']}/m").status_code == 200


def test_discovery_of_a_disabled_provider_says_so_and_pends_when_it_is_enabled(
    registry: Registry,
) -> None:
    made = registry.add()
    registry.discovered(made["id"], "m", "n")
    shown = patched(registry, made["id"], {"enabled": False})["discovery"]
    assert (shown["status"], shown["next_check_at"], shown["model_count"]) == ("disabled", None, 2)
    with registry.database.write() as tx:
        of_made = discovery.c.provider_id == made["id"]
        tx.execute(sa.update(discovery).where(of_made).values(status=DiscoveryStatus.DISABLED))
    document = patched(registry, made["id"], {"enabled": True})
    assert document["discovery"]["status"] == "pending"
    assert document["discovery"]["next_check_at"] == document["updated_at"]
    assert document["discovery"]["model_count"] == 2


def test_a_change_that_may_let_waiting_jobs_run_rings_and_an_empty_one_does_not(
    registry: Registry, rings: list[str]
) -> None:
    made = registry.add()
    patched(registry, made["id"], {})
    assert rings == []
    patched(registry, made["id"], {"endpoint": "http://10.0.0.9:1"})
    assert rings == ["ring"]


def test_a_hundred_edits_of_several_clients_lose_nothing(registry: Registry) -> None:
    made = registry.add()
    edits: list[list[dict[str, Any]]] = [
        [{"description": f"d{n}"} for n in range(20)],
        [{"tags": [f"t{n}"]} for n in range(20)],
        [{"options": {"connect_timeout": n + 1}} for n in range(20)],
        [{"options": {"max_concurrency": n + 1}} for n in range(20)],
        [{"api_key": f"key-{n}"} for n in range(20)],
    ]
    seen: Counter[int] = Counter()

    def client(own: list[dict[str, Any]]) -> None:
        for body in own:
            seen[patched(registry, made["slug"], body)["revision"]] += 1

    gevent.joinall([gevent.spawn(client, own) for own in edits], raise_error=True)
    assert seen == Counter(range(2, 102))
    last = registry.get(f"{PROVIDERS}/{made['id']}").get_json()
    assert (last["description"], last["tags"], last["revision"]) == ("d19", ["t19"], 101)
    assert (last["options"]["connect_timeout"], last["options"]["max_concurrency"]) == (20, 20)
    facts = told(registry, made["id"])
    assert [revision for _, revision, _ in facts] == list(range(2, 102))
    assert Counter(type_ for type_, _, _ in facts) == {
        "provider.changed": 80,
        "provider.key_rotated": 20,
    }

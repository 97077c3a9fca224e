"""Deleting a provider: what goes, what ends, and what stays."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
import sqlalchemy as sa

from shared import live
from shared.domain import JobState
from shared.store.schema import chat_job, provider
from tests.contract.registry.conftest import CHAT, Registry, chat_body, refused

KEY = "sk-0123456789abcdef"
PROVIDERS = "/v1/providers"


def test_a_delete_that_names_another_revision_changes_nothing(registry: Registry) -> None:
    path = f"{PROVIDERS}/{registry.add()['id']}"
    refused(registry.call("DELETE", path, If_Match='W/"2"'), 412, "stale_revision")
    assert registry.get(path).status_code == 200
    assert registry.call("DELETE", path, If_Match='W/"1"').status_code == 204
    refused(registry.get(path), 404, "provider_not_found")


def test_a_delete_frees_name_and_slug(registry: Registry) -> None:
    made = registry.add(api_key=KEY)
    answer = registry.call("DELETE", f"{PROVIDERS}/{made['slug']}")
    assert (answer.status_code, answer.data) == (204, b"")
    again = registry.add(made["name"])
    assert (again["slug"], again["api_key"]["set"]) == (made["slug"], False)
    assert again["id"] != made["id"]


def test_a_tombstone_keeps_only_what_its_jobs_need(registry: Registry) -> None:
    made = registry.add(
        endpoint="http://10.66.66.66:8000/v1?tenant=wanderlust",
        api_key=KEY,
        description="wanderlust",
        tags=["wanderlust"],
        visibility=["wanderlust"],
        options={"models": ["wanderlust"], "max_concurrency": 3},
    )
    registry.call("DELETE", f"{PROVIDERS}/{made['id']}")
    with registry.database.read() as tx:
        query = sa.select(provider).where(provider.c.id == made["id"])
        left = dict(tx.execute(query).mappings().one())
    kept = {"id", "name", "name_folded", "slug", "enabled", "revision", "refresh_asked", "port"}
    kept |= {"created_at", "updated_at", "deleted_at"}
    assert {name for name, value in left.items() if value not in (None, "", [], {})} == kept
    assert (left["name"], left["slug"], left["port"]) == (made["name"], made["slug"], 0)
    assert (left["revision"], left["deleted_at"]) == (2, left["updated_at"])


def test_a_delete_ends_queued_jobs_and_leaves_others_alone(registry: Registry) -> None:
    made, other = registry.add(), registry.add()
    running, queued = (registry.submit(f"{made['slug']}/m")["id"] for _ in range(2))
    elsewhere = registry.submit(f"{other['slug']}/m")["id"]
    with registry.database.write() as tx:
        tx.execute(
            chat_job.update()
            .where(chat_job.c.id == running.removeprefix("chatcmpl-"))
            .values(state="in_progress")
        )
    assert registry.call("DELETE", f"{PROVIDERS}/{made['id']}").status_code == 204
    ended = registry.job(queued)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "provider_deleted")
    assert ended["error"]["may_have_been_billed"] is False
    assert ended["expires_at"] is not None
    assert registry.job(running)["status"] == "in_progress"
    assert registry.job(elsewhere)["status"] == "queued"
    chat = {"model": f"{made['slug']}/m", "messages": [{}], "background": True}
    refused(registry.post(CHAT, chat), 404, "model_not_found", "model")


def test_a_running_call_of_a_deleted_provider_ends_as_ever_and_stays_readable(
    registry: Registry,
) -> None:
    made = registry.add()
    running, done = (registry.submit(f"{made['slug']}/m", who="ann")["id"] for _ in range(2))
    claims = {f"chatcmpl-{job.id}": job for job in registry.claim(running, done)}
    registry.finish(claims[done], JobState.COMPLETED, result={"choices": [{"index": 0}]})
    registry.call("DELETE", f"{PROVIDERS}/{made['id']}")
    taken_over = registry.add(made["name"])
    registry.finish(claims[running], JobState.COMPLETED, result={"choices": [{"index": 1}]})
    for job_id, index in ((done, 0), (running, 1)):
        job = registry.job(job_id, who="ann")
        assert (job["status"], job["choices"]) == ("completed", [{"index": index}])
        assert job["provider"] == {"id": made["id"], "slug": made["slug"]}
        assert job["model"] == f"{made['slug']}/m"
    assert registry.submit(f"{made['slug']}/m")["provider"]["id"] == taken_over["id"]


def test_a_call_of_a_deleted_provider_that_goes_back_to_the_queue_is_not_run_again(
    registry: Registry,
) -> None:
    made = registry.add()
    job_id = registry.submit(f"{made['slug']}/m")["id"]
    (claimed,) = registry.claim(job_id)
    registry.call("DELETE", f"{PROVIDERS}/{made['id']}")
    registry.finish(claimed, JobState.QUEUED)
    assert registry.claim(job_id) == []
    ended = registry.job(job_id)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "provider_deleted")


def impact(registry: Registry, reference: str, **options: str) -> dict[str, Any]:
    answer = registry.get(f"{PROVIDERS}/{reference}/impact", **options)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.get_json()
    return document


def test_the_impact_of_a_delete_is_told_before_it(registry: Registry) -> None:
    made, other = registry.add(options={"max_concurrency": 2}), registry.add()
    before = impact(registry, made["id"])
    assert "not contacted" in before.pop("message")
    assert before == {
        "id": made["id"],
        "object": "provider.impact",
        "queued": 0,
        "running": 0,
        "last_used_at": None,
    }
    ids = [registry.submit(f"{made['slug']}/m")["id"] for _ in range(4)]
    last = registry.submit(f"{made['slug']}/m")
    registry.submit(f"{other['slug']}/m")
    with registry.database.write() as tx:  # the first one came long before the last
        first = chat_job.c.id == ids[0].removeprefix("chatcmpl-")
        tx.execute(sa.update(chat_job).where(first).values(created_at=5.0))
    registry.completed(ids[0], {"choices": []})  # its claim takes two
    found = impact(registry, made["slug"], who="ann")
    assert (found["queued"], found["running"]) == (3, 1)
    assert found["last_used_at"] == last["created"]
    assert "(3)" in found["message"]
    registry.call("DELETE", f"{PROVIDERS}/{made['id']}")
    ended = [registry.job(job_id)["status"] for job_id in (*ids, last["id"])]
    assert ended == ["completed", "in_progress", "failed", "failed", "failed"]


def test_the_impact_of_what_the_caller_may_not_see_is_not_told(registry: Registry) -> None:
    made = registry.add(visibility="admins")
    for who, reference in (("ann", made["id"]), ("admin", "nobody"), ("admin", "%00")):
        answer = registry.get(f"{PROVIDERS}/{reference}/impact", who=who)
        refused(answer, 404, "provider_not_found")
    assert impact(registry, made["id"])["queued"] == 0


def test_a_plain_call_that_waits_for_a_deleted_provider_is_told_why(registry: Registry) -> None:
    made = registry.add()
    call = gevent.spawn(registry.post, CHAT, chat_body(f"{made['slug']}/m"))
    with gevent.Timeout(10):
        while not impact(registry, made["id"])["queued"]:
            gevent.sleep(0.005)
        registry.call("DELETE", f"{PROVIDERS}/{made['id']}")
        registry.parts.waiting.look()
        answer = call.get()
    refused(answer, 409, "provider_deleted")
    assert answer.headers["x-should-retry"] == "false"


def test_jobs_that_a_delete_ends_are_told_to_who_waits(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(
        registry.parts.notices, "send", lambda channel, ids: told.append((channel, list(ids)))
    )
    slug = registry.add()["slug"]
    job = registry.submit(f"{slug}/m")
    registry.call("DELETE", f"/v1/providers/{slug}")
    assert told == [(live.ENDED, [job["id"].removeprefix("chatcmpl-")])]

"""Deleting a provider: what goes, what ends, and what stays."""

from __future__ import annotations

import pytest

from shared import live
from shared.store.schema import chat_job, provider
from tests.contract.registry.conftest import CHAT, Registry, refused

KEY = "sk-0123456789abcdef"
PROVIDERS = "/v1/providers"


def test_a_delete_that_names_another_revision_changes_nothing(registry: Registry) -> None:
    path = f"{PROVIDERS}/{registry.add()['id']}"
    refused(registry.call("DELETE", path, If_Match='W/"2"'), 412, "stale_revision")
    assert registry.get(path).status_code == 200
    assert registry.call("DELETE", path, If_Match='W/"1"').status_code == 204
    refused(registry.get(path), 404, "provider_not_found")


def test_a_delete_frees_name_and_slug_and_forgets_the_key(registry: Registry) -> None:
    made = registry.add(api_key=KEY)
    answer = registry.call("DELETE", f"{PROVIDERS}/{made['slug']}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert registry.column(provider, made["id"], "api_key_sealed") is None
    assert registry.add(made["name"])["slug"] == made["slug"]


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

"""Whom a provider is visible to: every route keeps to it, and nobody loses what is his.

That a foreign id is told from an unknown one by nothing is shown for every route of the description
by tests/e2e/test_owners.py, and for the console's pages by test_pages.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain import JobState
from tests.contract.registry.conftest import CHAT, Registry, chat_body, refused

RESULT = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "kept"}}]}


def reaches(registry: Registry, made: dict[str, Any], who: str) -> set[bool]:
    """Whether this caller reaches the provider, by each way that there is to it."""
    slug, key = made["slug"], made["id"]
    statuses = [
        registry.get(f"/v1/providers/{slug}", who=who).status_code,
        registry.get(f"/v1/providers/{key}/models", who=who).status_code,
        registry.get(f"/v1/providers/{key}/events", who=who).status_code,
        registry.get(f"/v1/providers/{key}/impact", who=who).status_code,
        registry.post(f"/v1/providers/{slug}/refresh", None, who=who).status_code,
        registry.get(f"/v1/models/{slug}/m", who=who).status_code,
        registry.post(CHAT, chat_body(f"{slug}/m", background=True), who=who).status_code,
        registry.post(CHAT, chat_body(f"only-{slug}", background=True), who=who).status_code,
        registry.post(
            "/v1/responses", {"model": f"{slug}/m", "input": "x", "background": True}, who=who
        ).status_code,
    ]
    assert set(statuses) <= {200, 202, 404}, statuses
    listed = registry.get("/v1/providers?limit=100&order=desc", who=who).get_json()["data"]
    models = registry.get("/v1/models", who=who).get_json()["data"]
    return {
        *(status != 404 for status in statuses),
        key in {one["id"] for one in listed},
        f"{slug}/m" in {one["id"] for one in models},
    }


def listing(registry: Registry, **fields: Any) -> dict[str, Any]:
    """A provider that lists two models, one of which no other provider has."""
    made = registry.add(**fields)
    registry.discovered(made["id"], "m", f"only-{made['slug']}")
    return made


@pytest.mark.parametrize(
    ("visibility", "members"),
    [("everyone", {"ann", "ben"}), ("admins", set()), (["ann"], {"ann"}), (["ben", "x"], {"ben"})],
)
def test_a_provider_is_there_for_those_whom_it_names_and_for_admins(
    registry: Registry, visibility: Any, members: set[str]
) -> None:
    made = listing(registry, visibility=visibility)
    for who in ("ann", "ben", "admin"):
        assert reaches(registry, made, who) == {who in members or who == "admin"}, who


def test_whoever_may_use_a_provider_is_shown_what_admins_are(registry: Registry) -> None:
    made = registry.add(api_key="sk-0123456789ab9f2c", visibility=["ann"])
    path = f"/v1/providers/{made['id']}"
    shown = registry.get(path, who="ann").get_json()
    assert shown == registry.get(path).get_json()
    assert (shown["endpoint"], shown["visibility"]) == ("http://10.0.0.1:8000", ["ann"])
    assert (shown["api_key"]["last4"], len(shown["api_key"]["fingerprint"])) == ("9f2c", 8)
    for change in (("PATCH", {"description": "x"}), ("DELETE", None)):
        answer = registry.call(change[0], path, change[1], who="ann")
        refused(answer, 403, "insufficient_scope")


def test_a_change_of_who_may_see_it_counts_from_the_next_request(registry: Registry) -> None:
    made = listing(registry)
    path = f"/v1/providers/{made['id']}"
    for visibility, seen in (("admins", False), (["ann"], True), ("everyone", True)):
        assert registry.call("PATCH", path, {"visibility": visibility}).status_code == 200
        assert reaches(registry, made, "ann") == {seen}, visibility


def test_jobs_on_a_provider_that_became_invisible_stay_their_owners(registry: Registry) -> None:
    made = listing(registry)
    slug = made["slug"]
    ended = registry.submit(f"{slug}/m", who="ann")["id"]
    registry.completed(ended, RESULT)
    queued = registry.submit(f"{slug}/m", who="ann")["id"]
    registry.call("PATCH", f"/v1/providers/{made['id']}", {"visibility": ["ben"]})
    shown = registry.job(ended, who="ann")
    assert (shown["status"], shown["choices"][0]["message"]["content"]) == ("completed", "kept")
    for path in ("/messages", "/attempts", "?stream=true"):
        assert registry.get(f"{CHAT}/{ended}{path}", who="ann").status_code == 200
    listed = registry.get(f"{CHAT}?limit=100&order=desc", who="ann").get_json()["data"]
    assert {ended, queued} <= {one["id"] for one in listed}
    used = registry.get("/v1/usage?group_by=provider", who="ann")
    assert used.status_code == 200
    noted = registry.post(f"{CHAT}/{ended}", {"metadata": {"a": "b"}}, who="ann")
    assert noted.get_json()["metadata"] == {"a": "b"}
    cancelled = registry.post(f"{CHAT}/{queued}/cancel", None, who="ann")
    assert cancelled.get_json()["status"] == "cancelled"
    again = registry.post(CHAT, chat_body(f"{slug}/m", background=True), who="ann")
    refused(again, 404, "model_not_found")
    assert registry.call("DELETE", f"{CHAT}/{ended}", who="ann").status_code == 200


def test_a_queued_job_still_runs_where_its_provider_became_invisible(registry: Registry) -> None:
    """It was accepted: who may see the provider is asked when a job is submitted."""
    made = listing(registry)
    job = registry.submit(f"{made['slug']}/m", who="ann")["id"]
    registry.call("PATCH", f"/v1/providers/{made['id']}", {"visibility": "admins"})
    registry.completed(job, RESULT)
    assert registry.job(job, who="ann")["status"] == JobState.COMPLETED

"""The audit trail: all that is done is in it, by whom and from where, and nothing secret."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from shared.store.audit import Action
from shared.store.schema import audit
from tests.contract.registry.browser import Browser
from tests.contract.registry.conftest import CHAT, Registry, refused

AUDIT = "/v1/audit"
SECRET = "sk-a-provider-key-that-nobody-may-read"


def trail(registry: Registry, **query: Any) -> list[dict[str, Any]]:
    answer = registry.client.open(
        AUDIT,
        query_string={"limit": 100, "order": "asc", **query},
        headers={"Authorization": f"Bearer {registry.keys['admin']}"},
    )
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.get_json()["data"]
    return entries


def told(entries: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(entry["action"], entry["detail"]) for entry in entries]


def test_every_change_of_a_provider_is_told_by_the_names_of_its_fields(registry: Registry) -> None:
    made = registry.add(api_key=SECRET)
    path = f"/v1/providers/{made['id']}"
    patch = {
        "description": "new",
        "api_key": SECRET + "2",
        "enabled": False,
        "options": {"total_timeout": 9},
    }
    assert registry.call("PATCH", path, patch).status_code == 200
    assert registry.call("PATCH", path, {"enabled": True}).status_code == 200
    assert registry.call("PATCH", path, {"enabled": True}).status_code == 200  # changes nothing
    assert registry.post(f"{path}/refresh", None, who="ann").status_code == 202
    assert registry.call("DELETE", path).status_code == 204
    entries = trail(registry, subject=made["id"])
    assert told(entries) == [
        ("provider.create", {"slug": made["slug"]}),
        (
            "provider.update",
            {"fields": ["description", "options.total_timeout", "api_key", "enabled"]},
        ),
        ("provider.update", {"fields": ["enabled"]}),
        ("provider.refresh", {}),
        ("provider.delete", {"slug": made["slug"]}),
    ]
    assert SECRET not in repr(entries)
    assert [entry["actor"]["owner"] for entry in entries] == [*["admin"] * 3, "ann", "admin"]


def test_a_program_that_refreshes_again_and_again_fills_no_trail(registry: Registry) -> None:
    made = registry.add()
    for who in ("ann", "ann", "admin", "ann", "admin"):
        answer = registry.post(f"/v1/providers/{made['id']}/refresh", None, who=who)
        assert answer.status_code == 202
    entries = [one for one in trail(registry, subject=made["id"]) if "refresh" in one["action"]]
    assert sorted(one["actor"]["owner"] for one in entries) == ["admin", "ann"]


def test_an_entry_says_who_did_it_when_and_from_where(registry: Registry) -> None:
    body = {"name": registry.name(), "limits": {"tokens_per_day": 5}, "role": "admin"}
    headers = {"Authorization": f"Bearer {registry.keys['admin']}", "x-request-id": "req-1"}
    where = {"REMOTE_ADDR": "192.0.2.7"}
    key = registry.client.post(
        "/v1/keys", json=body, headers=headers, environ_overrides=where
    ).get_json()
    (entry,) = trail(registry, subject=key["id"])
    admin = registry.get("/v1/me").get_json()
    assert re.fullmatch("aud_[0-9A-Z]{26}", entry.pop("id"))
    assert abs(entry.pop("at") - time.time()) < 60
    assert entry == {
        "object": "audit.entry",
        "actor": {"key_id": admin["key_id"], "name": "admin", "owner": "admin"},
        "action": "key.create",
        "subject": key["id"],
        "detail": {"role": "admin", "limits": ["tokens_per_day"], "expires": False},
        "request_id": "req-1",
        "address": "192.0.2.7",
    }
    registry.call("DELETE", f"/v1/keys/{key['id']}")
    registry.call("DELETE", f"/v1/keys/{key['id']}")  # twice is once
    assert [a for a, _ in told(trail(registry, subject=key["id"]))] == ["key.create", "key.revoke"]


def test_what_was_refused_is_not_told_as_done(registry: Registry) -> None:
    made = registry.add()
    before = len(trail(registry, actor="admin", order="desc"))
    refused(
        registry.post("/v1/providers", {"name": made["name"], "endpoint": "10.0.0.1"}),
        409,
        "provider_name_taken",
    )
    refused(
        registry.post("/v1/providers", {"name": "x", "endpoint": "10.0.0.1"}, who="ann"),
        403,
        "insufficient_scope",
    )
    path = f"/v1/providers/{made['id']}"
    refused(registry.call("PATCH", path, {"tags": ["x"]}, If_Match='"9"'), 412, "stale_revision")
    refused(registry.call("DELETE", path, If_Match='"9"'), 412, "stale_revision")
    assert told(trail(registry, subject=made["id"])) == [
        ("provider.create", {"slug": made["slug"]})
    ]
    assert len(trail(registry, actor="admin", order="desc")) == before


def test_a_test_of_unsaved_values_is_told(registry: Registry) -> None:
    body = {"name": "t", "endpoint": "http://10.0.0.9", "api_key": SECRET}
    asked = registry.post("/v1/providers/test", body, Prefer="respond-async").get_json()
    assert told(trail(registry, subject=asked["id"])) == [("provider.test", {})]


def test_what_an_admin_does_to_anothers_job_is_told_with_its_owner(
    registry: Registry, slug: str
) -> None:
    job = registry.submit(f"{slug}/m", who="ann")
    path = f"{CHAT}/{job['id']}"
    assert registry.post(path, {"metadata": {"seen": "yes"}}).status_code == 200
    for _ in range(2):  # twice is once
        assert registry.post(f"{path}/cancel", None).status_code == 200
    assert registry.call("DELETE", path).status_code == 200
    response = registry.submit(f"{slug}/m", who="ann")["id"].replace("chatcmpl-", "resp_")
    assert registry.call("DELETE", f"/v1/responses/{response}").status_code == 200
    entries = trail(registry, subject=job["id"])
    assert told(entries) == [
        ("job.update", {"owner": "ann", "state": "queued"}),
        ("job.cancel", {"owner": "ann", "state": "queued"}),
        ("job.delete", {"owner": "ann", "state": "cancelled"}),
    ]
    assert {entry["actor"]["owner"] for entry in entries} == {"admin"}
    same = response.replace("resp_", "chatcmpl-")
    assert [action for action, _ in told(trail(registry, subject=same))] == ["job.delete"]


def test_what_owners_do_with_their_own_jobs_fills_no_trail(registry: Registry, slug: str) -> None:
    for who in ("ann", "admin"):
        job = registry.submit(f"{slug}/m", who=who)
        path = f"{CHAT}/{job['id']}"
        assert registry.post(path, {"metadata": {}}, who=who).status_code == 200
        assert registry.post(f"{path}/cancel", None, who=who).status_code == 200
        assert registry.call("DELETE", path, who=who).status_code == 200
        refused(registry.call("DELETE", path, who="ben"), 404, "not_found")
        assert trail(registry, subject=job["id"]) == []


def test_logins_failures_and_logouts_are_told(registry: Registry) -> None:
    who = registry.post("/v1/keys", {"name": registry.name()}).get_json()
    registry.keys[who["id"]] = who["key"]
    browser = Browser(registry)
    since = {"after": trail(registry, order="desc", limit=1)[0]["id"]}
    assert browser.login(SECRET).status_code == 401
    browser.sign_in(who["id"])
    browser.open("POST", "/logout", data={"csrf_token": browser.csrf})
    entries = trail(registry, **since)
    assert [(one["action"], one["actor"]["owner"], one["subject"]) for one in entries] == [
        ("session.login_failed", None, None),
        ("session.login", who["owner"], who["id"]),
        ("session.logout", who["owner"], who["id"]),
    ]
    assert entries[0]["actor"]["name"] == "nobody"
    assert SECRET not in repr(entries)
    assert who["key"] not in repr(entries)


@pytest.mark.parametrize(
    ("name", "value"), [("actor", "the owner"), ("actor", "the id"), ("action", "provider.refresh")]
)
def test_a_filter_shows_only_what_it_names(registry: Registry, name: str, value: str) -> None:
    slug = registry.add()["slug"]
    key = registry.post("/v1/keys", {"name": registry.name()}).get_json()
    registry.keys["filtered"] = key["key"]
    registry.post(f"/v1/providers/{slug}/refresh", None, who="filtered")
    wanted = {"the owner": key["owner"], "the id": key["id"]}.get(value, value)
    entries = trail(registry, **{name: wanted})
    assert {entry["action"] for entry in entries} == {"provider.refresh"}
    if name == "actor":
        assert [entry["actor"]["key_id"] for entry in entries] == [key["id"]]


def test_a_period_begins_with_its_first_moment_and_ends_before_its_last(registry: Registry) -> None:
    made = registry.add()
    at = int(time.time()) - 5_000
    with registry.database.write() as tx:
        tx.execute(sa.update(audit).where(audit.c.subject == made["id"]).values(at=float(at)))
    of = {"subject": made["id"]}
    assert len(trail(registry, **of, **{"from": at, "to": at + 1})) == 1
    assert trail(registry, **of, **{"from": at + 1}) == []
    assert trail(registry, **of, to=at) == []
    refused(registry.get(f"{AUDIT}?from=5&to=5"), 400, "invalid_value", "from")


def test_pages_begin_with_the_newest(registry: Registry) -> None:
    made = registry.add()
    path = f"/v1/providers/{made['id']}"
    for number in range(3):
        registry.call("PATCH", path, {"description": str(number)})
    seen, url = [], f"{AUDIT}?subject={made['id']}&limit=2"
    while url:
        answer = registry.get(url)
        seen += [entry["id"] for entry in answer.get_json()["data"]]
        link = answer.headers.get("Link", "")
        url = link.partition("<")[2].partition(">")[0]
    assert len(seen) == 4
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("action=provider.eat", "action"),
        ("after=x", "after"),
        ("from=soon", "from"),
        ("actor=a%00", "actor"),
        ("limit=0", "limit"),
    ],
)
def test_what_does_not_fit_is_named(registry: Registry, query: str, param: str) -> None:
    refused(registry.get(f"{AUDIT}?{query}"), 400, "invalid_value", param)


def test_members_may_not_read_it(registry: Registry) -> None:
    refused(registry.get(AUDIT, who="ann"), 403, "insufficient_scope")


def test_every_action_that_can_be_told_is_described(registry: Registry) -> None:
    described = registry.call("GET", "/openapi.json", who="").get_json()
    shape = described["components"]["schemas"]["AuditEntry"]["properties"]
    assert shape["action"]["enum"] == [action.value for action in Action]
    page = (Path(__file__).parents[3] / "docs" / "access.md").read_text("utf-8")
    rows = "".join(re.findall(r"^\|((?: ?`[a-z._]+`,?)+) \|", page, re.MULTILINE))
    assert set(re.findall(r"`([a-z]+\.[a-z_]+)`", rows)) == set(Action)

"""API keys over HTTP: shown once, listed without the secret, revoked at once."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from shared.store import access
from shared.store.schema import api_key
from tests.contract.registry.conftest import Registry, refused

KEYS = "/v1/keys"


def make(registry: Registry, **fields: Any) -> dict[str, Any]:
    """A new key; its secret signs calls under the key's id from now on."""
    answer = registry.post(KEYS, {"name": registry.name(), **fields})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.get_json()
    registry.keys[document["id"]] = document["key"]
    return document


def test_keys_of_one_moment_are_told_apart_by_how_they_begin(registry: Registry) -> None:
    assert len({make(registry)["prefix"] for _ in range(5)}) == 5


def test_a_new_key_works_at_once_and_its_secret_is_shown_once(registry: Registry) -> None:
    answer = registry.post(KEYS, {"name": "Ann's Notebook №1"})
    made = answer.get_json()
    assert answer.headers["Location"] == f"{KEYS}/{made['id']}"
    assert answer.headers["Cache-Control"] == "no-store"
    secret = made.pop("key")
    assert secret.startswith(made["prefix"])
    assert secret.startswith(f"dgm_{made['id'].removeprefix('key_').lower()}_")  # told by its id
    assert made == {
        "id": made["id"],
        "object": "api_key",
        "name": "Ann's Notebook №1",
        "owner": "ann-s-notebook-no1",
        "role": "member",
        "prefix": made["prefix"],
        "created_at": made["created_at"],
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
        "limits": {"requests_per_minute": None, "tokens_per_day": None},
    }
    registry.keys["new"] = secret
    assert registry.get("/v1/models", who="new").status_code == 200
    for shown in (registry.get(f"{KEYS}/{made['id']}"), registry.get(f"{KEYS}?limit=100")):
        assert secret not in shown.text
    assert registry.get(f"{KEYS}/{made['id']}").get_json() == made


def test_a_member_may_chat_and_read_and_nothing_else(registry: Registry, slug: str) -> None:
    who = make(registry, owner="cat")["id"]
    assert registry.submit(f"{slug}/m", who=who)["status"] == "queued"
    for answer in (
        registry.get(KEYS, who=who),
        registry.post(KEYS, {"name": "x", "role": "admin"}, who=who),
        registry.get(f"{KEYS}/{who}", who=who),
        registry.call("DELETE", f"{KEYS}/{who}", who=who),
        registry.post("/v1/providers", {"name": "x", "endpoint": "http://10.0.0.1"}, who=who),
    ):
        refused(answer, 403, "insufficient_scope")


def test_all_keys_of_one_owner_see_the_same_jobs_and_revoking_one_touches_none(
    registry: Registry, slug: str
) -> None:
    first, second = (make(registry, owner="shared.owner@home")["id"] for _ in range(2))
    job = registry.submit(f"{slug}/m", who=first)
    assert registry.call("DELETE", f"{KEYS}/{first}").status_code == 204
    refused(registry.get("/v1/models", who=first), 401, "invalid_api_key")
    assert registry.job(job["id"], who=second)["status"] == "queued"
    assert registry.get(f"{KEYS}/{first}").get_json()["revoked_at"] is not None
    assert registry.call("DELETE", f"{KEYS}/{first}").status_code == 204  # twice is once


def test_a_key_ends_when_it_expires(registry: Registry) -> None:
    made = make(registry, expires_at=int(time.time()) + 3600)
    assert registry.get("/v1/models", who=made["id"]).status_code == 200
    with registry.database.write() as tx:
        tx.execute(
            sa.update(api_key).where(api_key.c.id == made["id"]).values(expires_at=time.time() - 1)
        )
    registry.parts.authenticator.forget(made["id"])
    refused(registry.get("/v1/models", who=made["id"]), 401, "invalid_api_key")


def test_the_last_admin_key_cannot_be_revoked(registry: Registry) -> None:
    living = sa.and_(api_key.c.role == "admin", api_key.c.revoked_at.is_(None))
    with registry.database.read() as tx:
        own = access.find_caller(tx, access.digest(registry.keys["admin"]), now=0.0)
        admins = tx.execute(sa.select(api_key.c.id).where(living)).scalars().all()
    assert own is not None
    for key_id in admins:  # whatever other tests left
        if key_id != own.key_id:
            assert registry.call("DELETE", f"{KEYS}/{key_id}").status_code == 204
    refused(registry.call("DELETE", f"{KEYS}/{own.key_id}"), 400, "invalid_value", "id")
    assert registry.get(KEYS).status_code == 200


def test_when_a_key_was_last_used_is_noted(registry: Registry) -> None:
    made = make(registry)
    registry.get("/v1/models", who=made["id"])
    registry.parts.authenticator.note_use()
    used = registry.get(f"{KEYS}/{made['id']}").get_json()["last_used_at"]
    assert abs(used - time.time()) < 60


def test_keys_are_listed_by_owner_and_page(registry: Registry) -> None:
    ids = [make(registry, owner="dora")["id"] for _ in range(3)]
    page = registry.get(f"{KEYS}?owner=dora&limit=2")
    assert [key["id"] for key in page.get_json()["data"]] == ids[:2]
    assert f"after={ids[1]}" in page.headers["Link"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\u0000"}, "name"),
        ({"name": "x", "owner": "Ann"}, "owner"),
        ({"name": "x", "owner": "-a"}, "owner"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "x", "expires_at": 1}, "expires_at"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "expires_at": 1_900_000_000_000}, "expires_at"),
        ({"name": "x", "limits": 5}, "limits"),
        ({"name": "x", "limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"name": "x", "limits": {"requests_per_minute": "5"}}, "limits.requests_per_minute"),
        ({"name": "x", "limits": {"tokens_per_day": 10**16}}, "limits.tokens_per_day"),
    ],
)
def test_what_does_not_fit_is_named(registry: Registry, body: dict[str, Any], param: str) -> None:
    refused(registry.post(KEYS, body), 400, "invalid_value", param)


def test_an_unknown_key_is_not_found(registry: Registry) -> None:
    for key_id in ("x", "key_01J00000000000000000000000", "%00"):
        refused(registry.get(f"{KEYS}/{key_id}"), 404, "not_found")
        refused(registry.call("DELETE", f"{KEYS}/{key_id}"), 404, "not_found")

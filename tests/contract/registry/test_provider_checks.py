"""Tests of values that are not saved: what is asked of the worker, who may ask, what is shown."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from shared import ids
from shared.store.access import Role
from shared.store.schema import provider_check
from tests.contract.registry.conftest import Registry, refused
from tests.contract.registry.hand import Hand, soon, step

TEST, CHECKS = "/v1/providers/test", "/v1/providers/checks"
KEY = "sk-unsaved-0123456789abcdef"


class Admin:
    """An admin with a key of his own, because tests are counted by key."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.name = f"admin-{registry.name()}"
        registry.keys[self.name] = registry.add_key(self.name, Role.ADMIN)

    def test(self, body: Any, prefer: str = "respond-async") -> Any:
        sent = {"Prefer": prefer} if prefer else {}
        return self.registry.post(TEST, body, who=self.name, **sent)

    def begun(self, **body: Any) -> str:
        """The id of a new test."""
        answer = self.test(body)
        assert answer.status_code == 202, answer.text
        return str(answer.get_json()["id"])

    def show(self, check_id: str, prefer: str = "") -> Any:
        sent = {"Prefer": prefer} if prefer else {}
        return self.registry.get(f"{CHECKS}/{check_id}", who=self.name, **sent)


@pytest.fixture
def admin(registry: Registry) -> Admin:
    return Admin(registry)


@pytest.fixture
def hand(registry: Registry) -> Hand:
    return Hand(registry)


def test_a_test_that_ends_in_time_is_answered_whole(admin: Admin, hand: Hand) -> None:
    models = [{"id": "m", "context_length": 8192}]
    work = hand.finish_next(endpoint="http://10.0.0.1/v1", models=models)
    began = time.monotonic()
    answer = admin.test({"endpoint": "10.0.0.1"}, prefer="")
    assert time.monotonic() - began < 2
    work.get()
    assert answer.status_code == 200
    assert not {"Location", "Retry-After", "Preference-Applied"} & set(answer.headers.keys())
    document = answer.get_json()
    assert document == {
        "id": document["id"],
        "object": "provider.check",
        "status": "done",
        "steps": [step("resolve")],
        "endpoint": "http://10.0.0.1/v1",
        "models": models,
    }
    assert admin.show(document["id"]).get_json() == document


def test_a_test_that_takes_longer_is_polled_and_its_steps_come_one_by_one(
    admin: Admin, hand: Hand
) -> None:
    answer = admin.test({"endpoint": "10.0.0.1"}, prefer="respond-async")
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "respond-async")
    document = answer.get_json()
    check_id = document["id"]
    assert answer.headers["Location"] == f"{CHECKS}/{check_id}"
    assert answer.headers["Retry-After"] == "1"
    assert (document["status"], document["steps"]) == ("running", [])
    hand.fill(check_id, ["resolve", "connect"], done=False)
    answer = admin.show(check_id)
    assert (answer.status_code, answer.headers["Retry-After"]) == (200, "1")
    assert answer.get_json()["status"] == "running"
    assert [one["name"] for one in answer.get_json()["steps"]] == ["resolve", "connect"]
    work = soon(hand.fill, check_id, ["resolve", "connect", "models"], done=True)
    answer = admin.show(check_id, "wait=5")
    work.get()
    assert answer.get_json()["status"] == "done"
    assert "Retry-After" not in answer.headers
    assert answer.headers["Preference-Applied"] == "wait=5"


def test_a_wait_that_is_over_gives_what_there_is_so_far(admin: Admin) -> None:
    answer = admin.test({"endpoint": "10.0.0.1"}, prefer="wait=0, respond-async")
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async, wait=0"


def test_the_worker_is_asked_for_what_a_new_provider_would_be(admin: Admin, hand: Hand) -> None:
    check_id = admin.begun(
        name="Looks good", endpoint=" 10.0.0.1:8000 ", api_key=KEY, tags=["eu"], slug="looks-good"
    )
    assert hand.asked(check_id) == {
        "endpoint": "10.0.0.1:8000",
        "api_key": KEY,
        "options": {
            "max_concurrency": None,
            "connect_timeout": 5,
            "first_byte_timeout": 120,
            "idle_timeout": 60,
            "total_timeout": 600,
            "verify_tls": True,
            "ca_certificate": None,
            "models": [],
            "allow_models": None,
        },
        "chat": False,
        "model": None,
    }
    body = {"endpoint": "10.0.0.1", "chat": True, "model": "m", "options": {"verify_tls": False}}
    asked = hand.asked(admin.begun(**body))
    assert (asked["chat"], asked["model"], asked["api_key"]) == (True, "m", None)
    assert asked["options"]["verify_tls"] is False
    assert asked["options"]["connect_timeout"] == 5


def test_a_key_is_neither_stored_in_the_clear_nor_shown(
    admin: Admin, hand: Hand, registry: Registry
) -> None:
    answer = admin.test({"endpoint": "10.0.0.1", "api_key": KEY})
    assert KEY not in answer.text
    assert KEY not in repr(tuple(hand.row(answer.get_json()["id"])))
    refusal = admin.test({"endpoint": "10.0.0.1", "api_key": f"{KEY} two words"})
    assert KEY not in refusal.text


def test_what_is_not_given_is_taken_from_the_named_provider(admin: Admin, hand: Hand) -> None:
    options = {"verify_tls": False, "connect_timeout": 7}
    made = hand.provider(endpoint="https://10.0.0.7/v1", api_key=KEY, options=options)
    for named in (made["id"], made["slug"]):
        asked = hand.asked(admin.begun(provider=named))
        assert (asked["endpoint"], asked["api_key"]) == ("https://10.0.0.7/v1", KEY)
        assert (asked["options"]["verify_tls"], asked["options"]["connect_timeout"]) == (False, 7)
    changed = {"options": {"connect_timeout": 2}, "endpoint": "https://10.0.0.7:443/other/v1"}
    asked = hand.asked(admin.begun(provider=made["id"], **changed))
    assert asked["api_key"] == KEY  # the same server, at another path
    assert (asked["options"]["verify_tls"], asked["options"]["connect_timeout"]) == (False, 2)


@pytest.mark.parametrize(
    "endpoint", ["https://10.0.0.8/v1", "https://10.0.0.7:8443/v1", "http://10.0.0.7:443/v1"]
)
def test_a_stored_key_goes_to_no_server_but_its_own(
    admin: Admin, hand: Hand, endpoint: str
) -> None:
    made = hand.provider(endpoint="https://10.0.0.7/v1", api_key=KEY)
    body = {"provider": made["slug"], "endpoint": endpoint}
    refused(admin.test(body), 400, "invalid_value", "api_key")
    for key in (None, "another-key"):
        assert hand.asked(admin.begun(**body, api_key=key))["api_key"] == key
    keyless = hand.provider()
    assert hand.asked(admin.begun(provider=keyless["slug"], endpoint=endpoint))["api_key"] is None


def test_a_forbidden_address_is_the_workers_to_find_and_to_explain(
    admin: Admin, hand: Hand
) -> None:
    check_id = admin.begun(endpoint="http://169.254.169.254/latest")
    assert hand.asked(check_id)["endpoint"] == "http://169.254.169.254/latest"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "invalid_value", "endpoint"),
        ({"endpoint": None}, "invalid_value", "endpoint"),
        ({"endpoint": 5}, "invalid_value", "endpoint"),
        ({"endpoint": "ftp://x"}, "invalid_value", "endpoint"),
        ({"endpoint": "http://user:pw@x"}, "invalid_value", "endpoint"),
        ({"endpoint": "http://0x7f000001/"}, "invalid_value", "endpoint"),
        ({"endpoint": "x", "chat": "yes"}, "invalid_value", "chat"),
        ({"endpoint": "x", "model": ["m"]}, "invalid_value", "model"),
        ({"endpoint": "x", "api_key": "a\r\nb"}, "invalid_value", "api_key"),
        ({"endpoint": "x", "options": {"verify_tls": 1}}, "invalid_value", "options.verify_tls"),
        ({"endpoint": "x", "options": {"colour": 1}}, "unknown_field", "options.colour"),
        ({"endpoint": "x", "url": "x"}, "unknown_field", "url"),
        ({"provider": "nobody"}, "provider_not_found", None),
        ({"provider": "a\u0000"}, "invalid_value", "provider"),
        (b"[]", "invalid_json", None),
    ],
    ids=str,
)
def test_what_cannot_be_tested_is_refused_by_name(
    admin: Admin, body: Any, code: str, param: str | None
) -> None:
    status = 404 if code == "provider_not_found" else 400
    refused(admin.test(body), status, code, param)


def test_members_neither_test_nor_look(admin: Admin, registry: Registry) -> None:
    check_id = admin.begun(endpoint="10.0.0.1")
    answer = registry.post(TEST, {"endpoint": "10.0.0.1"}, who="ann")
    assert refused(answer, 403, "insufficient_scope")["error"]["type"] == "permission_error"
    refused(registry.get(f"{CHECKS}/{check_id}", who="ann"), 403, "insufficient_scope")
    assert registry.get(f"{CHECKS}/{check_id}", who="admin").status_code == 200


def test_a_key_may_test_ten_times_a_minute(admin: Admin, hand: Hand, registry: Registry) -> None:
    begun = [admin.begun(endpoint="10.0.0.1") for _ in range(10)]
    answer = admin.test({"endpoint": "10.0.0.1"})
    problem = refused(answer, 429, "rate_limited")
    assert problem["error"]["type"] == "rate_limit_error"
    assert 50 <= int(answer.headers["Retry-After"]) <= 60
    assert Admin(registry).begun(endpoint="10.0.0.1")
    with registry.database.write() as tx:  # the first of them was begun a minute ago
        first = provider_check.c.id == begun[0]
        past = registry.parts.now() - 60.5
        tx.execute(sa.update(provider_check).where(first).values(created_at=past))
    assert admin.begun(endpoint="10.0.0.1")
    refused(admin.test({"endpoint": "10.0.0.1"}), 429, "rate_limited")


def test_tests_that_a_faster_clock_counted_hold_nobody_up(admin: Admin, registry: Registry) -> None:
    begun = [admin.begun(endpoint="10.0.0.1") for _ in range(10)]
    refused(admin.test({"endpoint": "10.0.0.1"}), 429, "rate_limited")
    with registry.database.write() as tx:
        mine = provider_check.c.id.in_(begun)
        tomorrow = registry.parts.now() + 86_400
        tx.execute(sa.update(provider_check).where(mine).values(created_at=tomorrow))
    assert admin.begun(endpoint="10.0.0.1")


def test_after_ten_minutes_a_test_is_gone(admin: Admin, registry: Registry) -> None:
    check_id = admin.begun(endpoint="10.0.0.1")
    with registry.database.write() as tx:
        mine = provider_check.c.id == check_id
        past = registry.parts.now() - 601
        tx.execute(sa.update(provider_check).where(mine).values(created_at=past))
    for unknown in (check_id, ids.new(ids.CHECK), "chk_0", "x", "%00", "models"):
        refused(admin.show(unknown), 404, "not_found")

"""A refresh: durable at once, shared by all who ask, and worth waiting for."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest
import sqlalchemy as sa

from shared.store.schema import provider
from tests.contract.registry.conftest import Registry, refused
from tests.contract.registry.hand import Hand, soon

PROVIDERS = "/v1/providers"


@pytest.fixture
def hand(registry: Registry) -> Hand:
    return Hand(registry)


def refresh(registry: Registry, reference: str, prefer: str = "", **options: Any) -> Any:
    sent = {"Prefer": prefer} if prefer else {}
    return registry.call("POST", f"{PROVIDERS}/{reference}/refresh", **options, **sent)


def asked(registry: Registry, provider_id: str) -> int:
    """How many refreshes were asked for."""
    query = sa.select(provider.c.refresh_asked).where(provider.c.id == provider_id)
    with registry.database.read() as tx:
        return int(tx.execute(query).scalar_one())


def test_a_refresh_is_accepted_at_once_and_changes_nothing_of_the_provider(
    registry: Registry, hand: Hand
) -> None:
    made = hand.provider()
    before = registry.get(f"{PROVIDERS}/{made['id']}").headers["ETag"]
    for reference in (made["id"], made["slug"]):
        answer = refresh(registry, reference)
        assert answer.status_code == 202
        assert answer.get_json() == made
        assert "Preference-Applied" not in answer.headers
    assert registry.get(f"{PROVIDERS}/{made['id']}").headers["ETag"] == before
    assert len(registry.events_of(made["id"])) == 1
    assert asked(registry, made["id"]) == 2


def test_waiting_gives_the_list_that_a_check_found_which_began_after_the_ask(
    registry: Registry, hand: Hand
) -> None:
    made = hand.provider(options={"models": ["by-hand"]})
    hand.check(made["id"], "old")
    work = soon(hand.check, made["id"], "new")
    began = time.monotonic()
    answer = refresh(registry, made["slug"], "wait=5")
    assert time.monotonic() - began < 2
    work.get()
    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=5"
    body = answer.get_json()
    assert [one["upstream_id"] for one in body["data"]] == ["by-hand", "new"]
    assert body["data"] == registry.get(f"{PROVIDERS}/{made['slug']}/models").get_json()["data"]
    assert body["provider"] == registry.get(f"{PROVIDERS}/{made['id']}").get_json()
    assert (body["object"], body["has_more"]) == ("list", False)


def test_a_check_that_was_under_way_already_answers_nobody_who_asks_now(
    registry: Registry, hand: Hand
) -> None:
    made = hand.provider()
    claim = hand.begin(made["id"])
    work = soon(hand.end, claim, "old")
    answer = refresh(registry, made["id"], "wait=1")
    work.get()
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=1")
    assert answer.get_json()["discovery"]["model_count"] == 1


def test_one_check_answers_all_who_wait(registry: Registry, hand: Hand) -> None:
    made = hand.provider()
    asks = [gevent.spawn(refresh, registry, made["id"], "wait=30", who="ann") for _ in range(30)]
    with gevent.Timeout(10):
        while asked(registry, made["id"]) < 30:
            gevent.sleep(0.01)
    hand.check(made["id"], "m")
    began = time.monotonic()
    gevent.joinall(asks)
    assert time.monotonic() - began < 4
    assert {ask.get().status_code for ask in asks} == {200}


def test_a_check_that_fails_gives_the_last_good_list_and_says_why(
    registry: Registry, hand: Hand
) -> None:
    made = hand.provider()
    hand.check(made["id"], "kept")
    work = soon(hand.check, made["id"], error="Nobody answered.")
    answer = refresh(registry, made["id"], "wait=5")
    work.get()
    assert answer.status_code == 200
    body = answer.get_json()
    assert [one["upstream_id"] for one in body["data"]] == ["kept"]
    assert body["provider"]["discovery"]["status"] == "unreachable"
    assert body["provider"]["discovery"]["error"]["message"] == "Nobody answered."


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=0", "wait=0"),
        ("wait=0, respond-async", "respond-async, wait=0"),
        ("respond-async", "respond-async"),
        ("wait=soon", None),
        ("wait=-5", None),
        ('wait="', None),
        ("handling=lenient", None),
    ],
)
def test_what_was_honoured_of_the_preferences_is_said(
    registry: Registry, hand: Hand, prefer: str, applied: str | None
) -> None:
    answer = refresh(registry, hand.provider()["id"], prefer)
    assert answer.status_code == 202
    assert answer.headers.get("Preference-Applied") == applied


def test_a_longer_wait_is_clipped_and_the_answer_says_so(registry: Registry, hand: Hand) -> None:
    made = hand.provider()
    work = soon(hand.check, made["id"], "m")
    answer = refresh(registry, made["id"], "wait=86400")
    work.get()
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=60")


def test_a_disabled_provider_is_not_refreshed(registry: Registry, hand: Hand) -> None:
    made = hand.provider(enabled=False)
    for prefer in ("", "wait=5"):
        answer = refresh(registry, made["id"], prefer)
        refused(answer, 409, "provider_disabled")
        assert answer.headers["x-should-retry"] == "false"


def test_a_wait_ends_when_its_provider_is_disabled_or_deleted(
    registry: Registry, hand: Hand
) -> None:
    off, gone = hand.provider(), hand.provider()
    began = time.monotonic()
    soon(registry.call, "PATCH", f"{PROVIDERS}/{off['id']}", {"enabled": False})
    refused(refresh(registry, off["id"], "wait=9"), 409, "provider_disabled")
    soon(registry.call, "DELETE", f"{PROVIDERS}/{gone['id']}")
    refused(refresh(registry, gone["id"], "wait=9"), 404, "provider_not_found")
    assert time.monotonic() - began < 4


def test_whoever_sees_a_provider_may_refresh_it_and_nobody_else(
    registry: Registry, hand: Hand
) -> None:
    made = hand.provider(visibility=["ann"])
    assert refresh(registry, made["slug"], who="ann").status_code == 202
    refused(refresh(registry, made["slug"], who="ben"), 404, "provider_not_found")
    for nobody in ("nobody", "prov_0", "test", "%00", "a%2Fb"):
        assert refresh(registry, nobody).status_code == 404
    refused(refresh(registry, made["id"], who=""), 401, "invalid_api_key")

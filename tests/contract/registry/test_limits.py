"""Limits of keys over HTTP; there is no Redis here, so each process counts by itself."""

from __future__ import annotations

import re
import time
from typing import Any, Final

import pytest

from shared.store import usage
from shared.store.usage import Used
from tests.contract.registry.browser import Browser
from tests.contract.registry.conftest import CHAT, Registry, chat_body, refused

REQUESTS = "x-ratelimit-{}-requests"
TOKENS = "x-ratelimit-{}-tokens"


NOON: Final = time.time() // 86_400 * 86_400 + 43_200


@pytest.fixture(autouse=True)
def noon(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a minute nor a day ends while these tests run."""
    for counts in (registry.parts.limiter._requests, registry.parts.limiter._tokens):
        monkeypatch.setattr(counts, "_now", lambda: NOON + 20)


def limited(registry: Registry, **limits: Any) -> dict[str, Any]:
    body = {"name": registry.name(), "limits": limits}
    answer = registry.post("/v1/keys", body)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.get_json()
    registry.keys[document["id"]] = document["key"]
    return document


def spend(registry: Registry, key: dict[str, Any], tokens: int, *, days_ago: int = 0) -> None:
    """As a chat worker writes what a call took."""
    at = NOON - days_ago * 86_400
    used = Used(
        key["owner"],
        key["id"],
        "prov_x",
        "p/m",
        at=at,
        ended=True,
        completed=True,
        cut_short=False,
        seconds=1.0,
        prompt_tokens=tokens - 1,
        completion_tokens=1,
        chunks=0,
    )
    with registry.database.write() as tx:
        usage.add(tx, [used])


def test_limits_are_shown_with_the_key_and_to_whoever_has_it(registry: Registry) -> None:
    key = limited(registry, requests_per_minute=50)
    limits = {"requests_per_minute": 50, "tokens_per_day": None}
    assert key["limits"] == limits
    assert registry.get(f"/v1/keys/{key['id']}").get_json()["limits"] == limits
    assert registry.get("/v1/me", who=key["id"]).get_json()["limits"] == limits


def test_requests_beyond_the_limit_are_refused_until_the_minute_is_over(registry: Registry) -> None:
    who = limited(registry, requests_per_minute=3)["id"]
    for left in (2, 1, 0):
        answer = registry.get("/v1/models", who=who)
        assert answer.status_code == 200
        assert answer.headers[REQUESTS.format("limit")] == "3"
        assert answer.headers[REQUESTS.format("remaining")] == str(left)
    for path in ("/v1/models", "/v1/me", "/v1/providers/nobody"):
        answer = registry.get(path, who=who)
        problem = refused(answer, 429, "rate_limited")
        assert re.match(
            r"Expected at most 3 requests a minute of this key, got [456]\. "
            r"The count begins anew in \d+s\.$",
            problem["detail"],
        )
        assert answer.headers["Retry-After"] == "40"
        assert answer.headers[REQUESTS.format("remaining")] == "0"
        assert answer.headers[REQUESTS.format("reset")] == "40s"
    assert registry.get("/v1/models", who="ann").status_code == 200


def test_keys_without_limits_are_told_nothing_of_any(registry: Registry) -> None:
    answer = registry.get("/v1/models", who="ann")
    assert not [name for name, _ in answer.headers if name.lower().startswith("x-ratelimit")]


def test_a_session_counts_as_its_key_but_the_consoles_pages_do_not(registry: Registry) -> None:
    who = limited(registry, requests_per_minute=2)["id"]
    browser = Browser(registry).sign_in(who)
    for _ in range(5):
        assert browser.get("/login").status_code == 303
    assert browser.call("GET", "/v1/models").status_code == 200
    assert registry.get("/v1/models", who=who).status_code == 200
    refused(browser.call("GET", "/v1/models"), 429, "rate_limited")


def test_a_key_that_used_its_tokens_may_read_but_not_submit(registry: Registry, slug: str) -> None:
    key = limited(registry, tokens_per_day=1000)
    who = key["id"]
    spend(registry, key, 5_000, days_ago=1)
    spend(registry, key, 999)
    answer = registry.post(CHAT, chat_body(f"{slug}/m", background=True), who=who)
    assert answer.status_code == 202
    assert answer.headers[TOKENS.format("limit")] == "1000"
    assert answer.headers[TOKENS.format("remaining")] == "1"
    assert answer.headers[TOKENS.format("reset")] == "11h59m40s"
    spend(registry, key, 35)
    registry.parts.limiter._tokens._kept.clear()  # five seconds later
    for path, body in (
        (CHAT, chat_body(f"{slug}/m", background=True)),
        (CHAT, chat_body(f"{slug}/m")),
        (CHAT, chat_body(f"{slug}/m", stream=True)),
        ("/v1/responses", {"model": f"{slug}/m", "input": "x", "background": True}),
    ):
        refusal = registry.post(path, body, who=who)
        detail = refused(refusal, 429, "rate_limited")["detail"]
        assert "fewer than 1000 tokens a day of this key, got 1034" in detail
        assert detail.endswith("The count begins anew at 00:00 UTC, in 11h59m40s.")
        assert refusal.headers["Retry-After"] == "120"
        assert refusal.headers[TOKENS.format("remaining")] == "0"
    assert registry.get(f"{CHAT}/{answer.get_json()['id']}", who=who).status_code == 200


def test_what_was_accepted_is_told_again_though_the_tokens_are_used_up(
    registry: Registry, slug: str
) -> None:
    """A repeated submission costs nothing: whoever lost its answer gets it."""
    key = limited(registry, tokens_per_day=10)
    body, again = chat_body(f"{slug}/m", background=True), {"Idempotency_Key": "k"}
    made = registry.post(CHAT, body, who=key["id"], **again)
    assert made.status_code == 202
    spend(registry, key, 10)
    registry.parts.limiter._tokens._kept.clear()
    replayed = registry.post(CHAT, body, who=key["id"], **again)
    assert replayed.status_code == 202
    assert replayed.get_json()["id"] == made.get_json()["id"]
    other = registry.post(CHAT, body, who=key["id"], Idempotency_Key="other")
    refused(other, 429, "rate_limited")


def test_whoever_asks_is_told_who_that_is(registry: Registry) -> None:
    key = limited(registry, tokens_per_day=7)
    shown = registry.get("/v1/me", who=key["id"])
    assert shown.get_json() == {
        "object": "caller",
        "key_id": key["id"],
        "name": key["name"],
        "owner": key["owner"],
        "role": "member",
        "expires_at": None,
        "session_expires_at": None,
        "limits": {"requests_per_minute": None, "tokens_per_day": 7},
    }
    until = Browser(registry).sign_in(key["id"]).call("GET", "/v1/me").get_json()
    assert abs(until["session_expires_at"] - time.time() - 12 * 3600) < 60
    refused(registry.get("/v1/me", who=""), 401, "invalid_api_key")

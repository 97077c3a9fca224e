"""Sessions and limits on the running system: over sockets, and over two registry processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api import Api
from tests.system import System

LIMIT = 12


@pytest.fixture
def browser(system: System) -> Iterator[httpx.Client]:
    """A client that keeps cookies, and follows no redirect by itself."""
    headers = {"Accept": "text/html"}
    with httpx.Client(base_url=system.url, headers=headers, trust_env=False, timeout=30) as made:
        yield made


def test_a_login_works_until_the_logout_and_for_our_own_pages_only(
    system: System, browser: httpx.Client
) -> None:
    assert browser.get("/").headers["location"] == "/login"
    assert browser.post("/login", data={"key": "dgm_nobody"}).status_code == 401
    accept = {"Accept": "application/json"}
    begun = browser.post("/login", data={"key": system.admin_key}, headers=accept)
    token = {"X-CSRF-Token": begun.json()["csrf_token"]}
    assert begun.headers["set-cookie"].endswith("; HttpOnly; Path=/; SameSite=Strict")
    assert browser.get("/v1/me").json()["role"] == "admin"
    body = {"name": "made in a browser"}
    own = {**token, "Origin": system.url, "Sec-Fetch-Site": "same-origin"}
    foreign: list[dict[str, str]] = [
        {},
        {**token, "Sec-Fetch-Site": "cross-site"},
        {**token, "Origin": "http://evil.test"},
    ]
    for headers in foreign:
        assert browser.post("/v1/keys", json=body, headers=headers).status_code == 403
    assert browser.post("/v1/keys", json=body, headers=own).status_code == 201
    ended = browser.post("/logout", data={"csrf_token": token["X-CSRF-Token"]})
    assert (ended.status_code, browser.cookies.get("dragoman_session")) == (303, None)
    kept = {"Cookie": begun.headers["set-cookie"].partition(";")[0]}
    assert httpx.get(f"{system.url}/v1/me", headers=kept, trust_env=False).status_code == 401


def statuses(system: System, urls: tuple[str, ...]) -> tuple[list[int], httpx.Response]:
    """The statuses of more requests than a new key has in this minute, and the last answer."""
    body: dict[str, Any] = {"name": "few", "limits": {"requests_per_minute": LIMIT}}
    key = system.api.http.post("/v1/keys", json=body).json()["key"]
    clients = [Api(url, key) for url in urls]
    answers = [clients[n % len(clients)].http.get("/v1/me") for n in range(LIMIT + 3)]
    for client in clients:
        client.close()
    return [answer.status_code for answer in answers], answers[-1]


def test_a_limit_is_counted_over_all_registries(system: System, second_registry: str) -> None:
    for _ in range(3):
        minute = time.time() // 60
        found, last = statuses(system, (system.url, second_registry))
        if time.time() // 60 == minute:  # else some were counted in the next one
            break
    assert found == [200] * LIMIT + [429] * 3
    assert last.json()["error"]["code"] == "rate_limited"
    assert 1 <= int(last.headers["Retry-After"]) <= 60
    assert last.headers["x-ratelimit-remaining-requests"] == "0"

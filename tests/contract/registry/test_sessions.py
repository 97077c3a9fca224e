"""Logging in to the console: what the cookie is, what it is good for, and when it ends."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa

from services.registry import sessions
from services.registry.console.pages import HEADERS
from shared.store import console_sessions
from shared.store.access import Role
from shared.store.schema import console_session
from tests.contract.registry.browser import Browser, alert_of, cookie_of
from tests.contract.registry.conftest import Registry, refused

PROVIDERS = "/v1/providers"


@pytest.fixture
def browser(registry: Registry) -> Browser:
    return Browser(registry)


@pytest.fixture
def own_key(registry: Registry) -> tuple[str, str]:
    """The id and the secret of a new admin's key."""
    body = {"name": registry.name(), "role": "admin"}
    made = registry.post("/v1/keys", body).get_json()
    return made["id"], made["key"]


def test_a_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use(
    registry: Registry, browser: Browser
) -> None:
    answer = browser.login("ann")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    cookie = cookie_of(answer)
    token = cookie["dragoman_session"]
    assert len(token) == 43  # 256 bits
    assert cookie["samesite"] == "Strict"
    assert {"httponly", "path", "max-age"} <= set(cookie)
    assert (cookie["path"], int(cookie["max-age"])) == ("/", 12 * 3600)
    assert "secure" not in cookie  # by plain http no browser would send it back
    with registry.database.read() as tx:
        row = tx.execute(
            sa.select(console_session).where(
                console_session.c.digest == console_sessions.digest(token)
            )
        ).one()
        assert token not in repr(tx.execute(sa.select(console_session)).all())
    assert abs(row.expires_at - time.time() - 12 * 3600) < 60


def test_by_https_the_cookie_is_secure(browser: Browser) -> None:
    data = {"key": browser.registry.keys["ann"]}
    answer = browser.open("POST", "/login", data=data, base_url="https://dragoman.test")
    assert "secure" in cookie_of(answer)


def test_a_session_calls_the_api_as_its_key(browser: Browser) -> None:
    browser.sign_in("ann")
    assert browser.call("GET", "/v1/models").status_code == 200
    refused(browser.call("GET", "/v1/keys"), 403, "insufficient_scope")
    browser.sign_in("admin")
    body = {"name": browser.registry.name(), "endpoint": "http://10.0.0.1"}
    assert browser.call("POST", PROVIDERS, body).status_code == 201


def test_no_browser_keeps_what_a_session_was_answered(browser: Browser) -> None:
    browser.sign_in("ann")
    for path in ("/v1/models", "/v1/providers", "/v1/providers/nobodys"):
        assert browser.call("GET", path).headers["Cache-Control"] == "no-store"
        key = {"Authorization": f"Bearer {browser.registry.keys['ann']}"}
        assert "Cache-Control" not in browser.call("GET", path, **key).headers


def test_a_session_follows_events_while_it_lasts(browser: Browser) -> None:
    browser.sign_in()
    wanted = {"Accept": "text/event-stream"}
    answer = browser.call("GET", "/v1/events", **wanted)
    assert answer.status_code == 200
    stream = answer.iter_encoded()
    assert next(iter(stream)).startswith(b":")
    browser.open("POST", "/logout", data={"csrf_token": browser.csrf})
    body = {"name": browser.registry.name(), "endpoint": "http://10.0.0.1"}
    browser.registry.post(PROVIDERS, body)
    assert list(stream) == []  # an event came, and nobody may read it any more


def test_a_bearer_key_wins_over_the_cookie_and_needs_no_token(browser: Browser) -> None:
    browser.sign_in("ann")
    key = {"Authorization": f"Bearer {browser.registry.keys['admin']}"}
    body = {"name": browser.registry.name(), "endpoint": "http://10.0.0.1"}
    answer = browser.call("POST", PROVIDERS, body, **{**key, "X-CSRF-Token": None})
    assert answer.status_code == 201
    wrong = browser.call("GET", PROVIDERS, Authorization="Bearer nobody")
    refused(wrong, 401, "invalid_api_key")  # and does not fall back


@pytest.mark.parametrize("sent", [None, "", "x" * 64, "é"])
def test_a_change_by_cookie_needs_the_token_of_our_pages(
    browser: Browser, sent: str | None
) -> None:
    browser.sign_in()
    body = {"name": browser.registry.name(), "endpoint": "http://10.0.0.1"}
    answer = browser.call("POST", PROVIDERS, body, **{"X-CSRF-Token": sent})
    assert "X-CSRF-Token" in refused(answer, 403, "insufficient_scope")["detail"]


def test_the_token_of_another_session_is_none(browser: Browser) -> None:
    browser.sign_in()
    foreign = Browser(browser.registry).sign_in().csrf
    body = {"name": browser.registry.name(), "endpoint": "http://10.0.0.1"}
    answer = browser.call("POST", PROVIDERS, body, **{"X-CSRF-Token": foreign})
    refused(answer, 403, "insufficient_scope")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of this host, say
        {"Sec-Fetch-Site": None, "Origin": "https://evil.test"},
        {"Sec-Fetch-Site": None, "Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": None, "Origin": "null"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_cookie_is_nobodys_in_requests_of_other_sites(
    browser: Browser, method: str, headers: dict[str, Any]
) -> None:
    browser.sign_in()
    body = {"name": "x", "endpoint": "http://10.0.0.1"} if method == "POST" else None
    answer = browser.call(method, PROVIDERS, body, **headers)
    assert "another site" in refused(answer, 403, "insufficient_scope")["detail"]


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://localhost"}, {}, {"Origin": "HTTP://LOCALHOST"}]
)
def test_browsers_that_say_little_are_judged_by_their_origin(
    browser: Browser, headers: dict[str, Any]
) -> None:
    browser.sign_in()
    body = {"name": browser.registry.name(), "endpoint": "http://10.0.0.1"}
    answer = browser.call("POST", PROVIDERS, body, **{"Sec-Fetch-Site": None, **headers})
    assert answer.status_code == 201


def test_another_site_cannot_log_anybody_in(browser: Browser) -> None:
    data = {"key": browser.registry.keys["ann"]}
    answer = browser.open("POST", "/login", data=data, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (403, None)
    assert "another site" in alert_of(answer)


def test_the_session_ends_with_the_logout(browser: Browser) -> None:
    browser.sign_in("ann")
    token = browser.token
    refused_out = browser.open("POST", "/logout", data={"csrf_token": "x"})
    assert refused_out.status_code == 403
    assert browser.call("GET", "/v1/models").status_code == 200
    answer = browser.open("POST", "/logout", data={"csrf_token": browser.csrf})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert cookie_of(answer)["max-age"] == "0"
    assert browser.token == ""
    browser.client.set_cookie("dragoman_session", token)  # whoever kept it
    refused(browser.call("GET", "/v1/models"), 401, "invalid_api_key")


def test_following_a_link_to_the_logout_ends_nothing(browser: Browser) -> None:
    browser.sign_in("ann")
    assert browser.get("/logout").status_code == 303
    assert browser.call("GET", "/v1/models").status_code == 200


def test_the_session_ends_when_its_key_is_revoked(
    registry: Registry, browser: Browser, own_key: tuple[str, str]
) -> None:
    key_id, key = own_key
    browser.sign_in(key)
    assert browser.call("GET", "/v1/keys").status_code == 200
    assert registry.call("DELETE", f"/v1/keys/{key_id}").status_code == 204
    refused(browser.call("GET", "/v1/keys"), 401, "invalid_api_key")
    with registry.database.read() as tx:
        query = sa.select(console_session).where(console_session.c.key_id == key_id)
        assert tx.execute(query).all() == []


def test_the_session_ends_by_itself(registry: Registry, browser: Browser) -> None:
    browser.sign_in("ann")
    digest = console_sessions.digest(browser.token)
    registry.parts.authenticator.forget(digest)
    with registry.database.write() as tx:
        tx.execute(
            sa.update(console_session)
            .where(console_session.c.digest == digest)
            .values(expires_at=time.time() - 1)
        )
    refused(browser.call("GET", "/v1/models"), 401, "invalid_api_key")
    Browser(registry).sign_in("ben")  # anybody's login sweeps
    with registry.database.read() as tx:
        query = sa.select(console_session).where(console_session.c.digest == digest)
        assert tx.execute(query).all() == []


def test_the_session_of_a_key_that_expires_ends_then(registry: Registry, browser: Browser) -> None:
    registry.keys["soon"] = registry.add_key("soon", Role.MEMBER)
    browser.sign_in("soon")
    table = sa.table("api_key", sa.column("owner"), sa.column("expires_at"))
    with registry.database.write() as tx:
        tx.execute(sa.update(table).where(table.c.owner == "soon").values(expires_at=2.0))
    registry.parts.authenticator.forget(console_sessions.digest(browser.token))
    refused(browser.call("GET", "/v1/models"), 401, "invalid_api_key")


def test_a_token_is_no_key_and_a_key_no_token(registry: Registry, browser: Browser) -> None:
    browser.sign_in("ann")
    answer = browser.call("GET", "/v1/models", Authorization=f"Bearer {browser.token}")
    refused(answer, 401, "invalid_api_key")
    assert registry.get("/v1/models", who="ann").status_code == 200
    other = Browser(registry)
    other.client.set_cookie("dragoman_session", registry.keys["ann"])
    refused(other.call("GET", "/v1/models"), 401, "invalid_api_key")


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ("/jobs?status=failed", "/jobs?status=failed"),
        ("", "/"),
        ("https://evil.test/", "/"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("/a\nb", "/"),
        ("jobs", "/"),
        ("/login?next=/login", "/"),
        ("/" + "x" * 3000, "/"),
    ],
)
def test_after_the_login_only_a_page_of_ours_comes(
    browser: Browser, wanted: str, place: str
) -> None:
    assert browser.login("ann", next=wanted).headers["Location"] == place
    assert browser.open("GET", "/login", query_string={"next": wanted}).headers["Location"] == place


def test_a_wrong_key_is_told_and_ten_a_minute_are_enough(registry: Registry) -> None:
    browser, elsewhere = Browser(registry), {"REMOTE_ADDR": "192.0.2.77"}

    def attempt(key: str) -> Any:
        data = {"key": key}
        return browser.open("POST", "/login", data=data, environ_overrides=elsewhere)

    for _ in range(10):
        answer = attempt("dgm_wrong-and-secret")
        assert answer.status_code == 401
        assert "Expected an API key" in alert_of(answer)
        assert "wrong-and-secret" not in answer.text
    answer = attempt("dgm_wrong-again")
    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (429, None)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "failed logins" in alert_of(answer)
    assert browser.login("nobody").status_code == 401  # from another address


def test_whoever_has_a_key_gets_in_however_many_failed_from_that_address(
    registry: Registry,
) -> None:
    browser, shared = Browser(registry), {"REMOTE_ADDR": "192.0.2.78"}

    def attempt(key: str) -> int:
        data = {"key": key}
        answer = browser.open("POST", "/login", data=data, environ_overrides=shared)
        return answer.status_code

    assert [attempt("dgm_wrong") for _ in range(11)][-1] == 429
    assert attempt(registry.keys["ann"]) == 303  # a proxy's address is everybody's
    assert attempt("dgm_wrong") == 429


def test_every_page_says_what_browsers_must_not_do(browser: Browser) -> None:
    pages = [browser.get("/login"), browser.login("nobody"), browser.get("/logout")]
    for answer in pages:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert answer.headers["Cache-Control"] == "no-store"
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'self'" in policy


def test_the_token_for_changes_tells_nothing_of_the_sessions(browser: Browser) -> None:
    browser.sign_in()
    assert browser.csrf == sessions.csrf_token(browser.token)
    assert browser.token not in browser.csrf
    assert len(browser.csrf) == 64

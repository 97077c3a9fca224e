"""Names of this server, pages of other origins, and proxies: as the settings say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from services.registry.app import create_app
from services.registry.request_ids import RequestIds
from tests.contract.registry.browser import PERSON
from tests.contract.registry.conftest import Registry, refused

APP = "https://app.example.com"


def served(registry: Registry, **settings: Any) -> Client:
    """A client of the same registry under other settings."""
    changed = replace(registry.parts.settings, **settings)
    return Client(
        RequestIds(create_app(replace(registry.parts, settings=changed)), registry.parts.figures)
    )


def ask(registry: Registry, client: Client, path: str, **headers: str) -> TestResponse:
    key = {"Authorization": f"Bearer {registry.keys['ann']}"}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(path, headers={**key, **sent})


@pytest.mark.parametrize(
    "host",
    [
        *("dragoman.example.com", "Dragoman.Example.com:8642", "dragoman.example.com."),
        *("localhost", "localhost:8642", "a.localhost", "127.0.0.1:8642", "10.1.2.3", "[::1]:8642"),
    ],
)
def test_its_own_names_and_addresses_are_served(registry: Registry, host: str) -> None:
    client = served(registry, public_hosts="dragoman.example.com")
    assert ask(registry, client, "/v1/models", Host=host).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.test", "dragoman.example.com.evil.test", "localhost.evil.test", "x:y:z", "[x"]
)
@pytest.mark.parametrize("path", ["/v1/models", "/login", "/health/live", "/openapi.json", "/x"])
def test_other_names_are_refused_on_every_path(registry: Registry, host: str, path: str) -> None:
    client = served(registry, public_hosts="dragoman.example.com")
    refused(ask(registry, client, path, Host=host), 400, "invalid_value", "Host")


def test_prometheus_may_call_a_registry_by_any_name_inside_but_not_without_a_key(
    registry: Registry,
) -> None:
    client = served(registry, public_hosts="dragoman.example.com")
    inside = {"Host": "registry-1:8642"}
    admin = {"Authorization": f"Bearer {registry.keys['admin']}"}
    assert client.get("/metrics", headers={**inside, **admin}).status_code == 200
    assert client.get("/metrics", headers=inside).status_code == 401


def test_without_the_setting_any_name_is_served(registry: Registry) -> None:
    assert registry.get("/v1/models", Host="any.test").status_code == 200


def preflight(client: Client, origin: str, path: str = "/v1/models") -> TestResponse:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
    }
    return client.options(path, headers=headers)


@pytest.mark.parametrize("allowed", [APP, f"https://other.test,{APP}", "*"])
def test_a_page_of_an_allowed_origin_may_call_with_a_key(registry: Registry, allowed: str) -> None:
    client = served(registry, cors_origins=allowed)
    asked = preflight(client, APP)
    assert asked.status_code == 204
    assert "Content-Type" not in asked.headers
    assert asked.headers["Access-Control-Allow-Origin"] == APP
    assert "POST" in asked.headers["Access-Control-Allow-Methods"]
    assert "x-stainless-lang" in asked.headers["Access-Control-Allow-Headers"]
    answers = [
        ask(registry, client, "/v1/models", Origin=APP),
        ask(registry, client, "/v1/models/nothing", Origin=APP),
        client.get("/v1/models", headers={"Origin": APP}),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 401]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert "x-request-id" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.vary
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    ("settings", "origin"),
    [
        ({}, APP),
        ({"cors_origins": APP}, "https://evil.test"),
        ({"cors_origins": APP}, "null"),
        ({"cors_origins": APP}, "http://app.example.com"),
    ],
)
def test_pages_of_other_origins_may_not(
    registry: Registry, settings: dict[str, str], origin: str
) -> None:
    client = served(registry, **settings)
    for answer in (preflight(client, origin), ask(registry, client, "/v1/models", Origin=origin)):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_an_allowed_origin_cannot_use_a_login_nor_read_pages(registry: Registry) -> None:
    client = served(registry, cors_origins=APP)
    client.post("/login", data={"key": registry.keys["ann"]}, headers={"Accept": PERSON})
    assert client.get_cookie("dragoman_session")
    answer = client.get("/v1/models", headers={"Origin": APP, "Sec-Fetch-Site": "cross-site"})
    refused(answer, 403, "insufficient_scope")
    page = client.get("/login", headers={"Origin": APP})
    assert "Access-Control-Allow-Origin" not in page.headers


def test_a_trusted_proxy_tells_who_calls_and_how(registry: Registry) -> None:
    client = served(registry, trusted_proxies="10.0.0.0/8")
    told = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}

    def login(remote: str) -> Any:
        return client.post(
            "/login",
            data={"key": registry.keys["ann"]},
            headers={"Accept": PERSON, **told},
            environ_overrides={"REMOTE_ADDR": remote},
        )

    assert "Secure" in login("10.0.0.1").headers["Set-Cookie"]
    assert "Secure" not in login("192.0.2.1").headers["Set-Cookie"]
    entries = registry.get("/v1/audit?action=session.login&limit=2").get_json()["data"]
    assert [entry["address"] for entry in entries] == ["192.0.2.1", "198.51.100.7"]

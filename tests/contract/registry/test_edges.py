"""What every route does alike: keys, bodies, methods, request ids, error documents."""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any

import pytest
import sqlalchemy as sa

from shared.store.access import Role
from tests.contract.registry.conftest import CHAT, Registry, refused

PROVIDERS = "/v1/providers"
FREE = {"/health/live", "/health/ready", "/docs", "/openapi.json"}
MESSAGES = b'"model": "a/b", "messages": [{"role": "user", "content": "x"}]'


def guarded(registry: Registry) -> list[tuple[str, str]]:
    """Method and path of every route but those that need no key."""
    return [
        (method, re.sub("<[^>]+>", "x", rule.rule))
        for rule in registry.app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
        if rule.rule not in FREE and not rule.endpoint.startswith("console.")
    ]


def test_no_route_serves_without_a_living_key(registry: Registry) -> None:
    expired = registry.add_key("late", Role.ADMIN, expires_at=time.time() - 1)
    revoked = registry.add_key("gone", Role.ADMIN, revoked_at=1.0)
    keys = ["Bearer", "Bearer ", "Basic abc", "Bearer dgm_x", f"Bearer {expired}"]
    assert ("POST", f"{PROVIDERS}/x/refresh") in guarded(registry)
    for method, path in guarded(registry):
        for header in ("", *keys, f"Bearer {revoked}"):
            sent = {"Authorization": header} if header else {}
            answer = registry.call(method, path, b"no JSON", who="", **sent)
            assert answer.status_code == 401, (method, path, header)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            if method != "HEAD":
                problem = refused(answer, 401, "invalid_api_key")
                assert problem["error"]["type"] == "authentication_error"


def test_the_scheme_is_read_without_regard_to_case(registry: Registry) -> None:
    headers = {"Authorization": f"bEARER {registry.keys['ann']}"}
    assert registry.call("GET", "/v1/models", who="", **headers).status_code == 200


def test_a_key_is_found_by_its_digest_alone(registry: Registry) -> None:
    key = registry.keys["ann"]
    with registry.database.read() as tx:
        stored = tx.execute(sa.text("SELECT * FROM api_key WHERE owner = 'ann'")).all()
    assert key not in repr(stored)
    assert hashlib.sha256(key.encode()).hexdigest() in repr(stored)


def test_health_docs_and_description_need_no_key(registry: Registry) -> None:
    for path in ("/health/live", "/health/ready", "/docs", "/openapi.json"):
        assert registry.call("GET", path, who="").status_code == 200


def test_no_browser_takes_an_answer_for_a_script(registry: Registry) -> None:
    for answer in (
        registry.get("/v1/models"),
        registry.get("/v1/models", who=""),
        registry.get("/nowhere"),
        registry.get("/docs", who=""),
    ):
        assert answer.headers["X-Content-Type-Options"] == "nosniff", answer.request.path


def test_an_answer_without_a_body_has_no_type_of_one(registry: Registry) -> None:
    path = f"{PROVIDERS}/{registry.add()['id']}"
    key = registry.post("/v1/keys", {"name": "short-lived"}).headers["Location"]
    held = registry.get(path).headers["ETag"]
    for answer, status in (
        (registry.get(path, If_None_Match=held), 304),
        (registry.call("DELETE", path), 204),
        (registry.call("DELETE", key), 204),
    ):
        assert (answer.status_code, answer.data) == (status, b"")
        assert "Content-Type" not in answer.headers


def test_ready_names_each_dependency_and_only_the_database_decides(registry: Registry) -> None:
    answer = registry.get("/health/ready")
    assert (answer.status_code, answer.get_json()) == (
        200,
        {
            "status": "degraded",
            "checks": {"database": "ok", "chat_worker": "away", "relay": "away", "redis": "away"},
        },
    )


def test_a_fit_request_id_is_kept_and_another_replaced(registry: Registry) -> None:
    assert registry.get("/health/live", x_request_id="mine-1").headers["x-request-id"] == "mine-1"
    for unfit in ("a b", "x" * 129, "\u00fc"):
        made = registry.get("/nowhere", x_request_id=unfit).headers["x-request-id"]
        assert made.startswith("req_")
    ids = {registry.get("/health/live").headers["x-request-id"] for _ in range(50)}
    assert len(ids) == 50


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/nothing", f"{CHAT}/a/b", f"{PROVIDERS}/"])
def test_an_unknown_path_is_a_problem_document(registry: Registry, path: str) -> None:
    refused(registry.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", PROVIDERS, "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/health/live", "GET"),
        ("DELETE", CHAT, "POST"),
    ],
)
def test_a_wrong_method_names_the_right_ones(
    registry: Registry, method: str, path: str, allowed: str
) -> None:
    answer = registry.call(method, path)
    refused(answer, 405, "method_not_allowed")
    assert allowed in answer.headers["Allow"]


@pytest.mark.parametrize("path", [PROVIDERS, CHAT])
@pytest.mark.parametrize(
    "given", ["text/plain", "application/x-www-form-urlencoded", "", "a/b+json"]
)
def test_a_body_that_is_not_called_json_is_refused(
    registry: Registry, path: str, given: str
) -> None:
    answer = registry.post(path, b"{}", Content_Type=given)
    refused(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("path", [PROVIDERS, CHAT])
def test_a_json_type_with_parameters_is_taken(registry: Registry, path: str) -> None:
    answer = registry.post(path, b"{}", Content_Type="application/json; charset=utf-8")
    refused(answer, 400, "invalid_value")


@pytest.mark.parametrize("path", [PROVIDERS, CHAT])
def test_eight_mebibytes_are_read_and_one_byte_more_is_not(registry: Registry, path: str) -> None:
    whole = b'{"x": "' + b"y" * (8 * 1024 * 1024 - 9) + b'"}'
    assert registry.post(path, whole).status_code == 400
    refused(registry.post(path, whole + b" "), 413, "body_too_large")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b"{%s} x" % MESSAGES,
        b"\xef\xbb\xbf{}",
        b'{"x": NaN, %s}' % MESSAGES,
        b'{"x": -Infinity, %s}' % MESSAGES,
        b'{"x": "\xff", %s}' % MESSAGES,
        b'{"x": "\\ud800", %s}' % MESSAGES,
        b'{%s, "x": ' % MESSAGES + b"[" * 64 + b"]" * 64 + b"}",
        b'{%s, "x": ' % MESSAGES + b'{"y":' * 90_000 + b"1" + b"}" * 90_000 + b"}",
    ],
    ids=lambda body: repr(body[:40]),
)
@pytest.mark.parametrize("path", [PROVIDERS, CHAT])
def test_what_is_no_json_object_within_bounds_is_refused(
    registry: Registry, path: str, body: bytes
) -> None:
    refused(registry.post(path, body), 400, "invalid_json", None)


def test_a_defect_tells_its_request_id_and_nothing_else(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: Any) -> None:
        raise RuntimeError("the secret is 42")

    with monkeypatch.context() as patch:
        patch.setattr("services.registry.models.service.providers.living", explode)
        answer = registry.get("/v1/models", x_request_id="mine-2")
    problem = refused(answer, 500, "internal_error")
    assert problem["error"]["type"] == "server_error"
    assert "mine-2" in problem["detail"]
    assert "42" not in answer.text

"""The headers and examples of the description, held against what the routes take and answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from werkzeug.test import TestResponse

from services.registry.chat.request import ChatReader
from services.registry.openapi.examples import EXAMPLES, PLACES, Example, curl, place
from services.registry.openapi.headers import CHAT, PROVIDERS, RESPONSES, operations
from services.registry.responses.request import RequestReader
from tests.contract.registry.conftest import Registry

UNTOLD = {"content-type", "content-length", "cache-control", "vary"}
UNTOLD |= {"x-accel-buffering", "x-content-type-options"}
_READERS: Mapping[str, type[ChatReader | RequestReader]] = {
    CHAT: ChatReader,
    RESPONSES: RequestReader,
}


@pytest.fixture
def described(registry: Registry) -> dict[str, Any]:
    document: dict[str, Any] = registry.call("GET", "/openapi.json", who="").get_json()
    return document


def told(described: dict[str, Any], method: str, path: str, status: int) -> set[str]:
    """The headers that the description has for this answer, in small letters."""
    responses = described["paths"][path][method]["responses"]
    answer = responses.get(str(status)) or responses["default"]
    if "$ref" in answer:
        answer = described["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return {name.lower() for name in answer["headers"]}


def test_what_answers_carry_is_described(registry: Registry, described: dict[str, Any]) -> None:
    limits = {"requests_per_minute": 100, "tokens_per_day": 9}
    key = {"name": "Limited", "role": "admin", "limits": limits}
    registry.keys["limited"] = registry.post("/v1/keys", key).get_json()["key"]
    seen: set[tuple[str, str, int, str]] = set()

    def ask(method: str, path: str, at: str, body: Any = None, **headers: str) -> TestResponse:
        answer = registry.call(method.upper(), at, body, who="limited", **headers)
        given = {name.lower() for name in answer.headers.keys()} - UNTOLD  # noqa: SIM118
        wrong = given - told(described, method, path, answer.status_code)
        assert wrong == set(), f"{method} {path} {answer.status_code}"
        seen.update((method, path, answer.status_code, name) for name in given)
        return answer

    provider, job = f"{PROVIDERS}/{{reference}}", f"{CHAT}/{{job_id}}"
    registry.add()  # lists of one have no page behind them
    body = {"name": registry.name(), "endpoint": "http://10.0.0.1:8000"}
    made = ask("post", PROVIDERS, PROVIDERS, body)
    at = made.headers["Location"]
    etag = ask("get", provider, at).headers["ETag"]
    assert ask("get", provider, at, If_None_Match=etag).status_code == 304
    ask("patch", provider, at, {"tags": ["a"]}, If_Match=etag)
    assert ask("patch", provider, at, {"tags": []}, If_Match=etag).status_code == 412
    ask("get", PROVIDERS, f"{PROVIDERS}?limit=1")
    ask("post", f"{provider}/refresh", f"{at}/refresh", Prefer="respond-async")
    chat = {"model": f"{made.get_json()['slug']}/m", "messages": [{"role": "user", "content": "x"}]}
    sent = {"Idempotency_Key": "k", "Prefer": "respond-async"}
    job_at = ask("post", CHAT, CHAT, chat, **sent).headers["Location"]
    ask("post", CHAT, CHAT, chat, **sent)
    etag = ask("get", job, job_at, Prefer="wait=0").headers["ETag"]
    assert ask("get", job, job_at, If_None_Match=etag, Prefer="wait=0").status_code == 304
    ask("post", job, job_at, {"metadata": {"a": "b"}})
    ask("post", f"{job}/cancel", f"{job_at}/cancel")
    ask("get", f"{RESPONSES}/{{job_id}}", job_at.replace(f"{CHAT}/chatcmpl-", f"{RESPONSES}/resp_"))
    check = ask("post", f"{PROVIDERS}/test", f"{PROVIDERS}/test", {"endpoint": "x"}, **sent)
    ask("get", f"{PROVIDERS}/checks/{{check_id}}", check.headers["Location"], Prefer="wait=0")
    for path in ("/v1/keys", "/v1/events", "/v1/audit", "/v1/usage", "/v1/models", "/v1/me"):
        ask("get", path, f"{path}?limit=1" if path != "/v1/me" else path)
    assert ask("post", "/v1/keys", "/v1/keys", {"name": "x"}).headers["Location"]
    for expected in (
        ("post", PROVIDERS, 201, "location"),
        ("get", PROVIDERS, 200, "link"),
        ("post", CHAT, 202, "retry-after"),
        ("post", CHAT, 202, "idempotent-replayed"),
        ("post", CHAT, 202, "preference-applied"),
        ("post", CHAT, 202, "x-ratelimit-reset-tokens"),
        ("get", job, 304, "etag"),
        ("get", "/v1/me", 200, "x-request-id"),
        ("get", "/v1/me", 200, "x-ratelimit-remaining-requests"),
    ):
        assert expected in seen


def test_what_changes_something_takes_the_token_of_a_session(described: dict[str, Any]) -> None:
    for path, method, operation in operations(described):
        names = {one["name"] for one in operation["parameters"]}
        assert ("X-CSRF-Token" in names) == (method != "get"), f"{method} {path}"
        assert "x-request-id" in names


@pytest.mark.parametrize(("method", "path"), EXAMPLES, ids=" ".join)
def test_examples_are_taken(registry: Registry, method: str, path: str) -> None:
    provider = registry.add()
    job = registry.submit(f"{provider['slug']}/llama3")
    places = {"reference": provider["slug"], "job_id": job["id"]}
    at = re.sub(r"\{(\w+)\}", lambda found: places[found[1]], path)
    for example in EXAMPLES[method, path]:
        if method == "post" and path in _READERS:  # nobody would answer them here
            _READERS[path]().read(registry.app.json.dumps(example.body).encode())
            continue
        if "text/event-stream" in example.headers.values() or "stream=" in example.query:
            continue
        body = example.body
        if path in (PROVIDERS, "/v1/keys") and method == "post":
            body = {**example.body, "name": registry.name()}
        sent = dict(example.headers) | ({"Prefer": "wait=0"} if "Prefer" in example.headers else {})
        sent |= {"Prefer": "respond-async"} if path.endswith("/test") else {}
        answer = registry.call(method.upper(), at + example.query, body, **sent)
        stale = "If-Match" in sent and answer.status_code == 412
        assert answer.status_code < 300 or stale, answer.text


def test_commands_are_written_as_shells_read_them() -> None:
    made = Example("x", {"name": "Ann's"}, headers={"If-Match": 'W/"2"'})
    assert curl("patch", f"{PROVIDERS}/{{reference}}", made, False) == (
        "curl -s -X PATCH http://localhost:8642/v1/providers/acme \\\n"
        '  -H "Authorization: Bearer $DRAGOMAN_API_KEY" \\\n'
        "  -H 'If-Match: W/\"2\"' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        """  -d '{"name": "Ann'"'"'s"}'"""
    )
    assert curl("get", "/health/live", Example("x"), True) == (
        "curl -s http://localhost:8642/health/live"
    )
    assert place(f"{RESPONSES}/{{job_id}}").startswith(f"{RESPONSES}/resp_")
    assert "{" not in "".join(place(f"/{{{name}}}") for name in PLACES)

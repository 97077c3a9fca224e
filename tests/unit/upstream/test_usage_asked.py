"""Who refuses to be asked for the usage of a stream, and for how long that is remembered."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from shared.upstream.answers import RawAnswer
from shared.upstream.usage_asked import UsageRefusals, refuses_usage, without_usage


def answer(status: int, body: Any) -> RawAnswer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/plain" if isinstance(body, bytes) else "application/json"
    headers = httpx.Headers({"content-type": kind})
    return RawAnswer("a chat completion", status, headers, raw, "h:443", None)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Unrecognized request argument supplied: stream_options"}},
        {"error": {"message": "Extra inputs are not permitted", "param": "stream_options"}},
        {"error": "unknown field `include_usage`", "error_type": "validation"},
        {"object": "error", "message": "stream_options is not supported", "code": 400},
        {"message": "include_usage: unknown"},
        {"detail": "stream_options"},
        {"detail": [{"loc": ["body", "stream_options"], "msg": "extra fields not permitted"}]},
        b'json: unknown field "stream_options"',
    ],
)
def test_a_refusal_that_names_the_field_is_seen(status: int, body: Any) -> None:
    assert refuses_usage(answer(status, body))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "The model does not exist"}}),
        (400, {"detail": [{"loc": ["body", "n"], "input": {"stream_options": {}}}]}),
        (400, {"detail": [{"loc": 5}, 7, {"loc": [5]}]}),
        (400, {"error": {"message": "no", "request": {"stream_options": {}}}}),
        (400, ["stream_options"]),
        (400, b""),
        (429, {"error": {"message": "stream_options"}}),
        (500, {"error": {"message": "stream_options"}}),
        (200, {"error": {"message": "stream_options"}}),
    ],
)
def test_another_refusal_is_not_taken_for_it(status: int, body: Any) -> None:
    assert not refuses_usage(answer(status, body))


def test_the_request_loses_the_field_and_keeps_the_bytes_of_all_others() -> None:
    body = b'{"model":"m","stream":true,"stream_options":{"include_usage":true},"x": 1.50 }'
    assert without_usage(body) == b'{"model":"m","stream":true,"x":1.50}'
    assert without_usage(b'{"model":"m"}') == b'{"model":"m"}'


def test_a_refusal_is_remembered_for_an_hour_by_url() -> None:
    now = 0.0
    refusals = UsageRefusals(lambda: now)
    refusals.note("https://a/chat")
    assert refusals.hold("https://a/chat")
    assert not refusals.hold("https://b/chat")
    now = 3599.0
    assert refusals.hold("https://a/chat")
    now = 3600.0
    assert not refusals.hold("https://a/chat")


def test_of_more_than_a_thousand_the_oldest_is_forgotten() -> None:
    refusals = UsageRefusals(lambda: 0.0)
    for number in range(1000):
        refusals.note(f"https://{number}/chat")
    refusals.note("https://0/chat")
    refusals.note("https://new/chat")
    held = [number for number in range(1000) if refusals.hold(f"https://{number}/chat")]
    assert (held[:2], len(held)) == ([0, 2], 999)

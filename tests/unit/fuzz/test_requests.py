"""Requests of clients, broken: a chat that keeps what is not ours, or a refusal of the tree."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.registry.chat.request import OUR_FIELDS, ChatReader
from services.registry.responses.request import RequestReader
from services.registry.responses.translation import chat as translated
from shared.errors import RequestError
from tests.depth import bounded
from tests.mutations import altered, broken

HOOK = {"url": "https://h/x", "secret": "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"}
CHATS: list[Any] = [
    {
        "model": "a/b",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "é😀"}]},
            {"role": "tool", "content": "x", "tool_call_id": "1"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "seed": 2**60,
        "temperature": 0.7,
        "unknown": {"a": [None, True]},
    },
    {
        "model": "a/b",
        "messages": [{"role": "user", "content": "x"}],
        "background": True,
        "store": False,
        "metadata": {"run": "42"},
        "service_tier": "flex",
        "background_options": {
            "timeout": 60,
            "on_interrupt": "retry",
            "on_unavailable": "fail",
            "webhook": HOOK,
        },
        "stream": True,
        "stream_options": {"include_usage": True, "x": 1},
    },
]
_PART = {"type": "input_text", "text": "Hi"}
_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
RESPONSES: list[Any] = [
    {"model": "a/b", "input": "Hello", "instructions": "x", "max_output_tokens": 5, "store": True},
    {
        "model": "a/b",
        "input": [
            {"role": "user", "content": [_PART, {"type": "input_image", "image_url": "data:,x"}]},
            _CALL,
            {"type": "function_call_output", "call_id": "c", "output": "42"},
            {"type": "reasoning", "id": "r", "summary": []},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "x"}],
            },
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
        "reasoning": {"effort": "low"},
        "background": True,
        "background_options": {"timeout": 5},
    },
]
CHAT, RESPONSE = ChatReader(), RequestReader()


def read(body: bytes) -> None:
    try:
        chat = CHAT.read(body)
    except RequestError as refused:
        json.dumps(refused.message).encode()
        return
    sent = json.loads(chat.body_for("model"))
    given: Any = json.loads(body)
    changed = {"model", "stream_options"}
    kept = {name: value for name, value in given.items() if name not in OUR_FIELDS | changed}
    assert {name: value for name, value in sent.items() if name not in changed} == kept
    assert sent["model"] == "model"
    assert 0 < chat.timeout <= 604_800


def read_response(body: bytes) -> None:
    try:
        chat = translated(RESPONSE.read(body))
    except RequestError as refused:
        json.dumps(refused.message).encode()
        return
    assert json.loads(chat.body_for("model"))["model"] == "model"
    assert chat.original is not None
    RESPONSE.read(chat.original)


@bounded(60)
@given(altered(CHATS))
def test_an_altered_chat_keeps_what_is_not_ours_or_is_refused(document: Any) -> None:
    read(json.dumps(document).encode())


@bounded(60)
@given(broken([json.dumps(one).encode() for one in CHATS]))
def test_the_bytes_of_a_chat_may_be_broken(body: bytes) -> None:
    read(body)


@bounded(80)
@given(altered(RESPONSES))
def test_an_altered_response_is_translated_or_refused(document: Any) -> None:
    read_response(json.dumps(document).encode())


@bounded(40)
@given(broken([json.dumps(one).encode() for one in RESPONSES]), st.booleans())
def test_the_bytes_of_a_response_may_be_broken(body: bytes, chat: bool) -> None:
    (read if chat else read_response)(body)

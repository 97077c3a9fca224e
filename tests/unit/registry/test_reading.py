"""What a chat request means once it is read, and which of it goes upstream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.registry.chat.request import OUR_FIELDS, Chat, ChatReader, ChatRequest, json_schema
from shared.domain import OnInterrupt, OnUnavailable

MESSAGES = [{"role": "user", "content": "x"}]


def chat(**fields: Any) -> Chat:
    return ChatReader().read(json.dumps({"model": "a/b", "messages": MESSAGES, **fields}).encode())


def test_a_plain_chat_has_a_bounded_deadline_and_never_waits_for_its_provider() -> None:
    plain = chat(background_options={"timeout": 3600, "on_unavailable": "wait"})
    assert (plain.background, plain.store, plain.timeout) == (False, False, 590)
    assert plain.on_unavailable is OnUnavailable.FAIL
    assert chat(background_options={"timeout": 7}).timeout == 7


def test_a_background_chat_is_stored_waits_and_has_an_hour() -> None:
    job = chat(background=True)
    assert (job.background, job.store, job.timeout) == (True, True, 3600)
    assert job.on_unavailable is OnUnavailable.WAIT
    assert job.options.on_interrupt is OnInterrupt.FAIL
    given = {"timeout": 604_800, "on_unavailable": "fail", "on_interrupt": "retry"}
    job = chat(background=True, store=False, background_options=given)
    assert (job.store, job.timeout, job.on_unavailable) == (False, 604_800, OnUnavailable.FAIL)
    assert job.options.on_interrupt is OnInterrupt.RETRY


@pytest.mark.parametrize(
    ("asked", "tier"),
    [
        (None, "default"),
        ("auto", "default"),
        ("default", "default"),
        ("flex", "flex"),
        ("priority", "priority"),
        ("scale", "priority"),
    ],
)
def test_a_tier_has_one_name(asked: str | None, tier: str) -> None:
    assert chat(service_tier=asked).service_tier == tier


def test_the_upstream_gets_the_clients_own_bytes_without_our_fields() -> None:
    body = (
        b'{"temperature": 1.0, "model": "a/b", "messages": [ {"content" : "\\u00e9"} ],'
        b' "store": true, "metadata": {}, "background": true, "service_tier": "flex",'
        b' "background_options": {}, "seed": 12345678901234567890123, "stop": null}'
    )
    sent = ChatReader().read(body).body_for("org/b:c")
    assert sent == (
        b'{"temperature":1.0,"model":"org/b:c","messages":[ {"content" : "\\u00e9"} ],'
        b'"seed":12345678901234567890123,"stop":null}'
    )
    assert {f.encode() for f in OUR_FIELDS if f.encode() in sent} == set()


def test_the_schema_of_a_body_names_all_that_is_read_from_it() -> None:
    schema = json_schema()[ChatRequest.__name__]
    assert set(schema["properties"]) == set(ChatRequest.__struct_fields__)
    assert set(ChatRequest.__struct_fields__) >= OUR_FIELDS

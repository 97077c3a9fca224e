"""Chats over HTTP: what becomes a job, what is refused, what the upstream gets."""

from __future__ import annotations

import json
import time
from typing import Any

import gevent
import pytest

from shared.store import jobs
from shared.store.schema import chat_job
from tests.contract.registry.conftest import CHAT, Registry, chat_body, refused

BARE = len("chatcmpl-")


def test_a_background_chat_is_answered_as_a_job_at_once(registry: Registry, slug: str) -> None:
    before = int(time.time())
    answer = registry.post(CHAT, chat_body(f"{slug}/m", background=True, metadata={"run": "42"}))
    job = answer.get_json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{CHAT}/{job['id']}"
    assert answer.headers["Retry-After"] == "2"
    assert answer.headers["ETag"] == 'W/"1"'
    assert before <= job["created"] <= time.time()
    assert job == {
        "id": job["id"],
        "object": "chat.completion",
        "created": job["created"],
        "model": f"{slug}/m",
        "choices": [],
        "usage": None,
        "metadata": {"run": "42"},
        "service_tier": "default",
        "background": True,
        "status": "queued",
        "queue_position": 1,
        "attempts": 0,
        "started_at": None,
        "completed_at": None,
        "expires_at": None,
        "error": None,
        "webhook": None,
        "waiting_for": None,
        "provider": {"id": job["provider"]["id"], "slug": slug},
    }
    read = registry.get(answer.headers["Location"])
    assert (read.get_json(), read.headers["ETag"]) == (job, 'W/"1"')
    assert read.headers["Retry-After"] == "2"


def test_the_request_is_stored_sealed_as_the_upstream_gets_it(
    registry: Registry, slug: str
) -> None:
    ours = {
        "background": True,
        "store": False,
        "metadata": {},
        "service_tier": "scale",
        "background_options": {"timeout": 9},
    }
    text = json.dumps(chat_body(f"{slug}/org/m", **ours))[:-1] + ', "seed": 1.50, "x": "\\u00fc"}'
    job = registry.post(CHAT, text.encode()).get_json()
    bare = job["id"][BARE:]
    sealed = registry.column(chat_job, bare, "request_sealed")
    opened = registry.parts.sealer.open(
        sealed, table=jobs.TABLE, row=bare, column=jobs.REQUEST
    ).decode()
    assert json.loads(opened) == {**chat_body("org/m"), "seed": 1.5, "x": "ü"}
    assert '"seed":1.50' in opened
    assert job["service_tier"] == "priority"
    assert registry.column(chat_job, bare, "store") is False
    created, deadline = (registry.column(chat_job, bare, n) for n in ("created_at", "deadline"))
    assert deadline - created == pytest.approx(9)


def test_a_model_that_no_list_holds_is_taken_when_it_names_a_provider(
    registry: Registry, slug: str
) -> None:
    assert registry.submit(f"{slug}/a/b:c d")["model"] == f"{slug}/a/b:c d"


def test_a_bare_model_means_the_one_provider_that_lists_it(registry: Registry) -> None:
    one, two, name = registry.add(), registry.add(), f"org/{registry.name()}"
    registry.discovered(one["id"], name)
    assert registry.submit(name)["model"] == f"{one['slug']}/{name}"
    registry.discovered(two["id"], name)
    problem = refused(registry.post(CHAT, chat_body(name)), 400, "model_ambiguous", "model")
    assert f"{one['slug']}/{name}" in problem["detail"]
    assert f"{two['slug']}/{name}" in problem["detail"]
    registry.disable(one["id"])
    assert registry.submit(name)["model"] == f"{two['slug']}/{name}"


def test_of_many_providers_with_one_model_ten_are_named_and_the_others_counted(
    registry: Registry,
) -> None:
    name = f"org/{registry.name()}"
    for _ in range(12):
        registry.discovered(registry.add()["id"], name)
    detail = refused(registry.post(CHAT, chat_body(name)), 400, "model_ambiguous")["detail"]
    assert "which 12 list. Name one of them: " in detail
    assert detail.count(f"/{name}") == 10
    assert detail.endswith(" and 2 more.")


@pytest.mark.parametrize("model", ["nobody-lists-this", "nobody/m", "/m", "nobody/"])
def test_an_unknown_model_is_not_found(registry: Registry, model: str) -> None:
    refused(registry.post(CHAT, chat_body(model, background=True)), 404, "model_not_found", "model")


def test_a_disabled_provider_takes_no_new_job_and_its_queued_ones_wait(registry: Registry) -> None:
    made = registry.add()
    job = registry.submit(f"{made['slug']}/m")
    registry.disable(made["id"])
    answer = registry.post(CHAT, chat_body(f"{made['slug']}/m", background=True))
    refused(answer, 409, "provider_disabled", "model")
    assert answer.headers["x-should-retry"] == "false"
    read = registry.job(job["id"])
    assert read["status"] == "queued"
    assert read["waiting_for"] == {
        "reason": "provider_disabled",
        "until": None,
        "cause": None,
    }


def test_a_model_that_is_not_allowed_is_not_found(registry: Registry) -> None:
    made = registry.add(options={"allow_models": ["ok-*"]})
    registry.submit(f"{made['slug']}/ok-1")
    answer = registry.post(CHAT, chat_body(f"{made['slug']}/other", background=True))
    refused(answer, 404, "model_not_found", "model")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"model": ""}, "invalid_value", "model"),
        ({"model": "a\x00b"}, "invalid_value", "model"),
        ({"model": 5}, "invalid_value", "model"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": ["x"]}, "invalid_value", "messages[0]"),
        ({"background": "yes"}, "invalid_value", "background"),
        ({"store": 1}, "invalid_value", "store"),
        ({"metadata": {"b": "x", "a": 1}}, "invalid_value", "metadata.a"),
        ({"metadata": {"a": "x" * 513}}, "invalid_value", "metadata.a"),
        ({"metadata": {"a" * 65: "x"}}, "invalid_value", "metadata"),
        ({"metadata": {"a": "\x00"}}, "invalid_value", "metadata.a"),
        ({"metadata": {str(n): "" for n in range(17)}}, "invalid_value", "metadata"),
        ({"service_tier": "gold"}, "invalid_value", "service_tier"),
        ({"stream": "yes"}, "invalid_value", "stream"),
        ({"stream_options": []}, "invalid_value", "stream_options"),
        ({"background_options": {"x": 1}}, "unknown_field", "background_options.x"),
        ({"background_options": {"timeout": 0}}, "invalid_value", "background_options.timeout"),
        (
            {"background_options": {"on_interrupt": "x"}},
            "invalid_value",
            "background_options.on_interrupt",
        ),
        (
            {"background_options": {"webhook": "https://x"}},
            "invalid_value",
            "background_options.webhook",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_field_of_ours_that_does_not_fit_is_refused_by_its_path(
    registry: Registry, slug: str, fields: dict[str, Any], code: str, param: str
) -> None:
    answer = registry.post(CHAT, {**chat_body(f"{slug}/m", background=True), **fields})
    refused(answer, 400, code, param)


@pytest.mark.parametrize(
    "sent",
    [
        b'{"model":"m","messages":[{}],"metadata":{"a":1},"x":',
        b'{"model":"m","messages":[{}],"metadata":{"a":1},"metadata":"x"}',
        b'{"model":"m","messages":[{}],"metadata":{"a":1},"metadata":{"b":"x"}}',
        b'{"model":"m","messages":[{}],"metadata":{"a":1},"x":"\xff"}',
        b'{"model":"m","messages":[{}],"metadata":{"a":1},"x":' + b"[" * 100_000,
    ],
    ids=["cut", "twice", "twice, once well", "no text", "deep"],
)
def test_a_fault_is_told_whatever_stands_behind_it(registry: Registry, sent: bytes) -> None:
    param = "metadata.a" if b"\xff" in sent else "metadata"  # where what stands there can be read
    refused(registry.post(CHAT, sent), 400, "invalid_value", param)


@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_missing_field_is_named(registry: Registry, field: str) -> None:
    sent = chat_body("a/b")
    del sent[field]
    refused(registry.post(CHAT, sent), 400, "invalid_value", field)


def test_null_in_a_field_of_ours_means_its_default(registry: Registry, slug: str) -> None:
    names = ("store", "metadata", "service_tier", "background_options", "stream")
    nothing: dict[str, Any] = dict.fromkeys(names)
    job = registry.submit(f"{slug}/m", **nothing)
    assert (job["metadata"], job["service_tier"]) == ({}, "default")
    assert registry.column(chat_job, job["id"][BARE:], "store") is True


def test_wrong_types_are_told_in_the_words_of_json(registry: Registry, slug: str) -> None:
    answer = registry.post(CHAT, chat_body(f"{slug}/m", background=5))
    detail = answer.get_json()["detail"]
    assert detail == "background: Expected true or false or null, got a whole number."


def test_the_bell_goes_out_before_the_calls_of_a_commit_go_on(
    registry: Registry, slug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many calls share a commit, and what each does next would hold up the first ring."""
    happened: list[str] = []
    monkeypatch.setattr(registry.parts.bell, "ring", lambda: gevent.spawn(happened.append, "rung"))

    def submit() -> None:
        registry.submit(f"{slug}/m")
        happened.append("answered")

    gevent.joinall([gevent.spawn(submit) for _ in range(5)], raise_error=True)
    assert happened.index("rung") < happened.index("answered")
    assert happened.count("answered") == 5

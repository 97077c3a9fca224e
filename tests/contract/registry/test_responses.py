"""Responses are chats in another form: the same rows, the same rules, other documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import Response

from shared.domain import JobState
from shared.store import jobs
from shared.store.schema import chat_job
from tests.contract.registry.conftest import CHAT, Registry, chat_body, refused
from tests.contract.registry.test_description import misfit

RESPONSES = "/v1/responses"
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
ANSWER = {
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hi",
                "reasoning_content": "Hm",
                "tool_calls": [CALL],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
}


def body(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "input": "Hello", **fields}


def submitted(
    registry: Registry, model: str, *, who: str = "admin", **fields: Any
) -> dict[str, Any]:
    answer = registry.post(RESPONSES, body(model, background=True, **fields), who=who)
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.get_json()
    return document


def bare(response: dict[str, Any]) -> str:
    return str(response["id"]).removeprefix("resp_")


def chat_id(response: dict[str, Any]) -> str:
    return f"chatcmpl-{bare(response)}"


def completed(registry: Registry, model: str, result: Any, **fields: Any) -> dict[str, Any]:
    made = submitted(registry, model, **fields)
    registry.completed(chat_id(made), result)
    document: dict[str, Any] = registry.get(f"{RESPONSES}/{made['id']}").get_json()
    return document


def test_a_background_response_is_accepted_as_a_job(registry: Registry, slug: str) -> None:
    answer = registry.post(RESPONSES, body(f"{slug}/m", background=True, metadata={"a": "b"}))
    made = answer.get_json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{RESPONSES}/{made['id']}"
    assert answer.headers["Retry-After"] == "2"
    assert (made["object"], made["status"], made["output"]) == ("response", "queued", [])
    assert (made["model"], made["metadata"], made["background"]) == (
        f"{slug}/m",
        {"a": "b"},
        True,
    )
    read = registry.get(answer.headers["Location"])
    assert read.get_json() == made
    assert read.headers["ETag"] == answer.headers["ETag"]


def test_what_goes_upstream_is_a_chat_and_what_came_is_sealed(
    registry: Registry, slug: str
) -> None:
    made = submitted(registry, f"{slug}/m", instructions="Be brief", max_output_tokens=9)
    (claimed,) = registry.claim(chat_id(made))
    place = {"table": jobs.TABLE, "row": claimed.id}
    sent = registry.parts.sealer.open(claimed.request_sealed, column=jobs.REQUEST, **place)
    assert json.loads(sent) == {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "Hello"},
        ],
    }
    original = registry.column(chat_job, claimed.id, jobs.ORIGINAL)
    plain = json.loads(registry.parts.sealer.open(original, column=jobs.ORIGINAL, **place))
    assert (plain["input"], plain["instructions"]) == ("Hello", "Be brief")
    assert registry.column(chat_job, claimed.id, "route") == "responses"


def test_the_answer_is_told_in_items(registry: Registry, slug: str) -> None:
    done = completed(registry, f"{slug}/m", ANSWER, tools=[FUNCTION], tool_choice="required")
    number = bare(done)
    assert done["status"] == "completed"
    assert done["completed_at"] >= done["created_at"]
    assert done["output"] == [
        {
            "id": f"rs_{number}_0",
            "type": "reasoning",
            "status": "completed",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm"}],
        },
        {
            "id": f"msg_{number}_1",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}],
        },
        {
            "id": f"fc_{number}_2",
            "type": "function_call",
            "status": "completed",
            "call_id": "c1",
            "name": "f",
            "arguments": '{"a":1}',
        },
    ]
    assert done["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 10,
    }
    assert (done["tools"], done["tool_choice"]) == ([{**FUNCTION, "description": None}], "required")


def test_the_document_is_what_the_sdk_calls_a_response(registry: Registry, slug: str) -> None:
    read = Response.model_validate(
        completed(registry, f"{slug}/m", ANSWER, tools=[FUNCTION], reasoning={"effort": "low"}),
        strict=True,
    )
    assert read.output_text == "Hi"
    assert read.reasoning is not None
    assert read.reasoning.effort == "low"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_an_answer_that_was_cut_is_incomplete(
    registry: Registry, slug: str, finish: str, reason: str
) -> None:
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": finish}
    done = completed(registry, f"{slug}/m", {"choices": [choice]})
    assert (done["status"], done["completed_at"]) == ("incomplete", None)
    assert done["incomplete_details"] == {"reason": reason}
    assert done["output"][0]["status"] == "incomplete"
    assert done["usage"] is None  # unknown is not zero


def test_a_failed_response_tells_why(registry: Registry, slug: str) -> None:
    made = submitted(registry, f"{slug}/m")
    (claimed,) = registry.claim(chat_id(made))
    registry.finish(claimed, JobState.FAILED, error_code="interrupted")
    read = registry.get(f"{RESPONSES}/{made['id']}").get_json()
    assert (read["status"], read["error"]["code"]) == ("failed", "interrupted")
    assert read["output"] == []


def test_both_views_show_one_row(registry: Registry, slug: str) -> None:
    made = submitted(registry, f"{slug}/m", instructions="x")
    as_chat = registry.job(chat_id(made))
    assert (as_chat["object"], as_chat["status"]) == ("chat.completion", "queued")
    job = registry.submit(f"{slug}/m")
    registry.completed(job["id"], ANSWER)
    path = f"{RESPONSES}/{job['id'].replace('chatcmpl-', 'resp_')}"
    as_response = registry.get(path).get_json()
    assert as_response["instructions"] is None
    assert [item["type"] for item in as_response["output"]] == [
        "reasoning",
        "message",
        "function_call",
    ]


def test_every_route_says_what_to_do_with_the_id_of_the_other_one(
    registry: Registry, slug: str
) -> None:
    made = submitted(registry, f"{slug}/m")
    named = {CHAT: chat_id(made), RESPONSES: made["id"]}
    described = registry.call("GET", "/openapi.json", who="").get_json()["paths"]
    called = 0
    for path, item in described.items():
        if "{job_id}" not in path:
            continue
        route, other = (CHAT, RESPONSES) if path.startswith(CHAT) else (RESPONSES, CHAT)
        told = f"Call {other}/{named[other]}, or name it {named[route]!r} here."
        for method in item.keys() & {"get", "post", "delete"}:
            sent: Any = {"metadata": {}} if method == "post" else None
            asked = path.replace("{job_id}", named[other])
            answer = registry.call(method.upper(), asked, sent)
            assert refused(answer, 404, "not_found")["detail"].endswith(told)
            called += 1
    assert called == 9
    assert registry.job(chat_id(made))["status"] == "queued"


def test_a_response_is_cancelled(registry: Registry, slug: str) -> None:
    made = submitted(registry, f"{slug}/m")
    answer = registry.post(f"{RESPONSES}/{made['id']}/cancel", b"")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")
    assert registry.job(chat_id(made))["status"] == "cancelled"
    again = registry.post(f"{RESPONSES}/{made['id']}/cancel", b"").get_json()
    assert again == answer.get_json()


def test_a_response_is_deleted(registry: Registry, slug: str) -> None:
    made = submitted(registry, f"{slug}/m")
    answer = registry.call("DELETE", f"{RESPONSES}/{made['id']}")
    assert answer.get_json() == {"id": made["id"], "object": "response", "deleted": True}
    refused(registry.get(f"{RESPONSES}/{made['id']}"), 404, "not_found")
    refused(registry.get(f"{CHAT}/{chat_id(made)}"), 404, "not_found")


def test_no_route_shows_or_changes_another_owners_response(registry: Registry, slug: str) -> None:
    made = submitted(registry, f"{slug}/m", who="ann")
    path = f"{RESPONSES}/{made['id']}"
    for method, called, sent in (
        ("GET", path, None),
        ("GET", f"{path}?stream=true", None),
        ("POST", f"{path}/cancel", b""),
        ("DELETE", path, None),
    ):
        detail = refused(registry.call(method, called, sent, who="ben"), 404, "not_found")["detail"]
        unknown = registry.call(method, called.replace(made["id"][-4:], "0000"), sent, who="ben")
        assert (
            detail.replace(made["id"][-4:], "0000") == refused(unknown, 404, "not_found")["detail"]
        )
    assert registry.get(path, who="ann").get_json()["status"] == "queued"


def test_one_key_makes_one_response_and_chats_have_keys_of_their_own(
    registry: Registry, slug: str
) -> None:
    sent = body(f"{slug}/m", background=True)
    first, again = (registry.post(RESPONSES, sent, Idempotency_Key=slug) for _ in range(2))
    assert again.get_json() == first.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = registry.post(RESPONSES, {**sent, "input": "Bye"}, Idempotency_Key=slug)
    refused(other, 422, "idempotency_key_reused", "Idempotency-Key")
    chat = registry.post(CHAT, chat_body(f"{slug}/m", background=True), Idempotency_Key=slug)
    assert bare(first.get_json()) not in chat.get_json()["id"]


def test_prefer_and_if_none_match_are_those_of_chats(registry: Registry, slug: str) -> None:
    answer = registry.post(RESPONSES, body(f"{slug}/m"), Prefer="respond-async")
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    path, tag = answer.headers["Location"], answer.headers["ETag"]
    assert registry.get(path, If_None_Match=tag).status_code == 304
    registry.post(f"{path}/cancel", b"")
    ended = registry.get(path, If_None_Match=tag, Prefer="wait=5")
    assert (ended.status_code, ended.get_json()["status"]) == (200, "cancelled")


def test_answers_have_the_shapes_that_the_description_gives_them(
    registry: Registry, slug: str
) -> None:
    described = registry.call("GET", "/openapi.json", who="").get_json()
    shape = described["components"]["schemas"]["Response"]
    cut = {"choices": [{"message": {"content": "x"}, "finish_reason": "length"}]}
    given = [
        submitted(registry, f"{slug}/m"),
        completed(registry, f"{slug}/m", ANSWER, tools=[FUNCTION], temperature=0.5),
        completed(registry, f"{slug}/m", cut, text={"format": {"type": "json_object"}}),
        registry.post(f"{RESPONSES}/{submitted(registry, f'{slug}/m')['id']}/cancel", b"").json,
    ]
    for document in given:
        assert misfit(described, shape, document, "Response") == []

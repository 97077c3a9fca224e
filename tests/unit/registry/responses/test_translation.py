"""A request for a response as the chat completion that answers it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.registry.preferences import Preferences
from services.registry.responses.request import RequestReader
from services.registry.responses.translation import chat
from shared.errors import CodedError, InvalidValue

CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
CALLED = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}


def upstream(asked: Any = "Hello", **fields: Any) -> dict[str, Any]:
    """What the provider gets."""
    sent = json.dumps({"model": "p/m", "input": asked, **fields}).encode()
    body: dict[str, Any] = json.loads(chat(RequestReader().read(sent)).body_for("m"))
    assert body.pop("model") == "m"
    return body


def messages(asked: Any, **fields: Any) -> Any:
    return upstream(asked, **fields)["messages"]


def said(text: str, kind: str = "output_text") -> dict[str, Any]:
    """An item as a response's own output has it."""
    parts = [{"type": kind, "refusal" if kind == "refusal" else "text": text}]
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    return {**item, "content": parts}


def test_a_text_is_a_message_of_the_user_behind_the_instructions() -> None:
    assert messages("Hello") == [{"role": "user", "content": "Hello"}]
    assert messages("Hello", instructions="Be brief") == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Hello"},
    ]


def test_a_developer_is_the_system() -> None:
    given = [{"role": role, "content": "x"} for role in ("system", "developer", "user")]
    assert [message["role"] for message in messages(given)] == ["system", "system", "user"]


def test_one_text_part_is_a_text_and_several_parts_are_parts() -> None:
    text = {"type": "input_text", "text": "What is this?"}
    image = {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"}
    plain = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    given = [{"role": "user", "content": [text]}, {"role": "user", "content": [text, image, plain]}]
    assert messages(given) == [
        {"role": "user", "content": "What is this?"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ],
        },
    ]


def test_a_turn_with_calls_is_one_message_and_their_outputs_follow() -> None:
    other = {**CALL, "call_id": "c2"}
    parts = [{"type": "input_text", "text": "4"}, {"type": "input_text", "text": "3"}]
    given = [
        {"role": "user", "content": "?"},
        said("Let me see."),
        CALL,
        other,
        OUTPUT,
        {**OUTPUT, "call_id": "c2", "output": parts},
        said("It is 42."),
    ]
    assert messages(given) == [
        {"role": "user", "content": "?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [CALLED, {**CALLED, "id": "c2"}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "tool", "tool_call_id": "c2", "content": "43"},
        {"role": "assistant", "content": "It is 42."},
    ]


def test_what_is_said_behind_calls_joins_them_because_outputs_must_follow_at_once() -> None:
    assert messages([CALL, said("Wait."), OUTPUT]) == [
        {"role": "assistant", "content": "Wait.", "tool_calls": [CALLED]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    assert messages([CALL]) == [{"role": "assistant", "content": None, "tool_calls": [CALLED]}]


def test_a_models_own_output_can_be_sent_back_whole() -> None:
    thought = {
        "id": "rs_1",
        "type": "reasoning",
        "status": "completed",
        "summary": [{"type": "summary_text", "text": "s"}],
        "content": [{"type": "reasoning_text", "text": "Hm"}],
    }
    answer = said("Hi")
    answer["content"][0] |= {"annotations": [], "logprobs": []}
    given = [thought, answer, {**CALL, "id": "fc_1", "status": "completed"}, OUTPUT]
    assert [message["role"] for message in messages(given)] == ["assistant", "tool"]
    assert messages([said("No.", "refusal")]) == [
        {"role": "assistant", "content": "", "refusal": "No."}
    ]


def test_options_have_the_names_that_chats_have() -> None:
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": None}
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    body = upstream(
        temperature=0.5,
        top_p=1,
        top_logprobs=2,
        max_output_tokens=9,
        parallel_tool_calls=False,
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        reasoning={"effort": "low", "summary": None},
        tools=[function],
        tool_choice={"type": "function", "name": "f"},
        text={"format": schema, "verbosity": "low"},
        stream=True,
    )
    del body["messages"]
    assert body == {
        "temperature": 0.5,
        "top_p": 1.0,
        "logprobs": True,
        "top_logprobs": 2,
        "max_tokens": 9,
        "parallel_tool_calls": False,
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "reasoning_effort": "low",
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
        },
        "verbosity": "low",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_is_not_asked_for_is_not_sent() -> None:
    ours = {"background": True, "store": False, "metadata": {"a": "b"}, "service_tier": "flex"}
    assert set(upstream(**ours, truncation="disabled", text={"format": {"type": "text"}})) == {
        "messages"
    }


def test_our_own_fields_mean_what_they_mean_for_chats() -> None:
    fields: dict[str, Any] = {
        "store": True,
        "metadata": {"a": "b"},
        "service_tier": "scale",
        "background_options": {"timeout": 5, "on_interrupt": "retry"},
    }
    sent = json.dumps({"model": "p/m", "input": "x", **fields}).encode()
    made = chat(RequestReader().read(sent), Preferences(wait=5))
    assert (made.background, made.store, made.service_tier) == (True, True, "priority")
    assert (made.timeout, made.options.on_interrupt) == (5.0, "retry")
    assert made.route == "responses"
    assert b"background_options" not in (made.original or b"").replace(b'options":null', b"")


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ([], "input"),
        ([{"role": "user"}], "input[0].content"),
        ([{"content": "x"}], "input[0].role"),
        ([{"role": "robot", "content": "x"}], "input[0].role"),
        ([{"role": "user", "content": "x"}, {"type": "function_call"}], "input[1].call_id"),
        ([{**CALL, "arguments": None}], "input[0].arguments"),
        ([{**OUTPUT, "output": None}], "input[0].output"),
        ([{"role": "user", "content": [{"type": "input_text"}]}], "input[0].content[0].text"),
        (
            [{"role": "user", "content": [{"type": "input_image"}]}],
            "input[0].content[0].image_url",
        ),
        (
            [{"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}],
            "input[0].content[0].type",
        ),
        (
            [{**OUTPUT, "output": [{"type": "input_image", "image_url": "x"}]}],
            "input[0].output[0].type",
        ),
    ],
)
def test_an_item_that_is_not_whole_is_refused_by_its_path(asked: Any, param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        upstream(asked)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"temprature": 1}, "unknown_field", "temprature"),
        ({"temperature": "hot"}, "invalid_value", "temperature"),
        ({"tools": [{"type": "function"}]}, "invalid_value", "tools[0].name"),
        ({"text": {"format": {"type": "json_schema"}}}, "invalid_value", "text.format.name"),
        ({"tools": "none"}, "invalid_value", "tools"),
        ({"input": 5}, "invalid_value", "input"),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(
    fields: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(CodedError) as caught:
        upstream(**{"asked": "x", **fields} if "input" not in fields else {"asked": 5})
    assert (caught.value.code, caught.value.param) == (code, param)

"""Chunks add up to the completion that an unstreamed answer would have been."""

from __future__ import annotations

from typing import Any

import pytest

from shared.chunks import folded, is_usage_only


def chunk(*deltas: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A chunk with a choice for each delta."""
    choices = [{"index": index, "delta": delta} for index, delta in enumerate(deltas)]
    return {"id": "c", "object": "chat.completion.chunk", "choices": choices, **fields}


def ends(reason: str, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {}, "finish_reason": reason, **fields}
    return {"choices": [choice]}


def message(*chunks: dict[str, Any]) -> Any:
    return folded(chunks)["choices"][0]["message"]


def calls(*deltas: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """id, name and arguments of the tool calls that these deltas add up to."""
    found = message(*(chunk({"tool_calls": delta}) for delta in deltas))["tool_calls"]
    return [
        (call.get("id"), call["function"].get("name"), call["function"].get("arguments"))
        for call in found
    ]


def call(arguments: str = "", **fields: Any) -> dict[str, Any]:
    function = {"arguments": arguments}
    if name := fields.pop("name", None):
        function["name"] = name
    return {**fields, "function": function}


def test_a_stream_becomes_an_answer_with_messages() -> None:
    chunks = [
        chunk({"role": "assistant", "content": ""}, created=1, model="m", usage=None),
        chunk({"content": "Hello"}, created=2),
        chunk({"content": " there"}),
        ends("stop", logprobs=None, stop_reason=None),
        {"choices": [], "usage": {"total_tokens": 3}, "timings": {"predicted_n": 2}},
    ]
    assert folded(chunks) == {
        "id": "c",
        "object": "chat.completion",
        "created": 2,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there"},
                "finish_reason": "stop",
                "logprobs": None,
                "stop_reason": None,
            }
        ],
        "usage": {"total_tokens": 3},
        "timings": {"predicted_n": 2},
    }


def test_nothing_is_an_answer_without_choices() -> None:
    assert folded([]) == {"object": "chat.completion", "choices": []}
    assert folded([{}, {"choices": None}]) == {"object": "chat.completion", "choices": []}


def test_what_was_never_said_is_null_and_an_empty_text_is_empty() -> None:
    assert message(chunk({"role": None, "content": None})) == {"role": "assistant", "content": None}
    assert message(chunk({}), ends("stop")) == {"role": "assistant", "content": None}
    assert message(chunk({"content": ""}))["content"] == ""
    assert message(chunk({"refusal": None}))["refusal"] is None


def test_a_role_that_is_repeated_is_still_one_role() -> None:
    each = chunk({"role": "assistant", "content": "a"})
    assert message(each, each) == {"role": "assistant", "content": "aa"}


def test_reasoning_under_either_name_refusals_and_unknown_texts_concatenate() -> None:
    deltas: list[dict[str, Any]] = [
        {"reasoning": "a", "reasoning_content": "b", "refusal": "c", "x_text": "d", "n": 1},
        {"reasoning": "A", "reasoning_content": "B", "refusal": "C", "x_text": "D", "n": 2},
        {"n": None},
    ]
    found = message(*(chunk(delta) for delta in deltas))
    assert [found[name] for name in ("reasoning", "reasoning_content", "refusal", "x_text")] == [
        *("aA", "bB", "cC", "dD")
    ]
    assert found["n"] == 2


def test_choices_are_told_apart_by_index_and_come_in_its_order() -> None:
    chunks = [
        {"choices": [{"index": 1, "delta": {"content": "b"}}]},
        {"choices": [{"index": 0, "delta": {"content": "a"}}]},
        {"choices": [{"index": 1, "delta": {"content": "B"}, "finish_reason": "length"}]},
    ]
    found = folded(chunks)["choices"]
    assert [(one["index"], one["message"]["content"]) for one in found] == [(0, "a"), (1, "bB")]
    assert [one.get("finish_reason") for one in found] == [None, "length"]


def test_choices_without_an_index_are_told_apart_by_place() -> None:
    both = {"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]}
    found = folded([both, both])["choices"]
    assert [(one["index"], one["message"]["content"]) for one in found] == [(0, "aa"), (1, "bb")]


def test_log_probabilities_and_token_ids_are_lists_that_grow() -> None:
    def said(token: str) -> dict[str, Any]:
        logprobs = {"content": [{"token": token}], "refusal": None}
        return {"choices": [{"index": 0, "logprobs": logprobs, "token_ids": [ord(token)]}]}

    (choice,) = folded([said("a"), ends("stop", logprobs=None), said("b")])["choices"]
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}
    assert choice["token_ids"] == [97, 98]


def test_tool_calls_are_put_together_by_index() -> None:
    assert calls(
        [call(index=1, id="b", name="g"), call(index=0, id="a", name="f")],
        [call("{", index=0)],
        [call("[", index=1), call("}", index=0)],
        [call("]", index=1)],
    ) == [("a", "f", "{}"), ("b", "g", "[]")]


def test_a_tool_call_of_an_answer_has_no_index() -> None:
    found = message(chunk({"tool_calls": [call("{}", index=0, id="a", type="function")]}))
    assert found["tool_calls"] == [{"id": "a", "type": "function", "function": {"arguments": "{}"}}]


@pytest.mark.parametrize(
    ("deltas", "found"),
    [
        # Gemini: one whole call a chunk, with ids or with empty ones
        ([[call("1", id="a", name="f")], [call("2", id="b", name="f")]], [("a", "1"), ("b", "2")]),
        ([[call("1", id="", name="f")], [call("2", id="", name="g")]], [("", "1"), ("", "2")]),
        ([[call("1", name="f")], [call("2", name="f")]], [(None, "1"), (None, "2")]),
        # pieces that follow their call
        ([[call("1", id="a", name="f")], [call("2")], [call("3")]], [("a", "123")]),
        (
            [[call(id="a", name="f")], [call("1")], [call(id="b", name="g")], [call("2")]],
            [("a", "1"), ("b", "2")],
        ),
        ([[call("1", id="a", name="f")], [call("2", id="a")]], [("a", "12")]),
        # several at once, told apart by place
        (
            [[call(id="a", name="f"), call(id="b", name="g")], [call("1"), call("2")]],
            [("a", "1"), ("b", "2")],
        ),
    ],
)
def test_tool_calls_without_index_are_told_apart_by_id_name_or_place(
    deltas: list[Any], found: list[tuple[Any, Any]]
) -> None:
    assert [(id_, arguments) for id_, _, arguments in calls(*deltas)] == found


def test_whole_calls_that_all_have_the_index_0_are_told_apart_by_id() -> None:
    assert calls(
        [call("1", index=0, id="a", name="f")],
        [call("2", index=0, id="b", name="f")],
        [call("3", index=0)],
        [call("4", index=1, id="c", name="g")],
    ) == [("a", "f", "1"), ("b", "f", "23"), ("c", "g", "4")]


def test_a_new_id_for_every_piece_of_a_call_does_not_change_the_first() -> None:
    pieces = [[call("1", index=0, id="x-1", name="f")], [call("2", index=0, id="x-2")]]
    assert calls(*pieces) == [("x-1", "f", "12")]


def test_a_tools_name_may_come_in_pieces_or_again_and_again() -> None:
    assert calls([call(index=0, name="get_")], [call(index=0, name="time")])[0][1] == "get_time"
    assert calls([call(index=0, name="time")], [call(index=0, name="time")])[0][1] == "time"


def test_the_older_function_call_and_audio_are_put_together() -> None:
    found = message(
        chunk({"function_call": {"name": "f", "arguments": "{"}, "audio": {"id": "a"}}),
        chunk({"function_call": {"arguments": "}"}, "audio": {"data": "QU", "transcript": "h"}}),
        chunk({"audio": {"data": "JD", "transcript": "i", "expires_at": 5}}),
    )
    assert found["function_call"] == {"name": "f", "arguments": "{}"}
    assert found["audio"] == {"id": "a", "data": "QUJD", "transcript": "hi", "expires_at": 5}


def test_content_in_parts_stays_in_parts_with_texts_between() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    found = message(
        chunk({"content": ""}),
        chunk({"content": [thought]}),
        chunk({"content": "He"}),
        chunk({"content": "y"}),
    )
    assert found["content"] == [thought, {"type": "text", "text": "Hey"}]


def test_lists_of_openrouter_grow_and_unknown_ones_are_replaced() -> None:
    found = message(
        chunk({"reasoning_details": [1], "x_list": [1]}),
        chunk({"reasoning_details": [2], "x_list": [2]}),
    )
    assert (found["reasoning_details"], found["x_list"]) == ([1, 2], [2])


@pytest.mark.parametrize(
    ("fields", "only"),
    [
        ({"choices": [], "usage": {}}, True),
        ({"choices": [{"index": 0, "delta": {}}], "usage": {}}, True),
        ({"choices": [{"delta": {"role": "assistant", "content": ""}}], "usage": {}}, True),
        ({"choices": [{"delta": {"content": "a"}}], "usage": {}}, False),
        ({"choices": [{"delta": {"tool_calls": [{}]}}], "usage": {}}, False),
        ({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {}}, False),
        ({"choices": []}, False),
        ({"choices": [], "usage": None}, False),
    ],
)
def test_a_chunk_of_usage_alone_is_told_from_others(fields: dict[str, Any], only: bool) -> None:
    assert is_usage_only(fields) is only

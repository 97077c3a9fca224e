"""Chunks add up to the completion that an unstreamed answer would have been."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.chunks import MOST_CALLS, MOST_CHOICES, Fold, folded, is_usage_only


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


@given(st.lists(st.text()))
def test_concatenated_deltas_are_the_content(texts: list[str]) -> None:
    found = message(chunk({"role": "assistant"}), *(chunk({"content": text}) for text in texts))
    assert (found["content"] or "") == "".join(texts)


@given(
    st.lists(st.text(min_size=1), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.text())),
)
def test_interleaved_tool_calls_get_their_own_arguments(
    names: list[str], pieces: list[tuple[int, str]]
) -> None:
    pieces = [(index % len(names), text) for index, text in pieces]
    opened = [[call(index=i, id=f"id{i}", name=name)] for i, name in enumerate(names)]
    found = calls(*opened, *([call(text, index=index)] for index, text in pieces))
    assert found == [
        (f"id{i}", name, "".join(text for index, text in pieces if index == i))
        for i, name in enumerate(names)
    ]


NAMES = [
    *("choices", "delta", "content", "tool_calls", "function", "name", "arguments", "index", "id"),
    *("role", "logprobs", "usage", "finish_reason", "audio", "reasoning_details"),
]
ANY_VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=50)
@given(st.lists(ANY_VALUE.map(lambda value: {"choices": [{"delta": value}, value], "x": value})))
def test_no_chunk_breaks_the_fold(chunks: list[dict[str, Any]]) -> None:
    json.dumps(folded(chunks))
    assert [is_usage_only(one) for one in chunks] == [False] * len(chunks)


FLOODS: dict[str, Callable[[int], dict[str, Any]]] = {
    "fields": lambda i: chunk({f"x{i}-{n}": "" for n in range(500)}),
    "fields of a chunk": lambda i: {f"x{i}-{n}": None for n in range(500)},
    "choices": lambda i: {"choices": [{"index": i * 500 + n, "delta": {}} for n in range(500)]},
    "calls": lambda i: chunk({"tool_calls": [{"index": i * 500 + n} for n in range(500)]}),
    "ids": lambda i: chunk({"tool_calls": [{"id": f"{i}-{n}"} for n in range(500)]}),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_of_256_kib_adds_up_to_little(flood: Callable[[int], dict[str, Any]]) -> None:
    rounds = 2**18 // len(json.dumps(flood(0)))
    fold = Fold()
    tracemalloc.start()
    try:
        for number in range(rounds):
            fold.add(flood(number))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 2**20
    fold.completion()


def test_as_many_choices_and_calls_as_servers_send_are_kept() -> None:
    many = {"choices": [{"index": index, "delta": {"content": "a"}} for index in range(200)]}
    assert len(folded([many, many])["choices"]) == MOST_CHOICES
    found = calls([call("1", index=index, id=f"id{index}", name="f") for index in range(200)])
    assert (len(found), found[-1][0]) == (MOST_CALLS, f"id{MOST_CALLS - 1}")


def test_a_text_of_very_many_pieces_is_whole() -> None:
    texts = [f"{number} " for number in range(5000)]
    found = message(*(chunk({"content": text}) for text in texts))
    assert found["content"] == "".join(texts)

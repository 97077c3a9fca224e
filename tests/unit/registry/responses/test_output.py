"""Events and items are a pure fold of the chunks."""

from __future__ import annotations

from typing import Any

import pytest

from services.registry.responses.output import MOST_ITEMS, Output

BARE = "01M80000000000000000000000"


def chunk(finish: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def piece(index: int | None = None, arguments: str = "", **more: Any) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    name = {"name": more.pop("name")} if "name" in more else {}
    return {**place, **more, "function": {**name, "arguments": arguments}}


def events(chunks: list[dict[str, Any]], *, whole: bool | None = True) -> list[dict[str, Any]]:
    """All events; without those of the end when `whole` is None."""
    output = Output(BARE)
    found = [event for one in chunks for event in output.add(one)]
    if whole is not None:
        found += output.end(whole=whole)
    return found


def items(chunks: list[dict[str, Any]], *, whole: bool = True) -> list[dict[str, Any]]:
    output = Output(BARE)
    for one in chunks:
        list(output.add(one))
    list(output.end(whole=whole))
    return output.items()


def types(found: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in found]


TEXT = [chunk(role="assistant", content=""), chunk(content="Hel"), chunk("stop", content="lo")]


def test_a_text_is_told_in_openais_order() -> None:
    found = events(TEXT)
    assert types(found) == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]
    part = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    message = {"id": f"msg_{BARE}_0", "type": "message", "role": "assistant"}
    place = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    assert found[0]["item"] == {**message, "status": "in_progress", "content": []}
    assert found[1]["part"] == {**part, "text": ""}
    assert found[2] == {
        "type": "response.output_text.delta",
        **place,
        "delta": "Hel",
        "logprobs": [],
    }
    assert found[4] == {
        "type": "response.output_text.done",
        **place,
        "text": "Hello",
        "logprobs": [],
    }
    assert found[5]["part"] == part
    assert found[6]["item"] == {**message, "status": "completed", "content": [part]}
    assert items(TEXT) == [found[6]["item"]]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_a_thought_ends_where_the_answer_begins(name: str) -> None:
    thoughts: list[dict[str, Any]] = [{name: "H"}, {name: "m"}]
    found = events([*(chunk(**thought) for thought in thoughts), *TEXT])
    assert types(found)[:7] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert found[6]["item"] == {
        "id": f"rs_{BARE}_0",
        "type": "reasoning",
        "status": "completed",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm"}],
    }
    assert found[7]["output_index"] == 1


def test_a_thought_that_comes_under_both_names_is_one() -> None:
    (item,) = items([chunk(reasoning="Hm", reasoning_content="Hm")])
    assert item["content"] == [{"type": "reasoning_text", "text": "Hm"}]


def test_who_thinks_again_has_another_item() -> None:
    told = items([chunk(reasoning="a"), chunk(content="b"), chunk(reasoning="c")])
    assert [item["type"] for item in told] == ["reasoning", "message", "reasoning"]
    assert len({item["id"] for item in told}) == 3


def test_calls_stand_side_by_side_until_the_end() -> None:
    found = events(
        [
            chunk(content="Let me see."),
            chunk(tool_calls=[piece(0, id="a", name="f")]),
            chunk(tool_calls=[piece(0, '{"x":'), piece(1, "{", id="b", name="g")]),
            chunk(tool_calls=[piece(1, "}")]),
            chunk("tool_calls", tool_calls=[piece(0, "1}")]),
        ]
    )
    calls = [event for event in found if event["output_index"] > 0]
    assert [(t, event["output_index"]) for t, event in zip(types(calls), calls, strict=True)] == [
        ("output_item.added", 1),
        ("function_call_arguments.delta", 1),
        ("output_item.added", 2),
        ("function_call_arguments.delta", 2),
        ("function_call_arguments.delta", 2),
        ("function_call_arguments.delta", 1),
        ("function_call_arguments.done", 1),
        ("output_item.done", 1),
        ("function_call_arguments.done", 2),
        ("output_item.done", 2),
    ]
    call = {"id": f"fc_{BARE}_1", "type": "function_call", "call_id": "a", "name": "f"}
    assert calls[0]["item"] == {**call, "status": "in_progress", "arguments": ""}
    assert calls[6]["arguments"] == '{"x":1}'
    assert calls[7]["item"] == {**call, "status": "completed", "arguments": '{"x":1}'}
    # The message ended before the first call began.
    assert types(found).index("output_item.done") < types(found).index("output_item.added", 1)


def test_a_call_is_shown_once_its_id_and_its_name_are_known() -> None:
    first = chunk(tool_calls=[piece(0, "{", name="f")])
    assert events([first], whole=None) == []
    found = events([first, chunk(tool_calls=[piece(0, "}", id="a")])], whole=None)
    assert types(found)[0] == "output_item.added"
    assert found[0]["item"]["call_id"] == "a"
    assert [event.get("delta") for event in found[1:]] == ["{", "}"]


def test_a_call_without_an_id_gets_one_at_the_end() -> None:
    (call,) = items([chunk(tool_calls=[piece(None, "{}", name="f")])])
    assert (call["call_id"], call["name"], call["arguments"]) == (f"call_{BARE}_0", "f", "{}")
    (former,) = items(
        [
            chunk(function_call={"name": "f", "arguments": ""}),
            chunk(function_call={"arguments": "{}"}),
        ]
    )
    assert former == call


def test_the_name_that_is_repeated_with_every_piece_is_one_name() -> None:
    chunks = [chunk(tool_calls=[piece(0, text, id="a", name="f")]) for text in ("{", "}")]
    (call,) = items(chunks)
    assert (call["name"], call["arguments"]) == ("f", "{}")


def test_a_refusal_is_a_part_of_its_own() -> None:
    found = events([chunk(content="I "), chunk(refusal="can"), chunk(refusal="not")])
    assert types(found)[3:] == [
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ]
    assert found[-3]["refusal"] == "cannot"
    assert [event["content_index"] for event in found[1:-1]] == [0, 0, 0, 0, 1, 1, 1, 1, 1]


def test_logprobs_go_with_their_text() -> None:
    told = [{"token": "Hi", "logprob": -0.1, "top_logprobs": []}]
    one = chunk(content="Hi")
    one["choices"][0]["logprobs"] = {"content": told}
    found = events([one])
    assert found[2]["logprobs"] == told
    assert found[3]["logprobs"] == told
    assert found[-1]["item"]["content"][0]["logprobs"] == told


def test_thoughts_in_parts_of_the_content_are_thoughts() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    told = items([chunk(content=[thinking, {"type": "text", "text": "Hi"}])])
    assert [(item["type"], item["content"][0]["text"]) for item in told] == [
        ("reasoning", "Hm"),
        ("message", "Hi"),
    ]


def test_what_is_open_when_a_job_breaks_is_incomplete() -> None:
    told = items([chunk(reasoning="Hm"), chunk(content="H")], whole=False)
    assert [item["status"] for item in told] == ["completed", "incomplete"]


def test_every_choice_has_items_of_its_own() -> None:
    told = items([chunk(index=0, content="a"), chunk(index=1, content="b"), chunk(content="c")])
    assert [item["content"][0]["text"] for item in told] == ["ac", "b"]


def test_a_flood_of_items_is_bounded() -> None:
    flood = [chunk(reasoning="a"), chunk(content="b")] * MOST_ITEMS
    assert len(items(flood)) == MOST_ITEMS

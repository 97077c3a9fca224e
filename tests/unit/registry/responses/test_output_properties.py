"""What holds of the fold of chunks to events, whatever strangers send."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.chunks import folded
from tests.unit.registry.responses.test_output import chunk, events, items, piece

words = st.text("abc \u00e9\U0001f600", max_size=4)
calls = st.builds(
    piece,
    index=st.none() | st.integers(0, 2),
    arguments=words,
)
named_calls = st.builds(
    piece,
    index=st.integers(0, 2),
    arguments=words,
    id=st.sampled_from(["a", "b", "c"]),
    name=st.sampled_from(["f", "g"]),
)
deltas = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": st.none() | words,
        "reasoning": words,
        "refusal": st.none() | words,
        "tool_calls": st.lists(calls | named_calls, max_size=2),
    },
)
chunks_ = st.lists(
    st.builds(
        lambda delta, finish, index: chunk(finish, index, **delta),
        deltas,
        st.sampled_from([None, None, "stop", "length"]),
        st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=12,
)
NAMES = """choices index delta content tool_calls function name arguments id text thinking
reasoning refusal logprobs finish_reason function_call"""
strange = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*re.split(r"\s+", NAMES)]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=40)
@given(chunks_, st.integers(0, 12))
def test_a_prefix_of_the_chunks_folds_to_a_prefix_of_the_events(
    chunks: list[dict[str, Any]], cut: int
) -> None:
    whole = events(chunks)
    part = events(chunks[:cut], whole=None)
    assert json.dumps(part) == json.dumps(whole[: len(part)])


@settings(max_examples=40)
@given(chunks_, st.booleans())
def test_events_add_up_to_the_items(chunks: list[dict[str, Any]], whole: bool) -> None:
    found = events(chunks, whole=whole)
    told = items(chunks, whole=whole)
    done = {e["output_index"]: e["item"] for e in found if e["type"].endswith("item.done")}
    assert [done[place] for place in sorted(done)] == told
    assert sorted(done) == list(range(len(told)))
    added = [e["output_index"] for e in found if e["type"].endswith("item.added")]
    assert added == sorted(done)
    for place, item in done.items():
        mine = [e for e in found if e["output_index"] == place]
        assert mine[0]["type"] == "response.output_item.added"
        assert mine[-1]["type"] == "response.output_item.done"
        deltas = "".join(e.get("delta", "") for e in mine)
        if item["type"] == "function_call":
            assert deltas == item["arguments"]
        else:
            texts = [part.get("text", part.get("refusal")) for part in item["content"]]
            assert deltas == "".join(texts)


@settings(max_examples=40)
@given(chunks_)
def test_the_items_hold_all_that_the_stored_completion_holds(chunks: list[dict[str, Any]]) -> None:
    told = items(chunks)
    choices = folded(chunks)["choices"]
    for kind, name in (("output_text", "content"), ("refusal", "refusal")):
        stored = sorted("".join(choice["message"].get(name) or "") for choice in choices)
        parts = [
            part.get("text", part.get("refusal"))
            for item in told
            if item["type"] == "message"
            for part in item["content"]
            if part["type"] == kind
        ]
        assert sorted("".join(parts)) == sorted("".join(stored))
    called = [item["arguments"] for item in told if item["type"] == "function_call"]
    stored_calls = [
        call["function"]["arguments"]
        for choice in choices
        for call in choice["message"].get("tool_calls") or []
    ]
    assert sorted(called) == sorted(stored_calls)


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.just("choices"), strange), max_size=6))
def test_whatever_strangers_send_nothing_raises(chunks: list[dict[str, Any]]) -> None:
    for event in events(chunks):
        json.dumps(event)

"""What holds of the fold of chunks, whatever strangers send."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.chunks import MOST_CALLS, MOST_CHOICES, Fold, folded, is_usage_only
from tests.unit.shared.test_chunks import call, calls, chunk, message


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

"""The chunks of a streamed call: numbered once, made ours, logged, folded, seen when allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.chat_worker import publishing as module
from services.chat_worker.live_queue import LiveQueue
from services.chat_worker.publishing import Publishing
from shared.errors import UpstreamInvalidAnswer
from shared.live import Follows, logged_chunks
from tests.unit.chat_worker.test_call import claimed

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def said(content: str, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return {
        "id": "cmpl-9",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **fields,
    }


class Stage:
    """A call's publishing, what was asked before its first chunk, and what readers got."""

    def __init__(self, **job: Any) -> None:
        self.asked = 0
        self.queue = LiveQueue()
        self.queue.follow(Follows("r", begin={"01J": -1}))
        self.publishing = Publishing(
            claimed(stream=True, **job),
            self.queue.stream("01J"),
            before_first=self._ask,
        )

    def _ask(self) -> None:
        self.asked += 1

    def take(self, *chunks: dict[str, Any]) -> Stage:
        for chunk in chunks:
            self.publishing.take(chunk)
        return self

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in logged_chunks(self.publishing.log())]

    def seen(self) -> list[dict[str, Any]]:
        """What was handed to the live stream since the last look."""
        entries = self.queue.take().entries.get("r", ())
        return [json.loads(line) for entry in entries for line in entry.chunks]


def test_a_chunk_keeps_all_but_what_is_ours() -> None:
    chunk = said("Hi", system_fingerprint="fp", created=7, **{"x_groq": {"id": "r1"}})
    (line,) = Stage(created_at=1e9 + 0.7).take(chunk).log()
    assert line == {
        **chunk,
        "id": "chatcmpl-01J",
        "created": 1_000_000_000,
        "model": "acme/m",
        "sequence_number": 0,
    }


def test_numbers_have_no_gaps_where_a_usage_chunk_was_not_asked_for() -> None:
    usage = {**said(""), "choices": [], "usage": USAGE}
    stage = Stage().take(said("a"), usage, said("b"), usage)
    assert [line["sequence_number"] for line in stage.log()] == [0, 1]
    assert [line["choices"][0]["delta"]["content"] for line in stage.log()] == ["a", "b"]


def test_the_usage_chunk_is_the_last_number_where_it_was_asked_for() -> None:
    usage = {**said(""), "choices": [], "usage": USAGE}
    *_, last = Stage(include_usage=True).take(said("a"), usage).log()
    assert (last["sequence_number"], last["choices"], last["usage"]) == (1, [], USAGE)


@pytest.mark.parametrize("include_usage", [False, True])
def test_chunks_without_choices_that_tell_no_usage_are_not_for_readers(include_usage: bool) -> None:
    filtered = {**said(""), "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    stage = Stage(include_usage=include_usage).take(filtered, said("a"))
    assert [line["sequence_number"] for line in stage.log()] == [0]
    assert stage.publishing.completion()["prompt_filter_results"] == [{"prompt_index": 0}]


def test_the_completion_is_what_all_chunks_add_up_to_the_hidden_usage_included() -> None:
    end = said("")
    end["choices"][0] = {"index": 0, "delta": {}, "finish_reason": "stop"}
    usage = {**said(""), "choices": [], "usage": USAGE}
    answer = Stage().take(said("Hi"), said(" you"), end, usage).publishing.completion()
    assert answer["choices"][0]["message"]["content"] == "Hi you"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == USAGE
    assert answer["id"] == "cmpl-9"  # as it came: what is ours is put over it when it is read


def test_readers_see_exactly_what_the_log_holds() -> None:
    stage = Stage().take(said("a"), said("b"))
    assert stage.seen() == stage.log()
    assert stage.asked == 0


def test_a_call_that_may_run_again_shows_nothing_before_it_is_allowed() -> None:
    stage = Stage(on_interrupt="retry").take(said("a"), said("b"))
    assert (stage.asked, stage.seen(), stage.publishing.seen) == (1, [], False)
    stage.publishing.permit()
    stage.take(said("c"))
    assert stage.publishing.seen is True
    assert stage.seen() == stage.log()
    assert stage.asked == 1


def test_a_hidden_chunk_asks_for_nothing_and_shows_nothing() -> None:
    stage = Stage(on_interrupt="retry")
    assert stage.publishing.began is False
    stage.take({**said(""), "choices": []})
    assert (stage.asked, stage.publishing.seen, stage.publishing.log()) == (0, False, b"")
    assert stage.publishing.began is True


@pytest.mark.parametrize("on_interrupt", ["fail", "retry"])
def test_without_a_chunk_nothing_was_seen(on_interrupt: str) -> None:
    stage = Stage(on_interrupt=on_interrupt)
    stage.publishing.permit()
    assert stage.publishing.seen is False
    stage.publishing.end()
    assert stage.seen() == []


def test_a_log_over_its_bound_ends_the_call_and_keeps_what_was_within(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_LOG_BYTES", 1_000)
    stage = Stage().take(said("a"), said("b"))
    with pytest.raises(UpstreamInvalidAnswer) as caught:
        stage.take(*[said("long") for _ in range(10)])
    assert caught.value.may_have_been_billed
    numbers = [line["sequence_number"] for line in stage.log()]
    assert numbers == list(range(len(numbers)))
    assert stage.seen() == stage.log()

"""The events of responses over HTTP without Redis: the row alone is enough for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from shared.domain import JobState
from shared.live import Entry
from shared.store.schema import chat_job
from tests.contract.registry.conftest import CHAT, Registry, refused
from tests.contract.registry.test_chat_streams import ERROR, ended, stored
from tests.contract.registry.test_responses import RESPONSES, body, chat_id, submitted
from tests.contract.registry.test_unreadable import lose

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
RESULT = {
    "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
ORDER = [
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


def chunk(number: int, finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps({"choices": [choice], "sequence_number": number}).encode()


CHUNKS = [
    chunk(0, role="assistant", content=""),
    chunk(1, content="Hel"),
    chunk(2, content="lo"),
    chunk(3, "stop"),
]


def events(data: bytes) -> list[dict[str, Any]]:
    """The events of a whole stream, whose frames must be exactly OpenAI's."""
    *frames, rest = data.split(b"\n\n")
    assert rest == b""
    found = []
    for frame in frames:
        head, _, text = frame.partition(b"\ndata: ")
        event = json.loads(text)
        assert head == b"event: " + event["type"].encode()
        found.append(event)
    return found


def replayed(registry: Registry, response_id: str, after: int | None = None) -> bytes:
    query = "" if after is None else f"&starting_after={after}"
    answer = registry.get(f"{RESPONSES}/{response_id}?stream=true{query}")
    assert (answer.status_code, answer.content_type) == (200, "text/event-stream")
    return bytes(answer.data)


def streamed(registry: Registry, model: str, act: Callable[[Any], None], **fields: Any) -> Any:
    """The answer of a streamed call whose job `act` ends, as a worker would, once it is queued."""
    call = gevent.spawn(lambda: registry.post(RESPONSES, body(model, stream=True, **fields)))
    with gevent.Timeout(10):
        while not (waits := registry.parts.waiting._waits):
            gevent.sleep(0.005)
        (bare,) = waits
        while not (claimed := registry.claim(f"chatcmpl-{bare}")):
            gevent.sleep(0.005)
        act(claimed[0])
        registry.parts.waiting.look()
        return call.get()


@pytest.fixture
def response_id(registry: Registry, slug: str) -> str:
    """A streamed job that has ended."""
    return ended(registry, f"{slug}/m", CHUNKS, result=RESULT).replace("chatcmpl-", "resp_")


def test_events_come_in_openais_order_with_numbers_without_gaps(
    registry: Registry, response_id: str
) -> None:
    found = events(replayed(registry, response_id))
    assert [event["type"] for event in found] == ORDER
    assert [event["sequence_number"] for event in found] == list(range(len(ORDER)))
    assert [event["response"]["status"] for event in found[:3]] == [
        "queued",
        "queued",
        "in_progress",
    ]
    last = found[-1]["response"]
    assert {event["response"]["id"] for event in (*found[:3], found[-1])} == {response_id}
    read = registry.get(f"{RESPONSES}/{response_id}").get_json()
    assert {name: read[name] for name in last} == last
    assert last["output"] == [found[-2]["item"]]
    assert last["usage"]["total_tokens"] == 10


def test_resuming_gives_exactly_the_events_behind_the_number(
    registry: Registry, response_id: str
) -> None:
    whole = replayed(registry, response_id)
    frames = [frame + b"\n\n" for frame in whole.split(b"\n\n")[:-1]]
    for number in range(-1, len(frames) + 1):
        assert replayed(registry, response_id, number) == b"".join(frames[number + 1 :])


def test_live_events_are_the_stored_ones(registry: Registry, slug: str) -> None:
    made = submitted(registry, f"{slug}/m", stream=None)
    (claimed,) = registry.claim(chat_id(made))
    bare = claimed.id
    call = gevent.spawn(registry.get, f"{RESPONSES}/{made['id']}?stream=true")
    with gevent.Timeout(10):
        while bare not in registry.parts.streams.following._follows:
            gevent.sleep(0.005)
    (follow,) = registry.parts.streams.following._follows[bare]
    for place, one in enumerate(CHUNKS[:3]):  # one by one, as they come
        assert follow.give(Entry(bare, place, [one]))
        gevent.sleep(0.01)
    log = stored(registry, bare, CHUNKS)
    registry.finish(claimed, JobState.COMPLETED, result=RESULT, log_sealed=log)
    registry.parts.waiting.look()
    live = call.get(timeout=10)
    assert live.data == replayed(registry, made["id"])
    assert [event["type"] for event in events(live.data)] == ORDER


@pytest.mark.parametrize("background", [False, True])
def test_a_streamed_call_tells_what_a_replay_tells(
    registry: Registry, slug: str, background: bool
) -> None:
    def end(claimed: Any) -> None:
        assert claimed.stream
        assert not claimed.include_usage
        log = stored(registry, claimed.id, CHUNKS)
        registry.finish(claimed, JobState.COMPLETED, result=RESULT, log_sealed=log)

    answer = streamed(registry, f"{slug}/m", end, background=background, instructions="x")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    found = events(answer.data)
    assert [event["type"] for event in found] == ORDER
    assert found[0]["response"]["instructions"] == "x"
    assert answer.headers["Location"] == f"{RESPONSES}/{found[0]['response']['id']}"
    assert replayed(registry, found[0]["response"]["id"]) == answer.data


def test_a_background_stream_tells_its_id_at_once(registry: Registry, slug: str) -> None:
    with gevent.Timeout(5):  # whoever waits for a chunk first waits for 10 s
        answer = registry.post(RESPONSES, body(f"{slug}/m", stream=True, background=True))
    frames = answer.iter_encoded()
    assert [event["type"] for event in events(next(frames))] == ORDER[:2]
    answer.close()


def test_an_answer_that_came_whole_has_events_too(registry: Registry, slug: str) -> None:
    made = submitted(registry, f"{slug}/m")
    registry.completed(chat_id(made), RESULT)
    found = events(replayed(registry, made["id"]))
    assert [event["type"] for event in found] == [*ORDER[:5], *ORDER[6:]]  # one delta
    assert found[5]["delta"] == "Hello"


def test_an_answer_that_was_cut_ends_as_incomplete(registry: Registry, slug: str) -> None:
    cut = {**RESULT, "choices": [{"message": {"content": "Hello"}, "finish_reason": "length"}]}
    job_id = ended(registry, f"{slug}/m", [*CHUNKS[:3], chunk(3, "length")], result=cut)
    last = events(replayed(registry, job_id.replace("chatcmpl-", "resp_")))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_broken_stream_closes_what_is_open_and_ends_as_failed(
    registry: Registry, slug: str
) -> None:
    how = {"state": JobState.FAILED, "error_code": ERROR["code"], "error": ERROR}
    job_id = ended(registry, f"{slug}/m", CHUNKS[:2], **how)
    found = events(replayed(registry, job_id.replace("chatcmpl-", "resp_")))
    assert [event["type"] for event in found] == [*ORDER[:6], *ORDER[7:-1], "response.failed"]
    assert found[-2]["item"]["status"] == "incomplete"
    assert found[-1]["response"]["error"] == ERROR
    assert found[-1]["response"]["output"] == [found[-2]["item"]]


def test_a_response_that_is_deleted_ends_its_streams(registry: Registry, slug: str) -> None:
    made = submitted(registry, f"{slug}/m", stream=None)
    call = gevent.spawn(registry.get, f"{RESPONSES}/{made['id']}?stream=true")
    with gevent.Timeout(10):
        while not registry.parts.waiting._waits:
            gevent.sleep(0.005)
    gevent.sleep(0.05)
    registry.call("DELETE", f"{RESPONSES}/{made['id']}")
    last = events(call.get(timeout=10).data)[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "cancelled")


def test_a_foreground_stream_that_fails_before_it_says_anything_is_an_http_error(
    registry: Registry, slug: str
) -> None:
    def fail(claimed: Any) -> None:
        registry.finish(claimed, JobState.FAILED, error_code=ERROR["code"], error=ERROR)

    refused(streamed(registry, f"{slug}/m", fail), 502, "upstream_stream_broken")


def test_the_chunks_of_a_response_are_those_of_its_chat(
    registry: Registry, response_id: str
) -> None:
    path = f"{CHAT}/{response_id.replace('resp_', 'chatcmpl-')}?stream=true"
    chunks = [line[6:] for line in registry.get(path).data.split(b"\n") if line[:7] == b"data: {"]
    assert chunks == CHUNKS


@pytest.mark.parametrize("column", ["result_sealed", "log_sealed"])
def test_what_does_not_open_is_told_and_takes_nothing_else_away(
    registry: Registry, response_id: str, column: str
) -> None:
    lose(registry, chat_job, response_id.removeprefix("resp_"), column)
    read = registry.get(f"{RESPONSES}/{response_id}").get_json()
    assert (read["status"], read["error"]["code"]) == ("completed", "unreadable")
    found = events(replayed(registry, response_id))
    assert found[0]["type"] == "response.created"
    assert found[-1]["type"] == "response.failed"
    assert found[-1]["response"]["error"]["code"] == "unreadable"


def test_a_body_that_does_not_open_is_an_error_of_ours(
    registry: Registry, slug: str, response_id: str
) -> None:
    made = submitted(registry, f"{slug}/m")
    lose(registry, chat_job, made["id"].removeprefix("resp_"), "original_sealed")
    for query in ("", "?stream=true"):
        refused(registry.get(f"{RESPONSES}/{made['id']}{query}"), 500, "unreadable")
    assert not registry.parts.streams._open

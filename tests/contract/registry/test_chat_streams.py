"""Streams over HTTP without Redis: the row alone is enough for every chunk, and for the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
import sqlalchemy as sa

from services.registry.chat.frames import PING, ChunkFrames
from shared.domain import JobState
from shared.errors import StoreUnavailable
from shared.live import ChunkLog
from shared.store import jobs
from shared.store.schema import chat_job
from tests.contract.registry.conftest import CHAT, Registry, chat_body, refused
from tests.contract.registry.test_unreadable import lose

CHUNKS = [json.dumps({"choices": [], "sequence_number": n}).encode() for n in range(4)]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ANSWER = {
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi", "tool_calls": [CALL]},
            "finish_reason": "stop",
        }
    ],
    "usage": {"total_tokens": 3},
    "system_fingerprint": "fp",
}
ERROR = {"message": "m", "type": "upstream_error", "code": "upstream_stream_broken", "param": None}


def stored(registry: Registry, bare: str, chunks: list[bytes]) -> str:
    log = ChunkLog()
    for chunk in chunks:
        log.append(chunk)
    place = {"table": jobs.TABLE, "row": bare, "column": jobs.LOG}
    return registry.parts.sealer.seal(log.packed(), **place)


def ended(registry: Registry, model: str, chunks: list[bytes], **end: Any) -> str:
    """The id of a streamed job that has ended with these chunks."""
    body = {**chat_body(model), "background": True}
    job_id = str(registry.post(CHAT, body).get_json()["id"])
    (claimed,) = registry.claim(job_id)
    log = stored(registry, claimed.id, chunks) if chunks else None
    count = len(chunks) or None
    state = end.pop("state", JobState.COMPLETED)
    registry.finish(claimed, state, log_sealed=log, log_chunks=count, **end)
    return job_id


def expected(chunks: list[bytes], first: int, end: bytes = b"data: [DONE]\n\n") -> bytes:
    framed = [b"id: %d\ndata: %b\n\n" % (n, chunk) for n, chunk in enumerate(chunks, first)]
    return b"".join(framed) + end


def streamed(registry: Registry, act: Callable[[Any], None], **fields: Any) -> Any:
    """The answer of a streamed call whose job `act` ends, as a worker would, once it is queued."""
    body = chat_body(fields.pop("model"), stream=True, **fields)
    call = gevent.spawn(lambda: registry.post(CHAT, body))
    with gevent.Timeout(10):
        while not (waits := registry.parts.waiting._waits):
            gevent.sleep(0.005)
        (bare,) = waits
        while not (claimed := registry.claim(f"chatcmpl-{bare}")):
            gevent.sleep(0.005)
        act(claimed[0])
        registry.parts.waiting.look()
        return call.get()


def test_a_stored_stream_is_replayed_to_the_byte(registry: Registry, slug: str) -> None:
    job_id = ended(registry, f"{slug}/m", CHUNKS, result=ANSWER)
    answer = registry.get(f"{CHAT}/{job_id}?stream=true")
    assert answer.content_type == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.data == expected(CHUNKS, 0)


@pytest.mark.parametrize("after", [-1, 0, 2, 3, 99])
def test_it_is_resumed_behind_any_number(registry: Registry, slug: str, after: int) -> None:
    job_id = ended(registry, f"{slug}/m", CHUNKS, result=ANSWER)
    path = f"{CHAT}/{job_id}?stream=true"
    rest = expected(CHUNKS[after + 1 :], after + 1)
    assert registry.get(f"{path}&starting_after={after}").data == rest
    if after >= 0:
        assert registry.get(path, Last_Event_ID=str(after)).data == rest
        both = registry.get(f"{path}&starting_after={after}", Last_Event_ID="1")
        assert both.data == rest  # the query wins


def test_who_has_every_chunk_reads_none_of_the_log(registry: Registry, slug: str) -> None:
    job_id = ended(registry, f"{slug}/m", CHUNKS, result=ANSWER)
    lose(registry, chat_job, job_id.removeprefix("chatcmpl-"), "log_sealed")
    path = f"{CHAT}/{job_id}?stream=true&starting_after="
    assert registry.get(f"{path}3").data == b"data: [DONE]\n\n"
    assert b'"code":"unreadable"' in registry.get(f"{path}2").data


def test_a_release_that_did_not_count_leaves_the_log_to_be_read(
    registry: Registry, slug: str
) -> None:
    job_id = ended(registry, f"{slug}/m", CHUNKS, result=ANSWER)
    with registry.database.write() as tx:
        tx.execute(sa.update(chat_job).values(log_chunks=None))
    for after in (-1, 3):
        answer = registry.get(f"{CHAT}/{job_id}?stream=true&starting_after={after}")
        assert answer.data == expected(CHUNKS[after + 1 :], after + 1)


def test_a_failed_stream_tells_its_chunks_and_then_its_error(registry: Registry, slug: str) -> None:
    job_id = ended(
        registry,
        f"{slug}/m",
        CHUNKS[:2],
        state=JobState.FAILED,
        error_code=ERROR["code"],
        error=ERROR,
    )
    data = registry.get(f"{CHAT}/{job_id}?stream=true").data
    head, _, last = data.rpartition(b"data: ")
    assert head == expected(CHUNKS[:2], 0, b"")
    assert json.loads(last) == {"error": ERROR}
    assert b"[DONE]" not in data


def test_an_answer_that_came_whole_is_replayed_as_two_chunks(registry: Registry, slug: str) -> None:
    job_id = ended(registry, f"{slug}/m", [], result=ANSWER)
    job = registry.job(job_id)
    text = registry.get(f"{CHAT}/{job_id}?stream=true").text
    first, second = [
        json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")
    ]
    assert first["choices"][0]["delta"] == {
        "role": "assistant",
        "content": "Hi",
        "tool_calls": [{"index": 0, **CALL}],
    }
    assert first["system_fingerprint"] == "fp"
    assert second["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    for number, chunk in enumerate((first, second)):
        assert chunk["sequence_number"] == number
        assert chunk["object"] == "chat.completion.chunk"
        assert (chunk["id"], chunk["model"]) == (job_id, job["model"])
        assert chunk["created"] == job["created"]
    assert text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("background", [False, True])
def test_a_streamed_call_has_no_id_lines_and_ends_with_done(
    registry: Registry, slug: str, background: bool
) -> None:
    def end(claimed: Any) -> None:
        assert claimed.stream
        log = stored(registry, claimed.id, CHUNKS)
        registry.finish(claimed, JobState.COMPLETED, result=ANSWER, log_sealed=log)

    answer = streamed(registry, end, model=f"{slug}/m", background=background)
    assert answer.status_code == 200
    framed = b"".join(b"data: %b\n\n" % chunk for chunk in CHUNKS)
    assert answer.data == framed + b"data: [DONE]\n\n"
    assert registry.get(answer.headers["Location"]).get_json()["background"] is background


@pytest.mark.parametrize("wanted", [True, False])
def test_usage_is_asked_for_always_and_given_to_who_asked(
    registry: Registry, slug: str, wanted: bool
) -> None:
    def end(claimed: Any) -> None:
        place = {"table": jobs.TABLE, "row": claimed.id, "column": jobs.REQUEST}
        sent = json.loads(registry.parts.sealer.open(claimed.request_sealed, **place))
        assert sent["stream"] is True
        assert sent["stream_options"] == {"x": 1, "include_usage": True}
        registry.finish(claimed, JobState.COMPLETED, result=ANSWER)

    options = {"x": 1, "include_usage": wanted}
    text = streamed(registry, end, model=f"{slug}/m", stream_options=options).text
    assert ('"usage":{"total_tokens":3}' in text) is wanted


def test_a_failure_before_the_first_chunk_is_an_http_error(registry: Registry, slug: str) -> None:
    def end(claimed: Any) -> None:
        registry.finish(claimed, JobState.FAILED, error_code=ERROR["code"], error=ERROR)

    answer = streamed(registry, end, model=f"{slug}/m")
    refused(answer, 502, "upstream_stream_broken")
    assert answer.headers["x-should-retry"] == "false"


def test_a_failure_behind_the_first_chunk_ends_the_stream(registry: Registry, slug: str) -> None:
    def end(claimed: Any) -> None:
        log = stored(registry, claimed.id, CHUNKS[:1])
        registry.finish(
            claimed, JobState.FAILED, error_code=ERROR["code"], error=ERROR, log_sealed=log
        )

    answer = streamed(registry, end, model=f"{slug}/m")
    assert answer.status_code == 200
    assert answer.data == b"data: %b\n\ndata: %b\n\n" % (
        CHUNKS[0],
        json.dumps({"error": ERROR}, separators=(",", ":")).encode(),
    )


def test_a_replayed_key_streams_from_the_first_chunk(registry: Registry, slug: str) -> None:
    body = chat_body(f"{slug}/m", stream=True, background=True)

    def end(claimed: Any) -> None:
        log = stored(registry, claimed.id, CHUNKS)
        registry.finish(claimed, JobState.COMPLETED, result=ANSWER, log_sealed=log)

    call = gevent.spawn(registry.post, CHAT, body, Idempotency_Key=slug)
    with gevent.Timeout(10):
        while not (waits := registry.parts.waiting._waits):
            gevent.sleep(0.005)
        (bare,) = waits
        while not (claimed := registry.claim(f"chatcmpl-{bare}")):
            gevent.sleep(0.005)
        end(claimed[0])
        registry.parts.waiting.look()
        first = call.get()
    again = registry.post(CHAT, body, Idempotency_Key=slug)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.data == first.data


def test_another_owner_cannot_resume(registry: Registry, slug: str) -> None:
    job_id = registry.submit(f"{slug}/m", who="ann")["id"]
    refused(registry.get(f"{CHAT}/{job_id}?stream=true", who="ben"), 404, "not_found")


@pytest.mark.parametrize("query", ["starting_after=x", "starting_after=-2", "stream=maybe"])
def test_what_is_no_number_is_refused(registry: Registry, slug: str, query: str) -> None:
    job_id = registry.submit(f"{slug}/m")["id"]
    param = query.partition("=")[0]
    refused(registry.get(f"{CHAT}/{job_id}?{query}&stream=true"), 400, "invalid_value", param)


def test_the_head_of_a_silent_stream_waits_no_longer_than_for_its_first_chunk(
    registry: Registry, slug: str
) -> None:
    stream = registry.parts.streams.open(
        registry.submit(f"{slug}/m")["id"].removeprefix("chatcmpl-")
    )
    stream.begin()
    with gevent.Timeout(5):  # less than from ping to ping
        stream.first(0.01)
        assert next(stream.frames(ChunkFrames(numbered=False))) == PING
    stream.close()


@pytest.mark.parametrize("foreground", [False, True])
def test_a_stop_before_the_first_chunk_ends_what_may_be_resumed_and_spins_for_none(
    registry: Registry, slug: str, foreground: bool
) -> None:
    bare = registry.submit(f"{slug}/m")["id"].removeprefix("chatcmpl-")
    stream = registry.parts.streams.open(bare, foreground=foreground)
    stream.begin(deadline=2e9 if foreground else None)
    waits = gevent.spawn(stream.first, 10)
    gevent.sleep(0.05)
    stream.release()
    worked = time.thread_time()
    waits.join(0.5)
    assert time.thread_time() - worked < 0.2
    assert waits.ready() is not foreground
    waits.kill()
    stream.close()


def test_a_stream_whose_end_cannot_be_read_is_kept_open_and_silent_for_no_long(
    registry: Registry, slug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = ended(registry, f"{slug}/m", CHUNKS, result=ANSWER)
    streams = registry.parts.streams
    monkeypatch.setattr("services.registry.chat.streams.PING_SECONDS", 0.02)
    read, away = streams.read, StoreUnavailable("away")
    monkeypatch.setattr(streams, "read", lambda work: (_ for _ in ()).throw(away))
    stream = streams.open(job_id.removeprefix("chatcmpl-"))
    stream.join()
    frames = stream.frames(ChunkFrames(numbered=True))
    with gevent.Timeout(10):
        assert next(frames) == PING
        monkeypatch.setattr(streams, "read", read)
        registry.parts.waiting.look()
        rest = [frame for frame in frames if frame != PING]
    assert b"".join(rest) == expected(CHUNKS, 0)

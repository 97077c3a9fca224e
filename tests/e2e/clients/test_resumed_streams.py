"""Streams dropped anywhere and resumed at another registry: no gap, no duplicate.

Over raw HTTP: what is compared is the grammar of API.md section 7.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis

from tests.api import CHAT, Api, chat_body
from tests.simulators import Running
from tests.simulators.counting import text_of
from tests.system import System

WORDS = 10
CHUNKS = WORDS + 2
_CHUNK = re.compile(rb"(?:id: (\d+)\n)?data: (\{.*\})\n\n")
_DONE = b"data: [DONE]\n\n"


@pytest.fixture
def elsewhere(second_registry: str, system: System) -> Iterator[Api]:
    """A caller of the other registry."""
    with Api(second_registry, system.admin_key) as made:
        yield made


def begin(api: Api, model: str, **sim: Any) -> tuple[str, list[dict[str, Any]]]:
    """Id of a background stream that was left after its first chunk, and what was heard."""
    body = chat_body(model, background=True, stream=True, sim={"words": WORDS, **sim})
    with api.http.stream("POST", CHAT, json=body) as answer:
        assert answer.status_code == 200
        heard = chunks_of(answer, 1)
    return heard[0]["id"], heard


def follow(api: Api, job_id: str, after: int, count: int) -> list[dict[str, Any]]:
    """The next `count` chunks behind number `after`; then it hangs up."""
    query = f"?stream=true&starting_after={after}"
    with api.http.stream("GET", f"{CHAT}/{job_id}{query}") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return chunks_of(answer, count)


def chunks_of(answer: httpx.Response, count: int) -> list[dict[str, Any]]:
    """The first `count` chunks, fewer where the stream ends before."""
    heard: list[dict[str, Any]] = []
    read = b""
    for piece in answer.iter_bytes():
        read += piece
        while len(heard) < count and (found := _CHUNK.match(read)):
            chunk = json.loads(found[2])
            assert found[1] is None or int(found[1]) == chunk["sequence_number"]
            heard.append(chunk)
            read = read[found.end() :]
        if len(heard) == count:
            break
    return heard


def text(chunks: list[dict[str, Any]]) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def test_a_stream_dropped_at_any_chunk_goes_on_at_another_registry_while_it_runs(
    api: Api, elsewhere: Api, model: str
) -> None:
    job_id, heard = begin(api, model, every=0.05)
    places = (elsewhere, api)
    while len(heard) < CHUNKS:
        asked = places[len(heard) % 2]
        heard += follow(asked, job_id, heard[-1]["sequence_number"], 2)
    assert [chunk["sequence_number"] for chunk in heard] == list(range(CHUNKS))
    assert text(heard) == text_of(WORDS)
    job = api.ended([job_id], 5)[job_id]
    assert job["choices"][0]["message"]["content"] == text_of(WORDS)


def test_readers_of_both_registries_hear_the_same_bytes_after_the_end(
    api: Api, elsewhere: Api, model: str
) -> None:
    job_id, _ = begin(api, model)
    api.ended([job_id], 5)
    whole = api.http.get(f"{CHAT}/{job_id}?stream=true").content
    assert whole.endswith(_DONE)
    frames = whole.removesuffix(_DONE).split(b"\n\n")[:-1]
    assert len(frames) == CHUNKS
    for after in range(-1, CHUNKS):
        query = f"?stream=true&starting_after={after}"
        rest = b"".join(frame + b"\n\n" for frame in frames[after + 1 :]) + _DONE
        for asked in (api, elsewhere):
            assert asked.http.get(f"{CHAT}/{job_id}{query}").content == rest


def test_the_last_event_id_resumes_as_the_query_does_which_wins(api: Api, model: str) -> None:
    job_id, _ = begin(api, model)
    api.ended([job_id], 5)
    path, header = f"{CHAT}/{job_id}?stream=true", {"Last-Event-ID": "8"}
    by_header = api.http.get(path, headers=header)
    assert by_header.content == api.http.get(f"{path}&starting_after=8").content
    assert by_header.headers["cache-control"] == "no-store"
    assert by_header.headers["x-accel-buffering"] == "no"
    by_both = api.http.get(f"{path}&starting_after=10", headers=header).content
    assert [json.loads(found[2])["sequence_number"] for found in _CHUNK.finditer(by_both)] == [11]


def test_a_stream_that_redis_loses_is_heard_whole_by_those_who_follow_and_who_come(
    api: Api, elsewhere: Api, model: str, upstream: Running, system: System
) -> None:
    """Whatever Redis forgets of a stream is in the row of its job."""
    job_id, heard = begin(api, model, hold_before=6)
    with ThreadPoolExecutor(2) as pool:
        following = [pool.submit(follow, one, job_id, 0, CHUNKS) for one in (api, elsewhere)]
        upstream.wait_until(lambda s: s.in_flight == 1, timeout=5)
        with redis.Redis.from_url(system.process("registry").environ()["REDIS_URL"]) as held:
            held.flushall()
        upstream.release()
        rests = [one.result(20) for one in following]
        with redis.Redis.from_url(system.process("registry").environ()["REDIS_URL"]) as held:
            held.flushall()
    rests += [follow(one, job_id, 0, CHUNKS) for one in (api, elsewhere)]
    for rest in rests:
        assert [chunk["sequence_number"] for chunk in heard + rest] == list(range(CHUNKS))
        assert text(heard + rest) == text_of(WORDS)


def test_many_readers_of_one_running_stream_hear_all_of_it(
    api: Api, elsewhere: Api, model: str, upstream: Running
) -> None:
    job_id, _ = begin(api, model, every=0.03)
    asked = [(api, elsewhere)[n % 2] for n in range(10)]
    with ThreadPoolExecutor(len(asked)) as pool:
        heard = list(pool.map(lambda one: follow(one, job_id, -1, CHUNKS), asked))
    assert all(chunks == heard[0] for chunks in heard)
    assert text(heard[0]) == text_of(WORDS)
    assert upstream.stats().begun == 1

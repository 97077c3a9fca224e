"""Many requests that are harmless one by one; each play asserts what they may cost the others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.api import CHAT, chat_body
from tests.campaigns.load import session
from tests.eventually import eventually
from tests.integration.clients.conftest import QUEUE_LIMIT, World
from tests.integration.clients.wire import HANG, head

HELD_OPEN = 150  # connections
PROMPT = HANG  # seconds within which others are served meanwhile

Ask = Callable[[aiohttp.ClientSession], Awaitable[aiohttp.ClientResponse]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer of a crowd."""

    status: int
    code: str | None
    headers: Mapping[str, str]
    body: Any
    seconds: float


def crowd(world: World, asks: Sequence[Ask]) -> list[Seen]:
    """All of them at once; none may be answered with 500 or more, nor after more than 5 s."""

    async def one(http: aiohttp.ClientSession, ask: Ask) -> Seen:
        began = time.monotonic()
        answer = await ask(http)
        async with answer:
            body = await answer.json(content_type=None) if answer.status != 304 else None
        error = (body or {}).get("error") if answer.status >= 400 else None
        seconds = time.monotonic() - began
        return Seen(answer.status, error and error["code"], answer.headers, body, seconds)

    async def all_of_them() -> list[Seen]:
        async with session(world.system.url, world.key) as http:
            return await asyncio.gather(*(one(http, ask) for ask in asks))

    seen = asyncio.run(all_of_them())
    bad = [one for one in seen if one.status >= 500 or one.seconds > HANG]
    assert not bad, f"{len(bad)} of {len(seen)}, for example {bad[0]}"
    return seen


def call(method: str, path: str, body: Any = None) -> Ask:
    """One request of a crowd."""
    return lambda http: http.request(method, path, json=body)


def submits(world: World, count: int, model: str = "", **fields: Any) -> list[Ask]:
    """So many background jobs."""
    body = chat_body(model or world.model, background=True, **fields)
    return [call("POST", CHAT, body)] * count


@contextlib.contextmanager
def provider(world: World, name: str, **options: Any) -> Iterator[dict[str, Any]]:
    """One of its own, deleted at the end."""
    made = world.api.add_provider(name, world.sim.endpoint, options=options)
    try:
        yield made
    finally:
        world.api.http.delete(f"/v1/providers/{made['id']}")


def prompt(world: World) -> None:
    """Somebody else is served."""
    answer = world.ask("GET", "/v1/me")
    assert answer.status == 200
    assert answer.seconds < PROMPT, answer.seconds


def one_key_at_once(world: World) -> None:
    """Fifty posts with one key are one job; another body with it is refused."""
    body = chat_body(world.model, background=True)
    keyed = {"Idempotency-Key": "crowd"}
    seen = crowd(world, [lambda http: http.post(CHAT, json=body, headers=keyed)] * 50)
    assert len({one.body["id"] for one in seen}) == 1
    other = chat_body(world.model, background=True, seed=1)
    (refused,) = crowd(world, [lambda http: http.post(CHAT, json=other, headers=keyed)])
    assert (refused.status, refused.code) == (422, "idempotency_key_reused")


def _held_open(world: World, sent: bytes) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(HELD_OPEN):
            place = ("127.0.0.1", world.system.port)
            stack.enter_context(socket.create_connection(place, timeout=HANG)).sendall(sent)
        prompt(world)


def heads_without_end(world: World) -> None:
    """Requests whose head never ends keep nobody else waiting."""
    _held_open(world, b"GET /v1/me HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")


def bodies_without_end(world: World) -> None:
    """Requests whose body never comes keep nobody else waiting."""
    sized = ("Content-Type: application/json", "Content-Length: 1000", world.bearer())
    _held_open(world, head("POST", CHAT, *sized) + b'{"model": ')


def answers_that_nobody_reads(world: World) -> None:
    """Clients that ask and never read keep nobody else waiting."""
    _held_open(world, head("GET", "/openapi.json"))


def poll_storm(world: World) -> None:
    """A running job is asked for 150 times at once, and waited for fifty times."""
    world.sim.hold()
    try:
        job_id = world.api.submit(world.model, "stormed")
        waits = {"Prefer": "wait=1"}
        polls = [call("GET", f"{CHAT}/{job_id}")] * 150
        polls += [lambda http: http.get(f"{CHAT}/{job_id}", headers=waits)] * 50
        polls += [call("GET", f"{CHAT}?limit=100")] * 20
        seen = crowd(world, polls)
    finally:
        world.sim.release()
    assert {one.status for one in seen} == {200}
    assert world.api.ended([job_id], HANG)[job_id]["status"] == "completed"


def cancels_that_race(world: World) -> None:
    """Cancels while the answer comes: each job ends once, as it was told, and stays so."""
    ids = [one.body["id"] for one in crowd(world, submits(world, 40, sim={"latency": 0.05}))]
    told = crowd(world, [call("POST", f"{CHAT}/{job_id}/cancel") for job_id in ids])
    assert {one.status for one in told} == {200}
    ended = {one.body["id"]: one.body["status"] for one in told}
    assert set(ended.values()) <= {"completed", "cancelled"}
    assert {job_id: job["status"] for job_id, job in world.api.ended(ids, HANG).items()} == ended


def deleted_in_mid_job(world: World) -> None:
    """The running call ends as if nothing had happened, those that wait end at once."""
    with provider(world, "deleted", max_concurrency=1) as made:
        world.sim.hold()
        try:
            ids = [world.api.submit(f"{made['slug']}/m", f"mid-{n}") for n in range(4)]
            eventually(lambda: world.sim.calls_of("mid-0").in_flight == 1, HANG)
            (gone,) = crowd(world, [call("DELETE", f"/v1/providers/{made['id']}")])
            assert gone.status == 204
            waiting = world.api.ended(ids[1:], HANG)
        finally:
            world.sim.release()
        assert {job["error"]["code"] for job in waiting.values()} == {"provider_deleted"}
        assert world.api.ended(ids[:1], HANG)[ids[0]]["status"] == "completed"


def edits_at_once(world: World) -> None:
    """A hundred changes of one provider within a second: every one counts, once."""
    with provider(world, "edited") as made:
        path = f"/v1/providers/{made['id']}"
        edits = [call("PATCH", path, {"description": f"{n}"}) for n in range(100)]
        seen = [one for n in range(0, 100, 25) for one in crowd(world, edits[n : n + 25])]
        assert {one.status for one in seen} == {200}
        revisions = sorted(one.body["revision"] for one in seen)
        assert revisions == list(range(made["revision"] + 1, made["revision"] + 101))


def a_full_queue(world: World) -> None:
    """Beyond the limit of the queue jobs are refused, with a time to come again."""
    with provider(world, "full", max_concurrency=1) as made:
        world.sim.hold()
        try:
            model = f"{made['slug']}/m"
            seen = [*crowd(world, submits(world, QUEUE_LIMIT + 60, model))]

            def is_full() -> bool:
                seen.extend(crowd(world, submits(world, 1, model)))
                return seen[-1].status == 429

            # Each process counts the rows once a second: until then all may have been let in.
            eventually(is_full, 5)
            prompt(world)
        finally:
            world.sim.release()
    refused = [one for one in seen if one.status != 202]
    assert {(one.status, one.code) for one in refused} == {(429, "queue_full")}
    assert {0 < int(one.headers["Retry-After"]) <= 120 for one in refused} == {True}
    assert Counter(one.status for one in seen)[202] >= QUEUE_LIMIT


CROWDS: Sequence[Callable[[World], None]] = (
    *(one_key_at_once, heads_without_end, bodies_without_end, answers_that_nobody_reads),
    *(poll_storm, cancels_that_race, deleted_in_mid_job, edits_at_once, a_full_queue),
)

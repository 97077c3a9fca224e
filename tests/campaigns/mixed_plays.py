"""What each kind of chat does, from its submission to what it looks at afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from tests.api import CHAT
from tests.campaigns.load import FAILURES
from tests.campaigns.readers import Reading, follow, read

if TYPE_CHECKING:
    from tests.campaigns.mixed_load import Chat, MixedLoad

POSTS: Final = 5  # with each Idempotency-Key
AGAIN_SECONDS: Final = 0.3  # before a post, a cancel or a delete is repeated
PATIENCE_SECONDS: Final = 60.0
CLOSING_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 0.05
LATEST_CANCEL: Final = 1.2  # seconds after the submission
SECOND_READER: Final = 0.3  # of the background streams

Play = Callable[["MixedLoad", aiohttp.ClientSession, "Chat"], Awaitable[None]]


async def submitted(load: MixedLoad, http: aiohttp.ClientSession, chat: Chat) -> None:
    """Background and plain calls: one post, and whatever is answered."""
    began, at = time.monotonic(), time.time()
    try:
        async with http.post(CHAT, json=load.body(chat)) as answer:
            status, document = answer.status, await answer.json(content_type=None)
    except (*FAILURES, ValueError) as error:
        load.refuse(chat, at=at, why=type(error).__name__)
        return
    if status in (200, 202):
        load.accept(chat, document["id"], at=at, took=time.monotonic() - began)
    else:
        load.refuse(chat, at=at, why=f"{status} {document['error']['code']}")


async def streamed(load: MixedLoad, http: aiohttp.ClientSession, chat: Chat) -> None:
    """Streams: read, and come back when the connection is lost; `t` loses it on purpose."""
    reading = Reading()
    began, at = time.monotonic(), time.time()
    most = load.dice.randint(0, 40) if chat.kind == "t" else 10**9
    try:
        async with http.post(CHAT, json=load.body(chat)) as answer:
            if answer.status != 200:
                document = await answer.json(content_type=None)
                load.refuse(chat, at=at, why=f"{answer.status} {document['error']['code']}")
                return
            job_id = answer.headers["Location"].rpartition("/")[2]
            load.accept(chat, job_id, at=at, took=time.monotonic() - began)
            chat.readings.append(reading)
            await read(answer, reading, most=most)
    except FAILURES as error:
        if not chat.job_id:
            load.refuse(chat, at=at, why=type(error).__name__)
            return
    if chat.kind == "t" and load.dice.random() < SECOND_READER:
        chat.readings.append(Reading())
    await asyncio.gather(*(follow(http, chat.job_id, one) for one in chat.readings))


async def posted_again(load: MixedLoad, http: aiohttp.ClientSession, chat: Chat) -> None:
    """Five posts of one body under one key; each is repeated until it is answered."""
    body = load.body(chat)
    if load.dice.random() < 0.5:  # half of them wait for the answer
        body = {name: value for name, value in body.items() if not name.startswith("background")}
        chat.hooked = False
    at, began = time.time(), time.monotonic()
    answers = await asyncio.gather(*(_until_answered(http, chat, body) for _ in range(POSTS)))
    chat.job_ids = {job_id for job_id in answers if job_id is not None}
    if chat.job_ids:
        load.accept(chat, min(chat.job_ids), at=at, took=time.monotonic() - began)


async def _until_answered(
    http: aiohttp.ClientSession, chat: Chat, body: Mapping[str, Any]
) -> str | None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            async with http.post(CHAT, json=body, headers={"Idempotency-Key": chat.mark}) as answer:
                document = await answer.json(content_type=None)
                if answer.status in (200, 202):
                    return str(document["id"])
                if answer.status != 503:
                    chat.wrong.append(f"{answer.status} {document['error']['code']}")
                    return None
        except (*FAILURES, ValueError):
            pass  # nothing is known of it: that is what the key is for
        await asyncio.sleep(AGAIN_SECONDS)
    chat.wrong.append(f"no answer within {PATIENCE_SECONDS:g} s")
    return None


async def ended_early(load: MixedLoad, http: aiohttp.ClientSession, chat: Chat) -> None:
    """Cancel or delete the job at any time, and see how long its call stays open."""
    await submitted(load, http, chat)
    if not chat.job_id:
        return
    await asyncio.sleep(load.dice.uniform(0, LATEST_CANCEL))
    until = time.monotonic() + PATIENCE_SECONDS
    while chat.ended_at is None and time.monotonic() < until:
        began = time.monotonic()
        try:
            status, document = await _end(http, chat)
        except (*FAILURES, ValueError):
            status, document = 503, {}
        if status == 200:
            chat.took, chat.ended_at = time.monotonic() - began, time.time()
            if chat.kind == "c":
                load.see(document)
        elif status == 404 and chat.kind == "d":  # an earlier try's answer was lost
            chat.ended_at = time.time()
        elif status != 503:
            chat.wrong.append(f"answered {status}: {document}")
            return
        else:
            await asyncio.sleep(AGAIN_SECONDS)
    if chat.ended_at is None:
        chat.wrong.append(f"no answer within {PATIENCE_SECONDS:g} s")
        return
    chat.gone = chat.kind == "d"
    await _closed(load, chat)


async def _end(http: aiohttp.ClientSession, chat: Chat) -> tuple[int, dict[str, Any]]:
    path = f"{CHAT}/{chat.job_id}"
    call = http.delete(path) if chat.kind == "d" else http.post(f"{path}/cancel")
    async with call as answer:
        return answer.status, await answer.json(content_type=None)


async def _closed(load: MixedLoad, chat: Chat) -> None:
    began = time.monotonic()
    while (passed := time.monotonic() - began) < CLOSING_SECONDS:
        calls = await asyncio.to_thread(load.scene.upstream.calls_of, chat.mark)
        if not calls.in_flight:
            chat.closed = passed
            return
        await asyncio.sleep(LOOK_SECONDS)


PLAYS: Final[Mapping[str, Play]] = {
    "b": submitted,
    "r": submitted,
    "p": submitted,
    "s": streamed,
    "t": streamed,
    "i": posted_again,
    "c": ended_early,
    "d": ended_early,
}

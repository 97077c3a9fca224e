"""Notices of ended jobs: gathered, never waited for, and lost rather than kept."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisAway

from services.chat_worker import notices as module
from services.chat_worker.notices import Notices


class PlayedRedis:
    """Takes a notice once `gate` is open; away while `fault` is set."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.fault: Exception | None = None
        self.published: list[str] = []

    async def publish(self, channel: str, notice: str) -> None:
        assert channel == "dragoman:ended"
        self.asked.set()
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.published.append(notice)

    async def aclose(self) -> None:
        pass


def made() -> tuple[PlayedRedis, Notices]:
    server = PlayedRedis()
    return server, Notices(server)  # type: ignore[arg-type]


def test_what_ends_while_a_notice_is_under_way_is_the_next_one() -> None:
    async def run() -> list[str]:
        server, notices = made()
        server.gate.clear()
        notices.ended(["a"])
        async with asyncio.timeout(5):
            await server.asked.wait()
        notices.ended(["b", "c"])
        notices.ended([])
        notices.ended(["d"])
        server.gate.set()
        await notices.aclose()
        return server.published

    assert asyncio.run(run()) == ["a", "b,c,d"]


def test_what_redis_did_not_take_is_lost_and_what_follows_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> list[str]:
        server, notices = made()
        server.fault = RedisAway("gone")
        for name in ("a", "b"):
            notices.ended([name])
            assert notices._task is not None
            await notices._task
        server.fault = None
        notices.ended(["c"])
        await notices.aclose()
        return server.published

    caplog.set_level("INFO")
    assert asyncio.run(run()) == ["c"]
    messages = [record.message for record in caplog.records]
    assert messages == [
        "notices are lost; waiters fall back to reading",
        "notices go out again",
    ]


def test_a_stop_waits_for_no_redis_that_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_SECONDS", 0.05)

    async def run() -> None:
        server, notices = made()
        server.gate.clear()
        notices.ended(["a"])
        async with asyncio.timeout(1):
            await notices.aclose()

    asyncio.run(run())

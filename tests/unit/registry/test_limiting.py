"""Counts of keys with limits: over all processes, and in each alone while Redis is away."""

from __future__ import annotations

import logging
from typing import Any

import fakeredis
import pytest
from flask import Flask
from redis.exceptions import ConnectionError as RedisAway

from services.registry.limiting import (
    REST_SECONDS,
    SUMMED_SECONDS,
    Limiter,
    RequestCounts,
    Standing,
    TokenCounts,
)
from shared.errors import RateLimited
from shared.store.access import Caller, Limits, Role

NOON = 1_795_003_200.0 // 86_400 * 86_400 + 43_200


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


class FailingRedis:
    """A Redis that is away while told so; counts how often it was asked."""

    def __init__(self) -> None:
        self.client = fakeredis.FakeRedis()
        self.away = True
        self.asked = 0

    def pipeline(self, **options: Any) -> Any:
        self.asked += 1
        if self.away:
            raise RedisAway("away")
        return self.client.pipeline(**options)


def counts(client: Any, clock: Clock) -> RequestCounts:
    return RequestCounts(client, now=clock, monotonic=clock)


def used(of: RequestCounts, times: int, limit: int = 5) -> list[int]:
    return [of.count("key_1", limit).used for _ in range(times)]


def test_processes_share_one_count_and_each_minute_begins_anew() -> None:
    server, clock = fakeredis.FakeRedis(), Clock()
    first, second = counts(server, clock), counts(server, clock)
    assert [used(first, 2), used(second, 2), used(first, 1)] == [[1, 2], [3, 4], [5]]
    assert used(second, 1) == [6]
    assert first.count("key_2", 5).used == 1
    clock.now += 59.5
    assert used(first, 1) == [7]
    clock.now += 0.5
    assert [used(first, 1), used(second, 1)] == [[1], [2]]
    names = server.keys()
    assert all(0 < server.ttl(name) <= 120 for name in names)


def test_beyond_its_own_count_a_process_asks_nobody() -> None:
    client, clock = FailingRedis(), Clock()
    client.away = False
    used(counts(client, clock), 9, limit=3)
    assert client.asked == 3


def test_without_redis_each_process_lets_through_no_more_than_the_limit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, clock = FailingRedis(), Clock()
    alone = counts(client, clock)
    with caplog.at_level(logging.INFO):
        assert used(alone, 4) == [1, 2, 3, 4]
        assert client.asked == 1  # then it is left alone, and nobody waits for it
        clock.now += REST_SECONDS
        assert used(alone, 1) == [5]
        assert client.asked == 2
        client.away = False
        clock.now += REST_SECONDS
        assert used(alone, 1) == [6]
    told = [record.levelname for record in caplog.records]
    assert told == ["WARNING"]  # once, not for every request; beyond the limit none is asked


def test_a_redis_that_is_back_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    client, clock = FailingRedis(), Clock()
    alone = counts(client, clock)
    with caplog.at_level(logging.INFO):
        used(alone, 1)
        client.away = False
        clock.now += REST_SECONDS
        assert used(alone, 3) == [2, 3, 4]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


class Sums:
    """Transactions whose reads find these tokens; counts them."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.reads = 0

    def read(self, _: Any) -> int:
        self.reads += 1
        return self.tokens


def test_a_days_tokens_are_summed_every_five_seconds_at_most() -> None:
    clock = Clock()
    sums: Any = Sums(7)
    tokens = TokenCounts(sums, now=clock, monotonic=clock)
    assert [tokens.of("key_1", 10).used for _ in range(3)] == [7, 7, 7]
    assert sums.reads == 1
    sums.tokens = 11
    clock.now += SUMMED_SECONDS
    assert tokens.of("key_1", 10).used == 11
    sums.tokens = 0
    clock.now += 43_200 - SUMMED_SECONDS  # midnight
    assert tokens.of("key_1", 10) == Standing("tokens", 10, 0, 86_400.0)
    assert sums.reads == 3


@pytest.mark.parametrize(
    ("reset", "told"), [(0.2, "1s"), (59.1, "1m0s"), (61.0, "1m1s"), (43_199.5, "12h0m0s")]
)
def test_what_is_left_is_told_as_openai_tells_it(reset: float, told: str) -> None:
    assert Standing("tokens", 10, 12, reset).headers() == {
        "x-ratelimit-limit-tokens": "10",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": told,
    }


def caller(limits: Limits | None) -> Caller:
    return Caller("key_1", "ann", Role.MEMBER, None, limits=limits)


@pytest.mark.parametrize("limits", [None, Limits()])
def test_a_key_without_limits_asks_nobody(limits: Limits | None) -> None:
    client: Any = FailingRedis()
    sums: Any = Sums(0)
    clock = Clock()
    limiter = Limiter(counts(client, clock), TokenCounts(sums))
    limiter.request(caller(limits))
    assert limiter.submission(caller(limits)) is None
    assert (client.asked, sums.reads) == (0, 0)


def test_the_limit_itself_is_still_let_through() -> None:
    clock = Clock()
    sums: Any = Sums(9)
    limiter = Limiter(
        counts(fakeredis.FakeRedis(), clock), TokenCounts(sums, now=clock, monotonic=clock)
    )
    asking = caller(Limits(2, 10))
    with Flask("test").test_request_context():
        limiter.request(asking)
        limiter.request(asking)
        with pytest.raises(RateLimited) as refused:
            limiter.request(asking)
        assert refused.value.retry_after == 60
        assert limiter.submission(asking) is None
        sums.tokens = 10
        clock.now += SUMMED_SECONDS
        assert isinstance(limiter.submission(asking), RateLimited)

"""Checks before their time: refreshes that are asked for, and what chats prove."""

from __future__ import annotations

import pytest

from services.discovery_worker.ledger import Observation
from services.discovery_worker.scheduler import calls_for_check
from shared.domain import DiscoveryStatus
from shared.store.discovery import Standing
from tests.registered import NOW
from tests.unit.discovery.conftest import Play, Stage, working


def test_who_is_asked_for_is_checked_at_once_and_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        acme = stage.registry.add("acme")
        async with working(stage):
            await stage.listed(acme)
            stage.now += 5
            for _ in range(20):
                stage.scheduler.ask(acme)
            await stage.until(lambda: stage.checked_at(acme) == stage.now)
            stage.scheduler.ask("prov_unknown")
            other = stage.registry.add("other")
            await stage.listed(other)
            assert stage.servers.calls.count("acme") == 2

    play(scene)


def test_a_refresh_is_answered_whatever_the_backoff_and_needs_no_message(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        acme = stage.registry.add("acme")
        async with working(stage):
            await stage.listed(acme)
            stage.now += 5
            stage.registry.refresh(acme)
            await stage.until(lambda: stage.checked_at(acme) == stage.now)
            assert stage.servers.calls.count("acme") == 2

    play(scene)


def test_a_refresh_during_a_check_is_answered_by_another_one(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        stage.servers.held = {"acme"}
        acme = stage.registry.add("acme")
        async with working(stage):
            await stage.servers.called(lambda calls: "acme" in calls)
            stage.registry.refresh(acme)
            stage.scheduler.look_soon()
            await stage.servers.release("acme")
            await stage.servers.called(lambda calls: calls.count("acme") == 2)
            await stage.until(lambda: stage.refresh_seen(acme) == 1)
        assert stage.servers.most_open["acme"] == 1

    play(scene)


def test_what_a_chat_proved_during_a_check_is_looked_into_after_it(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        acme = stage.registry.add("acme", key="sk-1")
        async with working(stage):
            await stage.listed(acme)
            stage.scheduler.observe(acme, Observation(key_works=True, revision=1))
            await stage.until(lambda: stage.key_verified_at(acme))
            stage.now += 60
            stage.servers.held = {"acme"}
            stage.registry.refresh(acme)
            stage.scheduler.look_soon()
            await stage.servers.called(lambda calls: calls.count("acme") == 3)
            stage.scheduler.observe(acme, Observation(key_works=False, revision=1))
            await stage.until(lambda: stage.key_verified_at(acme) is None)
            await stage.servers.release("acme")
            await stage.servers.called(lambda calls: calls.count("acme") == 4)

    play(scene)


def test_a_chat_that_was_refused_causes_a_check(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        acme = stage.registry.add("acme", key="sk-1")
        async with working(stage):
            await stage.listed(acme)
            stage.now += 60
            stage.scheduler.observe(acme, Observation(key_works=False, revision=1))
            await stage.until(lambda: stage.checked_at(acme) == stage.now)

    play(scene)


@pytest.mark.parametrize(
    ("key_works", "status", "age", "expected"),
    [
        (True, DiscoveryStatus.OK, 9999.0, False),
        (True, DiscoveryStatus.NO_MODELS_ROUTE, 9999.0, False),
        (True, DiscoveryStatus.PENDING, None, False),
        (True, DiscoveryStatus.UNREACHABLE, 1.0, True),
        (True, DiscoveryStatus.AUTH_FAILED, 1.0, True),
        (True, DiscoveryStatus.DISABLED, 1.0, False),
        (False, DiscoveryStatus.OK, 31.0, True),
        (False, DiscoveryStatus.OK, 29.0, False),
        (False, DiscoveryStatus.AUTH_FAILED, 9999.0, False),
        (False, DiscoveryStatus.PENDING, None, True),
    ],
)
def test_a_chat_calls_for_a_check_only_when_it_contradicts_the_last_verdict(
    key_works: bool, status: DiscoveryStatus, age: float | None, expected: bool
) -> None:
    standing = Standing(status, None if age is None else NOW - age)
    assert calls_for_check(Observation(key_works, 1), standing, NOW) is expected

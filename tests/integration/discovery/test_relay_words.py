"""What a relay says while Redis or the database is away: the end of a trouble, if it told one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import gevent
import pytest
import redis
import sqlalchemy as sa

from services.registry import relay
from services.registry.database import Transactions
from services.registry.relay import Relay
from shared.errors import StoreUnavailable
from tests.integration.discovery.scene import Plain, Scene

NONE, AGAIN = "no events go out", "events go out again"


class Flaky(Plain):
    """Transactions on a database that may be away."""

    away = False

    def read(self, work: Callable[[sa.Connection], Any]) -> Any:
        self._ask()
        return super().read(work)

    glance = read

    def write(self, work: Callable[[sa.Connection], Any]) -> Any:
        self._ask()
        return super().write(work)

    def _ask(self) -> None:
        if self.away:
            raise StoreUnavailable("The database does not answer.", retry_after=1)


class Stand:
    """A relay that runs by itself, some turns at a time."""

    def __init__(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        self.scene, self._caplog = scene, caplog
        self.database = Flaky(scene.stage.database)
        self.relay = Relay(
            cast(Transactions, self.database),
            scene.client,
            holder="first",
            monotonic=lambda: scene.now,
        )

    def some_turns(self) -> None:
        """Among them one that renews the duty and compares the stream, and ones that need not."""
        self.scene.now += 3
        gevent.sleep(0.1)

    @property
    def said(self) -> list[str]:
        return [text for text in self._caplog.messages if "events go out" in text]


@pytest.fixture
def stand(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stand]:
    monkeypatch.setattr(relay, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(relay, "REST_SECONDS", 0.01)
    caplog.set_level("INFO")
    made = Stand(scene, caplog)
    made.relay.start()
    made.some_turns()
    yield made
    made.relay.stop()


def test_of_a_database_that_was_away_it_does_not_say_that_events_go_out_again(
    stand: Stand,
) -> None:
    for away in (True, False):
        stand.database.away = away
        stand.some_turns()
    assert stand.said == []


def test_that_events_go_out_again_is_said_once_they_do(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise redis.ConnectionError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(stand.scene.client, "type", refuse)
        stand.some_turns()
        assert stand.said == [NONE]
        stand.database.away = True
        stand.some_turns()
    stand.some_turns()
    assert stand.said == [NONE]  # Redis is back, but nothing can be read that would go out
    stand.database.away = False
    stand.some_turns()
    assert stand.said == [NONE, AGAIN]

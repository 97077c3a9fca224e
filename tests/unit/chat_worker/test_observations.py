"""What chats proved reaches discovery when it is news, and not with every chat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from services.chat_worker.senders import NEWS_AFTER, REPEAT_AFTER, Outbox
from shared.domain import DiscoveryStatus
from tests.eventually import eventually

OK, REFUSED = DiscoveryStatus.OK, DiscoveryStatus.AUTH_FAILED


class SentTasks:
    """Stands in for Celery: keeps what would be sent."""

    def __init__(self) -> None:
        self.verdicts: list[str] = []

    def send_task(self, _name: str, *, kwargs: dict[str, Any], **_options: object) -> None:
        self.verdicts.append(kwargs["verdict"])


class Told:
    """An outbox at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.tasks = SentTasks()
        celery, doorbell = cast(Any, self.tasks), cast(Any, None)
        self.outbox = Outbox(celery, doorbell, clock=lambda: self.now)

    def observe(self, verdict: DiscoveryStatus, *, revision: int = 1) -> None:
        self.outbox.observe("prov_1", revision, verdict)

    def sent(self, *verdicts: DiscoveryStatus) -> bool:
        """Whether exactly these were sent, once the thread has had its turn."""
        expected = [verdict.value for verdict in verdicts]
        eventually(lambda: len(self.tasks.verdicts) >= len(expected), 5)
        self.outbox.stop()  # whatever waits would have gone out before
        return self.tasks.verdicts == expected


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    told.outbox.start()
    yield told
    told.outbox.stop()


def once_sent(told: Told, number: int) -> None:
    eventually(lambda: len(told.tasks.verdicts) == number, 5)


def test_the_same_is_told_again_only_after_half_a_minute(told: Told) -> None:
    told.observe(OK)
    once_sent(told, 1)
    told.now += REPEAT_AFTER - 1
    told.observe(OK)
    told.now += 1
    told.observe(OK)
    assert told.sent(OK, OK)


def test_a_change_is_told_without_waiting(told: Told) -> None:
    for number, verdict in enumerate((OK, REFUSED, OK), 1):
        told.observe(verdict)
        once_sent(told, number)
        told.now += NEWS_AFTER
    assert told.sent(OK, REFUSED, OK)


def test_a_provider_that_answers_now_so_now_so_is_not_told_of_with_every_chat(told: Told) -> None:
    for verdict in (OK, REFUSED, OK, REFUSED):
        told.observe(verdict)
    assert told.sent(OK)


def test_the_first_success_after_a_failed_call_is_news(told: Told) -> None:
    told.observe(OK)
    once_sent(told, 1)
    told.outbox.stumbled("prov_1")
    told.observe(OK)  # a server that fails every other call would make news each second
    told.now += NEWS_AFTER
    told.observe(OK)
    assert told.sent(OK, OK)


def test_a_changed_provider_is_news(told: Told) -> None:
    told.observe(OK)
    once_sent(told, 1)
    told.now += NEWS_AFTER
    told.observe(OK, revision=2)
    assert told.sent(OK, OK)


def test_the_bell_is_let_go_before_it_rings_for_others_and_who_let_it_go_looks_again() -> None:
    happened: list[str] = []

    class Doorbell:
        def ring(self, *, hops: int) -> None:
            happened.append(f"ring {hops}")

        def answered(self) -> None:
            happened.append("let go")

    doorbell = cast(Any, Doorbell())
    outbox = Outbox(cast(Any, None), doorbell, on_answered=lambda: happened.append("look"))
    outbox.ring(hops=1)
    outbox.answer()
    outbox.start()
    eventually(lambda: len(happened) == 3, 5)
    outbox.stop()
    assert happened == ["let go", "look", "ring 1"]

"""Events as a stream: what was, then what happens, until the client or the process ends it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import gevent
import pytest
import sqlalchemy as sa
from gevent import socket

from services.registry.events import following
from services.registry.events.following import Followers
from shared import ids
from shared.domain import EventType
from shared.errors import StoreUnavailable
from shared.store import events
from shared.store.access import Role
from shared.store.events import Event
from shared.store.schema import api_key
from tests.contract.registry.conftest import Registry, refused
from tests.contract.registry.hand import soon
from tests.contract.registry.test_events import newest

EVENTS = "/v1/events"
PING = b": ping\n"


def opened(registry: Registry, query: str = "", *, who: str = "admin", **headers: str) -> Any:
    answer = registry.get(f"{EVENTS}?{query}", who=who, Accept="text/event-stream", **headers)
    assert answer.status_code == 200, answer.text
    return answer


def append(registry: Registry, count: int, subject: str = "prov_x") -> int:
    """As another process appends events; the number of the last."""
    with registry.database.write() as tx:
        for _ in range(count):
            last = events.append(tx, EventType.MODELS_CHANGED, subject=subject, revision=1, at=1.0)
    return last.seq


@pytest.fixture
def followers(registry: Registry) -> Iterator[Followers]:
    """Followers of their own, so that what is set for one test stays in it."""
    made = Followers(registry.parts.transactions)
    yield made
    made.release()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes' events are looked for more often than each second."""
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.05)


def everything(_: Event) -> bool:
    return True


def numbers(stream: Iterator[Sequence[Event]], upto: int) -> list[int]:
    """The numbers that a follower gets, until it has this one."""
    seen: list[int] = []
    for batch in stream:
        seen += [event.seq for event in batch]
        if seen and seen[-1] >= upto:
            break
    return seen


@pytest.mark.usefixtures("impatient")
def test_a_stream_holds_only_what_is_wanted(registry: Registry) -> None:
    begin, wanted = newest(registry), ids.new(ids.PROVIDER)
    append(registry, 60)
    append(registry, 1, wanted)
    answer = opened(registry, f"after={begin}&provider={wanted}&type=models.changed&limit=1")
    stream = answer.iter_encoded()
    assert next(stream) == PING
    assert next(stream).startswith(b"id: %d\n" % (begin + 61))
    append(registry, 1)
    append(registry, 1, wanted)
    registry.parts.followers.look_now()
    assert next(stream).startswith(b"id: %d\n" % (begin + 63))
    answer.close()


@pytest.mark.usefixtures("impatient")
def test_a_client_that_comes_back_goes_on_where_it_was(registry: Registry) -> None:
    begin = newest(registry)
    append(registry, 5)
    for query, header, first in (
        (f"after={begin}", str(begin + 3), begin + 4),  # how a lost stream is taken up again
        (f"after={begin + 2}", str(begin), begin + 3),
        ("", str(begin + 1), begin + 2),
    ):
        answer = opened(registry, query, Last_Event_ID=header)
        stream = answer.iter_encoded()
        assert next(stream) == PING
        assert next(stream).startswith(b"id: %d\n" % first)
        answer.close()


@pytest.mark.usefixtures("impatient")
def test_a_stream_ends_with_its_key(registry: Registry) -> None:
    who = f"admin-{registry.name()}"
    registry.keys[who] = registry.add_key(who, Role.ADMIN)
    answer = opened(registry, f"after={newest(registry)}", who=who)
    stream = answer.iter_encoded()
    assert next(stream) == PING
    with registry.database.write() as tx:
        mine = api_key.c.owner == who
        tx.execute(sa.update(api_key).where(mine).values(revoked_at=1.0))
    registry.parts.authenticator._kept.clear()  # in 2 s by itself
    soon(append, registry, 1)
    assert list(stream) == []


@pytest.mark.usefixtures("impatient")
def test_nothing_is_missing_however_far_behind_a_follower_is(
    registry: Registry, followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "KEPT", 20)
    monkeypatch.setattr(following, "BATCH", 7)
    begin = newest(registry)
    last = append(registry, 50)
    whole = list(range(begin + 1, last + 1))
    assert numbers(followers.follow(begin, everything), last) == whole
    # One who reads slowly falls out of what is kept in memory, and is served all the same.
    quick, slow = (followers.follow(last, everything) for _ in range(2))
    ahead = gevent.spawn(numbers, quick, last + 1)
    soon(append, registry, 1)
    first = next(slow)
    assert ahead.get() == [event.seq for event in first] == [last + 1]
    again = append(registry, 50)
    followers.look_now()
    rest = list(range(last + 2, again + 1))
    assert numbers(followers.follow(last + 1, everything), again) == rest
    assert numbers(slow, again) == rest


def test_many_followers_share_one_reader(
    registry: Registry, followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = newest(registry)
    seen: list[list[int]] = [[] for _ in range(50)]

    def follow(mine: list[int]) -> None:
        for batch in followers.follow(last, everything):
            mine += [event.seq for event in batch]
            if mine[-1:] == [last + 10]:
                return

    streams = [gevent.spawn(follow, mine) for mine in seen]
    append(registry, 1)
    with gevent.Timeout(20):  # until all are there and have caught up
        while not all(seen):
            gevent.sleep(0.01)
    reads, read = 0, registry.parts.transactions.read

    def counted(work: Any) -> Any:
        nonlocal reads
        reads += 1
        return read(work)

    monkeypatch.setattr(registry.parts.transactions, "read", counted)
    append(registry, 9)
    followers.look_now()
    gevent.joinall(streams, timeout=20)
    assert {tuple(mine) for mine in seen} == {tuple(range(last + 1, last + 11))}
    assert reads <= 5  # looks, one a second at most beside the one that was asked for


@pytest.mark.usefixtures("impatient")
def test_silence_is_broken_by_pings(
    registry: Registry, followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PING_SECONDS", 0.05)
    stream = followers.follow(newest(registry), everything)
    began = time.monotonic()
    assert [list(next(stream)) for _ in range(2)] == [[], []]
    assert 0.1 <= time.monotonic() - began < 2


@pytest.mark.usefixtures("impatient")
def test_a_follower_that_hangs_up_is_let_go(registry: Registry, followers: Followers) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        waits = gevent.spawn(list, followers.follow(newest(registry), everything, ours))
        gevent.sleep(0.15)
        assert not waits.ready()
        theirs.close()
        assert waits.get(timeout=2) == []


@pytest.mark.usefixtures("impatient")
def test_a_client_that_takes_nothing_is_cut_off(
    registry: Registry, followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "STALL_SECONDS", 0.1)
    ours, theirs = socket.socketpair()
    begin = newest(registry)
    append(registry, 1)

    def send() -> str:
        try:
            for _ in followers.follow(begin, everything, ours):
                ours.sendall(b"x" * 10_000_000)
        except BrokenPipeError:
            return "cut off"
        return "all was sent"

    with ours, theirs:
        assert gevent.spawn(send).get(timeout=5) == "cut off"


def test_a_stop_ends_streams_at_once_and_lets_none_begin(
    registry: Registry, followers: Followers
) -> None:
    last = newest(registry)
    waits = gevent.spawn(list, followers.follow(last, everything))
    polls = gevent.spawn(followers.wait, last, everything, 60)
    gevent.sleep(0.05)
    followers.release()
    assert waits.get(timeout=1) == []
    polls.get(timeout=1)
    assert list(followers.follow(last - 1, everything)) == []


def test_an_older_database_ends_streams_instead_of_waiting_for_its_numbers(
    registry: Registry, followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = newest(registry)
    waits = gevent.spawn(list, followers.follow(last, everything))
    gevent.sleep(0.2)
    with monkeypatch.context() as patch:
        patch.setattr(events, "last_seq", lambda tx: last - 1)
        followers.look_now()
        assert waits.get(timeout=2) == []
    begin = last - 1  # whoever comes next is served what the database holds
    assert numbers(followers.follow(begin, everything), last) == [last]


@pytest.mark.usefixtures("impatient")
def test_a_stream_outlives_a_database_that_is_away_for_a_while(
    registry: Registry, followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = newest(registry)
    waits = gevent.spawn(numbers, followers.follow(last, everything), last + 1)
    gevent.sleep(0.1)

    def away(_: Any) -> Any:
        raise StoreUnavailable("away", retry_after=1)

    with monkeypatch.context() as patch:
        patch.setattr(registry.parts.transactions, "read", away)
        append(registry, 1)
        gevent.sleep(0.2)
    assert waits.get(timeout=2) == [last + 1]


@pytest.mark.usefixtures("impatient")
def test_followers_are_bounded(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    query = f"after={newest(registry)}"
    answer = opened(registry, query)
    stream = answer.iter_encoded()
    assert next(stream) == PING
    waiting = gevent.spawn(next, stream, None)
    gevent.sleep(0.05)
    monkeypatch.setattr(following, "MOST", 1)
    for headers in ({"Accept": "text/event-stream"}, {"Prefer": "wait=5"}):
        refused(registry.get(f"{EVENTS}?{query}", **headers), 429, "rate_limited")
    assert registry.get(f"{EVENTS}?{query}").status_code == 200
    append(registry, 1)
    assert waiting.get(timeout=3)
    answer.close()
    monkeypatch.setattr(following, "MOST", 2)
    registry.parts.followers.check_room()

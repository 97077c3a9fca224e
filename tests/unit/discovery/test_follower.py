"""The follower misses nothing that the database cannot tell it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest
import redis

from services.discovery_worker.follower import Follower


class Stream:
    """A stream in memory that answers as redis-py does; `xread` never blocks."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, str]]] = []
        self.missing = False
        self.last = 0
        self.reads = 0

    def add(self, seq: int) -> None:
        self.entries.append((f"{seq}-0", {"seq": str(seq), "type": "provider.changed"}))
        self.last = seq

    def xread(self, streams: Mapping[str, str], count: int, block: int) -> Any:
        self.reads += 1
        (after,) = (int(id_.partition("-")[0]) for id_ in streams.values())
        found = [e for e in self.entries if int(e[0].partition("-")[0]) > after]
        return [["dragoman:events", found]] if found and not self.missing else []

    def xinfo_stream(self, name: str) -> Any:
        if self.missing:
            raise redis.ResponseError("no such key")
        return {"last-generated-id": f"{self.last}-0"}


class Stage:
    def __init__(self) -> None:
        self.stream = Stream()
        self.now = 1000.0
        self.seq = 0  # of the database
        self.rereads = 0
        self.heard: list[str] = []
        self.follower = Follower(
            cast("redis.Redis", self.stream),
            reread=self._reread,
            on_event=lambda fields: self.heard.append(fields["seq"]),
            unavailable=(OSError,),
            clock=lambda: self.now,
        )

    def _reread(self) -> int:
        self.rereads += 1
        return self.seq

    def publish(self, *seqs: int) -> None:
        for seq in seqs:
            self.stream.add(seq)
            self.seq = max(self.seq, seq)


@pytest.fixture
def stage() -> Stage:
    """A follower that has started with an empty database and stream."""
    stage = Stage()
    assert stage.follower.turn()
    assert stage.rereads == 1
    return stage


def test_events_are_heard_in_order_without_reading_the_database(stage: Stage) -> None:
    stage.publish(1, 2, 3)
    assert stage.follower.turn()
    stage.publish(4)
    assert stage.follower.turn()
    assert (stage.heard, stage.rereads) == (["1", "2", "3", "4"], 1)


def test_it_starts_behind_what_the_database_has() -> None:
    late = Stage()
    late.publish(1, 2)
    late.follower.turn()
    late.publish(3)
    late.follower.turn()
    assert late.heard == ["3"]


def test_a_gap_is_read_from_the_database_once_and_then_followed_on(stage: Stage) -> None:
    stage.publish(1)
    stage.follower.turn()
    stage.publish(4)  # 2 and 3 were trimmed
    assert stage.follower.turn() is False
    assert stage.rereads == 2
    stage.publish(5)
    assert stage.follower.turn()
    assert stage.heard == ["1", "5"]


def test_a_wiped_stream_is_noticed_within_ten_seconds(stage: Stage) -> None:
    stage.publish(1, 2)
    stage.follower.turn()
    stage.stream.entries.clear()
    stage.stream.missing = True
    stage.now += 9.9
    stage.follower.turn()
    assert stage.rereads == 1
    stage.now += 0.2
    stage.follower.turn()
    assert stage.rereads == 2


def test_a_stream_that_ends_elsewhere_is_noticed(stage: Stage) -> None:
    stage.publish(1, 2)
    stage.follower.turn()
    stage.stream.last = 1  # wiped, and written again from another start
    stage.now += 10.1
    stage.follower.turn()
    assert stage.rereads == 2


def test_a_stream_that_agrees_causes_no_read_for_five_minutes(stage: Stage) -> None:
    stage.publish(1)
    stage.follower.turn()
    for _ in range(29):
        stage.now += 10.1
        stage.follower.turn()
    assert stage.rereads == 1
    stage.now += 10.1
    stage.follower.turn()
    assert stage.rereads == 2


def test_a_stream_of_another_database_is_waited_out_not_spun_on(stage: Stage) -> None:
    stage.stream.add(900)
    assert [stage.follower.turn() for _ in range(3)] == [False, False, False]
    assert stage.heard == []


def test_a_read_that_fails_is_made_again(stage: Stage) -> None:
    stage.publish(1, 5)

    def away() -> int:
        raise OSError("the database is away")

    working, stage.follower._reread = stage.follower._reread, away
    with pytest.raises(OSError, match="away"):
        stage.follower.turn()
    stage.follower._reread = working
    assert stage.follower.turn() is False
    assert stage.rereads == 2
    assert stage.heard == ["1"]

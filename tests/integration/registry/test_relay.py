"""The relay: every event once, in order, whatever becomes of the stream or of the leader."""

from __future__ import annotations

import os
import signal

import redis

from shared import live
from tests.eventually import eventually
from tests.integration.registry.conftest import Process, Stage


def ends_at(stage: Stage, seq: int) -> bool:
    try:
        return stage.stream()[-1:] == [f"{seq}-0"]
    except redis.ConnectionError:
        return False


def test_events_go_out_in_the_order_of_their_numbers(stage: Stage, registry: Process) -> None:
    registry.api.add_provider("first", "http://127.0.0.1:9")
    last = stage.append_events(600)
    eventually(lambda: ends_at(stage, last), 5)
    assert stage.stream() == [f"{seq}-0" for seq in range(1, last + 1)]
    with stage.redis() as client:
        (_, entry), *_ = client.xrange(live.STREAM, count=1)
    assert set(entry) == {"id", "seq", "type", "subject", "revision", "at"}
    assert (entry["seq"], entry["type"]) == ("1", "provider.created")


def test_a_wiped_stream_comes_back(stage: Stage, registry: Process) -> None:
    last = stage.append_events(1)
    eventually(lambda: ends_at(stage, last), 5)
    stage.valkey.flush()
    eventually(lambda: ends_at(stage, last), 5)


def test_the_stream_of_another_database_is_replaced(stage: Stage, registry: Process) -> None:
    last = stage.append_events(1)
    eventually(lambda: ends_at(stage, last), 5)
    with stage.redis() as client:
        client.xadd(live.STREAM, {"id": "evt_foreign"}, id="999999-0")
    eventually(lambda: ends_at(stage, last), 5)
    next_ = stage.append_events(1)
    eventually(lambda: ends_at(stage, next_), 5)


def test_something_else_under_the_name_of_the_stream_is_replaced(
    stage: Stage, registry: Process
) -> None:
    with stage.redis() as client:
        client.set(live.STREAM, "no stream")
    last = stage.append_events(1)

    def back() -> bool:
        with stage.redis() as client:
            return client.type(live.STREAM) == "stream" and ends_at(stage, last)

    eventually(back, 5)


def test_events_of_the_time_without_redis_follow_once_it_is_back(
    stage: Stage, registry: Process
) -> None:
    stage.valkey.stop()
    last = stage.append_events(3)
    stage.valkey.start()
    eventually(lambda: ends_at(stage, last), 8)


def test_another_registry_takes_over_from_one_that_was_killed(
    stage: Stage, registry: Process
) -> None:
    with stage.process() as second:
        os.killpg(registry.popen.pid, signal.SIGKILL)
        made = second.api.add_provider("second", "http://127.0.0.1:9")
        with stage.database.read() as tx:
            last = tx.exec_driver_sql("SELECT max(seq) FROM event").scalar_one()
        eventually(lambda: ends_at(stage, last), 12)
        with stage.redis() as client:
            ((_, entry),) = client.xrevrange(live.STREAM, count=1)
        assert entry["subject"] == made["id"]

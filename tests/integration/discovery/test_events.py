"""The follower and the registry's relay agree on the stream, and survive its loss."""

from __future__ import annotations

import threading

import redis

from services.discovery_worker.follower import Follower
from services.registry.relay import Relay
from shared.live import STREAM
from shared.queues import quick_redis
from shared.store.database import UNAVAILABLE
from tests.eventually import eventually
from tests.integration.discovery.scene import Scene


def test_what_the_relay_publishes_is_heard_in_order_with_every_field(scene: Scene) -> None:
    registry = scene.stage.registry
    acme = registry.add("acme", key="sk-1")
    registry.rotate(acme, "sk-2")
    other = registry.add("other")
    registry.enable(other, False)
    scene.turn()
    registry.enable(other, True)
    registry.change(acme)
    registry.delete(other)
    scene.turn()
    assert scene.subjects == [
        ("created", acme),
        ("key_rotated", acme),
        ("created", other),
        ("disabled", other),
        ("enabled", other),
        ("changed", acme),
        ("deleted", other),
    ]
    assert set(scene.heard[0]) == {"id", "seq", "type", "subject", "revision", "at"}
    assert [fields["seq"] for fields in scene.heard] == [str(n) for n in range(1, 8)]
    assert scene.rereads == 1


def test_a_wiped_stream_costs_at_most_one_read_and_no_later_event(scene: Scene) -> None:
    registry = scene.stage.registry
    registry.add("before")
    scene.turn()
    scene.stage.valkey.flush()
    scene.turn(later=11)
    registry.add("after")
    scene.turn(later=3)
    scene.turn(later=11)
    assert [fields["seq"] for fields in scene.heard] == ["1", "2"]
    assert scene.rereads <= 2


def test_a_stream_that_stays_away_is_replaced_by_reading(scene: Scene) -> None:
    scene.stage.registry.add("before")
    scene.turn()
    scene.stage.valkey.flush()
    for _ in range(3):
        scene.now += 11
        scene.follower.turn()
    assert scene.rereads == 4


def test_events_that_were_trimmed_unread_are_read_from_the_database(scene: Scene) -> None:
    for number in range(5):
        scene.stage.registry.add(f"p{number}")
    scene.relay.turn()
    scene.client.xtrim(STREAM, maxlen=1, approximate=False)
    assert scene.follower.turn() is False
    assert (scene.rereads, scene.heard) == (2, [])
    scene.stage.registry.add("later")
    scene.turn()
    assert [fields["seq"] for fields in scene.heard] == ["6"]


def test_a_follower_at_work_outlives_the_loss_of_redis(scene: Scene) -> None:
    heard: list[str] = []
    read_once = threading.Event()

    def reread() -> int:
        newest = scene._reread()
        read_once.set()
        return newest

    follower = Follower(
        quick_redis(scene.stage.settings, timeout=5),
        reread=reread,
        on_event=lambda fields: heard.append(fields["seq"]),
        unavailable=UNAVAILABLE,
        block_seconds=0.05,
    )
    follower.start()
    try:
        assert read_once.wait(5)
        scene.stage.registry.add("one")
        scene.relay.turn()
        eventually(lambda: heard == ["1"], 5)
        scene.stage.valkey.stop()
        scene.stage.valkey.wipe()
        scene.stage.valkey.start()
        scene.stage.registry.add("two")
        scene.now += 10
        eventually(lambda: _published(scene.relay), 5)
        eventually(lambda: heard == ["1", "2"], 5)
    finally:
        follower.stop()


def _published(relay: Relay) -> bool:
    try:
        relay.turn()
    except redis.RedisError:
        return False
    return True

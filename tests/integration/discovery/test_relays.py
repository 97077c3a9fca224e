"""Relays that come and go, and streams that others have touched: every event once, in order."""

from __future__ import annotations

import pytest
import redis
import sqlalchemy as sa

from shared.live import STREAM
from shared.store.schema import leader
from tests.integration.discovery.scene import Scene


def added(scene: Scene, *slugs: str) -> list[str]:
    """The ids of new providers: an event each."""
    return [scene.stage.registry.add(slug) for slug in slugs]


def expire_lease(scene: Scene) -> None:
    """As it would be after five seconds without the leader."""
    with scene.stage.database.write() as tx:
        tx.execute(sa.update(leader).values(lease_until=0))


def test_one_relay_leads_and_the_next_goes_on_behind_its_last_event(scene: Scene) -> None:
    second = scene.another_relay("second")
    ids = added(scene, "a", "b")
    scene.relay.turn()
    ids += added(scene, "c")
    second.turn()  # the first one's lease runs
    assert [subject for _, subject in scene.entries()] == ids[:2]
    expire_lease(scene)
    scene.now += 2
    second.turn()
    assert scene.entries() == [(f"{seq}-0", id_) for seq, id_ in enumerate(ids, 1)]


def test_a_leader_that_was_overtaken_publishes_nothing_twice_and_steps_back(scene: Scene) -> None:
    second = scene.another_relay("second")
    ids = added(scene, "a")
    scene.relay.turn()
    ids += added(scene, "b")
    expire_lease(scene)
    second.turn()
    with pytest.raises(redis.ResponseError):
        scene.relay.turn()  # it has slept, and does not know yet
    ids += added(scene, "c")
    scene.now += 2
    second.turn()  # renews
    scene.relay.turn()  # learns that it does not lead
    ids += added(scene, "d")
    scene.relay.turn()
    assert len(scene.entries()) == 3
    second.turn()
    assert scene.entries() == [(f"{seq}-0", id_) for seq, id_ in enumerate(ids, 1)]
    scene.follower.turn()
    assert [fields["subject"] for fields in scene.heard] == ids


def test_a_stream_that_was_trimmed_to_nothing_goes_on_with_the_next_number(scene: Scene) -> None:
    added(scene, "a", "b")
    scene.relay.turn()
    scene.client.xtrim(STREAM, maxlen=0, approximate=False)
    scene.now += 3
    scene.relay.turn()
    assert scene.entries() == []
    (third,) = added(scene, "c")
    scene.relay.turn()
    assert scene.entries() == [("3-0", third)]


@pytest.mark.parametrize("place", [3, 4, 5, 7])
def test_an_entry_of_others_among_ours_is_found_although_our_numbers_pass_it(
    scene: Scene, place: int
) -> None:
    ids = added(scene, "a", "b")
    scene.relay.turn()
    foreign = {"id": "evt_foreign", "seq": str(place), "subject": "prov_foreign"}
    scene.client.xadd(STREAM, foreign, id=f"{place}-0")  # type: ignore[arg-type]
    ids += added(scene, "c", "d", "e")
    with pytest.raises(redis.ResponseError):
        scene.relay.turn()
    scene.now += 3
    scene.relay.turn()
    assert scene.entries() == [(f"{seq}-0", id_) for seq, id_ in enumerate(ids, 1)]


def test_a_new_leader_does_not_take_an_entry_of_others_for_the_last_one_s(scene: Scene) -> None:
    ids = added(scene, "a", "b")
    scene.relay.turn()
    foreign = {"id": "evt_foreign", "seq": "4", "subject": "prov_foreign"}
    scene.client.xadd(STREAM, foreign, id="4-0")  # type: ignore[arg-type]
    ids += added(scene, "c", "d", "e")
    expire_lease(scene)
    scene.another_relay("second").turn()
    assert scene.entries() == [(f"{seq}-0", id_) for seq, id_ in enumerate(ids, 1)]


def test_a_full_redis_costs_no_entry_that_it_holds(scene: Scene) -> None:
    ids = added(scene, "a", "b")
    scene.relay.turn()
    scene.client.config_set("maxmemory", 1)
    ids += added(scene, "c")
    with pytest.raises(redis.OutOfMemoryError):
        scene.relay.turn()
    assert len(scene.entries()) == 2
    scene.client.config_set("maxmemory", 0)
    scene.relay.turn()
    assert scene.entries() == [(f"{seq}-0", id_) for seq, id_ in enumerate(ids, 1)]
    scene.follower.turn()
    assert scene.rereads == 1

"""Whose turn it is: tiers before each other, owners in turn, first in first out."""

from __future__ import annotations

from shared.domain import JobState
from tests.contract.job_store.conftest import Store, outcome_of, refused


def owners(store: Store, want: int, *, turn: str = "") -> list[str]:
    return [job.owner for job in store.claim(want, turn=turn)]


def submit(store: Store, owner: str, count: int = 1, tier: str = "default") -> list[str]:
    return [store.submit(owner=owner, service_tier=tier) for _ in range(count)]


def test_owners_take_turns_and_each_ones_jobs_go_first_in_first_out(store: Store) -> None:
    first = submit(store, "ann", 4)
    second = submit(store, "ben", 2)
    third = submit(store, "cat", 1)
    taken = [job.id for job in store.claim(10)]
    assert taken == [first[0], second[0], third[0], first[1], second[1], first[2], first[3]]


def test_the_turn_goes_on_where_the_last_claim_ended(store: Store) -> None:
    for owner in ("ann", "ben", "cat"):
        submit(store, owner, 3)
    served: list[str] = []
    for _ in range(6):
        served += owners(store, 1, turn=served[-1] if served else "")
    assert served == ["ann", "ben", "cat"] * 2


def test_a_new_owner_is_not_held_back_by_anothers_thousands(store: Store) -> None:
    submit(store, "ann", 300)
    submit(store, "ben", 1)
    assert "ben" in owners(store, 2)


def test_tiers_are_strict(store: Store) -> None:
    flex = submit(store, "ann", 2, tier="flex")
    usual = submit(store, "ann", 2)
    first = submit(store, "ben", 2, tier="priority")
    assert [job.id for job in store.claim(3)] == [*first, usual[0]]
    assert [job.id for job in store.claim(3)] == [usual[1], *flex]


def test_a_full_provider_holds_back_only_its_own_jobs_of_every_tier_and_owner(
    store: Store,
) -> None:
    full = store.add_provider("full", max_concurrency=1)
    ours = [
        store.submit(provider_id=full, owner=owner, service_tier=tier)
        for tier in ("priority", "default")
        for owner in ("ann", "ben")
    ]
    free = submit(store, "ann", 2, tier="flex")
    assert [job.id for job in store.claim(10)] == [ours[0], *free]
    assert store.claim(10) == []


def test_many_lanes_and_many_rows_are_taken_to_the_last(store: Store) -> None:
    everything = set(submit(store, "ann", 150))
    for number in range(12):
        everything.update(submit(store, f"o{number:02}", 2))
    taken = [job.id for job in store.claim(170)]
    assert len(taken) == 170
    taken += [job.id for job in store.claim(170)]
    assert set(taken) == everything
    assert len(taken) == len(everything)


def test_behind_a_closed_gate_one_probe_goes_whatever_the_lanes(store: Store) -> None:
    for owner in ("ann", "ben"):
        for tier in ("default", "flex"):
            submit(store, owner, tier=tier)
    (first, *rest) = store.claim(4)
    assert len(rest) == 3
    for job in (first, *rest):
        store.finish(
            outcome_of(
                job,
                JobState.QUEUED,
                error_code="upstream_unreachable",
                gate=refused(store, at=store.now),
            )
        )
    assert store.claim(10) == []
    store.now += 60
    urgent = store.submit(owner="cat", on_unavailable="fail", service_tier="flex")
    assert {job.id for job in store.claim(10)} == {first.id, urgent}
    assert store.claim(10) == []


def test_the_many_owners_of_a_busy_provider_do_not_slow_others(store: Store) -> None:
    busy = store.add_provider("busy", max_concurrency=1)
    for number in range(40):
        store.submit(provider_id=busy, owner=f"ann{number:02}")
    submit(store, "zoe", 60)
    assert owners(store, 32).count("zoe") == 31

"""Checks of unsaved providers: who runs one, what of it is seen meanwhile, and when it goes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from shared import ids
from shared.store import checks
from shared.store.checks import CLAIM_SECONDS, KEPT_SECONDS, MAX_LOSSES, Check, CheckClaim
from shared.store.database import Database
from tests.registered import NOW


@dataclass
class Checks:
    """Short words for what a registry and a worker do, at a time that the test sets."""

    database: Database
    now: float = NOW

    def insert(self, key_id: str = "key_1") -> str:
        check_id = ids.new(ids.CHECK)
        with self.database.write() as tx:
            checks.insert(tx, check_id, key_id=key_id, request_sealed="asked", now=self.now)
        return check_id

    def get(self, check_id: str) -> Check | None:
        with self.database.read() as tx:
            return checks.get(tx, check_id, now=self.now)

    def wait(self) -> bool:
        with self.database.read() as tx:
            return checks.any_waiting(tx, now=self.now)

    def claim(self, limit: int = 8) -> list[CheckClaim]:
        with self.database.write() as tx:
            return list(checks.claim(tx, now=self.now, limit=limit))

    def fill(self, claim: CheckClaim, result: str, *, done: bool = False) -> bool:
        with self.database.write() as tx:
            return checks.fill(tx, claim, result_sealed=result, done=done)

    def release(self, claim: CheckClaim) -> None:
        with self.database.write() as tx:
            checks.release(tx, claim)

    def begun_since(self, key_id: str, since: float) -> list[float]:
        with self.database.read() as tx:
            return list(checks.begun_since(tx, key_id, since))

    def purge(self) -> None:
        with self.database.write() as tx:
            checks.purge(tx, now=self.now)


@pytest.fixture
def store(database: Database) -> Checks:
    """A store without checks."""
    return Checks(database)


def test_a_check_waits_until_it_is_claimed(store: Checks) -> None:
    assert store.wait() is False
    check_id = store.insert()
    assert store.get(check_id) == Check(check_id, "key_1", False, None, NOW)
    assert store.wait() is True
    (claim,) = store.claim()
    assert claim == CheckClaim(NOW + CLAIM_SECONDS, check_id, "asked", None, 1)
    assert store.wait() is False
    assert store.claim() == []


def test_checks_are_claimed_oldest_first_and_no_more_than_there_is_room_for(
    store: Checks,
) -> None:
    inserted = [store.insert() for _ in range(3)]
    assert store.claim(0) == []
    assert [one.id for one in store.claim(2)] == inserted[:2]
    assert [one.id for one in store.claim(2)] == inserted[2:]


def test_of_eight_workers_that_claim_at_once_one_gets_each_check(store: Checks) -> None:
    inserted = [store.insert() for _ in range(12)]
    with ThreadPoolExecutor(8) as pool:
        claimed = [c.id for found in pool.map(lambda _: store.claim(3), range(8)) for c in found]
    claimed += [claim.id for claim in store.claim(12)]
    assert sorted(claimed) == inserted


def test_steps_are_seen_as_they_are_written_and_the_end_is_final(store: Checks) -> None:
    check_id = store.insert()
    (claim,) = store.claim()
    assert store.fill(claim, "one step")
    seen = store.get(check_id)
    assert seen is not None
    assert (seen.result_sealed, seen.done) == ("one step", False)
    assert store.fill(claim, "all steps", done=True)
    assert store.fill(claim, "too late") is False
    seen = store.get(check_id)
    assert seen is not None
    assert (seen.result_sealed, seen.done) == ("all steps", True)
    store.now += CLAIM_SECONDS + 1
    assert store.wait() is False
    assert store.claim() == []


def test_a_check_whose_worker_died_is_another_workers_and_the_first_one_is_fenced(
    store: Checks,
) -> None:
    check_id = store.insert()
    (first,) = store.claim()
    store.fill(first, "begun")
    store.now += CLAIM_SECONDS + 0.1
    (second,) = store.claim()
    assert (second.id, second.result_sealed, second.tries) == (check_id, "begun", 2)
    assert store.fill(first, "of the dead") is False
    assert store.fill(second, "of the living", done=True)


def test_a_check_that_lost_two_workers_is_claimed_to_be_ended(store: Checks) -> None:
    store.insert()
    lost = []
    for _ in range(MAX_LOSSES + 1):
        (claim,) = store.claim()
        lost.append(claim.is_lost)
        store.now += CLAIM_SECONDS + 0.1
    assert lost == [False, False, True]


def test_a_worker_that_stops_in_order_is_no_loss(store: Checks) -> None:
    store.insert()
    for _ in range(MAX_LOSSES + 2):
        (claim,) = store.claim()
        assert (claim.tries, claim.is_lost) == (1, False)
        store.release(claim)
        store.now += 1


def test_a_claim_that_was_taken_over_is_not_given_back(store: Checks) -> None:
    store.insert()
    (first,) = store.claim()
    store.now += CLAIM_SECONDS + 0.1
    store.claim()
    store.release(first)
    assert store.wait() is False


def test_a_clock_that_was_set_back_an_hour_delays_no_check(store: Checks) -> None:
    store.insert()
    store.claim()
    store.now -= 3600
    assert len(store.claim()) == 1


def test_the_rate_of_a_key_is_told_from_its_own_checks(store: Checks) -> None:
    for later in (0.0, 30.0, 61.0):
        store.now = NOW + later
        store.insert("key_1")
        store.insert("key_2")
    assert store.begun_since("key_1", NOW + 1.0) == [NOW + 30.0, NOW + 61.0]
    assert store.begun_since("key_3", NOW) == []


def test_a_check_is_forgotten_after_ten_minutes_purged_or_not(store: Checks) -> None:
    old = store.insert()
    store.now += KEPT_SECONDS
    assert store.get(old) is not None
    store.now += 1
    new = store.insert()
    assert store.get(old) is None
    assert [one.id for one in store.claim()] == [new]
    with store.database.read() as tx:
        assert checks.any_expired(tx, now=store.now)
    store.purge()
    with store.database.read() as tx:
        assert not checks.any_expired(tx, now=store.now)
        assert checks.get(tx, old, now=NOW) is None
        assert checks.get(tx, new, now=store.now) is not None

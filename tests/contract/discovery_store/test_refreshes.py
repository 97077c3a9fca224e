"""A refresh that is asked for is counted, and answered by a check that began after it."""

from __future__ import annotations

from shared.domain import DiscoveryStatus
from tests.contract.discovery_store.conftest import INTERVAL, Store

FAR = 3600.0


def seen(store: Store, provider_id: str) -> int:
    number: int = store.row(provider_id).refresh_seen
    return number


def test_a_refresh_makes_a_checked_provider_due_and_its_check_answers_it(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "m")
    assert store.candidates() == []
    number = store.registry.refresh(acme)
    assert store.urgent() == {acme: True}
    (claim,) = store.claim(acme)
    assert claim.refresh_asked == number
    assert seen(store, acme) == 0
    store.record(claim, store.found("m"))
    assert seen(store, acme) == number
    assert store.candidates() == []
    assert store.claim(acme) == []


def test_no_backoff_delays_a_refresh(store: Store) -> None:
    acme = store.registry.add("acme")
    (claim,) = store.claim(acme)
    unreachable = DiscoveryStatus.UNREACHABLE
    store.check_with(claim, status=unreachable, failures=9, next_check_at=store.now + FAR)
    assert store.candidates() == []
    store.registry.refresh(acme)
    assert store.urgent() == {acme: True}


def test_many_refreshes_share_one_check(store: Store) -> None:
    acme = store.registry.add("acme")
    numbers = [store.registry.refresh(acme) for _ in range(5)]
    store.check(acme, "m")
    assert seen(store, acme) == numbers[-1]
    assert store.candidates() == []


def test_a_refresh_during_a_check_is_answered_by_the_next(store: Store) -> None:
    acme = store.registry.add("acme")
    (claim,) = store.claim(acme)
    number = store.registry.refresh(acme)
    assert store.candidates() == []  # one check at a time holds
    store.record(claim, store.found("m"))
    assert seen(store, acme) < number
    assert store.urgent() == {acme: True}
    store.check(acme, "m")
    assert seen(store, acme) == number


def test_a_check_that_fails_answers_a_refresh_too(store: Store) -> None:
    acme = store.registry.add("acme")
    number = store.registry.refresh(acme)
    (claim,) = store.claim(acme)
    store.check_with(claim, status=DiscoveryStatus.UNREACHABLE, failures=1)
    assert seen(store, acme) == number


def test_a_finding_that_no_longer_counts_answers_no_refresh(store: Store) -> None:
    acme = store.registry.add("acme")
    number = store.registry.refresh(acme)
    (claim,) = store.claim(acme)
    store.registry.change(acme)
    assert store.record(claim, store.found("m")) is False
    assert seen(store, acme) < number


def test_a_disabled_provider_answers_a_refresh_with_that_verdict_and_one_event(
    store: Store,
) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "m")
    store.registry.enable(acme, False)
    for _ in range(2):
        number = store.registry.refresh(acme)
        assert store.unsettled()
        store.settle()
        assert not store.unsettled()
        assert seen(store, acme) == number
    told = [fact for fact, _ in store.events(acme)]
    assert told.count("provider.status_changed") == 2  # pending to ok, ok to disabled


def test_a_refresh_of_another_provider_makes_none_due(store: Store) -> None:
    acme, other = store.registry.add("acme"), store.registry.add("other")
    for id_ in (acme, other):
        store.check(id_, "m")
    store.registry.refresh(other)
    assert store.claim(acme) == []
    assert store.candidates() == [other]
    store.now += INTERVAL
    assert store.urgent() == {acme: False, other: True}

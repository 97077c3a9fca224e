"""Who is due, whose check it is, and which findings count."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.domain import DiscoveryStatus
from shared.store import discovery
from shared.store.discovery import CLAIM_SECONDS
from tests.contract.discovery_store.conftest import INTERVAL, Store, finding


def test_a_new_provider_is_due_without_anyone_telling(store: Store) -> None:
    acme = store.registry.add("acme")
    assert store.candidates() == [acme]
    assert store.urgent() == {acme: True}


def test_a_claim_holds_all_that_a_check_needs(store: Store) -> None:
    acme = store.registry.add("acme", "http://acme.test:8000", key="sk-1", verify_tls=False)
    (claim,) = store.claim(acme)
    assert claim.until == store.now + CLAIM_SECONDS
    assert (claim.provider_id, claim.revision) == (acme, 1)
    assert claim.models_url == "http://acme.test:8000/v1/models"
    assert (claim.host, claim.port) == ("acme.test", 8000)
    assert claim.api_key_sealed is not None
    assert claim.options == {"verify_tls": False}
    assert (claim.status, claim.failures) == (DiscoveryStatus.PENDING, 0)
    verdict = store.verdict(acme)
    assert verdict is not None
    assert (verdict.status, verdict.checked_at) == (DiscoveryStatus.PENDING, None)


def test_a_claimed_check_is_nobody_elses_until_it_runs_out(store: Store) -> None:
    acme = store.registry.add("acme")
    store.claim(acme)
    assert store.candidates(acme) == []
    assert store.claim(acme, asked=[acme]) == []
    store.now += CLAIM_SECONDS + 0.1
    assert store.candidates() == [acme]
    assert len(store.claim(acme)) == 1


def test_of_eight_workers_that_claim_at_once_one_gets_each_check(store: Store) -> None:
    ids = [store.registry.add(f"p{n}") for n in range(12)]
    with ThreadPoolExecutor(8) as pool:
        claims = [c for found in pool.map(lambda _: store.claim(*ids), range(8)) for c in found]
    assert sorted(claim.provider_id for claim in claims) == sorted(ids)


def test_a_checked_provider_is_due_again_when_its_time_comes(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "m")
    assert store.candidates() == []
    assert store.claim(acme) == []
    store.now += INTERVAL
    assert store.candidates() == [acme]
    assert store.urgent() == {acme: False}


def test_who_is_asked_for_is_checked_before_its_time(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "m")
    assert store.candidates(acme) == [acme]
    assert len(store.claim(acme, asked=[acme])) == 1


def test_a_server_is_one_checks_at_a_time_whoever_claims(store: Store) -> None:
    server = "http://shared.test:8000"
    first, second = store.registry.add("first", server), store.registry.add("second", server)
    elsewhere = store.registry.add("elsewhere", "http://shared.test:9000")
    (claim,) = store.claim(first)
    assert store.claim(second) == []
    assert len(store.claim(elsewhere)) == 1
    assert store.record(claim, store.found("m"))
    assert [one.provider_id for one in store.claim(second)] == [second]


def test_a_worker_that_died_holds_its_server_up_no_longer_than_its_claim(store: Store) -> None:
    server = "http://shared.test:8000"
    first, second = store.registry.add("first", server), store.registry.add("second", server)
    store.claim(first)
    store.now += CLAIM_SECONDS + 0.1
    assert len(store.claim(second)) == 1
    store.now -= 3600  # as after a clock that was set back
    assert len(store.claim(first)) == 1


def test_a_worker_that_claims_waits_for_another_ones_claim_and_then_sees_it(store: Store) -> None:
    server = "http://shared.test:8000"
    first, second = store.registry.add("first", server), store.registry.add("second", server)
    with ThreadPoolExecutor(1) as pool:
        with store.database.write() as tx:
            assert len(discovery.claim(tx, [first], now=store.now, asked=())) == 1
            other = pool.submit(store.claim, second)
            with pytest.raises(TimeoutError):
                other.result(timeout=0.2)
        assert other.result(timeout=10) == []


def test_a_changed_provider_is_due_at_once(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "m")
    store.registry.change(acme, verify_tls=False)
    assert store.urgent() == {acme: True}
    assert store.claim(acme)[0].revision == 2


def test_providers_that_fail_come_after_those_that_do_not(store: Store) -> None:
    broken, healthy = store.registry.add("broken"), store.registry.add("healthy")
    for id_, failures in ((broken, 3), (healthy, 0)):
        (claim,) = store.claim(id_)
        store.record(claim, finding(store.now, failures=failures))
    new = store.registry.add("new")
    store.now += INTERVAL
    assert store.candidates() == [new, healthy, broken]


@pytest.mark.parametrize("gone", ["disabled", "deleted"])
def test_disabled_and_deleted_providers_are_not_checked(store: Store, gone: str) -> None:
    acme = store.registry.add("acme")
    if gone == "disabled":
        store.registry.enable(acme, False)
    else:
        store.registry.delete(acme)
    assert store.candidates(acme) == []
    assert store.claim(acme, asked=[acme]) == []


def test_a_finding_about_an_older_revision_is_dropped_and_the_check_due_again(
    store: Store,
) -> None:
    acme = store.registry.add("acme")
    (claim,) = store.claim(acme)
    store.registry.move(acme, "http://elsewhere.test:8000")
    assert store.record(claim, store.found("of-the-old-server")) is False
    assert store.ids(acme) == []
    assert store.events(acme) == []
    (again,) = store.claim(acme)
    assert (again.host, again.revision) == ("elsewhere.test", 2)


@pytest.mark.parametrize("gone", ["disabled", "deleted"])
def test_a_finding_about_a_provider_that_is_gone_is_dropped(store: Store, gone: str) -> None:
    acme = store.registry.add("acme")
    (claim,) = store.claim(acme)
    if gone == "disabled":
        store.registry.enable(acme, False)
    else:
        store.registry.delete(acme)
    assert store.record(claim, store.found("m")) is False
    assert store.ids(acme) == []


def test_a_finding_that_comes_after_its_claim_was_taken_over_is_dropped(store: Store) -> None:
    acme = store.registry.add("acme")
    (slow,) = store.claim(acme)
    store.now += CLAIM_SECONDS + 1
    (second,) = store.claim(acme)
    assert store.record(slow, store.found("stale")) is False
    assert store.record(second, store.found("fresh")) is True
    assert store.ids(acme) == ["fresh"]


def test_a_claim_given_back_is_due_again(store: Store) -> None:
    acme = store.registry.add("acme")
    claims = store.claim(acme)
    with store.database.write() as tx:
        discovery.release(tx, claims)
    assert store.candidates() == [acme]


def test_a_clock_that_was_set_back_an_hour_delays_no_check(store: Store) -> None:
    checked, claimed = store.registry.add("checked"), store.registry.add("claimed")
    store.check(checked, "m")
    store.claim(claimed)
    store.now -= 3600
    assert sorted(store.candidates()) == sorted([checked, claimed])
    assert len(store.claim(checked, claimed)) == 2


def test_workers_whose_clocks_differ_by_seconds_do_not_take_over_each_others_checks(
    store: Store,
) -> None:
    acme = store.registry.add("acme")
    store.claim(acme)
    store.now -= 20
    assert store.candidates(acme) == []

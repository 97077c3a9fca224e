"""What needs no check: disabled and deleted providers, keys, and what chats prove."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from shared.domain import DiscoveryStatus
from shared.store.discovery import Standing
from shared.store.schema import model
from tests.contract.discovery_store.conftest import Store
from tests.registered import NOW

STATUS, MODELS = "provider.status_changed", "models.changed"


def test_a_disabled_provider_gets_that_verdict_once_and_keeps_its_models(store: Store) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "m", status=DiscoveryStatus.OK, error_sealed="old")
    store.registry.enable(acme, False)
    assert store.unsettled()
    store.settle()
    assert not store.unsettled()
    store.settle()
    verdict = store.verdict(acme)
    assert verdict is not None
    assert (verdict.status, verdict.error_sealed) == (DiscoveryStatus.DISABLED, None)
    assert store.ids(acme) == ["m"]
    assert store.events(acme) == [(STATUS, 1), (MODELS, 1), (STATUS, 2)]
    assert store.details(acme)[-1] == {"from": "ok", "to": "disabled"}


def test_a_provider_disabled_before_its_first_check_is_disabled_too(store: Store) -> None:
    acme = store.registry.add("acme")
    store.registry.enable(acme, False)
    store.settle()
    assert store.row(acme).status == "disabled"


def test_an_enabled_provider_is_due_at_once_and_tells_that_it_is_back(store: Store) -> None:
    acme = store.registry.add("acme")
    store.registry.enable(acme, False)
    store.settle()
    assert store.candidates() == []
    store.registry.enable(acme, True)
    assert not store.unsettled()
    assert store.urgent() == {acme: True}
    store.check(acme, "m")
    assert store.events(acme) == [(STATUS, 2), (STATUS, 3), (MODELS, 3)]


def test_an_enabled_provider_that_is_marked_disabled_is_due_whatever_its_revision(
    store: Store,
) -> None:
    acme = store.registry.add("acme")
    store.check(acme, "m", status=DiscoveryStatus.DISABLED)
    assert store.urgent() == {acme: True}
    assert len(store.claim(acme)) == 1


def test_a_deleted_provider_is_forgotten_and_no_other(store: Store) -> None:
    acme, other = store.registry.add("acme"), store.registry.add("other")
    for id_ in (acme, other):
        store.check(id_, "m")
    store.registry.delete(acme)
    assert store.unsettled()
    store.settle()
    assert not store.unsettled()
    assert store.row(acme) is None
    with store.database.read() as tx:
        assert tx.execute(sa.select(model.c.provider_id)).scalars().all() == [other]


def test_a_proven_key_is_remembered_until_it_is_rotated_or_taken_away(store: Store) -> None:
    acme = store.registry.add("acme", key="sk-1")
    store.check(acme, "m", key_proven=True)
    assert store.row(acme).key_verified_at == NOW
    store.now += 10
    store.check(acme, "m")
    assert store.row(acme).key_verified_at == NOW
    store.registry.now = store.now
    store.registry.rotate(acme, "sk-2")
    store.check(acme, "m")
    assert store.row(acme).key_verified_at is None
    store.check(acme, "m", key_proven=True)
    assert store.row(acme).key_verified_at == store.now
    store.registry.rotate(acme, None)
    store.check(acme, "m")
    assert store.row(acme).key_verified_at is None


def test_a_refused_key_is_not_proven_any_more(store: Store) -> None:
    acme = store.registry.add("acme", key="sk-1")
    store.check(acme, "m", key_proven=True)
    store.check(acme, "m", key_proven=False, status=DiscoveryStatus.AUTH_FAILED)
    assert store.row(acme).key_verified_at is None


def test_a_completed_chat_proves_the_key_even_before_the_first_check(store: Store) -> None:
    acme = store.registry.add("acme", key="sk-1")
    assert store.note_chat(acme) == Standing(DiscoveryStatus.PENDING, None)
    assert store.row(acme).key_verified_at == NOW
    assert store.candidates() == [acme]
    store.check(acme, "m")
    assert store.row(acme).key_verified_at == NOW


def test_a_completed_chat_proves_a_rotated_key_before_its_first_check(store: Store) -> None:
    acme = store.registry.add("acme", key="sk-1")
    store.check(acme, "m", key_proven=True)
    store.now += 10
    store.registry.now = store.now
    store.registry.rotate(acme, "sk-2")
    store.note_chat(acme, revision=2)
    assert store.row(acme).key_verified_at == store.now


def test_a_chat_that_completes_during_a_check_is_not_overwritten(store: Store) -> None:
    acme = store.registry.add("acme", key="sk-1")
    (claim,) = store.claim(acme)
    store.note_chat(acme)
    store.record(claim, store.found("m"))
    assert store.row(acme).key_verified_at == NOW


def test_a_chat_that_was_refused_takes_the_proof_back(store: Store) -> None:
    acme = store.registry.add("acme", key="sk-1")
    store.check(acme, "m", key_proven=True)
    standing = store.note_chat(acme, key_works=False)
    assert standing == Standing(DiscoveryStatus.OK, NOW)
    assert store.row(acme).key_verified_at is None


@pytest.mark.parametrize(("key", "revision"), [(None, 1), ("sk-1", 7)])
def test_a_chat_without_a_key_or_of_an_older_revision_proves_nothing(
    store: Store, key: str | None, revision: int
) -> None:
    acme = store.registry.add("acme", key=key)
    store.check(acme, "m")
    assert store.note_chat(acme, revision=revision) == Standing(DiscoveryStatus.OK, NOW)
    assert store.row(acme).key_verified_at is None


def test_a_chat_with_a_deleted_provider_says_nothing(store: Store) -> None:
    acme = store.registry.add("acme", key="sk-1")
    store.registry.delete(acme)
    assert store.note_chat(acme) is None
    assert store.row(acme) is None

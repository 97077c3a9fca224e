"""A rotation of the master key is in the audit trail, by the names of the keys."""

from __future__ import annotations

from shared.store import audit
from shared.store.audit import Action, Wanted
from tests.contract.rotation.conftest import Installation


def test_a_rotation_is_told_in_the_transactions_that_change_what_is_asked_for(
    installation: Installation,
) -> None:
    old = installation.keyring.primary
    installation.rotate()
    new = installation.keyring.primary
    wanted = Wanted(action=Action.KEYRING_ROTATE)
    with installation.database.read() as tx:
        entries = audit.page(tx, wanted, limit=9, after=None, newest_first=False)
    assert [dict(entry.detail) for entry in entries] == [
        {"stage": "use", "keys": [new]},
        {"stage": "retire", "keys": [old]},
    ]
    assert {entry.actor.name for entry in entries} == {"cli"}
    material = installation.keyring.dump()
    assert not [text for text in material.split('"') if len(text) > 30 and text in repr(entries)]

"""What happens to API keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.registry.parts import Parts
from services.registry.providers import slugs
from shared import live
from shared.errors import InvalidValue, NotFound
from shared.store import access, audit, console_sessions
from shared.store.access import Key, Limits, Role
from shared.store.audit import Action, Actor
from shared.telemetry import Secret


class Keys:
    """Use cases of API keys over the parts of one process; all raise StoreUnavailable."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._transactions = parts.transactions

    def create(self, body: Mapping[str, Any], actor: Actor) -> tuple[Key, Secret]:
        """A new key and its secret, which is nowhere afterwards. Raises InvalidValue."""
        now, expires_at = self._parts.now(), body["expires_at"]
        if expires_at is not None and expires_at <= now:
            raise InvalidValue(
                f"Expected a time in the future, got {expires_at}; it is {int(now)} now.",
                param="expires_at",
            )
        secret, limits = access.new_secret(), body["limits"]
        owner = body.get("owner") or slugs.derive(body["name"], taken=())

        def add(tx: sa.Connection) -> Key:
            key_id = access.add_key(
                tx,
                secret,
                name=body["name"].strip(),
                owner=owner,
                role=Role(body["role"]),
                expires_at=expires_at,
                limits=None if limits is None else Limits(**limits),
                now=now,
            )
            given = [name for name, limit in (limits or {}).items() if limit is not None]
            detail = {"role": body["role"], "limits": given, "expires": expires_at is not None}
            audit.append(tx, actor, Action.KEY_CREATE, at=now, subject=key_id, detail=detail)
            return _found(tx, key_id)

        return self._transactions.write(add), secret

    def list(self, owner: str | None) -> Sequence[Key]:
        """Every key that was ever made, revoked ones included, or those of one owner."""
        return self._transactions.read(lambda tx: access.keys(tx, owner=owner))

    def get(self, key_id: str) -> Key:
        """The key with this id; raises NotFound."""
        return self._transactions.read(lambda tx: _found(tx, key_id))

    def revoke(self, key_id: str, actor: Actor) -> None:
        """End a key and its sessions now; twice is once. Its owner's jobs stay.

        Raises NotFound, or InvalidValue for the last admin's.
        """
        now = self._parts.now()

        def revoke(tx: sa.Connection) -> None:
            access.hold_admins(tx)
            key = _found(tx, key_id)
            if key.revoked_at is not None:
                return
            access.revoke(tx, key_id, now=now)
            console_sessions.end_all_of(tx, key_id)
            audit.append(tx, actor, Action.KEY_REVOKE, at=now, subject=key_id)
            if key.role is Role.ADMIN and not access.any_admin(tx, now=now):
                raise InvalidValue(
                    "Expected another living admin key to remain, got the last one. Make a new "
                    "admin key first.",
                    param="id",
                )

        self._transactions.write(revoke)
        self._parts.authenticator.forget(key_id)
        self._parts.notices.send(live.REVOKED, [key_id])


def _found(tx: sa.Connection, key_id: str) -> Key:
    key = access.key(tx, key_id) if "\x00" not in key_id else None
    if key is None:
        raise NotFound(f"Expected the id of an API key, got {key_id[:100]!r}.")
    return key

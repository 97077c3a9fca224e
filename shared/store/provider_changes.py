"""Changes of a provider, and the events that tell of them.

One change raises the revision once, whatever it holds, and says with events of that revision what
it was: `provider.changed` names the fields, the key and the flag have events of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from shared.domain import EventType
from shared.store import events, providers
from shared.store.providers import Provider, fold
from shared.store.schema import provider

# Field of the API → the columns that hold it.
_FIELDS: Final = {
    "name": ("name",),
    "endpoint": ("endpoint", "chat_url", "models_url", "host", "port"),
    "description": ("description",),
    "tags": ("tags",),
    "visibility": ("visibility",),
}
_KEY: Final = ("api_key_sealed", "api_key_last4", "api_key_fingerprint", "api_key_rotated_at")
_CHANGEABLE: Final = (
    *(column for columns in _FIELDS.values() for column in columns),
    *_KEY,
    "options",
    "max_concurrency",
    "enabled",
)


def hold(tx: sa.Connection) -> None:
    """Keep all other changes of providers out until this transaction ends.

    Call it before reading what is to be changed, so that no change is made of what was read by a
    transaction that another one has overtaken.
    """
    events.hold(tx)


def change(tx: sa.Connection, before: Provider, after: Provider, *, at: float) -> bool:
    """Make `before`, as read in this transaction behind `hold`, into `after`, with its events.

    False, and nothing is written, when both are the same. Id, slug, revision and times of `after`
    do not count. Raises ProviderNameTaken.
    """
    changed = [name for name in _CHANGEABLE if getattr(before, name) != getattr(after, name)]
    if not changed:
        return False
    values = {name: getattr(after, name) for name in changed}
    if "name" in values:
        values["name_folded"] = fold(after.name)
    revision = before.revision + 1
    statement = sa.update(provider).where(provider.c.id == before.id)
    try:
        with tx.begin_nested():
            tx.execute(statement.values(**values, revision=revision, updated_at=at))
    except exc.IntegrityError:
        raise providers.taken("name", after.name) from None
    for type_, detail in _facts(before, after):
        events.append(tx, type_, subject=before.id, revision=revision, at=at, detail=detail)
    return True


def changed_fields(before: Provider, after: Provider) -> list[str]:
    """The fields of the API in which these differ, by name; members of `options` one by one."""
    fields = _plain(before, after)
    if _differ(before, after, _KEY):
        fields.append("api_key")
    if before.enabled != after.enabled:
        fields.append("enabled")
    return fields


def _plain(before: Provider, after: Provider) -> list[str]:
    fields = [field for field, columns in _FIELDS.items() if _differ(before, after, columns)]
    members = sorted({**before.options, **after.options})  # JSONB keeps no order
    return fields + [
        f"options.{m}" for m in members if before.options.get(m) != after.options.get(m)
    ]


def _differ(before: Provider, after: Provider, columns: Sequence[str]) -> bool:
    return any(getattr(before, name) != getattr(after, name) for name in columns)


def _facts(
    before: Provider, after: Provider
) -> Sequence[tuple[EventType, Mapping[str, Any] | None]]:
    """What the change is told as: names of fields, never what they hold."""
    facts: list[tuple[EventType, Mapping[str, Any] | None]] = []
    if fields := _plain(before, after):
        facts.append((EventType.PROVIDER_CHANGED, {"fields": fields}))
    if _differ(before, after, _KEY):
        removed = {"removed": True} if after.api_key_sealed is None else None
        facts.append((EventType.PROVIDER_KEY_ROTATED, removed))
    if before.enabled != after.enabled:
        enabled = EventType.PROVIDER_ENABLED if after.enabled else EventType.PROVIDER_DISABLED
        facts.append((enabled, None))
    return facts

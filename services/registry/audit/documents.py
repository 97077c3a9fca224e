"""An entry of the audit trail as admins see it."""

from __future__ import annotations

from typing import Any

from shared.store.audit import Entry


def document(entry: Entry) -> dict[str, Any]:
    """The entry; `key_id` and `owner` of the actor are null where no key did it."""
    actor = entry.actor
    return {
        "id": entry.id,
        "object": "audit.entry",
        "at": int(entry.at),
        "actor": {"key_id": actor.key_id, "name": actor.name, "owner": actor.owner},
        "action": entry.action,
        "subject": entry.subject,
        "detail": dict(entry.detail),
        "request_id": actor.request_id,
        "address": actor.address,
    }

"""The shapes of the audit trail, as JSON Schema for the OpenAPI document."""

from __future__ import annotations

from services.registry.shaping import TEXT, TIME, Shape, object_of, or_null, page_of, words
from shared.store.audit import Action


def components() -> dict[str, Shape]:
    """Name → schema of everything that `/v1/audit` answers."""
    actor = object_of(
        key_id=or_null(TEXT),
        name={**TEXT, "description": "of the key, as it was then; `cli`; `nobody`"},
        owner=or_null(TEXT),
    )
    entry = object_of(
        id=TEXT,
        object=words("audit.entry"),
        at=TIME,
        actor=actor,
        action=words(*(action.value for action in Action)),
        subject={**or_null(TEXT), "description": "the id of what was acted upon"},
        detail={"type": "object", "description": "names of fields, never what they hold"},
        request_id=or_null(TEXT),
        address=or_null(TEXT),
    )
    return {"AuditEntry": entry, "AuditList": page_of("AuditEntry")}

"""What a reader of usage calls the providers in it."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from shared.store import providers
from shared.store.access import Caller


def provider_names(
    tx: sa.Connection, provider_ids: Iterable[str], caller: Caller
) -> dict[str, dict[str, str]]:
    """Id → slug and name; deleted providers keep theirs.

    Who may no longer see a provider knows its slug, from the jobs of then; not its name of now.
    """
    ids = set(provider_ids)
    found = providers.names(tx, ids)
    if not caller.is_admin:
        for row in providers.living(tx, ids):
            if not row.visible_to(caller.owner, admin=False):
                found[row.id] = {"slug": row.slug, "name": row.slug}
    return found

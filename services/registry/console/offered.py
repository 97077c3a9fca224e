"""What the filters of lists offer to pick from: all there is while that is few, else nothing.

With thousands of providers a page would hold little but their names: then what is typed is looked
up while it is typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from shared.store import providers
from shared.store.access import Caller
from shared.store.providers import Provider

MOST: Final = 200  # providers of the installation


def visible(tx: sa.Connection, caller: Caller) -> Sequence[Provider] | None:
    """The living providers that the caller may see, by name; None where there are very many."""
    found = providers.page(tx, after=None, newest_first=False, limit=MOST + 1)
    if len(found) > MOST:
        return None
    mine = [row for row in found if row.visible_to(caller.owner, admin=caller.is_admin)]
    return sorted(mine, key=lambda row: row.name.casefold())


def tags(found: Sequence[Provider] | None) -> Sequence[str] | None:
    """All tags of these providers."""
    return None if found is None else sorted({tag for row in found for tag in row.tags})

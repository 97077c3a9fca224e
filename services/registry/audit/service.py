"""Pages of the audit trail."""

from __future__ import annotations

from collections.abc import Sequence

from services.registry.database import Transactions
from shared.store import audit
from shared.store.audit import Entry, Wanted


def page(
    transactions: Transactions, wanted: Wanted, *, limit: int, after: str | None, newest_first: bool
) -> tuple[Sequence[Entry], bool]:
    """One page of what is wanted, and whether more follows. Raises StoreUnavailable."""
    found = transactions.read(
        lambda tx: audit.page(tx, wanted, limit=limit + 1, after=after, newest_first=newest_first)
    )
    return found[:limit], len(found) > limit

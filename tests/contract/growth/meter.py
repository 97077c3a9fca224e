"""How much a database works for a piece of work: counted, not timed.

On SQLite the steps of its virtual machine, which are about ten for each row that is read. On
PostgreSQL the rows that scans of tables and indexes return, as the server's own statistics of the
running transaction have them (`pg_stat_get_xact_…`). There a plan without an index is chosen only
where there is no index: the planner rightly reads small tables whole, and these are to stand for
large ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa

EVERY: Final = 10  # steps from count to count
_ROWS: Final = sa.text(
    """
    SELECT coalesce(sum(
        pg_stat_get_xact_tuples_returned(pg_class.oid)
        + CASE WHEN relkind = 'i' THEN 0 ELSE pg_stat_get_xact_tuples_fetched(pg_class.oid) END
    ), 0)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'public' AND relkind IN ('r', 'i')
    """
)


def work_of(tx: sa.Connection, work: Callable[[], object]) -> int:
    """The steps, or rows, of what `work` does in this transaction."""
    if tx.dialect.name == "sqlite":
        return _steps(tx, work)
    for setting in ("enable_seqscan", "jit"):  # what costs much on paper would be compiled
        tx.execute(sa.text(f"SET LOCAL {setting} = off"))
    before = tx.execute(_ROWS).scalar_one()
    work()
    return int(tx.execute(_ROWS).scalar_one() - before)


def _steps(tx: sa.Connection, work: Callable[[], object]) -> int:
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += EVERY
        return 0

    raw: Any = tx.connection.dbapi_connection
    raw.set_progress_handler(count, EVERY)
    try:
        work()
    finally:
        raw.set_progress_handler(None, 0)
    return counted

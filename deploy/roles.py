"""`dragoman migrate`, its second half: what the services' database roles may do."""

from __future__ import annotations

import sqlalchemy as sa

from deploy import grants
from deploy.refusal import Refusal
from shared.config import Settings, without_password
from shared.store.database import Database
from shared.store.migrate import MIGRATION_LOCK


def grant(settings: Settings) -> list[str]:
    """Give the roles that exist their grants, in one transaction; returns their names.

    None on SQLite, and none where the server has no such roles: then the one user that all
    services share owns everything. Raises Refusal when somebody else owns the tables, because
    PostgreSQL then grants nothing and only warns.
    """
    database = Database(settings.database_url, pool=sa.pool.NullPool)
    try:
        if database.is_sqlite:
            return []
        with database.write() as tx:
            # Two grants at once on one table fail in PostgreSQL's own catalogue.
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            roles = grants.existing(tx)
            if roles and (others := grants.owners(tx)):
                raise Refusal(
                    f"DATABASE_URL ({without_password(settings.database_url)}): expected the role "
                    f"that owns the tables, got another one: {', '.join(others)} owns them. Run "
                    f"migrate as that one, or hand them over first: "
                    f"REASSIGN OWNED BY {others[0]} TO {grants.MIGRATE}."
                )
            for statement in grants.statements(roles):
                tx.exec_driver_sql(statement)
            return roles
    finally:
        database.dispose()

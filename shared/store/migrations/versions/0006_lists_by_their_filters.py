"""Indexes for the filters of lists, and one that SQLite takes only where it is asked for.

Adds indexes, and makes one partial: the release before this one runs on it, but finds when a
provider was last used by another way.
"""

import sqlalchemy as sa
from alembic import op

STORED = "store"
UNCOMPLETED = "store AND (state = 'failed' OR state = 'cancelled')"
OF_PROVIDER = "ix_chat_job_provider_id_id"
ADDED = {
    "ix_chat_job_stored_model": (STORED, ["model", "id"]),
    "ix_chat_job_stored_owner_model": (STORED, ["owner", "model", "id"]),
    "ix_chat_job_stored_owner_provider": (STORED, ["owner", "provider_id", "id"]),
    "ix_chat_job_uncompleted": (UNCOMPLETED, ["state", "id"]),
    "ix_chat_job_uncompleted_owner": (UNCOMPLETED, ["owner", "state", "id"]),
}
revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes."""
    for name, (condition, columns) in ADDED.items():
        _partial(name, condition, columns)
    op.drop_index(OF_PROVIDER, "chat_job")
    _partial(OF_PROVIDER, "provider_id <> ''", ["provider_id", "id"])
    op.create_index("ix_event_type_seq", "event", ["type", "seq"])
    op.execute("UPDATE installation SET revision = 6")


def downgrade() -> None:
    """Take them away again."""
    op.execute("UPDATE installation SET revision = 5")
    op.drop_index("ix_event_type_seq", "event")
    op.drop_index(OF_PROVIDER, "chat_job")
    op.create_index(OF_PROVIDER, "chat_job", ["provider_id", "id"])
    for name in ADDED:
        op.drop_index(name, "chat_job")


def _partial(name: str, condition: str, columns: list[str]) -> None:
    clause = sa.text(condition)
    op.create_index(name, "chat_job", columns, sqlite_where=clause, postgresql_where=clause)

"""Idempotency keys, lists of stored jobs, and the lanes of tiers and owners.

Only adds: the release before this one runs on it.
"""

import sqlalchemy as sa
from alembic import op

KEYED = "idempotency_key IS NOT NULL"
QUEUED = "state = 'queued'"
revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the indexes."""
    op.add_column(
        "chat_job",
        sa.Column("route", sa.Text(), nullable=False, server_default=sa.text("'chat'")),
    )
    op.add_column("chat_job", sa.Column("idempotency_key", sa.Text(), nullable=True))
    op.add_column("chat_job", sa.Column("body_fingerprint", sa.Text(), nullable=True))
    op.add_column("api_key", sa.Column("last_used_at", sa.Double(), nullable=True))
    op.create_index(
        "uq_chat_job_idempotency_key",
        "chat_job",
        ["owner", "route", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text(KEYED),
        postgresql_where=sa.text(KEYED),
    )
    op.create_index(
        "ix_chat_job_stored",
        "chat_job",
        ["owner", "id"],
        sqlite_where=sa.text("store"),
        postgresql_where=sa.text("store"),
    )
    op.create_index(
        "ix_chat_job_lane",
        "chat_job",
        ["service_tier", "provider_id", "owner", "id"],
        sqlite_where=sa.text(QUEUED),
        postgresql_where=sa.text(QUEUED),
    )
    op.execute("UPDATE installation SET revision = 3")


def downgrade() -> None:
    """Take them away again."""
    op.execute("UPDATE installation SET revision = 2")
    for name in ("ix_chat_job_lane", "ix_chat_job_stored", "uq_chat_job_idempotency_key"):
        op.drop_index(name, "chat_job")
    op.drop_column("api_key", "last_used_at")
    for column in ("body_fingerprint", "idempotency_key", "route"):
        op.drop_column("chat_job", column)

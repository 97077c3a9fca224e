"""Limits of keys, the audit trail, the console's sessions, and the last checks of providers.

Only adds: the release before this one runs on it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON_TYPE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
AUDIT_INDEXES = {
    "ix_audit_action_id": ["action", "id"],
    "ix_audit_subject_id": ["subject", "id"],
    "ix_audit_actor_owner_id": ["actor_owner", "id"],
    "ix_audit_actor_key_id_id": ["actor_key_id", "id"],
    "ix_audit_at": ["at"],
}
revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, the tables and the indexes."""
    op.add_column("api_key", sa.Column("requests_per_minute", sa.Integer(), nullable=True))
    op.add_column("api_key", sa.Column("tokens_per_day", sa.BigInteger(), nullable=True))
    op.add_column("discovery", sa.Column("recent", JSON_TYPE, nullable=True))
    op.create_index("ix_usage_hour_key_id_hour", "usage_hour", ["key_id", "hour"])
    op.create_table(
        "console_session",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_console_session")),
    )
    op.create_index("ix_console_session_key_id", "console_session", ["key_id"])
    op.create_index("ix_console_session_expires_at", "console_session", ["expires_at"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor_key_id", sa.Text(), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("actor_owner", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("detail", JSON_TYPE, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    for name, columns in AUDIT_INDEXES.items():
        op.create_index(name, "audit", columns)
    op.execute("UPDATE installation SET revision = 5")


def downgrade() -> None:
    """Take them away again."""
    op.execute("UPDATE installation SET revision = 4")
    op.drop_table("audit")
    op.drop_table("console_session")
    op.drop_index("ix_usage_hour_key_id_hour", "usage_hour")
    op.drop_column("discovery", "recent")
    for column in ("tokens_per_day", "requests_per_minute"):
        op.drop_column("api_key", column)

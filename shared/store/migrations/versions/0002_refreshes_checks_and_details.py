"""Refreshes that are asked for, tests of unsaved providers, and what an event changed.

Only adds: the release before this one runs on it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

JSON_TYPE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
COUNTERS = (
    ("provider", "refresh_asked"),
    ("discovery", "refresh_seen"),
    ("provider_gate", "provider_revision"),
)
revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, the table and the index."""
    for table, column in COUNTERS:
        op.add_column(
            table, sa.Column(column, sa.Integer(), nullable=False, server_default=sa.text("'0'"))
        )
    op.add_column("event", sa.Column("detail", JSON_TYPE, nullable=True))
    op.create_table(
        "provider_check",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("request_sealed", sa.Text(), nullable=False),
        sa.Column("result_sealed", sa.Text(), nullable=True),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("checking_until", sa.Double(), nullable=False, server_default=sa.text("'0'")),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("'0'")),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_check")),
    )
    op.create_index("ix_provider_check_created_at", "provider_check", ["created_at"])
    op.create_index("ix_chat_job_provider_id_id", "chat_job", ["provider_id", "id"])
    listed = sa.text("gone_at IS NULL")
    op.create_index(
        "ix_model_listed", "model", ["provider_id"], sqlite_where=listed, postgresql_where=listed
    )
    op.execute("UPDATE installation SET revision = 2")


def downgrade() -> None:
    """Take them away again."""
    op.execute("UPDATE installation SET revision = 1")
    op.drop_index("ix_model_listed", "model")
    op.drop_index("ix_chat_job_provider_id_id", "chat_job")
    op.drop_table("provider_check")
    op.drop_column("event", "detail")
    for table, column in COUNTERS:
        op.drop_column(table, column)

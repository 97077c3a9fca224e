"""Chunk logs of streams, webhooks and their deliveries, hourly usage.

Only adds: the release before this one runs on it.
"""

import sqlalchemy as sa
from alembic import op

OPEN = "status = 'pending'"
BUCKETS = 20
revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the tables."""
    for name in ("stream", "include_usage", "publishing"):
        op.add_column(
            "chat_job",
            sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()),
        )
    for name in ("log_sealed", "original_sealed", "webhook_sealed"):
        op.add_column("chat_job", sa.Column(name, sa.Text(), nullable=True))
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("'0'")),
        sa.Column("next_at", sa.Double(), nullable=False),
        sa.Column("claimed_until", sa.Double(), nullable=False, server_default=sa.text("'0'")),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_delivery")),
        sa.UniqueConstraint("job_id", name=op.f("uq_webhook_delivery_job_id")),
    )
    op.create_index(
        "ix_webhook_delivery_open",
        "webhook_delivery",
        ["next_at"],
        sqlite_where=sa.text(OPEN),
        postgresql_where=sa.text(OPEN),
    )
    counts = ("requests", "failures", "unknown_usage", "prompt_tokens", "completion_tokens")
    op.create_table(
        "usage_hour",
        sa.Column("hour", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in counts],
        *[
            sa.Column(f"latency_{number:02}", sa.BigInteger(), nullable=False)
            for number in range(BUCKETS)
        ],
        sa.PrimaryKeyConstraint(
            "hour", "owner", "key_id", "provider_id", "model", name=op.f("pk_usage_hour")
        ),
    )
    op.execute("UPDATE installation SET revision = 4")


def downgrade() -> None:
    """Take them away again."""
    op.execute("UPDATE installation SET revision = 3")
    op.drop_table("usage_hour")
    op.drop_table("webhook_delivery")
    for name in (
        "webhook_sealed",
        "original_sealed",
        "log_sealed",
        "publishing",
        "include_usage",
        "stream",
    ):
        op.drop_column("chat_job", name)

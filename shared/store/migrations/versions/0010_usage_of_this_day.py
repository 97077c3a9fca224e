"""Totals of usage since the last whole day, added up once an hour.

Only adds: the release before this one runs on it, and reads the hours.
"""

import sqlalchemy as sa
from alembic import op

BUCKETS = 20
KEYS = ("owner", "key_id", "provider_id", "model")
COUNTS = ("requests", "failures", "unknown_usage", "prompt_tokens", "completion_tokens")
revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; the chat worker's purge fills it."""
    op.create_table(
        "usage_part",
        sa.Column("until", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("day", sa.BigInteger(), nullable=False, autoincrement=False),
        *[sa.Column(name, sa.Text(), nullable=False) for name in KEYS],
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS],
        *[
            sa.Column(f"latency_{number:02}", sa.BigInteger(), nullable=False)
            for number in range(BUCKETS)
        ],
        sa.PrimaryKeyConstraint("until", "day", *KEYS, name=op.f("pk_usage_part")),
    )
    op.execute("UPDATE installation SET revision = 10")


def downgrade() -> None:
    """Take it away again."""
    op.execute("UPDATE installation SET revision = 9")
    op.drop_table("usage_part")

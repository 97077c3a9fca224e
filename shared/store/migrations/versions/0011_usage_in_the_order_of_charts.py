"""Totals of days in the order in which they are summed up: by provider, then by model.

Only adds: the release before this one runs on it.
"""

from alembic import op

BY = ["day", "provider_id", "model"]
revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes; the tables are small."""
    op.create_index("ix_usage_day_day_provider_id_model", "usage_day", BY)
    op.create_index("ix_usage_part_until_day_provider_id_model", "usage_part", ["until", *BY])
    op.execute("UPDATE installation SET revision = 11")


def downgrade() -> None:
    """Take them away again."""
    op.execute("UPDATE installation SET revision = 10")
    op.drop_index("ix_usage_part_until_day_provider_id_model", "usage_part")
    op.drop_index("ix_usage_day_day_provider_id_model", "usage_day")

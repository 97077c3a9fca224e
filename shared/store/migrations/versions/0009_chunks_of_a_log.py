"""How many chunks a job's log has: whoever heard all of them while it ran need not read it.

Only adds: the release before this one runs on it, and leaves the number out.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; jobs that ended before have none."""
    op.add_column("chat_job", sa.Column("log_chunks", sa.Integer(), nullable=True))
    op.execute("UPDATE installation SET revision = 9")


def downgrade() -> None:
    """Take it away again."""
    op.execute("UPDATE installation SET revision = 8")
    op.drop_column("chat_job", "log_chunks")

"""What owners noted about stored jobs, in a table of its own, in the order that lists read it.

Triggers write it, so that the release before this one fills it too; it runs on this schema. They
keep the first 100 characters of a value, which bounds what an index holds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_FILL = {
    "sqlite": """
        INSERT INTO job_metadata (owner, "key", value, job_id)
        SELECT owner, noted."key", substr(noted.value, 1, 100), chat_job.id
        FROM chat_job, json_each(chat_job.metadata) AS noted
        WHERE store AND metadata <> '{}'
    """,
    "postgresql": """
        INSERT INTO job_metadata (owner, key, value, job_id)
        SELECT owner, noted.key, left(noted.value, 100), id
        FROM chat_job, jsonb_each_text(chat_job.metadata) AS noted
        WHERE store AND metadata <> '{}'
    """,
}

_SQLITE_ADD = """
    INSERT INTO job_metadata (owner, "key", value, job_id)
    SELECT NEW.owner, "key", substr(value, 1, 100), NEW.id FROM json_each(NEW.metadata);
"""
_SQLITE_DROP = """
    DELETE FROM job_metadata WHERE owner = OLD.owner AND job_id = OLD.id
    AND ("key", value) IN (SELECT "key", substr(value, 1, 100) FROM json_each(OLD.metadata));
"""
_SQLITE = (
    f"""
    CREATE TRIGGER chat_job_noted AFTER INSERT ON chat_job
    WHEN NEW.store AND NEW.metadata <> '{{}}' BEGIN {_SQLITE_ADD} END
    """,
    f"""
    CREATE TRIGGER chat_job_renoted AFTER UPDATE OF metadata ON chat_job
    WHEN NEW.store AND NEW.metadata <> OLD.metadata BEGIN {_SQLITE_DROP} {_SQLITE_ADD} END
    """,
    f"""
    CREATE TRIGGER chat_job_unnoted AFTER DELETE ON chat_job
    WHEN OLD.store AND OLD.metadata <> '{{}}' BEGIN {_SQLITE_DROP} END
    """,
)

# With the rights of their owner, who migrates: no service may write this table by itself.
_FUNCTIONS = ("chat_job_note", "chat_job_unnote")
_POSTGRES = (
    """
    CREATE FUNCTION chat_job_unnote() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
    BEGIN
        DELETE FROM job_metadata USING jsonb_each_text(OLD.metadata) AS noted
        WHERE job_metadata.owner = OLD.owner AND job_metadata.key = noted.key
        AND job_metadata.value = left(noted.value, 100) AND job_metadata.job_id = OLD.id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION chat_job_note() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
    BEGIN
        INSERT INTO job_metadata (owner, key, value, job_id)
        SELECT NEW.owner, key, left(value, 100), NEW.id FROM jsonb_each_text(NEW.metadata);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER chat_job_noted AFTER INSERT ON chat_job
    FOR EACH ROW WHEN (NEW.store AND NEW.metadata <> '{}') EXECUTE FUNCTION chat_job_note()
    """,
    # In the order of their names: away with the old ones, in with the new.
    """
    CREATE TRIGGER chat_job_renoted_1 AFTER UPDATE OF metadata ON chat_job
    FOR EACH ROW WHEN (OLD.store AND OLD.metadata <> NEW.metadata)
    EXECUTE FUNCTION chat_job_unnote()
    """,
    """
    CREATE TRIGGER chat_job_renoted_2 AFTER UPDATE OF metadata ON chat_job
    FOR EACH ROW WHEN (NEW.store AND OLD.metadata <> NEW.metadata)
    EXECUTE FUNCTION chat_job_note()
    """,
    """
    CREATE TRIGGER chat_job_unnoted AFTER DELETE ON chat_job
    FOR EACH ROW WHEN (OLD.store AND OLD.metadata <> '{}') EXECUTE FUNCTION chat_job_unnote()
    """,
)
_TRIGGERS = {"sqlite": _SQLITE, "postgresql": _POSTGRES}
_NAMES = {
    "sqlite": ["chat_job_noted", "chat_job_renoted", "chat_job_unnoted"],
    "postgresql": [
        "chat_job_noted",
        "chat_job_renoted_1",
        "chat_job_renoted_2",
        "chat_job_unnoted",
    ],
}


def upgrade() -> None:
    """Add the table, its triggers, and what the jobs that are there have."""
    database = op.get_bind().dialect.name
    op.create_table(
        "job_metadata",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", "value", "job_id", name=op.f("pk_job_metadata")),
        sqlite_with_rowid=False,
    )
    # The triggers first: on PostgreSQL they wait for whoever writes, and keep others waiting.
    for statement in _TRIGGERS[database]:
        op.execute(statement)
    op.execute(_FILL[database])
    op.create_index("ix_job_metadata_key_value", "job_metadata", ["key", "value", "job_id"])
    op.execute("UPDATE installation SET revision = 8")


def downgrade() -> None:
    """Take them away again."""
    op.execute("UPDATE installation SET revision = 7")
    database = op.get_bind().dialect.name
    of_table = " ON chat_job" if database == "postgresql" else ""
    for name in _NAMES[database]:
        op.execute(f"DROP TRIGGER {name}{of_table}")
    if database == "postgresql":
        for name in _FUNCTIONS:
            op.execute(f"DROP FUNCTION {name}()")
    op.drop_table("job_metadata")

"""The installation itself: schema, keys of callers, living workers and leaders."""

from __future__ import annotations

import sqlalchemy as sa

from shared.store.schema.columns import metadata, time

# Writer: each migration. One row. `compatible_from` is the oldest schema revision whose code may
# run on this schema; `keyring_proof` opens only with the keyring that sealed everything else.
installation = sa.Table(
    "installation",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("compatible_from", sa.Integer, nullable=False),
    sa.Column("keyring_proof", sa.Text),
)

# Writer: registry (the first admin key: `migrate`). `digest` is SHA-256 of a high-entropy key.
api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    time("created_at", nullable=False),
    time("expires_at"),
    time("revoked_at"),
    time("last_used_at"),
)

# Writer: each worker its own row; `suspect_since` also the sweep. Times are the database's.
worker = sa.Table(
    "worker",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    time("started_at", nullable=False),
    time("lease_until", nullable=False),
    sa.Column("lease_seconds", sa.Double, nullable=False),
    time("suspect_since"),
)
# Writer: whoever holds the lease of that name (`relay`, `sweep`). Times are the database's.
leader = sa.Table(
    "leader",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    time("lease_until", nullable=False),
)

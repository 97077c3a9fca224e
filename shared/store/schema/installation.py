"""The installation itself: schema, callers and what they did, living workers and leaders."""

from __future__ import annotations

import sqlalchemy as sa

from shared.store.schema.columns import json_type, metadata, time

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
    sa.Column("requests_per_minute", sa.Integer),  # None: no limit
    sa.Column("tokens_per_day", sa.BigInteger),  # None: no limit; days are those of UTC
)

# Writer: registry. Logins to the console: `digest` is SHA-256 of a 256-bit token that only the
# browser has. A session is worth what its key is worth, and ends with it.
console_session = sa.Table(
    "console_session",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, nullable=False),
    time("created_at", nullable=False),
    time("expires_at", nullable=False),
    sa.Index("ix_console_session_key_id", "key_id"),
    sa.Index("ix_console_session_expires_at", "expires_at"),
)

# Writers: whoever does what it tells of, in that transaction (`store.audit.append`). Append-only.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    time("at", nullable=False),
    sa.Column("actor_key_id", sa.Text),  # None: no key, as at the command line or a failed login
    sa.Column("actor_name", sa.Text, nullable=False),  # as it was then
    sa.Column("actor_owner", sa.Text),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text),  # id of what was acted upon
    sa.Column("detail", json_type(), nullable=False),  # names of fields, never what they hold
    sa.Column("request_id", sa.Text),
    sa.Column("address", sa.Text),
    sa.Index("ix_audit_action_id", "action", "id"),
    sa.Index("ix_audit_subject_id", "subject", "id"),
    sa.Index("ix_audit_actor_owner_id", "actor_owner", "id"),
    sa.Index("ix_audit_actor_key_id_id", "actor_key_id", "id"),
    sa.Index("ix_audit_at", "at"),
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

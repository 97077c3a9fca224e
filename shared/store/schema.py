"""The tables. Each names its one writer; times are Unix seconds, `*_sealed` columns ciphertext.

Partial indexes carry the claim: their conditions are repeated literally in `store.jobs`, because
neither database uses a partial index for a condition that arrives as a parameter.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = sa.MetaData(naming_convention=NAMING)


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _time(name: str, *, nullable: bool = True) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


def _alive(name: str, *columns: str) -> sa.Index:
    condition = sa.text("deleted_at IS NULL")
    return sa.Index(name, *columns, unique=True, sqlite_where=condition, postgresql_where=condition)


def _where(name: str, condition: str, *columns: str) -> sa.Index:
    clause = sa.text(condition)
    return sa.Index(name, *columns, sqlite_where=clause, postgresql_where=clause)


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

# Writer: registry.
provider = sa.Table(
    "provider",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_folded", sa.Text, nullable=False),
    sa.Column("slug", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("chat_url", sa.Text, nullable=False),
    sa.Column("models_url", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("api_key_sealed", sa.Text),
    sa.Column("api_key_last4", sa.Text),
    sa.Column("api_key_fingerprint", sa.Text),
    _time("api_key_rotated_at"),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("tags", _json(), nullable=False),
    sa.Column("visibility", _json(), nullable=False),
    sa.Column("options", _json(), nullable=False),
    sa.Column("max_concurrency", sa.Integer),  # of options; a column because the claim reads it
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    # How often a refresh was asked for; a check that begins later makes `refresh_seen` equal to it.
    sa.Column("refresh_asked", sa.Integer, nullable=False, server_default="0"),
    _time("created_at", nullable=False),
    _time("updated_at", nullable=False),
    _time("deleted_at"),
    _alive("uq_provider_name_alive", "name_folded"),
    _alive("uq_provider_slug_alive", "slug"),
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
    _time("created_at", nullable=False),
    _time("expires_at"),
    _time("revoked_at"),
    _time("last_used_at"),
)

# Writers: whoever writes the fact, in the fact's own transaction (`store.events.append`).
event_counter = sa.Table(
    "event_counter",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
)
event = sa.Table(
    "event",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    _time("at", nullable=False),
    sa.Column("detail", _json()),  # what changed; only here, the stream stays thin
    sa.Index("ix_event_subject_seq", "subject", "seq"),
)

# Writer: discovery worker. No row yet reads as `pending`.
discovery = sa.Table(
    "discovery",
    metadata,
    sa.Column("provider_id", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),  # of the provider that was checked
    _time("checked_at"),
    _time("ok_at"),
    _time("key_verified_at"),
    sa.Column("error_sealed", sa.Text),
    sa.Column("failures", sa.Integer, nullable=False),  # in a row
    sa.Column("empty_lists", sa.Integer, nullable=False),  # in a row
    sa.Column("checking_until", sa.Double, nullable=False, server_default="0"),
    sa.Column("refresh_seen", sa.Integer, nullable=False, server_default="0"),
    _time("next_check_at", nullable=False),
    sa.Index("ix_discovery_next_check_at", "next_check_at"),
)
model = sa.Table(
    "model",
    metadata,
    sa.Column("provider_id", sa.Text, primary_key=True),
    sa.Column("upstream_id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),  # "listed" by the server, "manual" by hand
    _time("first_seen", nullable=False),
    _time("last_seen", nullable=False),
    _time("gone_at"),
    sa.Column("created", sa.BigInteger),
    sa.Column("owned_by", sa.Text),
    sa.Column("context_length", sa.BigInteger),
    sa.Column("raw", _json(), nullable=False),
    sa.Index("ix_model_upstream_id", "upstream_id"),
    # Counts what a provider lists without its rows: 500 of each of 100 in 6 ms instead of 41.
    _where("ix_model_listed", "gone_at IS NULL", "provider_id"),
)

# Writers: registry inserts, discovery worker fills in. A test of values that are not saved yet;
# rows live for ten minutes.
provider_check = sa.Table(
    "provider_check",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, nullable=False),  # who asked: bounds how many a minute
    sa.Column("request_sealed", sa.Text, nullable=False),
    sa.Column("result_sealed", sa.Text),  # the steps so far
    sa.Column("done", sa.Boolean, nullable=False),
    sa.Column("checking_until", sa.Double, nullable=False, server_default="0"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),  # claims so far
    _time("created_at", nullable=False),
    sa.Index("ix_provider_check_created_at", "created_at"),
)

# Writers: registry and chat worker, each its own moves (`shared.domain.MOVES`). `id` is the bare
# ULID: `chatcmpl-X` and later `resp_X` are two views of one row.
chat_job = sa.Table(
    "chat_job",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text),
    sa.Column("provider_id", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),  # as the caller sees it: slug/upstream-id
    sa.Column("upstream_model", sa.Text, nullable=False),
    sa.Column("background", sa.Boolean, nullable=False),
    sa.Column("store", sa.Boolean, nullable=False),
    sa.Column("service_tier", sa.Text, nullable=False),
    sa.Column("metadata", _json(), nullable=False),
    sa.Column("on_interrupt", sa.Text, nullable=False),
    sa.Column("on_unavailable", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("worker_id", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False),  # claims so far; it only fences
    sa.Column("calls", sa.Integer, nullable=False),  # calls begun (`attempts` in the API)
    sa.Column("interrupts", sa.Integer, nullable=False),  # calls lost after their bytes left
    sa.Column("losses", sa.Integer, nullable=False),  # workers that died holding it
    _time("not_before", nullable=False),
    _time("deadline", nullable=False),
    _time("created_at", nullable=False),
    _time("started_at"),
    _time("completed_at"),
    _time("expires_at"),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("last_cause", sa.Text),  # code of what last sent it back to the queue
    sa.Column("error_code", sa.Text),
    sa.Column("may_have_been_billed", sa.Boolean, nullable=False),
    sa.Column("error_sealed", sa.Text),  # None: the standard sentence of the code
    sa.Column("result_sealed", sa.Text),
    sa.Column("request_sealed", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False, server_default="chat"),  # it was submitted by
    sa.Column("idempotency_key", sa.Text),
    sa.Column("body_fingerprint", sa.Text),  # keyed digest of the body; only with a key
    sa.Index(
        "uq_chat_job_idempotency_key",
        "owner",
        "route",
        "idempotency_key",
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    ),
    _where("ix_chat_job_stored", "store", "owner", "id"),
    _where("ix_chat_job_lane", "state = 'queued'", "service_tier", "provider_id", "owner", "id"),
    _where("ix_chat_job_queued", "state = 'queued'", "provider_id", "id"),
    _where(
        "ix_chat_job_queued_fail",
        "state = 'queued' AND on_unavailable = 'fail'",
        "provider_id",
        "id",
    ),
    _where("ix_chat_job_queued_deadline", "state = 'queued'", "deadline"),
    _where("ix_chat_job_running_worker", "state = 'in_progress'", "worker_id"),
    _where("ix_chat_job_running_provider", "state = 'in_progress'", "provider_id"),
    _where("ix_chat_job_suspect", "losses >= 2", "state"),
    sa.Index("ix_chat_job_provider_id_id", "provider_id", "id"),
    _where("ix_chat_job_expires_at", "expires_at IS NOT NULL", "expires_at"),
)

# Writer: chat worker. The evidence and the money log: one row a claim that ended.
job_attempt = sa.Table(
    "job_attempt",
    metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("worker_id", sa.Text, nullable=False),
    sa.Column("chat_url", sa.Text, nullable=False),
    sa.Column("key_fingerprint", sa.Text),
    sa.Column("provider_revision", sa.Integer, nullable=False),
    _time("started_at", nullable=False),
    _time("ended_at", nullable=False),
    sa.Column("calls", sa.Integer, nullable=False),  # tries inside this claim
    sa.Column("connect_seconds", sa.Double),
    sa.Column("first_byte_seconds", sa.Double),
    sa.Column("upstream_status", sa.Integer),
    sa.Column("upstream_request_id", sa.Text),
    sa.Column("outcome", sa.Text, nullable=False),  # "completed" or an error code
    sa.Column("sent", sa.Boolean, nullable=False),
    sa.Column("fenced", sa.Boolean, nullable=False),  # its result came too late and was dropped
    sa.Column("prompt_tokens", sa.BigInteger),
    sa.Column("completion_tokens", sa.BigInteger),
)

# Writer: chat worker. Why a provider is left alone; no row means an open gate.
provider_gate = sa.Table(
    "provider_gate",
    metadata,
    sa.Column("provider_id", sa.Text, primary_key=True),
    # A gate that closed on an older revision says nothing of what the provider is now.
    sa.Column("provider_revision", sa.Integer, nullable=False, server_default="0"),
    _time("closed_at", nullable=False),
    _time("closed_until", nullable=False),
    sa.Column("reason", sa.Text),  # None while only strikes are counted
    sa.Column("cause", sa.Text),  # the error code that closed it
    sa.Column("failures", sa.Integer, nullable=False),  # closings in a row
    sa.Column("strikes", sa.Integer, nullable=False),  # 5xx answers and broken calls in a row
    sa.Column("probe_job", sa.Text),  # counts only while that row is in_progress
)

# Writer: each worker its own row; `suspect_since` also the sweep. Times are the database's.
worker = sa.Table(
    "worker",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    _time("started_at", nullable=False),
    _time("lease_until", nullable=False),
    sa.Column("lease_seconds", sa.Double, nullable=False),
    _time("suspect_since"),
)
# Writer: whoever holds the lease of that name (`relay`, `sweep`). Times are the database's.
leader = sa.Table(
    "leader",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    _time("lease_until", nullable=False),
)

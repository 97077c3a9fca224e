"""Chat jobs: the rows, their attempts, what holds them back, what follows their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from shared.store.schema.columns import count, flag, json_type, metadata, time, where

UNCOMPLETED: Final = "store AND (state = 'failed' OR state = 'cancelled')"

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
    sa.Column("metadata", json_type(), nullable=False),
    sa.Column("on_interrupt", sa.Text, nullable=False),
    sa.Column("on_unavailable", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("worker_id", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False),  # claims so far; it only fences
    sa.Column("calls", sa.Integer, nullable=False),  # calls begun (`attempts` in the API)
    sa.Column("interrupts", sa.Integer, nullable=False),  # calls lost after their bytes left
    sa.Column("losses", sa.Integer, nullable=False),  # workers that died holding it
    time("not_before", nullable=False),
    time("deadline", nullable=False),
    time("created_at", nullable=False),
    time("started_at"),
    time("completed_at"),
    time("expires_at"),
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
    flag("stream"),  # asked of the upstream as it was of us
    flag("include_usage"),  # the client wants the usage chunk; we always ask for it
    flag("publishing"),  # a chunk may have been seen: a streamed call is not repeated any more
    sa.Column("log_sealed", sa.Text),  # the numbered chunks of a streamed job
    sa.Column("log_chunks", sa.Integer),  # how many they are: a reader who has all reads none
    sa.Column("original_sealed", sa.Text),  # the client's own body, where it was translated
    sa.Column("webhook_sealed", sa.Text),  # url and secret, as JSON
    sa.Index(
        "uq_chat_job_idempotency_key",
        "owner",
        "route",
        "idempotency_key",
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    ),
    # Lists and their filters. SQLite serves one of two states where the condition says OR, not IN.
    where("ix_chat_job_stored", "store", "owner", "id"),
    where("ix_chat_job_stored_model", "store", "model", "id"),
    where("ix_chat_job_stored_owner_model", "store", "owner", "model", "id"),
    where("ix_chat_job_stored_owner_provider", "store", "owner", "provider_id", "id"),
    where("ix_chat_job_uncompleted", UNCOMPLETED, "state", "id"),
    where("ix_chat_job_uncompleted_owner", UNCOMPLETED, "owner", "state", "id"),
    where("ix_chat_job_lane", "state = 'queued'", "service_tier", "provider_id", "owner", "id"),
    where("ix_chat_job_queued", "state = 'queued'", "provider_id", "id"),
    where(
        "ix_chat_job_queued_fail",
        "state = 'queued' AND on_unavailable = 'fail'",
        "provider_id",
        "id",
    ),
    where("ix_chat_job_queued_deadline", "state = 'queued'", "deadline"),
    where("ix_chat_job_running_worker", "state = 'in_progress'", "worker_id"),
    where("ix_chat_job_running_provider", "state = 'in_progress'", "provider_id"),
    where("ix_chat_job_suspect", "losses >= 2", "state"),
    # Its condition holds for every row, and must be asked for: else SQLite takes this index, and
    # reads all finished jobs of a provider, where a partial index holds the few that are live.
    where("ix_chat_job_provider_id_id", "provider_id <> ''", "provider_id", "id"),
    where("ix_chat_job_expires_at", "expires_at IS NOT NULL", "expires_at"),
)

# Writers: triggers of `chat_job`, and nobody else: a row for each pair of a stored job's metadata,
# of a value its first `NOTED` characters.
NOTED: Final = 100
job_metadata = sa.Table(
    "job_metadata",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Index("ix_job_metadata_key_value", "key", "value", "job_id"),  # of all owners
    sqlite_with_rowid=False,
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
    time("started_at", nullable=False),
    time("ended_at", nullable=False),
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
    time("closed_at", nullable=False),
    time("closed_until", nullable=False),
    sa.Column("reason", sa.Text),  # None while only strikes are counted
    sa.Column("cause", sa.Text),  # the error code that closed it
    sa.Column("failures", sa.Integer, nullable=False),  # closings in a row
    sa.Column("strikes", sa.Integer, nullable=False),  # 5xx answers and broken calls in a row
    sa.Column("probe_job", sa.Text),  # counts only while that row is in_progress
)

# Writers: whoever ends the job inserts, in that transaction; then the chat worker.
webhook_delivery = sa.Table(
    "webhook_delivery",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # `webhook-id`, the same over all tries
    sa.Column("job_id", sa.Text, nullable=False, unique=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),  # pending, delivered, failed
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    time("next_at", nullable=False),
    sa.Column("claimed_until", sa.Double, nullable=False, server_default="0"),
    sa.Column("last_status", sa.Integer),  # HTTP status of the last try; None: no answer
    time("created_at", nullable=False),
    where("ix_webhook_delivery_open", "status = 'pending'", "next_at"),
)

# Writer: chat worker, in the transaction that ends a job. Outlives the jobs. `latency_NN` counts
# the requests whose last attempt took that many seconds (buckets of `store.usage`).
LATENCY_BUCKETS: Final = 20


def _totals() -> Iterator[sa.Column[int]]:
    for name in ("requests", "failures", "unknown_usage", "prompt_tokens", "completion_tokens"):
        yield count(name)
    for number in range(LATENCY_BUCKETS):
        yield count(f"latency_{number:02}")


usage_hour = sa.Table(
    "usage_hour",
    metadata,
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),  # its first second
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("provider_id", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    *_totals(),
    sa.Index("ix_usage_hour_key_id_hour", "key_id", "hour"),  # what a key used today
)
# Writer: chat worker, which adds up the hours of a day that is over (`store.usage_days`).
usage_day = sa.Table(
    "usage_day",
    metadata,
    sa.Column("day", sa.BigInteger, primary_key=True, autoincrement=False),  # its first second
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("provider_id", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    *_totals(),
    # In this order they are summed up, without sorting rows of so many columns.
    sa.Index("ix_usage_day_day_provider_id_model", "day", "provider_id", "model"),
)
# Writer: chat worker, which adds up the hours of days that are not over, once an hour.
usage_part = sa.Table(
    "usage_part",
    metadata,
    # The hour before which all of these rows end. Those of another one are other sums of the same.
    sa.Column("until", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("day", sa.BigInteger, primary_key=True, autoincrement=False),  # its first second
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("provider_id", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    *_totals(),
    sa.Index(
        "ix_usage_part_until_day_provider_id_model", *("until", "day", "provider_id", "model")
    ),
)

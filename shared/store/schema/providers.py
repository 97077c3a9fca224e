"""Providers, what is known of them, and the outbox of their events."""

from __future__ import annotations

import sqlalchemy as sa

from shared.store.schema.columns import alive, json_type, metadata, time, where

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
    time("api_key_rotated_at"),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("tags", json_type(), nullable=False),
    sa.Column("visibility", json_type(), nullable=False),
    sa.Column("options", json_type(), nullable=False),
    sa.Column("max_concurrency", sa.Integer),  # of options; a column because the claim reads it
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    # How often a refresh was asked for; a check that begins later makes `refresh_seen` equal to it.
    sa.Column("refresh_asked", sa.Integer, nullable=False, server_default="0"),
    time("created_at", nullable=False),
    time("updated_at", nullable=False),
    time("deleted_at"),
    alive("uq_provider_name_alive", "name_folded"),
    alive("uq_provider_slug_alive", "slug"),
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
    time("at", nullable=False),
    sa.Column("detail", json_type()),  # what changed; only here, the stream stays thin
    sa.Index("ix_event_subject_seq", "subject", "seq"),
    sa.Index("ix_event_type_seq", "type", "seq"),
)

# Writer: discovery worker. No row yet reads as `pending`.
discovery = sa.Table(
    "discovery",
    metadata,
    sa.Column("provider_id", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),  # of the provider that was checked
    time("checked_at"),
    time("ok_at"),
    time("key_verified_at"),
    sa.Column("error_sealed", sa.Text),
    sa.Column("failures", sa.Integer, nullable=False),  # in a row
    sa.Column("empty_lists", sa.Integer, nullable=False),  # in a row
    sa.Column("recent", json_type()),  # the last checks, newest first: [begun, ended, status]
    sa.Column("checking_until", sa.Double, nullable=False, server_default="0"),
    sa.Column("refresh_seen", sa.Integer, nullable=False, server_default="0"),
    time("next_check_at", nullable=False),
    sa.Index("ix_discovery_next_check_at", "next_check_at"),
)
model = sa.Table(
    "model",
    metadata,
    sa.Column("provider_id", sa.Text, primary_key=True),
    sa.Column("upstream_id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),  # "listed" by the server, "manual" by hand
    time("first_seen", nullable=False),
    time("last_seen", nullable=False),
    time("gone_at"),
    sa.Column("created", sa.BigInteger),
    sa.Column("owned_by", sa.Text),
    sa.Column("context_length", sa.BigInteger),
    sa.Column("raw", json_type(), nullable=False),
    sa.Index("ix_model_upstream_id", "upstream_id"),
    # Counts what a provider lists without its rows: 500 of each of 100 in 6 ms instead of 41.
    where("ix_model_listed", "gone_at IS NULL", "provider_id"),
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
    time("created_at", nullable=False),
    sa.Index("ix_provider_check_created_at", "created_at"),
)

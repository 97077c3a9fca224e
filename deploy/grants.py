"""Who may write what: the database roles of PostgreSQL, and their grants, once, as data.

One writer per fact, enforced by the database: each service connects as a role of its own, which
reads the tables it needs and writes only the columns that are its own. `dragoman migrate` gives
the grants, after the schema is there, to those of these roles that exist (`apply`);
`deploy/postgres/grants.sql` shows them as SQL.

The release before this one runs on this schema too, under these grants: what it writes stays
granted until the release after this one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from shared.store.schema import LATENCY_BUCKETS, metadata

MIGRATE: Final = "dragoman_migrate"  # owns the tables: migrations, key rotation, backups
REGISTRY: Final = "dragoman_registry"
CHAT_WORKER: Final = "dragoman_chat_worker"
DISCOVERY_WORKER: Final = "dragoman_discovery_worker"

Columns = tuple[str, ...]
ALL: Final[Columns] = ("*",)


@dataclass(frozen=True, slots=True)
class Access:
    """What a role may do with a table besides reading it; columns by name, or ALL of them."""

    insert: Columns = ()
    update: Columns = ()
    delete: bool = False


READ: Final = Access()

_KEYS_OF_USAGE: Final = ("hour", "owner", "key_id", "provider_id", "model")
_TOTALS: Final = (
    *("requests", "failures", "unknown_usage", "prompt_tokens", "completion_tokens"),
    *(f"latency_{number:02}" for number in range(LATENCY_BUCKETS)),
)
_ENDED: Final = ("state", "completed_at", "expires_at", "error_code", "may_have_been_billed")
# What a job is from its first moment; nobody changes it later, but for its metadata.
_SUBMITTED: Final = (
    *("id", "owner", "key_id", "request_id", "provider_id", "model", "upstream_model"),
    *("background", "store", "service_tier", "metadata", "on_interrupt", "on_unavailable"),
    *("deadline", "created_at", "request_sealed", "route", "idempotency_key", "body_fingerprint"),
    *("stream", "include_usage", "original_sealed", "webhook_sealed"),
)
# What they begin with; from then on these are the chat worker's.
_COUNTERS: Final = ("attempt", "calls", "interrupts", "losses", "not_before")

GRANTS: Final[Mapping[str, Mapping[str, Access]]] = {
    REGISTRY: {
        "installation": READ,
        "api_key": Access(insert=ALL, update=("revoked_at", "last_used_at")),
        "console_session": Access(insert=ALL, delete=True),
        "audit": Access(insert=ALL),
        "worker": READ,
        "leader": Access(insert=ALL, update=("holder", "lease_until"), delete=True),
        "provider": Access(
            insert=ALL,
            update=(
                *("name", "name_folded", "endpoint", "chat_url", "models_url", "host", "port"),
                *("api_key_sealed", "api_key_last4", "api_key_fingerprint", "api_key_rotated_at"),
                *("description", "tags", "visibility", "options", "max_concurrency", "enabled"),
                *("revision", "refresh_asked", "updated_at", "deleted_at"),
            ),
        ),
        "event_counter": Access(update=("seq",)),
        "event": Access(insert=ALL),
        "discovery": READ,
        "model": READ,
        "provider_check": Access(insert=("id", "key_id", "request_sealed", "done", "created_at")),
        "chat_job": Access(
            insert=(*_SUBMITTED, *_COUNTERS, "state", "version", "may_have_been_billed"),
            update=(*_ENDED, "version", "metadata"),
            delete=True,
        ),
        "job_metadata": READ,  # what writes it are triggers, with the rights of the tables' owner
        "job_attempt": Access(delete=True),
        "provider_gate": READ,
        "webhook_delivery": Access(
            insert=("id", "job_id", "type", "status", "next_at", "created_at"), delete=True
        ),
        "usage_hour": READ,
        "usage_day": READ,
        "usage_part": READ,
    },
    CHAT_WORKER: {
        "installation": READ,
        "worker": Access(insert=ALL, update=("lease_until", "suspect_since"), delete=True),
        "leader": Access(insert=ALL, update=("holder", "lease_until"), delete=True),
        "provider": READ,
        "chat_job": Access(
            update=(
                *(*_ENDED, *_COUNTERS, "version", "worker_id", "started_at", "last_cause"),
                *("publishing", "error_sealed", "result_sealed", "log_sealed", "log_chunks"),
            ),
            delete=True,
        ),
        "job_attempt": Access(insert=ALL, delete=True),
        "provider_gate": Access(
            insert=ALL,
            update=(
                *("provider_revision", "closed_at", "closed_until", "reason", "cause"),
                *("failures", "strikes", "probe_job"),
            ),
            delete=True,
        ),
        "webhook_delivery": Access(
            insert=("id", "job_id", "type", "status", "next_at", "created_at"),
            update=("status", "attempts", "next_at", "claimed_until", "last_status"),
            delete=True,
        ),
        "usage_hour": Access(insert=(*_KEYS_OF_USAGE, *_TOTALS), update=_TOTALS, delete=True),
        "usage_day": Access(insert=ALL, delete=True),
        "usage_part": Access(insert=ALL, delete=True),
        "model": READ,
    },
    DISCOVERY_WORKER: {
        "installation": READ,
        "provider": READ,
        "event_counter": Access(update=("seq",)),
        "event": Access(insert=ALL, delete=True),
        "discovery": Access(
            insert=ALL,
            update=(
                *("status", "revision", "checked_at", "ok_at", "key_verified_at", "error_sealed"),
                *("failures", "empty_lists", "recent", "checking_until", "refresh_seen"),
                "next_check_at",
            ),
            delete=True,
        ),
        "model": Access(
            insert=ALL,
            update=(
                *("source", "last_seen", "gone_at", "created", "owned_by", "context_length"),
                "raw",
            ),
            delete=True,
        ),
        "provider_check": Access(
            update=("result_sealed", "done", "checking_until", "tries"), delete=True
        ),
    },
}


def columns_of(table: str, columns: Columns) -> Columns:
    """The names of these columns, in the table's order; raises KeyError for one that is none."""
    known = tuple(metadata.tables[table].columns.keys())
    if columns == ALL:
        return known
    if unknown := set(columns) - set(known):
        raise KeyError(f"{table} has no {', '.join(sorted(unknown))}")
    return tuple(name for name in known if name in columns)


def statements(roles: Collection[str] = tuple(GRANTS)) -> Iterator[str]:
    """The SQL that gives these roles exactly what `GRANTS` says, and takes all else."""
    for role in sorted(roles):
        yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}"
        yield f"GRANT USAGE ON SCHEMA public TO {role}"
        for table, access in GRANTS[role].items():
            whole = ["SELECT", *(["DELETE"] if access.delete else [])]
            rights = [
                *whole,
                *_on_columns("INSERT", table, access.insert),
                *_on_columns("UPDATE", table, access.update),
            ]
            yield f'GRANT {", ".join(rights)} ON "{table}" TO {role}'


def _on_columns(right: str, table: str, columns: Columns) -> Iterator[str]:
    if columns:
        names = ", ".join(f'"{name}"' for name in columns_of(table, columns))
        yield f"{right} ({names})"


def existing(tx: sa.Connection) -> list[str]:
    """Those of the services' roles that this server has."""
    query = sa.text("SELECT rolname FROM pg_roles WHERE rolname IN :names").bindparams(
        sa.bindparam("names", expanding=True)
    )
    return sorted(tx.execute(query, {"names": list(GRANTS)}).scalars())


def owners(tx: sa.Connection) -> list[str]:
    """Who owns our tables, except for roles that the present one is or acts for."""
    query = sa.text(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public' "
        "AND tablename IN :names AND NOT pg_has_role(current_user, tableowner, 'USAGE')"
    ).bindparams(sa.bindparam("names", expanding=True))
    return sorted(tx.execute(query, {"names": list(metadata.tables)}).scalars())


def script() -> str:
    """All grants as SQL; `deploy/postgres/grants.sql` holds this text."""
    head = (
        "-- Made from deploy/grants.py (python -m deploy.grants). `dragoman migrate` runs this.\n"
    )
    return head + "".join(f"{statement};\n" for statement in statements())


if __name__ == "__main__":
    print(script(), end="")

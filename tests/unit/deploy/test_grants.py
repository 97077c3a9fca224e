"""One writer per fact, as database roles: the table is whole, and what is shared is named."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from deploy import grants
from deploy.grants import (
    ALL,
    CHAT_WORKER,
    DISCOVERY_WORKER,
    GRANTS,
    MIGRATE,
    REGISTRY,
    columns_of,
)
from shared.domain import MOVES, Writer
from shared.store.schema import metadata

ROOT = Path(__file__).parents[3]
# Nobody but the owner of the tables, at a migration or a rotation of the master key.
OF_THE_OWNER = {"installation"}
OF_TRIGGERS = {"job_metadata"}  # with the rights of the tables' owner
OF_A_MIGRATION = {"event_counter": {"id"}}  # its one row
# Why two services may change the same column.
BOTH = {
    "event_counter.seq": "whoever appends an event, in the transaction of the fact",
    "leader.holder": "whoever has the duty",
    "leader.lease_until": "whoever has the duty",
    "chat_job.state": "each its own moves",
    "chat_job.version": "with every move",
    "chat_job.completed_at": "whoever ends it",
    "chat_job.expires_at": "whoever ends it",
    "chat_job.error_code": "whoever ends it",
    "chat_job.may_have_been_billed": "whoever ends it",
}


def changers() -> dict[str, set[str]]:
    """Column → the roles that may change it."""
    found = defaultdict(set)
    for role, tables in GRANTS.items():
        for table, access in tables.items():
            for column in columns_of(table, access.update):
                found[f"{table}.{column}"].add(role)
    return found


@pytest.mark.parametrize("table", sorted(set(metadata.tables) - OF_THE_OWNER - OF_TRIGGERS))
def test_every_column_is_written_by_some_service(table: str) -> None:
    written = {
        column
        for tables in GRANTS.values()
        if (access := tables.get(table)) is not None
        for columns in (access.insert, access.update)
        for column in columns_of(table, columns)
    }
    assert set(columns_of(table, ALL)) - written <= OF_A_MIGRATION.get(table, set())


def test_two_services_change_the_same_column_only_where_it_is_said_why() -> None:
    shared = {column for column, roles in changers().items() if len(roles) > 1}
    assert shared == set(BOTH)


def test_who_may_move_a_job_may_write_its_state_and_nobody_else() -> None:
    role_of = {Writer.REGISTRY: REGISTRY, Writer.CHAT_WORKER: CHAT_WORKER}
    assert changers()["chat_job.state"] == {role_of[move.writer] for move in MOVES}


def test_only_the_owner_writes_the_installation() -> None:
    for tables in GRANTS.values():
        assert tables.get("installation") == grants.READ


def test_the_audit_trail_and_the_evidence_of_calls_are_only_ever_added_to() -> None:
    for role, tables in GRANTS.items():
        audit = tables.get("audit")
        assert audit is None or (audit.update, audit.delete) == ((), False), role
    for table in ("audit", "job_attempt", "event"):
        assert not any(column.startswith(f"{table}.") for column in changers())


def test_secrets_are_read_by_those_who_need_them_only() -> None:
    readers = {table: {r for r, tables in GRANTS.items() if table in tables} for table in
               ("api_key", "console_session", "audit", "chat_job")}  # fmt: skip
    assert readers["api_key"] == readers["console_session"] == readers["audit"] == {REGISTRY}
    assert readers["chat_job"] == {REGISTRY, CHAT_WORKER}
    assert DISCOVERY_WORKER not in readers["chat_job"]


def test_a_column_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError, match="provider has no colour"):
        columns_of("provider", ("colour",))
    for tables in GRANTS.values():
        assert set(tables) <= set(metadata.tables)


def test_the_sql_that_people_read_is_the_sql_that_is_run() -> None:
    text = (ROOT / "deploy" / "postgres" / "grants.sql").read_text("utf-8")
    assert text == grants.script(), "run: python -m deploy.grants > deploy/postgres/grants.sql"


def test_the_roles_that_get_grants_are_those_that_roles_sql_and_logins_sh_make() -> None:
    roles = (ROOT / "deploy" / "postgres" / "roles.sql").read_text("utf-8")
    logins = (ROOT / "deploy" / "postgres" / "logins.sh").read_text("utf-8")
    (services,) = (line for line in logins.splitlines() if line.startswith("for service in "))
    made = {f"dragoman_{word}" for word in services.removesuffix("; do").split()[3:]}
    assert made == {MIGRATE, *GRANTS}
    assert all(f"'{role}'" in roles for role in made)

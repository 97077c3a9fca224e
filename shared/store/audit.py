"""The audit trail: who did what to what, and when. Rows are only ever added.

An entry is written in the transaction of the fact that it tells of. Its detail holds names (of
fields, of roles), never what a field holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from shared import ids
from shared.store.schema import audit


class Action(StrEnum):
    """What can have been done."""

    PROVIDER_CREATE = "provider.create"
    PROVIDER_UPDATE = "provider.update"
    PROVIDER_DELETE = "provider.delete"
    PROVIDER_REFRESH = "provider.refresh"
    PROVIDER_TEST = "provider.test"
    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"
    JOB_UPDATE = "job.update"
    JOB_CANCEL = "job.cancel"
    JOB_DELETE = "job.delete"
    SESSION_LOGIN = "session.login"
    SESSION_LOGIN_FAILED = "session.login_failed"
    SESSION_LOGOUT = "session.logout"
    SCHEMA_MIGRATE = "schema.migrate"
    KEYRING_ROTATE = "keyring.rotate"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: a key by its name and owner of then, or the command line.

    `address` is that of the other end of the connection; None at the command line.
    """

    name: str
    owner: str | None = None
    key_id: str | None = None
    request_id: str | None = None
    address: str | None = None


COMMAND_LINE: Final = Actor("cli")
NOBODY: Final = "nobody"  # the name of an actor without a living key
CLOCK_SLACK: Final = 86_400.0  # seconds between an entry's time and its id's: at most a set clock
NEWEST: Final = 20  # entries of a subject among which a repeated one is looked for


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trail; `at` in Unix seconds."""

    id: str
    at: float
    actor: Actor
    action: str
    subject: str | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; None lets everything pass.

    `actor` is the id of a key, an owner, or an actor's name; `since` (Unix seconds) is within,
    `until` is not.
    """

    action: str | None = None
    actor: str | None = None
    subject: str | None = None
    since: float | None = None
    until: float | None = None


def append(
    tx: sa.Connection,
    actor: Actor,
    action: Action,
    *,
    at: float,
    subject: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add one entry, in the transaction of what it tells of."""
    tx.execute(
        sa.insert(audit).values(
            id=ids.new(ids.AUDIT),
            at=at,
            actor_key_id=actor.key_id,
            actor_name=actor.name,
            actor_owner=actor.owner,
            action=action,
            subject=subject,
            detail=dict(detail or {}),
            request_id=actor.request_id,
            address=actor.address,
        )
    )


def is_repeated(
    tx: sa.Connection, actor: Actor, action: Action, *, subject: str, since: float
) -> bool:
    """Whether the actor's key did this to the subject since then, as its newest entries tell."""
    query = (
        sa.select(audit.c.actor_key_id, audit.c.action, audit.c.at)
        .where(audit.c.subject == subject)
        .order_by(audit.c.id.desc())
        .limit(NEWEST)
    )
    return any(
        (row.actor_key_id, row.action) == (actor.key_id, action) and row.at > since
        for row in tx.execute(query)
    )


def page(
    tx: sa.Connection, wanted: Wanted, *, limit: int, after: str | None, newest_first: bool
) -> Sequence[Entry]:
    """Up to `limit` entries behind the one with the id `after`."""
    query = sa.select(audit).where(*_when(wanted))
    if wanted.action is not None:
        query = query.where(audit.c.action == wanted.action)
    if wanted.subject is not None:
        query = query.where(audit.c.subject == wanted.subject)
    if after is not None:
        query = query.where(audit.c.id < after if newest_first else audit.c.id > after)
    query = query.order_by(audit.c.id.desc() if newest_first else audit.c.id).limit(limit)
    # One query for each of these: for either of two in one, databases read and sort them all.
    found = [row for is_it in _actor(wanted.actor) for row in tx.execute(query.where(is_it))]
    found.sort(key=lambda row: str(row.id), reverse=newest_first)
    return [_entry(row) for row in found[:limit]]


def _when(wanted: Wanted) -> Iterator[sa.ColumnElement[bool]]:
    """The times, and where between the ids that is: an index holds those, in the page's order."""
    if wanted.since is not None:
        yield audit.c.at >= wanted.since
        yield audit.c.id >= ids.AUDIT + ids.at(wanted.since - CLOCK_SLACK)
    if wanted.until is not None:
        yield audit.c.at < wanted.until
        yield audit.c.id < ids.AUDIT + ids.at(wanted.until + CLOCK_SLACK)


def _actor(named: str | None) -> Sequence[sa.ColumnElement[bool]]:
    """Conditions of which each entry of this actor meets exactly one."""
    if named is None:
        return [sa.true()]
    if ids.bare(ids.KEY, named) is not None:
        return [audit.c.actor_key_id == named]
    # An owner's name never is the name of whoever has no owner, but for those words.
    nameless = sa.and_(audit.c.actor_owner.is_(None), audit.c.actor_name == named)
    return [audit.c.actor_owner == named, nameless]


def _entry(row: sa.Row[Any]) -> Entry:
    actor = Actor(row.actor_name, row.actor_owner, row.actor_key_id, row.request_id, row.address)
    return Entry(row.id, row.at, actor, row.action, row.subject, row.detail)

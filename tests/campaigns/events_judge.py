"""Holds the stream, the event table, the providers and what a consumer saw against each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from shared.domain import DiscoveryStatus, EventType
from shared.store.database import Database
from shared.store.schema import discovery, event, model, provider
from tests.campaigns.changes import Change
from tests.campaigns.checker import Finding

FIELDS = ("id", "seq", "type", "subject", "revision", "at")
OF_REGISTRY = frozenset(EventType) - {EventType.MODELS_CHANGED, EventType.STATUS_CHANGED}


@dataclass(slots=True)
class Truth:
    """The database at one moment."""

    events: list[Mapping[str, Any]] = field(default_factory=list)  # by number
    living: dict[str, int] = field(default_factory=dict)  # id → revision
    enabled: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    verdicts: dict[str, tuple[str, int]] = field(default_factory=dict)  # id → status, revision
    listed: set[str] = field(default_factory=set)  # providers with rows of models

    @classmethod
    def of(cls, database: Database) -> Truth:
        """All of it, in one transaction."""
        truth = cls()
        with database.read() as tx:
            rows = tx.execute(sa.select(*(event.c[name] for name in FIELDS)).order_by(event.c.seq))
            truth.events = [dict(row) for row in rows.mappings()]
            for row in tx.execute(sa.select(provider)):
                if row.deleted_at is not None:
                    truth.deleted.add(row.id)
                    continue
                truth.living[row.id] = row.revision
                if row.enabled:
                    truth.enabled.add(row.id)
            for row in tx.execute(sa.select(discovery)):
                truth.verdicts[row.provider_id] = (row.status, row.revision)
            truth.listed = set(tx.execute(sa.select(model.c.provider_id).distinct()).scalars())
        return truth

    def unsettled(self) -> list[str]:
        """What discovery still owes: a verdict on each living provider as it is, none on others."""
        owed = []
        for id_, revision in self.living.items():
            status, seen = self.verdicts.get(id_, ("no row", 0))
            if id_ not in self.enabled:
                if status != DiscoveryStatus.DISABLED:
                    owed.append(f"{id_} is disabled, its verdict is {status}")
            elif (status, seen) != (DiscoveryStatus.OK, revision):
                owed.append(f"{id_} has revision {revision}, its verdict is {status} of {seen}")
        owed += [f"{id_} is deleted and has a verdict" for id_ in self.deleted & set(self.verdicts)]
        owed += [f"{id_} is deleted and has models" for id_ in self.deleted & self.listed]
        return owed


def of_table(truth: Truth, done: Iterable[Change]) -> list[Finding]:
    """That the events tell what happened to the providers, in order and without gaps."""
    gaps = Finding("11", "numbers missing in the event table")
    numbers = [row["seq"] for row in truth.events]
    missing = set(range(1, len(numbers) + 1)).symmetric_difference(numbers)
    gaps.broken.extend(str(number) for number in sorted(missing))
    order = Finding("11", "events of a provider whose revision goes back")
    untold = Finding("11", "changes without their event, events without their change")
    last: dict[str, int] = {}
    ended: set[str] = set()
    for row in truth.events:
        id_, revision = row["subject"], row["revision"]
        if revision < last.get(id_, 0) or (id_ in ended and row["type"] in OF_REGISTRY):
            order.broken.append(f"{row['seq']} of {id_} has revision {revision}")
        last[id_] = max(revision, last.get(id_, 0))
        if row["type"] == EventType.PROVIDER_DELETED:
            ended.add(id_)
    for id_, revision in truth.living.items():
        if last.get(id_) != revision:
            untold.broken.append(
                f"{id_} has revision {revision}, its events end at {last.get(id_)}"
            )
    untold.broken.extend(f"{id_} lives after its end" for id_ in ended & truth.living.keys())
    untold.broken.extend(f"{id_} is deleted without a word" for id_ in truth.deleted - ended)
    told = {(row["subject"], row["revision"]) for row in truth.events}
    for change in done:
        known = (
            change.provider_id in ended
            if change.revision is None
            else (change.provider_id, change.revision) in told
        )
        if not known:
            untold.broken.append(f"{change} was answered with success")
    return [gaps, order, untold]


def of_stream(truth: Truth, entries: Sequence[tuple[str, Mapping[str, str]]]) -> list[Finding]:
    """That the stream is the newest part of the table, whole and word by word."""
    gaps = Finding("11", "gaps in the stream, or an end that is not the table's")
    wrong = Finding("11", "entries of the stream that differ from their row")
    newest = truth.events[-1]["seq"]
    first = int(entries[0][0].partition("-")[0]) if entries else newest + 1
    expected = [f"{seq}-0" for seq in range(first, newest + 1)]
    found = [entry_id for entry_id, _ in entries]
    if found != expected or not entries:
        strange = sorted(set(found).symmetric_difference(expected))[:5]
        gaps.broken.append(f"it goes from {found[:1]} to {found[-1:]}, table {newest}: {strange}")
    wrong.broken.extend(differences(truth, (fields for _, fields in entries)))
    return [gaps, wrong]


def differences(truth: Truth, entries: Iterable[Mapping[str, str]]) -> list[str]:
    """Entries that are not what their row says."""
    rows = {row["seq"]: row for row in truth.events}
    return [
        f"{dict(fields)} is not {rows.get(int(fields['seq']))}"
        for fields in entries
        if shown(rows.get(int(fields["seq"]))) != dict(fields)
    ]


def shown(row: Mapping[str, Any] | None) -> dict[str, str] | None:
    """A row as an entry shows it."""
    return None if row is None else {name: str(row[name]) for name in FIELDS}

"""How a list of models becomes rows: only what changed is written.

A listed model was last seen when its provider's list was last good (`discovery.ok_at`); its row's
own `last_seen` is brought up to that when the model leaves the list. So a check of thousands of
models that finds nothing new writes none of them.

What left the list is kept for a while, so that a model which comes back is itself again; without
its raw entry, and not for ever: a server may list other ids each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from shared.store.discovery.rows import LISTED, MANUAL, Entry
from shared.store.schema import model

# vLLM makes both anew for every answer (`ModelCard` and `ModelPermission` of its OpenAI protocol).
_VOLATILE: Final = frozenset({"created", "permission"})
GONE_SECONDS: Final = 30 * 86_400.0
MOST_GONE: Final = 5_000  # rows of one provider


@dataclass(frozen=True, slots=True)
class Changes:
    """The ids that came to be shown, and those that ceased to be."""

    appeared: Sequence[str]
    vanished: Sequence[str]


def replace(
    tx: sa.Connection,
    provider_id: str,
    *,
    listed: Sequence[Entry] | None,
    manual: Sequence[str],
    allows: Callable[[str], bool],
    now: float,
    seen_at: float | None,
) -> Changes:
    """Make the provider's rows agree with `listed` (None: what is listed now) and `manual`.

    `seen_at` is when the last good list came.
    """
    rows = tx.execute(sa.select(model).where(model.c.provider_id == provider_id))
    known = {row.upstream_id: row for row in rows}
    if listed is None:
        alive = (r for r in known.values() if r.gone_at is None and r.source == LISTED)
        listed = [_entry(row) for row in alive]
    wanted = {id_: _row(Entry(id_), MANUAL) for id_ in manual if allows(id_)}
    wanted |= {e.upstream_id: _row(e, LISTED) for e in listed if allows(e.upstream_id)}

    fresh: list[dict[str, Any]] = []
    updates: list[dict[str, Any]] = []
    appeared: list[str] = []
    for id_, values in wanted.items():
        row = known.get(id_)
        if row is None:
            appeared.append(id_)
            fresh.append({"provider_id": provider_id, "upstream_id": id_, **values})
        elif row.gone_at is not None or _differs(row, values):
            if row.gone_at is not None:
                appeared.append(id_)
            listed_now = values["source"] == LISTED
            seen = now if listed_now or row.gone_at is not None else _last_seen(row, seen_at)
            updates.append({"at_id": id_, **values, "last_seen": seen, "gone_at": None})
    left = [row for id_, row in known.items() if row.gone_at is None and id_ not in wanted]
    gone = [
        {"at_id": row.upstream_id, "last_seen": _last_seen(row, seen_at), "gone_at": now, "raw": {}}
        for row in left
    ]
    absent = [row for id_, row in known.items() if row.gone_at is not None and id_ not in wanted]
    forgotten = [{"at_id": id_} for id_ in _forgotten(absent, MOST_GONE - len(gone), now)]
    here = sa.and_(model.c.provider_id == provider_id, model.c.upstream_id == sa.bindparam("at_id"))
    if fresh:
        tx.execute(sa.insert(model).values(first_seen=now, last_seen=now), fresh)
    for batch in filter(None, (updates, gone)):
        tx.execute(sa.update(model).where(here), batch)
    if forgotten:
        tx.execute(sa.delete(model).where(here), forgotten)
    return Changes(appeared, [row.upstream_id for row in left])


def _forgotten(absent: Sequence[sa.Row[Any]], room: int, now: float) -> Iterable[str]:
    """Of the rows that were gone before, those gone too long, and the oldest past `room`."""
    newest_first = sorted(absent, key=lambda row: float(row.gone_at), reverse=True)
    for place, row in enumerate(newest_first):
        if place >= room or row.gone_at < now - GONE_SECONDS:
            yield row.upstream_id


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(row.upstream_id, row.created, row.owned_by, row.context_length, row.raw)


def _row(entry: Entry, source: str) -> dict[str, Any]:
    return {
        "source": source,
        "created": entry.created,
        "owned_by": entry.owned_by,
        "context_length": entry.context_length,
        "raw": dict(entry.raw),
    }


def _differs(row: sa.Row[Any], values: Mapping[str, Any]) -> bool:
    for name in ("source", "owned_by", "context_length"):
        if getattr(row, name) != values[name]:
            return True
    return _steady(row.raw) != _steady(values["raw"])


def _steady(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in raw.items() if key not in _VOLATILE}


def _last_seen(row: sa.Row[Any], seen_at: float | None) -> float:
    """When the row was last seen, told from the time of the last good list that held it."""
    seen: float = row.last_seen
    return seen if row.source != LISTED or seen_at is None else max(seen, seen_at)

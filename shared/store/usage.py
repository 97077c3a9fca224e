"""Hourly totals of what was used: they outlive the jobs, and hold no word of a conversation.

A request is a job that a worker brought to its end. Its latency is that of its last attempt, from
the claim to the end of the answer: what the provider took, not what the queue did. Tokens are those
of every attempt, of dropped results too: they were paid. A call that was cut short because its job
was cancelled or deleted says how many it took only if the provider named them before: else it
counts among those of unknown usage, and each chunk that came as one token, which is near enough.

Callers may name models that no list has. Beyond 50 rows of an owner in an hour, names that are new
to the hour and not listed are counted as one (docs/decisions/0013).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from shared.store import usage_days
from shared.store.among import among
from shared.store.prepared import Prepared
from shared.store.schema import LATENCY_BUCKETS, model, usage_hour

HOUR: Final = usage_days.HOUR
KEPT_SECONDS: Final = 400 * 86_400
MOST_NAMED: Final = 50  # rows of one owner in one hour before what is not listed is `OTHER`
OTHER: Final = "(other)"  # no model's name: those are `slug/id`; nor the id of a provider
# Upper bounds in seconds; the last bucket has none.
BOUNDS: Final = (
    *(0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0),
    *(5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
assert len(BOUNDS) + 1 == LATENCY_BUCKETS  # noqa: S101 - the table has a column for each

KEYS: Final = ("hour", "owner", "key_id", "provider_id", "model")
COUNTS: Final = ("requests", "failures", "unknown_usage", "prompt_tokens", "completion_tokens")
LATENCIES: Final = tuple(f"latency_{number:02}" for number in range(LATENCY_BUCKETS))
Key = tuple[int, str, str, str, str]  # the values of `KEYS`


def _adding(insert: Callable[[sa.Table], Any]) -> sa.Insert:
    fresh = insert(usage_hour)
    sums = {name: usage_hour.c[name] + fresh.excluded[name] for name in (*COUNTS, *LATENCIES)}
    statement: sa.Insert = fresh.on_conflict_do_update(index_elements=list(KEYS), set_=sums)
    return statement


_ADD: Final = {
    "sqlite": Prepared(_adding(sqlite.insert)),
    "postgresql": Prepared(_adding(postgresql.insert)),
}
_KEYS: Final = [usage_hour.c[name] for name in KEYS]
# Column by column, which may find more than was asked for: SQLite serves no list of tuples from an
# index, and read the whole table for every batch of ended jobs.
_OF_OWNERS: Final = (
    among(usage_hour.c.hour, "hours", sa.BigInteger),
    among(usage_hour.c.owner, "owners"),
)
_THESE: Final = Prepared(sa.select(*_KEYS).where(*_OF_OWNERS, among(usage_hour.c.model, "models")))
_LISTED: Final = Prepared(
    sa.select(model.c.provider_id, model.c.upstream_id).where(
        among(model.c.provider_id, "providers"), among(model.c.upstream_id, "models")
    )
)
_ROWS: Final = Prepared(
    sa.select(usage_hour.c.hour, usage_hour.c.owner, sa.func.count())
    .where(*_OF_OWNERS)
    .group_by(usage_hour.c.hour, usage_hour.c.owner)
)


@dataclass(frozen=True, slots=True)
class Used:
    """What one attempt adds. `ended` says that its job ended with it.

    `cut_short`: the job was cancelled while the call ran; `chunks` of its stream had come.
    """

    owner: str
    key_id: str
    provider_id: str
    model: str
    at: float
    ended: bool
    completed: bool
    cut_short: bool
    seconds: float
    prompt_tokens: int | None
    completion_tokens: int | None
    chunks: int


@dataclass(frozen=True, slots=True)
class Period:
    """The hours from `since` to before `until`, in Unix seconds; `owner` None is everybody's."""

    since: float
    until: float
    owner: str | None = None


def add(tx: sa.Connection, used: Iterable[Used]) -> None:
    """Add to the totals of the hour, in the transaction that ends the jobs."""
    totals: dict[Key, dict[str, int]] = {}
    for one in used:
        hour = int(one.at // HOUR * HOUR)
        key = (hour, one.owner, one.key_id, one.provider_id, one.model)
        total = totals.setdefault(key, dict.fromkeys((*COUNTS, *LATENCIES), 0))
        total["prompt_tokens"] += one.prompt_tokens or 0
        total["completion_tokens"] += one.completion_tokens or 0
        if one.cut_short and one.completion_tokens is None:
            total["unknown_usage"] += 1
            total["completion_tokens"] += one.chunks
        if one.ended:
            total["requests"] += 1
            total["failures"] += not one.completed
            total["unknown_usage"] += one.completed and one.completion_tokens is None
            total[LATENCIES[bisect_left(BOUNDS, one.seconds)]] += 1
    if not totals:
        return
    totals = _bounded(tx, totals)
    # Sorted, so that two workers that lock the same rows cannot wait for each other.
    rows = [{**dict(zip(KEYS, key, strict=True)), **totals[key]} for key in sorted(totals)]
    _ADD[tx.dialect.name].many(tx, rows)


def _bounded(tx: sa.Connection, totals: Mapping[Key, dict[str, int]]) -> dict[Key, dict[str, int]]:
    """The totals, those of made-up names under one where an owner has many of them this hour."""
    hours, owners, _, _, models = (list(set(column)) for column in zip(*totals, strict=True))
    place = {"hours": hours, "owners": owners}
    known = {tuple(row) for row in _THESE.all(tx, {**place, "models": models})}
    fresh = [key for key in totals if key not in known]
    pairs = {key: (key[3], key[4].partition("/")[2]) for key in fresh}
    if not pairs:
        return dict(totals)
    providers, models = (list(set(column)) for column in zip(*pairs.values(), strict=True))
    found = _LISTED.all(tx, {"providers": providers, "models": models})
    listed = {tuple(row) for row in found}
    made_up = sorted(key for key, pair in pairs.items() if pair not in listed)
    if not made_up:
        return dict(totals)
    rows = {(hour, owner): count for hour, owner, count in _ROWS.all(tx, place)}
    bounded = dict(totals)
    for key in made_up:
        rows[key[:2]] = rows.get(key[:2], 0) + 1
        if rows[key[:2]] > MOST_NAMED:
            total = bounded.pop(key)
            other = bounded.setdefault((*key[:4], OTHER), dict.fromkeys(total, 0))
            for name, count in total.items():
                other[name] += count
    return bounded


def totals(
    tx: sa.Connection,
    period: Period,
    group_by: Sequence[str],
    *,
    limit: int | None = None,
    after: Sequence[Any] = (),
    named: Sequence[str] | None = None,
) -> Sequence[dict[str, Any]]:
    """The sums of a period by these of `owner`, `key_id`, `provider_id`, `model` and `day`.

    `day` is the Unix time at which a day of UTC begins. Each row holds `COUNTS` and `LATENCIES`.
    Without `group_by` one row, of all. In the order of what they are grouped by; up to `limit` rows
    behind the one with the values `after`. With `named` all other providers are one, `OTHER`.
    """
    used = usage_days.source(tx, period.since, period.until, period.owner, by=group_by)
    day = used.c.hour - used.c.hour % usage_days.DAY
    columns: list[sa.ColumnElement[Any]] = [
        day.label("day") if name == "day" else used.c[name] for name in group_by
    ]
    if named is not None:
        provider_id = used.c.provider_id
        known = sa.case((provider_id.in_(named), provider_id), else_=OTHER).label("provider_id")
        columns = [known if one is provider_id else one for one in columns]
    sums = [
        sa.func.coalesce(sa.func.sum(used.c[name]), 0).label(name) for name in (*COUNTS, *LATENCIES)
    ]
    query = sa.select(*columns, *sums).group_by(*columns).order_by(*columns)
    if after:
        grouped = [day if name == "day" else used.c[name] for name in group_by]
        query = query.where(sa.tuple_(*grouped) > sa.tuple_(*after))
    query = query.limit(limit)
    return [dict(row) for row in tx.execute(query).mappings()]


def busiest(tx: sa.Connection, period: Period, most: int) -> Sequence[str]:
    """The ids of up to `most` providers with the most requests in a period, the busiest first."""
    used = usage_days.source(
        tx, period.since, period.until, period.owner, by=["provider_id"], counts=["requests"]
    )
    query = (
        sa.select(used.c.provider_id)
        .group_by(used.c.provider_id)
        .order_by(sa.func.sum(used.c.requests).desc(), used.c.provider_id)
        .limit(most)
    )
    return tx.execute(query).scalars().all()


def tokens(tx: sa.Connection, key_id: str, *, since: float) -> int:
    """The tokens, in and out, that a key used in the hours from `since` on."""
    spent = usage_hour.c.prompt_tokens + usage_hour.c.completion_tokens
    query = sa.select(sa.func.coalesce(sa.func.sum(spent), 0)).where(
        usage_hour.c.key_id == key_id, usage_hour.c.hour >= ceil(since)
    )
    return int(tx.execute(query).scalar_one())


def percentile(counts: Sequence[int], share: float) -> float | None:
    """The latency in seconds that `share` of the requests did not exceed; None without any.

    Estimated within a bucket; beyond the last bound it is that bound.
    """
    total = sum(counts)
    if not total:
        return None
    rank, below = share * total, 0
    for number, count in enumerate(counts):
        if count and below + count >= rank:
            if number == len(BOUNDS):
                break
            low = BOUNDS[number - 1] if number else 0.0
            return low + (BOUNDS[number] - low) * (rank - below) / count
        below += count
    return BOUNDS[-1]


def purge(tx: sa.Connection, *, now: float) -> bool:
    """Forget totals of more than 400 days ago and add up a day that is over; whether one was.

    Where none was, the hours since are added up, so that no transaction reads more than 30 of them.
    """
    tx.execute(sa.delete(usage_hour).where(usage_hour.c.hour < ceil(now - KEPT_SECONDS)))
    usage_days.purge(tx, before=now - KEPT_SECONDS)
    if usage_days.add_up(tx, now=now):
        return True
    usage_days.renew_part(tx, now=now)
    return False

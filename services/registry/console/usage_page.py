"""`/usage`: totals, charts by provider and time, and a table by what the reader chooses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from flask import Blueprint, Response
from marshmallow import fields, validate

from services.registry.authentication import current_caller
from services.registry.console import charts, figures, queries
from services.registry.console.pages import Console
from services.registry.keys.schemas import OWNER
from services.registry.schemas import OneOf, Strict, Text
from services.registry.usage.documents import document, sums
from services.registry.usage.names import provider_names
from services.registry.usage.schemas import GROUPS
from shared.store import access, usage
from shared.store.usage import HOUR, Period

DAY: Final = 86_400
PERIODS: Final = (1, 7, 30, 90, 400)  # days; one day is drawn by hours
USUAL: Final = 30
MOST_ROWS: Final = 200
OTHERS: Final = "others"

SLOW: Final = "p95"


Rows = Sequence[Mapping[str, Any]]
Series = dict[str, list[float | None]]  # name → a value for each time


class UsagePageQuery(Strict):
    """The query of `/usage`."""

    days = fields.Integer(
        load_default=USUAL,
        validate=validate.OneOf(PERIODS, error="Expected one of {choices} days."),
        error_messages={"invalid": "Expected a number of days."},
    )
    by = Text(load_default="provider", validate=OneOf(list(GROUPS)))
    owner = Text(load_default=None, pattern=OWNER, expected="an owner")


def add(routes: Blueprint, console: Console) -> None:
    """Add the route to those of the console."""
    parts = console.parts
    figures.install(console.templates)

    @routes.get("/usage")
    @console.signed_in
    def show_usage() -> Response:
        """Everybody's usage for admins, else the caller's own."""
        asked, caller = queries.asked(UsagePageQuery), current_caller()
        owner = asked["owner"] if caller.is_admin else caller.owner
        days, by = asked["days"], asked["by"]
        step = HOUR if days == 1 else DAY
        until = int(parts.now()) // step * step + step
        period = Period(until - days * DAY, until, owner)

        def read(tx: sa.Connection) -> dict[str, Any]:
            unit = "hour" if step == HOUR else "day"
            found = usage.totals(tx, period, [GROUPS[by]], limit=MOST_ROWS + 1)
            listed, has_more = found[:MOST_ROWS], len(found) > MOST_ROWS
            series = _series(tx, period, found if by == "provider" and not has_more else None)
            drawn = usage.totals(tx, period, [unit, "provider_id"], named=series)
            ids = {*series, *(row["provider_id"] for row in listed if by == "provider")}
            names: dict[str, Any] = {"provider": provider_names(tx, ids, caller), "key": {}}
            if by == "key":
                names["key"] = access.names(tx, {row["key_id"] for row in listed})
            rows = document(listed, [by], GROUPS, names)
            labels = _labels(names["provider"])
            rows.sort(key=lambda row: row["day"] if by == "day" else row["requests"], reverse=True)
            return {
                "charts": _charts(drawn, unit, period, step, series, labels),
                "rows": rows,
                "labels": _labels(names["key"]) if by == "key" else labels,
                "has_more": has_more,
                "total": sums(*(usage.totals(tx, period, ()) if has_more else listed)),
            }

        return console.render(
            "usage.html",
            **parts.transactions.read(read),
            days=days,
            periods=PERIODS,
            by=by,
            groups=list(GROUPS),
            owner=asked["owner"],
            geometry=charts,
        )


def _series(tx: sa.Connection, period: Period, known: Rows | None) -> Sequence[str]:
    """The providers that get a colour of their own; a chart of thousands would show none.

    `known` are the sums of all providers, where they were read.
    """
    if known is None:
        found = usage.busiest(tx, period, charts.MOST_SERIES + 1)
    else:
        order = sorted(known, key=lambda row: (-row["requests"], row["provider_id"]))
        found = [row["provider_id"] for row in order[: charts.MOST_SERIES + 1]]
    return found if len(found) <= charts.MOST_SERIES else found[: charts.MOST_SERIES - 1]


def _charts(
    rows: Rows,
    unit: str,
    period: Period,
    step: int,
    series: Sequence[str],
    labels: Mapping[str, str],
) -> dict[str, charts.Chart]:
    """Requests, tokens and latency by provider; rows hold `unit`, `provider_id` and sums."""
    starts = range(int(period.since), int(period.until), step)
    at = {start: number for number, start in enumerate(starts)}
    words = "%H:%M" if step == HOUR else "%d %b"
    times = [datetime.fromtimestamp(start, UTC).strftime(words) for start in starts]
    found = {row["provider_id"] for row in rows}
    order = [one for one in (*series, usage.OTHER) if one in found]

    def nothing() -> Series:
        return {one: [None] * len(times) for one in order}

    requests, tokens, latency = nothing(), nothing(), nothing()
    for row in rows:
        place, provider = at[int(row[unit])], row["provider_id"]
        # PostgreSQL's sums are decimals.
        requests[provider][place] = int(row["requests"])
        tokens[provider][place] = int(row["prompt_tokens"] + row["completion_tokens"])
        latency[provider][place] = sums(row)["latency_seconds"][SLOW]
    latency.pop(usage.OTHER, None)  # many providers have none together
    told = {**labels, usage.OTHER: OTHERS}

    def called(values: Series) -> Series:
        return {told.get(one, one): found for one, found in values.items()}

    return {
        "requests": charts.columns(times, called(requests), figures.count, _short),
        "tokens": charts.columns(times, called(tokens), figures.count, _short),
        "latency": charts.lines(times, called(latency), figures.seconds, _seconds),
    }


def _labels(known: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Id → name of providers or keys; a deleted provider may have had a living one's name."""
    often = Counter((found["name"], found.get("owner")) for found in known.values())
    return {
        id_: found["name"]
        if often[found["name"], found.get("owner")] == 1
        else f"{found['name']} ({id_})"
        for id_, found in known.items()
    }


def _short(value: float) -> str:
    """A number of requests or tokens for an axis."""
    for least, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return f"{value / unit:g}{letter}"
    return f"{value:,g}"


def _seconds(value: float) -> str:
    return f"{value:g} s"

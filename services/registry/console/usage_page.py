"""`/usage`: totals, charts by provider and time, and a table by what the reader chooses."""

from __future__ import annotations

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
from services.registry.usage.documents import document, sums, total
from services.registry.usage.schemas import GROUPS
from shared.store import access, providers, usage
from shared.store.usage import HOUR, Period

DAY: Final = 86_400
PERIODS: Final = (1, 7, 30, 90, 400)  # days; one day is drawn by hours
USUAL: Final = 30
MOST_ROWS: Final = 200
OTHERS: Final = "others"

Rows = Sequence[Mapping[str, Any]]


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
            drawn = usage.totals(tx, period, [unit, "provider_id"])
            listed = usage.totals(tx, period, [GROUPS[by]])
            ids = {row["provider_id"] for row in (*drawn, *(listed if by == "provider" else ()))}
            names: dict[str, Any] = {"provider": providers.names(tx, ids), "key": {}}
            if by == "key":
                names["key"] = access.names(tx, {row["key_id"] for row in listed})
            return {
                "charts": _charts(drawn, unit, period, step, names["provider"]),
                "rows": document(listed, [by], GROUPS, names)[:MOST_ROWS],
                "row_count": len(listed),
                "total": total(listed),
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


def _charts(
    rows: Rows, unit: str, period: Period, step: int, names: Mapping[str, Mapping[str, str]]
) -> dict[str, charts.Chart]:
    """Requests, tokens and latency by provider; rows hold `unit`, `provider_id` and sums."""
    starts = range(int(period.since), int(period.until), step)
    at = {start: number for number, start in enumerate(starts)}
    words = "%H:%M" if step == HOUR else "%d %b"
    times = [datetime.fromtimestamp(start, UTC).strftime(words) for start in starts]
    requests: dict[str, list[float | None]] = {}
    tokens: dict[str, list[float | None]] = {}
    latency: dict[str, list[float | None]] = {}
    for provider in {row["provider_id"] for row in rows}:
        name = _unique(names.get(provider, {}).get("name", provider), provider, requests)
        requests[name] = [None] * len(times)
        tokens[name] = [None] * len(times)
        latency[name] = [None] * len(times)
        for row in rows:
            place = at.get(int(row[unit])) if row["provider_id"] == provider else None
            if place is None:
                continue
            summed = sums(row)
            requests[name][place] = summed["requests"]
            tokens[name][place] = summed["total_tokens"]
            latency[name][place] = summed["latency_seconds"]["p95"]
    busiest = list(charts.few(requests, OTHERS))
    kept = {name: latency[name] for name in busiest if name in latency}
    return {
        "requests": charts.columns(times, charts.few(requests, OTHERS), figures.count, _short),
        "tokens": charts.columns(
            times, _in_order(charts.few(tokens, OTHERS), busiest), figures.count, _short
        ),
        "latency": charts.lines(times, kept, figures.seconds, _seconds),
    }


def _unique(name: str, provider_id: str, taken: Mapping[str, Any]) -> str:
    """A deleted provider may have had the name of a living one."""
    return f"{name} ({provider_id})" if name in taken else name


def _in_order(
    series: Mapping[str, list[float | None]], order: Sequence[str]
) -> dict[str, list[float | None]]:
    """The series in this order, so that one provider has one colour in all charts."""
    return {name: series[name] for name in (*order, *series) if name in series}


def _short(value: float) -> str:
    """A number of requests or tokens for an axis."""
    for least, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return f"{value / unit:g}{letter}"
    return f"{value:,g}"


def _seconds(value: float) -> str:
    return f"{value:g} s"

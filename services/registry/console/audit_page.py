"""`/audit`: who did what, and when."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any, Final

from flask import Blueprint, Response
from marshmallow import fields, validate

from services.registry import paging
from services.registry.audit import service
from services.registry.audit.documents import document
from services.registry.console import queries
from services.registry.console.pages import Console
from services.registry.schemas import OneOf, Strict, Text
from shared import ids
from shared.store.audit import Action, Wanted

PAGE: Final = 50  # entries
DAY: Final = 86_400  # seconds


def _day(name: str) -> fields.Date:
    expected = "Expected a day such as 2026-11-22."
    return fields.Date(data_key=name, load_default=None, error_messages={"invalid": expected})


class AuditPageQuery(Strict):
    """The query of `/audit`; days are those of UTC, both within."""

    after = Text(
        load_default=None, pattern=f"{ids.AUDIT}[0-9A-Z]{{26}}", expected="the id of an entry"
    )
    limit = fields.Integer(validate=validate.Range(1, paging.MOST), load_default=PAGE)
    action = Text(load_default=None, validate=OneOf([action.value for action in Action]))
    actor = Text(load_default=None)
    subject = Text(load_default=None)
    since = _day("from")
    until = _day("to")


def add(routes: Blueprint, console: Console) -> None:
    """Add the route to those of the console."""
    parts = console.parts

    @routes.get("/audit")
    @console.admins_only
    def show_audit() -> Response:
        """The trail, newest first."""
        asked = queries.asked(AuditPageQuery)
        entries, has_more = service.page(
            parts.transactions,
            _wanted(asked),
            limit=asked["limit"],
            after=asked["after"],
            newest_first=True,
        )
        return console.render(
            "audit.html",
            entries=[document(entry) for entry in entries],
            actions=[action.value for action in Action],
            asked=asked,
            first=queries.here(after=None) if asked["after"] else None,
            following=queries.here(after=entries[-1].id) if has_more else None,
        )


def _wanted(asked: dict[str, Any]) -> Wanted:
    since, until = asked["since"], asked["until"]
    return Wanted(
        action=asked["action"],
        actor=asked["actor"],
        subject=asked["subject"],
        since=None if since is None else _begin(since),
        until=None if until is None else _begin(until) + DAY,  # the last day has none behind it
    )


def _begin(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()

"""`/v1/usage`."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from flask import Response

from services.registry import answers, paging
from services.registry.authentication import current_caller
from services.registry.blueprints import Blueprint, guarded
from services.registry.parts import Parts
from services.registry.shaping import ref
from services.registry.usage.documents import document, sums
from services.registry.usage.names import provider_names
from services.registry.usage.schemas import GROUPS, UsageQuery, cursor_of, place_of
from shared.errors import InvalidValue
from shared.store import access, usage
from shared.store.usage import HOUR, Period

ROUTE: Final = "/v1/usage"
USUAL_SECONDS: Final = 30 * 86_400


def blueprint(parts: Parts) -> Blueprint:
    """The route of usage over these parts."""
    routes = guarded(parts, "usage", ROUTE, "Hourly totals that outlive the jobs.")

    @routes.get("")
    @routes.arguments(UsageQuery, location="query")
    @routes.response(200, ref("Usage"))
    def show(query: dict[str, Any]) -> Response:
        """Requests, failures, tokens and latency by group: an admin's of all, others' of theirs.

        Up to 1,000 groups; where more follow, go on with `after` = `next` and the same period.
        """
        caller, group_by = current_caller(), query["group_by"]
        until = query.get("until", int(parts.now()))
        since = query.get("since", until - USUAL_SECONDS)
        if since >= until:
            raise InvalidValue(
                f"Expected `from` before `to`, got {since} and {until}.", param="from"
            )
        first, last = since // HOUR * HOUR, -(-until // HOUR) * HOUR
        period = Period(first, last, None if caller.is_admin else caller.owner)

        limit = query["limit"]
        place = place_of(query["after"], group_by) if "after" in query else ()

        def read(tx: sa.Connection) -> dict[str, Any]:
            columns = [GROUPS[name] for name in group_by]
            found = usage.totals(tx, period, columns, limit=limit + 1, after=place)
            rows, has_more = found[:limit], len(found) > limit
            everything = usage.totals(tx, period, ()) if has_more or place else rows
            names = {
                "provider": provider_names(tx, {row["provider_id"] for row in rows}, caller)
                if "provider" in group_by
                else {},
                "key": access.names(tx, {row["key_id"] for row in rows})
                if "key" in group_by
                else {},
            }
            return {
                "object": "usage",
                "from": first,
                "to": last,
                "group_by": group_by,
                "data": document(rows, group_by, GROUPS, names),
                "has_more": has_more,
                "next": cursor_of(rows[-1], group_by) if has_more else None,
                "total": sums(*everything),
            }

        body = parts.transactions.read(read)
        headers = paging.link(body["data"], has_more=body["has_more"], after=body["next"])
        return answers.json_answer(body, 200, headers)

    return routes

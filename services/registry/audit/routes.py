"""`/v1/audit`: for admins."""

from __future__ import annotations

from typing import Any, Final

from flask import Response

from services.registry import answers, paging
from services.registry.audit import service
from services.registry.audit.documents import document
from services.registry.authentication import require_admin
from services.registry.blueprints import Blueprint, guarded
from services.registry.parts import Parts
from services.registry.schemas import Moment, OneOf, Text
from services.registry.shapes import ref
from shared import ids
from shared.errors import InvalidValue
from shared.store.audit import Action, Wanted

ROUTE: Final = "/v1/audit"


def _time(name: str, about: str) -> Moment:
    return Moment(data_key=name, metadata={"description": f"Unix seconds: {about}"})


class AuditQuery(paging.PageQuery):
    """The query of `GET /v1/audit`."""

    after = Text(
        pattern=f"{ids.AUDIT}[0-9A-Z]{{26}}",
        expected="the id of an entry",
        metadata={"description": "the id after which the page begins"},
    )
    order = Text(
        validate=OneOf(("asc", "desc")),
        load_default="desc",
        metadata={"description": "oldest first, or newest first"},
    )
    action = Text(
        validate=OneOf([action.value for action in Action]),
        metadata={"description": "only what was done so"},
    )
    actor = Text(metadata={"description": "only what this key (its id) or owner did; or `cli`"})
    subject = Text(metadata={"description": "only what was done to this id"})
    since = _time("from", "only what was done then or later")
    until = _time("to", "only what was done before")


def wanted_by(query: dict[str, Any]) -> Wanted:
    """What an `AuditQuery` asks for; raises InvalidValue."""
    since, until = query.get("since"), query.get("until")
    if since is not None and until is not None and since >= until:
        raise InvalidValue(f"Expected `from` before `to`, got {since} and {until}.", param="from")
    return Wanted(query.get("action"), query.get("actor"), query.get("subject"), since, until)


def blueprint(parts: Parts) -> Blueprint:
    """The route of the audit trail over these parts."""
    routes = guarded(parts, "audit", ROUTE, "Who did what, and when.")

    @routes.get("")
    @routes.arguments(AuditQuery, location="query")
    @routes.response(200, ref("AuditList"))
    def show_audit(query: dict[str, Any]) -> Response:
        """The audit trail, newest first. For admins.

        Changes of providers, keys and other owners' jobs, and logins, each written together with
        what it tells of.
        """
        require_admin()
        found, has_more = service.page(
            parts.transactions,
            wanted_by(query),
            limit=query.get("limit", paging.USUAL),
            after=query.get("after"),
            newest_first=query["order"] == "desc",
        )
        data = [document(entry) for entry in found]
        headers = paging.link(data, has_more=has_more)
        return answers.json_answer(paging.envelope(data, has_more=has_more), 200, headers)

    return routes

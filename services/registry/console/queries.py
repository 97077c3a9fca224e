"""The queries of pages: read by the schemas of the API, from forms that send every field."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Request, request
from marshmallow import Schema
from werkzeug.datastructures import MultiDict

from services.registry.blueprints import Parser


class _FormParser(Parser):
    """Takes a field that was left empty as one that was not sent."""

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """What was filled in."""
        filled = [(name, value) for name, value in req.args.items(multi=True) if value.strip()]
        return self._makeproxy(MultiDict(filled), schema)


def asked(schema: type[Schema]) -> dict[str, Any]:
    """What this page's query asks for; raises InvalidValue or UnknownField."""
    found: dict[str, Any] = _FormParser().parse(schema, request, location="query")
    return found


def here(**changed: str | None) -> str:
    """The path of this page with its filters, and with these changes; None removes one."""
    kept = [
        (name, value)
        for name, value in request.args.items(multi=True)
        if value.strip() and name not in changed
    ]
    kept += [(name, value) for name, value in changed.items() if value is not None]
    return f"{request.path}?{urlencode(kept)}" if kept else request.path

"""`/chat`: the page; the conversation itself is its scripts', over `/v1/chat/completions`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response

from services.registry.authentication import current_caller
from services.registry.console import offered
from services.registry.console.pages import Console
from services.registry.providers import documents
from shared.store import catalogue
from shared.store.access import Caller


def add(routes: Blueprint, console: Console) -> None:
    """Add the route to those of the console."""
    transactions = console.parts.transactions

    @routes.get("/chat")
    @console.signed_in
    def show_chat() -> Response:
        """The pickers know the providers at once, and load the models."""
        caller = current_caller()
        return console.render(
            "chat.html", providers=transactions.read(lambda tx: _shown(tx, caller))
        )


def _shown(tx: sa.Connection, caller: Caller) -> list[dict[str, Any]] | None:
    """Slug, name and state of the providers to pick from."""
    seen = offered.visible(tx, caller)
    if seen is None:
        return None
    found = catalogue.statuses(tx, [row.id for row in seen])
    return [
        {
            "slug": row.slug,
            "name": row.name,
            "status": documents.status(row, found.get(row.id)).value,
        }
        for row in seen
    ]

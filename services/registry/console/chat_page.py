"""`/chat`: the page; the conversation itself is its scripts', over `/v1/chat/completions`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response

from services.registry.authentication import current_caller
from services.registry.console.pages import Console
from services.registry.providers import documents
from shared.store import catalogue, providers
from shared.store.access import Caller


def add(routes: Blueprint, console: Console) -> None:
    """Add the route to those of the console."""
    transactions = console.parts.transactions

    @routes.get("/chat")
    @console.signed_in
    def show_chat() -> Response:
        """The pickers know the providers at once, and load the models."""
        caller = current_caller()
        found = transactions.read(lambda tx: visible_providers(tx, caller))
        return console.render("chat.html", providers=found)


def visible_providers(tx: sa.Connection, caller: Caller) -> list[dict[str, Any]]:
    """Id, slug, name and state of all living providers that the caller may see, by name."""
    seen = [
        row for row in providers.living(tx) if row.visible_to(caller.owner, admin=caller.is_admin)
    ]
    found = catalogue.statuses(tx, [row.id for row in seen])
    shown = [
        {
            "id": row.id,
            "slug": row.slug,
            "name": row.name,
            "status": documents.status(row, found.get(row.id)).value,
        }
        for row in seen
    ]
    return sorted(shown, key=lambda one: one["name"].casefold())

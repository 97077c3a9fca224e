"""`/providers`: the list, one provider, and the form that adds or changes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from flask import Blueprint, Response, redirect

from services.registry.authentication import current_caller
from services.registry.chat.jobs import Jobs
from services.registry.console import offered, queries
from services.registry.console.pages import Console, is_fragment
from services.registry.events.documents import document as event_document
from services.registry.events.service import Feed
from services.registry.parts import Parts
from services.registry.providers.catalogue import listing
from services.registry.providers.documents import document
from services.registry.providers.listing import Filter, Place
from services.registry.providers.schemas import ProviderQuery, options_by_default
from services.registry.providers.service import Providers
from shared import ids
from shared.domain import DiscoveryStatus
from shared.store import catalogue
from shared.store.jobs import Wanted

ROUTE: Final = "/providers"
PAGE: Final = 50  # providers
SHOWN_MODELS: Final = 200  # of one provider, on its own page; `/models` shows all
SHOWN_EVENTS: Final = 20
SHOWN_JOBS: Final = 8


def add(routes: Blueprint, console: Console) -> None:
    """Add the routes to those of the console."""
    parts = console.parts
    use = Providers(parts)

    @routes.get("/")
    @console.signed_in
    def first() -> Any:
        """The console begins with the providers."""
        return redirect(ROUTE, 303)

    @routes.get(ROUTE)
    @console.signed_in
    def show_providers() -> Response:
        """All that the caller may see, newest first."""
        asked = queries.asked(ProviderQuery)
        wanted = asked.get("status")
        status = DiscoveryStatus(wanted) if wanted is not None else None
        shown = Filter(tuple(asked["tag"]), status, asked.get("q"))
        place = Place(asked.get("after"), newest_first=True, limit=asked.get("limit", PAGE))
        caller = current_caller()
        seen, has_more = use.list(shown, caller, place)
        tags: Sequence[str] | None = ()
        if not is_fragment():
            tags = offered.tags(parts.transactions.read(lambda tx: offered.visible(tx, caller)))
        return console.render(
            "providers/list.html",
            providers=[document(row, verdict, parts.sealer) for row, verdict in seen],
            statuses=[one.value for one in DiscoveryStatus],
            tags=tags,
            shown=shown,
            first=queries.here(after=None) if place.after else None,
            following=queries.here(after=seen[-1][0].id) if has_more else None,
        )

    @routes.get(f"{ROUTE}/-/new")  # no slug begins so: `new` may be a provider's
    @console.admins_only
    def show_new_provider() -> Response:
        """The empty form."""
        return console.render("providers/form.html", provider=None, options=options_by_default())

    @routes.get(f"{ROUTE}/<reference>")
    @console.signed_in
    def show_provider(reference: str) -> Response:
        """One provider: its state, its models, what happened to it, its jobs."""
        return console.render("providers/detail.html", **_detail(parts, use, reference))

    @routes.get(f"{ROUTE}/<reference>/edit")
    @console.admins_only
    def show_provider_form(reference: str) -> Response:
        """The form as the provider is now."""
        provider, verdict = use.get(reference, current_caller())
        shown = document(provider, verdict, parts.sealer)
        return console.render("providers/form.html", provider=shown, options=shown["options"])


def _detail(parts: Parts, use: Providers, reference: str) -> dict[str, Any]:
    caller = current_caller()
    provider, verdict = use.get(reference, caller)

    def models(tx: sa.Connection) -> list[dict[str, Any]]:
        return listing(provider, catalogue.models(tx, [provider.id], gone=True))

    rows = parts.transactions.read(models)
    timeline, older = Feed(parts.transactions).timeline(
        provider.id, caller, limit=SHOWN_EVENTS, after=None, newest_first=True
    )
    owner = None if caller.is_admin else caller.owner
    jobs, _ = Jobs(parts).page(
        Wanted(owner, provider=provider.id), limit=SHOWN_JOBS, after=None, newest_first=True
    )
    listed = [row for row in rows if row["gone_at"] is None]
    return {
        "provider": document(provider, verdict, parts.sealer),
        "checks": verdict.recent if verdict is not None else (),
        "usual": options_by_default(),
        "models": listed[:SHOWN_MODELS],
        "model_count": len(listed),
        "gone": [row for row in rows if row["gone_at"] is not None][:SHOWN_MODELS],
        "timeline": [event_document(event) for event in timeline],
        "has_older": older,
        "jobs": [{"id": ids.COMPLETION + job.id, "job": job} for job, _ in jobs],
    }

"""`/v1/providers`."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from services.registry import answers, paging
from services.registry.authentication import current_caller, require_admin
from services.registry.blueprints import Blueprint, guarded
from services.registry.parts import Parts
from services.registry.providers.documents import document
from services.registry.providers.schemas import NewProvider, ProviderQuery
from services.registry.providers.service import Filter, Providers
from services.registry.shapes import ref
from shared.domain import DiscoveryStatus

ROUTE = "/v1/providers"


def blueprint(parts: Parts) -> Blueprint:
    """The routes of providers over these parts."""
    routes = guarded(parts.authenticator, "providers", ROUTE, "The registered endpoints.")
    providers = Providers(parts)

    @routes.post("")
    @routes.arguments(NewProvider)
    @routes.response(201, ref("Provider"))
    def create(body: dict[str, Any]) -> Response:
        """Register an endpoint; it is usable at once."""
        require_admin()
        provider = providers.create(body)
        headers = {"Location": f"{ROUTE}/{provider.id}", "ETag": answers.etag(provider.revision)}
        return answers.json_answer(document(provider, None, parts.sealer), 201, headers)

    @routes.get("")
    @routes.arguments(ProviderQuery, location="query")
    @routes.response(200, ref("ProviderList"))
    def show_all(query: dict[str, Any]) -> Response:
        """List the providers that the caller may see."""
        wanted = query.get("status")
        status = DiscoveryStatus(wanted) if wanted is not None else None
        shown = Filter(query.get("tag"), status, query.get("q"))
        seen, has_more = paging.page(
            providers.list(shown, current_caller()),
            lambda row: row[0].id,
            limit=query.get("limit", paging.USUAL),
            after=query.get("after"),
            order=query["order"],
        )
        data = [document(provider, verdict, parts.sealer) for provider, verdict in seen]
        headers = paging.link(data, has_more=has_more)
        return answers.json_answer(paging.envelope(data, has_more=has_more), 200, headers)

    @routes.get("/<reference>")
    @routes.response(200, ref("Provider"))
    @routes.alt_response(304, description="If-None-Match names the current version")
    def show(reference: str) -> Response:
        """One provider, by id or slug."""
        provider, verdict = providers.get(reference, current_caller())
        if answers.is_known(request, provider.revision):
            return answers.not_modified(provider.revision)
        headers = {"ETag": answers.etag(provider.revision)}
        return answers.json_answer(document(provider, verdict, parts.sealer), 200, headers)

    @routes.delete("/<reference>")
    @routes.response(204)
    def delete(reference: str) -> Response:
        """Forget a provider. Its queued jobs fail, running ones finish."""
        caller = require_admin()
        providers.delete(reference, caller, may=answers.precondition(request))
        return Response(status=204)

    return routes

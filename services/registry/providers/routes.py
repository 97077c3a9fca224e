"""`/v1/providers`."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from services.registry import answers, json_bodies, paging, trail
from services.registry.authentication import current_caller, require_admin
from services.registry.blueprints import Blueprint, guarded
from services.registry.parts import Parts
from services.registry.providers.documents import document, impact, tag
from services.registry.providers.listing import Filter, Place
from services.registry.providers.schemas import NewProvider, ProviderPatch, ProviderQuery
from services.registry.providers.service import Providers
from services.registry.shapes import ref
from shared.domain import DiscoveryStatus

ROUTE = "/v1/providers"


def blueprint(parts: Parts) -> Blueprint:
    """The routes of providers over these parts."""
    routes = guarded(parts, "providers", ROUTE, "The registered endpoints.")
    providers = Providers(parts)

    def answer(shown: dict[str, Any], status: int = 200, **headers: str) -> Response:
        return answers.json_answer(shown, status, {"ETag": answers.etag(tag(shown)), **headers})

    @routes.post("")
    @routes.arguments(NewProvider)
    @routes.response(201, ref("Provider"))
    def create(body: dict[str, Any]) -> Response:
        """Register an endpoint; it is usable at once."""
        require_admin()
        provider = providers.create(body, trail.actor())
        shown = document(provider, None, parts.sealer)
        return answer(shown, 201, Location=f"{ROUTE}/{provider.id}")

    @routes.get("")
    @routes.arguments(ProviderQuery, location="query")
    @routes.response(200, ref("ProviderList"))
    def show_all(query: dict[str, Any]) -> Response:
        """List the providers that the caller may see."""
        wanted = query.get("status")
        status = DiscoveryStatus(wanted) if wanted is not None else None
        shown = Filter(tuple(query["tag"]), status, query.get("q"))
        limit = query.get("limit", paging.USUAL)
        place = Place(query.get("after"), query["order"] == "desc", limit)
        seen, has_more = providers.list(shown, current_caller(), place)
        data = [document(provider, verdict, parts.sealer) for provider, verdict in seen]
        headers = paging.link(data, has_more=has_more)
        return answers.json_answer(paging.envelope(data, has_more=has_more), 200, headers)

    @routes.get("/<reference>")
    @routes.response(200, ref("Provider"))
    @routes.alt_response(304, description="If-None-Match names the current version")
    def show(reference: str) -> Response:
        """One provider, by id or slug."""
        shown = document(*providers.get(reference, current_caller()), parts.sealer)
        if answers.is_known(request, tag(shown)):
            return answers.not_modified(tag(shown))
        return answer(shown)

    as_json = {json_bodies.JSON: {"schema": ref("ProviderPatch")}}

    @routes.patch("/<reference>")
    @routes.arguments(ProviderPatch, content_type=json_bodies.MERGE_PATCH)
    @routes.doc(requestBody={"content": as_json})
    @routes.response(200, ref("Provider"))
    def change(body: dict[str, Any], reference: str) -> Response:
        """Change a provider by a merge patch (RFC 7396): what is left out stays as it is.

        With `If-Match` only if its revision is the current one. A patch that changes nothing
        leaves the revision as it is.
        """
        caller = require_admin()
        may = answers.precondition(request)
        provider, verdict = providers.change(reference, body, caller, trail.actor(), may=may)
        return answer(document(provider, verdict, parts.sealer))

    @routes.get("/<reference>/impact")
    @routes.response(200, ref("ProviderImpact"))
    def show_impact(reference: str) -> Response:
        """What a delete would touch: queued and running jobs, and when it was last used."""
        return answers.json_answer(impact(*providers.impact(reference, current_caller())))

    @routes.delete("/<reference>")
    @routes.response(204)
    def delete(reference: str) -> Response:
        """Forget a provider. Its queued jobs fail, running ones finish."""
        caller = require_admin()
        may = answers.precondition(request)
        providers.delete(reference, caller, trail.actor(), may=may)
        return answers.empty()

    return routes

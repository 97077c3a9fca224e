"""`/v1/providers/test` and `/v1/providers/checks/{id}`."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, request

from services.registry import answers, preferences, trail
from services.registry.authentication import require_admin
from services.registry.blueprints import Blueprint
from services.registry.checks.documents import document
from services.registry.checks.schemas import NewCheck
from services.registry.checks.service import Checks
from services.registry.parts import Parts
from services.registry.preferences import Preferences
from services.registry.shapes import ref

ROUTE: Final = "/v1/providers/checks"
USUAL_WAIT: Final = 30  # seconds: how long a check may take
POLL_AFTER: Final = "1"  # seconds, as Retry-After


def add(routes: Blueprint, parts: Parts) -> None:
    """Add the routes to those of providers."""
    checks = Checks(parts)

    @routes.post("/test")
    @routes.arguments(NewCheck)
    @routes.response(200, ref("ProviderCheck"), description="The check, done.")
    @routes.alt_response(
        202, schema=ref("ProviderCheck"), description="The check so far: poll it at `Location`."
    )
    def test(body: dict[str, Any]) -> Response:
        """Test values that are not saved, step by step, and find the endpoint to save.

        It waits for 30 s, or as `Prefer: wait=N` or `Prefer: respond-async` say. Ten a minute.
        """
        caller, wanted = require_admin(), preferences.of(request)
        check_id = checks.begin(body, caller, trail.actor())
        checks.wait(check_id, _patience(wanted))
        check = checks.get(check_id)
        applied = wanted.applied("wait") if check.done else wanted.applied("wait", "respond-async")
        if check.done:
            return answers.json_answer(document(check, parts.sealer), 200, applied)
        headers = {"Location": f"{ROUTE}/{check_id}", "Retry-After": POLL_AFTER, **applied}
        return answers.json_answer(document(check, parts.sealer), 202, headers)

    @routes.get("/checks/<check_id>")
    @routes.response(200, ref("ProviderCheck"))
    def show_check(check_id: str) -> Response:
        """A check of the last ten minutes and its steps so far; with `Prefer: wait=N` its end."""
        require_admin()
        wanted = preferences.of(request)
        check = checks.get(check_id)
        if wanted.wait is not None and not check.done:
            checks.wait(check_id, wanted.wait)
            check = checks.get(check_id)
        headers = wanted.applied("wait")
        if not check.done:
            headers["Retry-After"] = POLL_AFTER
        return answers.json_answer(document(check, parts.sealer), 200, headers)


def _patience(wanted: Preferences) -> float:
    if wanted.wait is not None:
        return wanted.wait
    return 0 if wanted.respond_async else USUAL_WAIT

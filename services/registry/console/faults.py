"""Errors of pages: pages too, where a person asked; the API's documents where a script did."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, g, request
from werkzeug.exceptions import HTTPException

from services.registry import problems
from services.registry.console.pages import Console, finish, is_for_a_person, is_fragment, to_login
from shared.crypto import SealBroken
from shared.errors import CodedError, InvalidApiKey


def add(routes: Blueprint, console: Console) -> None:
    """Make the errors of these routes pages."""

    def shown(raised: Exception) -> Any:
        error = problems.coded(raised)
        told = problems.of_error(error)
        if is_fragment() or not is_for_a_person():
            return told
        if isinstance(error, InvalidApiKey):
            return to_login()
        page = _page(console, HTTPStatus(told.status_code), error.message)
        if "Retry-After" in told.headers:
            page.headers["Retry-After"] = told.headers["Retry-After"]
        return page

    @routes.app_errorhandler(HTTPStatus.NOT_FOUND)
    def no_such_page(raised: Exception) -> Any:
        """A mistyped address of a page; who calls `/v1` is told as programs are, whoever it is."""
        if request.path.startswith("/v1/") or is_fragment() or not is_for_a_person():
            return problems.of_error(problems.coded(raised))
        message = f"Expected the address of a page, got {request.path[:200]}."
        return finish(_page(console, HTTPStatus.NOT_FOUND, message))

    # The application's own handlers name these classes, and the nearest class wins.
    for kind in (CodedError, SealBroken, HTTPException, Exception):
        routes.register_error_handler(kind, shown)


def _page(console: Console, status: HTTPStatus, message: str) -> Response:
    """The error among the other pages, for whoever is signed in; else alone."""
    if "session" not in g:
        try:
            g.session = console.parts.authenticator.session_of(request)
        except CodedError:  # nobody, or the database is away: what happened first is told
            g.session = None
    template = "error.html" if g.session is not None else "error_alone.html"
    return console.render(template, status, title=status.phrase, message=message)

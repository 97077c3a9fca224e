"""The console's blueprint: its pages and its files."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from flask import Blueprint, Response

from services.registry.console import (
    assets,
    audit_page,
    chat_page,
    faults,
    job_pages,
    key_page,
    login,
    model_pages,
    pages,
    provider_pages,
    usage_page,
)
from services.registry.console.pages import Console
from services.registry.parts import Parts

PAGES: Final[tuple[ModuleType, ...]] = (
    login,
    provider_pages,
    model_pages,
    chat_page,
    job_pages,
    usage_page,
    key_page,
    audit_page,
)


def blueprint(parts: Parts) -> Blueprint:
    """All that the console answers, over these parts."""
    routes = Blueprint("console", __name__)
    console = Console(parts)
    routes.after_request(pages.finish)
    faults.add(routes, console)
    for page in PAGES:
        page.add(routes, console)

    @routes.get(f"{assets.ROUTE}/<version>/<path:path>")
    def static(version: str, path: str) -> Response:
        return console.assets.send(version, path)

    return routes

"""Addresses in templates: of our own pages, and of servers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

PROVIDERS: Final = "/providers"


def provider_page(provider: Mapping[str, Any]) -> str:
    """The path of a provider's page."""
    return f"{PROVIDERS}/{provider['slug']}"


def host(url: str) -> str:
    """Host and port of a server's URL."""
    return urlsplit(url).netloc

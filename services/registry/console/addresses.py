"""Addresses in templates: of our own pages, and of servers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

PROVIDERS: Final = "/providers"


def provider_page(provider: Mapping[str, Any]) -> str:
    """The path of a provider's page; `new` is the form's, so such a slug gives way to the id."""
    slug = provider["slug"]
    return f"{PROVIDERS}/{provider['id'] if slug == 'new' else slug}"


def host(url: str) -> str:
    """Host and port of a server's URL."""
    return urlsplit(url).netloc

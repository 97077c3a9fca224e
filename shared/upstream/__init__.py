"""Calling providers: the endpoint resolver, the outbound policy and guard, and the one client.

This page is the contract; the modules behind it are its own, except `endpoint` and `policy`, which
the registry uses too. They import neither httpx nor httptools, and so this page must not: the
client is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.upstream._contract import (
    Bounds,
    ChatAnswer,
    ConnectionLost,
    DiscoveryFailure,
    ListedModel,
    ModelList,
    Obstacle,
    StreamEnd,
    Target,
)

if TYPE_CHECKING:
    from shared.upstream.client import UpstreamClient


def __getattr__(name: str) -> object:
    if name == "UpstreamClient":
        from shared.upstream.client import UpstreamClient

        return UpstreamClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Bounds",
    "ChatAnswer",
    "ConnectionLost",
    "DiscoveryFailure",
    "ListedModel",
    "ModelList",
    "Obstacle",
    "StreamEnd",
    "Target",
    "UpstreamClient",
]

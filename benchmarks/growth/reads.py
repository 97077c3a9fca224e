"""What is read all day, as requests; each figure is the time of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import httpx

from benchmarks.growth.places import Place
from tests.api import CHAT

Path = Callable[[Place], str]


def _list(query: str) -> Path:
    return lambda place: f"{CHAT}?{query}".format(
        middle=place.middle, slug=place.model.partition("/")[0], model=place.model
    )


RARE: Final = "list by metadata that a thousandth have"
LISTS: Final[Mapping[str, Path]] = {
    "list, oldest first": _list(""),
    "list, newest first": _list("order=desc"),
    "list, from the middle on": _list("after={middle}"),
    "list, completed": _list("status=completed&order=desc"),
    "list, failed": _list("status=failed&order=desc"),
    "list, queued, oldest first": _list("status=queued"),
    "list of a provider": _list("provider={slug}&order=desc"),
    "list of a model": _list("model={model}&order=desc"),
    "list of a model that nobody used": _list("model=none/of-these"),
    RARE: _list("metadata[run]=7&order=desc"),
}
READS: Final[Mapping[str, Path]] = {
    "a job": lambda place: f"{CHAT}/{place.middle}",
    "its messages": lambda place: f"{CHAT}/{place.middle}/messages",
    "its attempts": lambda place: f"{CHAT}/{place.middle}/attempts",
    "a provider's impact": lambda place: f"/v1/providers/{place.kinds[0].provider_id}/impact",
    "providers": lambda _: "/v1/providers",
    "models": lambda _: "/v1/models",
    "events, the last": lambda _: "/v1/events?limit=20",
    "events of a type": lambda _: "/v1/events?type=provider.deleted",
    "a provider's events": lambda place: f"/v1/providers/{place.kinds[0].provider_id}/events",
    "the audit trail": lambda _: "/v1/audit",
    "the audit trail of an owner": lambda _: "/v1/audit?actor=team-1",
    "a scrape": lambda _: "/metrics",
    "readiness": lambda _: "/health/ready",
    "usage of 30 days": lambda _: "/v1/usage?group_by=provider",
}
PAGES: Final[Mapping[str, Path]] = {
    "console: jobs": lambda _: "/jobs",
    "console: a job": lambda place: f"/jobs/{place.middle}",
    "console: usage": lambda _: "/usage",
    "console: providers": lambda _: "/providers",
}
QUEUES: Final[Mapping[str, Path]] = {
    "list, oldest first": _list(""),
    "list, newest first": _list("order=desc"),
    "list, queued, oldest first": _list("status=queued"),
    "list, queued, newest first": _list("status=queued&order=desc"),
    "list, running": _list("status=in_progress"),
    "list, completed": _list("status=completed&order=desc"),
}


def signed_in(place: Place) -> httpx.Client:
    """A browser's connection after the login."""
    key = place.system.admin_key
    client = httpx.Client(base_url=place.system.url, timeout=60, trust_env=False)
    answer = client.post("/login", data={"key": key}, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return client

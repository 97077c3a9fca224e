"""`/v1/events`, and `/v1/providers/{id}/events`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from flask import Response, request

from services.registry import answers, clients, paging, preferences
from services.registry.authentication import current_caller, require_admin
from services.registry.blueprints import Blueprint, guarded
from services.registry.clients import Client
from services.registry.events.documents import PING, document, frames
from services.registry.events.following import Followers
from services.registry.events.service import Feed, Wanted
from services.registry.parts import Parts
from services.registry.refusals import shown
from services.registry.schemas import OneOf, Text
from services.registry.shapes import ref
from shared import ids
from shared.domain import EventType
from shared.errors import InvalidApiKey, InvalidValue, StoreUnavailable
from shared.store.access import Caller

ROUTE: Final = "/v1/events"
STREAM: Final = "text/event-stream"
_NUMBER: Final = "[0-9]{1,18}"
_HEADERS: Final = {"Cache-Control": "no-store", "Vary": "Accept"}


class FeedQuery(paging.PageQuery):
    """The query of `GET /v1/events`."""

    class Meta(paging.PageQuery.Meta):
        """Numbers grow with time: there is one order."""

        exclude = ("order",)

    after = Text(
        pattern=_NUMBER,
        expected="the number of an event (`seq`), or 0",
        metadata={"description": "the number after which to begin; 0, or left out: the first"},
    )
    type = Text(
        validate=OneOf([type_.value for type_ in EventType]),
        metadata={"description": "only events of this type"},
    )
    provider = Text(metadata={"description": "only events of this provider (id or slug)"})


class TimelineQuery(paging.PageQuery):
    """The query of `GET /v1/providers/{id}/events`."""

    after = Text(
        pattern=f"{ids.EVENT}[0-9A-Z]{{26}}",
        expected="the id of an event",
        metadata={"description": "the id after which the page begins"},
    )


def blueprint(parts: Parts) -> Blueprint:
    """The routes of the feed over these parts."""
    routes = guarded(parts, "events", ROUTE, "What happened to providers, in order.")
    feed = Feed(parts.transactions)

    @routes.get("")
    @routes.arguments(FeedQuery, location="query")
    @routes.response(200, ref("EventFeed"), description="A page; or a stream without end.")
    @routes.doc(responses={200: {"content": {STREAM: {"schema": {"type": "string"}}}}})
    def show_feed(query: dict[str, Any]) -> Response:
        """The events of all providers, in the order of their numbers. For admins.

        Go on with `after` = the `last_seq` of the answer. `Prefer: wait=N` waits for an event when
        there is none. With `Accept: text/event-stream` the answer is a stream that begins behind
        `after` (or `Last-Event-ID`, whichever is larger), goes on with what happens, and has no
        pages. Events may be missing nowhere: their numbers have no gaps.
        """
        caller = require_admin()
        after, limit = int(query.get("after", 0)), query.get("limit", paging.USUAL)
        type_, named = query.get("type"), query.get("provider")
        wanted = Wanted(
            EventType(type_) if type_ is not None else None,
            feed.provider_id(named, caller) if named is not None else None,
        )
        client = clients.of(request)
        if request.accept_mimetypes.best_match(("application/json", STREAM)) == STREAM:
            after = max(after, _last_event_id(request.headers.get("Last-Event-ID")))
            feed.page(after, wanted, limit=1)  # refuses a number that no event has had
            parts.followers.check_room()
            may = _Permission(parts.authenticator.credential_of(request))
            stream = _stream(parts.followers, after, wanted, may, client)
            headers = {**_HEADERS, "X-Accel-Buffering": "no"}
            return Response(stream, content_type=STREAM, headers=headers)
        wait = preferences.of(request)
        page = feed.page(after, wanted, limit=limit)
        if not page.events and wait.wait:
            parts.followers.check_room()
            parts.followers.wait(page.last_seq, wanted.admits, wait.wait, client)
            page = feed.page(after, wanted, limit=limit)
        data = [document(event) for event in page.events]
        body = {**paging.envelope(data, has_more=page.has_more), "last_seq": page.last_seq}
        headers = {**_HEADERS, **wait.applied("wait")}
        headers |= paging.link(data, has_more=page.has_more, after=str(page.last_seq))
        return answers.json_answer(body, 200, headers)

    return routes


def add(routes: Blueprint, parts: Parts) -> None:
    """Add the timeline to the routes of providers."""
    feed = Feed(parts.transactions)

    @routes.get("/<reference>/events")
    @routes.arguments(TimelineQuery, location="query")
    @routes.response(200, ref("EventList"))
    def show_timeline(query: dict[str, Any], reference: str) -> Response:
        """What happened to a provider: created, changed, key rotated, states, models."""
        found, has_more = feed.timeline(
            reference,
            current_caller(),
            limit=query.get("limit", paging.USUAL),
            after=query.get("after"),
            newest_first=query["order"] == "desc",
        )
        data = [document(event) for event in found]
        headers = paging.link(data, has_more=has_more)
        return answers.json_answer(paging.envelope(data, has_more=has_more), 200, headers)


class _Permission:
    """Whether a caller may still follow: streams outlive keys and sessions."""

    def __init__(self, ask: Callable[[], Caller]) -> None:
        self._ask = ask

    def holds(self) -> bool:
        """Ask again; a database that is away takes nobody's permission."""
        try:
            return self._ask().is_admin
        except InvalidApiKey:
            return False
        except StoreUnavailable:
            return True


def _stream(
    followers: Followers, after: int, wanted: Wanted, may: _Permission, client: Client
) -> Iterator[bytes]:
    yield PING  # so that the client hears at once that the stream is open
    for batch in followers.follow(after, wanted.admits, client):
        if not may.holds():
            return
        yield frames(batch) if batch else PING


def _last_event_id(header: str | None) -> int:
    if header is None:
        return 0
    if re.fullmatch(_NUMBER, header) is None:
        raise InvalidValue(
            f"Last-Event-ID: Expected the number of an event (`seq`), got {shown(header)}.",
            param="Last-Event-ID",
        )
    return int(header)

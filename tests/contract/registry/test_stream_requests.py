"""What asks for a stream of events, and where it begins."""

from __future__ import annotations

import json
import time

import pytest

from tests.contract.registry.conftest import Registry, refused
from tests.contract.registry.hand import soon
from tests.contract.registry.test_events import newest
from tests.contract.registry.test_streams import EVENTS, PING, append, opened


def test_a_stream_begins_with_what_was_and_goes_on_with_what_happens(registry: Registry) -> None:
    begin = newest(registry)
    made = registry.add()
    answer = opened(registry, f"after={begin}")
    assert answer.content_type == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in answer.headers
    stream = answer.iter_encoded()
    assert next(stream) == PING  # tells the client that the stream is open
    (row,) = registry.get(f"{EVENTS}?after={begin}").get_json()["data"]
    frame = next(stream)
    head, _, data = frame.partition(b"\ndata: ")
    assert head == b"id: %d" % (begin + 1)
    assert data.endswith(b"}\n\n")
    assert json.loads(data) == row
    assert row["provider"] == made["id"]
    work, began = soon(registry.add), time.monotonic()
    assert next(stream).startswith(b"id: %d\n" % (begin + 2))
    assert time.monotonic() - began < 0.6  # of this process: no look is waited for
    work.get()
    soon(append, registry, 1)
    assert next(stream).startswith(b"id: %d\n" % (begin + 3))
    assert time.monotonic() - began < 3
    answer.close()


@pytest.mark.parametrize("header", ["", "x", "-1", "1.5", "9" * 400, "\u0661"])
def test_a_last_event_id_that_is_no_number_is_refused(registry: Registry, header: str) -> None:
    answer = registry.get(EVENTS, Accept="text/event-stream", Last_Event_ID=header)
    refused(answer, 400, "invalid_value", "Last-Event-ID")


def test_a_last_event_id_beyond_the_newest_is_refused(registry: Registry) -> None:
    number = str(newest(registry) + 1)
    answer = registry.get(EVENTS, Accept="text/event-stream", Last_Event_ID=number)
    refused(answer, 400, "invalid_value", "after")


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        ("text/event-stream", True),
        ("text/event-stream, application/json;q=0.5", True),
        ("application/json, text/event-stream;q=0.5", False),
        ("*/*", False),
        ("text/html", False),
        (";;;", False),
        ("text/event-stream;q=x", False),
    ],
)
def test_the_accept_header_decides_between_page_and_stream(
    registry: Registry, accept: str, streams: bool
) -> None:
    answer = registry.get(f"{EVENTS}?limit=1", Accept=accept)
    assert (answer.content_type == "text/event-stream") is streams
    assert answer.headers["Vary"] == "Accept"
    answer.close()

"""Events: each provider's timeline, and all of them in order as a feed."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.registry.events import following
from shared import ids
from shared.domain import EventType
from shared.store.schema import event
from tests.contract.registry.conftest import Registry, refused
from tests.contract.registry.hand import Hand, soon
from tests.contract.registry.test_lists import walk

ROOT = Path(__file__).parents[3]
PROVIDERS, EVENTS = "/v1/providers", "/v1/events"


@pytest.fixture
def hand(registry: Registry) -> Hand:
    return Hand(registry)


def feed(registry: Registry, query: str = "", **options: Any) -> Any:
    answer = registry.get(f"{EVENTS}?{query}", **options)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def newest(registry: Registry) -> int:
    """The number of the newest event: a page that holds nothing has looked at all."""
    return int(feed(registry, f"provider={ids.new(ids.PROVIDER)}")["last_seq"])


def test_the_page_of_events_tells_of_every_type() -> None:
    page = (ROOT / "docs" / "events.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert sorted(re.findall("`([a-z]+\\.[a-z_]+)`", "".join(r.split("|")[1] for r in rows))) == (
        sorted(type_.value for type_ in EventType)
    )


def told(rows: list[dict[str, Any]]) -> list[str]:
    return [one["type"] for one in rows]


def test_a_timeline_tells_what_happened_in_order(registry: Registry, hand: Hand) -> None:
    made = hand.provider()
    path = f"{PROVIDERS}/{made['slug']}"
    registry.call("PATCH", path, {"description": "new", "api_key": "k"})
    hand.check(made["id"], "m")
    registry.call("PATCH", path, {"enabled": False})
    rows = registry.get(f"{path}/events").get_json()["data"]
    assert told(rows) == [
        "provider.created",
        "provider.changed",
        "provider.key_rotated",
        "provider.status_changed",
        "models.changed",
        "provider.disabled",
    ]
    assert list(rows[0]) == [
        "id", "object", "seq", "type", "provider", "revision", "created_at", "detail",
    ]  # fmt: skip
    assert {(one["object"], one["provider"]) for one in rows} == {("event", made["id"])}
    assert [one["revision"] for one in rows] == [1, 2, 2, 2, 2, 3]
    assert [one["seq"] for one in rows] == sorted(one["seq"] for one in rows)
    assert rows[0]["created_at"] == made["created_at"]
    assert rows[3]["detail"] == {"from": "pending", "to": "ok"}
    assert rows[4]["detail"]["appeared"] == ["m"]


def test_a_timeline_is_paged_in_both_orders(registry: Registry, hand: Hand) -> None:
    made = hand.provider()
    hand.provider()
    for word in "abcd":
        registry.call("PATCH", f"{PROVIDERS}/{made['id']}", {"description": word})
    path = f"{PROVIDERS}/{made['id']}/events"
    whole = registry.get(path).get_json()["data"]
    assert len(whole) == 5
    for order, expected in (("asc", whole), ("desc", whole[::-1])):
        pages = walk(registry, f"{path}?limit=2&order={order}")
        assert [one for page in pages for one in page["data"]] == expected
        assert [page["last_id"] for page in pages] == [page["data"][-1]["id"] for page in pages]


def test_a_timeline_is_seen_by_who_sees_the_provider(registry: Registry, hand: Hand) -> None:
    made = hand.provider(visibility=["ann"])
    path = f"{PROVIDERS}/{made['slug']}/events"
    assert registry.get(path, who="ann").status_code == 200
    refused(registry.get(path, who="ben"), 404, "provider_not_found")
    registry.call("DELETE", f"{PROVIDERS}/{made['id']}")
    refused(registry.get(path), 404, "provider_not_found")


def test_a_timeline_begins_only_after_an_event_of_its_own(registry: Registry, hand: Hand) -> None:
    made, other = hand.provider(), hand.provider()
    path = f"{PROVIDERS}/{made['slug']}/events"
    (foreign,) = registry.get(f"{PROVIDERS}/{other['slug']}/events").get_json()["data"]
    for forged in (foreign["id"], ids.new(ids.EVENT), "evt_1", "5", "", "%00", made["id"]):
        refused(registry.get(f"{path}?after={forged}"), 400, "invalid_value", "after")


def test_the_feed_holds_everything_in_the_order_of_its_numbers(
    registry: Registry, hand: Hand
) -> None:
    begin = newest(registry)
    one, two = hand.provider(), hand.provider()
    hand.check(one["id"], "m")
    registry.call("DELETE", f"{PROVIDERS}/{one['id']}")
    page = feed(registry, f"after={begin}")
    rows = page["data"]
    assert [row["seq"] for row in rows] == list(range(begin + 1, begin + 6))
    assert [(row["provider"], row["type"]) for row in rows] == [
        (one["id"], "provider.created"),
        (two["id"], "provider.created"),
        (one["id"], "provider.status_changed"),
        (one["id"], "models.changed"),
        (one["id"], "provider.deleted"),
    ]
    assert (page["object"], page["has_more"], page["last_seq"]) == ("list", False, begin + 5)
    assert (page["first_id"], page["last_id"]) == (rows[0]["id"], rows[-1]["id"])
    # A deleted provider is named by its id, a living one by its slug, too.
    assert feed(registry, f"after={begin}&provider={one['id']}")["data"] == [
        rows[0], *rows[2:]
    ]  # fmt: skip
    assert feed(registry, f"after={begin}&provider={two['slug']}")["data"] == rows[1:2]
    assert feed(registry, f"after={begin}&type=models.changed")["data"] == rows[3:4]


def test_pages_of_the_feed_neither_skip_nor_repeat_also_when_filtered(
    registry: Registry, hand: Hand
) -> None:
    begin = newest(registry)
    made = hand.provider()
    for word in "abc":
        hand.provider()
        registry.call("PATCH", f"{PROVIDERS}/{made['id']}", {"description": word})
    hand.provider()
    query = f"after={begin}&provider={made['slug']}&limit=2"
    pages = walk(registry, f"{EVENTS}?{query}")
    rows = [row for page in pages for row in page["data"]]
    assert told(rows) == ["provider.created"] + 3 * ["provider.changed"]
    assert [page["last_seq"] for page in pages] == [rows[1]["seq"], newest(registry)]
    empty = feed(registry, f"after={newest(registry)}")
    assert (empty["data"], empty["last_seq"], empty["last_id"]) == ([], newest(registry), None)


def test_a_number_that_no_event_has_had_is_refused_with_the_newest(registry: Registry) -> None:
    last = newest(registry)
    assert feed(registry, f"after={last}")["data"] == []
    for headers in ({}, {"Accept": "text/event-stream"}):
        answer = registry.get(f"{EVENTS}?after={last + 1}", **headers)
        detail = refused(answer, 400, "invalid_value", "after")["detail"]
        assert str(last) in detail
        assert "restored" in detail


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("after=-1", "invalid_value", "after"),
        ("after=1.5", "invalid_value", "after"),
        ("after=one", "invalid_value", "after"),
        ("after=%D9%A1", "invalid_value", "after"),
        ("after=1_0", "invalid_value", "after"),
        (f"after={'9' * 400}", "invalid_value", "after"),
        ("after=", "invalid_value", "after"),
        ("limit=101", "invalid_value", "limit"),
        ("type=provider.exploded", "invalid_value", "type"),
        ("provider=%00", "invalid_value", "provider"),
        ("order=desc", "unknown_field", "order"),
    ],
)
def test_a_query_out_of_range_is_refused_by_name(
    registry: Registry, query: str, code: str, param: str | None
) -> None:
    refused(registry.get(f"{EVENTS}?{query}"), 400, code, param)


def test_a_filter_that_fits_nothing_gives_an_empty_list_wherever_it_is_asked(
    registry: Registry, hand: Hand
) -> None:
    """One list answered 404, all others were empty."""
    hand.provider()
    unknown = ("unheard-of", ids.new(ids.PROVIDER))
    for path in (EVENTS, "/v1/models", "/v1/chat/completions"):
        for provider in unknown:
            page = registry.get(f"{path}?provider={provider}").get_json()
            assert (page["data"], page["has_more"]) == ([], False), path
    for query in ("providers?tag=unheard-of", "keys?owner=unheard-of", "audit?actor=unheard-of"):
        assert registry.get(f"/v1/{query}").get_json()["data"] == [], query


def test_who_asks_behind_deleted_events_is_told(registry: Registry, hand: Hand) -> None:
    for _ in range(3):
        hand.provider()
    last = newest(registry)
    with registry.database.write() as tx:
        tx.execute(sa.delete(event).where(event.c.seq < last))
    for headers in ({}, {"Accept": "text/event-stream"}):
        told_off = refused(
            registry.get(f"{EVENTS}?after={last - 2}", **headers), 400, "invalid_value", "after"
        )
        assert f"from {last - 1} on" in told_off["detail"]
    for after in ("", "after=0&", f"after={last - 1}&"):
        assert [one["seq"] for one in feed(registry, f"{after}limit=5")["data"]] == [last]
    assert feed(registry, f"after={last}")["data"] == []


def test_only_admins_read_the_feed(registry: Registry) -> None:
    for headers in ({}, {"Accept": "text/event-stream"}):
        refused(registry.get(EVENTS, who="ann", **headers), 403, "insufficient_scope")
        refused(registry.get(EVENTS, who="", **headers), 401, "invalid_api_key")


def test_a_page_that_would_be_empty_waits_for_an_event_when_asked(
    registry: Registry, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = newest(registry)
    work = soon(hand.provider)
    began = time.monotonic()
    answer = registry.get(f"{EVENTS}?after={last}", Prefer="wait=9")
    assert time.monotonic() - began < 0.6  # an event of this process: no look is waited for
    assert told(answer.get_json()["data"]) == ["provider.created"]
    assert answer.headers["Preference-Applied"] == "wait=9"
    made = work.get()
    # Another process's event, and only the wanted type.
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.05)
    work = soon(hand.check, made["id"], "m")
    answer = registry.get(f"{EVENTS}?after={last}&type=models.changed", Prefer="wait=9")
    assert time.monotonic() - began < 4
    work.get()
    assert told(answer.get_json()["data"]) == ["models.changed"]
    answer = registry.get(f"{EVENTS}?after={last}", Prefer="wait=9")
    assert len(answer.get_json()["data"]) == 3
    answer = registry.get(f"{EVENTS}?after={newest(registry)}", Prefer="wait=0")
    assert (answer.get_json()["data"], answer.headers["Preference-Applied"]) == ([], "wait=0")

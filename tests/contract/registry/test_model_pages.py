"""The page of models as HTML: what it lists, for whom, and how old it is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from tests.contract.registry.browser import Browser
from tests.contract.registry.conftest import Registry
from tests.contract.registry.hand import Hand


@pytest.fixture
def hand(registry: Registry) -> Hand:
    return Hand(registry)


@pytest.fixture
def ann(registry: Registry) -> Browser:
    return Browser(registry).sign_in("ann")


def listed(browser: Browser, query: str) -> list[str]:
    """The ids that the page shows, in its order."""
    text = browser.get(f"/models?{query}").text
    return [html.unescape(one) for one in re.findall(r'data-copy="([^"]+)"', text)]


def row_of(browser: Browser, query: str, model: str) -> str:
    text = browser.get(f"/models?{query}").text
    (row,) = [row for row in text.split("<tr>") if f'data-copy="{model}"' in row]
    return row


def test_models_are_found_by_a_part_of_their_id_in_either_case(hand: Hand, ann: Browser) -> None:
    made = hand.provider(tags=["pages-models"])
    hand.check(made["id"], "Org/Llama-3", "org/qwen:7b", "%_\\")
    slug = made["slug"]
    assert listed(ann, f"provider={slug}&q=LLAMA") == [f"{slug}/Org/Llama-3"]
    assert listed(ann, f"q={slug}%2Forg&tag=pages-models") == [
        f"{slug}/Org/Llama-3",
        f"{slug}/org/qwen:7b",
    ]
    assert listed(ann, f"provider={slug}&q=%25_") == [f"{slug}/%_\\"]
    assert "No model matches" in ann.get(f"/models?provider={slug}&q=zzz").text


def test_the_page_pages_through_all_of_them(hand: Hand, ann: Browser) -> None:
    made = hand.provider()
    hand.check(made["id"], *(f"m{number:03d}-x" for number in range(45)), "other")
    query, seen = f"provider={made['slug']}&q=-X&limit=20", []
    while query:
        seen += listed(ann, query)
        following = re.findall(r'href="([^"]+)" rel="next"', ann.get(f"/models?{query}").text)
        query = html.unescape(following[0]).partition("?")[2] if following else ""
    assert seen == [f"{made['slug']}/m{number:03d}-x" for number in range(45)]


def test_a_model_of_an_old_list_is_marked_and_one_listed_by_hand_is_not(
    hand: Hand, ann: Browser
) -> None:
    made = hand.provider(options={"models": ["by-hand"]})
    slug = made["slug"]
    hand.check(made["id"], "theirs", at=1_000.0)
    query = f"provider={slug}"
    assert "stale" not in row_of(ann, query, f"{slug}/theirs")
    hand.check(made["id"], error="away")
    old = row_of(ann, query, f"{slug}/theirs")
    assert "stale" in old
    assert 'datetime="1970-01-01T00:16:40Z"' in old
    manual = row_of(ann, query, f"{slug}/by-hand")
    assert "by hand" in manual
    assert "stale" not in manual


def test_providers_that_list_nothing_cost_a_page_of_models_no_look_each(
    registry: Registry, hand: Hand
) -> None:
    tag = registry.name()
    made = [hand.provider(tags=[tag]) for _ in range(12)]
    hand.check(made[7]["id"], "one", "two")
    with statements_of(registry) as statements:
        found = registry.get(f"/v1/models?tag={tag}&limit=50").get_json()["data"]
    slug = made[7]["slug"]
    assert [one["id"] for one in found] == [f"{slug}/one", f"{slug}/two"]
    assert len(statements) < len(made)


@contextmanager
def statements_of(registry: Registry) -> Iterator[list[str]]:
    """What the database is asked meanwhile."""
    statements: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_models_of_disabled_and_of_invisible_providers_are_not_there(
    registry: Registry, hand: Hand, ann: Browser
) -> None:
    disabled, bens = hand.provider(), hand.provider(visibility=["ben"])
    for made in (disabled, bens):
        hand.check(made["id"], "m")
    registry.disable(disabled["id"])
    for made in (disabled, bens):
        assert listed(ann, f"provider={made['slug']}") == []
        assert made["name"] not in ann.get("/models").text
    ben = Browser(registry).sign_in("ben")
    assert listed(ben, f"provider={bens['slug']}") == [f"{bens['slug']}/m"]

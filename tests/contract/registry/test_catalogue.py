"""What one provider lists: every row with its dates, those that vanished when asked for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.registry.conftest import Registry, refused
from tests.contract.registry.hand import Hand
from tests.contract.registry.test_lists import walk

PROVIDERS = "/v1/providers"


@pytest.fixture
def hand(registry: Registry) -> Hand:
    return Hand(registry)


def models(registry: Registry, reference: str, query: str = "", **options: Any) -> Any:
    answer = registry.get(f"{PROVIDERS}/{reference}/models?{query}", **options)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def upstream_ids(registry: Registry, reference: str, query: str = "") -> list[str]:
    return [one["upstream_id"] for one in models(registry, reference, query)["data"]]


def test_a_row_tells_where_it_comes_from_and_when_it_was_seen(
    registry: Registry, hand: Hand
) -> None:
    made = hand.provider(options={"models": ["by hand"]})
    hand.check(made["id"], "org/stays:7b", "goes", at=1_000.5)
    hand.check(made["id"], "org/stays:7b", at=2_000.5)
    hand.check(made["id"], "org/stays:7b", at=3_000.5)
    hand.check(made["id"], error="away", at=4_000.5)
    common = {"object": "provider.model", "context_length": None, "first_seen": 1_000}
    manual = {**common, "source": "manual", "owned_by": None, "gone_at": None}
    listed = {**common, "source": "listed", "owned_by": "them"}
    slug = made["slug"]
    goes = {**listed, "id": f"{slug}/goes", "upstream_id": "goes"}
    stays = {**listed, "id": f"{slug}/org/stays:7b", "upstream_id": "org/stays:7b"}
    by_hand = {**manual, "id": f"{slug}/by hand", "upstream_id": "by hand", "last_seen": 1_000}
    here = [by_hand, {**stays, "last_seen": 3_000, "gone_at": None}]
    assert models(registry, slug) == {
        "object": "list",
        "data": here,
        "first_id": by_hand["id"],
        "last_id": stays["id"],
        "has_more": False,
    }
    vanished = {**goes, "last_seen": 1_000, "gone_at": 2_000}
    assert models(registry, made["id"], "gone=true")["data"] == [by_hand, vanished, here[1]]
    assert models(registry, slug, "gone=false")["data"] == here


def test_models_are_filtered_by_text_and_source(registry: Registry, hand: Hand) -> None:
    made = hand.provider(options={"models": ["Llama-manual", "other-manual"]})
    hand.check(made["id"], "llama-3", "mistral")
    slug = made["slug"]
    assert upstream_ids(registry, slug, "q=LLAMA") == ["Llama-manual", "llama-3"]
    assert upstream_ids(registry, slug, "q=llama&source=listed") == ["llama-3"]
    assert upstream_ids(registry, slug, "source=manual") == ["Llama-manual", "other-manual"]
    assert upstream_ids(registry, slug, f"q={slug}") == []
    assert upstream_ids(registry, slug, "q=%25") == []


def test_everything_comes_at_once_unless_a_limit_asks_for_pages(
    registry: Registry, hand: Hand
) -> None:
    made = hand.provider()
    names = [f"m{number:03}" for number in range(120)]
    hand.check(made["id"], *names)
    assert upstream_ids(registry, made["slug"]) == names
    path = f"{PROVIDERS}/{made['slug']}/models?limit=50&q=m&order=desc"
    pages = walk(registry, path)
    assert [len(page["data"]) for page in pages] == [50, 50, 20]
    assert [one["upstream_id"] for page in pages for one in page["data"]] == names[::-1]


def test_a_model_that_is_no_longer_allowed_is_hidden_before_the_next_check(
    registry: Registry, hand: Hand
) -> None:
    made = hand.provider()
    hand.check(made["id"], "yes", "no")
    patch = {"options": {"allow_models": ["y*"]}}
    assert registry.call("PATCH", f"{PROVIDERS}/{made['id']}", patch).status_code == 200
    assert upstream_ids(registry, made["slug"]) == ["yes"]


def test_a_disabled_provider_shows_its_last_list_and_an_unchecked_one_an_empty_one(
    registry: Registry, hand: Hand
) -> None:
    made = hand.provider()
    assert upstream_ids(registry, made["slug"]) == []
    hand.check(made["id"], "m")
    registry.disable(made["id"])
    assert upstream_ids(registry, made["slug"]) == ["m"]


def test_only_who_sees_the_provider_sees_its_models(registry: Registry, hand: Hand) -> None:
    made = hand.provider(visibility=["ann"])
    hand.check(made["id"], "m")
    assert models(registry, made["id"], who="ann")["data"]
    path = f"{PROVIDERS}/{made['id']}/models"
    refused(registry.get(path, who="ben"), 404, "provider_not_found")
    refused(registry.get(path, who=""), 401, "invalid_api_key")


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("gone=yes", "invalid_value", "gone"),
        ("source=both", "invalid_value", "source"),
        ("limit=0", "invalid_value", "limit"),
        ("limit=1e9", "invalid_value", "limit"),
        ("order=up", "invalid_value", "order"),
        ("q=%00", "invalid_value", "q"),
        ("after=%00", "invalid_value", "after"),
        ("raw=true", "unknown_field", "raw"),
    ],
)
def test_a_query_out_of_range_is_refused_by_name(
    registry: Registry, slug: str, query: str, code: str, param: str
) -> None:
    refused(registry.get(f"{PROVIDERS}/{slug}/models?{query}"), 400, code, param)


def test_a_forged_cursor_only_chooses_where_to_begin(registry: Registry, hand: Hand) -> None:
    made = hand.provider()
    hand.check(made["id"], "a", "b")
    slug = made["slug"]
    assert upstream_ids(registry, slug, f"after={slug}/a'--") == ["b"]
    assert upstream_ids(registry, slug, "after=%F0%9F%A6%99") == []

"""Lists: filters, pages that neither skip nor repeat, and the link to the next one."""

from __future__ import annotations

from typing import Any

import pytest

from services.registry.providers import listing
from tests.contract.registry.conftest import Registry, refused

PROVIDERS, MODELS = "/v1/providers", "/v1/models"


def slugs(registry: Registry, query: str) -> list[str]:
    return [one["slug"] for one in registry.get(f"{PROVIDERS}?{query}").get_json()["data"]]


def walk(registry: Registry, path: str) -> list[dict[str, Any]]:
    """Every page, by the links that the answers give."""
    pages = []
    while path:
        answer = registry.get(path)
        assert answer.status_code == 200, answer.text
        pages.append(answer.get_json())
        link = answer.headers.get("Link", "")
        assert bool(link) == pages[-1]["has_more"]
        path, _, relation = link.removeprefix("<").partition(">")
        assert relation in ("", '; rel="next"')
    return pages


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_links_lead_through_all_pages_in_order(registry: Registry, order: str) -> None:
    tag = f"pages-{registry.name()}"
    ids = [registry.add(tags=[tag])["id"] for _ in range(5)]
    registry.add()
    pages = walk(registry, f"{PROVIDERS}?tag={tag}&limit=2&order={order}")
    expected = ids if order == "asc" else ids[::-1]
    assert [[one["id"] for one in page["data"]] for page in pages] == [
        expected[:2],
        expected[2:4],
        expected[4:],
    ]
    assert [(p["object"], p["first_id"], p["last_id"], p["has_more"]) for p in pages] == [
        ("list", expected[0], expected[1], True),
        ("list", expected[2], expected[3], True),
        ("list", expected[4], expected[4], False),
    ]


def test_a_full_last_page_has_no_more(registry: Registry) -> None:
    tag = f"full-{registry.name()}"
    for _ in range(2):
        registry.add(tags=[tag])
    assert len(walk(registry, f"{PROVIDERS}?tag={tag}&limit=2")) == 1


def test_an_empty_list_is_a_list(registry: Registry) -> None:
    assert registry.get(f"{PROVIDERS}?tag=nobody").get_json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_a_list_of_providers_holds_twenty_unless_told_otherwise(registry: Registry) -> None:
    tag = f"many-{registry.name()}"
    for _ in range(21):
        registry.add(tags=[tag])
    page = registry.get(f"{PROVIDERS}?tag={tag}").get_json()
    assert (len(page["data"]), page["has_more"]) == (20, True)
    assert len(registry.get(f"{PROVIDERS}?tag={tag}&limit=100").get_json()["data"]) == 21


def test_providers_are_filtered_by_tag_status_and_text(registry: Registry) -> None:
    word = registry.name()
    one = registry.add(f"{word} One", tags=[word, "eu"])
    two = registry.add(f"{word} Two", tags=[word], endpoint=f"http://{word}.invalid:8001")
    registry.discovered(two["id"], status="auth_failed")
    assert slugs(registry, f"tag={word}") == [one["slug"], two["slug"]]
    assert slugs(registry, f"q={word.upper()}%20one") == [one["slug"]]
    assert slugs(registry, f"q={word}.INVALID") == [two["slug"]]
    assert slugs(registry, f"tag={word}&status=auth_failed") == [two["slug"]]
    assert slugs(registry, f"tag={word}&status=pending") == [one["slug"]]
    assert slugs(registry, f"tag={word}&status=ok") == []


def test_several_tags_are_all_demanded_on_every_page(registry: Registry) -> None:
    word = registry.name()
    both = [registry.add(tags=[word, "big", "eu"])["slug"] for _ in range(3)]
    registry.add(tags=[word, "eu"])
    registry.add(tags=["big", "eu"])
    pages = walk(registry, f"{PROVIDERS}?tag={word}&tag=big&limit=2")
    assert [[one["slug"] for one in page["data"]] for page in pages] == [both[:2], both[2:]]
    assert slugs(registry, f"tag={word}&tag={word.upper()}") == []


def test_a_filter_looks_beyond_what_it_reads_at_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = registry.name()
    wanted = [
        registry.add(description=word if n % 5 == 0 else "", visibility=["ann", "ben"])["id"]
        for n in range(11)
    ][::5]
    monkeypatch.setattr(listing, "CHUNK", 2)
    for who, order in (("admin", "asc"), ("ann", "desc")):
        first = registry.get(f"{PROVIDERS}?q={word}&limit=2&order={order}", who=who)
        page = first.get_json()
        expected = wanted if order == "asc" else wanted[::-1]
        assert [one["id"] for one in page["data"]] == expected[:2]
        assert page["has_more"] is True
        link = first.headers["Link"].removeprefix("<").partition(">")[0]
        page = registry.get(link, who=who).get_json()
        assert ([one["id"] for one in page["data"]], page["has_more"]) == (expected[2:], False)


def test_a_member_pages_through_what_it_may_see_and_no_page_has_holes(registry: Registry) -> None:
    tag = f"holes-{registry.name()}"
    seen = []
    for n in range(6):
        made = registry.add(tags=[tag], visibility="admins" if n % 2 else ["ann"])
        seen += [made["id"]] * (1 - n % 2)
    first = registry.get(f"{PROVIDERS}?tag={tag}&limit=2", who="ann").get_json()
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (seen[:2], True)
    after = f"{PROVIDERS}?tag={tag}&limit=2&after={seen[1]}"
    rest = registry.get(after, who="ann").get_json()
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (seen[2:], False)
    assert registry.get(f"{PROVIDERS}?tag={tag}", who="ben").get_json()["data"] == []


@pytest.mark.parametrize(
    ("description", "query", "found"),
    [
        ("up to 100% faster", "100%25 f", True),
        ("up to 100 times faster", "100%25", False),
        ("snake_case", "snake_case", True),
        ("snakeXcase", "snake_case", False),
        ("Große GRÖSSE", "grosse gr%C3%B6sse", True),
        ("Caf\u00e9", "cafe%CC%81", True),
        ("it's \\ plain", "'s %5C pl", True),
        ("İstanbul", "i%CC%87stanbul", True),
        ("nothing", "some", False),
    ],
)
def test_a_search_takes_every_sign_for_itself_in_either_case(
    registry: Registry, description: str, query: str, found: bool
) -> None:
    word = registry.name()
    made = registry.add(description=description, tags=[word])
    assert slugs(registry, f"tag={word}&q={query}") == [made["slug"]] * found


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=two", "limit"),
        ("limit=", "limit"),
        ("after=foo", "after"),
        ("order=up", "order"),
        ("status=fine", "status"),
        ("tag=%00", "tag"),
        ("tag=eu&tag=a%20b", "tag"),
        ("q=%00", "q"),
        (f"q={'x' * 201}", "q"),
    ],
)
def test_a_query_out_of_range_is_refused_by_name(
    registry: Registry, query: str, param: str
) -> None:
    refused(registry.get(f"{PROVIDERS}?{query}"), 400, "invalid_value", param)


def test_a_refused_word_is_answered_with_those_that_exist(registry: Registry) -> None:
    detail = refused(registry.get(f"{PROVIDERS}?status=fine"), 400, "invalid_value")["detail"]
    assert "no_models_route" in detail
    assert "'fine'" in detail
    detail = refused(registry.get(f"{PROVIDERS}?order=up&limit=0"), 400, "invalid_value")["detail"]
    assert "Expected one of asc, desc, got 'up'." in detail
    assert "Also" in detail  # the other fault


def test_an_unknown_query_argument_is_refused_by_name(registry: Registry) -> None:
    for path in (PROVIDERS, MODELS):
        refused(registry.get(f"{path}?colour=red"), 400, "unknown_field", "colour")


def test_models_of_all_enabled_providers_are_listed_whole(registry: Registry) -> None:
    tag = f"models-{registry.name()}"
    one = registry.add(tags=[tag])
    off = registry.add(tags=[tag])
    registry.discovered(one["id"], *(f"org/m:{n}" for n in range(25)))
    registry.discovered(off["id"], "x")
    registry.disable(off["id"])
    answer = registry.get(f"{MODELS}?tag={tag}").get_json()
    assert len(answer["data"]) == 25
    assert answer["has_more"] is False
    assert answer["data"][0] == {
        "id": f"{one['slug']}/org/m:0",
        "object": "model",
        "created": 40,
        "owned_by": one["slug"],
        "context_length": 4096,
        "max_model_len": 4096,
        "provider": {"id": one["id"], "name": one["name"], "status": "ok"},
    }
    pages = walk(registry, f"{MODELS}?provider={one['slug']}&limit=10")
    assert [entry for page in pages for entry in page["data"]] == answer["data"]
    assert registry.get(f"{MODELS}?provider={off['id']}").get_json()["data"] == []


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_of_models_are_the_whole_list_cut_whatever_their_ids_hold(
    registry: Registry, order: str, limit: int
) -> None:
    tag = f"cut-{registry.name()}"
    # "-" sorts before "/", and a database may sort letters as people do: neither may matter.
    for name in (tag, f"{tag}-b", f"{tag}0"):
        made = registry.add(name, tags=[tag], options={"allow_models": ["[!_]*"]})
        registry.discovered(made["id"], "B", "a", "_hidden", "a/b", "é", "Z:1", "z", "10", "9")
    whole = registry.get(f"{MODELS}?tag={tag}&order={order}").get_json()["data"]
    ids = [entry["id"] for entry in whole]
    assert (len(ids), ids) == (24, sorted(ids, reverse=order == "desc"))
    pages = walk(registry, f"{MODELS}?tag={tag}&order={order}&limit={limit}")
    assert [entry for page in pages for entry in page["data"]] == whole
    assert {len(page["data"]) for page in pages} <= {min(limit, 24)}


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_page_of_models_may_begin_behind_an_id_that_is_gone(
    registry: Registry, order: str
) -> None:
    tag = f"gone-{registry.name()}"
    for name in (tag, f"{tag}-b"):
        registry.discovered(registry.add(name, tags=[tag])["id"], "b", "d")
    whole = registry.get(f"{MODELS}?tag={tag}&order={order}").get_json()["data"]
    for after in (tag, f"{tag}-", f"{tag}/c", f"{tag}-b/", f"{tag}-b/z", f"{tag}.", "", "zzz"):
        rest = [e for e in whole if (e["id"] > after) is (order == "asc") and e["id"] != after]
        for limit in ("", "&limit=10"):
            found = registry.get(f"{MODELS}?tag={tag}&order={order}&after={after}{limit}")
            assert found.get_json()["data"] == rest


def test_allow_models_hides_the_others(registry: Registry) -> None:
    made = registry.add(options={"allow_models": ["org/*", "one"]})
    registry.discovered(made["id"], "one", "two", "org/three")
    listed = registry.get(f"{MODELS}?provider={made['id']}").get_json()["data"]
    assert [m["id"] for m in listed] == [f"{made['slug']}/one", f"{made['slug']}/org/three"]
    refused(registry.get(f"{MODELS}/{made['slug']}/two"), 404, "model_not_found", "model")


@pytest.mark.parametrize("spelled", ["/org//m:1", "%2Forg%2F%2Fm%3A1"])
def test_one_model_is_found_by_its_id_in_any_encoding(registry: Registry, spelled: str) -> None:
    made = registry.add()
    registry.discovered(made["id"], "org//m:1")
    answer = registry.get(f"{MODELS}/{made['slug']}{spelled}")
    assert answer.get_json()["id"] == f"{made['slug']}/org//m:1"


def test_a_model_that_no_list_holds_is_not_found(registry: Registry) -> None:
    made, off = registry.add(), registry.add()
    registry.discovered(off["id"], "m")
    registry.disable(off["id"])
    for path in (f"{made['slug']}/m", f"{off['slug']}/m", "nobody", "a%00b", "%00/m"):
        refused(registry.get(f"{MODELS}/{path}"), 404, "model_not_found", "model")


def test_what_one_request_read_is_not_remembered_for_the_next(registry: Registry) -> None:
    name = registry.name()
    for _ in range(2):
        for _ in range(4):  # whichever connection serves it
            refused(registry.get(f"{MODELS}/{name}/m"), 404, "model_not_found")
        made = registry.add(name)
        registry.discovered(made["id"], "m")
        for _ in range(4):
            assert registry.get(f"{MODELS}/{name}/m").get_json()["provider"]["id"] == made["id"]
        registry.call("DELETE", f"{PROVIDERS}/{name}")

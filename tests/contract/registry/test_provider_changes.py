"""PATCH of a provider: what a merge patch changes, what it refuses, and what it tells of."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain import EventType
from shared.store import events
from tests.contract.registry.conftest import Registry, refused

KEY = "sk-0123456789abcdef"
OTHER_KEY = "sk-fedcba9876543210"
PROVIDERS = "/v1/providers"
MERGE_PATCH = "application/merge-patch+json"


def patch(registry: Registry, reference: str, body: Any, **options: Any) -> Any:
    """The answer to a merge patch."""
    options = {"Content_Type": MERGE_PATCH, **options}
    return registry.call("PATCH", f"{PROVIDERS}/{reference}", body, **options)


def patched(registry: Registry, reference: str, body: Any) -> dict[str, Any]:
    """The document after a merge patch that must succeed."""
    answer = patch(registry, reference, body)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.get_json()
    return document


def told(registry: Registry, provider_id: str) -> list[tuple[str, int, Any]]:
    """Type, revision and detail of its events since it was created."""
    with registry.database.read() as tx:
        found = events.timeline(tx, provider_id, limit=1_000, newest_first=False)
    return [(one.type.value, one.revision, one.detail) for one in found[1:]]


@pytest.mark.parametrize(
    ("body", "shown", "fields"),
    [
        ({"name": "  Café {} "}, {"name": "Café {}"}, ["name"]),
        ({"description": "two\nlines"}, {"description": "two\nlines"}, ["description"]),
        ({"tags": ["eu", "big", "eu"]}, {"tags": ["eu", "big"]}, ["tags"]),
        ({"visibility": ["ann", "ann"]}, {"visibility": ["ann"]}, ["visibility"]),
        (
            {"endpoint": "10.2.2.2:9/v1/"},
            {
                "endpoint": "10.2.2.2:9/v1/",
                "chat_url": "http://10.2.2.2:9/v1/chat/completions",
                "models_url": "http://10.2.2.2:9/v1/models",
            },
            ["endpoint"],
        ),
        (
            {"tags": ["eu"], "description": "d", "options": {"idle_timeout": 7}},
            {"tags": ["eu"], "description": "d"},
            ["description", "tags", "options.idle_timeout"],
        ),
    ],
    ids=str,
)
def test_a_patch_changes_what_it_names_and_nothing_else(
    registry: Registry, body: dict[str, Any], shown: dict[str, Any], fields: list[str]
) -> None:
    made, word = registry.add(description="before"), registry.name()
    body, shown = (
        {k: v.format(word) if k == "name" else v for k, v in given.items()}
        for given in (body, shown)
    )
    answer = patch(registry, made["id"], body)
    document = answer.get_json()
    assert (answer.status_code, answer.headers["ETag"][:5]) == (200, 'W/"2.')
    assert document == registry.get(f"{PROVIDERS}/{made['id']}").get_json()
    ours = {"revision": 2, "updated_at": document["updated_at"]}
    changed = {**made, **shown, **ours, "options": document["options"]}
    assert {**document, "discovery": made["discovery"]} == changed
    assert told(registry, made["id"]) == [("provider.changed", 2, {"fields": fields})]


@pytest.mark.parametrize(
    "given", [MERGE_PATCH, "application/json", f"{MERGE_PATCH}; charset=utf-8"]
)
def test_a_patch_is_read_under_both_of_its_names(registry: Registry, given: str) -> None:
    made = registry.add()
    answer = patch(registry, made["slug"], {"description": "x"}, Content_Type=given)
    assert answer.get_json()["description"] == "x"


def test_another_type_of_patch_is_refused_and_the_right_ones_are_named(registry: Registry) -> None:
    made = registry.add()
    for given in ("application/json-patch+json", "text/plain", ""):
        answer = patch(registry, made["id"], b"[]", Content_Type=given)
        refused(answer, 415, "unsupported_media_type")
        assert answer.headers["Accept-Patch"] == f"{MERGE_PATCH}, application/json"
    body = {"name": registry.name(), "endpoint": "http://10.0.0.1"}
    answer = registry.post(PROVIDERS, body, Content_Type=MERGE_PATCH)
    refused(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"options": {}},
        {"name": "{name}", "slug": "{slug}"},
        {"endpoint": "http://10.0.0.1:8000", "enabled": True, "tags": ["eu"]},
        {"options": {"connect_timeout": 5.0, "max_concurrency": None, "models": []}},
        {"description": None, "visibility": None, "enabled": None, "options": None},
    ],
    ids=str,
)
def test_a_patch_that_changes_nothing_leaves_revision_and_events_alone(
    registry: Registry, body: dict[str, Any]
) -> None:
    made = registry.add(tags=["eu"])
    body = {k: made[k] if k in ("name", "slug") else v for k, v in body.items()}
    answer = patch(registry, made["id"], body)
    assert (answer.status_code, answer.headers["ETag"][:5]) == (200, 'W/"1.')
    assert answer.get_json() == made
    assert told(registry, made["id"]) == []


def test_removing_a_key_that_is_not_there_changes_nothing(registry: Registry) -> None:
    made = registry.add()
    assert patched(registry, made["id"], {"api_key": None}) == made
    assert told(registry, made["id"]) == []


def test_null_sets_a_field_back_to_its_default(registry: Registry) -> None:
    made = registry.add(
        description="d", tags=["t"], visibility="admins", enabled=False, options={"models": ["m"]}
    )
    fresh = registry.add()
    nulls = dict.fromkeys(("description", "tags", "visibility", "enabled", "options"))
    document = patched(registry, made["id"], nulls)
    assert {name: document[name] for name in nulls} == {name: fresh[name] for name in nulls}


def test_options_are_merged_member_by_member(registry: Registry) -> None:
    made = registry.add(options={"connect_timeout": 1, "max_concurrency": 2, "models": ["a"]})
    body = {"options": {"connect_timeout": None, "models": ["b", "b"], "allow_models": ["b*"]}}
    document = patched(registry, made["id"], body)
    assert document["options"] == {
        **made["options"],
        "connect_timeout": 5,
        "models": ["b"],
        "allow_models": ["b*"],
    }
    assert told(registry, made["id"])[0][2] == {
        "fields": ["options.allow_models", "options.connect_timeout", "options.models"]
    }


def test_a_limit_that_a_patch_sets_or_lifts_holds_for_the_next_claim(registry: Registry) -> None:
    made = registry.add()
    ids = [registry.submit(f"{made['slug']}/m")["id"] for _ in range(4)]
    patched(registry, made["id"], {"options": {"max_concurrency": 1}})
    assert len(registry.claim(*ids)) == 1
    patched(registry, made["id"], {"options": {"max_concurrency": None}})
    assert len(registry.claim(*ids)) == 3


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"name": None}, "invalid_value", "name"),
        ({"endpoint": None}, "invalid_value", "endpoint"),
        ({"slug": None}, "invalid_value", "slug"),
        ({"slug": "another"}, "invalid_value", "slug"),
        ({"endpoint": "http://169.254.169.254"}, "invalid_value", "endpoint"),
        ({"endpoint": "ftp://10.0.0.1"}, "invalid_value", "endpoint"),
        ({"api_key": "two words"}, "invalid_value", "api_key"),
        ({"tags": [None]}, "invalid_value", "tags[0]"),
        ({"enabled": "yes"}, "invalid_value", "enabled"),
        ({"options": {"connect_timeout": 0}}, "invalid_value", "options.connect_timeout"),
        ({"options": {"models": [None]}}, "invalid_value", "options.models[0]"),
        ({"options": []}, "invalid_value", "options"),
        ({"options": {"colour": None}}, "unknown_field", "options.colour"),
        ({"colour": 1}, "unknown_field", "colour"),
        ({"revision": 1}, "unknown_field", "revision"),
        ([], "invalid_json", None),
        (None, "invalid_json", None),
    ],
    ids=str,
)
def test_a_patch_that_does_not_fit_changes_nothing(
    registry: Registry, body: Any, code: str, param: str | None
) -> None:
    made = registry.add()
    body = {"description": "changed", **body} if isinstance(body, dict) else body
    given = b"null" if body is None else body
    refused(patch(registry, made["id"], given), 400, code, param)
    assert registry.get(f"{PROVIDERS}/{made['id']}").get_json() == made


def test_a_patch_happens_only_to_the_revision_that_it_names(registry: Registry) -> None:
    made = registry.add()
    held = registry.get(f"{PROVIDERS}/{made['id']}").headers["ETag"]
    registry.discovered(made["id"], "m")  # no change that somebody made
    assert patch(registry, made["id"], {"description": "1"}, If_Match=held).status_code == 200
    for stale in (held, 'W/"1"', '"1"', 'W/"3"', '"x"'):
        answer = patch(registry, made["id"], {"description": "2"}, If_Match=stale)
        refused(answer, 412, "stale_revision")
    for current in ('W/"2"', '"2"', "*", '"9", W/"2"'):
        answer = patch(registry, made["id"], {"description": "1"}, If_Match=current)
        assert (answer.status_code, answer.get_json()["revision"]) == (200, 2)
    assert len(told(registry, made["id"])) == 1


def test_a_name_of_another_is_taken_and_ones_own_in_another_case_is_not(registry: Registry) -> None:
    other, made = registry.add(f"Straße {registry.name()}"), registry.add(f"{registry.name()} x")
    answer = patch(registry, made["id"], {"name": other["name"].upper(), "description": "d"})
    refused(answer, 409, "provider_name_taken", "name")
    assert answer.headers["x-should-retry"] == "false"
    assert registry.get(f"{PROVIDERS}/{made['id']}").get_json() == made
    renamed = patched(registry, made["id"], {"name": made["name"].upper()})
    assert (renamed["name"], renamed["slug"]) == (made["name"].upper(), made["slug"])
    body = {"name": made["name"], "endpoint": "http://10.0.0.1"}
    refused(registry.post(PROVIDERS, body), 409, "provider_name_taken", "name")
    assert registry.call("DELETE", f"{PROVIDERS}/{other['id']}").status_code == 204
    assert patched(registry, made["id"], {"name": other["name"]})["name"] == other["name"]


def test_only_an_admin_changes_a_provider_and_only_a_living_one(registry: Registry) -> None:
    made = registry.add()
    refused(patch(registry, made["id"], {}, who="ann"), 403, "insufficient_scope")
    for unknown in ("nobody", "prov_01J00000000000000000000000", "%00"):
        refused(patch(registry, unknown, {}), 404, "provider_not_found")
    registry.call("DELETE", f"{PROVIDERS}/{made['id']}")
    refused(patch(registry, made["id"], {"tags": ["x"]}), 404, "provider_not_found")


def test_one_patch_raises_the_revision_once_and_tells_of_each_kind_of_change(
    registry: Registry,
) -> None:
    made = registry.add(api_key=KEY)
    patched(registry, made["id"], {"enabled": False, "tags": ["x"], "api_key": OTHER_KEY})
    patched(registry, made["id"], {"enabled": True})
    patched(registry, made["id"], {"api_key": None})
    assert told(registry, made["id"]) == [
        ("provider.changed", 2, {"fields": ["tags"]}),
        ("provider.key_rotated", 2, None),
        ("provider.disabled", 2, None),
        ("provider.enabled", 3, None),
        ("provider.key_rotated", 4, {"removed": True}),
    ]
    assert registry.events_of(made["id"])[0] == (EventType.PROVIDER_CREATED, 1)
    with registry.database.read() as tx:
        found = [event.seq for event in events.after(tx, 0, limit=100_000)]
        assert found == list(range(found[0], events.last_seq(tx) + 1))  # old ones were deleted

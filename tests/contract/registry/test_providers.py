"""Providers over HTTP: what is accepted, what is shown, what a delete does."""

from __future__ import annotations

import time
from typing import Any

import pytest

from shared.domain import EventType
from shared.store.schema import provider
from tests.contract.registry.conftest import CHAT, Registry, refused

KEY = "sk-0123456789abcdef"
PROVIDERS = "/v1/providers"


def test_a_new_provider_is_answered_whole_and_with_its_address(registry: Registry) -> None:
    before = int(time.time())
    body = {
        "name": "  vLLM Llama 3  ",
        "endpoint": "10.1.2.3:8000/v1/",
        "api_key": KEY,
        "tags": ["eu", "eu", "big"],
        "options": {"max_concurrency": 3, "connect_timeout": 2.5},
    }
    answer = registry.post(PROVIDERS, body)
    document = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{PROVIDERS}/{document['id']}"
    assert answer.headers["ETag"].startswith('W/"1.')
    assert document["id"].startswith("prov_")
    assert before <= document["created_at"] <= time.time()
    assert document["api_key"].pop("fingerprint")
    assert document["api_key"].pop("rotated_at") == document["created_at"]
    assert {**document, "id": "", "created_at": 0, "updated_at": 0} == {
        "id": "",
        "object": "provider",
        "name": "vLLM Llama 3",
        "slug": "vllm-llama-3",
        "endpoint": "10.1.2.3:8000/v1/",
        "chat_url": "http://10.1.2.3:8000/v1/chat/completions",
        "models_url": "http://10.1.2.3:8000/v1/models",
        "api_key": {"set": True, "last4": "cdef"},
        "description": "",
        "tags": ["eu", "big"],
        "enabled": True,
        "visibility": "everyone",
        "options": {
            "max_concurrency": 3,
            "connect_timeout": 2.5,
            "first_byte_timeout": 120,
            "idle_timeout": 60,
            "total_timeout": 600,
            "verify_tls": True,
            "ca_certificate": None,
            "models": [],
            "allow_models": None,
        },
        "discovery": {
            "status": "pending",
            "checked_at": None,
            "ok_at": None,
            "model_count": 0,
            "key_verified_at": None,
            "error": None,
            "next_check_at": document["created_at"],
        },
        "revision": 1,
        "created_at": 0,
        "updated_at": 0,
    }
    assert (
        registry.get(answer.headers["Location"]).get_json()
        == registry.get(f"{PROVIDERS}/vllm-llama-3").get_json()
    )


def test_a_key_is_stored_sealed_and_four_characters_of_a_short_one_are_not_shown(
    registry: Registry,
) -> None:
    short, long = registry.add(api_key="x" * 15), registry.add(api_key="x" * 16)
    assert (short["api_key"]["set"], short["api_key"]["last4"]) == (True, None)
    assert long["api_key"]["last4"] == "xxxx"
    sealed = registry.column(provider, long["id"], "api_key_sealed")
    assert sealed.startswith("v1.")
    place = {"table": "provider", "row": long["id"], "column": "api_key_sealed"}
    assert registry.parts.sealer.open(sealed, **place) == b"x" * 16


def test_equal_keys_have_equal_fingerprints_and_no_key_has_none(registry: Registry) -> None:
    prints = [registry.add(api_key=k)["api_key"]["fingerprint"] for k in (KEY, KEY, KEY[:-1])]
    assert prints[0] == prints[1] != prints[2]
    assert registry.add(api_key=None)["api_key"] == {
        "set": False,
        "last4": None,
        "fingerprint": None,
        "rotated_at": None,
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": 5}, "name"),
        ({"name": None}, "name"),
        ({"slug": "Acme"}, "slug"),
        ({"slug": "-a"}, "slug"),
        ({"slug": "a\n"}, "slug"),
        ({"slug": "test"}, "slug"),
        ({"slug": "checks"}, "slug"),
        ({"slug": "a" * 64}, "slug"),
        ({"endpoint": "ftp://host"}, "endpoint"),
        ({"endpoint": "http://user:pw@host"}, "endpoint"),
        ({"endpoint": 5}, "endpoint"),
        ({"api_key": "has space"}, "api_key"),
        ({"api_key": "a\r\nb"}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"api_key": "x" * 513}, "api_key"),
        ({"tags": "eu"}, "tags"),
        ({"tags": ["ok", "a b"]}, "tags[1]"),
        ({"visibility": "nobody"}, "visibility"),
        ({"visibility": []}, "visibility"),
        ({"visibility": ["ann", "Not An Owner"]}, "visibility[1]"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": 1}, "enabled"),
        ({"description": "a\x00b"}, "description"),
        ({"options": {"max_concurrency": 0}}, "options.max_concurrency"),
        ({"options": {"max_concurrency": True}}, "options.max_concurrency"),
        ({"options": {"max_concurrency": "3"}}, "options.max_concurrency"),
        ({"options": {"connect_timeout": 0}}, "options.connect_timeout"),
        ({"options": {"connect_timeout": "5"}}, "options.connect_timeout"),
        ({"options": {"ca_certificate": "no PEM"}}, "options.ca_certificate"),
        ({"options": {"models": ["ok", ""]}}, "options.models[1]"),
        ({"options": {"allow_models": "*"}}, "options.allow_models"),
        ({"options": []}, "options"),
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused_by_its_path(
    registry: Registry, fields: dict[str, Any], param: str
) -> None:
    name = registry.name()
    answer = registry.post(PROVIDERS, {"name": name, "endpoint": "http://10.0.0.1", **fields})
    problem = refused(answer, 400, "invalid_value", param)
    assert problem["error"]["type"] == "invalid_request_error"
    assert registry.get(f"{PROVIDERS}?q={name}").get_json()["data"] == []


@pytest.mark.parametrize("field", ["name", "endpoint"])
def test_a_missing_field_is_named(registry: Registry, field: str) -> None:
    body = {"name": registry.name(), "endpoint": "http://10.0.0.1"}
    del body[field]
    refused(registry.post(PROVIDERS, body), 400, "invalid_value", field)


def test_unknown_fields_are_named_also_inside_options(registry: Registry) -> None:
    body = {"name": registry.name(), "endpoint": "http://10.0.0.1"}
    refused(registry.post(PROVIDERS, {**body, "colour": 1}), 400, "unknown_field", "colour")
    answer = registry.post(PROVIDERS, {**body, "options": {"colour": 1}})
    problem = refused(answer, 400, "unknown_field", "options.colour")
    assert "options.colour" in problem["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "[::1]", "192.168.0.1"])
def test_a_forbidden_literal_address_is_refused_and_a_name_is_not_looked_up(
    registry: Registry, host: str
) -> None:
    body = {"name": registry.name(), "endpoint": f"http://{host}:8000"}
    refused(registry.post(PROVIDERS, body), 400, "invalid_value", "endpoint")
    assert registry.add(endpoint="http://no-such-host.invalid")["slug"]


def test_a_taken_name_or_slug_is_a_conflict_without_regard_to_case(registry: Registry) -> None:
    name = registry.name()
    first = registry.add(f"Straße {name}")
    body = {"name": f"STRASSE {name}", "endpoint": "http://10.0.0.1"}
    answer = registry.post(PROVIDERS, body)
    refused(answer, 409, "provider_name_taken", "name")
    assert answer.headers["x-should-retry"] == "false"
    answer = registry.post(PROVIDERS, {**body, "name": f"{name}b", "slug": first["slug"]})
    refused(answer, 409, "provider_name_taken", "slug")


def test_a_derived_slug_that_is_taken_gets_a_number(registry: Registry) -> None:
    name = registry.name()
    assert [registry.add(n)["slug"] for n in (f"{name} x", f"{name}!x", f"{name}?x")] == [
        f"{name}-x",
        f"{name}-x-2",
        f"{name}-x-3",
    ]


def test_a_provider_and_its_event_are_written_together(registry: Registry) -> None:
    made = registry.add()
    assert registry.events_of(made["id"]) == [(EventType.PROVIDER_CREATED, 1)]
    assert registry.call("DELETE", f"{PROVIDERS}/{made['id']}").status_code == 204
    assert registry.events_of(made["id"])[1:] == [(EventType.PROVIDER_DELETED, 2)]


def test_a_member_reads_providers_and_changes_none(registry: Registry) -> None:
    made = registry.add()
    body = {"name": registry.name(), "endpoint": "http://10.0.0.1"}
    problem = refused(registry.post(PROVIDERS, body, who="ann"), 403, "insufficient_scope")
    assert problem["error"]["type"] == "permission_error"
    path = f"{PROVIDERS}/{made['id']}"
    refused(registry.call("DELETE", path, who="ann"), 403, "insufficient_scope")
    assert registry.get(path, who="ann").get_json() == made


def test_an_invisible_provider_is_as_unknown_as_one_that_never_was(registry: Registry) -> None:
    hidden = registry.add(visibility="admins")
    shared = registry.add(visibility=["ann"])
    for made, seen_by in ((hidden, ""), (shared, "ann")):
        registry.discovered(made["id"], "m")
        for who in ("ann", "ben"):
            listed = registry.get(f"{PROVIDERS}?limit=100&q={made['slug']}", who=who).get_json()
            models = registry.get(f"/v1/models?provider={made['slug']}", who=who).get_json()
            answer = registry.get(f"{PROVIDERS}/{made['slug']}", who=who)
            model = registry.get(f"/v1/models/{made['slug']}/m", who=who)
            if who == seen_by:
                assert (answer.status_code, model.status_code) == (200, 200)
                assert (len(listed["data"]), len(models["data"])) == (1, 1)
                continue
            assert (listed["data"], models["data"]) == ([], [])
            refused(model, 404, "model_not_found")
            foreign = refused(answer, 404, "provider_not_found")["detail"]
            unknown = refused(
                registry.get(f"{PROVIDERS}/{made['slug']}zz", who=who), 404, "provider_not_found"
            )["detail"]
            assert foreign == unknown.replace(f"{made['slug']}zz", made["slug"])
            chat = {"model": f"{made['slug']}/m", "messages": [{}], "background": True}
            refused(registry.post(CHAT, chat, who=who), 404, "model_not_found", "model")


@pytest.mark.parametrize("reference", ["prov_01J00000000000000000000000", "nobody", "%00", "a%20b"])
def test_an_unknown_provider_is_not_found(registry: Registry, reference: str) -> None:
    for method in ("GET", "DELETE"):
        refused(registry.call(method, f"{PROVIDERS}/{reference}"), 404, "provider_not_found")


def test_a_current_copy_is_not_sent_again(registry: Registry) -> None:
    made = registry.add()
    path = f"{PROVIDERS}/{made['id']}"
    held = registry.get(path).headers["ETag"]
    answer = registry.get(path, If_None_Match=held)
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", held)
    registry.discovered(made["id"], "m")  # another writer's part of the document
    answer = registry.get(path, If_None_Match=held)
    assert (answer.status_code, answer.get_json()["discovery"]["status"]) == (200, "ok")
    held = answer.headers["ETag"]
    assert registry.get(path, If_None_Match=held).status_code == 304
    assert registry.call("HEAD", path, If_None_Match=held).status_code == 304
    assert registry.call("PATCH", path, {"tags": ["eu"]}).status_code == 200
    assert registry.get(path, If_None_Match=held).status_code == 200


def test_what_discovery_found_is_shown_with_its_error(registry: Registry) -> None:
    made = registry.add()
    error = {"code": "upstream_timeout", "message": "Expected an answer, got none."}
    registry.discovered(made["id"], "a", "b", status="unreachable", error=error)
    assert registry.get(f"{PROVIDERS}/{made['id']}").get_json()["discovery"] == {
        "status": "unreachable",
        "checked_at": 50,
        "ok_at": 50,
        "model_count": 2,
        "key_verified_at": None,
        "error": error,
        "next_check_at": 350,
    }
    registry.disable(made["id"])
    shown = registry.get(f"{PROVIDERS}/{made['id']}").get_json()
    assert (shown["enabled"], shown["discovery"]["status"]) == (False, "disabled")

"""Strict tools read the description: generators of clients, linters, gateways."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from services.registry.openapi.headers import operations
from tests.contract.registry.conftest import Registry

Schema = dict[str, Any]


@pytest.fixture
def described(registry: Registry) -> dict[str, Any]:
    document: dict[str, Any] = registry.call("GET", "/openapi.json", who="").get_json()
    return document


def below(value: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a document, examples aside, and where it stands."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        yield at, value
        inner = [(name, one) for name, one in value.items() if not name.startswith("example")]
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for name, one in inner:
        yield from below(one, f"{at}/{name}")


def schemas(described: dict[str, Any]) -> dict[str, Schema]:
    """Where each schema stands, nested ones too → the schema."""
    roots = {
        f"{at}/schema": one["schema"] for at, one in below(described) if "/schemas/" not in at
        and isinstance(one.get("schema"), dict)
    }  # fmt: skip
    components = described["components"]["schemas"]
    roots |= {f"/components/schemas/{name}": shape for name, shape in components.items()}
    return {
        at: one
        for root, shape in roots.items()
        for at, one in below(shape, root)
        if at.rpartition("/")[2] != "properties"
    }


def test_it_is_a_document_of_openapi_3_1(described: dict[str, Any]) -> None:
    faults = [
        f"{e.instance_path}: {e.message}" for e in OPENAPI_31_VALIDATOR.iter_errors(described)
    ]
    assert faults == []
    spoiled = {**described, "servers": [{}]}
    assert not OPENAPI_31_VALIDATOR.is_valid(spoiled)


def test_every_schema_is_json_schema_and_says_what_its_lists_hold(
    described: dict[str, Any],
) -> None:
    found = schemas(described)
    assert len(found) > 300
    for at, shape in found.items():
        jsonschema_rs.meta.validate(
            {**shape, "$schema": "https://json-schema.org/draft/2020-12/schema"}
        )
        if "array" in shape.get("type", ()):
            assert "items" in shape, at


def test_every_default_is_a_value_that_its_schema_allows(described: dict[str, Any]) -> None:
    components = {"components": described["components"]}
    tried = {at: shape for at, shape in schemas(described).items() if "default" in shape}
    assert len(tried) > 20
    for at, shape in tried.items():
        check = jsonschema_rs.Draft202012Validator({**shape, **components})
        assert check.is_valid(shape["default"]), at


def test_a_default_of_a_query_can_be_sent_as_it_stands(
    registry: Registry, described: dict[str, Any]
) -> None:
    for path, method, operation in operations(described):
        sent = {
            one["name"]: one["schema"]["default"]
            for one in operation["parameters"]
            if one["in"] == "query" and "default" in one["schema"]
        }
        if "{" in path or not sent:
            continue
        assert method == "get"
        query = "&".join(f"{name}={value}" for name, value in sent.items())
        assert registry.get(f"{path}?{query}").status_code == 200, path


def test_the_parameters_of_a_path_are_those_that_it_names(described: dict[str, Any]) -> None:
    for path, method, operation in operations(described):
        every = [*described["paths"][path].get("parameters", ()), *operation["parameters"]]
        names = [(one["in"], one["name"].lower()) for one in every]
        assert len(names) == len(set(names)), f"{method} {path}"
        told = {one["name"] for one in every if one["in"] == "path"}
        assert told == set(re.findall(r"{(\w+)}", path))


def test_every_operation_has_a_name_of_its_own_that_says_what_it_does(
    described: dict[str, Any],
) -> None:
    """Generated clients are made of these names: who changes one, breaks them."""
    named = {
        f"{method.upper()} {path}": operation["operationId"]
        for path, method, operation in operations(described)
    }
    hooks = [hook["post"]["operationId"] for hook in described["webhooks"].values()]
    ids = [*named.values(), *hooks]
    assert len(ids) == len(set(ids))
    for one in named.values():
        assert re.fullmatch("(?:[a-z]+)(?:[A-Z][a-z]+)+", one), one
    assert hooks == ["jobEnded"]
    assert named == NAMED


def test_the_server_is_where_the_document_came_from(described: dict[str, Any]) -> None:
    assert described["servers"] == [{"url": "/"}]


NAMED = {
    "POST /v1/providers": "createProvider",
    "GET /v1/providers": "listProviders",
    "GET /v1/providers/{reference}": "getProvider",
    "PATCH /v1/providers/{reference}": "updateProvider",
    "DELETE /v1/providers/{reference}": "deleteProvider",
    "GET /v1/providers/{reference}/impact": "getProviderImpact",
    "GET /v1/providers/{reference}/models": "listProviderModels",
    "POST /v1/providers/{reference}/refresh": "refreshProvider",
    "POST /v1/providers/resolve": "resolveEndpoint",
    "POST /v1/providers/test": "testProvider",
    "GET /v1/providers/checks/{check_id}": "getProviderCheck",
    "GET /v1/providers/{reference}/events": "listProviderEvents",
    "GET /v1/models": "listModels",
    "GET /v1/models/{model}": "getModel",
    "POST /v1/chat/completions": "createChatCompletion",
    "GET /v1/chat/completions": "listChatCompletions",
    "GET /v1/chat/completions/{job_id}": "getChatCompletion",
    "POST /v1/chat/completions/{job_id}": "updateChatCompletion",
    "DELETE /v1/chat/completions/{job_id}": "deleteChatCompletion",
    "GET /v1/chat/completions/{job_id}/messages": "listChatCompletionMessages",
    "GET /v1/chat/completions/{job_id}/attempts": "listChatCompletionAttempts",
    "POST /v1/chat/completions/{job_id}/cancel": "cancelChatCompletion",
    "POST /v1/responses": "createResponse",
    "GET /v1/responses/{job_id}": "getResponse",
    "DELETE /v1/responses/{job_id}": "deleteResponse",
    "POST /v1/responses/{job_id}/cancel": "cancelResponse",
    "GET /v1/events": "listEvents",
    "POST /v1/keys": "createKey",
    "GET /v1/keys": "listKeys",
    "GET /v1/keys/{key_id}": "getKey",
    "DELETE /v1/keys/{key_id}": "deleteKey",
    "GET /v1/me": "getMe",
    "GET /v1/usage": "getUsage",
    "GET /v1/audit": "listAuditEntries",
    "GET /health/live": "getHealthLive",
    "GET /health/ready": "getHealthReady",
    "GET /metrics": "getMetrics",
}

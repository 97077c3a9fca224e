"""The description cannot lie: it is held against the routes, the answers and the error tree."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shared import ids
from shared.domain import GateReason, JobState
from shared.errors import JOB_FAILURES, REQUEST_ERRORS, UpstreamRefused
from tests.contract.registry.conftest import CHAT, Registry
from tests.contract.registry.hand import Hand, soon

ROOT = Path(__file__).parents[3]
TREE = {**REQUEST_ERRORS, **JOB_FAILURES}
UNDESCRIBED = {"/docs", "/openapi.json"}


@pytest.fixture
def described(registry: Registry) -> dict[str, Any]:
    """The OpenAPI document."""
    answer = registry.call("GET", "/openapi.json", who="")
    assert answer.content_type == "application/json"
    document: dict[str, Any] = answer.get_json()
    return document


def operations(described: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def test_every_route_is_described_and_no_other(
    registry: Registry, described: dict[str, Any]
) -> None:
    routes = {
        (method, re.sub(r"<(?:path:)?(\w+)>", r"{\1}", rule.rule))
        for rule in registry.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule not in UNDESCRIBED and not rule.endpoint.startswith("console.")
    }
    assert described["openapi"].startswith("3.1")
    assert set(operations(described)) == routes


def test_every_route_says_that_its_errors_are_problem_documents(
    described: dict[str, Any],
) -> None:
    for operation in operations(described).values():
        for status, answer in operation["responses"].items():
            if status == "default" or (status >= "400" and "$ref" in answer):
                named = answer["$ref"].rpartition("/")[2]
                content = described["components"]["responses"][named]["content"]
                assert content == {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                }
        assert "default" in operation["responses"]
        assert operation["summary"]


def test_all_but_health_needs_a_key_or_the_console_s_session(described: dict[str, Any]) -> None:
    assert described["security"] == [{"bearer": []}, {"session": []}]
    schemes = described["components"]["securitySchemes"]
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer"}
    assert (schemes["session"]["in"], schemes["session"]["name"]) == ("cookie", "dragoman_session")
    free = {
        path for (_, path), operation in operations(described).items() if "security" in operation
    }
    assert free == {"/health/live", "/health/ready"}


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    for reference in set(re.findall(r"'\$ref': '#/([^']+)'", repr(described))):
        found: Any = described
        for part in reference.split("/"):
            found = found[part]


def test_the_body_of_a_chat_is_described_by_what_reads_it(described: dict[str, Any]) -> None:
    operation = operations(described)["POST", CHAT]
    content = operation["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/ChatRequest"}
    chat = described["components"]["schemas"]["ChatRequest"]
    assert chat["required"] == ["model", "messages"]
    assert "additionalProperties" not in chat  # all else passes upstream
    options = described["components"]["schemas"]["BackgroundOptions"]
    assert options["additionalProperties"] is False
    assert options["properties"]["timeout"]["maximum"] == 604_800


def test_a_change_of_a_provider_is_described_as_a_merge_patch(described: dict[str, Any]) -> None:
    body = operations(described)["PATCH", "/v1/providers/{reference}"]["requestBody"]
    kinds = {kind: content["schema"] for kind, content in body["content"].items()}
    same = {"$ref": "#/components/schemas/ProviderPatch"}
    assert kinds == {"application/merge-patch+json": same, "application/json": same}
    schemas = described["components"]["schemas"]
    for patch, whole in (("ProviderPatch", "NewProvider"), ("OptionsPatch", "Options")):
        assert schemas[patch]["additionalProperties"] is False
        assert set(schemas[patch]["properties"]) == set(schemas[whole]["properties"])
        assert "required" not in schemas[patch]
        assert "'default'" not in repr(schemas[patch])  # what is left out stays as it is
        nullable = {
            name for name, shape in schemas[patch]["properties"].items() if "'null'" in repr(shape)
        }
        assert nullable == set(schemas[whole]["properties"]) - {"name", "slug", "endpoint"}


def test_the_tree_of_errors_is_in_the_description(described: dict[str, Any]) -> None:
    error = described["components"]["schemas"]["Error"]["properties"]
    assert error["code"]["enum"] == list(TREE)
    assert set(error["type"]["enum"]) == {kind.type for kind in TREE.values()}


@pytest.mark.parametrize(
    ("heading", "tree"), [("Refused requests", REQUEST_ERRORS), ("Failed jobs", JOB_FAILURES)]
)
def test_the_page_of_errors_is_the_tree_of_errors(heading: str, tree: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    own = ", ".join(map(str, sorted(UpstreamRefused.passed_on)[:-1]))
    passed = f"its own {own} or {max(UpstreamRefused.passed_on)}, else {UpstreamRefused.status}"
    assert [row[:4] for row in rows] == [
        [
            f"`{code}`",
            passed if kind is UpstreamRefused else str(kind.status),
            f"`{kind.type}`",
            " ".join(kind.__doc__.split()),
        ]
        for code, kind in tree.items()
    ]
    assert [row[0] for row in rows if not row[4].endswith(".")] == []


def misfit(described: dict[str, Any], shape: dict[str, Any], value: Any, at: str) -> list[str]:
    """Where a value differs from its shape, both ways: no field too few, none too many."""
    check = partial(misfit, described)
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return check(described["components"]["schemas"][name], value, at)
    if "anyOf" in shape:
        tried = [check(one, value, at) for one in shape["anyOf"]]
        return [] if [] in tried else tried[0]
    types = shape.get("type", [])
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    kind = kinds.get(type(value), "array" if isinstance(value, list) else "object")
    allowed = {types} if isinstance(types, str) else set(types)
    if kind not in allowed and not (kind == "integer" and "number" in allowed):
        return [f"{at}: {kind} is not {types}"]
    if "enum" in shape and value not in shape["enum"]:
        return [f"{at}: {value!r} is not in {shape['enum']}"]
    if isinstance(value, list):
        return [m for i, v in enumerate(value) for m in check(shape["items"], v, f"{at}[{i}]")]
    if isinstance(value, dict) and "properties" in shape:
        names = shape["properties"]
        found = [f"{at}.{name}: missing" for name in shape.get("required", ()) if name not in value]
        found += [f"{at}.{name}: not described" for name in value if name not in names]
        return found + [
            m for n in value if n in names for m in check(names[n], value[n], f"{at}.{n}")
        ]
    return []


def test_answers_have_the_shapes_that_the_description_gives_them(
    registry: Registry, described: dict[str, Any]
) -> None:
    made = registry.add(api_key="x" * 20, visibility=["ann", "admin"], options={"models": ["a"]})
    registry.discovered(made["id"], "m", status="loading", error={"code": "x", "message": "y"})
    gated = registry.add()
    registry.gate(gated["id"], GateReason.PARKED, 4e9)
    queued = registry.submit(f"{gated['slug']}/m", metadata={"a": "b"})
    failed, completed = (registry.submit(f"{made['slug']}/m") for _ in range(2))
    first, second = registry.claim(failed["id"], completed["id"])
    registry.finish(first, JobState.FAILED, error_code="interrupted")
    registry.finish(second, JobState.COMPLETED, result={"choices": [{}], "usage": {}, "id": "x"})
    answers = {
        "ProviderImpact": [registry.get(f"/v1/providers/{made['id']}/impact")],
        "Provider": [registry.get(f"/v1/providers/{one['id']}") for one in (made, gated)],
        "ProviderList": [registry.get("/v1/providers"), registry.get("/v1/providers?tag=none")],
        "Model": [registry.get(f"/v1/models/{made['slug']}/m")],
        "ModelList": [registry.get(f"/v1/models?provider={made['slug']}")],
        "ChatCompletion": [
            registry.get(f"{CHAT}/{job['id']}") for job in (queued, failed, completed)
        ],
        "Health": [registry.get("/health/ready")],
        "Liveness": [registry.get("/health/live")],
        "Problem": [registry.get("/nowhere"), registry.post(CHAT, {"model": 5})],
    }  # fmt: skip
    for name, given in answers.items():
        shape = described["components"]["schemas"][name]
        for answer in given:
            assert misfit(described, shape, answer.get_json(force=True), name) == []


def test_answers_about_discovery_have_their_shapes_too(
    registry: Registry, described: dict[str, Any]
) -> None:
    hand = Hand(registry)
    made = hand.provider(options={"models": ["by hand"]})
    path = f"/v1/providers/{made['id']}"
    hand.check(made["id"], "m", "goes")
    hand.check(made["id"], "m")
    work = soon(hand.check, made["id"], "m")
    refreshed = registry.post(f"{path}/refresh", None, Prefer="wait=5")
    work.get()
    test = registry.post("/v1/providers/test", {"endpoint": "x"}, Prefer="respond-async")
    found = {"endpoint": "http://x/v1", "models": [{"id": "m", "context_length": None}]}
    hand.fill(test.get_json()["id"], ["resolve", "tls"], done=True, **found)
    nothing = f"/v1/events?provider={ids.new(ids.PROVIDER)}"
    answers = {
        "Provider": [registry.post(f"{path}/refresh", None)],
        "RefreshedList": [refreshed],
        "ProviderModelList": [registry.get(f"{path}/models?gone=true")],
        "ProviderCheck": [test, registry.get(f"/v1/providers/checks/{test.get_json()['id']}")],
        "EventList": [registry.get(f"{path}/events")],
        "EventFeed": [registry.get("/v1/events"), registry.get(nothing)],
    }  # fmt: skip
    for name, given in answers.items():
        for answer in given:
            shape = described["components"]["schemas"][name]
            assert misfit(described, shape, answer.get_json(), name) == []

"""The names of the operations, by which generated clients call them: part of the contract.

Each is made of its method and path, so that a view may be renamed and a new one has its name at
once: `GET /v1/providers/{reference}/models` is `listProviderModels`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.registry.openapi.headers import PROVIDERS, Operation, operations

_OF_ONE: Final = {"get": "get", "post": "update", "patch": "update", "delete": "delete"}
# Where the path does not say what is meant.
_OTHERWISE: Final[Mapping[Operation, str]] = {
    ("post", f"{PROVIDERS}/resolve"): "resolveEndpoint",
    ("get", "/v1/audit"): "listAuditEntries",
}


def describe(document: dict[str, Any]) -> None:
    """Add the `operationId` of every operation to an OpenAPI document."""
    for path, method, operation in operations(document):
        named = _OTHERWISE.get((method, path))
        operation["operationId"] = named or _derived(document, method, path, operation)


def _derived(
    document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]
) -> str:
    """Verb and noun: `createProvider`, `listProviders`, `cancelChatCompletion`."""
    *above, last = path.removeprefix("/v1").strip("/").split("/")
    owner = "".join(_one(part) for part in above if not part.startswith("{"))
    if last.startswith("{"):
        return _OF_ONE[method] + owner
    if method == "post" and not _makes(document, path):
        return last + owner
    if method == "post":
        return f"create{owner}{_one(last)}"
    return f"{'list' if _is_list(document, operation) else 'get'}{owner}{last.title()}"


def _one(part: str) -> str:
    return part.removesuffix("s").title()


def _makes(document: Mapping[str, Any], path: str) -> bool:
    """Whether a post to this path makes what is then found one level below it."""
    return any(other.startswith(f"{path}/{{") for other in document["paths"])


def _is_list(document: Mapping[str, Any], operation: Mapping[str, Any]) -> bool:
    shape = operation["responses"]["200"]["content"].get("application/json", {}).get("schema", {})
    named = document["components"]["schemas"].get(shape.get("$ref", "").rpartition("/")[2], {})
    shown: dict[str, Any] = named.get("properties", {})
    return "object" in shown and shown["object"].get("enum") == ["list"]

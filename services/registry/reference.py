"""The readable reference: the OpenAPI document as one HTML page without scripts.

Nothing is loaded from anywhere, and the content policy lets the browser load nothing: the only
style is the page's own, allowed by its digest.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shared.errors import JOB_FAILURES, REQUEST_ERRORS

_FOLDER: Final = Path(__file__).with_name("pages")
_METHODS: Final = ("get", "post", "patch", "put", "delete")


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and the Content-Security-Policy that it is served with."""

    html: str
    policy: str


@dataclass(frozen=True, slots=True)
class Row:
    """One field of a schema, one line of its table."""

    path: str
    kind: str
    required: bool
    about: str


def render(document: Mapping[str, Any]) -> Page:
    """The page for this OpenAPI document."""
    style = (_FOLDER / "reference.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    pages = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined
    )
    groups: dict[str, list[tuple[str, str, Mapping[str, Any], list[Any]]]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
                entry = (method.upper(), path, operation, parameters)
                groups.setdefault(operation["tags"][0], []).append(entry)
    schemas = document["components"]["schemas"]
    html = pages.get_template("reference.html").render(
        info=document["info"],
        style=style,
        tags=document["tags"],
        groups=groups,
        schemas={name: list(rows(schema)) for name, schema in schemas.items()},
        abouts={name: schema.get("description", "") for name, schema in schemas.items()},
        errors=[*REQUEST_ERRORS.values(), *JOB_FAILURES.values()],
        body_of=_body_of,
        kind=kind,
    )
    return Page(html, policy)


def rows(schema: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    """The fields of an object schema, nested ones under their JSON path."""
    required = schema.get("required", ())
    for name, shape in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield Row(path, kind(shape), name in required, shape.get("description", ""))
        if "properties" in shape:
            yield from rows(shape, f"{path}.")


def kind(shape: Mapping[str, Any]) -> str:
    """What a field holds, in a few words: `string or null`, `list of Model`, `"asc" or "desc"`."""
    if "$ref" in shape:
        return str(shape["$ref"]).rpartition("/")[2]
    for word in ("anyOf", "oneOf"):
        if word in shape:
            return " or ".join(kind(one) for one in shape[word])
    if "allOf" in shape:
        return " and ".join(kind(one) for one in shape["allOf"])
    if "enum" in shape:
        return " or ".join("null" if one is None else f'"{one}"' for one in shape["enum"])
    named = shape.get("type", "any")
    words = [named] if isinstance(named, str) else list(named)
    if "array" in words:
        words[words.index("array")] = f"list of {kind(shape.get('items', {}))}"
    return " or ".join(words) + _bounds(shape)


def _bounds(shape: Mapping[str, Any]) -> str:
    low = shape.get("minimum", shape.get("exclusiveMinimum"))
    high = shape.get("maximum")
    if low is None or high is None:
        return ""
    return f", {low:g} to {high:g}"


def _body_of(answer: Mapping[str, Any]) -> str:
    """The name of the schema in a request or an answer; empty without one."""
    for content in answer.get("content", {}).values():
        return kind(content.get("schema", {}))
    return ""

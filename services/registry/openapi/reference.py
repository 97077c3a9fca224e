"""The readable reference: the OpenAPI document as one HTML page without scripts.

Nothing is loaded from anywhere, and the content policy lets the browser load nothing: the only
style is the page's own, allowed by its digest.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from services.registry import request_ids
from services.registry.openapi.headers import operations
from services.registry.openapi.wording import Row, kind, prose, row, variants
from shared.errors import JOB_FAILURES, REQUEST_ERRORS

_FOLDER: Final = Path(__file__).with_name("pages")
_TOKENS: Final = Path(__file__).parent.with_name("console") / "static" / "css" / "tokens.css"
_EVERYWHERE: Final = (request_ids.HEADER, "x-ratelimit-")  # told once, under the conventions
_PLACES: Final = ("path", "query", "header")


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and the Content-Security-Policy that it is served with."""

    html: str
    policy: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One status of a call."""

    status: str
    about: Markup
    bodies: list[Markup]
    headers: list[str]


@dataclass(frozen=True, slots=True)
class Call:
    """One operation, as the page shows it."""

    id: str
    name: str
    about: list[Markup]
    keyless: bool
    arguments: dict[str, list[Row]]
    bodies: list[Markup]
    answers: list[Answer]
    samples: list[Mapping[str, str]]


def render(document: Mapping[str, Any]) -> Page:
    """The page for this OpenAPI document."""
    style = "".join(
        path.read_text("utf-8") for path in (_TOKENS, _FOLDER / "reference.css")
    )  # the console's colours
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    pages = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["prose"] = prose
    groups: dict[str, list[Call]] = {}
    for path, method, operation in operations(document):
        groups.setdefault(operation["tags"][0], []).append(_call(document, path, method, operation))
    schemas = document["components"]["schemas"]
    webhook = document["webhooks"]["jobEnded"]["post"]
    html = pages.get_template("reference.html").render(
        info=document["info"],
        style=style,
        tags=[tag for tag in document["tags"] if tag["name"] in groups],
        groups=groups,
        schemas={name: list(variants(schema)) for name, schema in schemas.items()},
        abouts={name: prose(schema.get("description", "")) for name, schema in schemas.items()},
        asked=set(_asked(document)),
        headers={
            name: row(name, header["schema"], False, header["description"])
            for name, header in document["components"]["headers"].items()
        },
        errors=[*REQUEST_ERRORS.values(), *JOB_FAILURES.values()],
        session=document["components"]["securitySchemes"]["session"],
        webhook=webhook,
        signed=[_argument(one) for one in webhook["parameters"]],
    )
    return Page(html, policy)


def _call(
    document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> Call:
    item = document["paths"][path]
    arguments: dict[str, list[Row]] = {place: [] for place in _PLACES}
    for one in (*item.get("parameters", ()), *operation.get("parameters", ())):
        if one["name"] != request_ids.HEADER:
            arguments[one["in"]].append(_argument(one))
    about = [operation["summary"], *operation.get("description", "").split("\n\n")]
    return Call(
        id=re.sub(r"\W+", "-", f"{method}{path}").strip("-"),
        name=f"{method.upper()} {path}",
        about=[prose(text) for text in about if text],
        keyless=operation.get("security") == [],
        arguments={place: found for place, found in arguments.items() if found},
        bodies=_bodies(operation.get("requestBody", {})),
        answers=[
            _answer(document, str(status), answer)
            for status, answer in sorted(operation["responses"].items())
        ],
        samples=operation["x-codeSamples"],
    )


def _argument(one: Mapping[str, Any]) -> Row:
    return row(one["name"], one["schema"], one["required"], one.get("description", ""))


def _answer(document: Mapping[str, Any], status: str, answer: Mapping[str, Any]) -> Answer:
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        status = "others" if status == "default" else status
    text = prose(answer["description"])
    own = [name for name in answer.get("headers", ()) if not name.startswith(_EVERYWHERE)]
    return Answer(status, text, _bodies(answer), own)


def _bodies(answer: Mapping[str, Any]) -> list[Markup]:
    """What a request or an answer holds, once for each media type."""
    found = answer.get("content", {})
    shown = [
        Markup("{} as <code>{}</code>").format(kind(content.get("schema", {})), media)
        for media, content in found.items()
    ]
    return list(dict.fromkeys(shown))


def _asked(document: Mapping[str, Any]) -> Iterator[str]:
    """The names of the schemas that requests are made of."""
    schemas = document["components"]["schemas"]
    found: set[str] = set()
    bodies = [operation.get("requestBody", {}) for _, _, operation in operations(document)]
    texts = [repr(bodies)]
    while texts:
        for name in set(re.findall(r"#/components/schemas/(\w+)", texts.pop())) - found:
            found.add(name)
            texts.append(repr(schemas[name]))
            yield name

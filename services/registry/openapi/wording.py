"""How schemas and texts read on the page: types with links, bounds, defaults, code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

_CODE = re.compile(r"``?(.+?)``?")


@dataclass(frozen=True, slots=True)
class Row:
    """One field of a schema, or one argument of a call."""

    path: str
    kind: Markup
    required: bool
    notes: tuple[Markup, ...]
    about: Markup


def row(path: str, shape: Mapping[str, Any], required: bool, about: str = "") -> Row:
    """A schema in one line."""
    text = about or shape.get("description", "")
    return Row(path, kind(shape), required, tuple(notes(shape)), prose(text))


def rows(schema: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    """The fields of an object schema, nested ones under their JSON path."""
    required = schema.get("required", ())
    for name, shape in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield row(path, shape, name in required)
        if "properties" in shape:
            yield from rows(shape, f"{path}.")
        elif "properties" in shape.get("items", {}):
            yield from rows(shape["items"], f"{path}[].")


def variants(schema: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """What an object may look like: its fields, under a title where there are several forms."""
    if "anyOf" not in schema:
        yield "", list(rows(schema))
        return
    for form in schema["anyOf"]:
        (named,) = form["properties"]["type"]["enum"]
        yield named, list(rows(form))


def kind(shape: Mapping[str, Any]) -> Markup:
    """What a field holds, in a few words: `string or null`, `list of Model`, `"asc" or "desc"`."""
    if "$ref" in shape:
        name = str(shape["$ref"]).rpartition("/")[2]
        return Markup('<a href="#{0}">{0}</a>').format(name)
    for word in ("anyOf", "oneOf"):
        if word in shape:
            return _or(kind(one) for one in shape[word])
    if "allOf" in shape:
        return Markup(" and ").join(kind(one) for one in shape["allOf"])
    if "enum" in shape:
        return _or(_value(one) for one in shape["enum"])
    named = shape.get("type", "any")
    words = [named] if isinstance(named, str) else list(named)
    return _or(_named(word, shape) for word in words)


def notes(shape: Mapping[str, Any]) -> Iterator[Markup]:
    """The bounds of a field, its default and its example."""
    low, high = shape.get("minimum", shape.get("exclusiveMinimum")), shape.get("maximum")
    if low is not None and high is not None:
        yield escape(f"{_whole(low):,} to {_whole(high):,}")
    elif low is not None:
        yield escape(f"at least {_whole(low):,}")
    if "maxLength" in shape:
        least = shape.get("minLength")
        words = "at most" if least is None else f"{least:,} to"
        yield escape(f"{words} {shape['maxLength']:,} characters")
    if "maxItems" in shape:
        yield escape(f"at most {shape['maxItems']:,}")
    if "minItems" in shape:
        yield escape(f"at least {shape['minItems']:,}")
    if shape.get("writeOnly"):
        yield escape("never shown again")
    if "default" in shape:
        yield Markup("default {}").format(_value(shape["default"]))
    if "example" in shape:
        yield Markup("such as <code>{}</code>").format(shape["example"])


def prose(text: str) -> Markup:
    """A text with what stands between backticks as code."""
    pieces = _CODE.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if index % 2 else escape(piece)
        for index, piece in enumerate(pieces)
    )


def _named(word: str, shape: Mapping[str, Any]) -> Markup:
    if word == "array":
        return Markup("list of {}").format(kind(shape.get("items", {})))
    inner = shape.get("additionalProperties")
    if word == "object" and isinstance(inner, dict) and inner:
        return Markup("map of {}").format(kind(inner))
    return escape(word)


def _or(words: Iterator[Markup]) -> Markup:
    return Markup(" or ").join(words)


def _whole(number: float) -> float:
    """5.0 as 5; what has a fraction as it is."""
    return int(number) if number == int(number) else number


def _value(value: Any) -> Markup:
    value = _whole(value) if isinstance(value, float) else value
    return Markup("<code>{}</code>").format(json.dumps(value, ensure_ascii=False))

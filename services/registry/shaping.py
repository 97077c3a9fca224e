"""The words in which shapes are written: JSON Schema with as little noise as it allows."""

from __future__ import annotations

from typing import Any, Final

Shape = dict[str, Any]

TEXT: Final[Shape] = {"type": "string"}
WHOLE: Final[Shape] = {"type": "integer"}
FLAG: Final[Shape] = {"type": "boolean"}
TIME: Final[Shape] = {"type": "integer", "description": "Unix seconds"}


def ref(name: str) -> Shape:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(**properties: Shape) -> Shape:
    """An object that has all of these fields."""
    return {"type": "object", "required": list(properties), "properties": properties}


def or_null(shape: Shape) -> Shape:
    """Null, or this shape."""
    if "type" in shape and "enum" not in shape:
        return {**shape, "type": [shape["type"], "null"]}
    return {"anyOf": [shape, {"type": "null"}]}


def words(*allowed: str) -> Shape:
    """One of these words."""
    return {"type": "string", "enum": list(allowed)}


def list_of(shape: Shape) -> Shape:
    """A list of this shape."""
    return {"type": "array", "items": shape}


def map_of(shape: Shape) -> Shape:
    """An object with values of this shape under any names."""
    return {"type": "object", "additionalProperties": shape}


def page_of(name: str) -> Shape:
    """OpenAI's list object, of this component."""
    return object_of(
        object=words("list"),
        data=list_of(ref(name)),
        first_id=or_null(TEXT),
        last_id=or_null(TEXT),
        has_more=FLAG,
    )

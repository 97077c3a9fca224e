"""JSON within bounds: what is too deep, and what only looks so."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry import json_bodies
from services.registry.json_bodies import MAX_DEPTH
from shared.errors import InvalidJson, InvalidValue, UnknownField

RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
ANY = msgspec.json.Decoder(dict[str, Any])


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    a: int


class Outer(msgspec.Struct):
    inner: Inner | None = None
    many: list[Inner] = []
    texts: dict[str, int] = {}


def nested(levels: int, kind: str = "[]") -> bytes:
    """An object of so many levels."""
    if kind == "[]":
        return b'{"x":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
    return b'{"x":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize("kind", ["[]", "{}"])
@pytest.mark.parametrize("decoder", [RAW, ANY])
def test_64_levels_are_read_and_65_are_not(kind: str, decoder: msgspec.json.Decoder[Any]) -> None:
    json_bodies.decode(nested(MAX_DEPTH, kind), decoder)
    for levels in (MAX_DEPTH + 1, 5_000):
        with pytest.raises(InvalidJson, match="at most 64 levels"):
            json_bodies.decode(nested(levels, kind), decoder)


@pytest.mark.parametrize(
    "text", ["[" * 100, "{" * 100, '"[' * 50, "\\[" * 50, '\\"[' * 50, "\\\\" * 9 + "[" * 80]
)
def test_brackets_inside_strings_are_no_levels(text: str) -> None:
    body = json.dumps({text: [text, {"a": text}]}).encode()
    assert json_bodies.decode(body, ANY) == json.loads(body)


def test_many_brackets_beside_each_other_are_no_levels() -> None:
    json_bodies.decode(b'{"x": [' + b"[],{}," * 500 + b"1]}", RAW)


@given(
    st.recursive(
        st.none() | st.text(alphabet='[]{}"\\ab'),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_the_depth_of_anything_is_found(value: Any) -> None:
    def depth(one: Any) -> int:
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    padding = "[" * 70  # so that the quick way out is not taken
    for more in (MAX_DEPTH - 1 - depth(value), MAX_DEPTH - depth(value)):
        wrapped = value
        for _ in range(more):
            wrapped = [wrapped]
        body = json.dumps({"x": wrapped, "p": padding}).encode()
        if 1 + depth(wrapped) <= MAX_DEPTH:
            json_bodies.decode(body, RAW)
        else:
            with pytest.raises(InvalidJson):
                json_bodies.decode(body, RAW)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"{} {}", b"{'a':1}", b'{"a":"\xff"}'])
def test_what_is_no_object_in_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson, match="Expected a JSON object"):
        json_bodies.decode(body, RAW)


def test_an_empty_body_is_called_that() -> None:
    with pytest.raises(InvalidJson, match="got an empty body"):
        json_bodies.decode(b"", RAW)


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        (b'{"inner": {}}', InvalidValue, "inner.a"),
        (b'{"inner": {"a": 1, "b": 2}}', UnknownField, "inner.b"),
        (b'{"inner": {"a": "x"}}', InvalidValue, "inner.a"),
        (b'{"many": [{"a": 1}, {"a": null}]}', InvalidValue, "many[1].a"),
        (b'{"texts": {"a": 1, "k": "v"}}', InvalidValue, "texts.k"),
    ],
)
def test_a_fault_names_the_path_of_its_field(
    body: bytes, kind: type[InvalidValue], param: str
) -> None:
    with pytest.raises(kind) as raised:
        json_bodies.decode(body, msgspec.json.Decoder(Outer))
    assert raised.value.param == param
    assert param in raised.value.message

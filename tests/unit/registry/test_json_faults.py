"""What a refusal of a chat or a response says: what was expected, and what came."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from services.registry import json_bodies
from services.registry.chat.request import ChatReader
from services.registry.json_bodies import MAX_BYTES
from services.registry.refusals import LONGEST_PATH
from services.registry.responses.request import RequestReader
from shared.errors import InvalidValue, RequestError, UnknownField

MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "x"}]
MANY = {str(number): "x" for number in range(17)}


def chat(**fields: Any) -> RequestError:
    """The refusal of a chat with these fields."""
    return raw(json.dumps({"model": "a/b", "messages": MESSAGES, **fields}).encode())


def raw(body: bytes, reader: ChatReader | RequestReader | None = None) -> RequestError:
    with pytest.raises(RequestError) as raised:
        (reader or ChatReader()).read(body)
    return raised.value


def response(**fields: Any) -> RequestError:
    return raw(json.dumps({"model": "a/b", "input": "x", **fields}).encode(), RequestReader())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"service_tier": "gold"},
            "service_tier: Expected one of auto, default, flex, priority, scale, got 'gold'.",
        ),
        ({"service_tier": 5}, "service_tier: Expected a string or null, got a whole number."),
        ({"messages": []}, "messages: Expected at least 1 item, got 0."),
        ({"messages": ["x"]}, "messages[0]: Expected an object, got a string."),
        ({"model": ""}, "model: Expected at least 1 character, got 0."),
        ({"model": "x" * 401}, "model: Expected at most 400 characters, got 401."),
        (
            {"model": "a\u0007"},
            "model: Expected a string without control characters, got U+0007 as number 2.",
        ),
        ({"metadata": MANY}, "metadata: Expected at most 16 members, got 17."),
        (
            {"metadata": {"a": "b", "c": "d" * 600}},
            "metadata.c: Expected at most 512 characters, got 600.",
        ),
        (
            {"metadata": {"a": "b", "c": "\0"}},
            "metadata.c: Expected a string without NUL, got U+0000 as number 1.",
        ),
        (
            {"metadata": {"a": "b", "c" * 65: "d"}},
            "metadata: Expected at most 64 characters as a name, got 65.",
        ),
        (
            {"metadata": {"c\nd": "e"}},
            "metadata: Expected a string without control characters as a name, "
            "got U+000A as number 2.",
        ),
    ],
    ids=lambda one: repr(one)[:40],
)
def test_a_field_of_a_chat(given: dict[str, Any], said: str) -> None:
    error = chat(**given)
    assert (type(error), error.message) == (InvalidValue, said)
    assert error.param == said.partition(":")[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"on_interrupt": "x"}, "on_interrupt: Expected one of fail, retry, got 'x'."),
        ({"on_interrupt": 3}, "on_interrupt: Expected a string, got a whole number."),
        ({"timeout": 604_801}, "timeout: Expected a number of at most 604800, got 604801."),
        ({"timeout": 1e9}, "timeout: Expected a number of at most 604800, got 1000000000."),
        ({"timeout": 0}, "timeout: Expected a number of more than 0, got 0."),
        ({"timeout": -0.5}, "timeout: Expected a number of more than 0, got -0.5."),
        ({"timeout": "x"}, "timeout: Expected a number, got a string."),
        ({"timeout": 10**400}, "timeout: Expected a number up to 1e308, got one beyond it."),
    ],
    ids=lambda one: repr(one)[:40],
)
def test_a_field_of_the_options(given: dict[str, Any], said: str) -> None:
    assert chat(background_options=given).message == f"background_options.{said}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"top_logprobs": 21}, "top_logprobs: Expected a whole number of at most 20, got 21."),
        ({"tool_choice": "x"}, "tool_choice: Expected one of none, auto, required, got 'x'."),
        (
            {"input": [{"role": "user"}, {"role": "boss"}]},
            "input[1].role: Expected one of user, assistant, system, developer, got 'boss'.",
        ),
        (
            {"tools": [{"type": "function", "name": ""}]},
            "tools[0].name: Expected at least 1 character, got 0.",
        ),
        ({"text": {"verbosity": "big"}}, "Expected one of low, medium, high, got 'big'."),
    ],
    ids=lambda one: repr(one)[:40],
)
def test_a_field_of_a_response(given: dict[str, Any], said: str) -> None:
    assert response(**given).message.endswith(said)


def test_an_unknown_field_is_told_with_the_one_that_it_is_like() -> None:
    error = chat(background_options={"time_out": 5})
    assert (type(error), error.param) == (UnknownField, "background_options.time_out")
    assert error.message.endswith("got background_options.time_out. Nearest: timeout.")
    assert chat(background_options={"bar": 5}).message.endswith("got background_options.bar.")
    assert response(inputs="x").message.endswith("Nearest: input.")
    nested = response(input=[{"content": [{"type": "input_text", "txt": "x"}]}])
    assert nested.message.endswith("got input[0].content[0].txt. Nearest: text.")


def test_values_and_names_of_any_length_are_cut() -> None:
    said = chat(service_tier="y" * 9_999).message
    assert said.endswith("y… (9,999 characters).")
    assert len(said) < 200
    error = chat(background_options={"x" * 9_999: 1})
    assert len(str(error.param)) == LONGEST_PATH


def test_no_text_of_a_client_is_repeated() -> None:
    """A secret in a field of ours, or a conversation in the place of a list."""
    hook = {"url": ["s3cret"], "secret": {"s3cret": 1}}
    for error in (
        chat(messages="s3cret"),
        chat(messages=["s3cret"]),
        chat(background_options={"webhook": hook}),
        chat(background_options={"webhook": {"url": "http://h", "secret": ["s3cret"]}}),
        chat(metadata={"a": "s3cret" * 100}),
        chat(metadata={"a": "s3cret\0"}),
        response(input=[{"content": [{"type": "input_text", "text": ["s3cret"]}]}]),
    ):
        assert "s3cret" not in error.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"model": "a/b", "messages": [], ', "messages: Expected at least 1 item."),
        (b'{"messages": [], "messages": [{}]}', "messages: Expected at least 1 item."),
        (b'{"messages": [], "messages": 5}', "messages: Expected at least 1 item."),
        (b'{"model": "\\u0007", "model": "b"}', "Expected a string without control characters."),
        (b'{"model": "\\u0007", "model": 5}', "Expected a string without control characters."),
        (b'{"metadata": {"a": 5}, ', "metadata: Expected a string, got a whole number."),
        (
            b'{"background_options": {"timeout": 0, "timeout": 5}}',
            "background_options.timeout: Expected a number of more than 0.",
        ),
        (b'{"metadata": {"\\u0007": "a"}, "metadata": null}', "characters as a name."),
    ],
)
def test_what_is_not_found_again_is_not_told(body: bytes, said: str) -> None:
    """Behind the fault the body may be no JSON, or have the same name again."""
    assert raw(body).message.endswith(said)


@pytest.mark.parametrize(("body", "got"), [(b"5", "a whole number"), (b"[]", "a list")])
def test_what_is_no_object_is_called_what_it_is(body: bytes, got: str) -> None:
    assert raw(body).message == f"Expected a JSON object, got {got}."


@pytest.mark.parametrize("given", [{"model": "\a"}, {"metadata": {"a": 5}}, {"top": 1}], ids=str)
def test_a_large_body_is_refused_without_a_second_look(given: dict[str, Any]) -> None:
    """Who sends one must not keep the process busy for seconds: only the finding is told."""
    fields = {"background_options": given} if "top" in given else given
    small, large = chat(**fields), chat(**fields, padding="x" * MAX_BYTES)
    assert large.status == 400
    assert small.message.startswith(large.message.removesuffix(".").partition(": ")[0])
    assert ("got U+" in large.message, "metadata.a" in large.message) == (False, False)


@pytest.mark.parametrize(
    "metadata",
    [b'{"a": 1e999}', b'{"a": ' + b"9" * 5_000 + b"}", b'{"a": {"\xff": 1}}', b'{"a": "\xff"}'],
    ids=lambda one: repr(one)[:30],
)
def test_what_cannot_be_read_in_a_member_is_a_refusal_too(metadata: bytes) -> None:
    head = b'{"model": "a/b", "messages": [{"role": "user"}], "metadata": '
    assert raw(head + metadata + b"}").status == 400


@pytest.mark.parametrize(
    "body", [b'{"temperature": 1e999}', b'{"limits": {"x": 1e999}}', b"[1e999]"]
)
def test_a_number_beyond_all_is_told_as_such(body: bytes) -> None:
    with pytest.raises(RequestError) as raised:
        json_bodies.decode(body, msgspec.json.Decoder(dict[str, Any]))
    said = "Expected a JSON object" if body.startswith(b"[") else "Expected a number up to 1e308"
    assert raised.value.message.startswith(said)
    assert raised.value.param is None  # of members without a type msgspec does not say which

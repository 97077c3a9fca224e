"""What a request is told when several of its fields are at fault."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from services.registry.audit.routes import AuditQuery
from services.registry.blueprints import MOST_TOLD, Parser
from services.registry.chat.records import JobQuery
from services.registry.chat.routes import RetrieveQuery
from services.registry.checks.schemas import NewCheck
from services.registry.keys.schemas import NewKey
from services.registry.providers.schemas import NewProvider, ProviderPatch, ProviderQuery
from services.registry.refusals import LONGEST_PATH, MOST_SHOWN
from services.registry.schemas import Strict
from services.registry.usage.schemas import UsageQuery
from shared.errors import InvalidValue, RequestError, UnknownField


def told(schema: Strict, given: dict[str, Any], location: str = "json") -> RequestError:
    """The error that the parser makes of what the schema finds."""
    with pytest.raises(ValidationError) as found:
        schema.load(given)
    with pytest.raises(RequestError) as raised:
        Parser().handle_error(ValidationError({location: found.value.messages}))
    return raised.value


def test_the_first_fault_is_the_param_and_the_message_names_the_others() -> None:
    given = {"name": "", "options": {"models": ["", "ok", ""]}, "zoo": 1, "ape": 2}
    error = told(NewProvider(), given)
    assert (type(error), error.param) == (InvalidValue, "name")
    assert error.message == (
        "name: Expected 1 to 100 printable characters, got 0."
        " Also endpoint: Expected a value, got none."
        " Also options.models[0]: Expected 1 to 256 printable characters, got ''."
        " Also options.models[2]: Expected 1 to 256 printable characters, got ''."
        " Also expected only documented fields, got ape."
        " Also expected only documented fields, got zoo."
    )


def test_unknown_fields_alone_are_told_by_name_in_their_order() -> None:
    given = {"name": "n", "endpoint": "h:1", **{f"x{n}": 1 for n in range(9)}}
    error = told(NewProvider(), given)
    assert (type(error), error.param) == (UnknownField, "x0")
    assert error.message.count("got x") == 1 + MOST_TOLD
    assert error.message.endswith(f"Further faults: {8 - MOST_TOLD}.")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": 5}, "name: Expected a string, got 5."),
        ({"name": True}, "name: Expected a string, got true."),
        ({"enabled": "yes"}, "enabled: Expected true or false, got 'yes'."),
        ({"tags": "x"}, "tags: Expected a list of tags, got 'x'."),
        ({"tags": [["a", "b"]]}, "tags[0]: Expected a string, got a list of 2."),
        ({"slug": "-"}, "hyphen, no hyphen first, got '-'."),
        ({"description": "a\x00"}, "Expected a string without NUL, got it as number 2."),
        ({"options": [1]}, "options: Expected an object, got a list of 1."),
        (
            {"options": {"max_concurrency": "4"}},
            "options.max_concurrency: Expected a whole number from 1 to 100000, got '4'.",
        ),
        ({"options": {"max_concurrency": 2.5}}, "got 2.5."),
        ({"options": {"max_concurrency": 10**99}}, "got a number of more than 60 digits."),
        (
            {"options": {"connect_timeout": 61}},
            "options.connect_timeout: Expected a number of seconds from 0.1 to 60, got 61.",
        ),
        ({"options": {"models": {"a": 1}}}, "Expected a list of model ids, got an object."),
    ],
    ids=lambda one: repr(one)[:40],
)
def test_a_refusal_says_what_came(given: dict[str, Any], said: str) -> None:
    error = told(NewProvider(), {"name": "n", "endpoint": "h:1", **given})
    assert error.message.endswith(said)


@pytest.mark.parametrize(
    ("schema", "given", "said"),
    [
        (JobQuery, {"limit": "0"}, "limit: Expected a whole number from 1 to 100, got 0."),
        (JobQuery, {"limit": "ten"}, "limit: Expected a whole number from 1 to 100, got 'ten'."),
        (JobQuery, {"status": "done"}, "completed, failed, cancelled, got 'done'."),
        (JobQuery, {"after": "x"}, "after: Expected the id of a chat completion, got 'x'."),
        (RetrieveQuery, {"stream": "2"}, "stream: Expected true or false, got '2'."),
        (RetrieveQuery, {"starting_after": "-2"}, "Expected the number of a chunk, got -2."),
        (AuditQuery, {"from": "1e9"}, "from: Expected a time in Unix seconds before the year 2100"),
        (UsageQuery, {"to": "1761955200000"}, "before the year 2100, got 1761955200000."),
        (NewKey, {"name": "n", "role": "boss"}, "Expected one of admin, member, got 'boss'."),
        (NewKey, {"name": "n", "expires_at": "x"}, "the year 2100, or null, got 'x'."),
        (NewKey, {"name": "n", "limits": {"tokens_per_day": 0}}, "or null, got 0."),
        (NewKey, {"name": "\n"}, "Expected 1 to 100 printable characters, got '\\n'."),
    ],
    ids=lambda one: repr(one)[:40],
)
def test_so_does_that_of_a_query_or_a_key(
    schema: type[Strict], given: dict[str, Any], said: str
) -> None:
    assert said in told(schema(), given).message


@pytest.mark.parametrize(
    "given", [["s3cret"], {"s3cret": 1}, "s3cret \u20ac", "s3cret" * 99, "\0s3cret"]
)
@pytest.mark.parametrize("schema", [NewProvider, ProviderPatch, NewCheck])
def test_a_key_is_never_repeated(schema: type[Strict], given: Any) -> None:
    message = told(schema(), {"name": "n", "endpoint": "h:1", "api_key": given}).message
    assert message.startswith("api_key: Expected ")
    assert "s3cret" not in message
    number = told(schema(), {"name": "n", "endpoint": "h:1", "api_key": 31337}).message
    assert number == "api_key: Expected a string, got something else."


def test_an_unknown_field_is_told_with_the_one_that_it_is_like() -> None:
    known = {"name": "n", "endpoint": "h:1"}
    error = told(NewProvider(), {**known, "apikey": "s3cret"})
    assert error.message == "Expected only documented fields, got apikey. Nearest: api_key."
    error = told(NewProvider(), {**known, "options": {"verify": False, "conect_timeout": 1}})
    assert "got options.conect_timeout. Nearest: connect_timeout." in error.message
    assert told(NewProvider(), {**known, "bar": 1}).message.endswith("got bar.")
    assert told(UsageQuery(), {"form": "1"}, "query").message.endswith("Nearest: from.")


def test_a_path_and_a_value_of_any_length_are_cut() -> None:
    error = told(NewProvider(), {"name": "n", "endpoint": "h:1", "x" * 9_999: 1})
    assert error.param is not None
    assert len(error.param) == LONGEST_PATH
    error = told(ProviderQuery(), {"status": "y" * 9_999}, "query")
    assert error.message.count("y") < MOST_SHOWN


def test_an_argument_of_the_query_is_named_without_its_place() -> None:
    error = told(ProviderQuery(), {"tag": ["ok", "a b"]}, "query")
    assert error.param == "tag"

"""What a request is told when several of its fields are at fault."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from services.registry.blueprints import LONGEST_PATH, MOST_TOLD, Parser
from services.registry.providers.schemas import NewProvider, ProviderQuery
from services.registry.schemas import MOST_SHOWN, Strict
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
        " Also options.models[0]: Expected 1 to 256 printable characters."
        " Also options.models[2]: Expected 1 to 256 printable characters."
        " Also expected only documented fields, got ape."
        " Also expected only documented fields, got zoo."
    )


def test_unknown_fields_alone_are_told_by_name_in_their_order() -> None:
    given = {"name": "n", "endpoint": "h:1", **{f"x{n}": 1 for n in range(9)}}
    error = told(NewProvider(), given)
    assert (type(error), error.param) == (UnknownField, "x0")
    assert error.message.count("got x") == 1 + MOST_TOLD
    assert error.message.endswith(f"Further faults: {8 - MOST_TOLD}.")


def test_a_path_and_a_value_of_any_length_are_cut() -> None:
    error = told(NewProvider(), {"name": "n", "endpoint": "h:1", "x" * 9_999: 1})
    assert error.param is not None
    assert len(error.param) == LONGEST_PATH
    error = told(ProviderQuery(), {"status": "y" * 9_999}, "query")
    assert error.message.count("y") < MOST_SHOWN


def test_an_argument_of_the_query_is_named_without_its_place() -> None:
    error = told(ProviderQuery(), {"tag": ["ok", "a b"]}, "query")
    assert error.param == "tag"

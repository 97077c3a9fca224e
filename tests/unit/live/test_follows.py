"""What a reader tells the workers, as bytes that both sides agree on."""

from __future__ import annotations

import json

import pytest

from shared.live import Follows, follows_of


def test_what_is_said_is_understood() -> None:
    said = Follows("wrk_1", begin={"01J": -1}, still={"01K": 7}, stop=("01L",))
    assert follows_of(said.message()) == said


def test_a_message_has_the_form_that_everybody_uses() -> None:
    said = Follows("wrk_1", begin={"01J": -1}, stop=("01L",))
    assert json.loads(said.message()) == {
        "reader": "wrk_1",
        "begin": {"01J": -1},
        "stop": ["01L"],
    }


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"reader":1}',
        b'{"reader":"r","begin":{"01J":-2}}',
        b'{"reader":"r","begin":{"01J":"0"}}',
        b'{"reader":"r","still":[]}',
        b"\xff",
    ],
)
def test_what_no_reader_of_ours_wrote_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        follows_of(message)

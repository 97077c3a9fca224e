"""`Prefer`: what RFC 7240 lets a client write, and what is as if it had not been written."""

from __future__ import annotations

import pytest
from flask import Flask, request

from services.registry import preferences
from services.registry.preferences import MOST_CHARACTERS, Preferences, parse, read


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", {}),
        ("respond-async", {"respond-async": ""}),
        ("respond-async, wait=10", {"respond-async": "", "wait": "10"}),
        ("Wait = 10 ,\tHANDLING=Lenient", {"wait": "10", "handling": "Lenient"}),
        # No value and an empty one are the same (section 2).
        ('foo, bar="", baz=', {"foo": "", "bar": "", "baz": ""}),
        # Of a preference that comes twice the first counts (section 2).
        ("wait=1, wait=2, WAIT=3", {"wait": "1"}),
        ('foo="a, wait=9; b", wait=7', {"foo": "a, wait=9; b", "wait": "7"}),
        (r'foo="say \"hi\" \\"', {"foo": r'say "hi" \ '.strip()}),
        # Parameters (section 2) belong to their preference, whatever they are called.
        ('foo; wait=9; bar="x, y" ;; , wait=7;a', {"foo": "", "wait": "7"}),
        (",, wait=1 ,,", {"wait": "1"}),
        # Malformed: only that preference is as if it had not come.
        ("wait 5, respond-async", {"respond-async": ""}),
        ("wait=5 6, wait=7", {"wait": "7"}),
        ("=5, a b=c, (wait)=5, wait=4", {"wait": "4"}),
        ("wait=1\x00, foo", {"foo": ""}),
        ('foo="\x01", bar', {"bar": ""}),
        ("w\u00e4it=5, wait=\u00bd, bar", {"bar": ""}),
        # An open quote takes all that follows.
        ('foo, bar="wait=5, respond-async', {"foo": ""}),
        ('foo, bar="x\\', {"foo": ""}),
    ],
)
def test_well_formed_preferences_are_found_and_others_ignored(
    header: str, expected: dict[str, str]
) -> None:
    assert parse(header) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("wait=0", Preferences(wait=0)),
        ("wait=10", Preferences(wait=10)),
        ('wait="10"', Preferences(wait=10)),
        ("wait=0060", Preferences(wait=60)),
        ("wait=61", Preferences(wait=60)),
        ("wait=" + "9" * 4_000, Preferences(wait=60)),
        ("respond-async, wait=5", Preferences(respond_async=True, wait=5)),
        ("wait, respond-async", Preferences(respond_async=True)),
        ("wait=-1", Preferences()),
        ("wait=1.5", Preferences()),
        ("wait=1e3", Preferences()),
        ("wait=\u0661", Preferences()),
        ("wait=soon, wait=5", Preferences()),
        ("respond-async=yes", Preferences()),
        ("return=minimal", Preferences()),
        (f"wait=5, {'x' * MOST_CHARACTERS}", Preferences()),
    ],
)
def test_only_whole_seconds_and_the_bare_word_count(header: str, expected: Preferences) -> None:
    assert read(header) == expected


def test_several_headers_are_one() -> None:
    headers = [("Prefer", "respond-async"), ("Prefer", "wait=7"), ("Prefer", "wait=8")]
    with Flask("test").test_request_context("/", headers=headers):
        assert preferences.of(request) == Preferences(respond_async=True, wait=7)
    with Flask("test").test_request_context("/"):
        assert preferences.of(request) == Preferences()


def test_only_what_was_sent_can_have_been_honoured() -> None:
    both = Preferences(respond_async=True, wait=60)
    assert both.applied("wait", "respond-async") == {"Preference-Applied": "respond-async, wait=60"}
    assert both.applied("wait") == {"Preference-Applied": "wait=60"}
    assert Preferences(wait=0).applied("respond-async") == {}
    assert Preferences().applied("wait", "respond-async") == {}

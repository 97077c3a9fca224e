"""Retry-After in seconds and as a date, sensible and absurd."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.upstream.retry_after import LEAST, MOST, retry_after

NOW = 1_795_352_568.0


def date(offset: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + offset, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("2.5", 2.5),
        ("0", LEAST),
        ("-30", LEAST),
        ("901", MOST),
        ("99999999999999999999", MOST),
        ("1e400", MOST),
        ("inf", MOST),
        (date(42), 42.0),
        (date(42).replace("GMT", "-0000"), 42.0),
        (date(-3600), LEAST),
        (date(86400), MOST),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("Sun, 99 Nov 2026 13:05:15 GMT", None),
        ("Sun, 22 Nov 99999 13:05:15 GMT", None),
    ],
)
def test_every_form_is_read_and_clipped(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}, now=NOW) == seconds


def test_no_header_names_no_time() -> None:
    assert retry_after({}, now=NOW) is None


@given(st.text(max_size=40), st.floats(0, 4e9))
def test_any_text_gives_nothing_or_a_sensible_wait(text: str, now: float) -> None:
    seconds = retry_after({"retry-after": text}, now=now)
    assert seconds is None or LEAST <= seconds <= MOST

"""How often logins may fail from one address."""

from __future__ import annotations

import pytest

from services.registry.console.attempts import (
    MINUTE,
    MOST_A_MINUTE,
    MOST_ADDRESSES,
    MOST_OF_A_KEY,
    Attempts,
)
from shared.errors import RateLimited


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def fail(attempts: Attempts, address: str | None, times: int = MOST_A_MINUTE) -> None:
    for _ in range(times):
        attempts.failed(address)


def spent(attempts: Attempts, address: str | None) -> bool:
    try:
        attempts.failed(address)
    except RateLimited:
        return True
    return False


def test_after_ten_failures_an_address_waits_until_the_first_is_a_minute_old() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    fail(attempts, "192.0.2.1", MOST_A_MINUTE - 1)
    clock.now = 20.0
    assert not spent(attempts, "192.0.2.1")
    with pytest.raises(RateLimited) as refused:
        attempts.failed("192.0.2.1")
    assert refused.value.retry_after == MINUTE - 20
    clock.now = MINUTE
    assert not spent(attempts, "192.0.2.1")


@pytest.mark.parametrize(
    ("failed", "asked", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),  # a subscriber has a network of these
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        (None, None, True),
        (None, "192.0.2.1", False),
    ],
)
def test_who_failed_is_told_by_the_address(
    failed: str | None, asked: str | None, same: bool
) -> None:
    attempts = Attempts(Clock())
    fail(attempts, failed)
    assert spent(attempts, asked) is same


def test_what_is_remembered_is_bounded() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    fail(attempts, "192.0.2.1")
    clock.now = MINUTE
    fail(attempts, "192.0.2.9")
    for number in range(MOST_ADDRESSES):
        attempts.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(attempts._last) <= MOST_ADDRESSES


def test_a_key_that_logs_in_again_and_again_waits_and_no_other_does() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(MOST_OF_A_KEY):
        attempts.succeeded("key_1")
    with pytest.raises(RateLimited, match="30 logins a minute from one key"):
        attempts.succeeded("key_1")
    attempts.succeeded("key_2")
    clock.now = MINUTE
    attempts.succeeded("key_1")

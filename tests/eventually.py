"""Waiting for what other processes do: ask again until it holds, up to a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(ask: Callable[[], T | None], timeout: float, *, every: float = 0.02) -> T:
    """The first answer of `ask` that is true; TimeoutError with the last one after `timeout` s."""
    deadline = time.monotonic() + timeout
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            what = getattr(ask, "__name__", "the condition")
            raise TimeoutError(f"{what} did not hold within {timeout:g} s; last: {answer!r}")
        time.sleep(every)

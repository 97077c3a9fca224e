"""What a worker counts as under way: a stop waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from services.registry.server import _counted


def call(application: Any, serving: set[object]) -> Any:
    start: Callable[..., Any] = lambda *_: None  # noqa: E731
    return _counted(application, serving)({}, start)


def test_a_request_is_under_way_until_its_whole_answer_has_gone_out() -> None:
    def stream(*_: Any) -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    serving: set[object] = set()
    first, second = call(stream, serving), call(stream, serving)
    assert list(first) == [b"a", b"b"]
    assert len(serving) == 2
    first.close()
    assert len(serving) == 1
    assert next(iter(second)) == b"a"
    second.close()  # its client hung up in the middle
    assert serving == set()


def test_a_request_that_fails_is_not_under_way() -> None:
    def fail(*_: Any) -> Iterable[bytes]:
        raise RuntimeError

    serving: set[object] = set()
    with pytest.raises(RuntimeError):
        call(fail, serving)
    assert serving == set()

"""How long a statement waits for PostgreSQL to say anything.

A server that is stopped, or a proxy before it that hangs, keeps its connections alive: the kernel
acknowledges whatever is sent, so that neither keepalives nor `tcp_user_timeout` notice, and the
statement would wait for ever.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import psycopg
import sqlalchemy as sa
from sqlalchemy import event


def bound_answers(engine: sa.Engine, seconds: float) -> None:
    """Let connections of `engine` that took longer for a statement end in OperationalError."""

    class Bound(BoundConnection):
        answer_seconds = seconds

    def connect(_dialect: object, _record: object, arguments: Any, named: Any) -> Any:
        return Bound.connect(*arguments, **named)

    event.listen(engine, "do_connect", connect)


class BoundConnection(psycopg.Connection[Any]):
    """One whose server is given up when it says nothing for `answer_seconds`."""

    answer_seconds: ClassVar[float]
    silent_at: ClassVar[float] = float("-inf")  # monotonic: when one of an engine was given up

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._made_at = time.monotonic()

    @property
    def is_doubtful(self) -> bool:
        """Whether its server was given up since it was made: it need not be waited for again."""
        return self._made_at <= self.silent_at

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As psycopg's own, for `answer_seconds` at most; raises OperationalError."""
        limit = self.answer_seconds if timeout is None else timeout
        began = time.monotonic()
        try:
            return super().wait(gen, interval, timeout=limit)
        except psycopg.OperationalError as fault:
            if timeout is not None or time.monotonic() - began < limit:
                raise
            # The answer may still come, and would be taken for that of the next statement.
            self.close()
            type(self).silent_at = time.monotonic()
            raise psycopg.OperationalError(
                f"the server said nothing for {limit:g} s; the connection is closed"
            ) from fault

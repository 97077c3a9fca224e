"""How long a statement waits for PostgreSQL to say anything.

A server that is stopped, or a proxy before it that hangs, keeps its connections alive: the kernel
acknowledges whatever is sent, so that neither keepalives nor `tcp_user_timeout` notice, and the
statement would wait for ever.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import event


def bound_answers(engine: sa.Engine, seconds: float) -> None:
    """Let connections of `engine` that took longer for a statement end in OperationalError."""

    class Bound(_BoundConnection):
        answer_seconds = seconds

    def connect(_dialect: object, _record: object, arguments: Any, named: Any) -> Any:
        return Bound.connect(*arguments, **named)

    event.listen(engine, "do_connect", connect)


class _BoundConnection(psycopg.Connection[Any]):
    answer_seconds: float

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        limit = self.answer_seconds if timeout is None else timeout
        began = time.monotonic()
        try:
            return super().wait(gen, interval, timeout=limit)
        except psycopg.OperationalError as fault:
            if timeout is not None or time.monotonic() - began < limit:
                raise
            # The answer may still come, and would be taken for that of the next statement.
            self.close()
            raise psycopg.OperationalError(
                f"the server said nothing for {limit:g} s; the connection is closed"
            ) from fault

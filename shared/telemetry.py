"""Logging: one line an event, for people or as JSON, with the ids of request, job and attempt.

`request_id`, `job_id` and `attempt` are context variables, so that every line written while serving
them carries them without being told. `Secret` is the type that a key travels in: whatever prints it
prints stars.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from shared.config import READY_FD

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request_id", default=None)
job_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("job_id", default=None)
# The number of the job's claim: with the job's id the key of its row in `job_attempt`.
attempt: contextvars.ContextVar[int | None] = contextvars.ContextVar("attempt", default=None)

# What libraries tell of their normal work; ours says in its own words when a process is ready.
CHATTY: Final = (
    *("httpx", "httpcore", "alembic", "gunicorn.error", "celery.app.trace", "celery.apps.worker"),
    *("celery.worker.strategy", "celery.worker.consumer.connection", "sqlalchemy.pool"),
    "services.registry.database._OnePerThread",  # SQLAlchemy names a pool's logger by its class
)
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "data"}
_PLAIN: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@%+,*()[]"
)


class Secret:
    """A text that shows itself only when asked by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; call this only where it is sent or sealed."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is never pickled")


class LineFormatter(logging.Formatter):
    """`2026-11-22T13:06:22.123Z INFO chat-worker a.logger: text key=value …`: always one line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; a traceback follows as one quoted `exception=` value."""
        fields = _fields(self, record)
        pairs = "".join(f" {key}={_quoted(value)}" for key, value in fields.items())
        message = record.getMessage().replace("\n", "\\n")
        head = f"{_stamp(record)} {record.levelname} {self.service}"
        return f"{head} {record.name}: {message}{pairs}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `service`, `logger`, `message`, and all the rest.

    A field of a record that has the name of one of those loses.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; values that JSON does not have become texts."""
        head: dict[str, object] = {
            "time": _stamp(record),
            "level": record.levelname,
            "service": self.service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(
            {**head, **_fields(self, record), **head}, ensure_ascii=False, default=str
        )


def _stamp(record: logging.LogRecord) -> str:
    """RFC 3339, in UTC."""
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@lru_cache(maxsize=2)
def _second(unix: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix))


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, object]:
    """What a record was given besides its message, and the ids of what is being served."""
    fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    for variable in (request_id, job_id, attempt):
        if (value := variable.get()) is not None:
            fields.setdefault(variable.name, value)
    if record.exc_info:
        fields["exception"] = formatter.formatException(record.exc_info)
    return fields


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and _PLAIN.issuperset(text) else json.dumps(text, ensure_ascii=False)


def configure_logging(service: str, level: str = "INFO", form: str = "line") -> None:
    """Send all logging of this process to stderr, one line a record: `line` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service) if form == "json" else LineFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # What our lines do not say is not looked for: the frame, threads and processes are half of what
    # a record costs (logging HOWTO, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def announce_ready(environ: Mapping[str, str]) -> None:
    """Tell the runner, over the descriptor that it passed, that this process is ready to work.

    The protocol is that of s6 (https://skarnet.org/software/s6/notifywhenup.html): one newline.
    """
    if descriptor := environ.get(READY_FD):
        os.write(int(descriptor), b"\n")
        os.close(int(descriptor))

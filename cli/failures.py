"""Why a command ends without success; each failure knows its exit status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cli.exits import Exit

_EXITS: Final = {401: Exit.NOT_ALLOWED, 403: Exit.NOT_ALLOWED, 404: Exit.NOT_FOUND}


class Failure(Exception):
    """The message says what was expected, what came, and what to do."""

    exit: Exit = Exit.FAILED


class NoKey(Failure):
    """No key was found to call the server with."""

    exit = Exit.NOT_ALLOWED


class Unreachable(Failure):
    """No answer came, or none that Dragoman gives."""

    exit = Exit.UNREACHABLE


class Declined(Failure):
    """Somebody was asked, and said no."""


class Stopped(Failure):
    """Somebody ended it from outside."""

    exit = Exit.INTERRUPTED


class JobFailed(Failure):
    """What was asked for was done, and its result is no success."""

    exit = Exit.JOB_FAILED


class Refused(Failure):
    """The server answered with an error document (API.md section 2)."""

    def __init__(
        self,
        status: int,
        error: Mapping[str, Any],
        *,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.message = str(error.get("message") or f"The server answered {status}.")
        self.code = error.get("code")
        self.param = error.get("param")
        self.request_id = request_id
        self.retry_after = retry_after  # seconds
        self.exit = _EXITS.get(status, Exit.FAILED)
        super().__init__(self.message)

    @property
    def particulars(self) -> str:
        """What helps to find the cause: the parameter, the code and the request, on one line."""
        told = (("at", self.param), ("code", self.code), ("request", self.request_id))
        return ", ".join(f"{name} {value}" for name, value in told if value)

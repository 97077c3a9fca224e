"""The root of the tree, and what every coded error carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

T = TypeVar("T")


class DragomanError(Exception):
    """Any error that Dragoman raises on purpose."""


class ConfigurationError(DragomanError):
    """The configuration is unusable; `faults` lists every fault found, one sentence each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Faults:
    """The faults of several checks, collected so that one start tells all of them."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def of(self, check: Callable[[], T]) -> T | None:
        """What `check` returns; None when it raised a ConfigurationError."""
        try:
            return check()
        except ConfigurationError as error:
            self._found += error.faults
            return None

    def raise_any(self) -> None:
        """Raise one ConfigurationError with all that was found, if anything was."""
        if self._found:
            raise ConfigurationError(self._found)


class CodedError(DragomanError):
    """An error with a stable code that callers may match on.

    `param` is the JSON path of the field at fault; `retry_after` is in seconds.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    type: ClassVar[str]

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after

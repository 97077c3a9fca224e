"""The error that ends a command with a sentence for the person who typed it."""

from __future__ import annotations

from shared.errors import DragomanError


class Refusal(DragomanError):
    """The command cannot go on; the message says why and what to do."""

    def __init__(self, message: str, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status

"""How one row looks to its owner: as a chat completion, or as something else of the same id."""

from __future__ import annotations

from typing import Any, Protocol

from services.registry.chat.documents import Seen, completion
from services.registry.chat.frames import ChunkFrames, Frames
from services.registry.chat.naming import COMPLETIONS, Naming
from shared.crypto import Sealer
from shared.store.jobs import Job


class View(Protocol):
    """One way to look at jobs. `opens` says that a stream begins before anything was said."""

    naming: Naming
    opens: bool

    def document(self, seen: Seen) -> dict[str, Any]:
        """The job; `error` beside `completed` where its result does not open."""

    def frames(self, job: Job, *, after: int, numbered: bool) -> Frames:
        """The form of its stream behind number `after`."""


class CompletionView:
    """Jobs as chat completions."""

    naming = COMPLETIONS
    opens = False

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def document(self, seen: Seen) -> dict[str, Any]:
        """The chat completion."""
        return completion(*seen, self._sealer)

    def frames(self, job: Job, *, after: int, numbered: bool) -> Frames:
        """The chunks as they are."""
        del job
        return ChunkFrames(after=after, numbered=numbered)

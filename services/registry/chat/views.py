"""How one row looks to its owner: as a chat completion, or as something else of the same id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from services.registry.chat.documents import Seen, completion
from services.registry.chat.frames import ChunkFrames, Frames
from shared import ids
from shared.crypto import Sealer
from shared.errors import NotFound
from shared.store.jobs import Job


@dataclass(frozen=True, slots=True)
class Naming:
    """What jobs are called and where they are found: the ULID of an id is the row's."""

    prefix: str
    noun: str
    route: str

    def named(self, bare: str) -> str:
        """The id of the job with this bare id."""
        return self.prefix + bare

    def location(self, bare: str) -> str:
        """Where the job with this bare id is found."""
        return f"{self.route}/{self.prefix}{bare}"

    def bare(self, job_id: str) -> str:
        """The ULID of a job's id; raises NotFound."""
        bare = ids.bare(self.prefix, job_id)
        if bare is None:
            raise self.unknown(job_id)
        return bare

    def unknown(self, job_id: str) -> NotFound:
        """What is answered for foreign and for unknown ids alike."""
        return NotFound(f"Expected the id of a {self.noun} of yours, got {job_id[:100]!r}.")


COMPLETIONS = Naming(ids.COMPLETION, "chat completion", "/v1/chat/completions")


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

"""What jobs are called: one ULID, and an id of another prefix on each route that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared import ids
from shared.errors import NotFound


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
        """The ULID of a job's id; raises NotFound, which says what to do with another route's."""
        bare = ids.bare(self.prefix, job_id)
        if bare is None:
            raise self._elsewhere(job_id) or self.unknown(job_id)
        return bare

    def unknown(self, job_id: str) -> NotFound:
        """What is answered for foreign and for unknown ids alike."""
        return NotFound(f"Expected the id of a {self.noun} of yours, got {job_id[:100]!r}.")

    def _elsewhere(self, job_id: str) -> NotFound | None:
        """What is answered where the id is one of another route's, whether there is such a job."""
        for other in (COMPLETIONS, RESPONSES):
            if (bare := ids.bare(other.prefix, job_id)) is not None:
                return NotFound(
                    f"Expected the id of a {self.noun}, got {job_id!r}, which is that of a "
                    f"{other.noun}. Call {other.location(bare)}, or name it {self.named(bare)!r} "
                    "here."
                )
        return None


COMPLETIONS: Final = Naming(ids.COMPLETION, "chat completion", "/v1/chat/completions")
RESPONSES: Final = Naming(ids.RESPONSE, "response", "/v1/responses")

"""What owners do with their jobs: look, wait, note, cancel, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa

from services.registry import trail
from services.registry.chat.documents import SETTLED, Seen, circumstances
from services.registry.chat.naming import COMPLETIONS, Naming
from services.registry.parts import Parts
from shared import ids
from shared.errors import InvalidValue
from shared.store import audit, jobs
from shared.store.access import Caller
from shared.store.audit import Action, Actor
from shared.store.jobs import MOST_LOOKED_AT, Attempt, Job, Page, Wanted


class Jobs:
    """Use cases of jobs over the parts of one process. All raise NotFound and StoreUnavailable.

    A job is named by its id as callers know it; another owner's is not found, except by admins.
    What they do to it is in the audit trail; what owners do with their own is not.
    """

    def __init__(self, parts: Parts, naming: Naming = COMPLETIONS) -> None:
        self._parts = parts
        self._naming = naming
        self._transactions = parts.transactions

    def get(self, job_id: str, caller: Caller) -> Seen:
        """The job as it is now."""
        bare, now = self._naming.bare(job_id), self._parts.now()

        def find(tx: sa.Connection) -> Seen:
            job = self._mine(tx, bare, caller)
            return job, circumstances(tx, job, now=now)

        return self._transactions.glance(find)

    def wait(
        self,
        job_id: str,
        caller: Caller,
        *,
        seconds: float,
        is_known: Callable[[int], bool] | None,
        foreground: bool = False,
    ) -> Seen:
        """The job when it is terminal, or after `seconds`.

        `is_known` says whether the client holds this version; then any other one ends the wait.
        A stop of this process ends it as well, but not a `foreground` one.
        """
        bare = self._naming.bare(job_id)
        with self._parts.waiting.held(bare, foreground=foreground) as wait:
            seen = self.get(job_id, caller)
            job, _ = seen
            if job.state.terminal or (is_known is not None and not is_known(job.version)):
                return seen
            wait.known = None if is_known is None else job.version
            wait.begun = True
            wait.ended.wait(seconds)
        return self.get(job_id, caller)

    def page(
        self, wanted: Wanted, *, limit: int, after: str | None, newest_first: bool
    ) -> tuple[Sequence[Seen], bool]:
        """Stored jobs, and whether more may follow them; none where the filters fit few."""
        seen, found = self.look(wanted, limit=limit, after=after, newest_first=newest_first)
        return seen, bool(seen) and found.has_more

    def listed(
        self, wanted: Wanted, *, limit: int, after: str | None, newest_first: bool
    ) -> tuple[Sequence[Seen], bool]:
        """Like `page`, for those who go from page to page: OpenAI's packages end at an empty one.

        Raises InvalidValue, which says where to go on, in place of an empty page that is not last.
        """
        seen, found = self.look(wanted, limit=limit, after=after, newest_first=newest_first)
        if not seen and found.stopped_at is not None:
            raise InvalidValue(
                f"Expected filters that fit one of the next {MOST_LOOKED_AT:,} jobs, got ones that "
                f"fit none. Go on behind them with `after={self._naming.named(found.stopped_at)}`.",
                param="after",
            )
        return seen, found.has_more

    def look(
        self, wanted: Wanted, *, limit: int, after: str | None, newest_first: bool
    ) -> tuple[Sequence[Seen], Page]:
        """Stored jobs, and how far was looked."""
        now = self._parts.now()

        def find(tx: sa.Connection) -> tuple[Sequence[Seen], Page]:
            found = jobs.page(tx, wanted, limit=limit, after=after, newest_first=newest_first)
            return [(job, circumstances(tx, job, now=now)) for job in found.jobs], found

        return self._transactions.read(find)

    def cancel(self, job_id: str, caller: Caller) -> Seen:
        """The job, terminal now; unchanged when it was before. Raises InvalidValue."""
        bare, now, retention = self._naming.bare(job_id), self._parts.now(), self._parts.retention
        actor = trail.actor(caller)

        def cancel(tx: sa.Connection) -> tuple[bool, Seen]:
            job = self._mine(tx, bare, caller)
            if not job.background:
                raise InvalidValue(
                    "Expected a background job, got a foreground one. Close its connection to "
                    "end it.",
                    param="id",
                )
            ended = jobs.cancel(tx, bare, now=now, retention=retention)
            if ended:
                _tell(tx, actor, Action.JOB_CANCEL, job, at=now)
            return ended, (self._mine(tx, bare, caller), SETTLED)

        ended, found = self._transactions.write(cancel)
        if ended:
            self._parts.waiting.tell([bare])
        return found

    def delete(self, job_id: str, caller: Caller) -> None:
        """Forget the job; a live one is cancelled first."""
        bare, now, retention = self._naming.bare(job_id), self._parts.now(), self._parts.retention
        actor = trail.actor(caller)

        def delete(tx: sa.Connection) -> bool:
            job = self._mine(tx, bare, caller)
            ended = jobs.cancel(tx, bare, now=now, retention=retention)
            jobs.delete(tx, bare)
            _tell(tx, actor, Action.JOB_DELETE, job, at=now)
            return ended

        if self._transactions.write(delete):
            self._parts.waiting.tell([bare])

    def annotate(self, job_id: str, caller: Caller, metadata: Mapping[str, str]) -> Seen:
        """The job with other metadata."""
        bare, now, actor = self._naming.bare(job_id), self._parts.now(), trail.actor(caller)

        def annotate(tx: sa.Connection) -> Seen:
            _tell(tx, actor, Action.JOB_UPDATE, self._mine(tx, bare, caller), at=now)
            jobs.set_metadata(tx, bare, metadata)
            job = self._mine(tx, bare, caller)
            return job, circumstances(tx, job, now=now)

        return self._transactions.write(annotate)

    def request(self, job_id: str, caller: Caller) -> bytes:
        """The body that the provider gets or got, as JSON; raises SealBroken."""
        bare = self._naming.bare(job_id)

        def find(tx: sa.Connection) -> str:
            self._mine(tx, bare, caller)
            sealed = jobs.request_of(tx, bare)
            assert sealed is not None  # noqa: S101 - read in this transaction
            return sealed

        sealed = self._transactions.read(find)
        return self._parts.sealer.open(sealed, table=jobs.TABLE, row=bare, column=jobs.REQUEST)

    def attempts(self, job_id: str, caller: Caller) -> tuple[Job, Sequence[Attempt]]:
        """The job and the evidence of its attempts, oldest first."""
        bare = self._naming.bare(job_id)

        def find(tx: sa.Connection) -> tuple[Job, Sequence[Attempt]]:
            return self._mine(tx, bare, caller), jobs.attempts(tx, bare)

        return self._transactions.read(find)

    def _mine(self, tx: sa.Connection, bare: str, caller: Caller) -> Job:
        job = jobs.get(tx, bare, owner=None if caller.is_admin else caller.owner)
        if job is None:
            raise self._naming.unknown(self._naming.named(bare))
        return job


def _tell(tx: sa.Connection, actor: Actor, action: Action, job: Job, *, at: float) -> None:
    """Add to the trail what is done to the job, as it was before, of another owner."""
    if actor.owner != job.owner:
        told = {"owner": job.owner, "state": job.state.value}
        audit.append(tx, actor, action, at=at, subject=ids.COMPLETION + job.id, detail=told)

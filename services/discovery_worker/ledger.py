"""The database thread: one, so that the loop never waits for a commit or a lock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from shared.domain import DiscoveryStatus
from shared.store import checks, discovery, events
from shared.store.checks import CheckClaim
from shared.store.database import Database
from shared.store.discovery import Candidate, Claim, Finding, Standing

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a chat proved; `revision` (None: unknown) is the provider's that it called."""

    key_works: bool
    revision: int | None


def note_change(provider_id: str, before: DiscoveryStatus, now: DiscoveryStatus) -> None:
    """One line for each change of a status; nothing of the provider but its id."""
    logger.info(
        "a provider's status changed",
        extra={"provider": provider_id, "was": before.value, "status": now.value},
    )


class Ledger:
    """The store as seen from the loop. Every method raises `database.UNAVAILABLE`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def look(self, *, now: float, asked: Collection[str]) -> Sequence[Candidate]:
        """Who may be checked now; disabled and deleted providers are settled on the way."""

        def work() -> Sequence[Candidate]:
            with self._database.read() as tx:
                found = discovery.candidates(tx, now=now, asked=asked)
                unsettled = discovery.unsettled(tx)
            if unsettled:
                with self._database.write() as tx:
                    disabled = discovery.settle(tx, now=now)
                for provider_id, before in disabled.items():
                    note_change(provider_id, before, DiscoveryStatus.DISABLED)
            return found

        return await self._run(work)

    async def claim(
        self, provider_ids: Collection[str], *, now: float, asked: Collection[str]
    ) -> Sequence[Claim]:
        """Claim those that are still free."""

        def work() -> Sequence[Claim]:
            with self._database.write() as tx:
                return discovery.claim(tx, provider_ids, now=now, asked=asked)

        return await self._run(work)

    async def choose(
        self, claim: Claim, manual: Sequence[str], allows: Callable[[str], bool], *, now: float
    ) -> None:
        """Show what changed options say of the last good list."""

        def work() -> None:
            with self._database.write() as tx:
                discovery.choose(tx, claim, manual=manual, allows=allows, now=now)

        await self._run(work)

    async def record(self, claim: Claim, finding: Finding, *, now: float) -> bool:
        """Write a finding; False when it no longer counted."""

        def work() -> bool:
            with self._database.write() as tx:
                return discovery.record(tx, claim, finding, now=now)

        return await self._run(work)

    async def note_chats(
        self, observed: Mapping[str, Observation], *, now: float
    ) -> Mapping[str, Standing]:
        """Store what chats proved; returns where those providers stand."""

        def work() -> Mapping[str, Standing]:
            standings = {}
            with self._database.write() as tx:
                # In one order, so that two workers cannot wait for each other's rows.
                for provider_id, one in sorted(observed.items()):
                    standing = discovery.note_chat(
                        tx, provider_id, revision=one.revision, key_works=one.key_works, now=now
                    )
                    if standing is not None:
                        standings[provider_id] = standing
            return standings

        return await self._run(work)

    async def release(self, claims: Collection[Claim]) -> None:
        """Give claims back."""

        def work() -> None:
            with self._database.write() as tx:
                discovery.release(tx, claims)

        await self._run(work)

    async def claim_checks(self, *, now: float, limit: int) -> Sequence[CheckClaim]:
        """Claim checks of unsaved providers; old ones, and old events, are forgotten on the way."""

        def work() -> Sequence[CheckClaim]:
            with self._database.read() as tx:
                waiting = limit > 0 and checks.any_waiting(tx, now=now)
                expired = checks.any_expired(tx, now=now)
                outlived = events.any_expired(tx, now=now)
            if not (waiting or expired or outlived):
                return []
            with self._database.write() as tx:
                if outlived:
                    events.purge(tx, now=now)
                if expired:
                    checks.purge(tx, now=now)
                return checks.claim(tx, now=now, limit=limit)

        return await self._run(work)

    async def fill_check(self, claim: CheckClaim, *, result_sealed: str, done: bool) -> bool:
        """Write the steps so far; False when the claim was taken over."""

        def work() -> bool:
            with self._database.write() as tx:
                return checks.fill(tx, claim, result_sealed=result_sealed, done=done)

        return await self._run(work)

    async def release_checks(self, claims: Collection[CheckClaim]) -> None:
        """Give checks back."""

        def work() -> None:
            with self._database.write() as tx:
                for claim in claims:
                    checks.release(tx, claim)

        await self._run(work)

    def last_seq(self) -> int:
        """The number of the newest event; called from the follower's thread."""

        def work() -> int:
            with self._database.read() as tx:
                return events.last_seq(tx)

        return self._executor.submit(work).result()

    def close(self) -> None:
        """End the thread; work not yet begun is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)

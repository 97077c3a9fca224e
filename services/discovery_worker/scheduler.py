"""Whose turn it is. The database says who is due; this keeps the order and the bounds.

It looks every second by itself, so that neither Redis nor beat is needed for a check to happen;
whatever else asks for a look only shortens the wait. Everything here runs on one loop.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from services.discovery_worker.checker import Checker
from services.discovery_worker.figures import Figures
from services.discovery_worker.ledger import Ledger, Observation, note_change
from services.discovery_worker.verdict import HEALTHY, Moment, chosen, judge
from shared.crypto import Sealer
from shared.domain import DiscoveryStatus
from shared.store.database import UNAVAILABLE, reason_of
from shared.store.discovery import ERROR, TABLE, Candidate, Claim, Standing

SLOTS: Final = 64  # checks at once
RESERVED: Final = 8  # of them for what is urgent: black holes that are due hold no new provider up
LOOK_SECONDS: Final = 1.0  # ± 20 %, so that workers do not look in step
REST_SECONDS: Final = 0.1  # between two looks, however often they are asked for
OBSERVED_AGAIN: Final = 30.0  # seconds from a check until a refused chat may cause another

logger = logging.getLogger(__name__)


class Scheduler:
    """Runs the checks; `clock` is in Unix seconds, `dice` in [0, 1)."""

    def __init__(
        self,
        ledger: Ledger,
        checker: Checker,
        sealer: Sealer,
        *,
        interval: float,
        figures: Figures,
        clock: Callable[[], float] = time.time,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.looked = asyncio.Event()  # set once the database was looked at, or found away
        self._ledger = ledger
        self._checker = checker
        self._sealer = sealer
        self._interval = interval
        self._figures = figures
        self._clock = clock
        self._dice = dice
        self._wake = asyncio.Event()
        self._look_at = self._may_look_at = 0.0  # by the loop's clock
        self._asked: set[str] = set()
        self._observed: dict[str, Observation] = {}
        self._waiting: Sequence[Candidate] = ()
        self._busy: set[tuple[str, int]] = set()  # host and port
        self._running: dict[asyncio.Task[None], Claim] = {}
        self._unwritten: list[Claim] = []  # whose finding the database could not take
        self._away = False

    def ask(self, provider_id: str) -> None:
        """Check this provider now, whenever its time would be."""
        self._asked.add(provider_id)
        self.look_soon()

    def look_soon(self) -> None:
        """Look at the database now: something may have changed."""
        self._look_at = self._may_look_at
        self._wake.set()

    def observe(self, provider_id: str, observation: Observation) -> None:
        """Take note of what a chat proved; of several about one provider the last counts."""
        self._observed[provider_id] = observation
        self.look_soon()

    async def run(self) -> None:
        """Work until cancelled; then checks under way end, and their claims are given back."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._wake.clear()
                try:
                    if loop.time() >= self._look_at:
                        wait = LOOK_SECONDS * (0.8 + 0.4 * self._dice())
                        self._look_at = loop.time() + wait
                        self._may_look_at = loop.time() + REST_SECONDS
                        await self._look()
                    await self._begin()
                except UNAVAILABLE as fault:
                    self._note_away(fault)
                self.looked.set()
                await self._rest(self._look_at - loop.time())
        finally:
            await self._abandon()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _look(self) -> None:
        now = self._clock()
        if given_back := tuple(self._unwritten):
            await self._ledger.release(given_back)
            del self._unwritten[: len(given_back)]  # more may have come meanwhile
        if self._observed:
            observed, self._observed = self._observed, {}
            try:
                standings = await self._ledger.note_chats(observed, now=now)
            except UNAVAILABLE:
                self._observed = observed | self._observed
                raise
            self._asked |= {
                id_
                for id_, standing in standings.items()
                if calls_for_check(observed[id_], standing, now)
            }
        asked = frozenset(self._asked)
        self._waiting = await self._ledger.look(now=now, asked=asked)
        self._note_back()
        # Who is being checked right now is asked again after that: it may have begun too early.
        # Who is neither is disabled, gone, or another worker's.
        busy = {claim.provider_id for claim in self._running.values()}
        self._asked -= asked - busy - {found.provider_id for found in self._waiting}

    async def _begin(self) -> None:
        """Claim and start what there is room for."""
        picked = self._pick()
        if not picked:
            return
        ids = {candidate.provider_id for candidate in picked}
        self._waiting = [left for left in self._waiting if left.provider_id not in ids]
        servers = {(candidate.host, candidate.port) for candidate in picked}
        self._busy |= servers
        begun = set()
        try:
            claims = await self._ledger.claim(ids, now=self._clock(), asked=self._asked & ids)
            for claim in claims:
                begun.add((claim.host, claim.port))
                task = asyncio.create_task(self._check(claim), name=claim.provider_id)
                self._running[task] = claim
                self._figures.begun()
                task.add_done_callback(self._done)
            self._asked -= ids
        finally:
            self._busy -= servers - begun

    def _pick(self) -> Sequence[Candidate]:
        """One candidate a server, urgent ones first, as many as there are slots."""
        picked: dict[tuple[str, int], Candidate] = {}
        for urgent, slots in ((True, SLOTS), (False, SLOTS - RESERVED)):
            for candidate in self._waiting:
                server = (candidate.host, candidate.port)
                if len(self._running) + len(picked) >= slots:
                    break
                if candidate.urgent == urgent and server not in self._busy:
                    picked.setdefault(server, candidate)
        return list(picked.values())

    async def _check(self, claim: Claim) -> None:
        manual, allows = chosen(claim.options)
        if claim.is_changed and (manual or claim.checked_at is not None):
            # A silent server would hold them up for the whole check.
            await self._ledger.choose(claim, manual, allows, now=self._clock())
        began = asyncio.get_running_loop().time()
        checked = await self._checker.check(claim)
        seconds = asyncio.get_running_loop().time() - began
        now = self._clock()

        def seal(document: bytes) -> str:
            return self._sealer.seal(document, table=TABLE, row=claim.provider_id, column=ERROR)

        finding = judge(
            claim,
            checked.came,
            Moment(now, self._interval, self._dice()),
            key_proven=checked.key_proven,
            seal=seal,
        )
        self._figures.found(finding.status, seconds=seconds)
        if not await self._ledger.record(claim, finding, now=now):
            self.look_soon()  # it has changed since, and so is due
        elif finding.status is not claim.status:
            note_change(claim.provider_id, claim.status, finding.status)

    def _done(self, task: asyncio.Task[None]) -> None:
        claim = self._running.pop(task)
        self._figures.over()
        self._busy.discard((claim.host, claim.port))
        if claim.provider_id in self._asked:
            self._look_at = self._may_look_at
        self._wake.set()
        fault = None if task.cancelled() else task.exception()
        if isinstance(fault, UNAVAILABLE):
            self._note_away(fault)
            self._unwritten.append(claim)  # the finding is lost: given back, it is due again
        elif fault is not None:
            logger.error(
                "a check failed by a defect of ours; it is tried again when its claim runs out",
                extra={"provider": claim.provider_id},
                exc_info=fault,
            )

    async def _abandon(self) -> None:
        running = dict(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if running:
            await self._ledger.release(list(running.values()))

    def _note_away(self, fault: BaseException) -> None:
        if not self._away and isinstance(fault, Exception):
            self._away = True
            logger.error(
                "the database does not answer; checks wait", extra={"reason": reason_of(fault)}
            )

    def _note_back(self) -> None:
        if self._away:
            self._away = False
            logger.info("the database is back")


def calls_for_check(observation: Observation, standing: Standing, now: float) -> bool:
    """Whether what a chat proved contradicts the last verdict, so that a check should follow.

    Servers that list models without a key stay `ok` whatever chats say: not more than one check in
    30 s for those.
    """
    if standing.status is DiscoveryStatus.DISABLED:
        return False
    if observation.key_works:
        return standing.status not in HEALTHY and standing.status is not DiscoveryStatus.PENDING
    recent = standing.checked_at is not None and now - standing.checked_at < OBSERVED_AGAIN
    return standing.status is not DiscoveryStatus.AUTH_FAILED and not recent

"""The database's side of webhooks: which are due, and how their tries ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from services.chat_worker.letters import Letter, Tried, opened
from services.chat_worker.receivers import Receivers
from shared.crypto import SealBroken, Sealer
from shared.store import deliveries
from shared.store.database import Database

BATCH: Final = 128  # claimed at once

logger = logging.getLogger(__name__)


class Postbox:
    """Claims and settles, in the thread that asks; tries wait here while the database is away."""

    def __init__(
        self,
        *,
        database: Database,
        sealer: Sealer,
        receivers: Receivers,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._receivers = receivers
        self._clock = clock
        self._tried: list[Tried] = []

    def __len__(self) -> int:
        return len(self._tried)

    def put(self, tried: Tried) -> None:
        """Keep how a try ended until it is written; from any thread."""
        self._tried.append(tried)

    def exchange(self, *, claiming: bool) -> Sequence[Letter]:
        """Write how tries ended; returns what is to be sent now, and has a place each.

        Raises what an unavailable database raises; what was not written then stays.
        """
        self._settle()
        return self._claim() if claiming else ()

    def _settle(self) -> None:
        batch = list(self._tried)
        if not batch:
            return
        with self._database.write() as tx:
            now = self._clock()
            became = [
                deliveries.settle(tx, tried.delivery, status=tried.status, now=now)
                for tried in batch
            ]
        del self._tried[: len(batch)]
        for tried, status in zip(batch, became, strict=True):
            _tell(tried, status)

    def _claim(self) -> Sequence[Letter]:
        if self._receivers.free <= 0:
            return []
        with self._database.read() as tx:
            if not deliveries.any_due(tx, now=self._clock()):
                return []
        with self._database.write() as tx:
            now = self._clock()
            letters = self._opened(deliveries.claim(tx, now=now, most=BATCH))
            begin, wait = self._receivers.choose((each, each.receiver) for each in letters)
            deliveries.put_off(tx, {letter.delivery: now + pause for letter, pause in wait})
        return begin

    def _opened(self, claimed: Sequence[deliveries.Delivery]) -> Sequence[Letter]:
        letters = []
        for delivery in claimed:
            try:
                letters.append(opened(delivery, self._sealer))
            except SealBroken as broken:  # another worker, or a later keyring, may open it
                self.put(Tried(delivery, None, str(broken)))
        return letters


def _tell(tried: Tried, became: str | None) -> None:
    about = {
        "job": tried.delivery.job_id,
        "attempts": tried.delivery.attempts + 1,
        "reason": tried.why,
    }
    if became == deliveries.FAILED:
        logger.warning("a webhook is given up", extra=about)
    elif became == deliveries.PENDING:
        logger.info("a webhook was not taken and is tried again", extra=about)
    else:  # delivered; or not ours any more
        logger.debug("a webhook was sent", extra=about)

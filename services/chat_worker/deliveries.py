"""Webhooks on their way, in a thread with a loop of its own: no chat ever waits for a receiver.

A turn writes how tries ended and claims what is due: every second, and soon after a job or a try
ended. What this process does not bring to an end is claimed again when its claim has run out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from services.chat_worker.figures import Figures
from services.chat_worker.letters import Letter, Tried
from services.chat_worker.postbox import Postbox
from services.chat_worker.receivers import Receivers
from shared import telemetry, webhooks
from shared.crypto import Sealer
from shared.errors import UpstreamFailure
from shared.store.database import UNAVAILABLE, Database, reason_of
from shared.tracing import Tracing
from shared.upstream import Bounds, ConnectionLost, UpstreamClient
from shared.upstream.policy import OutboundPolicy

TRY_BOUNDS: Final = Bounds(connect=15, first_byte=15, idle=15, total=15)
LOOK_SECONDS: Final = 1.0  # ± 20 %, so that workers do not look in step
LEAST_PAUSE: Final = 0.1  # seconds between two turns, however much ends
REST_AFTER_ERROR: Final = 0.5

logger = logging.getLogger(__name__)


class Deliveries:
    """Sends what is due, some dozens at once."""

    def __init__(
        self,
        *,
        database: Database,
        sealer: Sealer,
        policy: OutboundPolicy,
        figures: Figures,
        tracing: Tracing | None = None,
        clock: Callable[[], float] = time.time,
        bounds: Bounds = TRY_BOUNDS,
    ) -> None:
        self.turns = 0
        self._policy = policy
        self._tracing = tracing
        self._clock = clock
        self._bounds = bounds
        self._figures = figures
        self._receivers = Receivers()
        self._postbox = Postbox(
            database=database, sealer=sealer, receivers=self._receivers, clock=clock
        )
        self._claiming = True
        self._stopping = False
        self._rung = False
        self._tries: set[asyncio.Task[None]] = set()  # used by the loop only
        self._wake = asyncio.Event()  # used by the loop only
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ring(self) -> None:
        """Jobs ended: look soon."""
        if not self._rung:
            self._rung = True
            self._post(self._wake.set)

    def stop_claiming(self) -> None:
        """Begin nothing more; what is under way goes on."""
        self._claiming = False

    def stop(self, seconds: float) -> None:
        """Let what is under way end and be written within `seconds`, then end the thread."""
        self._claiming, self._stopping = False, True
        self._post(self._wake.set)
        self._thread.join(timeout=seconds)
        if self._thread.is_alive():
            logger.warning("webhooks are cut off; they are sent again once their claims ran out")
            assert self._main is not None  # noqa: S101 - the thread runs
            self._post(self._main.cancel)
            self._thread.join(timeout=5)

    def _post(self, callback: Callable[[], object]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(callback)

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        client = UpstreamClient(self._policy, tracing=self._tracing)
        try:
            while self._tries or self._postbox or not self._stopping:
                await self._rest(await self._turn(client))
                self.turns += 1
        finally:
            for each in self._tries:
                each.cancel()
            await asyncio.gather(*self._tries, return_exceptions=True)
            await client.aclose()

    async def _turn(self, client: UpstreamClient) -> float:
        """One round; returns how long to rest at least, in seconds."""
        letters: Sequence[Letter] = ()
        rest = REST_AFTER_ERROR
        try:
            letters = await asyncio.to_thread(self._postbox.exchange, claiming=self._claiming)
            rest = LEAST_PAUSE
        except UNAVAILABLE as fault:  # the keeper tells of an outage
            logger.debug("webhooks wait for the database", extra={"reason": reason_of(fault)})
        except Exception:
            logger.exception("a turn of the webhooks failed")
        for letter in letters:
            self._receivers.enter(letter.receiver)
            task = asyncio.create_task(self._try(client, letter), name=letter.delivery.id)
            self._tries.add(task)
            task.add_done_callback(self._tries.discard)
        if self._postbox or (self._stopping and not self._tries):
            self._wake.set()
        return rest

    async def _rest(self, least: float) -> None:
        await asyncio.sleep(least)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS * random.uniform(0.8, 1.2)):  # noqa: S311
                await self._wake.wait()
        self._rung = False
        self._wake.clear()

    async def _try(self, client: UpstreamClient, letter: Letter) -> None:
        telemetry.job_id.set(letter.delivery.job_id)
        began = time.monotonic()
        try:
            tried = await self._sent(client, letter)
            self._postbox.put(tried)
            self._figures.webhook_tried(tried.status)
        finally:
            self._receivers.leave(letter.receiver, took=time.monotonic() - began)
            self._wake.set()

    async def _sent(self, client: UpstreamClient, letter: Letter) -> Tried:
        delivery, webhook, body = letter.delivery, letter.webhook, letter.body
        signed = webhooks.headers(webhook.secret, delivery.id, body, now=self._clock())
        try:
            status = await client.deliver(webhook.url, body, signed, self._bounds)
        except (UpstreamFailure, ConnectionLost) as failure:
            return Tried(delivery, None, failure.message)
        except Exception:
            logger.exception("a webhook's try ended in an unexpected error")
            return Tried(delivery, None, "an unexpected error")
        return Tried(delivery, status, f"{letter.receiver} answered {status}")

"""One asyncio loop in one thread, and what belongs to it: client, scheduler, follower."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from services.discovery_worker.checker import Checker
from services.discovery_worker.checks import Checks
from services.discovery_worker.figures import Figures
from services.discovery_worker.follower import BLOCK_SECONDS, Follower
from services.discovery_worker.ledger import Ledger, Observation
from services.discovery_worker.scheduler import Scheduler
from services.discovery_worker.tester import Tester
from shared.config import Settings
from shared.crypto import Sealer
from shared.domain import DiscoveryStatus, EventType
from shared.metrics import WorkerMetrics
from shared.queues import blocking_redis
from shared.store.database import UNAVAILABLE, Database
from shared.tracing import Tracing
from shared.upstream import UpstreamClient
from shared.upstream.policy import OutboundPolicy

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 8.0
KIND: Final = "discovery-worker"  # as its series are labelled
# The others are ours: what a check wrote asks for no look.
_OF_THE_REGISTRY: Final = frozenset(
    {
        EventType.PROVIDER_CREATED,
        EventType.PROVIDER_CHANGED,
        EventType.PROVIDER_KEY_ROTATED,
        EventType.PROVIDER_ENABLED,
        EventType.PROVIDER_DISABLED,
        EventType.PROVIDER_DELETED,
    }
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Working:
    """The loop and what runs on it."""

    loop: asyncio.AbstractEventLoop
    scheduler: Scheduler
    checks: Checks


class Discovery:
    """The work of one process; every public method may be called from any thread.

    `on_crash` is called when the loop ended by itself, which only a defect can cause.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        sealer: Sealer,
        *,
        on_crash: Callable[[], None],
        tracing: Tracing | None = None,
    ) -> None:
        self._settings = settings
        self._tracing = tracing
        self._sealer = sealer
        self._on_crash = on_crash
        self._ledger = Ledger(database)
        self._figures = Figures()
        self._metrics = WorkerMetrics(settings, self._figures.registry, KIND)
        self._follower = Follower(
            blocking_redis(settings, block_seconds=BLOCK_SECONDS),
            reread=self._reread,
            on_event=self._heard,
            unavailable=UNAVAILABLE,
        )
        self._running: Future[_Working] = Future()
        self._stop: Callable[[], None] = lambda: None  # until the loop runs
        self._thread = threading.Thread(target=self._run, name="discovery", daemon=True)

    def start(self) -> None:
        """Start working; returns when the loop and the follower run and the first look was had."""
        self._thread.start()
        self._running.result(START_SECONDS)
        self._follower.start()
        self._metrics.start()

    def stop(self) -> None:
        """End checks under way, give their claims back, close everything."""
        self._stop()
        self._follower.stop()
        self._thread.join(STOP_SECONDS)
        self._ledger.close()
        self._metrics.stop()
        logger.info("discovery has ended")

    def refresh_due(self) -> None:
        """Look for providers whose time has come, or whose refresh was asked for."""
        self._tell(lambda working: working.scheduler.look_soon())

    def check_begun(self) -> None:
        """Look for checks of unsaved providers that nobody has begun."""
        self._tell(lambda working: working.checks.look_soon())

    def observe(self, provider_id: str, verdict: str, revision: int | None) -> None:
        """Take note of what a chat proved: `ok` or `auth_failed`; other words say nothing yet."""
        if verdict not in (DiscoveryStatus.OK, DiscoveryStatus.AUTH_FAILED):
            logger.warning("an unknown observation was ignored", extra={"verdict": verdict})
            return
        observation = Observation(verdict == DiscoveryStatus.OK, revision)
        self._tell(lambda working: working.scheduler.observe(provider_id, observation))

    def _heard(self, fields: Mapping[str, str]) -> None:
        if fields.get("type") in _OF_THE_REGISTRY:
            self.refresh_due()

    def _reread(self) -> int:
        # The number first: a look that follows it sees at least all that was numbered so far.
        seq = self._ledger.last_seq()
        self.refresh_due()
        return seq

    def _tell(self, message: Callable[[_Working], None]) -> None:
        working = self._running.result(START_SECONDS)
        _call(working.loop, lambda: message(working))

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as fault:
            if not self._running.done():
                self._running.set_exception(fault)
                return
            logger.critical("discovery ended by a defect of ours", exc_info=True)
            self._on_crash()

    async def _main(self) -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: _call(loop, stopping.set)
        client = UpstreamClient(OutboundPolicy.from_settings(self._settings), tracing=self._tracing)
        scheduler = Scheduler(
            self._ledger,
            Checker(client, self._sealer),
            self._sealer,
            interval=self._settings.discovery_interval,
            figures=self._figures,
        )
        checks = Checks(self._ledger, Tester(client, client.probe), self._sealer)
        work = {
            asyncio.create_task(scheduler.run(), name="scheduler"),
            asyncio.create_task(checks.run(), name="checks"),
        }
        stop = asyncio.create_task(stopping.wait(), name="stop")
        looked = asyncio.create_task(scheduler.looked.wait(), name="first look")
        try:
            await asyncio.wait({*work, looked}, return_when=asyncio.FIRST_COMPLETED)
            if not any(task.done() for task in work):
                self._running.set_result(_Working(loop, scheduler, checks))
            await asyncio.wait({*work, stop}, return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                if task.done():
                    task.result()
        finally:
            for each in (*work, stop, looked):
                each.cancel()
            await asyncio.gather(*work, stop, looked, return_exceptions=True)
            await client.aclose()


def _call(loop: asyncio.AbstractEventLoop, work: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(work)
    except RuntimeError:  # the loop is closed: whatever was asked for is due for the next worker
        logger.debug("the loop has ended")

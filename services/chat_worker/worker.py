"""The parts of a chat worker, put together and started and stopped in order."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Sequence
from typing import Final

from celery import Celery

from services.chat_worker.deliveries import Deliveries
from services.chat_worker.engine import Engine
from services.chat_worker.figures import Figures
from services.chat_worker.keeper import Keeper
from services.chat_worker.live_sender import LiveSender
from services.chat_worker.notices import Notices
from services.chat_worker.senders import Listener, Outbox
from services.chat_worker.watchdog import Watchdog
from shared import queues
from shared.config import Settings
from shared.crypto import Sealer
from shared.domain import DiscoveryStatus, JobState
from shared.errors import UpstreamAuthenticationFailed
from shared.metrics import WorkerMetrics
from shared.store.database import Database
from shared.store.jobs import Fence, Outcome, Retention, Swept
from shared.tracing import Tracing
from shared.upstream.policy import OutboundPolicy

FILES_FOR_OTHERS: Final = 200  # descriptors that are no calls: database, Redis, logs
MAX_HOPS: Final = 2
KIND: Final = "chat-worker"  # as its series are labelled
LEAST_GRACE: Final = 1.0  # seconds in which webhooks that were taken can be written down

logger = logging.getLogger(__name__)


class ChatWorker:
    """Everything but Celery itself: claims, calls, outcomes, hints."""

    def __init__(
        self,
        settings: Settings,
        *,
        celery: Celery,
        database: Database,
        sealer: Sealer,
        tracing: Tracing,
    ) -> None:
        self._grace = settings.grace_seconds
        doorbell = queues.Doorbell(celery, queues.quick_redis(settings))
        self._outbox = Outbox(celery, doorbell, on_answered=lambda: self._keeper.ring())
        policy = OutboundPolicy.from_settings(settings)
        self._figures = Figures()
        self._metrics = WorkerMetrics(settings, self._figures.registry, KIND)
        self._deliveries = Deliveries(
            database=database,
            sealer=sealer,
            policy=policy,
            figures=self._figures,
            tracing=tracing,
        )
        self._engine = Engine(
            policy=policy,
            sealer=sealer,
            live=LiveSender(queues.loop_redis(settings), sealer),
            notices=Notices(queues.loop_redis(settings)),
            concurrency=affordable_concurrency(settings.chat_concurrency),
            on_outcomes=self._ended,
            before_publishing=self._first_chunks,
            figures=self._figures,
            tracing=tracing,
        )
        self._keeper = Keeper(
            database=database,
            sealer=sealer,
            engine=self._engine,
            lease_seconds=settings.lease_seconds,
            retention=Retention(settings.result_ttl, settings.unstored_result_ttl),
            reporter=self,
        )
        self._figures.watch(
            calls_in_flight=lambda: self._engine.running,
            call_slots=lambda: self._engine.concurrency,
            outcomes_unwritten=self._keeper.unwritten,
        )
        self._listener = Listener(
            queues.listening_redis(settings, block_seconds=1.0),
            on_cancelled=self._keeper.look_for_lost,
            on_follows=self._engine.follow,
        )
        self._watchdog = Watchdog(
            loops={
                "keeper": lambda: self._keeper.turns,
                "engine": lambda: self._engine.turns,
                "webhooks": lambda: self._deliveries.turns,
            },
            database=database,
            grace_seconds=settings.grace_seconds,
        )

    def start(self) -> None:
        """Start every thread; claiming begins at once."""
        self._engine.start()
        self._keeper.start()
        self._deliveries.start()
        self._outbox.start()
        self._listener.start()
        self._watchdog.start()
        self._metrics.start()

    def stop(self) -> None:
        """End claiming, let calls finish for the grace, cut off the rest, write everything."""
        until = time.monotonic() + self._grace
        self._keeper.stop_claiming()
        self._deliveries.stop_claiming()
        self._wait_for_calls(until)
        self._watchdog.stop()
        self._engine.cut_off()
        self._keeper.stop()
        self._deliveries.stop(max(until - time.monotonic(), LEAST_GRACE))
        self._listener.stop()
        self._engine.stop()
        self._outbox.stop()
        self._metrics.stop()

    def drain(self, *, hops: int) -> None:
        """Answer the doorbell; a full worker passes the ring on, two hops at most."""
        if self._engine.free > 0:
            self._keeper.ring(bell=True)
        else:
            self._outbox.answer()
            if hops < MAX_HOPS:
                self._outbox.ring(hops=hops + 1)

    def purge(self) -> None:
        """Delete results past their time, soon."""
        self._keeper.purge()

    def ended(self, job_ids: Sequence[str], *, hooked: bool) -> None:
        """Tell waiting requests that these jobs are terminal, and have webhooks looked for."""
        self._engine.tell_ended(job_ids)
        if hooked:
            self._deliveries.ring()

    def more_work(self) -> None:
        """A full batch was claimed, or the last place is taken: others may find more."""
        self._outbox.answer()
        self._outbox.ring()

    def resting(self) -> None:
        """Let the bell ring again. What came before that, while it could not, is looked for."""
        self._outbox.answer()

    def fenced(self, job_ids: Sequence[str]) -> None:
        """Count ends of calls that came too late."""
        self._figures.fenced(len(job_ids))

    def swept(self, swept: Swept) -> None:
        """Count what a sweep found."""
        self._figures.swept(swept)

    def _first_chunks(self, claims: Sequence[Fence]) -> None:
        self._keeper.publish(claims)

    def _ended(self, outcomes: Sequence[Outcome]) -> None:
        self._keeper.take(outcomes)
        for outcome in outcomes:
            self._observe(outcome)

    def _observe(self, outcome: Outcome) -> None:
        """Have discovery told what this end says about its provider."""
        if outcome.evidence is None or outcome.gate is None:
            return
        verdict = None
        if outcome.state is JobState.COMPLETED:
            verdict = DiscoveryStatus.OK
        elif outcome.error_code == UpstreamAuthenticationFailed.code:
            verdict = DiscoveryStatus.AUTH_FAILED
        if verdict is None:
            self._outbox.stumbled(outcome.gate.provider_id)
        else:
            self._outbox.observe(
                outcome.gate.provider_id, outcome.evidence.provider_revision, verdict
            )

    def _wait_for_calls(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0 and self._engine.running:
            logger.info(
                "waiting for running calls",
                extra={"running": self._engine.running, "seconds_left": round(left)},
            )
            if self._engine.wait_idle(min(5.0, left)):
                break
        if self._engine.running:
            logger.warning("the grace is over", extra={"cut_off": self._engine.running})


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one; each call in flight needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = hard if hard != resource.RLIM_INFINITY else 1_048_576
    resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))


def affordable_concurrency(wanted: int) -> int:
    """`wanted`, or what the limit of open files allows, with a warning."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    affordable = max(1, soft - FILES_FOR_OTHERS)
    if soft == resource.RLIM_INFINITY or wanted <= affordable:
        return wanted
    logger.warning(
        "DRAGOMAN_CHAT_CONCURRENCY is lowered to what the limit of open files allows",
        extra={"wanted": wanted, "in_force": affordable, "open_files": soft},
    )
    return affordable

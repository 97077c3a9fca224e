"""The asyncio loop with every call in flight, in one thread of its own.

Concurrency belongs here and nowhere else: a call is a task, and outcomes are handed to
`on_outcomes` from the loop's thread. Everything public may be called from any thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from services.chat_worker.call import Call
from services.chat_worker.figures import Figures, told_as
from services.chat_worker.live_sender import LiveSender
from services.chat_worker.notices import Notices
from services.chat_worker.outcomes import ABANDONED
from services.chat_worker.publishing import Publishing
from services.chat_worker.turn_batch import TurnBatch
from shared.crypto import Sealer
from shared.store.jobs import ClaimedJob, Fence, Outcome
from shared.tracing import Ended, Tracing
from shared.upstream import UpstreamClient
from shared.upstream.policy import OutboundPolicy

HEARTBEAT: Final = 0.5  # seconds between two turns that the watchdog counts

logger = logging.getLogger(__name__)


class Engine:
    """Runs claimed jobs, at most `concurrency` at a time (the keeper claims no more).

    `before_publishing` is told of streamed calls whose first chunk came and waits for `publish`.
    Both are told once a turn of the loop.
    """

    def __init__(
        self,
        *,
        policy: OutboundPolicy,
        sealer: Sealer,
        live: LiveSender,
        notices: Notices,
        concurrency: int,
        on_outcomes: Callable[[Sequence[Outcome]], None],
        before_publishing: Callable[[Sequence[Fence]], None],
        figures: Figures,
        tracing: Tracing,
    ) -> None:
        self.concurrency = concurrency
        self.turns = 0
        self._policy = policy
        self._sealer = sealer
        self._live = live
        self._notices = notices
        self._on_outcomes = on_outcomes
        self._figures = figures
        self._tracing = tracing
        self._loop = asyncio.new_event_loop()
        self._ends: TurnBatch[Outcome] = TurnBatch(self._loop, self._hand_over)
        self._firsts: TurnBatch[Fence] = TurnBatch(self._loop, before_publishing)
        self._client: UpstreamClient | None = None
        # Every claim from its hand-over to its release, so that none is ever thought unheld.
        self._claims: dict[Fence, ClaimedJob] = {}
        self._calls: dict[Fence, tuple[Call, asyncio.Task[None]]] = {}  # used by the loop only
        self._lock = threading.Lock()
        self._stopped = False
        self._idle = threading.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def free(self) -> int:
        """How many more calls may begin now."""
        return self.concurrency - len(self._claims)

    @property
    def running(self) -> int:
        """How many calls are under way."""
        return len(self._claims)

    def start(self) -> None:
        """Start the loop's thread; returns when it turns."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(timeout=30)

    def begin(self, claimed: Iterable[ClaimedJob]) -> None:
        """Begin these calls."""
        batch = list(claimed)
        with self._lock:
            self._claims.update((job.fence, job) for job in batch)
            if batch:
                self._idle.clear()
        self._loop.call_soon_threadsafe(self._begin, batch)

    def held(self) -> set[Fence]:
        """Every claim that is under way; its outcome is told before it leaves this set."""
        with self._lock:
            return set(self._claims)

    def publish(self, claims: Iterable[Fence]) -> None:
        """Let readers see the chunks of these calls: nobody will repeat them."""
        self._post(self._publish, set(claims))

    def follow(self, message: bytes) -> None:
        """A reader tells which jobs it follows (`shared.live.follows`)."""
        self._post(self._live.follow, message)

    def tell_ended(self, job_ids: Iterable[str]) -> None:
        """Tell waiting requests that these jobs are terminal."""
        self._post(self._tell_ended, set(job_ids))

    def abandon(self, claims: Iterable[Fence]) -> None:
        """Close these calls' connections: the jobs are others' now, what the calls did is told."""
        self._post(self._abandon, set(claims))

    def cut_off_retryable(self) -> None:
        """Close the calls that another worker may repeat, because this one's lease is over.

        Each has an outcome; the fence decides whether it still counts.
        """
        self._post(self._cut_off, repeatable=True)

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no call is under way; False when `seconds` were not enough."""
        return self._idle.wait(seconds)

    def cut_off(self) -> None:
        """Cut off what still runs, each with its outcome, and send what readers follow."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=10)

    def stop(self) -> None:
        """End the thread: nothing runs any more, and all ends are told."""
        asyncio.run_coroutine_threadsafe(self._notices.aclose(), self._loop).result(timeout=10)
        self._stopped = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def _post(self, callback: Callable[..., object], *arguments: object, **named: object) -> None:
        if not self._stopped:  # a stopped engine holds no call that could be closed
            self._loop.call_soon_threadsafe(partial(callback, *arguments, **named))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    async def _open(self) -> None:
        self._client = UpstreamClient(self._policy, tracing=self._tracing)
        self._live.open()
        self._beat()

    def _beat(self) -> None:
        self.turns += 1
        self._loop.call_later(HEARTBEAT, self._beat)

    def _begin(self, batch: list[ClaimedJob]) -> None:
        assert self._client is not None  # noqa: S101 - set before start() returned
        now = time.time()
        for job in batch:
            self._figures.begun(job, now=now)
            publishing = self._publishing(job) if job.stream else None
            call = Call(job, client=self._client, sealer=self._sealer, publishing=publishing)
            task = self._loop.create_task(self._conduct(call), name=job.id)
            self._calls[job.fence] = (call, task)

    def _publishing(self, job: ClaimedJob) -> Publishing:
        return Publishing(
            job,
            self._live.stream(job.id),
            before_first=partial(self._firsts.add, job.fence),
        )

    async def _conduct(self, call: Call) -> None:
        job = call.job
        with self._tracing.attempt(
            job.id, attempt=job.attempt, provider=job.target.slug, request_id=job.request_id
        ) as ended:
            await self._run_call(call, ended)

    async def _run_call(self, call: Call, ended: Ended) -> None:
        try:
            outcome = await call.run()
        except Exception:
            # A defect of ours must not leave the job hanging until the lease ends.
            logger.exception("a call ended in an unexpected error")
            outcome = call.cut_off()
        except asyncio.CancelledError:
            if call.tells_when_cut:
                self._tell(call, call.cut_off(), ended)
            else:
                self._abandoned(call, ended)
            raise
        finally:
            del self._calls[call.job.fence]
        self._tell(call, outcome, ended)

    def _abandoned(self, call: Call, ended: Ended) -> None:
        self._figures.abandoned(call.job)
        ended(ABANDONED)
        if (outcome := call.abandoned()) is not None:
            self._ends.add(outcome)
        else:
            self._release([call.job.fence])

    def _tell(self, call: Call, outcome: Outcome, ended: Ended) -> None:
        self._figures.ended(call.job, outcome)
        ended(told_as(outcome))
        self._ends.add(outcome)

    def _hand_over(self, outcomes: Sequence[Outcome]) -> None:
        try:
            self._on_outcomes(outcomes)
        finally:  # after it, so that an idle engine has told all
            self._release([outcome.fence for outcome in outcomes])

    def _release(self, claims: Iterable[Fence]) -> None:
        with self._lock:
            for fence in claims:
                del self._claims[fence]
            if not self._claims:
                self._idle.set()

    def _publish(self, claims: set[Fence]) -> None:
        for fence in claims & self._calls.keys():
            call, _ = self._calls[fence]
            if call.publishing is not None:
                call.publishing.permit()

    def _tell_ended(self, job_ids: set[str]) -> None:
        self._live.hurry(job_ids)  # whoever hears of an end has the last chunks by then
        self._notices.ended(job_ids)

    def _abandon(self, claims: set[Fence]) -> None:
        for fence in claims & self._calls.keys():
            _, task = self._calls[fence]
            task.cancel()

    def _cut_off(self, *, repeatable: bool) -> list[asyncio.Task[None]]:
        """Cut off all calls, or the repeatable ones only."""
        cut = []
        for call, task in list(self._calls.values()):
            if call.repeatable or not repeatable:
                call.tells_when_cut = True
                task.cancel()
                cut.append(task)
        return cut

    async def _close(self) -> None:
        await asyncio.gather(*self._cut_off(repeatable=False), return_exceptions=True)
        self._ends.flush()
        if self._client is not None:
            await self._client.aclose()
        await self._live.aclose()

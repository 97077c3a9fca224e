"""What one chat worker counts, for Prometheus.

Labels are bounded: providers are those that are registered, outcomes the codes of the error tree.
Any thread counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from services.chat_worker.outcomes import ABANDONED
from shared.metrics import unreadable
from shared.store.jobs import ClaimedJob, Outcome, Swept

# From a cached answer to the longest that a provider may take.
CALL_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
WAIT_SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
    *(30.0, 60.0, 300.0, 900.0, 3600.0),
)
RELEASED: Final = "released"  # given back before anything was called

M = TypeVar("M", Counter, Histogram)

# Name → help of what is asked for at each scrape.
NOW: Final = {
    "calls_in_flight": "Calls to providers under way.",
    "call_slots": "Calls that this worker takes at once.",
    "outcomes_unwritten": "Ends of calls that the database does not have yet.",
}


def told_as(outcome: Outcome) -> str:
    """How a claim ended, in a word: completed, an error's code, or that nothing was called."""
    if outcome.evidence is None:
        return outcome.error_code or RELEASED
    return outcome.evidence.outcome


class Figures:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._found: dict[tuple[object, tuple[str, ...]], object] = {}
        ProcessCollector(registry=registry)
        self._attempts = Counter(
            "dragoman_attempts_total",
            "Attempts at a chat job, by how they ended: completed, an error's code, or abandoned "
            "when the job was cancelled or another's meanwhile.",
            ("provider", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "dragoman_attempt_duration_seconds",
            "Time that an attempt took, with all its calls.",
            ("provider",),
            buckets=CALL_SECONDS,
            registry=registry,
        )
        self._first_byte = Histogram(
            "dragoman_attempt_first_byte_seconds",
            "Time from a call to the first byte of its answer, or its first chunk.",
            ("provider",),
            buckets=CALL_SECONDS,
            registry=registry,
        )
        self._tokens = Counter(
            "dragoman_tokens_total",
            "Tokens that providers reported.",
            ("provider", "kind"),
            registry=registry,
        )
        self._waited = Histogram(
            "dragoman_job_wait_seconds",
            "Time from a job's submission to its first attempt.",
            buckets=WAIT_SECONDS,
            registry=registry,
        )
        self._fenced = Counter(
            "dragoman_outcomes_fenced_total",
            "Ends of calls that came too late: the job was another's, or had ended.",
            registry=registry,
        )
        self._dead = Counter(
            "dragoman_dead_workers_total",
            "Chat workers that this one found dead.",
            registry=registry,
        )
        self._swept = Counter(
            "dragoman_jobs_swept_total",
            "Open jobs of dead workers, and ones past their deadline, by what became of them.",
            ("became",),
            registry=registry,
        )
        self._webhooks = Counter(
            "dragoman_webhook_tries_total",
            "Tries to deliver a webhook, by the class of the receiver's status; none: no answer.",
            ("status",),
            registry=registry,
        )
        registry.register(unreadable.COUNT)
        self._now = {
            name: Gauge(f"dragoman_{name}", text, registry=registry) for name, text in NOW.items()
        }

    def watch(self, **counted: Callable[[], float]) -> None:
        """What is asked for the gauges of these names, without `dragoman_`, at each scrape."""
        for name, count in counted.items():
            self._now[name].set_function(count)

    def _series(self, metric: M, *labels: str) -> M:
        """The series with these labels; prometheus_client looks for it ten times as long."""
        found = self._found.get((metric, labels))
        if found is None:
            found = self._found[metric, labels] = metric.labels(*labels)
        return cast(M, found)

    def begun(self, job: ClaimedJob, *, now: float) -> None:
        """Count a claim; how long the job waited only for its first."""
        if job.attempt == 1:
            self._waited.observe(max(now - job.created_at, 0.0))

    def ended(self, job: ClaimedJob, outcome: Outcome) -> None:
        """Count what a claim came to."""
        slug, evidence = job.target.slug, outcome.evidence
        self._series(self._attempts, slug, told_as(outcome)).inc()
        if evidence is None:
            return
        seconds = max(evidence.ended_at - evidence.started_at, 0.0)
        self._series(self._seconds, slug).observe(seconds)
        if evidence.first_byte_seconds is not None:
            self._series(self._first_byte, slug).observe(evidence.first_byte_seconds)
        for kind, count in (
            ("prompt", evidence.prompt_tokens),
            ("completion", evidence.completion_tokens),
        ):
            if count:
                self._series(self._tokens, slug, kind).inc(count)

    def abandoned(self, job: ClaimedJob) -> None:
        """Count a claim whose job was cancelled, or another's, meanwhile."""
        self._attempts.labels(job.target.slug, ABANDONED).inc()

    def fenced(self, count: int) -> None:
        """Count outcomes that were dropped."""
        self._fenced.inc(count)

    def swept(self, swept: Swept) -> None:
        """Count what one sweep did."""
        self._dead.inc(len(swept.workers))
        for became, jobs in (("requeued", swept.requeued), ("ended", swept.ended)):
            if jobs:
                self._swept.labels(became).inc(len(jobs))

    def webhook_tried(self, status: int | None) -> None:
        """Count one try, with the receiver's HTTP status if it answered."""
        self._webhooks.labels("none" if status is None else f"{status // 100}xx").inc()

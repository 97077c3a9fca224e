"""The shapes in which jobs enter and leave the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from msgspec import Struct

from shared.domain import GateReason, JobState

TABLE: Final = "chat_job"
REQUEST: Final = "request_sealed"
ORIGINAL: Final = "original_sealed"
RESULT: Final = "result_sealed"
ERROR: Final = "error_sealed"
LOG: Final = "log_sealed"
WEBHOOK: Final = "webhook_sealed"


Fence = tuple[str, str, int]  # job id, worker id, attempt: what every move of a worker names


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a result is kept after its end, in seconds, by the job's `store` flag."""

    stored: float
    unstored: float


# Each call makes several: a frozen dataclass of so many fields takes 15 µs, a struct one.
class NewJob(Struct, frozen=True):
    """A job about to be accepted; times in Unix seconds, `request_sealed` is the upstream body."""

    id: str
    owner: str
    key_id: str
    request_id: str | None
    provider_id: str
    model: str
    upstream_model: str
    background: bool
    store: bool
    service_tier: str
    metadata: Mapping[str, str]
    on_interrupt: str
    on_unavailable: str
    deadline: float
    created_at: float
    request_sealed: str
    route: str = "chat"
    idempotency_key: str | None = None
    body_fingerprint: str | None = None
    stream: bool = False
    include_usage: bool = False
    original_sealed: str | None = None
    webhook_sealed: str | None = None


class Job(Struct, frozen=True):
    """A job as its owner may see it, why it waits, and what became of its webhook.

    `log_chunks` is the number of chunks in its log, None where no log is stored.
    `worker_id` is who holds it, or held it at its end; None where it ended in the queue.
    `webhook` says that it has one, `webhook_status` and `webhook_tries` are None before its end.
    """

    id: str
    owner: str
    provider_id: str
    provider_slug: str
    model: str
    background: bool
    store: bool
    service_tier: str
    metadata: Mapping[str, str]
    state: JobState
    calls: int
    created_at: float
    deadline: float
    started_at: float | None
    completed_at: float | None
    expires_at: float | None
    version: int
    last_cause: str | None
    error_code: str | None
    may_have_been_billed: bool
    error_sealed: str | None
    result_sealed: str | None
    log_chunks: int | None
    stream: bool
    worker_id: str | None
    on_unavailable: str
    provider_enabled: bool
    provider_limit: int | None
    gate_reason: GateReason | None
    gate_closed_until: float | None
    gate_cause: str | None
    webhook: bool
    webhook_status: str | None
    webhook_tries: int | None

    @property
    def lost_chunks(self) -> bool:
        """Whether readers may have had chunks of it that are kept nowhere.

        Its worker has them, and stores them with the answer or with its own words of the failure:
        not where somebody else ended the stream meanwhile. (A failure whose chunks waited for the
        database for too long keeps its words alone, and looks as if none had come.)
        """
        told = self.state is JobState.COMPLETED or self.error_sealed is not None
        return self.state.terminal and self.stream and self.worker_id is not None and not told


@dataclass(frozen=True, slots=True)
class Target:
    """The provider of a claimed job, as the engine needs it; the key is still sealed."""

    id: str
    slug: str
    chat_url: str
    models_url: str
    api_key_sealed: str | None
    api_key_fingerprint: str | None
    options: Mapping[str, Any]
    revision: int


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this worker now holds. (worker_id, attempt) is the fence of every later move."""

    id: str
    worker_id: str
    attempt: int
    target: Target
    request_id: str | None
    request_sealed: str
    on_interrupt: str
    on_unavailable: str
    interrupts: int
    deadline: float
    background: bool
    owner: str
    key_id: str
    model: str  # as the caller names it
    created_at: float
    stream: bool  # asked of the upstream; its chunks are numbered and published
    include_usage: bool  # whether the client asked for the usage chunk
    publishing: bool  # a chunk may have been seen

    @property
    def fence(self) -> Fence:
        """What names this claim."""
        return self.id, self.worker_id, self.attempt

    @property
    def account(self) -> Account:
        """Whose totals its calls are counted in."""
        return Account(self.owner, self.key_id, self.target.id, self.model)


class Account(NamedTuple):
    """Whose totals a call is counted in; `model` as the caller names it."""

    owner: str
    key_id: str
    provider_id: str
    model: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one claim did: the row of `job_attempt`. Durations in seconds."""

    chat_url: str
    key_fingerprint: str | None
    provider_revision: int
    started_at: float
    ended_at: float
    calls: int
    outcome: str
    sent: bool
    connect_seconds: float | None = None
    first_byte_seconds: float | None = None
    upstream_status: int | None = None
    upstream_request_id: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class GateEffect:
    """What a call showed of its provider: answered, refused for the moment, or broke.

    `cause` None means that the provider answered; else it is the error code. `strike` only
    counts; five in a row close the gate. `retry_after` (seconds) is what the upstream named,
    `revision` that of the provider which was called. An `overtaken` call failed although one that
    began later was answered: it closes nothing. `waits` says whether its job would wait at a gate.
    """

    provider_id: str
    revision: int
    call_started_at: float
    cause: str | None = None
    strike: bool = False
    retry_after: float | None = None
    overtaken: bool = False
    waits: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one claim ended: `state` COMPLETED, FAILED, or QUEUED for a safe return to the queue.

    Or CANCELLED: the job was taken away while the call ran, and only what it did is written.
    `log_chunks` counts the chunks that came, which `log_sealed` holds where there is one; None when
    nobody counted.
    `account` is for what `evidence` says was used. A `doubtful` one may have been written before,
    by a commit of which nobody heard.
    `extra_calls` are tries beyond the one that the claim counted (-1: none was begun after all).
    `did_nothing`: the provider provably did no work. A FAILED such job returns to the queue when
    the provider was changed since the claim: what failed is no longer what is registered.
    """

    job_id: str
    worker_id: str
    attempt: int
    state: JobState
    evidence: Evidence | None = None
    account: Account | None = None
    doubtful: bool = False
    gate: GateEffect | None = None
    result_sealed: str | None = None
    log_sealed: str | None = None
    log_chunks: int | None = None
    error_code: str | None = None
    error_sealed: str | None = None
    may_have_been_billed: bool = False
    extra_calls: int = 0
    interrupted: bool = False
    not_before: float = 0.0
    did_nothing: bool = False

    @property
    def fence(self) -> Fence:
        """What names the claim that ended."""
        return self.job_id, self.worker_id, self.attempt


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a batch of ends: claims whose row was `held`, the others were fenced.

    `hooked` says that a job with a webhook ended: a delivery is due.
    """

    held: Set[Fence]
    hooked: bool


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did, by job id."""

    workers: Sequence[str]
    requeued: Sequence[str]
    ended: Sequence[str]

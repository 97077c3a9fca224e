"""The words of a chat job: states, the moves between them, and who may make each.

The moves are data: the picture in `docs/state-machine.md` is drawn from them. The UPDATEs that make
them are in `shared.store.jobs`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class JobState(enum.StrEnum):
    """The five states of a job; there are no others."""

    QUEUED = "queued"  # waits for a chat worker to claim it
    IN_PROGRESS = "in_progress"  # one chat worker holds it; that worker or the sweep moves it
    COMPLETED = "completed"  # the answer is stored; never changes
    FAILED = "failed"  # the error is stored; never changes
    CANCELLED = "cancelled"  # by its owner; never changes

    @property
    def terminal(self) -> bool:
        """Whether this state never changes."""
        return self in TERMINAL


TERMINAL: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})


class Writer(enum.StrEnum):
    """The services that may move a job."""

    REGISTRY = "registry"
    CHAT_WORKER = "chat worker"


@dataclass(frozen=True, slots=True)
class Move:
    """One permitted change of state, who makes it, and when."""

    source: JobState
    target: JobState
    writer: Writer
    when: str


MOVES: Final = (
    Move(JobState.QUEUED, JobState.IN_PROGRESS, Writer.CHAT_WORKER, "claimed"),
    Move(JobState.QUEUED, JobState.FAILED, Writer.CHAT_WORKER, "deadline passed"),
    Move(JobState.QUEUED, JobState.FAILED, Writer.REGISTRY, "provider deleted"),
    Move(JobState.QUEUED, JobState.FAILED, Writer.CHAT_WORKER, "provider found deleted"),
    Move(JobState.QUEUED, JobState.CANCELLED, Writer.REGISTRY, "cancelled"),
    Move(JobState.IN_PROGRESS, JobState.COMPLETED, Writer.CHAT_WORKER, "answered"),
    Move(JobState.IN_PROGRESS, JobState.FAILED, Writer.CHAT_WORKER, "failed, or its worker died"),
    Move(JobState.IN_PROGRESS, JobState.CANCELLED, Writer.REGISTRY, "cancelled"),
    Move(JobState.IN_PROGRESS, JobState.QUEUED, Writer.CHAT_WORKER, "safe retry, or shutdown"),
    Move(JobState.QUEUED, JobState.FAILED, Writer.REGISTRY, "foreground deadline passed"),
    Move(JobState.IN_PROGRESS, JobState.FAILED, Writer.REGISTRY, "foreground deadline passed"),
)


class OnInterrupt(enum.StrEnum):
    """What becomes of a job whose call was lost after its bytes left."""

    FAIL = "fail"  # ends failed; the provider may have billed it
    RETRY = "retry"  # runs again, 3 calls in all


class OnUnavailable(enum.StrEnum):
    """What becomes of a job whose provider cannot be reached, or refuses for the moment."""

    WAIT = "wait"  # returns to the queue until the provider's gate opens
    FAIL = "fail"  # up to 3 tries within 1 s, then the error


class GateReason(enum.StrEnum):
    """Why a provider is left alone (`waiting_for.reason`)."""

    RETRY_AFTER = "retry_after"  # the upstream named a time
    PARKED = "provider_parked"  # our own backoff


class DiscoveryStatus(enum.StrEnum):
    """What the last check of a provider's model list found."""

    PENDING = "pending"
    OK = "ok"
    NO_MODELS_ROUTE = "no_models_route"  # healthy: chat works, ids are typed or listed by hand
    AUTH_FAILED = "auth_failed"
    RATE_LIMITED = "rate_limited"
    LOADING = "loading"
    UNREACHABLE = "unreachable"
    SERVER_ERROR = "server_error"
    INVALID_RESPONSE = "invalid_response"
    DISABLED = "disabled"


class EventType(enum.StrEnum):
    """Facts about providers, in the past tense, at provider rate (never one a chat)."""

    PROVIDER_CREATED = "provider.created"
    PROVIDER_CHANGED = "provider.changed"
    PROVIDER_KEY_ROTATED = "provider.key_rotated"
    PROVIDER_ENABLED = "provider.enabled"
    PROVIDER_DISABLED = "provider.disabled"
    PROVIDER_DELETED = "provider.deleted"
    MODELS_CHANGED = "models.changed"
    STATUS_CHANGED = "provider.status_changed"


MAX_CALLS: Final = 3  # calls to the upstream of one job, `on_interrupt: retry`
MAX_LOSSES: Final = 3  # workers that one job may lose before it is poisoned


def diagram() -> str:
    """The moves as a Mermaid state diagram; `docs/state-machine.md` holds this text."""
    lines = ["stateDiagram-v2", "    [*] --> queued: registry: accepted"]
    lines += [f"    {m.source} --> {m.target}: {m.writer}: {m.when}" for m in MOVES]
    lines += [f"    {state} --> [*]" for state in JobState if state.terminal]
    return "\n".join(lines)

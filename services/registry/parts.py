"""What one worker process of the registry is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from redis import Redis

from services.registry.authentication import Authenticator
from services.registry.bell import Bell
from services.registry.chat.streams import Streams
from services.registry.database import Transactions
from services.registry.events.following import Followers
from services.registry.hearing import Hearing
from services.registry.limiting import Limiter
from services.registry.metrics.figures import Figures
from services.registry.metrics.view import Metrics
from services.registry.notices import NoticeSender
from services.registry.relay import Relay
from services.registry.waiting import Waiting
from services.registry.watching import Watch
from shared.config import Settings
from shared.crypto import Sealer
from shared.metrics import Publisher
from shared.store.jobs import Retention
from shared.store.refreshes import Refresh
from shared.tracing import Tracing
from shared.upstream.policy import OutboundPolicy


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts, built once a process by `bootstrap`; tests pass their own."""

    settings: Settings
    transactions: Transactions
    sealer: Sealer
    policy: OutboundPolicy
    authenticator: Authenticator
    limiter: Limiter
    bell: Bell
    relay: Relay
    waiting: Waiting
    streams: Streams
    hearing: Hearing
    refreshes: Watch[Refresh]
    checks: Watch[bool]  # whether a check still runs
    followers: Followers
    notices: NoticeSender
    redis: Redis
    retention: Retention
    figures: Figures
    publisher: Publisher
    metrics: Metrics
    tracing: Tracing
    now: Callable[[], float]

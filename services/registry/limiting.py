"""What a key may still use: requests of this minute, tokens of this day.

Only keys with limits cost anything here. Requests are counted twice: in Redis over all registry
processes, and in this process by itself, so that without Redis no process lets more through than
the limit. Both counts are those of the clock's minute, and begin anew with it. Tokens are those of
the hourly totals, which know a call when it has ended: whoever reaches the limit is refused new
calls, and those that run finish.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flask import Response, after_this_request
from redis import Redis
from redis.exceptions import RedisError

from services.registry.database import Transactions
from shared.errors import RateLimited
from shared.queues import KEY_PREFIX
from shared.store import usage
from shared.store.access import Caller

MINUTE: Final = 60
DAY: Final = 86_400
REST_SECONDS: Final = 5.0  # after Redis failed: no request waits for it meanwhile
SUMMED_SECONDS: Final = 5.0  # how old the sum of a day may be
MOST_KEPT: Final = 10_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a key stands at one of its limits; `reset` in seconds."""

    what: str  # "requests" or "tokens"
    limit: int
    used: int
    reset: float

    def headers(self) -> dict[str, str]:
        """The same in the headers that OpenAI's clients read (platform.openai.com, rate limits)."""
        remaining = max(self.limit - self.used, 0)
        return {
            f"x-ratelimit-limit-{self.what}": str(self.limit),
            f"x-ratelimit-remaining-{self.what}": str(remaining),
            f"x-ratelimit-reset-{self.what}": _duration(self.reset),
        }


class RequestCounts:
    """The requests of this minute of the keys that have a limit."""

    def __init__(
        self,
        client: Redis,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._now = now
        self._monotonic = monotonic
        self._minute = 0
        self._own: dict[str, int] = {}
        self._rests_until = float("-inf")

    def count(self, key_id: str, limit: int) -> Standing:
        """Where the key stands with one request more; beyond the limit `used` is larger than it."""
        now = self._now()
        minute = int(now // MINUTE)
        if minute != self._minute:
            self._minute, self._own = minute, {}
        own = self._own[key_id] = self._own.get(key_id, 0) + 1
        used = own if own > limit else max(own, self._shared(key_id, minute))
        return Standing("requests", limit, used, (minute + 1) * MINUTE - now)

    def _shared(self, key_id: str, minute: int) -> int:
        """The count of all processes; 0 while Redis is away, and the process's own one holds."""
        if self._monotonic() < self._rests_until:
            return 0
        name = f"{KEY_PREFIX}requests:{key_id}:{minute}"
        try:
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.incr(name)
                pipeline.expire(name, 2 * MINUTE)
                count, _ = pipeline.execute()
        except (RedisError, OSError) as fault:
            if self._rests_until == float("-inf"):
                logger.warning(
                    "requests are counted by each process alone", extra={"reason": str(fault)}
                )
            self._rests_until = self._monotonic() + REST_SECONDS
            return 0
        if self._rests_until != float("-inf"):
            logger.info("requests are counted over all processes again")
            self._rests_until = float("-inf")
        return int(count)


class TokenCounts:
    """The tokens of this day, UTC, of the keys that have a limit."""

    def __init__(
        self,
        transactions: Transactions,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transactions = transactions
        self._now = now
        self._monotonic = monotonic
        self._kept: dict[str, tuple[float, int, float]] = {}  # midnight, tokens, when it was summed

    def of(self, key_id: str, limit: int) -> Standing:
        """Where the key stands, as of five seconds ago at most. Raises StoreUnavailable."""
        now, clock = self._now(), self._monotonic()
        midnight = now // DAY * DAY
        day, used, summed = self._kept.get(key_id, (0.0, 0, 0.0))
        if day != midnight or summed + SUMMED_SECONDS <= clock:
            if day == midnight:  # others go on with the old sum meanwhile
                self._kept[key_id] = (midnight, used, clock)
            used = self._transactions.read(lambda tx: usage.tokens(tx, key_id, since=midnight))
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key_id] = (midnight, used, clock)
        return Standing("tokens", limit, used, midnight + DAY - now)


class Limiter:
    """What the limits of keys let through; one for all requests of a process."""

    def __init__(self, requests: RequestCounts, tokens: TokenCounts) -> None:
        self._requests = requests
        self._tokens = tokens

    def request(self, caller: Caller) -> None:
        """Count the request being served, whose answer tells the rest; raises RateLimited."""
        if caller.limits is None or caller.limits.requests_per_minute is None:
            return
        standing = self._requests.count(caller.key_id, caller.limits.requests_per_minute)
        _tell(standing)
        if standing.used > standing.limit:
            raise RateLimited(
                f"Expected at most {standing.limit} requests a minute of this key, got "
                f"{standing.used}. The count begins anew in {_duration(standing.reset)}.",
                retry_after=standing.reset,
            )

    def submission(self, caller: Caller) -> RateLimited | None:
        """Why this key may submit nothing more today; None while it may.

        The answer to the request being served tells the rest. Raises StoreUnavailable.
        """
        if caller.limits is None or caller.limits.tokens_per_day is None:
            return None
        standing = self._tokens.of(caller.key_id, caller.limits.tokens_per_day)
        _tell(standing)
        if standing.used < standing.limit:
            return None
        return RateLimited(
            f"Expected fewer than {standing.limit} tokens a day of this key, got {standing.used} "
            "that it used since 00:00 UTC. The count begins anew at 00:00 UTC, in "
            f"{_duration(standing.reset)}.",
            retry_after=standing.reset,
        )


def _tell(standing: Standing) -> None:
    @after_this_request
    def add(response: Response) -> Response:
        response.headers.update(standing.headers())
        return response


def _duration(seconds: float) -> str:
    """Whole seconds as OpenAI writes them: `6m0s`."""
    whole = max(int(-(-seconds // 1)), 1)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours}h{minutes}m{whole % 60}s"
    return f"{minutes}m{whole % 60}s" if minutes else f"{whole}s"

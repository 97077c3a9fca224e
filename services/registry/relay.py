"""The relay: publishes the outbox of provider events, in the order of their numbers.

Whoever holds the lease `relay` copies new events into the Redis stream as `XADD <seq>-0`. The
explicit id makes a repeated publish harmless: Redis refuses it. The stream is expendable: wiped,
trimmed or another database's, it is brought back to end at the newest event, and consumers that
see a gap read the database.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import gevent
import sqlalchemy as sa
from gevent.event import Event as Signal
from redis import Redis
from redis.exceptions import RedisError

from services.registry.database import Transactions
from shared import live
from shared.errors import StoreUnavailable
from shared.store import events, leases
from shared.store.events import Event

DUTY: Final = "relay"
LOOK_SECONDS: Final = 0.1
LEASE_SECONDS: Final = 5.0
COMPARE_SECONDS: Final = 2.0  # how often the stream is asked whether it is still there
REST_SECONDS: Final = 0.5
BATCH: Final = 500
KEPT: Final = 10_000  # entries; older ones are trimmed
REPEATED: Final = 1_000  # events written again into a stream that was lost

logger = logging.getLogger(__name__)


class Relay:
    """One candidate for the duty; `holder` is unique among all processes.

    `on_news` is told of every event of this process, whoever has the duty.
    """

    def __init__(
        self,
        transactions: Transactions,
        redis: Redis,
        *,
        holder: str,
        on_news: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transactions = transactions
        self._redis = redis
        self._holder = holder
        self._on_news = on_news
        self._monotonic = monotonic
        self._news = Signal()
        self._stopping = False
        self._leads = False
        self._renew_at = 0.0
        self._compare_at = 0.0
        self._published: int | None = None  # None: the stream was not yet compared
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        """Start the greenlet."""
        self._greenlet = gevent.spawn(self._run)

    def look_now(self) -> None:
        """An event of this process is durable: publish it without waiting for the next look."""
        self._news.set()
        self._on_news()

    def stop(self) -> None:
        """Stop, and give the duty up. Raises StoreUnavailable."""
        self._stopping = True
        self._news.set()
        if self._greenlet is not None:
            self._greenlet.join()
        if self._leads:
            self._transactions.write(lambda tx: leases.resign(tx, DUTY, holder=self._holder))

    def _run(self) -> None:
        told = False  # that no events go out
        while not self._stopping:
            failing = True
            try:
                all_are_out = self.turn()
            except (RedisError, OSError) as fault:
                self._published = None
                if not told:
                    logger.warning("no events go out", extra={"reason": str(fault)})
                told = True
            except StoreUnavailable:
                self._leads = False
            except Exception:
                logger.exception("a turn of the relay failed")
            else:
                failing = False
                if told and all_are_out:
                    logger.info("events go out again")
                    told = False
            if failing:
                gevent.sleep(REST_SECONDS)
            else:
                self._news.wait(LOOK_SECONDS)
                self._news.clear()

    def turn(self) -> bool:
        """Take or keep the duty and, with it, publish what is new: then all events are out.

        Without the duty nothing was tried. Raises RedisError, OSError or StoreUnavailable.
        """
        self._lead()
        if not self._leads:
            return False
        if self._published is None or self._monotonic() >= self._compare_at:
            self._compare()
        while batch := self._after(self._published or 0):
            self._publish(batch)
            self._published = batch[-1].seq
        return True

    def _lead(self) -> None:
        if self._monotonic() < self._renew_at:
            return
        self._renew_at = self._monotonic() + LEASE_SECONDS / 3
        led = self._leads
        self._leads = self._transactions.write(
            lambda tx: leases.lead(tx, DUTY, holder=self._holder, seconds=LEASE_SECONDS)
        )
        if self._leads and not led:
            held = {"holder": self._holder, "pid": os.getpid()}
            logger.info("this process relays the events", extra=held)
            self._published = None

    def _compare(self) -> None:
        """Bring stream and database in line after a change of leader, a wipe or a restore."""
        # The stream first: an event published in between must not look like another database's.
        last, newest = self._end_of_stream()
        counter, ours = self._transactions.read(
            lambda tx: (events.last_seq(tx), newest is None or _tells(tx, *newest))
        )
        if last > counter or not ours:
            logger.warning(
                "the stream is another database's; starting it anew",
                extra={"stream": last, "database": counter},
            )
            self._redis.delete(live.STREAM)
            last = 0
        self._published = max(last, counter - REPEATED)
        self._compare_at = self._monotonic() + COMPARE_SECONDS

    def _end_of_stream(self) -> tuple[int, tuple[int, str] | None]:
        """The stream's last number, and number and event of its newest entry if it has any."""
        if self._redis.type(live.STREAM) != "stream":
            self._redis.delete(live.STREAM)
            return 0, None
        about: Any = self._redis.xinfo_stream(live.STREAM)
        last, newest = _number(about["last-generated-id"]), about["last-entry"]
        if newest is None:  # trimmed to nothing
            return last, None
        entry_id, fields = newest
        return last, (_number(entry_id), str(fields.get("id")))

    def _after(self, seq: int) -> Sequence[Event]:
        # Ten times a second, and mostly in vain: in a thread it took 1 % of a core.
        return self._transactions.glance(lambda tx: events.after(tx, seq, limit=BATCH))

    def _publish(self, batch: Sequence[Event]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for event in batch:
            pipeline.xadd(
                live.STREAM,
                {
                    "id": event.id,
                    "seq": event.seq,
                    "type": event.type.value,
                    "subject": event.subject,
                    "revision": event.revision,
                    "at": event.at,
                },
                id=f"{event.seq}-0",
                maxlen=KEPT,
                approximate=True,
            )
        answers = pipeline.execute(raise_on_error=False)
        refusals = [answer for answer in answers if isinstance(answer, RedisError)]
        if refusals:
            self._give_up_unless_ours(batch)
            raise refusals[0]

    def _give_up_unless_ours(self, batch: Sequence[Event]) -> None:
        """Delete the stream where it holds others' entries in the place of these.

        A number that is taken is refused; it may be ours, published by a faster relay.
        """
        last, _ = self._end_of_stream()
        ours = [event.id for event in batch if event.seq <= last]
        entries: Any = self._redis.xrange(live.STREAM, f"{batch[0].seq}-0", str(batch[-1].seq))
        if [fields.get("id") for _, fields in entries] != ours:
            self._redis.delete(live.STREAM)


def _number(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])


def _tells(tx: sa.Connection, seq: int, event_id: str) -> bool:
    """Whether the event of this number is the one of this id."""
    found = events.after(tx, seq - 1, limit=1)
    return bool(found) and (found[0].seq, found[0].id) == (seq, event_id)

"""What other processes say on Redis channels: one subscription for a whole process.

Nothing that is heard is the only way to learn something: what is said while Redis is away is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

import gevent
from redis import Redis
from redis.client import PubSub
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from shared.live import Away

HEARTBEAT_SECONDS: Final = 5.0  # how long the subscription blocks at most
REST_SECONDS: Final = 1.0

Hear = Callable[[bytes], None]

logger = logging.getLogger(__name__)


class Hearing:
    """Hands each message to the one who hears its channel; they must not wait for anything.

    `on_begin` is called whenever the channels are heard from now on: what came before may be lost.
    """

    def __init__(
        self,
        subscriber: Callable[[], Redis],
        channels: Mapping[str, Hear],
        *,
        on_begin: Callable[[], None],
    ) -> None:
        self._subscriber = subscriber
        self._channels = channels
        self._on_begin = on_begin

    def start(self) -> None:
        """Start the greenlet."""
        gevent.spawn(self._run)

    def _run(self) -> None:
        away = Away(logger, lost="no notices; rows are read", back="notices are back")
        while True:
            try:
                with self._subscriber() as client, client.pubsub() as subscription:
                    subscription.subscribe(*self._channels)
                    away.worked()
                    self._listen(subscription)
            except (RedisError, OSError) as fault:
                away.failed(fault)
                gevent.sleep(REST_SECONDS)

    def _listen(self, subscription: PubSub) -> None:
        """Hand messages on; raises RedisError when the other side fell silent."""
        asked = False
        unheard = set(self._channels)
        while True:
            message = subscription.get_message(timeout=HEARTBEAT_SECONDS)
            if message is None:
                if asked:
                    raise ConnectionLost("no answer to a ping")
                asked = True
                subscription.ping()
                continue
            asked = False
            if message["type"] == "message":
                self._tell(message["channel"].decode(), message["data"])
            elif message["type"] == "subscribe":
                unheard.discard(message["channel"].decode())
                if not unheard:
                    self._on_begin()

    def _tell(self, channel: str, data: bytes) -> None:
        try:
            self._channels[channel](data)
        except Exception:  # a defect must not end the hearing of all others
            logger.exception("a message was not understood", extra={"channel": channel})

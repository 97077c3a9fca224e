"""Celery and Redis, set up once for everybody: the doorbells, and nothing that matters.

Losing any message here costs delay, never a job. The settings were found out the hard way:
tasks acknowledge early because they only ring (a redelivered bell is noise), results and remote
control are off because nobody reads them, and task arguments hold ids only because Celery keeps
their repr.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import kombu.utils.json
import redis
import redis.asyncio
from celery import Celery
from kombu.entity import Exchange, Queue
from redis.asyncio import retry as asyncio_retry
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.config import Settings
from shared.errors import ConfigurationError

QUEUE_CHAT: Final = "chat"
QUEUE_DISCOVERY: Final = "discovery"

TASK_DRAIN: Final = "chat.drain"
TASK_PURGE: Final = "chat.purge_expired"
TASK_REFRESH: Final = "discovery.refresh"
TASK_REFRESH_DUE: Final = "discovery.refresh_due"
TASK_OBSERVE: Final = "discovery.observe"
TASK_CHECK: Final = "discovery.check"

KEY_PREFIX: Final = "dragoman:"
BELL_MS: Final = 1_000  # one drain a second and queue at most while nobody answers the bell


def broker_url(redis_url: str) -> str:
    """Kombu's spelling of a Redis URL: it refuses `unix://` and wants `redis+socket://`."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    query = dict(parse_qsl(parts.query))
    login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return f"redis+socket://{login}{parts.path}?virtual_host={query.get('db', '0')}"


def require_redis_url(settings: Settings) -> str:
    """The Redis URL in force; raises ConfigurationError when a process was started without one."""
    if settings.redis_url is None:
        raise ConfigurationError(
            ["REDIS_URL: expected redis://…, rediss://… or unix://…, got nothing"]
        )
    return settings.redis_url


def make_celery(settings: Settings, name: str) -> Celery:
    """The Celery application of one service."""
    app = Celery(name, broker=broker_url(require_redis_url(settings)), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        # A Redis that refuses writes (its disk is full, it became a replica) is away, not an error
        # that ends a worker with its calls.
        broker_channel_error_retry=True,
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": 3600,
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "global_keyprefix": KEY_PREFIX,
        },
        result_backend=None,
        task_acks_late=False,
        task_ignore_result=True,
        task_default_queue=QUEUE_CHAT,
        # A bell that is lost costs a second, and acknowledging it two pipelines of Redis.
        task_queues=[_unacknowledged(QUEUE_CHAT)],
        task_reject_on_worker_lost=False,
        task_routes={"chat.*": {"queue": QUEUE_CHAT}, "discovery.*": {"queue": QUEUE_DISCOVERY}},
        timezone="UTC",
        # Where these are not set, Celery tells of a broker that went away also what it does not
        # do: end tasks that acknowledge late, of which we have none, and fetch fewer at once.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_enable_prefetch_count_reduction=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
    )
    return app


def _unacknowledged(name: str) -> Queue:
    exchange = Exchange(name)  # type: ignore[no-untyped-call]
    return Queue(name, exchange, routing_key=name, no_ack=True)  # type: ignore[no-untyped-call]


def quick_redis(settings: Settings, *, timeout: float = 1.0) -> redis.Redis:
    """A client that fails within `timeout` seconds instead of retrying: for senders."""
    return _client(settings, timeout)


def blocking_redis(settings: Settings, *, block_seconds: float) -> redis.Redis:
    """A client for blocking reads: its socket timeout must outlast the block."""
    return _client(settings, block_seconds + 5.0)


def listening_redis(settings: Settings, *, block_seconds: float) -> redis.Redis:
    """As `blocking_redis`, for subscriptions, whose messages come as bytes."""
    return _client(settings, block_seconds + 5.0, decode_responses=False)


def loop_redis(settings: Settings) -> redis.asyncio.Redis:
    """As `quick_redis`, on the asyncio loop that uses it first."""
    client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
        require_redis_url(settings), **_bounds(1.0), retry=asyncio_retry.Retry(NoBackoff(), 0)
    )
    return client


def _client(settings: Settings, timeout: float, **options: Any) -> redis.Redis:
    client: redis.Redis = redis.Redis.from_url(
        require_redis_url(settings), **_bounds(timeout) | options, retry=Retry(NoBackoff(), 0)
    )
    return client


def _bounds(timeout: float) -> dict[str, Any]:
    # redis-py 8 alone would wait 5 s and try 10 times: a frozen Redis then hangs its caller.
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, 3.0),
        "decode_responses": True,
        # By the newer protocol redis-py writes every message that is heard into a line of a log
        # that nobody keeps: 14 % of what 100 streams cost a registry process.
        "protocol": 2,
    }


class Doorbell:
    """Wakes the workers of a queue: one task for any number of rings until it is answered.

    Celery makes the task's message once and we push it: making one costs ten times as much CPU as
    all else that a ring does, and a lone call waits for it.
    """

    def __init__(self, celery: Celery, client: redis.Redis) -> None:
        self._celery = celery
        self._redis = client
        self._push = client.register_script(_PUSH_UNLESS_RUNG)
        self._messages: dict[int, str] = {}

    def ring(self, *, hops: int = 0) -> None:
        """Push one `chat.drain` unless one is under way; raises on a Redis that is away.

        `hops` counts how often full workers passed this ring on.
        """
        if hops not in self._messages:
            self._messages[hops] = message_of(self._celery, TASK_DRAIN, {"hops": hops})
        keys = [f"{KEY_PREFIX}bell:{QUEUE_CHAT}", f"{KEY_PREFIX}{QUEUE_CHAT}"]
        self._push(keys=keys, args=[BELL_MS, self._messages[hops]])

    def answered(self) -> None:
        """Allow the next ring; by who was rung, when it rests, or has no place left."""
        self._redis.delete(f"{KEY_PREFIX}bell:{QUEUE_CHAT}")


# In one step: a ring that was noted and not pushed would keep the next from being pushed.
_PUSH_UNLESS_RUNG: Final = """
if redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then
    redis.call('LPUSH', KEYS[2], ARGV[2])
end
"""


def message_of(celery: Celery, task: str, kwargs: Mapping[str, object]) -> str:
    """What Celery would push to the list of this task's queue in Redis.

    Kombu's transports in memory and over Redis keep the same form of message (its virtual
    transports), and `serializable` is how the latter gives one back to its queue.
    """
    twin = Celery(broker="memory://", set_as_current=False)
    twin.conf.update(
        {name: celery.conf[name] for name in ("task_routes", "task_queues", "task_default_queue")}
    )
    with twin.connection_for_write() as connection:
        twin.send_task(task, kwargs=kwargs, connection=connection, ignore_result=True)
        queue = twin.amqp.router.route({}, task)["queue"].name
        sent = connection.default_channel.basic_get(queue, no_ack=True)
    return str(kombu.utils.json.dumps(sent.serializable()))  # type: ignore[no-untyped-call]

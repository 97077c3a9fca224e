"""Picks the parts of one worker process: the one place that knows which is which."""

from __future__ import annotations

import time
from functools import partial

from services.registry.authentication import Authenticator
from services.registry.bell import Bell
from services.registry.chat.following import Following
from services.registry.chat.streams import Streams
from services.registry.checks import service as checks
from services.registry.database import Transactions, open_database
from services.registry.events.following import Followers
from services.registry.hearing import HEARTBEAT_SECONDS, Hearing
from services.registry.limiting import Limiter, RequestCounts, TokenCounts
from services.registry.metrics.figures import Figures
from services.registry.metrics.view import Metrics
from services.registry.notices import NoticeSender
from services.registry.parts import Parts
from services.registry.relay import Relay
from services.registry.waiting import Waiting
from services.registry.watching import Watch
from shared import ids, live
from shared.config import Settings
from shared.crypto import Sealer
from shared.metrics import Folder, Publisher
from shared.queues import Doorbell, listening_redis, make_celery, quick_redis
from shared.store import refreshes
from shared.store.jobs import Retention
from shared.tracing import Tracing
from shared.upstream.policy import OutboundPolicy

COUNT_SECONDS = 0.25  # a request of a key with a limit waits no longer for its count


def assemble(
    settings: Settings, sealer: Sealer, policy: OutboundPolicy, tracing: Tracing | None = None
) -> Parts:
    """The parts, not yet started. Call it after the fork: connections must not be shared."""
    transactions = Transactions(open_database(settings))
    retention = Retention(settings.result_ttl, settings.unstored_result_ttl)
    redis = quick_redis(settings)
    celery = make_celery(settings, "registry")
    celery.conf.broker_transport_options |= {"socket_timeout": 1, "socket_connect_timeout": 1}
    notices = NoticeSender(quick_redis(settings))
    bell = Bell(
        Doorbell(celery, quick_redis(settings)),
        partial(celery.send_task, retry=False, ignore_result=True),
    )
    followers = Followers(transactions)
    authenticator = Authenticator(transactions)
    waiting = Waiting(transactions, notices, retention)
    following = Following(ids.new(ids.WORKER), quick_redis(settings), sealer)
    hearing = Hearing(
        lambda: listening_redis(settings, block_seconds=HEARTBEAT_SECONDS),
        {
            live.ENDED: lambda notice: waiting.wake(live.named_in(notice)),
            live.REVOKED: lambda notice: authenticator.forget(*live.named_in(notice)),
            live.WHO_FOLLOWS: lambda _: following.say_all(),
            following.channel: following.hear,
        },
        on_begin=following.say_all,
    )
    streams = Streams(following, waiting, transactions.glance, sealer)
    figures = Figures()
    figures.watch(requests_waiting=waiting.count, streams_open=streams.count)
    publisher = Publisher(figures.registry, Folder(settings.metrics_dir), "registry")
    return Parts(
        settings=settings,
        transactions=transactions,
        sealer=sealer,
        policy=policy,
        authenticator=authenticator,
        limiter=Limiter(
            RequestCounts(quick_redis(settings, timeout=COUNT_SECONDS)), TokenCounts(transactions)
        ),
        bell=bell,
        relay=Relay(
            transactions,
            quick_redis(settings),
            holder=ids.new(ids.WORKER),
            on_news=followers.look_now,
        ),
        waiting=waiting,
        streams=streams,
        hearing=hearing,
        refreshes=Watch(transactions, refreshes.states, bell.refresh),
        checks=Watch(transactions, checks.running, bell.check),
        followers=followers,
        notices=notices,
        redis=redis,
        retention=retention,
        figures=figures,
        publisher=publisher,
        metrics=Metrics(settings, transactions, redis, publisher),
        tracing=tracing or Tracing(),
        now=time.time,
    )

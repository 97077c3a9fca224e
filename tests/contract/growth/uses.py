"""What is done to the store all day, by name; each is one call of the stores, as services call it.

Reads and writes alike run in a transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from services.registry.metrics import facts
from shared.domain import EventType, JobState
from shared.store import audit, deliveries, events, jobs, usage
from shared.store.audit import Action, Actor
from shared.store.jobs import ClaimedJob, Evidence, Outcome, Wanted
from shared.store.jobs.impact import impact_of
from shared.store.usage import HOUR, Period
from tests.bulk import DAY, key_of
from tests.contract.growth.scene import OWNERS, RETENTION, WORKER, Scene

Use = Callable[[sa.Connection, Scene], object]
ANN: Final = OWNERS[0]
NOBODY: Final = "nobody-has-this"


def _end(job: ClaimedJob) -> Outcome:
    evidence = Evidence(
        chat_url="https://x.example.com",
        key_fingerprint=None,
        provider_revision=1,
        started_at=1.0,
        ended_at=2.0,
        calls=1,
        outcome="completed",
        sent=True,
    )
    return Outcome(
        job.id,
        job.worker_id,
        job.attempt,
        JobState.COMPLETED,
        evidence=evidence,
        account=job.account,
    )


def _middle(scene: Scene) -> str:
    return scene.some[len(scene.some) // 2]


def _of_ann(tx: sa.Connection, scene: Scene) -> object:
    return jobs.get(tx, _middle(scene), owner=ANN)


def _position(tx: sa.Connection, scene: Scene) -> object:
    job = jobs.get(tx, scene.queued[-1], owner=None)
    assert job is not None
    return jobs.queue_position(tx, job)


def _finish(tx: sa.Connection, scene: Scene) -> object:
    outcomes = [_end(job) for job in scene.running[:20]]
    return jobs.finish(tx, outcomes, now=scene.now, retention=RETENTION)


def _cancel_and_delete(tx: sa.Connection, scene: Scene) -> object:
    assert jobs.cancel(tx, scene.queued[0], now=scene.now, retention=RETENTION)
    jobs.delete(tx, scene.queued[0])
    jobs.delete(tx, _middle(scene))
    return None


def _deliver(tx: sa.Connection, scene: Scene) -> object:
    _finish(tx, scene)
    assert deliveries.any_due(tx, now=scene.now)
    claimed = deliveries.claim(tx, now=scene.now, most=10)
    assert claimed
    return [deliveries.settle(tx, one, status=204, now=scene.now) for one in claimed]


WORK: Final[Mapping[str, Use]] = {
    "submitting a job": lambda tx, scene: jobs.insert(tx, scene.new_job()),
    "looking for an idempotency key": lambda tx, _: jobs.by_key(
        tx, owner=ANN, route="chat", key=NOBODY
    ),
    "reading a job": _of_ann,
    "reading states": lambda tx, scene: jobs.states(tx, scene.some[:20]),
    "reading attempts": lambda tx, scene: jobs.attempts(tx, _middle(scene)),
    "reading a request": lambda tx, scene: jobs.request_of(tx, _middle(scene)),
    "reading a place in the queue": _position,
    "counting the queue": lambda tx, _: jobs.queued(tx, most=100_001),
    "counting calls of a provider": lambda tx, scene: jobs.running_of(
        tx, scene.kinds[0].provider_id
    ),
    "what hangs on a provider": lambda tx, scene: impact_of(tx, scene.kinds[0].provider_id),
    "looking for work": lambda tx, _: jobs.has_work(tx),
    "claiming": lambda tx, scene: jobs.claim(
        tx, worker_id=WORKER, want=20, now=scene.now, retention=RETENTION
    ),
    "ending calls": _finish,
    "which claims hold": lambda tx, scene: jobs.lost(tx, [job.fence for job in scene.running]),
    "what a worker holds": lambda tx, _: jobs.held_by(tx, WORKER),
    "publishing": lambda tx, scene: jobs.publish(tx, [job.fence for job in scene.running]),
    "releasing": lambda tx, _: jobs.release_held(tx, WORKER),
    "cancelling and deleting": _cancel_and_delete,
    "noting metadata": lambda tx, scene: jobs.set_metadata(tx, _middle(scene), {"a": "b"}),
    "ending foreground jobs": lambda tx, scene: jobs.expire_foreground(
        tx, scene.queued, now=scene.now + 7_200, retention=RETENTION
    ),
    "ending a deleted provider's jobs": lambda tx, scene: jobs.fail_of_deleted_provider(
        tx, scene.kinds[0].provider_id, now=scene.now, retention=RETENTION
    ),
    "sweeping": lambda tx, scene: jobs.sweep(tx, now=scene.now + 7_200, retention=RETENTION),
    "purging jobs": lambda tx, scene: jobs.purge(tx, now=scene.now),
    "delivering webhooks": _deliver,
    "a key's tokens of today": lambda tx, scene: usage.tokens(
        tx, key_of(ANN), since=scene.now // DAY * DAY
    ),
    "a scrape": lambda tx, scene: facts.read(tx, now=scene.now),
}


def _list(after: bool = False, newest_first: bool = True, **wanted: Any) -> Use:
    def use(tx: sa.Connection, scene: Scene) -> object:
        asked = Wanted(**wanted)
        behind = _middle(scene) if after else None
        return jobs.page(tx, asked, limit=20, after=behind, newest_first=newest_first)

    return use


def _lists() -> Mapping[str, Use]:
    whose = {"an owner's jobs": ANN, "all jobs": None}
    filters: Mapping[str, Mapping[str, Any]] = {
        "": {},
        ", completed": {"state": JobState.COMPLETED},
        ", failed": {"state": JobState.FAILED},
        ", cancelled": {"state": JobState.CANCELLED},
        ", queued": {"state": JobState.QUEUED},
        ", running": {"state": JobState.IN_PROGRESS},
        " of a provider": {"provider": "p1"},
        " of a seldom used provider": {"provider": "rare"},
        " of an unknown provider": {"provider": NOBODY},
        " of a model": {"model": "p1/one"},
        " of an unknown model": {"model": NOBODY},
        " with a rare note": {"metadata": {"run": "7"}},
        " with a note that nobody made": {"metadata": {"run": NOBODY}},
        " of a model with a rare note": {"model": "p1/one", "metadata": {"run": "7"}},
    }
    found: dict[str, Use] = {}
    for who, owner in whose.items():
        for what, wanted in filters.items():
            found[f"{who}{what}, newest first"] = _list(owner=owner, **wanted)
            found[f"{who}{what}, oldest first"] = _list(newest_first=False, owner=owner, **wanted)
        found[f"{who}, from the middle on"] = _list(after=True, owner=owner)
    return found


LISTS: Final = _lists()
# The queue is counted once a second, its lanes at each scrape, a place in it up to 1,000.
_COUNTED: Final = {"counting the queue", "a scrape", "reading a place in the queue"}
# All of a provider's queued jobs end with it, and all that are late.
_OF_ALL: Final = {"ending a deleted provider's jobs", "sweeping", "what hangs on a provider"}
QUEUES: Final[Mapping[str, Use]] = {
    name: use
    for name, use in {**WORK, **LISTS}.items()
    if name not in _COUNTED | _OF_ALL and "completed" not in name
}


def _audit(newest_first: bool = True, **wanted: Any) -> Use:
    def use(tx: sa.Connection, scene: Scene) -> object:
        asked = {
            name: scene.now - value * DAY if name in ("since", "until") else value
            for name, value in wanted.items()
        }
        return audit.page(
            tx, audit.Wanted(**asked), limit=20, after=None, newest_first=newest_first
        )

    return use


def _feed(newest: bool = False, **wanted: Any) -> Use:
    def use(tx: sa.Connection, scene: Scene) -> object:
        last = events.last_seq(tx)
        after = last - 20 if newest else 0
        return events.feed(tx, after, upto=last, limit=21, **wanted)

    return use


TRAILS: Final[Mapping[str, Use]] = {
    "the trail": _audit(),
    "the trail, oldest first": _audit(newest_first=False),
    "the trail of an action": _audit(action="session.login"),
    "the trail of an action that nobody did": _audit(action="provider.delete"),
    "the trail of an owner": _audit(actor=ANN),
    "the trail of nobody": _audit(actor=NOBODY),
    "the trail of a key": _audit(actor=key_of(ANN)),
    "the trail of a subject": _audit(subject=key_of(ANN)),
    "the trail of the last hour": _audit(since=1 / 24),
    "the trail of the last hour, oldest first": _audit(since=1 / 24, newest_first=False),
    "the trail until an hour ago": _audit(until=1 / 24),
    "the trail until an hour ago, oldest first": _audit(until=1 / 24, newest_first=False),
    "an entry that repeats": lambda tx, scene: audit.is_repeated(
        tx, Actor("a"), Action.SESSION_LOGIN, subject=key_of(ANN), since=scene.now
    ),
    "the feed from its beginning": _feed(),
    "the feed's end": _feed(newest=True),
    "the feed of a type": _feed(type_=EventType.MODELS_CHANGED),
    "the feed of a type that never was": _feed(type_=EventType.PROVIDER_DELETED),
    "the feed of nobody": _feed(subject=NOBODY),
    "the relay's look": lambda tx, _: events.after(tx, events.last_seq(tx), limit=100),
    "a provider's events": lambda tx, scene: events.timeline(
        tx, scene.kinds[0].provider_id, limit=20, newest_first=True
    ),
    "purging events": lambda tx, scene: events.purge(tx, now=scene.now),
}


def _usage(by: Sequence[str]) -> Use:
    def use(tx: sa.Connection, scene: Scene) -> object:
        period = Period(scene.now - 6 * HOUR, scene.now + HOUR)
        return usage.totals(tx, period, by, limit=1_000)

    return use


_SUMS: Final = ("provider_id",), ("day", "provider_id"), ("owner",), ("key_id",), ("model",), ()
USAGE: Final[Mapping[str, Use]] = {
    f"usage of some hours by {' and '.join(by) or 'nothing'}": _usage(by) for by in _SUMS
}

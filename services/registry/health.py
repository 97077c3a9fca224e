"""Whether this process lives, and whether what it needs is there. No key is needed.

Only the database decides between 200 and 503: without Redis or a chat worker chats are still
accepted and will be run, so a load balancer must not take the registry away for their sake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import gevent
import sqlalchemy as sa
from flask import Response
from redis.exceptions import RedisError

from services.registry import answers, relay
from services.registry.blueprints import Blueprint
from services.registry.parts import Parts
from services.registry.shapes import ref
from shared.errors import StoreUnavailable
from shared.store.database import database_now
from shared.store.schema import leader, worker

PATIENCE_SECONDS: Final = 2.0


def blueprint(parts: Parts) -> Blueprint:
    """The routes of health over these parts."""
    routes = Blueprint("health", __name__, url_prefix="/health", description="Probes.")

    @routes.get("/live")
    @routes.doc(security=[])
    @routes.response(200, ref("Liveness"))
    def live() -> Response:
        """Answers while the process serves requests."""
        return answers.json_answer({"status": "ok"})

    @routes.get("/ready")
    @routes.doc(security=[])
    @routes.response(200, ref("Health"))
    @routes.alt_response(503, schema=ref("Health"), description="the database is away")
    def ready() -> Response:
        """Whether chats are accepted, with each dependency."""
        found = _database(parts)
        found["redis"] = _within(lambda: bool(parts.redis.ping()))
        degraded = not all(found.values())
        status = "ok"
        if degraded:
            status = "degraded" if found["database"] else "unavailable"
        checks = {name: "ok" if fine else "away" for name, fine in found.items()}
        document = {"status": status, "checks": checks}
        return answers.json_answer(document, 200 if found["database"] else 503)

    return routes


def _database(parts: Parts) -> dict[str, bool]:
    found: dict[str, bool] = {}

    def leases(tx: sa.Connection) -> bool:
        alive = worker.c.lease_until > database_now()
        leads = sa.and_(leader.c.name == relay.DUTY, leader.c.lease_until > database_now())
        found["chat_worker"] = tx.execute(sa.select(worker.c.id).where(alive)).first() is not None
        found["relay"] = tx.execute(sa.select(leader.c.name).where(leads)).first() is not None
        return True

    fine = _within(lambda: parts.transactions.read(leases))
    return {"database": fine, "chat_worker": False, "relay": False, **found}


def _within(ask: Callable[[], bool]) -> bool:
    try:
        with gevent.Timeout(PATIENCE_SECONDS):
            return ask()
    except (gevent.Timeout, RedisError, OSError, StoreUnavailable):
        return False

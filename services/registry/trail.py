"""Who does what is being done, as the audit trail has it."""

from __future__ import annotations

from flask import g, request

from shared.store.access import Caller
from shared.store.audit import NOBODY, Actor
from shared.telemetry import request_id


def actor(caller: Caller | None = None) -> Actor:
    """The actor of the request being served: `caller`, or whom its guard found, or nobody.

    Take it before a transaction: those run in other threads.
    """
    found: Caller | None = caller or g.get("caller")
    told = {"request_id": request_id.get(), "address": request.remote_addr}
    if found is None:
        return Actor(NOBODY, **told)
    return Actor(found.name, found.owner, found.key_id, **told)

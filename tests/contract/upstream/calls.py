"""Clients and targets for the tests: short bounds, loopback allowed, names without a DNS."""

from __future__ import annotations

import asyncio
import json
import socket
import warnings
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from shared.errors import UpstreamFailure
from shared.telemetry import Secret
from shared.upstream import Bounds, ConnectionLost, Target, UpstreamClient
from shared.upstream.addresses import LOOPBACK
from shared.upstream.guard import AddressInfo, Lookup
from shared.upstream.policy import OutboundPolicy

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()
SHORT = Bounds(connect=0.5, first_byte=0.25, idle=0.25, total=1.0)
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on a loop of its own; a connection or task left behind fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return asyncio.run(work)


def names(**addresses: str) -> Lookup:
    """A DNS that knows `upstream.test` and the names given (`_` for `.`), each one address."""
    table = {name.replace("_", "."): address for name, address in addresses.items()}
    table.setdefault("upstream.test", "127.0.0.1")

    def lookup(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        if host not in table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        version = socket.AF_INET6 if ":" in table[host] else socket.AF_INET
        return [(version, socket.SOCK_STREAM, 6, "", (table[host], port))]

    return lookup


@asynccontextmanager
async def client(
    policy: OutboundPolicy | None = None, lookup: Lookup | None = None
) -> AsyncIterator[UpstreamClient]:
    """A client that is closed at the end."""
    made = UpstreamClient(policy or OutboundPolicy(allowed=LOOPBACK), lookup=lookup or names())
    try:
        yield made
    finally:
        await made.aclose()


def target(origin: str, key: str | None = None, **more: Any) -> Target:
    """The provider at this origin."""
    return Target(
        chat_url=f"{origin}/v1/chat/completions",
        models_url=f"{origin}/v1/models",
        api_key=Secret(key) if key is not None else None,
        **more,
    )


async def failure_of(
    calling: UpstreamClient, at: Target, bounds: Bounds = SHORT
) -> tuple[UpstreamFailure | ConnectionLost, bool]:
    """The failure that a chat ends with, and whether `on_sent` was called."""
    sent: list[bool] = []
    try:
        answer = await calling.chat(at, BODY, bounds, on_sent=lambda: sent.append(True))
    except (UpstreamFailure, ConnectionLost) as failure:
        return failure, bool(sent)
    raise AssertionError(f"expected a failure, got {answer}")

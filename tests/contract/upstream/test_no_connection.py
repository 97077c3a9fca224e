"""Promise 13: the whole corpus of spellings against real listeners that must see 0 connections.

Every name leads to loopback here, and so does every number that a resolver can read as an address:
whatever is not refused arrives.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Iterator, Sequence

import pytest

from shared.errors import OutboundForbidden, UpstreamFailure
from shared.upstream import (
    Bounds,
    ConnectionLost,
    DiscoveryFailure,
    Obstacle,
    Target,
    UpstreamClient,
)
from shared.upstream.addresses import LOOPBACK
from shared.upstream.endpoint import resolve
from shared.upstream.guard import AddressInfo
from shared.upstream.policy import OutboundPolicy
from tests.contract.upstream.calls import BODY, SHORT, client, run
from tests.contract.upstream.trap import Trap, trap
from tests.unit.upstream.url_corpus import LITERALS, NAMES, REFUSED, Verdict

CLOSED = OutboundPolicy()
OPEN = OutboundPolicy(allowed=LOOPBACK)
EVERYTHING = tuple(ipaddress.ip_network(text) for text in ("0.0.0.0/0", "::/0"))
REFUSED_SPELLINGS = [typed for rows in REFUSED.values() for typed in rows]
LOOPBACK_SPELLINGS = [typed for typed, *_ in LITERALS[Verdict.LOOPBACK]]
# Hundreds of names are looked up at once: none may be given up before it is judged.
PATIENT = Bounds(connect=30, first_byte=30, idle=30, total=60)
_PORT = re.compile(r":[0-9]*$")


def to_loopback(host: str, port: int, family: int) -> Sequence[AddressInfo]:
    """What the system reads as a number, and 127.0.0.1 for every name."""
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, numeric)
    except OSError:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    return found


def at_port(typed: str, port: int) -> str:
    """The spelling with this port, in whatever passes for its authority."""
    scheme, colon, rest = typed.partition("://") if "://" in typed else ("", "", typed)
    end = next((at for at, char in enumerate(rest) if char in "/?#\\"), len(rest))
    host = rest[:end]
    if host.count(":") == 1 or "]" in host:
        host = _PORT.sub("", host)
    return f"{scheme}{colon}{host}:{port}{rest[end:]}"


@pytest.fixture
def listeners() -> Iterator[Trap]:
    """One port on both loopbacks, or on the one that this machine has."""
    addresses = ["127.0.0.1", "::1"] if socket.has_ipv6 else ["127.0.0.1"]
    try:
        with trap(*addresses) as both:
            yield both
    except OSError:
        with trap("127.0.0.1") as one:
            yield one


async def codes(
    calling: UpstreamClient, targets: Iterable[Target], bounds: Bounds = PATIENT
) -> list[str]:
    """How a chat and a look at the list end for each target; "answered" would be a surprise."""

    async def one(at: Target) -> list[str]:
        ends = []
        for call in (calling.chat(at, BODY, bounds), calling.list_models(at, bounds)):
            try:
                await call
            except (UpstreamFailure, DiscoveryFailure) as failure:
                ends.append(failure.code)
            except ConnectionLost:
                ends.append("lost")
            else:
                ends.append("answered")
        return ends

    return [end for ends in await asyncio.gather(*map(one, targets)) for end in ends]


def resolved(typed: str) -> Target:
    found = resolve(typed)
    return Target(found.chat_url, found.models_url, None)


def test_no_refused_spelling_is_dialled_even_when_it_slips_past_the_resolver(
    listeners: Trap,
) -> None:
    """A row of the database that nobody resolved; an allow list that holds loopback."""
    spellings = [*REFUSED_SPELLINGS, *(at_port(t, listeners.port) for t in REFUSED_SPELLINGS)]

    async def main() -> None:
        async with client(OPEN, to_loopback) as calling:
            ends = await codes(calling, [Target(text, text, None) for text in spellings])
        assert set(ends) == {OutboundForbidden.code}

    run(main())
    assert listeners.connections() == 0


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.PUBLIC])
def test_no_forbidden_address_is_dialled_in_any_spelling(verdict: Verdict, listeners: Trap) -> None:
    policy = OutboundPolicy(allowed=EVERYTHING) if verdict is Verdict.NEVER else CLOSED
    targets = [resolved(at_port(typed, listeners.port)) for typed, *_ in LITERALS[verdict]]

    async def main() -> None:
        async with client(policy, to_loopback) as calling:
            assert set(await codes(calling, targets)) == {OutboundForbidden.code}

    run(main())
    assert listeners.connections() == 0


def test_no_name_that_leads_to_a_forbidden_address_is_dialled(listeners: Trap) -> None:
    targets = [resolved(at_port(typed.strip(), listeners.port)) for typed, *_ in NAMES]

    async def main() -> None:
        async with client(CLOSED, to_loopback) as calling:
            assert set(await codes(calling, targets)) == {OutboundForbidden.code}

    run(main())
    assert listeners.connections() == 0


def test_a_provider_that_is_only_tested_is_not_dialled_either(listeners: Trap) -> None:
    """The steps of POST /v1/providers/test: looking up, and dialling what somebody slips in."""
    spellings = [*LOOPBACK_SPELLINGS, *(typed.strip() for typed, *_ in NAMES)]
    forged = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", listeners.port))]

    async def main() -> None:
        async with client(CLOSED, to_loopback) as calling:
            for typed in spellings:
                found = resolve(at_port(typed, listeners.port))
                with pytest.raises(Obstacle, match="Expected an address that may be called"):
                    await calling.probe.resolve(found.host, found.port, seconds=1)
            with pytest.raises(Obstacle, match="this machine"):
                await calling.probe.connect(forged, seconds=1)

    run(main())
    assert listeners.connections() == 0


def test_no_spelling_reaches_a_port_of_our_own(listeners: Trap) -> None:
    own = OutboundPolicy(allowed=EVERYTHING, own_local_ports=frozenset({listeners.port}))
    spellings = [*LOOPBACK_SPELLINGS, *(typed.strip() for typed, *_ in NAMES)]
    targets = [resolved(at_port(typed, listeners.port)) for typed in spellings]

    async def main() -> None:
        async with client(own, to_loopback) as calling:
            assert set(await codes(calling, targets)) == {OutboundForbidden.code}

    run(main())
    assert listeners.connections() == 0


def test_the_listeners_would_have_seen_it(listeners: Trap) -> None:
    """The same spellings with an open allow list: every name and most literals arrive."""
    spellings = [typed for typed in LOOPBACK_SPELLINGS if "[2" not in typed and "[64" not in typed]
    spellings += [typed.strip() for typed, *_ in NAMES if not typed.startswith("http")]
    targets = [resolved(at_port(typed, listeners.port)) for typed in spellings]

    async def main() -> None:
        async with client(OPEN, to_loopback) as calling:
            assert OutboundForbidden.code not in await codes(calling, targets, SHORT)

    run(main())
    assert listeners.connections() >= len(spellings)

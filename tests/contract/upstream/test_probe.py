"""The steps on the way to a server: what each says, what to do about it, and what it never does."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager

import pytest

from shared.upstream import Obstacle, obstacles
from shared.upstream.guard import AddressInfo, Lookup
from shared.upstream.policy import OutboundPolicy
from shared.upstream.probe import Probe
from tests.contract.upstream.calls import client, names, run
from tests.contract.upstream.stage import answering, serving
from tests.simulators import refusing, unaccepting

SECONDS = 2.0
SHORT = 0.2


@asynccontextmanager
async def probing(
    policy: OutboundPolicy | None = None, lookup: Lookup | None = None
) -> AsyncIterator[Probe]:
    async with client(policy, lookup) as made:
        yield made.probe


def at(*addresses: str, port: int = 1) -> Sequence[AddressInfo]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]


async def met(step: Awaitable[object]) -> Obstacle:
    """The obstacle that a step meets."""
    with pytest.raises(Obstacle) as caught:
        await step
    return caught.value


def failing(number: int, words: str) -> Lookup:
    def lookup(*_: object) -> Sequence[AddressInfo]:
        raise socket.gaierror(number, words)

    return lookup


def test_a_name_becomes_addresses_and_an_address_stays_one() -> None:
    async def main() -> None:
        async with probing() as probe:
            for host in ("upstream.test", "127.0.0.1"):
                (found,) = await probe.resolve(host, 8000, seconds=SECONDS)
                assert found[4] == ("127.0.0.1", 8000)

    run(main())


@pytest.mark.parametrize(
    ("lookup", "remedy"),
    [
        (failing(socket.EAI_NONAME, "Name or service not known"), obstacles.CHECK_SPELLING),
        (failing(socket.EAI_AGAIN, "Temporary failure"), obstacles.ASK_NAME_SERVER),
        (lambda *_: [], obstacles.CHECK_SPELLING),
    ],
    ids=["unknown", "no name server", "no address"],
)
def test_a_name_without_an_address_is_an_obstacle(lookup: Lookup, remedy: str) -> None:
    async def main() -> None:
        async with probing(lookup=lookup) as probe:
            obstacle = await met(probe.resolve("nowhere.test", 80, seconds=SECONDS))
            assert "nowhere.test" in obstacle.message
            assert obstacle.remedy == remedy

    run(main())


def test_a_name_that_hangs_is_given_up_in_time() -> None:
    let_go = threading.Event()

    def lookup(*_: object) -> Sequence[AddressInfo]:
        let_go.wait(10)
        return []

    async def main() -> None:
        try:
            async with probing(lookup=lookup) as probe:
                obstacle = await met(probe.resolve("slow.test", 80, seconds=SHORT))
                assert obstacle.remedy == obstacles.ASK_NAME_SERVER
                assert "0.2 s" in obstacle.message
        finally:
            let_go.set()

    run(main())


@pytest.mark.parametrize("host", ["10.1.2.3", "169.254.169.254", "inside.test", "::1"])
def test_the_guard_judges_literals_and_names(host: str) -> None:
    async def main() -> None:
        policy = OutboundPolicy()
        async with probing(policy, names(inside_test="10.1.2.3")) as probe:
            obstacle = await met(probe.resolve(host, 80, seconds=SECONDS))
            assert "may be called" in obstacle.message
            assert "DRAGOMAN_OUTBOUND_ALLOW" in obstacle.remedy

    run(main())


def test_the_guard_judges_every_address_that_is_dialled() -> None:
    async def main() -> None:
        async with serving(answering(b"")) as stage, probing(OutboundPolicy()) as probe:
            obstacle = await met(probe.connect(at("127.0.0.1", port=stage.port), seconds=SECONDS))
            assert "DRAGOMAN_OUTBOUND_ALLOW" in obstacle.message
            assert obstacle.remedy == obstacles.WIDEN_POLICY
            assert stage.connections == 0

    run(main())


def test_a_connection_is_made_to_the_first_address_that_takes_one() -> None:
    async def main() -> None:
        async with serving(answering(b"")) as stage, probing() as probe:
            both = at("127.0.0.2", "127.0.0.1", port=stage.port)
            reached = await probe.connect(both, seconds=SECONDS)
            assert reached.address == "127.0.0.1"
            reached.connection.close()

    run(main())


def test_a_refused_connection_asks_whether_the_server_runs_and_where() -> None:
    async def main() -> None:
        async with probing() as probe:
            with refusing() as url:
                port = int(url.rpartition(":")[2])
                obstacle = await met(probe.connect(at("127.0.0.1", port=port), seconds=SECONDS))
        assert f"127.0.0.1 port {port}: Connection refused" in obstacle.message
        assert obstacle.remedy == obstacles.CHECK_LOCALHOST
        assert "container" in obstacle.remedy

    run(main())


def test_an_address_that_answers_nothing_is_given_up_in_time() -> None:
    async def main() -> None:
        async with probing() as probe:
            with unaccepting() as url:
                port = int(url.rpartition(":")[2])
                obstacle = await met(probe.connect(at("127.0.0.1", port=port), seconds=SHORT))
        assert "no answer" in obstacle.message
        assert obstacle.remedy == obstacles.CHECK_FIREWALL

    run(main())

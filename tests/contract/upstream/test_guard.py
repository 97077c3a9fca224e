"""No forbidden address is dialled: literals, names, rebinding names, races, our own ports."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence

import pytest

from shared.errors import OutboundForbidden, UpstreamUnreachable
from shared.upstream import DiscoveryFailure
from shared.upstream.addresses import LOOPBACK, PRIVATE
from shared.upstream.guard import LOOKUP_THREADS, AddressInfo, GuardedResolver
from shared.upstream.policy import OutboundPolicy
from tests.contract.upstream.behaviours import GOOD
from tests.contract.upstream.calls import BODY, SHORT, client, failure_of, names, run, target
from tests.contract.upstream.stage import Wire, answering, http, serving

CLOSED = OutboundPolicy()
OPEN = OutboundPolicy(allowed=(*LOOPBACK, *PRIVATE))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:7f00:1]", "upstream.test"])
def test_a_forbidden_listener_sees_no_connection(host: str) -> None:
    async def main() -> None:
        async with serving(answering(http(200, GOOD))) as stage, client(CLOSED) as calling:
            failure, sent = await failure_of(calling, target(f"http://{host}:{stage.port}"))
            assert type(failure) is OutboundForbidden
            assert (failure.sent, failure.may_have_been_billed, sent) == (False, False, False)
            assert "127.0.0.1 is this machine (loopback)" in failure.message
            assert "DRAGOMAN_OUTBOUND_ALLOW" in failure.message
            assert stage.connections == 0

    run(main())


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "0.0.0.0", "[fe80::1]", "[64:ff9b::a9fe:a9fe]"]
)
def test_the_never_list_is_refused_at_once_although_all_is_allowed(host: str) -> None:
    async def main() -> None:
        async with client(OPEN) as calling:
            failure, _ = await failure_of(calling, target(f"http://{host}"))
            assert type(failure) is OutboundForbidden

    run(main())


def test_all_callers_that_wait_for_one_lookup_learn_that_it_was_forbidden() -> None:
    """A name is looked up once for all of them: the verdict must reach each."""
    arrived = threading.Event()

    def slow(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        arrived.wait(5)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    async def main() -> None:
        async with client(CLOSED, slow) as calling:
            waiting = [
                asyncio.create_task(failure_of(calling, target("http://one.test")))
                for _ in range(20)
            ]
            await asyncio.sleep(0)
            arrived.set()
            failures = await asyncio.gather(*waiting)
            assert {type(failure) for failure, _ in failures} == {OutboundForbidden}

    run(main())


def test_a_name_that_turns_bad_between_lookup_and_dial_is_refused_when_dialled() -> None:
    """The cache of good answers is no way around: the socket factory judges what is dialled."""

    async def main() -> None:
        port_of_ours = 9

        class Rebinding(OutboundPolicy):
            lookups = 0

            def refusal(self, address: str, port: int) -> str | None:
                Rebinding.lookups += 1
                return None if Rebinding.lookups == 1 else f"{address} turned bad"

        async with client(Rebinding()) as calling:
            failure, _ = await failure_of(calling, target(f"http://upstream.test:{port_of_ours}"))
        assert type(failure) is OutboundForbidden
        assert "turned bad" in failure.message
        assert Rebinding.lookups == 2

    run(main())


def test_the_verdict_survives_a_race_of_several_addresses() -> None:
    """Two addresses race each other, and the other one's error may be the one that is told."""

    def two(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    class OnlyWhenDialled(OutboundPolicy):
        seen = 0

        def refusal(self, address: str, port: int) -> str | None:
            OnlyWhenDialled.seen += 1
            dialled = OnlyWhenDialled.seen > 2
            return "it is not to be dialled" if dialled and address == "::1" else None

    async def main() -> None:
        async with client(OnlyWhenDialled(), two) as calling:
            failure, sent = await failure_of(calling, target("http://two.test:9"))
        assert type(failure) is OutboundForbidden
        assert not failure.sent
        assert not sent

    run(main())


def test_our_own_listener_is_refused_although_loopback_is_allowed() -> None:
    async def main() -> None:
        async with serving(answering(http(200, GOOD))) as stage:
            ours = OutboundPolicy(
                allowed=LOOPBACK,
                own_names=frozenset({("upstream.test", stage.port)}),
                own_local_ports=frozenset({stage.port}),
            )
            async with client(ours) as calling:
                for host in ("127.0.0.1", "127.9.9.9", "upstream.test"):
                    failure, _ = await failure_of(calling, target(f"http://{host}:{stage.port}"))
                    assert type(failure) is OutboundForbidden
                    assert "Dragoman's own services" in failure.message
            assert stage.connections == 0

    run(main())


def test_proxies_named_in_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(answering(http(502))) as proxy:
            for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
            async with serving(answering(http(200, GOOD))) as stage, client() as calling:
                at = target(f"http://127.0.0.1:{stage.port}")
                assert (await calling.chat(at, BODY, SHORT)).status == 200
            assert proxy.connections == 0

    run(main())


def test_discovery_is_guarded_too() -> None:
    async def main() -> None:
        async with client(CLOSED) as calling:
            with pytest.raises(DiscoveryFailure) as failure:
                await calling.list_models(target("http://127.0.0.1:9"), SHORT)
        assert failure.value.code == "outbound_forbidden"

    run(main())


def test_names_are_looked_up_once_in_30_seconds_and_32_at_a_time() -> None:
    lookups: list[str] = []
    running = 0
    most = 0
    lock = threading.Lock()
    enough = threading.Event()

    def counting(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        nonlocal running, most
        with lock:
            lookups.append(host)
            running += 1
            most = max(most, running)
            if running == LOOKUP_THREADS:
                enough.set()
        enough.wait(5)
        with lock:
            running -= 1
        raise socket.gaierror(socket.EAI_NONAME, "no")

    async def many() -> None:
        resolver = GuardedResolver(OPEN, counting)
        asked = [resolver.resolve(f"h{number}.test", 80) for number in range(LOOKUP_THREADS + 8)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(result, OSError) for result in results)
        await resolver.close()

    run(many())
    assert most == LOOKUP_THREADS

    async def cached() -> None:
        lookups.clear()

        def once(host: str, port: int, family: int) -> Sequence[AddressInfo]:
            lookups.append(host)
            return names()(host, port, family)

        async def closing(wire: Wire) -> None:
            await wire.request()
            await wire.send(http(200, GOOD, "application/json", "Connection: close"))

        async with serving(closing) as stage, client(OPEN, once) as calling:
            for _ in range(5):
                await calling.chat(target(f"http://upstream.test:{stage.port}"), BODY, SHORT)
            assert stage.connections == 5

    run(cached())
    assert lookups == ["upstream.test"]


def test_an_empty_answer_of_the_dns_is_no_address() -> None:
    async def main() -> None:
        async with client(OPEN, lambda host, port, family: []) as calling:
            failure, _ = await failure_of(calling, target("http://empty.test"))
        assert type(failure) is UpstreamUnreachable

    run(main())

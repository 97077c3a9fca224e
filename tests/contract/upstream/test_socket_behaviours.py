"""Over real sockets: the class of every failure, against what the server really saw."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Sequence

import psutil
import pytest

from shared.errors import UpstreamTimeout, UpstreamUnreachable
from shared.upstream import Bounds, ConnectionLost
from shared.upstream.guard import AddressInfo
from tests.contract.upstream.behaviours import BEHAVIOURS, GOOD, Expected
from tests.contract.upstream.calls import SHORT, client, failure_of, run, target
from tests.contract.upstream.stage import Script, Stage, Wire, answering, http, serving
from tests.simulators import refusing, unaccepting


@pytest.mark.parametrize(("script", "expected"), BEHAVIOURS.values(), ids=BEHAVIOURS.keys())
def test_a_call_is_called_what_it_was(script: Script, expected: Expected) -> None:
    async def main() -> None:
        async with serving(script) as stage, client() as calling:
            began = time.monotonic()
            failure, sent = await failure_of(calling, target(f"http://127.0.0.1:{stage.port}"))
            assert time.monotonic() - began < SHORT.total + 1
            assert type(failure) is expected.kind
            assert expected.says in failure.message
            assert f"127.0.0.1:{stage.port}" in failure.message
            assert failure.may_have_been_billed == expected.billed
            if not isinstance(failure, ConnectionLost):
                assert failure.phase == expected.phase
                assert failure.upstream_status == expected.status
                assert failure.refused_for_now == expected.refused_for_now
                assert failure.retry_after == expected.retry_after
            assert failure.sent
            assert sent
            check_against(stage, expected)

    run(main())


def check_against(stage: Stage, expected: Expected) -> None:
    """Work that began and was not clearly refused must count as possibly billed."""
    began = bool(stage.requests)
    clearly_refused = expected.status is not None and not (
        200 <= expected.status < 300 or expected.status in (502, 504)
    )
    if began and not clearly_refused:
        assert expected.billed
    assert stage.connections == 1


def test_there_are_enough_behaviours() -> None:
    assert len(BEHAVIOURS) >= 50


def test_a_refused_connection_was_not_sent_and_fails_fast() -> None:
    async def main() -> None:
        with refusing() as origin:
            async with client() as calling:
                began = time.monotonic()
                failure, sent = await failure_of(calling, target(origin))
        assert type(failure) is UpstreamUnreachable
        assert (failure.sent, failure.may_have_been_billed, sent) == (False, False, False)
        assert "Connection refused" in failure.message
        assert time.monotonic() - began < 0.5

    run(main())


def test_a_host_that_drops_packets_ends_at_the_connect_bound() -> None:
    async def main() -> None:
        with unaccepting() as origin:
            async with client() as calling:
                began = time.monotonic()
                failure, sent = await failure_of(
                    calling, target(origin), Bounds(connect=0.3, first_byte=5, idle=5, total=5)
                )
        assert type(failure) is UpstreamTimeout
        assert (failure.phase, failure.sent, sent) == ("connect", False, False)
        assert not failure.may_have_been_billed
        assert 0.2 < time.monotonic() - began < 1.3

    run(main())


def test_the_whole_bound_covers_connecting_too() -> None:
    async def main() -> None:
        with unaccepting() as origin:
            async with client() as calling:
                failure, sent = await failure_of(
                    calling, target(origin), Bounds(connect=5, first_byte=5, idle=5, total=0.2)
                )
        assert type(failure) is UpstreamTimeout
        assert (failure.phase, failure.sent, sent) == ("total", False, False)
        assert not failure.may_have_been_billed

    run(main())


def test_an_unknown_name_was_not_sent() -> None:
    async def main() -> None:
        async with client() as calling:
            failure, sent = await failure_of(calling, target("http://nosuch.test"))
        assert type(failure) is UpstreamUnreachable
        assert (failure.sent, failure.may_have_been_billed, sent) == (False, False, False)
        assert "nosuch.test:80" in failure.message
        assert "does not resolve" in failure.message

    run(main())


def test_a_name_of_absurd_length_was_not_sent() -> None:
    """The resolver refuses a label over 63 characters; an alias in the DNS may hold one."""

    def real(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        return socket.getaddrinfo(f"{'a' * 64}.test", port)

    async def main() -> None:
        async with client(lookup=real) as calling:
            failure, _ = await failure_of(calling, target("http://alias.test"))
        assert type(failure) is UpstreamUnreachable
        assert not failure.sent

    run(main())


def test_a_hanging_lookup_ends_at_the_connect_bound() -> None:
    released = threading.Event()

    def hanging(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        released.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")

    async def main() -> None:
        async with client(lookup=hanging) as calling:
            bounds = Bounds(connect=0.2, first_byte=5, idle=5, total=5)
            failure, sent = await failure_of(calling, target("http://slow.test"), bounds)
            released.set()
        assert type(failure) is UpstreamTimeout
        assert (failure.phase, failure.sent, sent) == ("connect", False, False)

    run(main())


def test_a_connection_that_died_while_kept_is_not_retried_by_itself() -> None:
    """A POST on a dying connection is ambiguous: it must surface, never be sent twice."""

    async def once(wire: Wire) -> None:
        await wire.request()
        await wire.send(http(200, GOOD))
        await wire.request()  # the second call arrives on the kept connection
        wire.reset()

    async def main() -> None:
        async with serving(once) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            await calling.chat(at, b'{"model":"m"}', SHORT)
            failure, sent = await failure_of(calling, at)
            assert type(failure) is ConnectionLost
            assert sent
            assert (stage.connections, len(stage.requests)) == (1, 2)

    run(main())


def test_a_call_that_is_given_up_closes_its_connection() -> None:
    async def silent(wire: Wire) -> None:
        await wire.request()
        await wire.hang_up()

    async def main() -> None:
        async with serving(silent) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await calling.chat(at, b'{"model":"m"}', Bounds())
            await asyncio.wait_for(stage.hung_up.wait(), 2)

    run(main())


def test_a_body_that_nobody_reads_does_not_keep_a_connection_for_ever() -> None:
    async def deaf(wire: Wire) -> None:
        await asyncio.sleep(30)

    async def main() -> None:
        large = b'{"model":"m","messages":"' + b"x" * 16 * 2**20 + b'"}'
        async with serving(deaf) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            with pytest.raises(UpstreamTimeout) as late:
                await calling.chat(at, large, SHORT)
            assert late.value.sent
            assert late.value.phase == "first_byte"
            await asyncio.wait_for(gone(stage.port), 2)

    run(main())


async def gone(port: int) -> None:
    """Wait until this process holds no connection to `port`."""
    process = psutil.Process()
    while any(c.raddr[1:] == (port,) for c in process.net_connections("tcp")):
        await asyncio.sleep(0.02)


def test_the_good_answer_is_whole_and_timed() -> None:
    async def main() -> None:
        raw = http(200, GOOD, "application/json", "X-Request-Id: req-1")
        async with serving(answering(raw)) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            answer = await calling.chat(at, b'{"model":"m"}', SHORT)
            assert answer.body["choices"][0]["message"]["content"] == "hi"
            assert (answer.status, answer.request_id) == (200, "req-1")
            assert answer.connect_seconds is not None
            assert 0 < answer.connect_seconds <= answer.first_byte_seconds <= answer.total_seconds
            assert answer.total_seconds < 1

    run(main())

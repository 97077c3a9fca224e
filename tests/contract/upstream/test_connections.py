"""Connections: which are kept for the next call, and what HTTP/1.1 may do to one."""

from __future__ import annotations

import asyncio
import json
import socket
import threading

import pytest

from shared.errors import UpstreamInvalidAnswer, UpstreamRefused, UpstreamStreamBroken
from shared.upstream import Bounds, pool
from tests.contract.upstream.behaviours import GOOD, HEAD
from tests.contract.upstream.calls import BODY, SHORT, client, failure_of, run, target
from tests.contract.upstream.stage import Script, Wire, http, serving

PATIENT = Bounds(connect=5, first_byte=10, idle=10, total=20)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def answering_each(raw: bytes) -> Script:
    """Answer every request of a connection, until the client leaves."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(raw)

    return script


def connections_of_two_calls(raw: bytes, *, pause: float = 0.0) -> int:
    """How many connections two calls in turn take, of a server that would keep each."""

    async def main() -> int:
        async with serving(answering_each(raw)) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            for _ in range(2):
                assert (await calling.chat(at, BODY, SHORT)).status == 200
                await asyncio.sleep(pause)
            return stage.connections

    return run(main())


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (http(200, GOOD), True),
        (CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD), True),
        (CHUNKED + b"%x;a=b\r\n%s\r\n0\r\nX-Trailer: y\r\n\r\n" % (len(GOOD), GOOD), True),
        (http(200, GOOD, "application/json", "Connection: close"), False),
        (http(200, GOOD).replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (http(200, GOOD, "application/json", "Connection: keep-alive").replace(b"1.1", b"1.0"), 1),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nContent-Type: text/html\r\n\r\n"
            + http(200, GOOD),
            True,
        ),
        (http(200, GOOD).replace(b"\r\n", b"\n"), True),  # as some servers write
        (http(200, GOOD) + http(200, GOOD), False),  # an answer that nobody asked for
    ],
    ids=["length", "chunks", "trailers", "close", "1.0", "1.0 kept", "1xx", "bare LF", "two"],
)
def test_a_connection_is_kept_where_its_answer_allows_it(raw: bytes, kept: bool) -> None:
    assert connections_of_two_calls(raw) == (1 if kept else 2)


def test_a_connection_is_not_used_again_after_two_idle_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Servers close idle connections after five; a request on a dying one is ambiguous."""
    monkeypatch.setattr(pool, "_KEEPALIVE_SECONDS", 0.1)
    assert connections_of_two_calls(http(200, GOOD), pause=0.15) == 2


def test_an_idle_connection_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_KEEPALIVE_SECONDS", 0.1)

    async def once(wire: Wire) -> None:
        await wire.request()
        await wire.send(http(200, GOOD))
        await wire.hang_up()

    async def main() -> None:
        async with serving(once) as stage, client() as calling:
            await calling.chat(target(f"http://127.0.0.1:{stage.port}"), BODY, SHORT)
            assert not stage.hung_up.is_set()
            await asyncio.wait_for(stage.hung_up.wait(), 2)

    run(main())


@pytest.mark.parametrize("parting", [b"", b"HTTP/1.1 408 X\r\nContent-Length: 0\r\n\r\n"])
def test_a_kept_connection_that_the_server_ended_is_not_used_again(parting: bytes) -> None:
    ended = asyncio.Event()

    async def once(wire: Wire) -> None:
        await wire.request()
        await wire.send(http(200, GOOD))
        await asyncio.sleep(0.02)
        await wire.send(parting)
        ended.set()

    async def main() -> None:
        async with serving(once) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            await calling.chat(at, BODY, SHORT)
            await ended.wait()
            await asyncio.sleep(0.02)
            await calling.chat(at, BODY, SHORT)
            assert (stage.connections, len(stage.requests)) == (2, 2)

    run(main())


def test_an_end_that_nobody_read_yet_is_seen_before_the_connection_is_used() -> None:
    """The loop had no turn since; a request on it would be lost, and nobody could repeat it."""
    answered, ended = threading.Event(), threading.Event()
    requests: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        for last in (False, True):
            connection, _ = listener.accept()
            with connection:
                requests.append(connection.recv(65536))
                connection.sendall(http(200, GOOD))
                if last:
                    return
                answered.wait(5)
            ended.set()

    async def main(port: int) -> None:
        async with client() as calling:
            at = target(f"http://127.0.0.1:{port}")
            await calling.chat(at, BODY, SHORT)
            answered.set()
            assert ended.wait(5)  # blocks the loop
            await calling.chat(at, BODY, SHORT)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving_thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        serving_thread.start()
        run(main(listener.getsockname()[1]))
        serving_thread.join(5)
    assert len(requests) == 2


def test_a_body_without_a_length_ends_with_its_connection_and_not_with_a_reset() -> None:
    async def closing(wire: Wire) -> None:
        await wire.request()
        await wire.send(HEAD + b"Transfer-Encoding: identity\r\n\r\n" + GOOD)

    async def resetting(wire: Wire) -> None:
        await closing(wire)
        await asyncio.sleep(0.05)
        wire.reset()

    async def main() -> None:
        async with serving(closing) as stage, client() as calling:
            answer = await calling.chat(target(f"http://127.0.0.1:{stage.port}"), BODY, SHORT)
            assert answer.body == json.loads(GOOD)
        async with serving(resetting) as stage, client() as calling:
            failure, _ = await failure_of(calling, target(f"http://127.0.0.1:{stage.port}"))
            assert type(failure) is UpstreamStreamBroken
            assert failure.may_have_been_billed

    run(main())


def test_a_101_that_nobody_asked_for_is_an_answer_like_another() -> None:
    async def main() -> None:
        raw = b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n\x00\x00\x12\x04"
        async with serving(answering_each(raw)) as stage, client() as calling:
            failure, _ = await failure_of(calling, target(f"http://127.0.0.1:{stage.port}"))
            assert type(failure) is UpstreamInvalidAnswer
            assert "status 101" in failure.message

    run(main())


@pytest.mark.parametrize(
    ("first", "unit"),
    [
        (HEAD, b"X: " + b"y" * 4096 + b"\r\n"),
        (CHUNKED + b"0\r\n", b"X: " + b"y" * 4096 + b"\r\n"),
        (CHUNKED + b"2;", b"y" * 4096),
        (b"", b"HTTP/1.1 102 X\r\nX: " + b"y" * 4096 + b"\r\n\r\n"),
    ],
    ids=["head", "trailers", "chunk extension", "1xx"],
)
def test_what_is_no_body_is_bounded_too(first: bytes, unit: bytes) -> None:
    async def flooding(wire: Wire) -> None:
        await wire.request()
        await wire.send(first)
        for _ in range(1000):  # 4 MiB
            await wire.send(unit)
        await wire.hang_up()

    async def main() -> None:
        async with serving(flooding) as stage, client() as calling:
            failure, _ = await failure_of(
                calling, target(f"http://127.0.0.1:{stage.port}"), PATIENT
            )
            assert type(failure) is UpstreamInvalidAnswer
            assert "over 64 KiB of head or framing" in failure.message

    run(main())


def test_a_server_that_refuses_a_large_body_early_is_heard_while_it_is_sent() -> None:
    large = b'{"model":"m","messages":"' + b"x" * 16 * 2**20 + b'"}'
    refusal = http(413, b'{"error":{"message":"too much"}}')
    heard = asyncio.Event()

    async def refusing(wire: Wire) -> None:
        await wire.touched()
        await wire.send(refusal)
        await heard.wait()  # reads no more of the body until then
        await wire.hang_up()

    async def main() -> None:
        async with serving(refusing) as stage, client() as calling:
            with pytest.raises(UpstreamRefused, match="too much") as refused:
                await calling.chat(target(f"http://127.0.0.1:{stage.port}"), large, PATIENT)
            assert refused.value.upstream_status == 413
            heard.set()
            await asyncio.wait_for(stage.hung_up.wait(), 5)

    run(main())

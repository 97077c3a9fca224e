"""Webhooks on the wire: what is sent, what counts as an answer, and what is never done."""

from __future__ import annotations

import asyncio
import ssl
import time

import pytest
import trustme

from shared.errors import (
    OutboundForbidden,
    UpstreamInvalidAnswer,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from shared.upstream import Bounds, ConnectionLost, UpstreamClient
from shared.upstream.endpoint import webhook_url
from shared.upstream.policy import OutboundPolicy
from tests.contract.upstream.calls import client, run
from tests.contract.upstream.stage import Script, Stage, Wire, answering, http, serving
from tests.contract.upstream.test_calls import headers_of
from tests.contract.upstream.trap import trap

BODY = b'{"id":"evt_1"}'
SIGNED = {"webhook-id": "evt_1", "webhook-timestamp": "1", "webhook-signature": "v1,c2ln"}
SHORT = Bounds(connect=0.3, first_byte=0.3, idle=0.3, total=0.3)
PATIENT = Bounds(connect=5, first_byte=5, idle=5, total=5)


async def deliver(calling: UpstreamClient, url: str, bounds: Bounds = PATIENT) -> int:
    written = webhook_url(url, param="url").url
    return await calling.deliver(written, BODY, SIGNED, bounds)


def status_of(script: Script, bounds: Bounds = PATIENT) -> tuple[int, Stage]:
    """The status that this server's answer counts as, and what the server saw."""

    async def main() -> tuple[int, Stage]:
        async with serving(script) as stage, client() as calling:
            return await deliver(calling, f"http://127.0.0.1:{stage.port}/in/?box=1", bounds), stage

    return run(main())


def test_exactly_the_body_the_path_and_these_headers_are_sent_and_no_key() -> None:
    status, stage = status_of(answering(http(200, b"thanks", "text/plain")))
    (request,) = stage.requests
    assert status == 200
    assert request.startswith(b"POST /in/?box=1 HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\n" + BODY)
    assert headers_of(request) == {
        "host": f"127.0.0.1:{stage.port}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "dragoman",
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        **SIGNED,
    }


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        http(299, b"<html>", "text/html"),
        http(410),
        http(500, b"{}"),
        http(302, b"", "text/html", "Location: http://127.0.0.1:1/elsewhere"),
        http(200, b"data: x\n\n", "text/event-stream"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut sho",
        http(200, b"no gzip", "text/plain", "Content-Encoding: gzip"),
    ],
    ids=lambda raw: raw[:40].decode(),
)
def test_whatever_comes_is_its_status_and_no_redirect_is_followed(raw: bytes) -> None:
    status, stage = status_of(answering(raw))
    assert str(status).encode() in raw[:16]
    assert (len(stage.requests), stage.connections) == (1, 1)


@pytest.mark.parametrize("piece", [b"x" * 65536, b"x", b""], ids=["flood", "drip", "silence"])
def test_a_body_without_end_is_left_at_once(piece: bytes) -> None:
    sent = 0

    async def endless(wire: Wire) -> None:
        nonlocal sent
        await wire.request()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while piece:
            await wire.send(piece)
            sent += len(piece)
            await asyncio.sleep(0 if len(piece) > 1 else 0.02)
        await wire.hang_up()

    began = time.monotonic()
    assert status_of(endless, Bounds(connect=0.4, first_byte=0.4, idle=0.4, total=0.4))[0] == 200
    assert time.monotonic() - began < 0.4
    assert sent < 16 * 2**20  # what fits into the sockets' buffers


def test_a_connection_whose_answer_was_read_is_used_again() -> None:
    async def keeping(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(http(200, b"thanks", "text/plain"))

    async def main() -> None:
        async with serving(keeping) as stage, client() as calling:
            for _ in range(3):
                await deliver(calling, f"http://127.0.0.1:{stage.port}/")
            assert (len(stage.requests), stage.connections) == (3, 1)

    run(main())


async def _hang_up(wire: Wire) -> None:
    await wire.request()
    wire.reset()


async def _say_nothing(wire: Wire) -> None:
    await wire.request()
    await wire.hang_up()


async def _drip(wire: Wire) -> None:
    await wire.request()
    while True:
        await wire.send(b"H")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        (_hang_up, ConnectionLost),
        (_say_nothing, UpstreamTimeout),
        (_drip, (UpstreamTimeout, UpstreamInvalidAnswer)),
        (answering(b"SSH-2.0\r\n\r\n"), UpstreamInvalidAnswer),
    ],
)
def test_what_is_no_answer_fails_within_its_time(
    script: Script, failure: type[Exception] | tuple[type[Exception], ...]
) -> None:
    began = time.monotonic()
    with pytest.raises(failure):
        status_of(script, SHORT)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "upstream.test"])
def test_a_forbidden_address_sees_no_connection(host: str) -> None:
    async def main(port: int) -> None:
        async with client(OutboundPolicy()) as calling:
            with pytest.raises(OutboundForbidden, match="this machine"):
                await deliver(calling, f"http://{host}:{port}/in")

    with trap("127.0.0.1") as listener:
        run(main(listener.port))
        assert listener.connections() == 0


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{}", "http://127.1:{}/", "http://u@127.0.0.1:{}/"]
)
def test_a_url_that_we_did_not_write_is_not_dialled(url: str) -> None:
    async def main(port: int) -> None:
        async with client() as calling:
            with pytest.raises(OutboundForbidden, match="as the endpoint resolver writes it"):
                await calling.deliver(url.format(port), BODY, SIGNED, SHORT)

    with trap("127.0.0.1") as listener:
        run(main(listener.port))
        assert listener.connections() == 0


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent() -> None:
    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("upstream.test").configure_cert(context)
        async with serving(answering(http(200)), context) as stage, client() as calling:
            with pytest.raises(UpstreamTlsFailed, match="not trusted"):
                await deliver(calling, f"https://upstream.test:{stage.port}/in")
            assert stage.bytes_seen == 0

    run(main())


def test_nobody_there_is_a_failure() -> None:
    async def main() -> None:
        async with client() as calling:
            with pytest.raises(UpstreamUnreachable):
                await deliver(calling, "http://127.0.0.1:1/in")

    run(main())

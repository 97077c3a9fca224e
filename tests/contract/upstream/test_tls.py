"""TLS: what is trusted, what is not, and that nothing was sent when it is not."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import trustme

from shared.errors import UpstreamTimeout, UpstreamTlsFailed, UpstreamUnreachable
from shared.upstream import Bounds, DiscoveryFailure
from shared.upstream.tls import TlsContexts
from tests.contract.upstream.behaviours import GOOD
from tests.contract.upstream.calls import BODY, client, failure_of, run, target
from tests.contract.upstream.stage import Wire, answering, http, serving

BOTH = b'{"choices":[],"data":[{"id":"m"}]}'  # an answer to either call
PATIENT = Bounds(connect=2, first_byte=2, idle=2, total=4)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def test_a_certificate_of_the_given_ca_is_trusted(authority: trustme.CA) -> None:
    async def main() -> None:
        context = server_context(authority.issue_cert("upstream.test"))
        async with serving(answering(http(200, BOTH)), context) as stage, client() as calling:
            at = target(f"https://upstream.test:{stage.port}", ca_certificate=pem(authority))
            assert (await calling.chat(at, BODY, PATIENT)).status == 200
            assert [model.id for model in (await calling.list_models(at, PATIENT)).models] == ["m"]

    run(main())


Issue = Callable[[trustme.CA], trustme.LeafCert]


@pytest.mark.parametrize(
    ("issue", "trusted", "says"),
    [
        (lambda ca: ca.issue_cert("upstream.test"), False, "not trusted"),
        (lambda ca: ca.issue_cert("other.test"), True, "not valid for 'upstream.test'"),
        (
            lambda ca: ca.issue_cert("upstream.test", not_after=datetime(2020, 1, 1, tzinfo=UTC)),
            True,
            "expired",
        ),
    ],
    ids=["unknown issuer", "wrong host", "expired"],
)
def test_a_bad_certificate_is_refused_before_anything_is_sent(
    authority: trustme.CA, issue: Issue, trusted: bool, says: str
) -> None:
    async def main() -> None:
        context = server_context(issue(authority))
        async with serving(answering(http(200, BOTH)), context) as stage, client() as calling:
            origin = f"https://upstream.test:{stage.port}"
            given = pem(authority) if trusted else None
            failure, sent = await failure_of(
                calling, target(origin, key="sk-x", ca_certificate=given), PATIENT
            )
            assert type(failure) is UpstreamTlsFailed
            assert says in failure.message
            assert (failure.sent, failure.may_have_been_billed, sent) == (False, False, False)
            with pytest.raises(DiscoveryFailure) as unlisted:
                await calling.list_models(target(origin, ca_certificate=given), PATIENT)
            assert unlisted.value.code == UpstreamTlsFailed.code
            assert says in unlisted.value.message
            assert stage.bytes_seen == 0

            unverified = target(origin, verify_tls=False)
            assert (await calling.chat(unverified, BODY, PATIENT)).status == 200
            assert (await calling.list_models(unverified, PATIENT)).models

    run(main())


def test_a_kept_unverified_connection_never_serves_a_verifying_target(
    authority: trustme.CA,
) -> None:
    async def keeping(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(http(200, GOOD))

    async def main() -> None:
        context = server_context(authority.issue_cert("other.test"))
        async with serving(keeping, context) as stage, client() as calling:
            origin = f"https://upstream.test:{stage.port}"
            for _ in range(2):
                await calling.chat(target(origin, verify_tls=False), BODY, PATIENT)
            assert stage.connections == 1
            failure, _ = await failure_of(calling, target(origin), PATIENT)
            assert type(failure) is UpstreamTlsFailed

    run(main())


def test_a_stalled_handshake_ends_at_the_connect_bound() -> None:
    async def main() -> None:
        async def stalling(wire: Wire) -> None:
            await wire.hang_up()

        async with serving(stalling) as stage, client() as calling:
            at = target(f"https://127.0.0.1:{stage.port}", verify_tls=False)
            began = time.monotonic()
            failure, sent = await failure_of(
                calling, at, Bounds(connect=0.3, first_byte=5, idle=5, total=5)
            )
            assert type(failure) is UpstreamTimeout
            assert (failure.phase, failure.sent, sent) == ("connect", False, False)
            assert time.monotonic() - began < 1.3
            await asyncio.wait_for(stage.hung_up.wait(), 2)

    run(main())


async def _close(wire: Wire) -> None:
    pass


async def _reset(wire: Wire) -> None:
    await wire.touched()  # a RST that overtakes the accept is a refused connection
    wire.reset()


async def _plain(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    await wire.hang_up()


@pytest.mark.parametrize(
    ("script", "says"),
    [(_close, "handshake"), (_reset, "handshake"), (_plain, "use http://")],
    ids=["closes", "resets", "speaks plain HTTP"],
)
def test_a_server_without_tls_is_named_and_nothing_was_sent(
    script: Callable[[Wire], object], says: str
) -> None:
    async def main() -> None:
        async with serving(script) as stage, client() as calling:  # type: ignore[arg-type]
            at = target(f"https://127.0.0.1:{stage.port}", verify_tls=False)
            failure, sent = await failure_of(calling, at)
            assert type(failure) is UpstreamTlsFailed
            assert says in failure.message
            assert (failure.sent, sent) == (False, False)

    run(main())


def test_a_refused_tls_port_is_unreachable_not_a_tls_fault() -> None:
    async def main() -> None:
        async with client() as calling:
            failure, _ = await failure_of(calling, target("https://127.0.0.1:1", verify_tls=False))
        assert type(failure) is UpstreamUnreachable

    run(main())


@pytest.mark.parametrize(
    "text", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "é"]
)
def test_a_ca_that_cannot_be_read_is_refused_before_dialling(text: str) -> None:
    async def main() -> None:
        async with serving(answering(http(200, GOOD))) as stage, client() as calling:
            at = target(f"https://127.0.0.1:{stage.port}", ca_certificate=text)
            failure, _ = await failure_of(calling, at)
            assert type(failure) is UpstreamTlsFailed
            assert "ca_certificate" in failure.message
            assert stage.connections == 0

    run(main())


def test_contexts_are_made_once_for_each_way_of_verifying(authority: trustme.CA) -> None:
    async def main() -> None:
        contexts = TlsContexts()
        mine, system = pem(authority), None
        for verify, ca in ((True, system), (True, mine), (False, None)):
            assert await contexts.context(verify, ca) is await contexts.context(verify, ca)
        assert await contexts.context(False, mine) is await contexts.context(False, None)
        assert await contexts.context(True, mine) is not await contexts.context(True, system)
        assert (await contexts.context(True, system)).verify_mode is ssl.CERT_REQUIRED

    run(main())

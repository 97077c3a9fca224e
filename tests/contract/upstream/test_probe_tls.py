"""The TLS step: which certificates are trusted, and what to do about those that are not."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from shared.upstream import Obstacle, UpstreamClient, obstacles
from shared.upstream.probe import Probe
from tests.contract.upstream.calls import client, run
from tests.contract.upstream.stage import Script, Stage, Wire, serving

HOST = "upstream.test"
SECONDS = 2.0
SHORT = 0.5
RENEW, GIVE_CA, WRONG_CA, NAME = "Renew", "as ca_certificate", "did not issue", "host name that"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def presenting(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def hanging_up(wire: Wire) -> None:
    await wire.hang_up()


async def secured(
    calling: UpstreamClient, stage: Stage, *, ca: str | None, verify: bool = True
) -> str:
    """What the step says of this server."""
    probe: Probe = calling.probe
    addresses = await probe.resolve(HOST, stage.port, seconds=SECONDS)
    reached = await probe.connect(addresses, seconds=SECONDS)
    return await probe.secure(reached, HOST, verify=verify, ca_certificate=ca, seconds=SHORT)


def obstacle_of(script: Script, tls: ssl.SSLContext | None, ca: str | None) -> Obstacle:
    """What stands in the way of TLS with this server; no byte of ours reaches it."""
    met: list[Obstacle] = []

    async def main() -> None:
        async with serving(script, tls) as stage, client() as calling:
            with pytest.raises(Obstacle) as caught:
                await secured(calling, stage, ca=ca)
            met.append(caught.value)
            assert stage.bytes_seen == 0

    run(main())
    return met[0]


def test_a_trusted_certificate_passes_and_the_connection_is_let_go(authority: trustme.CA) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def until_it_ends(wire: Wire) -> None:
            try:
                await wire.hang_up()
            finally:
                ended.set()

        tls = presenting(authority.issue_cert(HOST))
        async with serving(until_it_ends, tls) as stage, client() as calling:
            assert await secured(calling, stage, ca=pem(authority)) == "TLSv1.3"
            await asyncio.wait_for(ended.wait(), SECONDS)

    run(main())


def test_an_untrusted_certificate_passes_where_it_is_not_to_be_checked(
    authority: trustme.CA,
) -> None:
    async def main() -> None:
        tls = presenting(authority.issue_cert("other.test"))
        async with serving(hanging_up, tls) as stage, client() as calling:
            assert await secured(calling, stage, ca=None, verify=False) == "TLSv1.3"

    run(main())


@pytest.mark.parametrize(
    ("name", "until", "trusted", "says", "remedy"),
    [
        (HOST, datetime(2020, 1, 1, tzinfo=UTC), True, "expired", RENEW),
        ("other.test", None, True, f"not valid for '{HOST}'", NAME),
        (HOST, None, False, "unable to get local issuer", GIVE_CA),
    ],
    ids=["expired", "wrong host", "unknown issuer"],
)
def test_a_certificate_that_is_not_trusted_is_told_apart(
    authority: trustme.CA,
    name: str,
    until: datetime | None,
    trusted: bool,
    says: str,
    remedy: str,
) -> None:
    tls = presenting(authority.issue_cert(name, not_after=until))
    obstacle = obstacle_of(hanging_up, tls, pem(authority) if trusted else None)
    assert says in obstacle.message
    assert remedy in obstacle.remedy
    assert "verify_tls" in obstacle.remedy


def test_a_self_signed_chain_asks_for_its_ca_and_another_ca_is_named_as_such(
    authority: trustme.CA, tmp_path: Path
) -> None:
    chain = tmp_path / "chain.pem"
    leaf = authority.issue_cert(HOST)
    chain.write_bytes(leaf.private_key_and_cert_chain_pem.bytes() + authority.cert_pem.bytes())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)
    obstacle = obstacle_of(hanging_up, tls, None)
    assert "self-signed certificate" in obstacle.message
    assert GIVE_CA in obstacle.remedy
    assert WRONG_CA in obstacle_of(hanging_up, tls, pem(trustme.CA())).remedy


async def _closing(wire: Wire) -> None:
    pass


async def _resetting(wire: Wire) -> None:
    await wire.touched()  # a RST that overtakes the accept is a refused connection
    wire.reset()


async def _plain(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    await wire.hang_up()


@pytest.mark.parametrize(
    "script",
    [_closing, _resetting, _plain, hanging_up],
    ids=["closes", "resets", "speaks plain HTTP", "stalls"],
)
def test_a_port_without_tls_points_to_http(script: Script) -> None:
    assert obstacle_of(script, None, None).remedy == obstacles.CHECK_TLS_PORT


def test_a_ca_that_cannot_be_read_is_named() -> None:
    obstacle = obstacle_of(hanging_up, None, "no PEM")
    assert "ca_certificate" in obstacle.message
    assert obstacle.remedy == obstacles.CHECK_CA


@pytest.mark.parametrize(
    ("code", "says"), [(9, "clock"), (10, RENEW), (18, GIVE_CA), (62, NAME), (64, NAME)]
)
def test_every_code_of_openssl_has_its_remedy(code: int, says: str) -> None:
    assert says in obstacles.certificate_remedy(code, given_ca=False)

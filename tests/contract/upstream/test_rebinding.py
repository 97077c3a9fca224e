"""Names that change their mind, answers that hide something, redirects: nothing is followed."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterator, Sequence

import pytest

from shared.errors import OutboundForbidden, UpstreamRefused
from shared.upstream import DiscoveryFailure
from shared.upstream import names as kept_names
from shared.upstream.guard import AddressInfo
from shared.upstream.policy import OutboundPolicy
from tests.contract.upstream.behaviours import GOOD
from tests.contract.upstream.calls import BODY, SHORT, client, failure_of, names, run, target
from tests.contract.upstream.stage import answering, http, serving
from tests.contract.upstream.trap import Trap, trap

# 127.0.0.1 plays the public address here, everything else on loopback is forbidden.
ONE = OutboundPolicy(allowed=(ipaddress.ip_network("127.0.0.1/32"),))
PUBLIC, FORBIDDEN = "127.0.0.1", "127.0.0.2"


class Answers:
    """A DNS that gives its answers in turn, the last one for ever after."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = answers
        self.asked = 0

    def __call__(self, host: str, port: int, family: int) -> Sequence[AddressInfo]:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [info(address, port) for address in answer]


def info(address: str, port: int, canonical: str = "") -> AddressInfo:
    version = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (version, socket.SOCK_STREAM, 6, canonical, (address, port))


@pytest.fixture
def forbidden() -> Iterator[Trap]:
    with trap(FORBIDDEN) as listener:
        yield listener


def test_a_name_that_is_public_first_and_loopback_then_is_refused_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without our cache of 30 s, so that every call asks the DNS again."""
    monkeypatch.setattr(kept_names, "_DNS_CACHE_SECONDS", 0)
    answers = Answers([PUBLIC], [FORBIDDEN])

    async def main() -> None:
        closing = http(200, GOOD, "application/json", "Connection: close")
        async with serving(answering(closing)) as stage, client(ONE, answers) as calling:
            with trap(FORBIDDEN, port=stage.port) as listener:
                at = target(f"http://rebinding.test:{stage.port}")
                assert (await calling.chat(at, BODY, SHORT)).status == 200
                for _ in range(3):
                    failure, sent = await failure_of(calling, at)
                    assert type(failure) is OutboundForbidden
                    assert FORBIDDEN in failure.message
                    assert not sent
                    with pytest.raises(DiscoveryFailure) as refused:
                        await calling.list_models(at, SHORT)
                    assert refused.value.code == OutboundForbidden.code
                assert answers.asked == 7
                assert listener.connections() == 0
            assert stage.connections == 1

    run(main())


def test_a_name_that_was_good_when_it_was_saved_is_judged_by_each_process() -> None:
    """Nothing that one client learned about a name opens it for another."""
    answers = Answers([PUBLIC], [FORBIDDEN])

    async def main() -> None:
        async with serving(answering(http(200, GOOD))) as stage:
            at = target(f"http://rebinding.test:{stage.port}")
            with trap(FORBIDDEN, port=stage.port) as listener:
                async with client(ONE, answers) as first:
                    assert (await first.chat(at, BODY, SHORT)).status == 200
                async with client(ONE, answers) as second:
                    failure, _ = await failure_of(second, at)
                assert type(failure) is OutboundForbidden
                assert listener.connections() == 0

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        [FORBIDDEN],
        [PUBLIC, FORBIDDEN],
        [FORBIDDEN, PUBLIC],
        [PUBLIC] * 20 + [FORBIDDEN],
        [PUBLIC, "::1"],
        [f"::ffff:{FORBIDDEN}"],
        ["::ffff:7f00:2"],
        ["64:ff9b::7f00:2"],
        [PUBLIC, "169.254.169.254"],
        [PUBLIC, "fe80::1%lo"],
        # no addresses, though a socket would take them
        ["localhost"],
        ["127.2"],
        ["0x7f.0.0.2"],
        ["2130706434"],
        [""],
    ],
)
def test_one_bad_address_in_an_answer_refuses_all_of_it(answer: Sequence[str]) -> None:
    async def main() -> None:
        # In this order: of 127.0.0.1 any process may have taken a port for a call of its own.
        with trap(PUBLIC) as public, trap(FORBIDDEN, port=public.port) as forbidden:
            async with client(ONE, Answers(answer)) as calling:
                at = target(f"http://mixed.test:{public.port}")
                failure, sent = await failure_of(calling, at)
                assert type(failure) is OutboundForbidden
                assert not sent
            assert public.connections() == 0
            assert forbidden.connections() == 0

    run(main())


def test_an_alias_is_judged_by_where_it_leads(forbidden: Trap) -> None:
    """A CNAME shows only as another canonical name beside the addresses."""

    def alias(host: str, port: int, family: int) -> Sequence[AddressInfo]:
        return [info(FORBIDDEN, port, canonical="public.example")]

    async def main() -> None:
        async with client(ONE, alias) as calling:
            failure, _ = await failure_of(calling, target(f"http://alias.test:{forbidden.port}"))
            assert type(failure) is OutboundForbidden

    run(main())
    assert forbidden.connections() == 0


def test_many_names_at_once_are_all_refused(forbidden: Trap) -> None:
    async def main() -> None:
        async with client(ONE, Answers([PUBLIC, FORBIDDEN])) as calling:
            ats = [target(f"http://n{number}.test:{forbidden.port}") for number in range(100)]
            failures = await asyncio.gather(*(failure_of(calling, at) for at in ats))
        assert {type(failure) for failure, _ in failures} == {OutboundForbidden}

    run(main())
    assert forbidden.connections() == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/latest/meta-data/",
        "//127.0.0.2:{port}/",
        "http://user:pass@127.0.0.2:{port}/",
        "http://inner.test:{port}/v1/chat/completions",
        "http://127.0.0.1:{own}/v1/chat/completions",  # to itself: a loop
        "/v1/models",
    ],
)
def test_no_redirect_is_followed(status: int, location: str, forbidden: Trap) -> None:
    async def main() -> None:
        headers: list[str] = []

        async def redirecting(wire: object) -> None:
            await answering(http(status, b"", "text/plain", "Connection: close", *headers))(wire)  # type: ignore[arg-type]

        async with serving(redirecting) as stage:
            to = location.format(port=forbidden.port, own=stage.port)
            headers += [f"Location: {to}", f"Refresh: 0; url={to}"]
            async with client(ONE, names(inner_test=FORBIDDEN)) as calling:
                at = target(f"http://{PUBLIC}:{stage.port}")
                failure, _ = await failure_of(calling, at)
                assert type(failure) is UpstreamRefused
                assert "redirects are not followed" in failure.message
                with pytest.raises(DiscoveryFailure) as refused:
                    await calling.list_models(at, SHORT)
                assert (refused.value.code, refused.value.upstream_status) == (
                    UpstreamRefused.code,
                    status,
                )
            assert stage.connections == 2

    run(main())
    assert forbidden.connections() == 0

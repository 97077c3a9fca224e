"""What a call sends, keeps to itself, and returns; and thousands of them at once."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Iterator

import pytest

from shared.domain import DiscoveryStatus
from shared.errors import UpstreamAuthenticationFailed
from shared.upstream import Bounds, DiscoveryFailure
from tests.contract.upstream.behaviours import GOOD
from tests.contract.upstream.calls import BODY, SHORT, client, failure_of, run, target
from tests.contract.upstream.stage import Wire, answering, http, serving

KEY = "sk-canary-0123456789abcdef"


def headers_of(request: bytes) -> dict[str, str]:
    head = request.partition(b"\r\n\r\n")[0].decode()
    return {
        name.lower(): value
        for name, value in (line.split(": ", 1) for line in head.split("\r\n")[1:])
    }


def test_a_chat_sends_exactly_the_body_and_these_headers() -> None:
    async def main() -> None:
        async with serving(answering(http(200, GOOD))) as stage, client() as calling:
            await calling.chat(target(f"http://127.0.0.1:{stage.port}", KEY), BODY, SHORT)
            (request,) = stage.requests
        assert request.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
        assert request.endswith(b"\r\n\r\n" + BODY)
        assert headers_of(request) == {
            "host": f"127.0.0.1:{stage.port}",
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "dragoman",
            "content-type": "application/json",
            "content-length": str(len(BODY)),
            "authorization": f"Bearer {KEY}",
        }

    run(main())


def test_without_a_key_there_is_no_authorization_header() -> None:
    async def main() -> None:
        closing = http(200, GOOD, "application/json", "Connection: close")
        async with serving(answering(closing)) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            await calling.chat(at, BODY, SHORT)
            with pytest.raises(DiscoveryFailure):
                await calling.list_models(at, SHORT)
            assert len(stage.requests) == 2
            assert not any(b"uthorization" in request for request in stage.requests)

    run(main())


def test_the_url_arrives_as_the_resolver_wrote_it() -> None:
    async def main() -> None:
        async with serving(answering(http(200, GOOD))) as stage, client() as calling:
            path = "/a%20b/%C3%A9/c+d;e=1/chat/completions?api-version=1&x=%2F+y"
            at = target(f"http://127.0.0.1:{stage.port}")
            at = type(at)(f"http://127.0.0.1:{stage.port}{path}", at.models_url, None)
            await calling.chat(at, BODY, SHORT)
            assert stage.requests[0].startswith(f"POST {path} HTTP/1.1\r\n".encode())

    run(main())


def test_a_large_body_arrives_whole() -> None:
    large = json.dumps({"model": "m", "messages": "x" * (6 * 2**20)}).encode()

    async def main() -> None:
        async with serving(answering(http(200, GOOD))) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            await calling.chat(at, large, Bounds(first_byte=10, idle=10, total=20))
            assert stage.requests[0].endswith(large)

    run(main())


def test_an_answer_of_8_mib_less_one_byte_is_whole() -> None:
    size = 8 * 2**20 - 1
    raw = b'{"choices":[],"x":"' + b"y" * (size - 21) + b'"}'
    assert len(raw) == size

    async def main() -> None:
        async with serving(answering(http(200, raw))) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            answer = await calling.chat(at, BODY, Bounds(first_byte=10, idle=10, total=20))
            assert len(answer.body["x"]) == size - 21

    run(main())


def test_on_sent_comes_once_and_before_the_upstream_sees_a_byte() -> None:
    order: list[str] = []

    async def noting(wire: Wire) -> None:
        await wire.request()
        order.append("seen")
        await wire.send(http(200, GOOD))

    async def main() -> None:
        async with serving(noting) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            await calling.chat(at, BODY, SHORT, on_sent=lambda: order.append("sent"))

    run(main())
    assert order == ["sent", "seen"]


def test_cookies_of_one_call_do_not_reach_the_next() -> None:
    async def main() -> None:
        raw = http(200, GOOD, "application/json", "Set-Cookie: session=theirs; Path=/")

        async def keeping(wire: Wire) -> None:
            while True:
                await wire.request()
                await wire.send(raw)

        async with serving(keeping) as stage, client() as calling:
            for _ in range(2):
                await calling.chat(target(f"http://127.0.0.1:{stage.port}"), BODY, SHORT)
            assert len(stage.requests) == 2
            assert b"ookie" not in stage.requests[1]

    run(main())


def test_our_key_echoed_anywhere_comes_back_as_stars() -> None:
    async def main() -> None:
        echo = json.dumps({"choices": [], "echo": KEY}).encode()
        raw = http(200, echo, "application/json", f"X-Request-Id: {KEY}")
        async with serving(answering(raw)) as stage, client() as calling:
            answer = await calling.chat(target(f"http://127.0.0.1:{stage.port}", KEY), BODY, SHORT)
            assert (answer.body["echo"], answer.request_id) == ("***", "***")
        raw = http(401, json.dumps({"error": {"message": f"bad key {KEY}"}}).encode())
        async with serving(answering(raw)) as stage, client() as calling:
            failure, _ = await failure_of(calling, target(f"http://127.0.0.1:{stage.port}", KEY))
            assert "bad key ***" in failure.message

    run(main())


@pytest.mark.parametrize("key", ["sk-\r\nX-Evil: 1", "schlüssel", "\x00"])
def test_a_key_that_cannot_be_a_header_is_refused_without_being_quoted(key: str) -> None:
    async def main() -> None:
        async with serving(answering(http(200, GOOD))) as stage, client() as calling:
            failure, sent = await failure_of(calling, target(f"http://127.0.0.1:{stage.port}", key))
            assert type(failure) is UpstreamAuthenticationFailed
            assert (failure.sent, sent, stage.connections) == (False, False, 0)
            assert key not in failure.message

    run(main())


def test_a_list_of_models_is_read() -> None:
    async def main() -> None:
        raw = http(200, b'{"data":[{"id":"a","max_model_len":9},{"id":"a"}]}')
        async with serving(answering(raw)) as stage, client() as calling:
            found = await calling.list_models(target(f"http://127.0.0.1:{stage.port}", KEY), SHORT)
            assert ([model.id for model in found.models], found.dropped) == (["a"], 1)
            assert found.models[0].context_length == 9
            assert stage.requests[0].startswith(b"GET /v1/models HTTP/1.1\r\n")
            assert b"ontent-" not in stage.requests[0]

    run(main())


LOADING = b'{"error":{"message":"Loading model","type":"unavailable_error"}}'


@pytest.mark.parametrize(
    ("raw", "status", "code", "says"),
    [
        (http(404), "no_models_route", "upstream_route_missing", "404"),
        (http(405), "no_models_route", "upstream_route_missing", "405"),
        (http(501), "no_models_route", "upstream_route_missing", "501"),
        (http(401), "auth_failed", "upstream_authentication_failed", "401"),
        (http(403), "auth_failed", "upstream_authentication_failed", "403"),
        (http(503, LOADING), "loading", "upstream_loading", "Loading model"),
        (http(503), "server_error", "upstream_server_error", "503"),
        (http(500), "server_error", "upstream_server_error", "500"),
        (http(400, b'{"error":"odd"}'), "invalid_response", "upstream_refused", "odd"),
        (http(302), "invalid_response", "upstream_refused", "redirects"),
        (http(200, b"<html>", "text/html"), "invalid_response", "upstream_invalid_answer", "HTML"),
        (http(200, b"{}"), "invalid_response", "upstream_invalid_answer", "list of models"),
        (
            http(200, b"[" + b'"' + b"x" * (4 * 2**20) + b'"]'),
            "invalid_response",
            "upstream_invalid_answer",
            "over 4 MiB",
        ),
        (http(200, b"[]")[:-1], "invalid_response", "upstream_stream_broken", "broke off"),
        (b"", "unreachable", "upstream_unreachable", "lost"),
    ],
)
def test_a_failed_look_becomes_a_verdict(raw: bytes, status: str, code: str, says: str) -> None:
    async def main() -> None:
        async with serving(answering(raw)) as stage, client() as calling:
            with pytest.raises(DiscoveryFailure) as failure:
                await calling.list_models(target(f"http://127.0.0.1:{stage.port}"), SHORT)
        assert failure.value.status is DiscoveryStatus(status)
        assert failure.value.code == code
        assert says in failure.value.message
        assert "chat completion" not in failure.value.message

    run(main())


def test_a_rate_limited_look_tells_how_long_to_wait() -> None:
    async def main() -> None:
        raw = http(429, b"", "text/plain", "Retry-After: 33")
        async with serving(answering(raw)) as stage, client() as calling:
            with pytest.raises(DiscoveryFailure) as failure:
                await calling.list_models(target(f"http://127.0.0.1:{stage.port}"), SHORT)
        assert failure.value.status is DiscoveryStatus.RATE_LIMITED
        assert (failure.value.retry_after, failure.value.upstream_status) == (33, 429)

    run(main())


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for both ends of 2,000 connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4500:
        pytest.skip(f"the hard file limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_2000_calls_are_in_flight_at_once() -> None:
    calls = 2000
    seen = 0
    all_there = asyncio.Event()

    async def together(wire: Wire) -> None:
        nonlocal seen
        await wire.request()
        seen += 1
        if seen == calls:
            all_there.set()
        await all_there.wait()
        await wire.send(http(200, GOOD))

    async def main() -> None:
        bounds = Bounds(connect=30, first_byte=30, idle=30, total=60)
        async with serving(together) as stage, client() as calling:
            at = target(f"http://127.0.0.1:{stage.port}")
            answers = await asyncio.gather(*(calling.chat(at, BODY, bounds) for _ in range(calls)))
            assert len(answers) == stage.connections == calls

    run(main())

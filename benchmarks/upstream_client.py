"""What one call through `shared.upstream` costs, beside bare aiohttp and httpx's own pool.

    python -m benchmarks.upstream_client [--calls 6000] [--at-once 1000] [--delay 0.2]

The upstream is a bare asyncio protocol in a process of its own. Printed for each client: calls per
second, CPU time of the calling process per call, and the growth of its peak memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import aiohttp
import httpx
import msgspec

from benchmarks.load import raise_file_limit
from shared.upstream import Bounds, Target, UpstreamClient
from shared.upstream.addresses import LOOPBACK
from shared.upstream.policy import OutboundPolicy

COMPLETION = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1795352715,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "A word of an answer. " * 40},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 200, "total_tokens": 212},
    }
).encode()
REQUEST = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "A word of a question. " * 20}]}
).encode()
REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req-1\r\n"
    b"Content-Length: %d\r\n\r\n" % len(COMPLETION)
) + COMPLETION

OneCall = Callable[[], Awaitable[object]]


class _Upstream(asyncio.Protocol):
    """Answers every request whose body came whole, `delay` seconds later."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        _head, found, body = self._received.partition(b"\r\n\r\n")
        if found and len(body) >= len(REQUEST):
            self._received = b""
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, REPLY)


def _serve(delay: float, ready: Connection) -> None:
    raise_file_limit()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Upstream(delay), "127.0.0.1", 0, backlog=4096)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def _measure(name: str, call: OneCall, calls: int, at_once: int) -> None:
    gate = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with gate:
            await call()

    await asyncio.gather(*(call() for _ in range(10)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one() for _ in range(calls)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    print(
        f"{name:18} {calls / wall:7.0f} calls/s  {cpu / calls * 1e6:6.0f} µs CPU a call  "
        f"+{grown:.0f} MiB"
    )


async def _ours(url: str, run: Callable[[OneCall], Awaitable[None]]) -> None:
    client = UpstreamClient(OutboundPolicy(allowed=LOOPBACK))
    target = Target(chat_url=url, models_url=url, api_key=None)
    bounds = Bounds(connect=30)
    try:
        await run(lambda: client.chat(target, REQUEST, bounds))
    finally:
        await client.aclose()


async def _aiohttp(url: str, run: Callable[[OneCall], Awaitable[None]]) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def call() -> object:
            async with session.post(url, data=REQUEST) as answer:
                return msgspec.json.decode(await answer.read())

        await run(call)


async def _httpx(url: str, run: Callable[[OneCall], Awaitable[None]]) -> None:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=120, trust_env=False) as session:

        async def call() -> object:
            return (await session.post(url, content=REQUEST)).json()

        await run(call)


CLIENTS = {"shared.upstream": _ours, "bare aiohttp": _aiohttp, "httpx's own pool": _httpx}


def main() -> None:
    """Measure the clients that were asked for, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=6000)
    parser.add_argument("--at-once", type=int, default=1000)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds before the answer")
    parser.add_argument("--client", choices=CLIENTS, action="append")
    options = parser.parse_args()
    raise_file_limit()
    ours, theirs = multiprocessing.Pipe()
    upstream = multiprocessing.Process(target=_serve, args=(options.delay, theirs), daemon=True)
    upstream.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1/chat/completions"
    try:
        for name in options.client or CLIENTS:

            def run(call: OneCall, name: str = name) -> Awaitable[None]:
                return _measure(name, call, options.calls, options.at_once)

            asyncio.run(CLIENTS[name](url, run))
    finally:
        upstream.terminate()
        upstream.join()


if __name__ == "__main__":
    main()

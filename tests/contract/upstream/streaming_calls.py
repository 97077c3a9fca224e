"""Streamed calls of a client to a stage, and what they handed over."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from shared.errors import UpstreamFailure
from shared.upstream import Bounds, ConnectionLost, StreamEnd, Target, UpstreamClient
from tests.contract.upstream.calls import SHORT, client, run, target
from tests.contract.upstream.stage import Script, Stage, serving

ASKED = json.dumps(
    {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
).encode()
Failure = UpstreamFailure | ConnectionLost


class Streaming:
    """Streamed calls of one client to one stage, and the chunks that came."""

    def __init__(self, calling: UpstreamClient, stage: Stage, key: str | None = None) -> None:
        self.stage = stage
        self.chunks: list[dict[str, Any]] = []
        self.sent = 0
        self._calling = calling
        self._at = target(f"http://127.0.0.1:{stage.port}", key)

    async def end(self, bounds: Bounds = SHORT, *, at: Target | None = None) -> StreamEnd:
        return await self._calling.stream_chat(
            at or self._at, ASKED, bounds, on_sent=self._note_sent, on_chunk=self.chunks.append
        )

    async def failure(self, bounds: Bounds = SHORT) -> Failure:
        try:
            end = await self.end(bounds)
        except (UpstreamFailure, ConnectionLost) as failure:
            return failure
        raise AssertionError(f"expected a failure, got {end}")

    def _note_sent(self) -> None:
        self.sent += 1

    @property
    def text(self) -> str:
        deltas = [choice["delta"] for chunk in self.chunks for choice in chunk["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)


def streaming_of(
    script: Script, check: Callable[[Streaming], Awaitable[None]], key: str | None = None
) -> None:
    """Run a check against a server that plays this script."""

    async def main() -> None:
        async with serving(script) as stage, client() as calling:
            await check(Streaming(calling, stage, key))

    run(main())

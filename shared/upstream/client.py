"""The one HTTP client of a process: chat completions and model lists, bounded in every way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import httpx
import msgspec

from shared.errors import UpstreamFailure
from shared.tracing import Tracing
from shared.upstream._contract import (
    Bounds,
    ChatAnswer,
    ConnectionLost,
    ModelList,
    StreamEnd,
    Target,
)
from shared.upstream.answers import RawAnswer, completion, refusal, refuse_error, unusable
from shared.upstream.discovery import verdict
from shared.upstream.exchange import Exchanger
from shared.upstream.guard import Lookup, system_lookup
from shared.upstream.model_list import NotAModelList, models
from shared.upstream.policy import OutboundPolicy
from shared.upstream.probe import Probe
from shared.upstream.reading import Call, Opened, acknowledged, whole
from shared.upstream.streaming import Streamed, streamed
from shared.upstream.strict_json import NotJson
from shared.upstream.tls import TlsContexts
from shared.upstream.transport import GuardedTransport
from shared.upstream.upstream_text import shown
from shared.upstream.usage_asked import UsageRefusals, refuses_usage, without_usage

CHAT_BYTES: Final = 8 * 1024 * 1024
MODEL_LIST_BYTES: Final = 4 * 1024 * 1024
_REQUEST_ID_HEADERS: Final = ("x-request-id", "request-id")
_REQUEST_ID_CHARACTERS: Final = 128


class UpstreamClient:
    """One a process; lives on the asyncio loop of its first call, and holds thousands at once.

    `tracing` sees its calls, `lookup` stands in for the system's resolver, `wall_clock` tells Unix
    seconds.
    """

    def __init__(
        self,
        policy: OutboundPolicy,
        *,
        tracing: Tracing | None = None,
        lookup: Lookup = system_lookup,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._wall_clock = wall_clock
        self._usage_refusals = UsageRefusals()
        tls = TlsContexts()
        transport: httpx.AsyncBaseTransport = GuardedTransport(policy, lookup)
        if tracing is not None:
            transport = tracing.calls(transport)
        self._exchanger = Exchanger(transport, tls)
        self.probe = Probe(policy, lookup, tls)  # reaches servers step by step, for tests of them

    async def aclose(self) -> None:
        """Close all connections; calls in flight end as lost connections."""
        await self._exchanger.aclose()
        await self.probe.aclose()

    async def chat(
        self,
        target: Target,
        body: bytes,
        bounds: Bounds,
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> ChatAnswer:
        """The completion for `body`, a ready JSON request that does not ask for a stream.

        `on_sent` is called once, just before the first byte leaves. Raises an UpstreamFailure with
        `sent`, `refused_for_now`, `may_have_been_billed`, `phase`, `upstream_status` and
        `retry_after` set, or ConnectionLost.
        """
        call = Call("POST", target.chat_url, "a chat completion", CHAT_BYTES, body)
        answer, timings = await self._exchanger.run(call, target, bounds, on_sent, whole)
        return ChatAnswer(
            body=self._completion(answer, body),
            status=answer.status,
            request_id=_request_id(answer),
            connect_seconds=timings.connect,
            first_byte_seconds=timings.first_byte,
            total_seconds=timings.total,
        )

    async def stream_chat(
        self,
        target: Target,
        body: bytes,
        bounds: Bounds,
        *,
        on_sent: Callable[[], None] | None = None,
        on_chunk: Callable[[dict[str, Any]], None],
    ) -> StreamEnd:
        """Hand over each chunk of the stream that `body` asks for; return when it ended well.

        `body` is a ready JSON request with `stream` and `stream_options`; the latter is left out
        for servers that refuse it. `on_chunk` gets every chunk as it came and in order, on the
        loop: an object whose `choices` is a list of objects, scrubbed as ChatAnswer says; what it
        raises ends the call. Raises as `chat` does; once a chunk came, UpstreamStreamBroken,
        UpstreamTimeout, UpstreamInvalidAnswer, or UpstreamRefused for an error inside the stream,
        all of which may have been billed.
        """

        async def read(opened: Opened) -> Streamed:
            return await streamed(opened, on_chunk)

        call = Call("POST", target.chat_url, "a chat completion", CHAT_BYTES, body)
        asked = not self._usage_refusals.hold(target.chat_url)
        if not asked:
            call = replace(call, body=without_usage(body))
        came, timings = await self._exchanger.run(call, target, bounds, on_sent, read)
        earlier = 0.0
        if asked and refuses_usage(came.answer):
            earlier = timings.total
            call = replace(call, body=without_usage(body))
            bounds = replace(bounds, total=max(bounds.total - earlier, 0.0))
            came, timings = await self._exchanger.run(call, target, bounds, None, read)
            if came.chunks:
                self._usage_refusals.note(target.chat_url)
        return StreamEnd(
            status=came.answer.status,
            request_id=_request_id(came.answer),
            connect_seconds=timings.connect,
            first_byte_seconds=earlier + came.first_byte,
            total_seconds=earlier + timings.total,
            chunks=came.chunks,
            whole=None if came.chunks else self._completion(came.answer, body),
        )

    def _completion(self, answer: RawAnswer, body: bytes) -> dict[str, Any]:
        """The completion in an answer; raises what another answer stands for."""
        if not 200 <= answer.status < 300:
            raise refusal(answer, model=_model_in(body), now=self._wall_clock())
        return completion(answer)

    async def deliver(
        self, url: str, body: bytes, headers: Mapping[str, str], bounds: Bounds
    ) -> int:
        """Post JSON to a webhook's URL as `webhook_url` wrote it; returns the status that came.

        Any status and any body will do, no redirect is followed. Raises as `chat` does when none
        came.
        """
        sent = tuple((name.encode(), value.encode()) for name, value in headers.items())
        call = Call("POST", url, "an answer to a webhook", 0, body, sent, is_webhook=True)
        status, _ = await self._exchanger.run(
            call, Target(url, url, None), bounds, None, acknowledged
        )
        return status

    async def list_models(self, target: Target, bounds: Bounds) -> ModelList:
        """What the models route lists; raises DiscoveryFailure."""
        try:
            return await self._listed(target, bounds)
        except (UpstreamFailure, ConnectionLost) as failure:
            raise verdict(failure) from None

    async def _listed(self, target: Target, bounds: Bounds) -> ModelList:
        call = Call("GET", target.models_url, "a model list", MODEL_LIST_BYTES)
        answer, _timings = await self._exchanger.run(call, target, bounds, None, whole)
        if not 200 <= answer.status < 300:
            raise refusal(answer, model=None, now=self._wall_clock())
        try:
            document = answer.document(share=MODEL_LIST_BYTES / CHAT_BYTES)
            refuse_error(answer, document)
            return models(document)
        except (NotJson, NotAModelList) as fault:
            raise unusable(answer, str(fault)) from None


def _model_in(body: bytes) -> str | None:
    """The model id in our own request; only looked for when the answer was 404 or the like."""
    model = msgspec.json.decode(body).get("model")
    return model if isinstance(model, str) else None


def _request_id(answer: RawAnswer) -> str | None:
    for name in _REQUEST_ID_HEADERS:
        if text := shown(answer.headers.get(name, ""), answer.key, _REQUEST_ID_CHARACTERS):
            return text
    return None

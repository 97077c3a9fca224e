"""The one HTTP client of a process: chat completions and model lists, bounded in every way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec

from shared.errors import UpstreamFailure
from shared.upstream._contract import Bounds, ChatAnswer, ConnectionLost, ModelList, Target
from shared.upstream.answers import RawAnswer, completion, refusal, refuse_error, unusable
from shared.upstream.discovery import verdict
from shared.upstream.exchange import Call, Exchanger
from shared.upstream.guard import Lookup, system_lookup
from shared.upstream.model_list import NotAModelList, models
from shared.upstream.policy import OutboundPolicy
from shared.upstream.probe import Probe
from shared.upstream.strict_json import NotJson
from shared.upstream.tls import TlsContexts
from shared.upstream.transport import GuardedTransport
from shared.upstream.upstream_text import shown

CHAT_BYTES: Final = 8 * 1024 * 1024
MODEL_LIST_BYTES: Final = 4 * 1024 * 1024
_REQUEST_ID_HEADERS: Final = ("x-request-id", "request-id")
_REQUEST_ID_CHARACTERS: Final = 128


class UpstreamClient:
    """One a process; lives on the asyncio loop of its first call, and holds thousands at once.

    `lookup` stands in for the system's resolver, `wall_clock` tells Unix seconds.
    """

    def __init__(
        self,
        policy: OutboundPolicy,
        *,
        lookup: Lookup = system_lookup,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._wall_clock = wall_clock
        tls = TlsContexts()
        self._exchanger = Exchanger(GuardedTransport(policy, lookup), tls)
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
        answer, timings = await self._exchanger.run(call, target, bounds, on_sent)
        if not 200 <= answer.status < 300:
            raise refusal(answer, model=_model_in(body), now=self._wall_clock())
        return ChatAnswer(
            body=completion(answer),
            status=answer.status,
            request_id=_request_id(answer),
            connect_seconds=timings.connect,
            first_byte_seconds=timings.first_byte,
            total_seconds=timings.total,
        )

    async def list_models(self, target: Target, bounds: Bounds) -> ModelList:
        """What the models route lists; raises DiscoveryFailure."""
        try:
            return await self._listed(target, bounds)
        except (UpstreamFailure, ConnectionLost) as failure:
            raise verdict(failure) from None

    async def _listed(self, target: Target, bounds: Bounds) -> ModelList:
        call = Call("GET", target.models_url, "a model list", MODEL_LIST_BYTES)
        answer, _timings = await self._exchanger.run(call, target, bounds, None)
        if not 200 <= answer.status < 300:
            raise refusal(answer, model=None, now=self._wall_clock())
        try:
            document = answer.document()
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

"""Every recorded answer of a real server, and what it must mean."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.chunks import folded, is_usage_only
from shared.domain import DiscoveryStatus
from shared.errors import (
    UpstreamAuthenticationFailed,
    UpstreamFailure,
    UpstreamLoading,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamRouteMissing,
    UpstreamServerError,
)
from shared.upstream import strict_json
from shared.upstream.answers import RawAnswer, completion, refusal
from shared.upstream.discovery import verdict
from shared.upstream.event_stream import EventParser
from shared.upstream.model_list import models
from tests.samples import names, sample

NOW = 1_795_352_568.0

COMPLETIONS = [
    *("aimock/chat", "aimock/chat_badkey", "aimock/chat_badmodel", "aimock/chat_noauth"),
    *("litellm/chat", "litellm/chat_badrole", "litellm/chat_emptymessages"),
    *("llama-server/chat", "llama-server/chat_badmodel", "llama-server/chat_badrole"),
    "llama-server/chat_emptymessages",
]
REFUSALS: list[tuple[str, type[UpstreamFailure], str]] = [
    ("aimock/chaos_ratelimit", UpstreamRateLimited, "Chaos: rate limit exceeded"),
    ("aimock/chat_badjson", UpstreamRefused, "Malformed JSON: Expected double-quoted property"),
    ("aimock/chat_badrole", UpstreamRouteMissing, "No fixture matched"),
    ("aimock/chat_emptymessages", UpstreamRouteMissing, "No fixture matched"),
    ("aimock/chat_nomessages", UpstreamRefused, "Missing required parameter: 'messages'"),
    ("aimock/notfound", UpstreamRouteMissing, "Not found"),
    ("aimock/root", UpstreamRouteMissing, "Not found"),
    ("aimock/wrongmethod", UpstreamRouteMissing, "Not found"),
    ("litellm/chat_badjson", UpstreamRefused, "Invalid JSON payload: unexpected end of data"),
    ("litellm/chat_badkey", UpstreamRefused, "No connected db."),
    ("litellm/chat_badmodel", UpstreamRefused, "Invalid model name passed in model=no-such-model"),
    ("litellm/chat_fake-429", UpstreamRateLimited, "this is a mock rate limit error LiteLLM:"),
    ("litellm/chat_noauth", UpstreamServerError, "Internal Server Error"),
    ("litellm/chat_nomessages", UpstreamRefused, "Missing required parameter: 'messages'."),
    ("litellm/notfound", UpstreamRouteMissing, "Not Found"),
    ("litellm/wrongmethod", UpstreamRouteMissing, "Method Not Allowed"),
    ("llama-server/chat_badjson", UpstreamRefused, "parse error at line 1, column 16"),
    ("llama-server/chat_badkey", UpstreamAuthenticationFailed, "Invalid API Key"),
    ("llama-server/chat_noauth", UpstreamAuthenticationFailed, "Invalid API Key"),
    ("llama-server/chat_nomessages", UpstreamRefused, "'messages' is required"),
    ("llama-server/models_while_loading", UpstreamLoading, "Loading model"),
    ("llama-server/notfound", UpstreamRouteMissing, "File Not Found"),
    ("llama-server/root", UpstreamRouteMissing, "File Not Found"),
    ("llama-server/wrongmethod", UpstreamRouteMissing, "File Not Found"),
]
LISTS = {
    "aimock/models": 5,
    "aimock/models_badkey": 5,
    "aimock/models_noauth": 5,
    "litellm/models": 3,
    "llama-server/models": 1,
}
VERDICTS = {
    "aimock/notfound": DiscoveryStatus.NO_MODELS_ROUTE,
    "aimock/model_one": DiscoveryStatus.NO_MODELS_ROUTE,
    "litellm/models_badkey": DiscoveryStatus.INVALID_RESPONSE,
    "litellm/models_noauth": DiscoveryStatus.SERVER_ERROR,
    "litellm/notfound": DiscoveryStatus.NO_MODELS_ROUTE,
    "llama-server/model_one": DiscoveryStatus.NO_MODELS_ROUTE,
    "llama-server/models_badkey": DiscoveryStatus.AUTH_FAILED,
    "llama-server/models_noauth": DiscoveryStatus.AUTH_FAILED,
    "llama-server/models_while_loading": DiscoveryStatus.LOADING,
}
STREAMS = {
    "aimock/chat_stream": ("Hello from aimock. This is a fixed reply.", 5, None),
    "aimock/chat_stream_usage": ("Hello from aimock. This is a fixed reply.", 6, 23),
    "litellm/chat_stream": ("Hello from litellm mock.", 9, None),
    "litellm/chat_stream_usage": ("Hello from litellm mock.", 10, 29),
    "llama-server/chat_stream": ("I'm here to help with any math or science-related", 14, None),
    "llama-server/chat_stream_usage": ("I'm here to help with", 9, 31),
}
NEITHER = {"litellm/model_one", "litellm/root"}  # 200 of other routes


def answer(name: str) -> RawAnswer:
    recorded = sample(name)
    return RawAnswer(
        expected="a chat completion",
        status=recorded.status,
        headers=httpx.Headers(recorded.headers),
        body=recorded.body,
        where="h:443",
        key=None,
    )


def test_no_sample_is_left_out() -> None:
    used = {*COMPLETIONS, *(name for name, _, _ in REFUSALS), *LISTS, *VERDICTS, *STREAMS, *NEITHER}
    assert used == set(names())


@pytest.mark.parametrize("name", COMPLETIONS)
def test_a_recorded_completion_passes_unchanged(name: str) -> None:
    document: dict[str, Any] = completion(answer(name))
    assert document["choices"][0]["message"]["content"]
    assert document["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(("name", "kind", "text"), REFUSALS)
def test_a_recorded_refusal_gets_its_class_and_keeps_its_text(
    name: str, kind: type[UpstreamFailure], text: str
) -> None:
    recorded = answer(name)
    failure = refusal(recorded, model="no-such-model", now=NOW)
    assert type(failure) is kind
    assert text in failure.message
    assert failure.sent
    assert failure.upstream_status == recorded.status
    assert failure.refused_for_now == (recorded.status in (429, 503))
    assert not failure.may_have_been_billed


def test_a_recorded_retry_after_is_kept() -> None:
    assert refusal(answer("aimock/chaos_ratelimit"), model=None, now=NOW).retry_after == 1.0


@pytest.mark.parametrize(("name", "count"), LISTS.items())
def test_a_recorded_model_list_is_read(name: str, count: int) -> None:
    found = models(answer(name).document())
    assert (len(found.models), found.dropped) == (count, 0)
    assert all(model.created and model.owned_by for model in found.models)


def test_llama_server_tells_its_context_length_in_meta() -> None:
    (model,) = models(answer("llama-server/models").document()).models
    assert (model.id, model.context_length) == ("smollm2-135m-instruct", 2048)
    assert model.raw["meta"]["n_params"] == 134515008


@pytest.mark.parametrize(("name", "status"), VERDICTS.items())
def test_a_recorded_refusal_to_list_becomes_a_verdict(name: str, status: DiscoveryStatus) -> None:
    found = verdict(refusal(answer(name), model=None, now=NOW))
    assert found.status is status
    assert found.upstream_status == answer(name).status


@pytest.mark.parametrize(("name", "told"), STREAMS.items())
def test_a_recorded_stream_adds_up_to_a_completion(
    name: str, told: tuple[str, int, int | None]
) -> None:
    parser = EventParser()
    *events, done = [event.data for event in parser.feed(sample(name).body) + parser.close()]
    assert done == b"[DONE]"
    chunks = [strict_json.parse(event) for event in events]
    found = folded(chunks)
    usage = found["usage"]["total_tokens"] if "usage" in found else None
    assert (found["choices"][0]["message"]["content"], len(chunks), usage) == told
    assert found["choices"][0]["finish_reason"] in ("stop", "length")
    assert [one for one in chunks if is_usage_only(one)] == (chunks[-1:] if usage else [])

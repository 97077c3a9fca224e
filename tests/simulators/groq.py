"""Groq (UPSTREAMS.md section 2): below `/openai/v1`; models retire often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.simulators._http import Reply, json_reply
from tests.simulators._simulator import Dialect, Simulator
from tests.simulators._streams import Chunk, spoken

CREATED = 1_795_000_000


def fail(status: int, message: str, code: str | None = None) -> Reply:
    """OpenAI's error object; `code` only where there is one."""
    error = {"message": message, "type": "invalid_request_error" if status < 500 else "api_error"}
    return json_reply({"error": {**error, "code": code} if code else error}, status)


def list_models(ids: Sequence[str]) -> Any:
    """`active` and `context_window`."""
    entries = [
        {
            "id": name,
            "object": "model",
            "created": CREATED,
            "owned_by": "Meta",
            "active": True,
            "context_window": 131_072,
            "public_apps": None,
            "max_completion_tokens": 32_768,
        }
        for name in ids
    ]
    return {"object": "list", "data": entries}


def complete(request: Mapping[str, Any], model: str) -> Any:
    """An answer whose usage tells times, in seconds."""
    text = f"Groq answers {len(request['messages'])} message(s)."
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-7b9f0c2e-0000-4000-8000-000000000000",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [choice],
        "usage": {
            "queue_time": 0.037,
            "prompt_tokens": 38,
            "prompt_time": 0.001,
            "completion_tokens": 6,
            "completion_time": 0.02,
            "total_tokens": 44,
            "total_time": 0.021,
        },
        "system_fingerprint": "fp_simulated",
        "x_groq": {"id": "req_simulated"},
        "service_tier": "on_demand",
    }


def stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """The request's id in the first chunk, and usage also in the one that ends (unverified)."""
    own = document["x_groq"]
    first, *middle, last = spoken(
        document,
        include_usage=False,
        opening={"role": "assistant", "content": ""},
        choice={"logprobs": None},
        without=("x_groq", "service_tier"),
    )
    last = {**last, "x_groq": {**own, "usage": document["usage"]}}
    usage = {**last, "choices": [], "usage": document["usage"], "x_groq": None}
    return [{**first, "x_groq": own}, *middle, last, *([usage] if include_usage else [])]


GROQ = Dialect(
    name="groq",
    list_models=list_models,
    complete=complete,
    fail=fail,
    unauthorized=fail(401, "Invalid API Key", "invalid_api_key"),
    no_such_path=fail(404, "Unknown request URL. Please check the URL for typos.", "unknown_url"),
    wrong_method=fail(404, "Unknown request URL. Please check the URL for typos.", "unknown_url"),
    no_such_model=lambda name: fail(
        404, f"The model `{name}` does not exist or you do not have access.", "model_not_found"
    ),
    base="/openai/v1",
    stream=stream,
)


def groq(**options: Any) -> Simulator:
    """A Groq with two models; take one out of `models`, and it has retired."""
    models = ["llama-3.3-70b-versatile", "openai/gpt-oss-120b"]
    return Simulator(GROQ, **{"models": models, **options})

"""LM Studio's server (UPSTREAMS.md section 2).

With just-in-time loading it lists everything that was downloaded, embeddings included, and loads
what a chat asks for; without it, only what is loaded. Paths that it does not have are answered 200
with an error inside (lmstudio-bug-tracker issues 618 and 1323), so a wrong endpoint looks fine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.simulators._http import Reply, json_reply
from tests.simulators._simulator import Dialect, Simulator
from tests.simulators._streams import Chunk, spoken

JSON = "application/json; charset=utf-8"
UNEXPECTED = Reply(200, b'{"error":"Unexpected endpoint or method."}', JSON)


def fail(status: int, message: str) -> Reply:
    """OpenAI's error object without a code."""
    kind = "invalid_request_error" if status < 500 else "internal_error"
    error = {"message": message, "type": kind, "param": None, "code": None}
    return replace(json_reply({"error": error}, status), content_type=JSON)


def no_such_model(name: str) -> Reply:
    """A model that was not downloaded, or is not loaded where it must be; the name is not told."""
    message = (
        "No models loaded. Please load a model in the developer page or use the 'lms load' command."
    )
    error = {"message": message, "type": "invalid_request_error", "param": "model", "code": None}
    return replace(json_reply({"error": error}, 404), content_type=JSON)


def list_models(ids: Sequence[str]) -> Any:
    """Ids, and nothing that tells a chat model from an embedding."""
    entries = [{"id": name, "object": "model", "owned_by": "organization_owner"} for name in ids]
    return {"data": entries, "object": "list"}


def complete(request: Mapping[str, Any], model: str) -> Any:
    """An answer with empty `stats`."""
    text = f"LM Studio answers {len(request['messages'])} message(s)."
    message = {"role": "assistant", "content": text, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-0l1m2s3t4u5d6i7o",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": model,
        "choices": [choice],
        "usage": {"prompt_tokens": 18, "completion_tokens": 7, "total_tokens": 25},
        "stats": {},
        "system_fingerprint": model,
    }


def stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """A role in every delta but the last (unverified)."""
    return spoken(
        document,
        include_usage,
        opening=None,
        each={"role": "assistant"},
        choice={"logprobs": None},
        without=("stats",),
    )


LM_STUDIO = Dialect(
    name="lm-studio",
    list_models=list_models,
    complete=complete,
    fail=fail,
    unauthorized=fail(401, "Invalid API token."),
    no_such_path=UNEXPECTED,
    wrong_method=UNEXPECTED,
    no_such_model=no_such_model,
    content_type=JSON,
    stream=stream,
)
DOWNLOADED = ("qwen2.5-7b-instruct", "google/gemma-3-4b", "text-embedding-nomic-embed-text-v1.5")


def lm_studio(**options: Any) -> Simulator:
    """An LM Studio with just-in-time loading, as it comes."""
    return Simulator(LM_STUDIO, **{"models": DOWNLOADED, **options})


def lm_studio_loaded(**options: Any) -> Simulator:
    """One without just-in-time loading: a single model is loaded."""
    dialect = replace(LM_STUDIO, name="lm-studio-loaded")
    return Simulator(dialect, **{"models": DOWNLOADED[:1], **options})

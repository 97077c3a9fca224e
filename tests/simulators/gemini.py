"""Gemini's OpenAI-compatible routes (UPSTREAMS.md sections 1 and 2), below `/v1beta/openai`.

Streamed tool calls come whole, one a chunk and without `index`, and the stream ends with `stop`
where an answer says `tool_calls` (googleapis/python-genai issue 2868). An error is a list of one
object, and a wrong key a 400.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.simulators import _tools
from tests.simulators._http import Reply, json_reply
from tests.simulators._simulator import Dialect, Simulator
from tests.simulators._streams import Chunk, pieces

CREATED = 1_795_000_000
_STATUS = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


def fail(status: int, message: str) -> Reply:
    """Google's error object, in a list."""
    error = {"code": status, "message": message, "status": _STATUS.get(status, "INTERNAL")}
    return json_reply([{"error": error}], status)


def list_models(ids: Sequence[str]) -> Any:
    """Ids that begin with `models/`."""
    entries = [{"id": name, "object": "model", "owned_by": "google"} for name in ids]
    return {"object": "list", "data": entries}


def complete(request: Mapping[str, Any], model: str) -> Any:
    """An answer, or a call of every tool that was offered."""
    text = f"Gemini answers {len(request['messages'])} message(s)."
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if called := _tools.calls(request, "function-call-"):
        message = {"role": "assistant", "tool_calls": called}
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": "tool_calls" if called else "stop",
    }
    return {
        "id": "sim0aLb1K8m-xN8P",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [choice],
        "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11},
    }


def stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """Few and large pieces; the last one also ends."""
    choice = document["choices"][0]
    message = choice["message"]
    words = pieces(message.get("content") or "")
    said: list[dict[str, Any]] = [
        {"content": "".join(words[start : start + 3])} for start in range(0, len(words), 3)
    ]
    said += [{"tool_calls": [call]} for call in message.get("tool_calls", ())]
    envelope = {**document, "object": "chat.completion.chunk"}
    del envelope["usage"]
    chunks = []
    for number, delta in enumerate(said, start=1):
        one = {"index": 0, "delta": {"role": "assistant", **delta}}
        if number == len(said):
            one["finish_reason"] = "stop"
        chunks.append({**envelope, "choices": [one]})
    if include_usage:
        chunks.append({**envelope, "choices": [], "usage": document["usage"]})
    return chunks


GEMINI = Dialect(
    name="gemini",
    list_models=list_models,
    complete=complete,
    fail=fail,
    unauthorized=fail(400, "API key not valid. Please pass a valid API key."),
    keyless=fail(400, "Missing or invalid Authorization header."),
    no_such_path=Reply(404),
    wrong_method=Reply(404),
    no_such_model=lambda name: fail(404, f"models/{name} is not found for API version v1main."),
    base="/v1beta/openai",
    stream=stream,
)


def gemini(**options: Any) -> Simulator:
    """Gemini with two models."""
    models = ["models/gemini-2.5-flash", "models/gemini-2.5-pro"]
    return Simulator(GEMINI, **{"models": models, **options})

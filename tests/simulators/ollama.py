"""Ollama's OpenAI-compatible routes (UPSTREAMS.md section 2).

No key is ever checked. Ids look like `llama3:latest`; without models `data` is null. Unknown paths
are Go's plain `404 page not found`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.simulators._http import Reply, json_reply
from tests.simulators._simulator import Dialect, Simulator
from tests.simulators._streams import Chunk, frame, spoken

MODIFIED = 1_794_000_000
_TYPES = {400: "invalid_request_error", 404: "not_found_error"}


def fail(status: int, message: str) -> Reply:
    """OpenAI's error object; `param` and `code` are always null."""
    kind = _TYPES.get(status, "api_error")
    error = {"message": message, "type": kind, "param": None, "code": None}
    return json_reply({"error": error}, status)


def list_models(ids: Sequence[str]) -> Any:
    """`created` is the time of modification; no models are null, not an empty list."""
    entries = [
        {"id": name, "object": "model", "created": MODIFIED, "owned_by": "library"} for name in ids
    ]
    return {"object": "list", "data": entries or None}


def meant(name: str) -> str:
    """A name without a tag is that of `latest` (types/model/name.go)."""
    return name if ":" in name else f"{name}:latest"


def complete(request: Mapping[str, Any], model: str) -> Any:
    """An answer with `reasoning` in the message."""
    message = {
        "role": "assistant",
        "content": f"Ollama answers {len(request['messages'])} message(s).",
        "reasoning": "The user wants an answer.",
    }
    return {
        "id": "chatcmpl-417",
        "object": "chat.completion",
        "created": MODIFIED,
        "model": model,
        "system_fingerprint": "fp_ollama",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 26, "completion_tokens": 8, "total_tokens": 34},
    }


def stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """A role and a content, if empty, in every delta."""
    each = {"role": "assistant", "content": ""}
    return spoken(document, include_usage, opening=None, each=each, last=each)


def stream_error(_message: str) -> bytes:
    """An empty chunk: the error is read as an answer in which nothing is said (openai.go)."""
    delta = {"role": "assistant", "content": ""}
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return frame({"id": "chatcmpl-417", "object": "chat.completion.chunk", "choices": [choice]})


OLLAMA = Dialect(
    name="ollama",
    list_models=list_models,
    complete=complete,
    fail=fail,
    unauthorized=fail(401, "unauthorized"),  # only behind a proxy that checks keys
    no_such_path=Reply(404, b"404 page not found", "text/plain"),
    wrong_method=Reply(405, b"405 method not allowed", "text/plain"),
    no_such_model=lambda name: fail(404, f"model '{name}' not found"),
    meant=meant,
    models_need_key=False,
    stream=stream,
    stream_error=stream_error,
    public={"/": Reply(200, b"Ollama is running", "text/plain; charset=utf-8")},
)


def ollama(**options: Any) -> Simulator:
    """An Ollama that has pulled `models` (default: one)."""
    return Simulator(OLLAMA, **{"models": ["llama3:latest"], **options})

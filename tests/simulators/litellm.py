"""LiteLLM's proxy without a database (UPSTREAMS.md section 2).

Recorded from a real one: `tests/samples/litellm`. Every model is as old as its source code; codes
are texts; a wrong key is 400 `no_db_connection`, and no key at all a 500 in plain text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.simulators._http import Reply, json_reply
from tests.simulators._simulator import Dialect, Simulator
from tests.simulators._streams import Chunk, spoken

CREATED = 1_677_610_602
NO_DATABASE = {
    "message": "No connected db.",
    "type": "no_db_connection",
    "param": None,
    "code": "400",
}
_TYPES = {400: "invalid_request_error", 429: "throttling_error"}


def fail(status: int, message: str) -> Reply:
    """OpenAI's error object; the code is the status as a text, and a bad body names its fault."""
    kind = _TYPES.get(status, "internal_server_error")
    param = "messages" if status == 400 else None
    error = {"message": message, "type": kind, "param": param, "code": str(status)}
    return json_reply({"error": error}, status)


def no_such_model(name: str) -> Reply:
    """400, with the message once more in LiteLLM's own field."""
    message = f"/chat/completions: Invalid model name passed in model={name}."
    error = {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": "400",
        "provider_specific_fields": {"error": message},
    }
    return json_reply({"error": error}, 400)


def list_models(ids: Sequence[str]) -> Any:
    """Everything is owned by openai."""
    entries = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "openai"} for name in ids
    ]
    return {"data": entries, "object": "list"}


def complete(request: Mapping[str, Any], model: str) -> Any:
    """An answer reduced to what every provider has."""
    text = f"LiteLLM answers {len(request['messages'])} message(s)."
    message = {"content": text, "role": "assistant"}
    return {
        "id": "chatcmpl-fd98b9e3-0000-4000-8000-000000000000",
        "created": 1_795_000_000,
        "model": model,
        "object": "chat.completion",
        "choices": [{"finish_reason": "stop", "index": 0, "message": message}],
        "usage": {"completion_tokens": 20, "prompt_tokens": 10, "total_tokens": 30},
    }


def stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """As recorded: the role beside the first piece, usage beside a choice that says nothing."""
    usage_choices = [{"index": 0, "delta": {}}]
    details = {"reasoning_tokens": 0, "text_tokens": document["usage"]["completion_tokens"]}
    usage = {**document["usage"], "completion_tokens_details": details}
    document = {**document, "usage": usage}
    chunks = spoken(document, include_usage, opening=None, usage_choices=usage_choices)
    (first,) = chunks[0]["choices"]
    first["delta"] = {"role": "assistant", **first["delta"]}
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice.get("finish_reason") is None:
                choice.pop("finish_reason", None)
    return chunks


LITELLM = Dialect(
    name="litellm",
    list_models=list_models,
    complete=complete,
    fail=fail,
    unauthorized=json_reply({"error": NO_DATABASE}, 400),
    keyless=Reply(500, b"Internal Server Error", "text/plain; charset=utf-8"),
    no_such_path=json_reply({"detail": "Not Found"}, 404),
    wrong_method=json_reply({"detail": "Method Not Allowed"}, 405),
    no_such_model=no_such_model,
    public={"/": json_reply("LiteLLM: RUNNING")},
    stream=stream,
    stream_type="text/event-stream; charset=utf-8",
)


def litellm(**options: Any) -> Simulator:
    """A proxy in front of two models."""
    return Simulator(LITELLM, **{"models": ["fake-chat", "openai/gpt-4o-mini"], **options})

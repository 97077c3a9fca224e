"""OpenRouter (UPSTREAMS.md section 2; its pages on errors and on the models route).

Lists without a key, below `/api/v1`. An error's `code` is the status, until generation began:
then the status is 200 and the document carries the error (`Mode.ERROR_IN_200`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.simulators._http import Reply, json_reply
from tests.simulators._simulator import Dialect, Simulator
from tests.simulators._streams import Chunk, frame, spoken

CREATED = 1_795_000_000
CONTEXT = 200_000


def fail(status: int, message: str) -> Reply:
    """Code and message, and the account that asked."""
    error = {"message": message, "code": status}
    return json_reply({"error": error, "user_id": "user_2simulated"}, status)


def list_models(ids: Sequence[str]) -> Any:
    """Entries with prices as decimal texts, and no `object` anywhere."""
    return {"data": [_entry(name) for name in ids]}


def _entry(name: str) -> Any:
    return {
        "id": name,
        "canonical_slug": name,
        "name": name.rpartition("/")[2],
        "created": CREATED,
        "description": "A simulated model.",
        "context_length": CONTEXT,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {"prompt": "0.000003", "completion": "0.000015", "request": "0", "image": "0"},
        "top_provider": {
            "context_length": CONTEXT,
            "max_completion_tokens": 64_000,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": ["max_tokens", "temperature", "tools"],
    }


def complete(request: Mapping[str, Any], model: str) -> Any:
    """An answer that names its provider and its price."""
    text = f"OpenRouter answers {len(request['messages'])} message(s)."
    message = {"role": "assistant", "content": text, "refusal": None, "reasoning": None}
    choice = {
        "logprobs": None,
        "finish_reason": "stop",
        "native_finish_reason": "stop",
        "index": 0,
        "message": message,
    }
    return {
        "id": "gen-1795000000-0123456789abcdefghij",
        "provider": "Simulated",
        "model": model,
        "object": "chat.completion",
        "created": CREATED,
        "choices": [choice],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 7,
            "total_tokens": 19,
            "cost": 0.000141,
        },
    }


WAITING = b": OPENROUTER PROCESSING\n\n"


def stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """Comments until the first token; usage beside a choice that says nothing."""
    silence = {"role": "assistant", "content": ""}
    choice = {"native_finish_reason": None, "logprobs": None}
    chunks = spoken(
        document,
        include_usage,
        opening=None,
        each={"role": "assistant"},
        last=silence,
        choice=choice,
        final={"native_finish_reason": "stop"},
        usage_choices=[{"index": 0, "delta": silence, "finish_reason": None, **choice}],
    )
    return [WAITING, WAITING, *chunks]


def stream_error(message: str) -> bytes:
    """A chunk that carries the error, and a choice that ends for it."""
    delta = {"role": "assistant", "content": ""}
    choice = {"index": 0, "delta": delta, "finish_reason": "error"}
    return frame(
        {
            "id": "gen-1795000000-0123456789abcdefghij",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "provider": "Simulated",
            "error": {"code": 502, "message": message},
            "choices": [choice],
        }
    )


OPENROUTER = Dialect(
    name="openrouter",
    list_models=list_models,
    complete=complete,
    fail=fail,
    unauthorized=json_reply({"error": {"message": "User not found.", "code": 401}}, 401),
    keyless=json_reply({"error": {"message": "No auth credentials found", "code": 401}}, 401),
    no_such_path=json_reply({"error": {"message": "Not Found", "code": 404}}, 404),
    wrong_method=json_reply({"error": {"message": "Method Not Allowed", "code": 405}}, 405),
    no_such_model=lambda name: fail(400, f"{name} is not a valid model ID"),
    models_need_key=False,
    base="/api/v1",
    stream=stream,
    stream_error=stream_error,
)


def openrouter(**options: Any) -> Simulator:
    """An OpenRouter with a few of its thousands."""
    models = ["anthropic/claude-sonnet-4.5", "deepseek/deepseek-chat-v3.1:free"]
    return Simulator(OPENROUTER, **{"models": models, **options})

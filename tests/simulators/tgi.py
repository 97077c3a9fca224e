"""Hugging Face's text-generation-inference (UPSTREAMS.md section 2).

Lists its one model without checking the key, ignores the body's `model`, reports errors as a
string beside `error_type`, and answers 401 with an empty body. Its events have no space after the
colon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tests.simulators._http import Reply, json_reply
from tests.simulators._simulator import Dialect, Simulator
from tests.simulators._streams import Chunk, spoken

_TYPES = {
    422: "validation",
    424: "generation",
    429: "overloaded",
    500: "incomplete_generation",
}


def fail(status: int, message: str) -> Reply:
    """A string, not an object."""
    return json_reply({"error": message, "error_type": _TYPES.get(status, "unknown_error")}, status)


def list_models(ids: Sequence[str]) -> Any:
    """One entry whose owner is itself, created at 0."""
    entries = [{"id": name, "object": "model", "created": 0, "owned_by": name} for name in ids[:1]]
    return {"object": "list", "data": entries}


def complete(request: Mapping[str, Any], model: str) -> Any:
    """An answer with an empty id."""
    message = {
        "role": "assistant",
        "content": f"TGI answers {len(request['messages'])} message(s).",
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        "object": "chat.completion",
        "id": "",
        "created": 1_795_000_000,
        "model": model,
        "system_fingerprint": "3.3.5-sha-0000000",
        "choices": [choice],
        "usage": {"prompt_tokens": 15, "completion_tokens": 6, "total_tokens": 21},
    }


def stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """A role in every delta."""
    each = {"role": "assistant"}
    chunks = spoken(
        document,
        include_usage,
        opening=None,
        each=each,
        last={**each, "content": ""},
        choice={"logprobs": None},
        chunk={"usage": None},
    )
    return [_event(chunk) for chunk in chunks]


def stream_error(message: str) -> bytes:
    """An object, unlike its other errors."""
    return _event({"error": {"message": message, "http_status_code": 424}})


def _event(document: Mapping[str, Any]) -> bytes:
    return b"data:" + msgspec.json.encode(document) + b"\n\n"


TGI = Dialect(
    name="tgi",
    list_models=list_models,
    complete=complete,
    fail=fail,
    unauthorized=Reply(401),
    no_such_path=Reply(404),
    wrong_method=Reply(405),
    no_such_model=None,
    models_need_key=False,
    stream=stream,
    stream_error=stream_error,
    public={"/health": Reply(200)},
)


def tgi(**options: Any) -> Simulator:
    """A TGI that serves the first of `models`."""
    return Simulator(TGI, **{"models": ["mistralai/Mistral-7B-Instruct-v0.3"], **options})

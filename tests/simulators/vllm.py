"""vLLM's OpenAI server, before 0.10.1 and since (UPSTREAMS.md section 2).

The key guards `/v1/*` only; a wrong one gets `{"error":"Unauthorized"}`. Errors carry an int code
and a class name as type. Unknown paths are FastAPI's `{"detail":…}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.simulators import _tools
from tests.simulators._http import Reply, json_reply
from tests.simulators._simulator import Dialect, Simulator
from tests.simulators._streams import DONE, Chunk, spoken

CREATED = 1_795_000_000
_TYPES = {400: "BadRequestError", 404: "NotFoundError", 429: "RateLimitError"}


def fail(status: int, message: str) -> Reply:
    """The nested form of 0.10.1."""
    kind = _TYPES.get(status, "InternalServerError")
    error = {"message": message, "type": kind, "param": None, "code": status}
    return json_reply({"error": error}, status)


def fail_flat(status: int, message: str) -> Reply:
    """The form before 0.10.1: the error is the document."""
    kind = _TYPES.get(status, "InternalServerError")
    error = {"object": "error", "message": message, "type": kind, "param": None, "code": status}
    return json_reply(error, status)


def list_models(ids: Sequence[str]) -> Any:
    """One entry a served model, with `max_model_len` and the old `permission` list."""
    permission = {"id": "modelperm-1", "object": "model_permission", "created": CREATED}
    return {
        "object": "list",
        "data": [
            {
                "id": name,
                "object": "model",
                "created": CREATED,
                "owned_by": "vllm",
                "root": name,
                "parent": None,
                "max_model_len": 131072,
                "permission": [{**permission, "allow_sampling": True, "organization": "*"}],
            }
            for name in ids
        ],
    }


def complete(request: Mapping[str, Any], model: str) -> Any:
    """An answer with `reasoning` beside the content and vLLM's own top-level fields.

    Where tools are offered, it calls them and says nothing.
    """
    called = _tools.calls(request, "chatcmpl-tool-")
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if called else f"vLLM answers {len(request['messages'])} message(s).",
        "refusal": None,
        "reasoning": "The user wants an answer.",
        "tool_calls": called,
    }
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": "tool_calls" if called else "stop",
        "stop_reason": None,
    }
    return {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [choice],
        "usage": {"prompt_tokens": 11, "total_tokens": 18, "completion_tokens": 7},
        "prompt_logprobs": None,
        "kv_transfer_params": None,
    }


def complete_old(request: Mapping[str, Any], model: str) -> Any:
    """The same, with the reasoning under its older name."""
    answer = complete(request, model)
    message = answer["choices"][0]["message"]
    message["reasoning_content"] = message.pop("reasoning")
    return answer


def stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """A role first; reasoning, then content or calls; a last delta that says nothing."""
    return spoken(
        document,
        include_usage,
        opening={"role": "assistant", "content": ""},
        last={"content": ""},
        choice={"logprobs": None},
        final={"stop_reason": None},
        without=("prompt_logprobs", "kv_transfer_params"),
    )


VLLM = Dialect(
    name="vllm",
    list_models=list_models,
    complete=complete,
    fail=fail,
    unauthorized=json_reply({"error": "Unauthorized"}, 401),
    no_such_path=json_reply({"detail": "Not Found"}, 404),
    wrong_method=json_reply({"detail": "Method Not Allowed"}, 405),
    no_such_model=lambda name: fail(404, f"The model `{name}` does not exist."),
    public={"/health": Reply(200), "/version": json_reply({"version": "0.10.1"})},
    stream=stream,
    stream_error=lambda message: b"data: " + fail(500, message).body + b"\n\n" + DONE,
    stream_type="text/event-stream; charset=utf-8",
)
VLLM_OLD = replace(
    VLLM,
    name="vllm-old",
    complete=complete_old,
    fail=fail_flat,
    no_such_model=lambda name: fail_flat(404, f"The model `{name}` does not exist."),
    public={"/health": Reply(200), "/version": json_reply({"version": "0.8.5"})},
    stream_error=lambda message: b"data: " + fail_flat(500, message).body + b"\n\n" + DONE,
)


def vllm(**options: Any) -> Simulator:
    """A vLLM that serves `models` (default: one Llama) with `key`."""
    return Simulator(VLLM, **{"models": ["meta-llama/Llama-3.3-70B-Instruct"], **options})


def vllm_old(**options: Any) -> Simulator:
    """A vLLM before 0.10.1."""
    return Simulator(VLLM_OLD, **{"models": ["Qwen/Qwen2.5-7B-Instruct"], **options})

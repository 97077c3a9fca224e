"""llama.cpp's llama-server: one model, or many behind its router (UPSTREAMS.md section 2).

Recorded from a real one: `tests/samples/llama-server`. The key guards every route but `/health`;
older versions listed their models to everybody. Whatever model is asked for, its own answers.
While it loads, every route is 503. The router's list is that of the page `tools/server/README.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from tests.simulators._http import Reply, json_reply
from tests.simulators._simulator import LOADING, Dialect, Simulator
from tests.simulators._streams import Chunk, spoken

CREATED = 1_795_352_987
JSON = "application/json; charset=utf-8"
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    503: "unavailable_error",
}
_TIMINGS = {
    "cache_n": 0,
    "prompt_n": 25,
    "prompt_ms": 1361.234,
    "prompt_per_token_ms": 54.449,
    "prompt_per_second": 18.366,
    "predicted_n": 15,
    "predicted_ms": 3006.477,
    "predicted_per_token_ms": 214.748,
    "predicted_per_second": 4.657,
}


def fail(status: int, message: str) -> Reply:
    """OpenAI's error object with an int code."""
    error = {"message": message, "type": _TYPES.get(status, "server_error"), "code": status}
    return replace(json_reply({"error": error}, status), content_type=JSON)


def list_models(ids: Sequence[str]) -> Any:
    """The same models twice: in Ollama's style, and in OpenAI's with `meta`."""
    return {
        "models": [_like_ollama(name) for name in ids],
        "object": "list",
        "data": [_like_openai(name) for name in ids],
    }


def _like_ollama(name: str) -> Any:
    details = {
        "parent_model": "",
        "format": "gguf",
        "family": "",
        "families": [""],
        "parameter_size": "",
        "quantization_level": "",
    }
    texts = dict.fromkeys(("modified_at", "size", "digest", "description", "parameters"), "")
    lists = {"tags": [""], "capabilities": ["completion"]}
    return {"name": name, "model": name, "type": "model", **texts, **lists, "details": details}


def _like_openai(name: str) -> Any:
    meta = {
        "vocab_type": 2,
        "n_vocab": 49152,
        "n_ctx": 2048,
        "n_ctx_train": 8192,
        "n_embd": 576,
        "n_params": 134515008,
        "size": 96576768,
        "ftype": "Q4_1",
    }
    modalities = {"input_modalities": ["text"], "output_modalities": ["text"]}
    return {
        "id": name,
        "aliases": [name],
        "tags": [],
        "object": "model",
        "architecture": modalities,
        "created": CREATED,
        "owned_by": "llamacpp",
        "meta": meta,
    }


def complete(request: Mapping[str, Any], model: str) -> Any:
    """An answer with `timings`."""
    text = f"llama.cpp answers {len(request['messages'])} message(s)."
    message = {"role": "assistant", "content": text}
    return {
        "choices": [{"finish_reason": "stop", "index": 0, "message": message}],
        "created": CREATED,
        "model": model,
        "system_fingerprint": "b0-unknown",
        "object": "chat.completion",
        "usage": {
            "completion_tokens": 15,
            "prompt_tokens": 25,
            "total_tokens": 40,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
        "id": "chatcmpl-n9givludvtprGcL1IetsIk5kh8HxHHGW",
        "timings": _TIMINGS,
    }


def stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """A role and a null first; `timings` last, beside the usage where that was asked for."""
    opening = {"role": "assistant", "content": None}
    *chunks, last = spoken(document, include_usage, opening=opening, without=("timings",))
    return [*chunks, {**last, "timings": document["timings"]}]


def stream_error_old(message: str) -> bytes:
    """A field of its own, and no `data`."""
    error = {"code": 500, "message": message, "type": "server_error"}
    return b"error: " + msgspec.json.encode(error) + b"\n\n"


LLAMA_CPP = Dialect(
    name="llama.cpp",
    list_models=list_models,
    complete=complete,
    fail=fail,
    unauthorized=fail(401, "Invalid API Key"),
    no_such_path=fail(404, "File Not Found"),
    wrong_method=fail(404, "File Not Found"),
    no_such_model=None,
    loading=replace(LOADING, content_type=JSON),
    public={"/health": replace(json_reply({"status": "ok"}), content_type=JSON)},
    content_type=JSON,
    stream=stream,
)
LLAMA_CPP_OLD = replace(
    LLAMA_CPP, name="llama.cpp-old", models_need_key=False, stream_error=stream_error_old
)


def router_dialect(statuses: dict[str, str]) -> Dialect:
    """The router's: `statuses` is model → unloaded, loading or loaded; a chat loads its model."""

    def entry(name: str) -> Any:
        status: dict[str, Any] = {"value": statuses.get(name, "unloaded")}
        if status["value"] != "unloaded":
            status["args"] = ["llama-server", "-ctx", "4096"]
        path = f"/models/{name.replace('/', '_')}.gguf"
        return {
            "id": name,
            "object": "model",
            "created": CREATED,
            "owned_by": "llamacpp",
            "in_cache": True,
            "path": path,
            "status": status,
        }

    def listed(ids: Sequence[str]) -> Any:
        return {"data": [entry(name) for name in ids], "object": "list"}

    def loads_and_completes(request: Mapping[str, Any], model: str) -> Any:
        statuses[model] = "loaded"
        return complete(request, model)

    return replace(
        LLAMA_CPP,
        name="llama.cpp-router",
        list_models=listed,
        complete=loads_and_completes,
        no_such_model=lambda name: fail(400, f"model '{name}' not found"),
    )


def llama_cpp(**options: Any) -> Simulator:
    """A llama-server with one model, under its `--alias`."""
    return Simulator(LLAMA_CPP, **{"models": ["smollm2-135m-instruct"], **options})


def llama_cpp_old(**options: Any) -> Simulator:
    """One that lists its model without checking the key, by its file's path."""
    return Simulator(LLAMA_CPP_OLD, **{"models": ["/models/SmolLM2-135M.Q4_1.gguf"], **options})


def llama_cpp_router(**options: Any) -> Simulator:
    """A router with three models: one loaded, one loading, one on the disk only."""
    statuses = {
        "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M": "loaded",
        "ggml-org/Qwen3-8B-GGUF:Q4_K_M": "loading",
        "ggml-org/SmolLM2-135M-Instruct-GGUF:Q8_0": "unloaded",
    }
    return Simulator(router_dialect(statuses), **{"models": list(statuses), **options})

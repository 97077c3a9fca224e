"""Together (UPSTREAMS.md section 2): its list is a bare array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.simulators._http import Reply, json_reply
from tests.simulators._simulator import Dialect, Simulator
from tests.simulators._streams import Chunk, spoken

CREATED = 1_795_000_000


def fail(status: int, message: str, code: str | None = None) -> Reply:
    """OpenAI's error object beside the request's id."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    return json_reply({"id": "oSim1-2kFHot", "error": error}, status)


def list_models(ids: Sequence[str]) -> Any:
    """No envelope; prices are in dollars for a million tokens."""
    return [
        {
            "id": name,
            "object": "model",
            "created": CREATED,
            "type": "chat",
            "running": False,
            "display_name": name.rpartition("/")[2],
            "organization": name.partition("/")[0],
            "link": f"https://models.test/{name}",
            "license": "other",
            "context_length": 32_768,
            "config": {"chat_template": None, "stop": [], "bos_token": None, "eos_token": None},
            "pricing": {"hourly": 0, "input": 1.2, "output": 1.2, "base": 0, "finetune": 0},
        }
        for name in ids
    ]


def complete(request: Mapping[str, Any], model: str) -> Any:
    """An answer with an empty `prompt` and the seed of each choice."""
    text = f"Together answers {len(request['messages'])} message(s)."
    message = {"role": "assistant", "content": text, "tool_calls": []}
    choice = {
        "finish_reason": "stop",
        "seed": 2387155844510162400,
        "logprobs": None,
        "index": 0,
        "message": message,
    }
    return {
        "id": "oSim1-62bZhn-9801a2718d0ed123",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "prompt": [],
        "choices": [choice],
        "usage": {
            "prompt_tokens": 14,
            "completion_tokens": 7,
            "total_tokens": 21,
            "cached_tokens": 0,
        },
    }


def stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """The text twice, and usage in the chunk that ends, asked for or not (unverified)."""
    chunks = spoken(
        document,
        include_usage=False,
        opening=None,
        each={"role": "assistant", "tool_calls": None},
        last={"role": "assistant", "content": ""},
        choice={"logprobs": None, "seed": None},
        chunk={"usage": None},
        without=("prompt",),
    )
    for chunk in chunks:
        (choice,) = chunk["choices"]
        choice["text"] = choice["delta"]["content"]
    return [*chunks[:-1], {**chunks[-1], "usage": document["usage"]}]


TOGETHER = Dialect(
    name="together",
    list_models=list_models,
    complete=complete,
    fail=fail,
    unauthorized=fail(401, "Invalid API key provided.", "invalid_api_key"),
    no_such_path=json_reply({"error": {"message": "Not found", "type": "not_found"}}, 404),
    wrong_method=json_reply({"error": {"message": "Not found", "type": "not_found"}}, 404),
    no_such_model=lambda name: fail(404, f"Unable to access model {name}.", "model_not_available"),
    stream=stream,
)


def together(**options: Any) -> Simulator:
    """A Together with two chat models."""
    models = ["meta-llama/Llama-3.3-70B-Instruct-Turbo", "Qwen/Qwen2.5-72B-Instruct-Turbo"]
    return Simulator(TOGETHER, **{"models": models, **options})

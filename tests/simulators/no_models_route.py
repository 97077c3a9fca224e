"""A server that chats and has no models route, as Perplexity and MiniMax (UPSTREAMS.md section 2).

Its gateway answers web pages: 404 for the route, 401 for a wrong key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.simulators._http import Reply, json_reply
from tests.simulators._simulator import Dialect, Simulator
from tests.simulators._streams import Chunk, spoken


def fail(status: int, message: str) -> Reply:
    """OpenAI's error object with an int code."""
    kind = "invalid_model" if status == 400 else "simulated"
    return json_reply({"error": {"message": message, "type": kind, "code": status}}, status)


def page(status: int, title: str) -> Reply:
    """What a gateway says."""
    text = f"<html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>"
    return Reply(status, text.encode(), "text/html")


def complete(request: Mapping[str, Any], model: str) -> Any:
    """An answer with the places that it was found in."""
    text = f"No models route, and yet answers {len(request['messages'])} message(s)."
    message = {"role": "assistant", "content": text}
    return {
        "id": "4f0c1a6e-0000-4000-8000-000000000000",
        "model": model,
        "created": 1_795_000_000,
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 11, "total_tokens": 20},
        "citations": ["https://pages.test/1"],
        "search_results": [{"title": "A page", "url": "https://pages.test/1", "date": None}],
    }


def stream(document: Mapping[str, Any], include_usage: bool) -> Sequence[Chunk]:
    """The message so far beside every delta, and usage in every chunk (unverified)."""
    chunks = spoken(
        document, include_usage=False, opening={"role": "assistant", "content": ""}, last={}
    )
    text = ""
    for chunk in chunks:
        (choice,) = chunk["choices"]
        text += choice["delta"].get("content", "")
        choice["message"] = {"role": "assistant", "content": text}
        chunk["usage"] = document["usage"]
    return chunks


NO_MODELS_ROUTE = Dialect(
    name="no-models-route",
    list_models=None,
    complete=complete,
    fail=fail,
    unauthorized=page(401, "Authorization Required"),
    no_such_path=page(404, "Not Found"),
    wrong_method=page(405, "Not Allowed"),
    stream=stream,
    no_such_model=lambda name: fail(400, f"Invalid model '{name}'."),
)


def no_models_route(**options: Any) -> Simulator:
    """One that answers for `models`, and tells nobody which they are."""
    return Simulator(NO_MODELS_ROUTE, **{"models": ["sonar", "sonar-pro"], **options})

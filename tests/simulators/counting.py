"""The upstream that counts calls by job mark, for load and fault tests.

The mark travels in the request's `user` field, which Dragoman passes on unchanged; the answer's
text is `answer to <mark>`, so that a result can be matched with its job, or as many words as the
call asks for. What a call shall be like is in its `sim` field (`CallOptions`). Control routes:
`GET /sim/stats`, `GET /sim/calls`, `GET /sim/calls/<mark>`, `POST /sim/reset`, `/sim/hold`,
`/sim/release`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.simulators import _tools
from tests.simulators._http import Exchange, Reply, json_reply
from tests.simulators._simulator import Dialect, Simulator

CREATED = 1_795_000_000


def fail(status: int, message: str) -> Reply:
    """OpenAI's error object."""
    error = {"message": message, "type": "simulated", "param": None, "code": None}
    return json_reply({"error": error}, status)


def list_models(ids: Sequence[str]) -> Any:
    """OpenAI's list."""
    entries = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "counting"} for name in ids
    ]
    return {"object": "list", "data": entries}


def text_of(words: int, mark: str = "") -> str:
    """What a call with `"sim": {"words": n}` is told: n words, each a chunk of a stream.

    With `"marked": true` its mark comes before them.
    """
    spoken = " ".join(f"word{number}" for number in range(words))
    return f"{mark} {spoken}" if mark else spoken


def complete(request: Mapping[str, Any], model: str) -> Any:
    """OpenAI's completion whose text names the mark."""
    mark = request.get("user", "")
    message: dict[str, Any] = {"role": "assistant", "content": f"answer to {mark}"}
    sim = request.get("sim") or {}
    if words := sim.get("words"):
        message["content"] = text_of(words, mark if sim.get("marked") else "")
    called = _tools.calls(request, f"call-{mark}-")
    if called:
        message = {"role": "assistant", "content": None, "tool_calls": called}
    return {
        "id": f"sim-{mark}",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if called else "stop",
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


COUNTING = Dialect(
    name="counting",
    list_models=list_models,
    complete=complete,
    fail=fail,
    unauthorized=fail(401, "Incorrect API key provided."),
    no_such_path=json_reply({"detail": "Not Found"}, 404),
    wrong_method=json_reply({"detail": "Method Not Allowed"}, 405),
    no_such_model=None,
)


class CountingSimulator(Simulator):
    """The counting dialect with its control routes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(COUNTING, **options)

    def handle(self, exchange: Exchange) -> None:
        """Control routes first, then as any simulator."""
        request = exchange.request
        if not request.path.startswith("/sim/"):
            super().handle(exchange)
            return
        match request.method, request.path.removeprefix("/sim/").split("/"):
            case "GET", ["stats"]:
                exchange.reply(json_reply(self.ledger.stats()))
            case "GET", ["calls"]:
                exchange.reply(json_reply(self.ledger.calls()))
            case "GET", ["calls", mark]:
                exchange.reply(json_reply(self.ledger.calls_of(mark)))
            case "POST", ["reset"]:
                self.ledger.forget()
                exchange.reply(Reply(204))
            case "POST", ["hold"]:
                self.hold()
                exchange.reply(Reply(204))
            case "POST", ["release"]:
                self.release()
                exchange.reply(Reply(204))
            case _:
                exchange.reply(self.dialect.no_such_path)

"""A command run in this process, against a server that is a function."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from cli.app import main
from cli.exits import Exit

KEY = "dgm_01J_secret"
URL = "http://registry.test:8642"
Handler = Callable[[httpx.Request], httpx.Response]


def listed(*rows: Mapping[str, Any], has_more: bool = False) -> httpx.Response:
    """A page of the contract."""
    ids = [row.get("id") for row in rows]
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    body = {"object": "list", "data": rows, "first_id": first, "last_id": last}
    return httpx.Response(200, json={**body, "has_more": has_more})


def refused(status: int, message: str = "Expected x, got y.", **more: Any) -> httpx.Response:
    """An error answer of the contract; `headers` are its own."""
    headers = {"x-request-id": "req_1", **more.pop("headers", {})}
    error = {"message": message, "type": "t", "code": "c", "param": None, **more}
    body = {"title": "T", "status": status, "detail": message, "error": error}
    return httpx.Response(status, json=body, headers=headers)


def job(job_id: str = "chatcmpl-1", status: str = "completed", **fields: Any) -> dict[str, Any]:
    """A job of the contract."""
    said = {"role": "assistant", "content": "Hello"}
    done = status == "completed"
    return {
        "id": job_id,
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": "acme/llama3",
        "choices": [{"index": 0, "message": said, "finish_reason": "stop"}] if done else [],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10} if done else None,
        "metadata": {},
        "service_tier": "default",
        "background": True,
        "status": status,
        "queue_position": 3 if status == "queued" else None,
        "attempts": 1,
        "started_at": 1_795_000_001,
        "completed_at": 1_795_000_002 if done else None,
        "expires_at": None,
        "error": None,
        "webhook": None,
        "waiting_for": None,
        **fields,
    }


def provider(slug: str = "acme", **fields: Any) -> dict[str, Any]:
    """A provider of the contract."""
    return {
        "id": f"prov_{slug}",
        "object": "provider",
        "name": slug.title(),
        "slug": slug,
        "endpoint": f"http://{slug}.test:8000",
        "chat_url": f"http://{slug}.test:8000/v1/chat/completions",
        "models_url": f"http://{slug}.test:8000/v1/models",
        "api_key": {"set": True, "last4": "9f2c", "fingerprint": "3fa1", "rotated_at": 1},
        "description": "",
        "tags": ["eu"],
        "enabled": True,
        "visibility": "everyone",
        "options": {"max_concurrency": None, "verify_tls": True, "models": []},
        "discovery": {
            "status": "ok",
            "checked_at": 1_795_000_000,
            "ok_at": 1_795_000_000,
            "model_count": 2,
            "key_verified_at": None,
            "error": None,
            "next_check_at": 1_795_000_300,
        },
        "revision": 1,
        "created_at": 1_795_000_000,
        "updated_at": 1_795_000_000,
        **fields,
    }


@dataclass
class Ran:
    """How a command ended, and what it said."""

    exit: Exit
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Scene:
    """Runs commands; `requests` are those of all of them."""

    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    handler: Handler = lambda request: refused(404)
    requests: list[httpx.Request] = field(default_factory=list)
    environ: dict[str, str] = field(
        default_factory=lambda: {"DRAGOMAN_URL": URL, "DRAGOMAN_API_KEY": KEY}
    )

    def run(self, *arguments: str, stdin: str = "") -> Ran:
        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return self.handler(request)

        self.monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        self.capsys.readouterr()
        exit_ = main(arguments, self.environ, transport=httpx.MockTransport(handle))
        said = self.capsys.readouterr()
        return Ran(exit_, said.out, said.err)

    def answering(self, *answers: httpx.Response) -> Scene:
        """Answer with these in turn, and with the last for ever."""
        left = list(answers)
        self.handler = lambda request: left.pop(0) if len(left) > 1 else left[0]
        return self

    def asking(self, *typed: str) -> None:
        """Let somebody sit at a terminal and type these."""
        self.monkeypatch.setattr("cli.session.Session.asks", True)
        answers = iter(typed)
        for prompt in ("click.termui.visible_prompt_func", "click.termui.hidden_prompt_func"):
            self.monkeypatch.setattr(prompt, lambda text="": next(answers))

    def sent(self, number: int = -1) -> Any:
        """The body of a request."""
        return json.loads(self.requests[number].content)

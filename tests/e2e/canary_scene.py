"""The stage of the canaries: what is planted, and where all that is answered is collected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.api import Api
from tests.canaries import Haystack
from tests.simulators import CountingSimulator, Running, json_reply
from tests.simulators._http import Exchange
from tests.system import System
from tests.valkey import OwnValkey

GOOD_KEY = "sk-canary-of-the-good-one-0123456789"
NEW_KEY = "sk-canary-after-the-rotation-012345"
ECHO_KEY = "sk-canary/of+the=echo-0123456789abcd"
TESTED_KEY = "sk-canary-never-saved-0123456789abc"
REFUSED_KEY = "sk-canary-of-a-refused-request-01234"
TASKS = (b"chat.drain", b"discovery.check", b"discovery.refresh")
KEYS = (GOOD_KEY, NEW_KEY, ECHO_KEY, TESTED_KEY, REFUSED_KEY)

PROMPT = "canary-words-of-a-prompt"
ANSWER = "canary-words-of-an-answer"
FAULT = "canary-words-of-an-upstreams-error"
TOKEN = "canary-in-the-path-of-a-webhook"


class TellingSimulator(CountingSimulator):
    """Answers with canary words; a prompt about errors gets one."""

    def handle(self, exchange: Exchange) -> None:
        if b'"fail"' in exchange.request.body:
            self.requests.append(exchange.request)
            exchange.reply(json_reply({"error": {"message": FAULT}}, 400))
        else:
            super().handle(exchange)


@dataclass
class Scene:
    """The system at its most talkative, its Valkey, whom it calls, and all that was answered."""

    system: System
    valkey: OwnValkey
    good: Running
    echo: Running
    receiver: Running
    hay: Haystack = field(default_factory=Haystack)

    @property
    def api(self) -> Api:
        return self.system.api

    def listen(self) -> None:
        """Collect every answer, with its headers."""

        def collect(response: httpx.Response) -> None:
            # A stream is read by whoever asked for it.
            body = b"" if "event-stream" in str(response.headers) else response.read()
            self.hay.add("answers", str(response.headers).encode() + body)

        self.api.http.event_hooks["response"] = [collect]

    def call(self, method: str, path: str, status: int, **options: Any) -> Any:
        """One request that must be answered so; its document."""
        answer = self.api.http.request(method, path, **options)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if "json" in answer.headers.get("content-type", "") else None


def log_in(scene: Scene) -> tuple[str, str]:
    """The console, well and badly; the session's token and that of its changes."""
    with httpx.Client(base_url=scene.system.url, trust_env=False, timeout=30) as browser:
        browser.event_hooks = scene.api.http.event_hooks
        wrong = {"key": REFUSED_KEY, "next": f"/{REFUSED_KEY}/\\"}
        assert browser.post("/login", data=wrong).status_code == 401
        right = {"key": scene.system.admin_key}
        begun = browser.post("/login", data=right, headers={"Accept": "application/json"})
        token, csrf = browser.cookies["dragoman_session"], str(begun.json()["csrf_token"])
        assert browser.get("/providers").status_code == 200
        own = {"X-CSRF-Token": csrf}
        made = browser.post("/v1/keys", json={"name": "by login"}, headers=own)
        assert made.status_code == 201
        assert browser.post("/v1/keys", json={}, headers=own).status_code == 400
    return token, csrf

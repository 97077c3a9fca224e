"""`demo`: the whole system, a real small model, and one background chat job on it.

What it does with the system it does over HTTP with the admin key, as any client would.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from deploy.address import reachable, url
from deploy.child import Program
from deploy.llama_server import ALIAS, model_file
from deploy.refusal import Refusal
from deploy.up import System, child_environ
from shared.config import Settings

NAME: Final = "SmolLM2 demo"
SLUG: Final = "smollm2-demo"
TAG: Final = "dragoman-demo"
MODEL: Final = f"{SLUG}/{ALIAS}"
QUESTION: Final = "Explain in one sentence what a translator does."
DISCOVERY_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 120.0
_LOOK_SECONDS = 0.05


async def run_demo(settings: Settings, environ: Mapping[str, str], *, once: bool) -> int:
    """Start everything, show the job, then serve on, or stop with `once`. Raises Refusal."""
    model_file()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    key = f"sk-demo-{secrets.token_urlsafe(24)}"
    llama = Program(
        "llama-server",
        (sys.executable, "-P", "-m", "deploy.llama_server"),
        {
            **child_environ(settings, environ),
            "LLAMA_ARG_PORT": str(port),
            "LLAMA_API_KEY": key,
        },
    )

    async def show() -> bool:
        async with _client(settings) as client:
            try:
                await Demo(client, f"http://127.0.0.1:{port}", key).run()
            except httpx.HTTPError as problem:
                raise Refusal(f"The registry did not answer the demo: {problem!r}.") from problem
        if not once:
            print(
                f"It keeps running at {url(settings)}; the admin key is in "
                f"{settings.admin_key_file}. Ctrl-C stops it."
            )
        return not once

    return await System(settings, environ, extra=[llama], after=show).run()


@asynccontextmanager
async def _client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    try:
        key = settings.admin_key_file.read_text("utf-8").strip()
    except OSError as problem:
        raise Refusal(f"The demo needs the admin key, and cannot read it: {problem}.") from problem
    async with httpx.AsyncClient(
        base_url=reachable(settings),
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
        timeout=30,
    ) as client:
        yield client


class Demo:
    """The story itself: register, discover, submit, poll, print. `endpoint` is llama.cpp's."""

    def __init__(self, client: httpx.AsyncClient, endpoint: str, key: str) -> None:
        self._client = client
        self._endpoint = endpoint
        self._key = key

    async def run(self) -> None:
        """Tell it on standard output; raises Refusal at the first thing that goes wrong."""
        provider = await self._register()
        _line("Registered", f"{provider['name']} ({provider['id']}) at {provider['chat_url']}")
        seconds = await self._discovered()
        _line("Discovered", f"{MODEL}, {seconds:.2f} s after the registration")
        await self._chat()

    async def _register(self) -> dict[str, Any]:
        """The provider; one of an earlier demo, whose server is gone, is replaced."""
        old = await self._client.get(f"/v1/providers/{SLUG}")
        if old.status_code == 200:
            if TAG not in old.json().get("tags", ()):
                raise Refusal(
                    f"A provider {SLUG} that is not the demo's exists here; delete it, or give "
                    "the demo a --data-dir of its own."
                )
            _expect(await self._client.delete(f"/v1/providers/{SLUG}"), 204)
        body = {
            "name": NAME,
            "slug": SLUG,
            "endpoint": self._endpoint,
            "api_key": self._key,
            "tags": [TAG],
        }
        return _expect(await self._client.post("/v1/providers", json=body), 201)

    async def _discovered(self) -> float:
        """Seconds until the model is listed."""
        begin = time.monotonic()
        while time.monotonic() - begin < DISCOVERY_SECONDS:
            listed = _expect(await self._client.get("/v1/models"), 200)
            if any(model["id"] == MODEL for model in listed["data"]):
                return time.monotonic() - begin
            await asyncio.sleep(_LOOK_SECONDS)
        found = _expect(await self._client.get(f"/v1/providers/{SLUG}"), 200)
        raise Refusal(
            f"{MODEL} was not listed within {DISCOVERY_SECONDS:g} s; the provider's discovery "
            f"says: {found.get('discovery')}"
        )

    async def _chat(self) -> None:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": 60,
            "temperature": 0,
            "background": True,
        }
        begin = time.monotonic()
        job = _expect(await self._client.post("/v1/chat/completions", json=body), 202)
        accepted = time.monotonic() - begin
        _line("Submitted", f"{job['id']}, accepted in {1000 * accepted:.0f} ms")
        running: float | None = None
        while job["status"] in ("queued", "in_progress"):
            if time.monotonic() - begin > ANSWER_SECONDS:
                raise Refusal(
                    f"{job['id']} is still {job['status']} after {ANSWER_SECONDS:g} s "
                    f"(waiting for: {job.get('waiting_for')})."
                )
            await asyncio.sleep(_LOOK_SECONDS)
            job = _expect(await self._client.get(f"/v1/chat/completions/{job['id']}"), 200)
            if running is None and job["status"] != "queued":
                running = time.monotonic() - begin
        total = time.monotonic() - begin
        if job["status"] != "completed":
            raise Refusal(f"{job['id']} ended {job['status']}: {job.get('error')}")
        self._print(job, running or total, total)

    def _print(self, job: dict[str, Any], running: float, total: float) -> None:
        usage = job.get("usage") or {}
        _line("Question", QUESTION)
        _line("Answer", job["choices"][0]["message"]["content"].strip())
        _line("Job", f"{job['id']}, {job['status']}")
        asked, answered = usage.get("prompt_tokens", "?"), usage.get("completion_tokens", "?")
        _line("Tokens", f"{asked} in, {answered} out")
        _line("Timings", f"seen running after {running:.2f} s, finished after {total:.2f} s")


def _expect(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The answer's JSON object; raises Refusal for any other status."""
    if answer.status_code != status:
        request = answer.request
        raise Refusal(
            f"{request.method} {request.url.path}: expected {status}, got {answer.status_code}: "
            f"{answer.text[:500]}"
        )
    return dict(answer.json()) if answer.content else {}


def _line(title: str, text: str) -> None:
    print(f"{title:<11} {text}", flush=True)

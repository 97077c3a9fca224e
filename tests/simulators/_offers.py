"""Every simulator that can be started by hand: `./dragoman simulate NAME`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.simulators._asked import Mode
from tests.simulators._running import serve
from tests.simulators._simulator import Simulator
from tests.simulators.counting import CountingSimulator
from tests.simulators.gemini import gemini
from tests.simulators.groq import groq
from tests.simulators.hostile import BEHAVIOURS, Hostile
from tests.simulators.litellm import litellm
from tests.simulators.llama_cpp import llama_cpp, llama_cpp_old, llama_cpp_router
from tests.simulators.lm_studio import lm_studio, lm_studio_loaded
from tests.simulators.no_models_route import no_models_route
from tests.simulators.ollama import ollama
from tests.simulators.openrouter import openrouter
from tests.simulators.tgi import tgi
from tests.simulators.together import together
from tests.simulators.vllm import vllm, vllm_old


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line; `port` 0 for any free one.

    `latency` of an answer and `every` from chunk to chunk are in seconds.
    """

    port: int = 0
    key: str | None = None
    models: Sequence[str] = ()
    latency: float = 0.0
    every: float = 0.0
    mode: str | None = None
    models_mode: str | None = None


class Unfit(Exception):
    """This simulator cannot be as it was wished; the message is a sentence."""


Listening = Callable[[str, str], None]  # the URL of the server, and what an endpoint adds to it
# Serves until the event is set, says where it listens, and returns what it was asked.
Serve = Callable[[Wish, asyncio.Event, Listening], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Offer:
    """One simulator: how it differs from the others, in a line, and how to serve it."""

    line: str
    serve: Serve


def of_dialect(line: str, make: Callable[..., Simulator]) -> Offer:
    """The offer of a simulator that speaks a dialect."""

    async def serve_it(wish: Wish, stop: asyncio.Event, listening: Listening) -> str:
        models = {"models": wish.models} if wish.models else {}
        simulator = make(key=wish.key, latency=wish.latency, every=wish.every, **models)
        mode = _mode(wish.mode) or Mode.NORMAL
        simulator.modes = {"chat": mode, "models": _mode(wish.models_mode) or mode}

        def listens(port: int) -> None:
            listening(f"http://127.0.0.1:{port}", simulator.dialect.base)

        await serve(simulator, stop, listens, wish.port)
        return summary(simulator)

    return Offer(line, serve_it)


async def _serve_hostile(wish: Wish, stop: asyncio.Event, listening: Listening) -> str:
    if wish != Wish(port=wish.port):
        raise Unfit("expected no option but --port, since each endpoint behaves in its own way")
    hostile = Hostile()
    async with hostile.listening(wish.port):
        listening(hostile.url, "/silence/v1")
        print(hostile.listing(), flush=True)
        await stop.wait()
    most = ", ".join(f"{name} {_times(n, 'time')}" for name, n in hostile.asked.most_common(5))
    return f"It was asked for {most}." if most else "It was asked for nothing."


def _mode(text: str | None) -> Mode | None:
    if text is None:
        return None
    if text not in set(Mode):
        raise Unfit(f"expected one of the modes {', '.join(Mode)}, got {text!r}")
    return Mode(text)


def summary(simulator: Simulator) -> str:
    """What a simulator was asked, in a sentence."""
    stats = simulator.ledger.stats()
    chats = f"{_times(stats.begun, 'chat')} ({stats.answered} answered)"
    told = f"It was asked for its models {_times(stats.model_lists, 'time')}, and for {chats}."
    if stats.others:
        base = simulator.dialect.base
        routes = (f"{base}/models", f"{base}/chat/completions")
        strays = [f"{r.method} {r.path}" for r in simulator.requests if r.path not in routes]
        last = f", last {strays[-1]}" if strays else ""
        told += f" {_times(stats.others, 'request')} went to other paths{last}."
    return told


def _times(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


OFFERS: Final[Mapping[str, Offer]] = {
    "vllm": of_dialect("vLLM: tells context lengths; a wrong key can do nothing", vllm),
    "vllm-old": of_dialect("vLLM before 0.10.1: an error is the whole document", vllm_old),
    "ollama": of_dialect("Ollama: needs no key; ids like llama3:latest", ollama),
    "tgi": of_dialect("TGI: lists its model to everybody, so that only a chat proves the key", tgi),
    "llama.cpp": of_dialect("llama-server: one model, which answers to every name", llama_cpp),
    "llama.cpp-old": of_dialect(
        "an older llama-server: lists its model to everybody, by its file's path", llama_cpp_old
    ),
    "llama.cpp-router": of_dialect(
        "llama-server's router: a model loaded, one loading, one only on the disk", llama_cpp_router
    ),
    "lm-studio": of_dialect(
        "LM Studio: lists all downloads, embeddings too; unknown paths are 200", lm_studio
    ),
    "lm-studio-loaded": of_dialect(
        "LM Studio without just-in-time loading: lists what is loaded", lm_studio_loaded
    ),
    "openrouter": of_dialect("OpenRouter: below /api/v1; lists without a key", openrouter),
    "together": of_dialect("Together: its list is a bare array", together),
    "groq": of_dialect("Groq: below /openai/v1; tells context windows", groq),
    "gemini": of_dialect(
        "Gemini: below /v1beta/openai; its tool calls have no index, its errors are lists", gemini
    ),
    "no-models-route": of_dialect(
        "Perplexity and the like: chats, and has no models route", no_models_route
    ),
    "litellm": of_dialect("LiteLLM's proxy: a wrong key is 400, no key a 500", litellm),
    "hostile": Offer(
        f"{len(BEHAVIOURS)} ways to misbehave, each at a path or a port of its own", _serve_hostile
    ),
    "counting": of_dialect(
        "the tests' own: counts calls by the request's `user`, see GET /sim/stats",
        CountingSimulator,
    ),
}

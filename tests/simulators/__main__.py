"""`python -m tests.simulators counting|vllm|ollama|tgi`: one simulator in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from typing import Any

from tests.simulators._running import serve
from tests.simulators._simulator import Mode, Simulator
from tests.simulators.counting import CountingSimulator
from tests.simulators.ollama import ollama
from tests.simulators.tgi import tgi
from tests.simulators.vllm import vllm

SIMULATORS: dict[str, Callable[..., Simulator]] = {
    "counting": CountingSimulator,
    "vllm": vllm,
    "ollama": ollama,
    "tgi": tgi,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulators")
    parser.add_argument("name", choices=sorted(SIMULATORS))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds a chat takes")
    parser.add_argument("--key", help="refuse every other bearer key")
    parser.add_argument("--model", action="append", dest="models")
    parser.add_argument("--mode", type=Mode, choices=list(Mode), default=Mode.NORMAL)
    parser.add_argument("--models-mode", type=Mode, choices=list(Mode))
    parser.add_argument(
        "--with-parent", action="store_true", help="end when standard input is closed"
    )
    return parser.parse_args()


async def _main(arguments: argparse.Namespace) -> None:
    options: dict[str, Any] = {"key": arguments.key, "latency": arguments.latency}
    if arguments.models:
        options["models"] = arguments.models
    simulator = SIMULATORS[arguments.name](**options)
    simulator.modes = {"chat": arguments.mode, "models": arguments.models_mode or arguments.mode}
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if arguments.with_parent:
        # Nothing is ever written to it: readable means that the parent is gone.
        loop.add_reader(sys.stdin.fileno(), stop.set)
    await serve(
        simulator,
        stop,
        lambda port: print(f"listening on http://127.0.0.1:{port}", flush=True),
        arguments.port,
    )


if __name__ == "__main__":
    asyncio.run(_main(_arguments()))

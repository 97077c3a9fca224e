"""`python -m tests.simulators NAME …`: one simulator in the foreground; `./dragoman simulate`."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from tests.simulators._asked import Mode
from tests.simulators._offers import OFFERS, Unfit, Wish


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message[:1].upper()}{message[1:].rstrip('.')}. See --help.\n")


def _number(kind: Callable[[str], float], least: float, most: float, what: str) -> Any:
    def parse(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"expected {what}, got {text!r}")
        return number

    return parse


def parser() -> argparse.ArgumentParser:
    """The options; `--with-parent` is for programs that start a simulator."""
    root = _Parser(
        prog="dragoman simulate",
        description="An inference server that costs nothing, on this machine, until Ctrl-C.",
        epilog="Without a name: what there is to simulate.",
        allow_abbrev=False,
    )
    root.add_argument("name", nargs="?", metavar="NAME", help="which server; see --list")
    root.add_argument("--list", action="store_true", help="show what there is to simulate")
    port = _number(int, 0, 65535, "a port from 0 (any free one) to 65535")
    root.add_argument("--port", type=port, default=0, help="default: any free one")
    root.add_argument("--key", help="refuse every other API key")
    serve = "serve this model; may be repeated"
    root.add_argument("--model", action="append", dest="models", metavar="ID", help=serve)
    seconds = _number(float, 0, 86400, "a number of seconds from 0 to 86400")
    root.add_argument("--latency", type=seconds, default=0.0, help="seconds that a chat takes")
    text = "seconds from chunk to chunk of a stream"
    root.add_argument("--every", type=seconds, default=0.0, help=text)
    root.add_argument("--mode", help=f"misbehave: {', '.join(Mode)}")
    root.add_argument("--models-mode", metavar="MODE", help="the same for the list of models alone")
    root.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)
    return root


def listing() -> str:
    """What there is, a line each."""
    width = max(map(len, OFFERS)) + 2
    return "\n".join(f"{name:{width}}{offer.line}" for name, offer in OFFERS.items())


def registering(name: str, endpoint: str, key: str | None) -> str:
    """The command that registers a simulator at the Dragoman that runs here, on whatever port."""
    add = shlex.join(["./dragoman", "providers", "add", name, "--endpoint", endpoint])
    if key is None:
        return f"{add} --no-key"
    return f"echo {shlex.quote(key)} | {add} --api-key-file -"


async def _serve(arguments: argparse.Namespace) -> str:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if arguments.with_parent:
        # Nothing is ever written to it: readable means that the parent is gone.
        loop.add_reader(sys.stdin.fileno(), stop.set)

    def listening(url: str, base: str) -> None:
        print(f"listening on {url}", flush=True)
        if not arguments.with_parent:
            command = registering(arguments.name, url + base, arguments.key)
            print(f"Ctrl-C ends it. Register it, in another shell, with\n{command}", flush=True)

    wish = Wish(
        port=arguments.port,
        key=arguments.key,
        models=arguments.models or (),
        latency=arguments.latency,
        every=arguments.every,
        mode=arguments.mode,
        models_mode=arguments.models_mode,
    )
    return await OFFERS[arguments.name].serve(wish, stop, listening)


def main() -> int:
    """Serve until Ctrl-C or SIGTERM; the exit status: 2 for a bad wish, 1 for a port in use."""
    options = parser()
    arguments = options.parse_args()
    if arguments.list or arguments.name is None:
        print(listing())
        return 0
    if arguments.name not in OFFERS:
        options.error(f"expected one of {', '.join(OFFERS)}, got {arguments.name!r}")
    try:
        told = asyncio.run(_serve(arguments))
    except Unfit as refusal:
        options.error(str(refusal))
    except KeyboardInterrupt:  # before the handler stood
        return 130
    except OSError as fault:
        reason = os.strerror(fault.errno) if fault.errno else str(fault)
        print(
            f"Expected to listen on port {arguments.port}, got: {reason}. Choose another --port, "
            "or leave it out for a free one.",
            file=sys.stderr,
        )
        return 1
    if not arguments.with_parent:
        print(f"\n{told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

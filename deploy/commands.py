"""The command line of `./dragoman`: what can be asked for, and where it is done.

The parser must build without any installed package (`./dragoman --help` comes before the
installation), so each command imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from deploy import upkeep
from deploy.bootstrap import ROOT
from deploy.client import CLIENT, is_for_client
from deploy.refusal import Refusal
from deploy.upkeep import LOCAL_NETWORKS
from shared.config import Settings, load
from shared.errors import ConfigurationError

EX_CONFIG = 78  # sysexits.h
FIRST_STEPS = """\
Dragoman: a self-hosted registry of OpenAI-compatible endpoints, with durable chat jobs.

  ./dragoman demo      see it work: everything, with a small real model
  ./dragoman up        start it on this machine; it prints where its console is

and then, beside it:

  ./dragoman providers add "My vLLM" --endpoint gpu-1:8000
  ./dragoman chat -m my-vllm/llama3 "Hello!"

All commands: ./dragoman --help. What they do: README.md, docs/cli.md."""

Command = Callable[[argparse.Namespace, Mapping[str, str]], int]


def main(arguments: list[str]) -> int:
    """Run one command; its exit status: 78 for a bad configuration, 1 for other refusals."""
    if not arguments:
        print(FIRST_STEPS)
        return 0
    if is_for_client(arguments):
        return _client(arguments)
    parsed, rest = parser().parse_known_args(arguments)
    if rest and parsed.command != "test":
        parser().error(f"unknown arguments: {' '.join(rest)}")
    parsed.rest = rest
    run: Command = parsed.run
    try:
        return run(parsed, _with_options(os.environ, parsed))
    except ConfigurationError as problem:
        print(problem, file=sys.stderr)
        return EX_CONFIG
    except Refusal as problem:
        print(problem, file=sys.stderr)
        return problem.exit_status
    except PermissionError as problem:
        told = f"{problem.filename}: expected a file that this user may use, got: "
        remedy = "Run this as its owner, or give another --data-dir."
        print(f"{told}{problem.strerror}. {remedy}", file=sys.stderr)
        return EX_CONFIG
    except KeyboardInterrupt:
        return 130


def version() -> str:
    """The version, as pyproject.toml has it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def parser() -> argparse.ArgumentParser:
    """Every command with its options; building it imports nothing that must be installed."""
    root = argparse.ArgumentParser(
        prog="dragoman",
        description="A self-hosted registry of OpenAI-compatible endpoints, with background model "
        "discovery and durable chat jobs.",
        epilog="Settings come from the environment; `dragoman config` shows those in force.",
        allow_abbrev=False,
    )
    root.add_argument("--version", action="version", version=f"dragoman {version()}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(run=run)
        return command

    def add_data_dir(command: argparse.ArgumentParser) -> None:
        text = "where everything local lives (default ./.dragoman)"
        command.add_argument("--data-dir", metavar="DIR", help=text)

    for name, run, text in (
        ("up", _up, "start everything on this machine and serve until told to stop"),
        ("demo", _demo, "start everything with a real small model, and run a chat job on it"),
    ):
        command = add(name, run, text)
        command.add_argument("--host", help="address to listen on (default 127.0.0.1)")
        command.add_argument("--port", help="port to listen on (default 8642)")
        add_data_dir(command)
        if name == "demo":
            command.add_argument("--once", action="store_true", help="stop after the answer")
    command = add("ps", _ps, "list the processes of a running `up`; exit status 3 if there is none")
    add_data_dir(command)
    command.add_argument("--json", action="store_true", help="for programs")
    for name, run, text in (
        (
            "migrate",
            upkeep.migrate,
            "bring the database to this version's schema; make missing keys",
        ),
        ("config", upkeep.config, "show the settings in force, secrets hidden"),
    ):
        command = add(name, run, text)
        add_data_dir(command)
        if name == "migrate":
            text = "make an admin key where its file is missing: after a restore, or a loss"
            command.add_argument("--new-admin-key", action="store_true", help=text)
    text = "copy the SQLite database to a new file while everything runs; see docs/backup.md"
    command = add("backup", upkeep.backup, text)
    command.add_argument("file", metavar="FILE", help="the new file")
    add_data_dir(command)
    for name, text in CLIENT.items():
        if name != "keys":  # `main` has handed these on before they get here
            commands.add_parser(name, help=text)
    command = add("keys", upkeep.rotate_master, CLIENT["keys"])
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "seal everything stored with a new master key, while everything runs"
    action = actions.add_parser("rotate-master", help=text, description=text, allow_abbrev=False)
    add_data_dir(action)
    stages = ("add", "use", "reseal", "retire", "status", "verify")
    text = (
        "only this step, where hosts have keyring files of their own (docs/keyring.md); `status` "
        "counts the values of each key, `verify` opens every one"
    )
    action.add_argument("--stage", choices=stages, help=text)
    text = "chat workers on other hosts read this very keyring file"
    action.add_argument("--shared-file", action="store_true", help=text)
    text = "seconds that every process gets to notice a new keyring (default 30)"
    action.add_argument("--wait", type=float, default=30.0, metavar="S", help=text)
    command = add("simulate", _simulate, "serve a simulated inference server until Ctrl-C")
    command.add_argument("name", nargs="?", metavar="NAME", help="which server; see --list")
    command.add_argument("--list", action="store_true", help="show what there is to simulate")
    for option, metavar, text in (
        ("--port", "P", "port to listen on (default: any free one)"),
        ("--key", "K", "refuse every other API key"),
        ("--model", "ID", "serve this model; may be repeated"),
        ("--latency", "S", "seconds that a chat takes"),
        ("--every", "S", "seconds from chunk to chunk of a stream"),
        ("--mode", "MODE", "misbehave, for example loading, wrong-key or rate-limited"),
        ("--models-mode", "MODE", "the same for the list of models alone"),
    ):
        command.add_argument(option, action=_HandedOn, metavar=metavar, help=text)
    command = add("test", _test, "run the test suite; other arguments go to pytest")
    command.add_argument("--lint", action="store_true", help="run the static checks instead")
    command.add_argument("--campaign", metavar="NAME", help="run the long form of a campaign")
    command.add_argument("--minutes", metavar="M", help="how long the campaign takes")
    text = "measure this installation beside LiteLLM's proxy and plain Celery; one report"
    command = add("benchmark", _benchmark, text)
    command.add_argument("--only", nargs="+", metavar="SCENARIO", help="only these scenarios")
    text = "tiny numbers: shows that all of it works, measures nothing"
    command.add_argument("--short", action="store_true", help=text)
    for option, metavar, text in (
        ("--passes", "N", "how often each side has its turn (default 3)"),
        ("--database", "DB", "sqlite or postgresql alone (default: both)"),
    ):
        command.add_argument(option, action=_HandedOn, metavar=metavar, help=text)
    text = "where the report goes besides the terminal: Markdown, and beside it JSON"
    command.add_argument("--out", metavar="FILE", help=text)
    return root


class _HandedOn(argparse.Action):
    """An option that another program judges: `handed_on` gets it as it was given."""

    def __init__(self, option_strings: list[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, "handed_on", default=(), **options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        namespace.handed_on = (*namespace.handed_on, f"{option_string}={values}")


def _with_options(environ: Mapping[str, str], parsed: argparse.Namespace) -> dict[str, str]:
    """The environment with the options on top, under the names of their settings."""
    given = {name: getattr(parsed, name, None) for name in ("host", "port", "data_dir")}
    return {**environ, **{f"DRAGOMAN_{k.upper()}": v for k, v in given.items() if v is not None}}


def local_settings(environ: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
    """Settings and environment of `up` and `demo`: people's Ollama is on localhost."""
    environ = {"DRAGOMAN_OUTBOUND_ALLOW": LOCAL_NETWORKS, **environ}
    return load(environ), environ


def _client(arguments: list[str]) -> NoReturn:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "cli", *arguments], environ)


def _up(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from deploy.up import System

    settings, environ = local_settings(environ)
    return asyncio.run(System(settings, environ).run())


def _demo(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from deploy.demo import run_demo

    settings, environ = local_settings({"DRAGOMAN_LOG_LEVEL": "WARNING", **environ})
    return asyncio.run(run_demo(settings, environ, once=parsed.once))


def _ps(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from deploy.ps import show

    return show(load(environ).data_dir, as_json=parsed.json)


def _simulate(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from deploy import suite

    words = [word for word in (parsed.name, "--list" if parsed.list else None) if word]
    return suite.become("tests.simulators", *words, *parsed.handed_on)


def _test(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from deploy import suite

    if parsed.lint:
        return suite.lint()
    if parsed.campaign:
        minutes = ["--minutes", parsed.minutes] if parsed.minutes else []
        return suite.become("tests.campaigns", parsed.campaign, *minutes, *parsed.rest)
    return suite.run_tests(parsed.rest)


def _benchmark(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from deploy import suite

    only = ["--only", *parsed.only] if parsed.only else []
    short = ["--short"] if parsed.short else []
    out = [f"--out={Path(parsed.out).absolute()}"] if parsed.out else []
    return suite.become("benchmarks", *only, *short, *out, *getattr(parsed, "handed_on", ()))

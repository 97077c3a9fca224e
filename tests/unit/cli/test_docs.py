"""docs/cli.md and the launcher say what there is, and nothing else."""

from __future__ import annotations

import re

import click

from cli import app, session
from cli.exits import MEANING, Exit
from deploy.bootstrap import COMMANDS, ROOT
from deploy.client import CLIENT, is_for_client

PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
EVERYWHERE = {"--json", "--url URL", "--key-file FILE", "--data-dir DIR"}
ROWS = re.findall(r"^\| `([^`]+)` \|(.*?)\| .+ \|$", PAGE, re.MULTILINE)


def leaves(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    """Every command that does something here, by its words."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= leaves(command, f"{prefix}{name} ")
        elif command.add_help_option:  # the launcher's own have none
            found[f"{prefix}{name}"] = command
    return {name: command for name, command in found.items() if "completion" not in name}


def options(command: click.Command) -> set[str]:
    """Its long options with what they take; of a pair like --enable/--disable the first."""
    found = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    return {spelled(option, click.Context(command)) for option in found}


def spelled(option: click.Option, context: click.Context) -> str:
    """The option as one types it, like `--all` or `--limit N`."""
    name = next(word for word in option.opts if word.startswith("--"))
    return name if option.is_flag else f"{name} {option.make_metavar(context)}"


def usage(name: str, command: click.Command) -> str:
    """The command with its arguments, as its own help has them."""
    context = click.Context(command)
    pieces = [piece for p in command.get_params(context) for piece in p.get_usage_pieces(context)]
    return " ".join([name, *pieces])


def test_the_page_lists_every_command_with_its_arguments() -> None:
    documented = {name for name, _ in ROWS if not name.startswith("--")}
    there = {usage(name, command) for name, command in leaves(app.root).items()}
    assert documented == there | {"completion SHELL"}


def test_the_page_lists_every_option_and_what_it_takes() -> None:
    cells = {name: set(re.findall(r"`(--[a-z-]+(?: [^`]+)?)`", cell)) for name, cell in ROWS}
    add = cells["providers add [NAME]"]
    cells["providers edit PROVIDER"] |= add  # "the same without `--slug` and `--test`"
    cells["providers edit PROVIDER"] -= {"--slug", "--slug SLUG", "--test"}
    cells["providers test [PROVIDER]"] |= add - {"--slug SLUG", "--test"}
    for name, command in leaves(app.root).items():
        assert cells[usage(name, command)] == options(command) - EVERYWHERE, name
        assert options(command) >= EVERYWHERE, name
    general = re.findall(r"^\| `(--[^`]+)` \|", PAGE, re.MULTILINE)
    assert set(general) == EVERYWHERE
    assert session.calls.__doc__


def test_the_page_lists_every_exit_status() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(str(int(exit_)), MEANING[exit_]) for exit_ in Exit]


def test_the_launcher_hands_on_exactly_the_client_s_commands() -> None:
    assert set(CLIENT) | set(app.ELSEWHERE) == set(app.root.commands)
    assert set(COMMANDS) == set(CLIENT) | set(app.ELSEWHERE)
    assert not set(CLIENT) & set(app.ELSEWHERE)
    for name in CLIENT:
        assert is_for_client([name, "--help"])
    for words in ([], ["up"], ["--help"], ["keys", "rotate-master", "--wait", "1"]):
        assert not is_for_client(words)
    assert is_for_client(["keys", "list"])

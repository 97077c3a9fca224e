"""docs/servers has a page for each server that is simulated; commands in all pages exist."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli import app
from deploy.bootstrap import COMMANDS
from deploy.client import is_for_client
from services.registry.providers.schemas import NewProvider
from tests.simulators.__main__ import parser
from tests.simulators._asked import Mode
from tests.simulators._offers import OFFERS

ROOT = Path(__file__).parents[2]
SERVERS = ROOT / "docs" / "servers"
PAGES = sorted(path for path in SERVERS.glob("*.md") if path.name != "README.md")
ALL = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = ("", "sh", "bash")
_UNNAMED = re.compile(r"[A-Z]+$")  # a placeholder, such as NAME


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each `./dragoman` command of a page, without the program's name."""
    fenced = _FENCED.findall(page.read_text("utf-8"))
    for block in (text for language, text in fenced if language in _SHELL):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.findall(r"\./dragoman( [^|>;)]*)?", line):
                yield shlex.split(command, comments=True)


def refused(words: list[str]) -> str | None:
    """Why the command line would not understand this command; None when it would."""
    if not words or words[0].startswith("-"):
        return None
    if words[0] not in COMMANDS:
        return f"no command {words[0]}"
    if words[0] == "simulate":
        return refused_simulation(words[1:])
    if not is_for_client(words):
        return None
    command: click.Command = app.root
    while isinstance(command, click.Group) and words:
        name, *words = words
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
    try:
        command.make_parser(click.Context(command)).parse_args(words)
    except click.UsageError as fault:
        return fault.format_message()
    return None


def refused_simulation(words: list[str]) -> str | None:
    try:
        asked = parser().parse_args(words)
    except SystemExit:
        return f"simulate does not take {words}"
    known = asked.name is None or asked.name in OFFERS or _UNNAMED.match(asked.name)
    modes = {asked.mode, asked.models_mode} - {None} - set(Mode)
    return None if known and not modes else f"simulate {words}"


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_in_the_docs_exists(page: Path) -> None:
    found = {" ".join(words): refused(words) for words in commands(page)}
    assert {command: why for command, why in found.items() if why} == {}


def test_a_command_that_does_not_exist_is_found() -> None:
    for wrong in ("nothing", "providers nothing", "providers add --nothing", "simulate nothing"):
        assert refused(wrong.split()), wrong
    assert refused(["simulate", "vllm", "--mode", "nothing"])
    assert refused(["jobs", "watch", "chatcmpl-1", "--reasoning"]) is None


def test_every_simulated_server_has_a_page_or_the_index_says_why_not() -> None:
    simulated = {
        words[1] for page in PAGES for words in commands(page) if words[:1] == ["simulate"]
    }
    apart = (SERVERS / "README.md").read_text("utf-8").partition("## Not here")[2]
    assert set(OFFERS) - simulated == {name for name in OFFERS if f"`{name}`" in apart}


def test_the_index_links_every_page() -> None:
    index = (SERVERS / "README.md").read_text("utf-8")
    assert set(re.findall(r"\]\(([\w.-]+\.md)\)", index)) == {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page_registers_its_server_in_both_ways(page: Path) -> None:
    text = page.read_text("utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[-3:] == ["Register it", "What to expect", "Try it without one"]
    (added,) = (words for words in commands(page) if words[:2] == ["providers", "add"])
    (body,) = re.findall(r"-d '(\{.*\})'", text)
    provider = NewProvider().load(json.loads(body))
    assert provider["name"] == added[2]
    assert provider["endpoint"] == added[added.index("--endpoint") + 1]
    assert ("api_key" in json.loads(body)) == ("--api-key-file" in added)
    assert text.count("\n- **") >= 4

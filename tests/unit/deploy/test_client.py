"""What the launcher does with the commands of the package `cli`."""

from __future__ import annotations

import os

import pytest

from deploy import bootstrap, commands
from deploy.venv import Venv

Became = list[tuple[str, list[str]]]


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> Became:
    """The Python processes that this one would have become, as package and arguments."""
    found: Became = []

    def execve(program: object, command: list[str], environ: object) -> None:
        package = command.index("-m") + 1
        found.append((command[package], command[package + 1 :]))

    monkeypatch.setattr("os.execve", execve)
    return found


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The groups of packages that were asked for."""
    asked: list[tuple[str, ...]] = []

    def ensure(venv: object, groups: tuple[str, ...], **options: object) -> None:
        asked.append(groups)

    monkeypatch.setattr(bootstrap, "ensure", ensure)
    return asked


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (["providers", "list", "--json"], "cli"),
        (["jobs", "--help"], "cli"),
        (["keys", "list"], "cli"),
        (["keys", "rotate-master"], "deploy"),
        (["ps"], "deploy"),
    ],
)
def test_a_command_becomes_its_package_with_what_that_needs(
    became: Became, installed: list[tuple[str, ...]], words: list[str], package: str
) -> None:
    bootstrap.main(words)
    assert became == [(package, words)]
    assert installed == [("run",)]


def test_python_m_deploy_hands_on_as_well_and_stays_where_it_is(became: Became) -> None:
    here = os.getcwd()  # noqa: PTH109
    commands.main(["models", "--tag", "eu"])
    assert became == [("cli", ["models", "--tag", "eu"])]
    assert os.getcwd() == here  # noqa: PTH109


def test_a_shell_that_completes_waits_for_no_installation(
    became: Became, installed: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Venv, "missing", lambda self, groups: list(groups))
    assert bootstrap.main(["completion", "complete", "--", "pro"]) == 1
    assert (became, installed) == ([], [])
    monkeypatch.setattr(Venv, "missing", lambda self, groups: [])
    bootstrap.main(["completion", "complete", "--", "pro"])
    assert became == [("cli", ["completion", "complete", "--", "pro"])]


def test_a_client_needs_no_valkey(
    became: Became, installed: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "unsupported", lambda: "no Valkey for this machine")
    monkeypatch.setattr("os.environ", {})
    assert bootstrap.main(["up"]) == 1
    bootstrap.main(["models"])
    assert became == [("cli", ["models"])]


def test_the_launcher_s_help_lists_the_client_without_any_package(
    capsys: pytest.CaptureFixture[str], installed: list[tuple[str, ...]]
) -> None:
    with pytest.raises(SystemExit):
        bootstrap.main(["--help"])
    said = capsys.readouterr().out
    for name in ("providers", "models", "chat", "jobs", "keys", "usage", "events", "audit", "up"):
        assert f"\n    {name} " in said or f"\n    {name}\n" in said
    assert installed == []

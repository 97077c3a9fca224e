"""The command line, as far as it needs no running system."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import commands
from deploy.beat import schedule
from deploy.bootstrap import COMMANDS, ROOT
from deploy.commands import parser
from deploy.suite import SIDE_BY_SIDE, long_files, with_bytecode
from shared.config import load


@pytest.fixture(autouse=True)
def only_this_environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    environ: dict[str, str] = {}
    monkeypatch.setattr("os.environ", environ)
    return environ


def test_config_prints_what_is_in_force_without_secrets(
    only_this_environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_this_environment["DATABASE_URL"] = "postgresql://me:geheim@db.example/dragoman"
    assert commands.main(["config", "--data-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"DRAGOMAN_DATA_DIR={tmp_path}" in lines
    assert "DATABASE_URL=postgresql://me:***@db.example/dragoman" in lines


def test_a_file_of_another_user_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", "/x/run.lock")

    monkeypatch.setattr("deploy.ps.show", refuse)
    assert commands.main(["ps", "--data-dir", str(tmp_path)]) == 78
    told = capsys.readouterr().err
    assert told.startswith("/x/run.lock: expected a file that this user may use, got: Permission")
    assert told.count("\n") == 1


@pytest.mark.parametrize("command", ["up", "demo", "ps", "migrate", "config"])
def test_every_command_lists_every_fault_of_the_configuration_and_ends_with_78(
    only_this_environment: dict[str, str], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    only_this_environment.update({"REDIS_URL": "localhost", "DRAGOMAN_LEASE_SECONDS": "soon"})
    assert commands.main([command]) == 78
    said = capsys.readouterr()
    assert 'REDIS_URL: expected redis://…, rediss://… or unix://…, got "localhost"' in said.err
    assert "DRAGOMAN_LEASE_SECONDS: expected a number" in said.err
    assert said.out == ""


def test_an_option_is_judged_as_its_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["up", "--port", "http"]) == 78
    expected = 'DRAGOMAN_PORT: expected a whole number from 1 to 65535, got "http"'
    assert expected in capsys.readouterr().err


def test_without_a_command_it_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main([]) == 0
    said = capsys.readouterr()
    named = re.findall(r"^  \./dragoman (\w+)", said.out, re.MULTILINE)
    assert named == ["demo", "up", "providers", "chat"]
    assert set(named) <= set(COMMANDS)
    assert said.err == ""


def test_ps_of_a_directory_where_nothing_runs_ends_with_3(tmp_path: Path) -> None:
    assert commands.main(["ps", "--data-dir", str(tmp_path)]) == 3


def test_up_and_demo_allow_local_networks_only_where_nothing_was_said() -> None:
    allowed = commands.local_settings({})[0].outbound_allow
    assert allowed == "loopback,private"
    for said in ("", "10.0.0.0/8"):
        environ = {"DRAGOMAN_OUTBOUND_ALLOW": said}
        assert commands.local_settings(environ)[0].outbound_allow == said


def test_a_misspelt_option_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main(["up", "--prot", "1"])
    assert ended.value.code == 2
    assert "--prot" in capsys.readouterr().err


def test_test_hands_its_other_arguments_to_pytest_where_they_overrule_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    became: list[tuple[str, ...]] = []
    monkeypatch.setattr("deploy.suite.become", lambda *words: became.append(words))
    commands.main(["test", "-k", "runner", "tests/integration", "-x"])
    commands.main(["test", "--campaign", "faults", "--minutes", "30"])
    assert became == [
        ("pytest", *SIDE_BY_SIDE, "-k", "runner", "tests/integration", "-x"),
        ("tests.campaigns", "faults", "--minutes", "30"),
    ]


def test_the_suite_keeps_what_python_compiles_where_the_caller_says_or_in_the_venv() -> None:
    shunned = with_bytecode({"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/home/me"})
    assert shunned == {"PYTHONPYCACHEPREFIX": str(ROOT / ".venv" / "bytecode"), "HOME": "/home/me"}
    elsewhere = {"PYTHONPYCACHEPREFIX": "/elsewhere"}
    assert with_bytecode(elsewhere) == elsewhere


def test_beat_asks_often_enough_for_short_intervals_and_never_more_than_once_a_second() -> None:
    periods = [
        schedule(load({"DRAGOMAN_DISCOVERY_INTERVAL": interval}))["refresh-due"]["schedule"]
        for interval in ("1", "20", "300")
    ]
    assert periods == [1, 2, 5]


def test_what_beat_sent_in_vain_expires_before_it_is_sent_again() -> None:
    for entry in schedule(load({})).values():
        assert entry["options"]["expires"] == entry["schedule"]


def test_files_of_more_than_300_lines_are_named(tmp_path: Path) -> None:
    (tmp_path / "dragoman").write_text("#!/usr/bin/env python3\n")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "fine.py").write_text("x = 1\n" * 300)
    (tmp_path / "shared" / "long.py").write_text("x = 1\n" * 301)
    assert list(long_files(tmp_path)) == ["shared/long.py: 301 lines, at most 300 are allowed"]


def test_the_parser_and_ps_import_no_installed_package() -> None:
    heavy = {"httpx", "redis", "celery", "gevent", "sqlalchemy", "flask", "aiohttp"}
    program = "import sys, deploy.commands, deploy.ps, deploy.bootstrap; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert heavy.isdisjoint(done.stdout.split())


def below(command: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands inside this one."""
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def options(command: argparse.ArgumentParser) -> set[str]:
    """Every option of the command and of what is inside it."""
    own = {option for option in command._option_string_actions if option.startswith("--")}
    return (own - {"--help"}).union(*map(options, below(command).values()))


@pytest.mark.parametrize("text", ["", '{"primary": "s3cret"}'])
def test_config_tells_a_keyring_file_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "keyring.json").write_text(text)
    (tmp_path / "keyring.json").chmod(0o600)
    assert commands.main(["config", "--data-dir", str(tmp_path)]) == 78
    said = capsys.readouterr()
    assert "DRAGOMAN_KEYRING_FILE" in said.err
    assert "expected a keyring" in said.err
    assert "s3cret" not in said.err + said.out


def test_config_says_that_migrate_makes_a_keyring_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["config", "--data-dir", str(tmp_path)]) == 0
    file = f"DRAGOMAN_KEYRING_FILE={tmp_path}/keyring.json  # not there yet; migrate makes it"
    assert file in capsys.readouterr().out.splitlines()


def test_a_malformed_keyring_in_the_environment_stops_every_command(
    only_this_environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    only_this_environment["DRAGOMAN_KEYRING"] = '{"primary": "s3cret"}'
    for words in (["config"], ["up"], ["migrate"], ["keys", "rotate-master"]):
        assert commands.main(words) == 78
        said = capsys.readouterr().err
        assert "DRAGOMAN_KEYRING: expected a keyring" in said
        assert "s3cret" not in said


def test_the_running_page_lists_every_command_with_its_options() -> None:
    page = (ROOT / "docs" / "running.md").read_text()
    rows = re.findall(r"^\|`\./dragoman (\w+)(.*?)`\|", page, re.MULTILINE)
    documented = {name: set(re.findall(r"--[a-z-]+", options)) for name, options in rows}
    assert documented == {name: options(command) for name, command in below(parser()).items()}

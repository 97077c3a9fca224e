"""`./dragoman simulate`: what it offers, prints and refuses."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from cli.app import main as client
from deploy import commands
from deploy.bootstrap import ROOT
from shared.upstream.endpoint import resolve
from tests.simulators import Mode
from tests.simulators.__main__ import main, parser, registering
from tests.simulators._offers import OFFERS


@contextmanager
def simulating(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a user types it, ended at the end."""
    command = [sys.executable, "-P", "-m", "deploy", "simulate", *words]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def refusal(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit status of a command that does not begin to serve."""
    monkeypatch.setattr("sys.argv", ["dragoman simulate", *words])
    try:
        return main()
    except SystemExit as end:
        return int(end.code or 0)


def sent_by(line: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a printed line registers at the Dragoman that it finds."""
    given, _, command = line.rpartition(" | ")
    program, *words = shlex.split(command)
    assert program == "./dragoman"
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(shlex.split(given)[1:])))
    sent: list[Any] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(400, json={"error": {"message": "Enough is seen."}})

    environ = {"DRAGOMAN_URL": "localhost:1", "DRAGOMAN_API_KEY": "k"}
    client(words, environ, transport=httpx.MockTransport(handle))
    return sent[0]


def test_a_simulator_without_a_key_is_registered_without_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = registering("ollama", "http://127.0.0.1:1/v1", None)
    expected = {"name": "ollama", "endpoint": "http://127.0.0.1:1/v1", "api_key": None}
    assert sent_by(line, monkeypatch) == expected


def test_it_says_where_it_listens_how_to_register_it_and_at_the_end_what_it_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with simulating("groq", "--key", "sk-1", "--model", "a/b", "--model", "c") as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        url = said[0].removeprefix("listening on ").strip()
        registered = sent_by(said[2], monkeypatch)
        assert registered == {"name": "groq", "endpoint": f"{url}/openai/v1", "api_key": "sk-1"}
        where = resolve(registered["endpoint"])
        headers = {"Authorization": "Bearer sk-1"}
        listed = httpx.get(where.models_url, headers=headers).json()["data"]
        assert [entry["id"] for entry in listed] == ["a/b", "c"]
        chat = {"model": "c", "messages": []}
        assert httpx.post(where.chat_url, json=chat, headers=headers).status_code == 200
        assert httpx.get(f"{url}/v1/models").status_code == 404
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    assert rest == (
        "\nIt was asked for its models 1 time, and for 1 chat (1 answered). "
        "1 request went to other paths, last GET /v1/models.\n"
    )
    assert (process.returncode, errors) == (0, "")


def test_without_a_name_it_lists_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(OFFERS)
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["vlm"], "Expected one of vllm, vllm-old, ollama, "),
        (["vllm", "--port", "http"], "expected a port from 0 (any free one) to 65535, got 'http'"),
        (["vllm", "--port", "70000"], "expected a port from 0 (any free one) to 65535, got "),
        (["vllm", "--latency", "nan"], "expected a number of seconds from 0 to 86400, got 'nan'"),
        (["vllm", "--mode", "asleep"], "Expected one of the modes normal, wrong-key, html, "),
        (["vllm", "--models-mode", ""], "Expected one of the modes normal, wrong-key, html, "),
        (["vllm", "--speed", "9"], "Unrecognized arguments: --speed 9"),
    ],
)
def test_a_bad_wish_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    assert refusal(monkeypatch, *words) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert (said.err.count("\n"), said.out) == (1, "")


def test_a_port_that_is_taken_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert refusal(monkeypatch, "vllm", "--port", port) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"Expected to listen on port {port}, got: Address already in use.")


def test_dragoman_hands_the_same_options_on_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[tuple[str, ...]] = []
    monkeypatch.setattr("deploy.suite.become", lambda *words: became.append(words))
    commands.main(["simulate", "vllm", "--port", "8000", "--model=a", "--model", "-b "])
    commands.main(["simulate", "--list"])
    assert became == [
        ("tests.simulators", "vllm", "--port=8000", "--model=a", "--model=-b "),
        ("tests.simulators", "--list"),
    ]
    choices = commands.parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    assert isinstance(choices, dict)
    offered = set(choices["simulate"]._option_string_actions)
    assert offered == set(parser()._option_string_actions) - {"--with-parent"}


def test_the_page_lists_every_simulator_and_every_mode() -> None:
    page = (ROOT / "docs" / "simulators.md").read_text("utf-8")
    rows = dict(re.findall(r"^\|`([^`]+)`\|(.+)\|$", page, re.MULTILINE))
    modes = set(Mode) - {Mode.NORMAL}
    assert {name: rows[name] for name in rows if name not in modes} == {
        name: offer.line for name, offer in OFFERS.items()
    }
    assert modes <= set(rows)


def test_what_simulate_imports_is_installed_for_running_dragoman() -> None:
    program = "import sys, tests.simulators.__main__; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    only_for_tests = {"pytest", "psutil", "trustme", "hypothesis", "fakeredis", "openai"}
    assert only_for_tests.isdisjoint(done.stdout.split())

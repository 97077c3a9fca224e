"""The command line against a running system, as somebody uses it for the first time."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from cli.app import main
from cli.exits import Exit
from cli.output import Output
from tests.api import CHAT, Api, chat_body
from tests.simulators import Running, running, vllm
from tests.system import ROOT, System

PROVIDER_KEY = "sk-0123456789abcdef"
MODEL = "meta-llama/Llama-3.3-70B-Instruct"


@dataclass
class Terminal:
    """Commands in this process, with the key in the environment unless another is given."""

    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    environ: dict[str, str]
    said: list[str] = field(default_factory=list)

    def run(self, *words: str, stdin: str = "", exit_: Exit = Exit.OK) -> str:
        """Standard output; AssertionError unless it ended so."""
        self.monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        self.capsys.readouterr()
        ended = main(words, self.environ)
        out, err = self.capsys.readouterr()
        self.said.append(out + err)
        assert ended is exit_, err
        return out

    def rows(self, *words: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run(*words, "--json").splitlines()]

    def document(self, *words: str, stdin: str = "") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(*words, "--json", stdin=stdin))
        return found


@pytest.fixture
def terminal(
    system: System, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    environ = {"DRAGOMAN_URL": system.url, "DRAGOMAN_API_KEY": system.admin_key}
    return Terminal(capsys, monkeypatch, environ)


@pytest.fixture
def far() -> Iterator[Running]:
    """A server that wants a key, and streams."""
    with running(vllm(key=PROVIDER_KEY, every=0.05)) as sim:
        yield sim


def test_from_a_new_provider_to_an_answer_and_back(
    terminal: Terminal, far: Running, name: str
) -> None:
    add = ("providers", "add", name, "--endpoint", far.endpoint, "--api-key-file", "-", "--test")
    terminal.run(*add, stdin="sk-wrong-0123456789", exit_=Exit.JOB_FAILED)
    terminal.run(*add, stdin=PROVIDER_KEY)
    assert "✓ authenticate" in terminal.said[-1]
    slug = next(row["slug"] for row in terminal.rows("providers", "list") if row["name"] == name)
    (model,) = [row["id"] for row in terminal.rows("models", "--provider", slug)]
    assert "…cdef" in terminal.run("providers", "list")
    said = terminal.run("chat", "-m", model, "Hello")
    assert said == "vLLM answers 1 message(s).\n"
    job_id = terminal.run("chat", "-m", model, "--background", "Hello").strip()
    assert terminal.run("jobs", "watch", job_id) == said
    assert terminal.document("jobs", "show", job_id)["status"] == "completed"
    assert terminal.rows("jobs", "attempts", job_id)[0]["outcome"] == "completed"
    assert [m["content"] for m in terminal.rows("jobs", "messages", job_id)] == ["Hello"]
    assert job_id in [row["id"] for row in terminal.rows("jobs", "list", "--provider", slug)]
    terminal.run("providers", "edit", slug, "--tag", "eu", "--disable")
    assert terminal.document("providers", "show", slug)["discovery"]["status"] == "disabled"
    told = [row["type"] for row in terminal.rows("providers", "events", slug)]
    assert "provider.disabled" in told
    assert told[-1] == "provider.created"
    terminal.run("providers", "delete", slug, "--yes")
    terminal.run("providers", "show", slug, exit_=Exit.NOT_FOUND)
    terminal.run("jobs", "delete", job_id, "--yes")
    terminal.run("jobs", "show", job_id, exit_=Exit.NOT_FOUND)
    actions = [row["action"] for row in terminal.rows("audit", "--limit", "10")]
    assert {"provider.create", "provider.update", "provider.delete"} <= set(actions)
    assert not any(PROVIDER_KEY in text for text in terminal.said)


def test_a_running_job_is_watched_piece_by_piece(
    terminal: Terminal, api: Api, far: Running, name: str
) -> None:
    provider = api.add_provider(name, far.endpoint, api_key=PROVIDER_KEY)
    body = chat_body(f"{provider['slug']}/{MODEL}", background=True, stream=True)
    with api.http.stream("POST", CHAT, json=body) as answer:
        first = next(line for line in answer.iter_lines() if line.startswith("data:"))
    job_id = json.loads(first.removeprefix("data:"))["id"]
    pieces: list[str] = []
    show = Output.text

    def noted(out: Output, text: str) -> None:
        pieces.append(text)
        show(out, text)

    with terminal.monkeypatch.context() as patch:
        patch.setattr(Output, "text", noted)
        assert terminal.run("jobs", "watch", job_id) == "vLLM answers 1 message(s).\n"
    assert len(pieces) > 2
    states = terminal.rows("jobs", "watch", job_id)
    assert [state["status"] for state in states] == ["completed"]


def test_a_member_s_key_is_made_used_and_ended(terminal: Terminal, name: str) -> None:
    secret = terminal.run("keys", "create", name[:40], "--owner", "cli-member").strip()
    admin, terminal.environ = terminal.environ, {**terminal.environ, "DRAGOMAN_API_KEY": secret}
    me = terminal.document("keys", "me")
    assert (me["owner"], me["role"]) == ("cli-member", "member")
    assert terminal.rows("jobs", "list") == []
    for words in (["audit"], ["events"], ["keys", "list"], ["providers", "add", "x"]):
        more = ["--endpoint", "localhost:1"] if "add" in words else []
        terminal.run(*words, *more, exit_=Exit.NOT_ALLOWED)
    terminal.environ = admin
    terminal.run("keys", "revoke", me["key_id"], "--yes")
    terminal.environ = {**admin, "DRAGOMAN_API_KEY": secret}
    terminal.run("models", exit_=Exit.NOT_ALLOWED)


def test_the_running_installation_is_found_by_its_data_directory(
    terminal: Terminal, system: System
) -> None:
    terminal.environ = {}
    assert terminal.document("keys", "me", "--data-dir", str(system.data_dir))["role"] == "admin"


def test_events_are_followed_as_they_happen(system: System, api: Api, name: str) -> None:
    api.add_provider(f"{name} before", "localhost:9")
    command = [sys.executable, "-P", "-m", "cli", "events", "--follow", "--limit", "1", "--json"]
    environ = {"PYTHONPATH": str(ROOT), "DRAGOMAN_DATA_DIR": str(system.data_dir)}
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the newest one: now it follows
        provider = api.add_provider(name, "localhost:9")
        followed = (json.loads(line) for line in process.stdout)
        assert any(event["provider"] == provider["id"] for event in followed)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == Exit.INTERRUPTED


def test_what_a_shell_is_offered_comes_from_the_server(
    terminal: Terminal, api: Api, name: str
) -> None:
    slug = api.add_provider(name, "localhost:9")["slug"]
    offered = terminal.run("completion", "complete", "--", "providers", "show", slug[:20])
    assert slug in [line.partition("\t")[0] for line in offered.splitlines()]

"""What shells complete: our words, and what the server knows, without ever being in the way."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.completion import BASH, SCRIPTS
from cli.exits import Exit
from tests.unit.cli.scene import Scene, job, listed, provider

MODELS = [
    {"id": "acme/llama3:8b", "provider": {"status": "ok"}},
    {"id": "acme/llama3:70b", "provider": {"status": "ok"}},
    {"id": "beta/m", "provider": {"status": "loading"}},
]


def offered(scene: Scene, *words: str) -> list[str]:
    ran = scene.run("completion", "complete", "--", *words)
    assert (ran.exit, ran.err) == (Exit.OK, "")
    return [line.partition("\t")[0] for line in ran.out.splitlines()]


def server(request: httpx.Request) -> httpx.Response:
    rows: dict[str, list[Any]] = {
        "/v1/providers": [provider("acme"), provider("beta")],
        "/v1/models": MODELS,
        "/v1/chat/completions": [job("chatcmpl-01A"), job("chatcmpl-01B", "queued")],
        "/v1/keys": [{"id": "key_1", "name": "ci", "revoked_at": None}],
    }
    return listed(*rows[request.url.path])


def test_commands_and_options_are_completed_without_asking_anybody(scene: Scene) -> None:
    assert offered(scene, "pro") == ["providers"]
    assert {"up", "demo", "jobs", "chat"} <= set(offered(scene, ""))
    assert offered(scene, "jobs", "su") == ["submit"]
    assert "rotate-master" in offered(scene, "keys", "")
    assert offered(scene, "providers", "add", "--endp") == ["--endpoint"]
    assert "--api-key" not in offered(scene, "providers", "add", "--api")
    assert scene.requests == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["providers", "show", "a"], ["acme"]),
        (["providers", "delete", ""], ["acme", "beta"]),
        (["chat", "--model", "acme/llama3:"], ["acme/llama3:8b", "acme/llama3:70b"]),
        (["chat", "-m", "b"], ["beta/m"]),
        (["jobs", "watch", "chatcmpl-01B"], ["chatcmpl-01B"]),
        (["jobs", "cancel", "chatcmpl-01A", ""], ["chatcmpl-01A", "chatcmpl-01B"]),
        (["keys", "revoke", "key"], ["key_1"]),
        (["events", "--provider", "b"], ["beta"]),
    ],
)
def test_slugs_models_jobs_and_keys_come_from_the_server(
    scene: Scene, words: list[str], found: list[str]
) -> None:
    scene.handler = server
    assert offered(scene, *words) == found


@pytest.mark.parametrize(
    ("typed", "after"),
    [
        ("chatcmpl-01M8", "chatcmpl-01M8" + "Z" * 22),
        ("chatcmpl-", None),
        ("chat", None),
        ("", None),
        ("chatcmpl-" + "0" * 26, None),
        ("chatcmpl-%", None),
    ],
)
def test_of_more_jobs_than_a_page_those_are_asked_for_that_begin_as_typed(
    scene: Scene, typed: str, after: str | None
) -> None:
    scene.handler = server
    offered(scene, "jobs", "show", typed)
    assert scene.requests[0].url.params.get("after") == after
    assert scene.requests[0].url.params["order"] == "desc"


def test_a_file_is_left_to_the_shell(scene: Scene) -> None:
    assert offered(scene, "jobs", "submit", "") == [":files"]


def test_a_server_that_is_away_or_refuses_offers_nothing_and_says_nothing(scene: Scene) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        assert request.extensions["timeout"]["read"] <= 1
        raise httpx.ReadTimeout("slow")

    scene.handler = away
    assert offered(scene, "providers", "show", "") == []
    scene.answering(httpx.Response(500, text="no"))
    assert offered(scene, "providers", "show", "") == []
    scene.environ = {"DRAGOMAN_URL": "https://dragoman.example"}
    assert offered(scene, "providers", "show", "") == []


def test_what_others_named_adds_no_line_to_the_answer(scene: Scene) -> None:
    evil = provider("acme", discovery={**provider()["discovery"], "status": "x\nrm"})
    scene.answering(listed(evil, provider("beta")))
    assert offered(scene, "providers", "show", "") == ["beta"]


def test_bash_offers_what_follows_the_last_colon(tmp_path: Path) -> None:
    """Readline begins a new word at a colon, so that the words before it must not come twice."""
    stub = tmp_path / "dragoman"
    stub.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > "$0.asked"\nprintf "a/b:8b\\tok\\na/b:70b\\t\\n"'
    )
    stub.chmod(0o755)
    program = f"""{BASH}
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:' COMP_LINE='{stub} chat -m a/b:' COMP_POINT=1000
_dragoman {stub}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["8b", "70b"]
    asked = Path(f"{stub}.asked").read_text().splitlines()
    assert asked == ["completion", "complete", "--", "chat", "-m", "a/b:"]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_script_is_one_that_its_shell_reads(scene: Scene, shell: str) -> None:
    ran = scene.run("completion", shell)
    assert (ran.exit, ran.out) == (Exit.OK, SCRIPTS[shell])
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    check = "--no-execute" if shell == "fish" else "-n"
    done = subprocess.run([shell, check], input=ran.out, capture_output=True, text=True, check=True)
    assert done.stderr == ""

"""`providers`: tables, JSON, and keys that are never on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from cli.exits import Exit
from tests.unit.cli.scene import KEY, Scene, listed, provider, refused

FOUND = {"object": "list", "data": [], "has_more": False, "provider": provider()}


def words(text: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line) for line in text.splitlines()]


def test_people_get_a_table_that_a_pipe_does_not_cut_or_colour(scene: Scene) -> None:
    long = provider("a" * 63, tags=["x" * 64, "y" * 64])
    ran = scene.answering(listed(provider(), long)).run("providers", "list")
    rows = words(ran.out)
    assert rows[0] == [
        "SLUG", "STATE", "MODELS", "HOST", "KEY", "LAST GOOD", "NEXT CHECK", "TAGS",
    ]  # fmt: skip
    assert rows[1][:5] == ["acme", "ok", "2", "acme.test:8000", "…9f2c"]
    assert rows[2][-1] == f"{'x' * 64}, {'y' * 64}"
    assert "\x1b" not in ran.out


def test_programs_get_a_line_for_each_of_all_pages(scene: Scene) -> None:
    first, second = provider("one"), provider("two")
    ran = scene.answering(listed(first, has_more=True), listed(second)).run(
        "providers", "list", "--json", "--tag", "eu", "--tag", "gpu"
    )
    assert ran.rows == [first, second]
    assert scene.requests[0].url.params.get_list("tag") == ["eu", "gpu"]
    assert scene.requests[1].url.params["after"] == "prov_one"


def test_an_empty_list_says_what_to_do_and_is_no_output(scene: Scene) -> None:
    ran = scene.answering(listed()).run("providers", "list")
    assert (ran.exit, ran.out) == (Exit.OK, "")
    assert "providers add" in ran.err


@pytest.mark.parametrize("command", [["add", "X", "--endpoint", "e"], ["edit", "x"], ["test", "x"]])
@pytest.mark.parametrize("form", [["--api-key", "sk-geheim"], ["--api-key=sk-geheim"]])
def test_a_key_on_the_command_line_is_refused_with_the_reason(
    scene: Scene, command: list[str], form: list[str]
) -> None:
    ran = scene.run("providers", *command, *form)
    assert ran.exit is Exit.USAGE
    assert "history" in ran.err
    assert "list of processes" in ran.err
    assert "--api-key-file" in ran.err
    assert "geheim" not in ran.out + ran.err
    assert scene.requests == []


def test_a_key_comes_from_a_file_or_from_standard_input(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-file\n")
    scene.answering(httpx.Response(201, json=provider()))
    add = ("providers", "add", "Acme", "--endpoint", "acme.test", "--json", "--api-key-file")
    assert scene.run(*add, str(tmp_path / "key")).exit is Exit.OK
    assert scene.sent()["api_key"] == "sk-file"
    assert scene.run(*add, "-", stdin="sk-stdin\n").exit is Exit.OK
    assert scene.sent()["api_key"] == "sk-stdin"


def test_our_own_key_is_not_taken_for_the_server_s(scene: Scene) -> None:
    ran = scene.run("providers", "add", "A", "--endpoint", "e", "--api-key-file", "-", stdin=KEY)
    assert ran.exit is Exit.USAGE
    assert "would be sent to that server" in ran.err
    assert scene.requests == []


def test_on_a_terminal_what_is_missing_is_asked_for_and_the_key_is_not_shown(scene: Scene) -> None:
    scene.asking("Acme", "acme.test:8000", "sk-typed")
    ran = scene.answering(
        httpx.Response(201, json=provider()), httpx.Response(200, json=FOUND)
    ).run("providers", "add")
    assert ran.exit is Exit.OK
    assert scene.sent(0) == {"name": "Acme", "endpoint": "acme.test:8000", "api_key": "sk-typed"}
    assert "sk-typed" not in ran.out + ran.err


def test_where_nobody_can_be_asked_what_is_missing_is_a_usage_error(scene: Scene) -> None:
    assert scene.run("providers", "add", "Acme").exit is Exit.USAGE
    assert scene.run("providers", "add", "--endpoint", "e").exit is Exit.USAGE
    assert scene.requests == []


def test_options_become_the_fields_of_the_api(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("PEM")
    scene.answering(httpx.Response(201, json=provider())).run(
        "providers", "add", "Acme", "--endpoint", "e", "--no-key", "--json", "--slug", "a",
        "--tag", "eu", "--tag", "gpu", "--max-concurrency", "4", "--total-timeout", "30",
        "--no-verify-tls", "--ca-certificate", str(tmp_path / "ca.pem"), "--model", "m/1",
        "--allow-model", "m/*", "--visibility", "ann, ben", "--description", "d",
    )  # fmt: skip
    assert scene.sent() == {
        "name": "Acme",
        "endpoint": "e",
        "api_key": None,
        "slug": "a",
        "tags": ["eu", "gpu"],
        "visibility": ["ann", "ben"],
        "description": "d",
        "options": {
            "max_concurrency": 4,
            "total_timeout": 30.0,
            "verify_tls": False,
            "ca_certificate": "PEM",
            "models": ["m/1"],
            "allow_models": ["m/*"],
        },
    }


def test_edit_sends_only_what_was_given(scene: Scene) -> None:
    scene.answering(httpx.Response(200, json=provider()))
    assert scene.run("providers", "edit", "acme").exit is Exit.USAGE
    assert scene.run("providers", "edit", "acme", "--disable").exit is Exit.OK
    assert scene.requests[0].method == "PATCH"
    assert scene.sent() == {"enabled": False}
    scene.run("providers", "edit", "acme", "--no-key", "--max-concurrency", "0", "--json")
    assert scene.sent() == {"api_key": None, "options": {"max_concurrency": None}}


def test_edit_tells_what_the_server_says_to_another_key(scene: Scene) -> None:
    """What was known before said "ok" to a key that its server refuses."""
    error = {"message": "The key is refused.", "code": "upstream_authentication_failed"}
    discovery = {**provider()["discovery"], "status": "auth_failed", "error": error}
    looked = {**FOUND, "provider": provider(discovery=discovery)}
    scene.answering(httpx.Response(200, json=provider()), httpx.Response(200, json=looked))
    ran = scene.run("providers", "edit", "acme", "--no-key")
    assert ran.exit is Exit.OK
    assert [request.method for request in scene.requests] == ["PATCH", "POST"]
    assert "auth_failed: The key is refused." in ran.err
    assert "auth_failed" in ran.out


def test_who_moves_an_endpoint_is_asked_for_its_key_on_a_terminal(scene: Scene) -> None:
    needs = refused(400, "Send the key again.", param="api_key")
    scene.answering(needs, httpx.Response(200, json=provider()))
    move = ("providers", "edit", "acme", "--endpoint", "elsewhere.test")
    assert scene.run(*move).exit is Exit.FAILED
    looked = httpx.Response(200, json=FOUND)
    scene.answering(needs, httpx.Response(200, json=provider()), looked)
    scene.asking("sk-new")
    assert scene.run(*move).exit is Exit.OK
    assert scene.sent(-2) == {"endpoint": "elsewhere.test", "api_key": "sk-new"}


def test_delete_shows_what_it_touches_and_asks(scene: Scene) -> None:
    impact = {"id": "prov_acme", "message": "3 queued jobs would fail.", "last_used_at": None}
    scene.handler = lambda r: (
        httpx.Response(204) if r.method == "DELETE" else httpx.Response(200, json=impact)
    )
    unasked = scene.run("providers", "delete", "acme")
    assert unasked.exit is Exit.USAGE
    assert "3 queued jobs would fail." in unasked.err
    assert "--yes" in unasked.err
    scene.asking("n")
    assert scene.run("providers", "delete", "acme").exit is Exit.FAILED
    assert {request.method for request in scene.requests} == {"GET"}
    scene.asking("y")
    assert scene.run("providers", "delete", "acme").exit is Exit.OK
    assert scene.requests[-1].method == "DELETE"


def test_each_step_of_a_test_is_told_once_and_a_failed_one_ends_with_6(scene: Scene) -> None:
    resolve = {"name": "resolve", "verdict": "ok", "ms": 3, "message": "Found.", "remedy": None}
    connect = {**resolve, "name": "connect", "verdict": "failed", "remedy": "Start it."}
    running = {"id": "chk_1", "status": "running", "steps": [resolve], "endpoint": None}
    done = {**running, "status": "done", "steps": [resolve, connect], "models": []}
    scene.answering(httpx.Response(202, json=running), httpx.Response(200, json=done))
    ran = scene.run("providers", "test", "acme", "--endpoint", "e")
    assert ran.exit is Exit.JOB_FAILED
    assert scene.sent(0) == {"provider": "acme", "endpoint": "e", "chat": False}
    assert ran.err.count("✓ resolve") == 1
    assert ran.err.count("✗ connect") == 1
    assert "Start it." in ran.err


def test_a_refresh_that_failed_shows_the_last_good_list_and_ends_with_6(scene: Scene) -> None:
    error = {"message": "Connection refused.", "code": "upstream_unreachable"}
    discovery = {**provider()["discovery"], "status": "unreachable", "error": error}
    body = {**FOUND, "provider": provider(discovery=discovery)}
    ran = scene.answering(httpx.Response(200, json=body)).run("providers", "refresh", "acme")
    assert ran.exit is Exit.JOB_FAILED
    assert "unreachable: Connection refused." in ran.err
    assert scene.requests[0].headers["Prefer"] == "wait=30"

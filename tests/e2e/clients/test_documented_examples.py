"""What README and pages show of OpenAI's packages works as it stands there, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.installed import Clients
from tests.documented import example
from tests.e2e.conftest import LEASE_SECONDS
from tests.simulators import ollama, running
from tests.system import System

ANSWER = "Ollama answers 1 message(s)."


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system as the README's first commands leave it."""
    env = {"DRAGOMAN_LEASE_SECONDS": str(LEASE_SECONDS), "DRAGOMAN_GRACE_SECONDS": "5"}
    folder = tmp_path_factory.mktemp("acme")
    with System(folder / ".dragoman", env=env) as started, running(ollama()) as server:
        started.api.add_provider("Acme", server.url)
        yield started


def test_the_python_of_readme_chats_and_responses(
    acme: System, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(acme.data_dir.parent)
    names: dict[str, Any] = {}

    def printed(page: str, mark: str) -> list[str]:
        code = example(page, "python", mark, url=acme.url)
        exec(compile(code, page, "exec"), names)
        return capsys.readouterr().out.splitlines()

    assert printed("README.md", "OpenAI(") == ["completed", ANSWER]
    assert printed("docs/chat.md", "chat.completions.create")[0].startswith("Ollama answers")
    assert names["job"].status == "completed"
    told = printed("docs/responses.md", "responses.create")
    assert [int(line.split()[0]) for line in told] == list(range(8, 8 + len(told)))
    assert told[-1].endswith(" response.completed")
    names["client"].close()


def test_the_typescript_of_chats(acme: System, clients: Clients, tmp_path: Path) -> None:
    module = tmp_path / "job.mts"
    module.write_text(example("docs/chat.md", "ts", "OpenAI(", url=acme.url), "utf-8")
    told = clients.run_typescript(module, env={"DRAGOMAN_API_KEY": acme.admin_key})
    assert told.splitlines() == [f"completed {ANSWER}"]

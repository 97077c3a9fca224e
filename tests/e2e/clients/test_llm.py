"""`llm`, the command line tool: a model of ours is a few lines in its own settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.installed import ClientFailed, Clients
from tests.simulators import Mode, Running
from tests.system import System

Llm = Callable[..., str]


@pytest.fixture
def llm(system: System, clients: Clients, model: str, tmp_path: Path) -> Llm:
    """Runs `llm ARGUMENTS`; what it prints."""
    # YAML is a superset of JSON.
    known = {"model_id": "ours", "model_name": model, "api_base": f"{system.url}/v1"}
    known["api_key_name"] = "dragoman"
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([known]))
    (tmp_path / "keys.json").write_text(json.dumps({"dragoman": system.admin_key}))
    env = {"LLM_USER_PATH": str(tmp_path)}
    return lambda *arguments: clients.run_python("-m", "llm", *arguments, env=env)


def test_a_prompt_is_answered_streamed_and_whole_and_a_conversation_goes_on(
    llm: Llm, upstream: Running
) -> None:
    said = ("prompt", "-m", "ours", "-o", "seed", "7")
    assert llm(*said, "Hello") == "answer to \n"
    assert llm(*said, "--no-stream", "-c", "And then?") == "answer to \n"
    streamed, whole = (
        json.loads(request.body)
        for request in upstream.simulator.requests
        if request.method == "POST"
    )
    assert (streamed.get("stream"), whole.get("stream")) == (True, False)
    assert [message["content"] for message in whole["messages"]] == [
        "Hello",
        "answer to ",
        "And then?",
    ]


def test_a_failure_is_told_in_our_words(llm: Llm, upstream: Running) -> None:
    upstream.set_mode(Mode.WRONG_KEY, "chat")
    with pytest.raises(ClientFailed) as caught:
        llm("prompt", "-m", "ours", "Hello")
    assert "Error: " in str(caught.value)
    assert "key" in str(caught.value)

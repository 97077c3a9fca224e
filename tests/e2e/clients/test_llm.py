"""`llm`, the command line tool: a model of ours is a few lines in its own settings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.installed import Clients
from tests.clients.llm_settings import write
from tests.simulators import CountingSimulator, Mode, running
from tests.system import System

COMMANDS = {
    "streamed": ["prompt", "-m", "ours", "-o", "seed", "7", "Hello"],
    "whole": ["prompt", "-m", "ours", "--no-stream", "-c", "And then?"],
    "refused": ["prompt", "-m", "refused", "Hello"],
    "logs": ["logs", "list", "-n", "0", "--json"],
}


@pytest.fixture(scope="module")
def told(
    system: System, clients: Clients, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Case → what `llm` told; under "asked" what the upstream was asked."""
    with running(CountingSimulator()) as sim, running(CountingSimulator()) as refusing:
        refusing.set_mode(Mode.WRONG_KEY, "chat")
        models = {
            name: f"{system.api.add_provider(f'llm {name}', where.url)['slug']}/sim-model"
            for name, where in (("ours", sim), ("refused", refusing))
        }
        folder = tmp_path_factory.mktemp("llm")
        write(folder, system.url, system.admin_key, models)
        env = {"LLM_USER_PATH": str(folder)}
        cases = clients.run_script("llm_prompts.py", {"commands": COMMANDS}, env=env)
        chats = [one for one in sim.simulator.requests if one.method == "POST"]
        return {**cases, "asked": [json.loads(one.body) for one in chats]}


def test_a_prompt_is_answered_streamed_and_whole(told: dict[str, Any]) -> None:
    assert told["streamed"] == {"status": 0, "said": "answer to \n", "complained": ""}
    assert told["whole"]["said"] == "answer to \n"
    assert [chat.get("stream") for chat in told["asked"]] == [True, False]
    assert told["asked"][0]["seed"] == 7


def test_a_conversation_goes_on(told: dict[str, Any]) -> None:
    said = [message["content"] for message in told["asked"][1]["messages"]]
    assert said == ["Hello", "answer to ", "And then?"]
    logged = json.loads(told["logs"]["said"])
    assert {entry["response"] for entry in logged} >= {"answer to "}


def test_a_failure_is_told_in_our_words(told: dict[str, Any]) -> None:
    refused = told["refused"]
    assert refused["status"] == 1
    assert refused["complained"].startswith("Error: ")
    assert "key" in refused["complained"]

"""`langchain-openai`, with nothing but a base URL: one script, judged case by case."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.installed import Clients
from tests.simulators import CountingSimulator, running
from tests.system import System


@pytest.fixture(scope="module")
def told(system: System, clients: Clients) -> dict[str, Any]:
    """Case → what the script told; under "calls" the upstream's count."""
    with running(CountingSimulator()) as sim:
        slug = system.api.add_provider("langchain", sim.url)["slug"]
        asked = {"url": system.url, "key": system.admin_key, "model": f"{slug}/sim-model"}
        return {**clients.run_script("langchain_chat.py", asked), "calls": sim.calls()}


def test_a_chat_is_answered_with_its_usage(told: dict[str, Any]) -> None:
    assert told["invoked"]["content"] == "answer to lc"
    assert told["invoked"]["usage"]["total_tokens"] == 10


def test_a_stream_adds_up_to_the_answer_and_its_usage(told: dict[str, Any]) -> None:
    assert told["streamed"]["content"] == "answer to lc"
    assert told["streamed"]["usage"]["total_tokens"] == 10
    assert told["streamed"]["pieces"] >= 3
    assert told["asynchronous"]["stream"] == "answer to lc"


def test_a_batch_is_answered_whole(told: dict[str, Any]) -> None:
    assert told["asynchronous"]["batch"] == ["answer to many"] * 5
    assert told["calls"]["many"].begun == 5


def test_tools_are_called_and_structured_output_is_read(told: dict[str, Any]) -> None:
    trip = {"place": "Gare de l'Est", "days": 3}
    (call,) = told["called_tools"]
    assert (call["name"], call["args"], call["id"]) == ("weather", trip, "call-lc-0")
    assert told["structured"] == trip


def test_the_same_works_over_responses(told: dict[str, Any]) -> None:
    assert told["responses"]["whole"] == told["responses"]["stream"] == "answer to lc"
    (call,) = told["responses"]["called"]
    assert (call["name"], call["args"]["days"]) == ("weather", 3)


def test_a_job_is_made_with_the_client_that_a_model_holds(told: dict[str, Any]) -> None:
    assert told["background"] == ["queued", "completed"]


def test_failures_arrive_as_they_are_and_are_not_repeated(told: dict[str, Any]) -> None:
    assert told["unknown_model"] == ["NotFoundError", "model_not_found"]
    assert told["failing"] == ["InternalServerError", "upstream_server_error"]
    assert told["calls"]["once"].begun == 1
    assert told["breaking"] == ["APIError", "upstream_stream_broken"]

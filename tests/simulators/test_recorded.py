"""The simulators of llama-server and LiteLLM answer as the real ones were recorded to answer."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.samples import FOLDER, names, sample
from tests.simulators import Mode, Running, Simulator, litellm, llama_cpp, running

KEY = "sk-recorded"
SERVERS: dict[str, Callable[..., Simulator]] = {"llama-server": llama_cpp, "litellm": litellm}
LOADING = {"llama-server/models_while_loading"}
RATE_LIMITED = {"litellm/chat_fake-429"}
NOT_ASKED_FOR = {"litellm/model_one"}  # Dragoman never asks for one model
RECORDED = [
    name for name in names() if name.partition("/")[0] in SERVERS and name not in NOT_ASKED_FOR
]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Running]]:
    with running(llama_cpp(key=KEY)) as llama, running(litellm(key=KEY)) as proxy:
        yield {"llama-server": llama, "litellm": proxy}


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


def _asked_again(http: httpx.Client, name: str, url: str) -> httpx.Response:
    """The recorded request, sent to the simulator; where none was kept, the list or a chat."""
    first = (FOLDER / f"{name}.http").read_text("utf-8").partition("\n")[0]
    found = re.match(r"# curl http://[^/]+(\S+)(?: -H Authorization: Bearer (\S+))?", first)
    if found is None:
        path = "/v1/models" if "/models" in name else "/v1/chat/completions"
        key: str | None = KEY
        body = None if "/models" in name else '{"model":"fake-chat","messages":[]}'
    else:
        path, key = found[1], found[2]
        body = first.partition(" -d ")[2] or None
        key = KEY if key == "<KEY>" else key
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    method = "GET" if body is None else "POST"
    return http.request(method, url + path, content=body, headers=headers)


def _shape(document: Any) -> Any:
    """The names in a document with the types of their values; of a list, its first entry."""
    if isinstance(document, dict):
        return {name: _shape(value) for name, value in document.items()}
    if isinstance(document, list):
        return [_shape(entry) for entry in document[:1]]
    return type(document).__name__


def _shapes_of_chunks(stream: bytes) -> list[Any]:
    """The shapes of a stream's chunks, of equal ones in a row the first; then its end."""
    *events, end = stream.rstrip(b"\n").split(b"\n\n")
    assert end == b"data: [DONE]"
    shapes = [_shape(json.loads(event.removeprefix(b"data: "))) for event in events]
    return [shape for shape, _ in itertools.groupby(shapes)]


@pytest.mark.parametrize("name", RECORDED)
def test_a_simulator_answers_in_the_shape_that_was_recorded(
    servers: dict[str, Running], http: httpx.Client, name: str
) -> None:
    sim = servers[name.partition("/")[0]]
    mode = Mode.LOADING if name in LOADING else Mode.NORMAL
    sim.set_mode(Mode.RATE_LIMITED if name in RATE_LIMITED else mode)
    recorded, answer = sample(name), _asked_again(http, name, sim.url)
    assert answer.status_code == recorded.status
    assert answer.headers["content-type"] == recorded.headers["content-type"]
    if "json" in recorded.headers["content-type"]:
        again = httpx.Response(200, content=recorded.body).json()
        assert _shape(answer.json()) == _shape(again)
    elif "event-stream" in recorded.headers["content-type"]:
        assert _shapes_of_chunks(answer.content) == _shapes_of_chunks(recorded.body)
    else:
        assert answer.content == recorded.body


def test_the_recorded_servers_are_all_there() -> None:
    assert {name.partition("/")[0] for name in RECORDED} == set(SERVERS)
    assert len(RECORDED) >= 30

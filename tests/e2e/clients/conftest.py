"""The clients of other people, and what they need of a running system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import openai
import pytest

from tests.api import Api
from tests.clients.installed import Clients, ClientsMissing, installed
from tests.e2e.conftest import MOST_QUEUED
from tests.simulators import CountingSimulator, Running, running
from tests.system import System

NewClient = Callable[[str], openai.OpenAI]


@pytest.fixture(scope="session")
def clients() -> Clients:
    """The installed clients; skips where they cannot be had, fails where CI=true."""
    try:
        return installed()
    except ClientsMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must not skip this: {missing}")
        pytest.skip(str(missing))


@pytest.fixture
def client(system: System) -> Iterator[openai.OpenAI]:
    """OpenAI's own client with the admin key."""
    with openai.OpenAI(base_url=f"{system.url}/v1", api_key=system.admin_key) as made:
        yield made


@pytest.fixture
def member(system: System, api: Api, name: str) -> Iterator[NewClient]:
    """Owner → OpenAI's own client with a new key of that owner."""
    made = []

    def new(owner: str) -> openai.OpenAI:
        body = {"name": f"{owner} of {name}"[:100], "owner": owner, "role": "member"}
        key = api.http.post("/v1/keys", json=body).json()["key"]
        made.append(openai.OpenAI(base_url=f"{system.url}/v1", api_key=key))
        return made[-1]

    yield new
    for one in made:
        one.close()


@pytest.fixture
def model(api: Api, upstream: Running, name: str) -> str:
    """The id of a model of this test's own provider."""
    return f"{api.add_provider(name, upstream.url)['slug']}/sim-model"


@pytest.fixture(scope="module")
def full_queue(system: System, second_registry: str) -> Iterator[str]:
    """The URL of the second registry while more jobs wait than it allows."""
    api = system.api
    with running(CountingSimulator()) as sim:
        busy = {"name": "busy", "endpoint": sim.url, "options": {"max_concurrency": 1}}
        provider = api.http.post("/v1/providers", json=busy).json()
        sim.hold()
        for number in range(MOST_QUEUED + 1):  # one of them runs
            api.submit(f"{provider['slug']}/sim-model", f"w{number}")
        sim.wait_until(lambda s: s.in_flight == 1, timeout=5)
        yield second_registry
        api.http.delete(f"/v1/providers/{provider['id']}")

"""The clients of other people, and what they need of a running system."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

from shared.config import READY_FD
from tests.api import Api
from tests.campaigns.stage import Extra
from tests.clients.installed import Clients, ClientsMissing, installed
from tests.simulators import CountingSimulator, Running, running
from tests.system import System, free_port

START_SECONDS = 60.0
MOST_QUEUED = 2  # jobs, as the second registry sees it

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


@pytest.fixture(scope="session")
def second_registry(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of another registry on the same database and Valkey, whose queue is full early."""
    port = free_port()
    environ = system.process("registry").environ()
    environ.pop(READY_FD, None)  # the first one's own
    environ |= {"DRAGOMAN_PORT": str(port), "DRAGOMAN_QUEUE_LIMIT": str(MOST_QUEUED)}
    log: Path = tmp_path_factory.mktemp("second") / "registry.log"
    registry = Extra("services.registry", environ, log)
    registry.start()
    try:
        url = f"http://127.0.0.1:{port}"
        with Api(url, system.admin_key) as asked:
            asked.healthy(START_SECONDS)
        yield url
    finally:
        registry.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def full_queue(system: System, second_registry: str) -> Iterator[str]:
    """The URL of the second registry while more jobs wait than it allows."""
    api = system.api
    with running(CountingSimulator()) as sim:
        busy = {"name": "busy", "endpoint": sim.url, "options": {"max_concurrency": 1}}
        provider = api.http.post("/v1/providers", json=busy).json()
        sim.hold()
        for number in range(MOST_QUEUED + 1 + 1):  # one of them runs
            api.submit(f"{provider['slug']}/sim-model", f"w{number}")
        sim.wait_until(lambda s: s.in_flight == 1, timeout=5)
        yield second_registry
        api.http.delete(f"/v1/providers/{provider['id']}")

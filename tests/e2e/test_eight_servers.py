"""Eight different servers, two of them half broken: what works is seen at a glance, and works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import simulators as sims
from tests.api import Api
from tests.eventually import eventually
from tests.simulators import Mode, Running, Simulator, running
from tests.system import System

KEY = "sk-eight-servers-0123456789"
OTHER_KEY = "sk-what-the-server-wants-0123"
SECONDS = 8.0


@dataclass(frozen=True)
class Server:
    """One of the eight: its simulator, the key it is registered with, what must be seen of it."""

    simulator: Simulator
    status: str = "ok"
    code: str | None = None  # of the error beside it, and of a chat with it
    key: str | None = None
    context_length: int | None = None

    @property
    def name(self) -> str:
        return self.simulator.dialect.name


def eight() -> list[Server]:
    """Six that work (one without a models route), one that loads, one that wants another key."""
    loading = sims.llama_cpp()
    loading.modes = {"chat": Mode.LOADING, "models": Mode.LOADING}
    return [
        Server(sims.vllm(key=KEY), key=KEY, context_length=131_072),
        Server(sims.ollama()),
        Server(sims.tgi(key=KEY), key=KEY),
        Server(sims.lm_studio()),
        Server(sims.openrouter(key=KEY), key=KEY, context_length=200_000),
        Server(sims.no_models_route(key=KEY), "no_models_route", key=KEY),
        Server(loading, "loading", "upstream_loading", context_length=2048),
        Server(
            sims.groq(key=OTHER_KEY),
            "auth_failed",
            "upstream_authentication_failed",
            key=KEY,
            context_length=131_072,
        ),
    ]


@dataclass(frozen=True)
class Registered:
    """A server that runs and is a provider."""

    server: Server
    sim: Running
    slug: str

    def models(self) -> dict[str, int | None]:
        """What it offers, under our ids, with context lengths; {} where nothing is listed."""
        if self.server.status == "no_models_route":
            return {}
        offered = self.sim.simulator.models
        return {f"{self.slug}/{model}": self.server.context_length for model in offered}


@pytest.fixture
def restless(tmp_path: Path) -> Iterator[Api]:
    """A caller with the admin key of a system that checks each provider every second."""
    env = {"DRAGOMAN_DISCOVERY_INTERVAL": "1", "DRAGOMAN_GRACE_SECONDS": "1"}
    with System(tmp_path / "data", env=env) as started:
        yield started.api


@pytest.fixture
def registered(restless: Api) -> Iterator[list[Registered]]:
    with ExitStack() as stack:
        found = []
        for server in eight():
            sim = stack.enter_context(running(server.simulator))
            fields = {"api_key": server.key} if server.key else {}
            provider = restless.add_provider(server.name, sim.endpoint, **fields)
            found.append(Registered(server, sim, provider["slug"]))
        yield found


def seen(api: Api) -> dict[str, dict[str, Any]]:
    """Slug → discovery of every provider, in one request."""
    data = api.http.get("/v1/providers", params={"limit": 100}).json()["data"]
    return {provider["slug"]: provider["discovery"] for provider in data}


def listed(api: Api, providers: list[Registered]) -> dict[str, int | None]:
    """Model → context length, of these providers."""
    data = api.http.get("/v1/models").json()["data"]
    slugs = {provider.slug for provider in providers}
    return {e["id"]: e["context_length"] for e in data if e["id"].partition("/")[0] in slugs}


def wait_for(api: Api, providers: list[Registered], statuses: dict[str, str]) -> None:
    def all_are() -> bool:
        now = seen(api)
        return all(now[p.slug]["status"] == statuses[p.slug] for p in providers)

    eventually(all_are, SECONDS, every=0.05)


def test_what_works_is_seen_and_works_and_what_does_not_recovers_by_itself(
    restless: Api, registered: list[Registered]
) -> None:
    statuses = {each.slug: each.server.status for each in registered}
    wait_for(restless, registered, statuses)
    broken = [each for each in registered if each.server.code]
    working = [each for each in registered if each not in broken]
    assert (len(working), len(broken)) == (6, 2)

    glance = seen(restless)
    for each in registered:
        discovery, error = glance[each.slug], glance[each.slug]["error"]
        assert discovery["checked_at"] is not None
        assert discovery["model_count"] == (len(each.models()) if each in working else 0)
        if each in broken:
            assert error["code"] == each.server.code
            assert len(error["message"].split()) >= 5
        elif each.server.status == "ok":
            assert error is None
    wanted = {id_: length for each in working for id_, length in each.models().items()}
    assert listed(restless, registered) == wanted

    for each in registered:
        answer = restless.chat(f"{each.slug}/{each.sim.simulator.models[0]}")
        if each in broken:
            assert answer.json()["error"]["code"] == each.server.code
        else:
            text = answer.json()["choices"][0]["message"]["content"]
            assert text.endswith("answers 1 message(s)."), text

    for each in broken:
        each.sim.set_mode(Mode.NORMAL)
        each.sim.simulator.key = each.server.key
    wait_for(restless, broken, {each.slug: "ok" for each in broken})
    recovered = {id_: length for each in registered for id_, length in each.models().items()}
    assert listed(restless, registered) == recovered
    for each in broken:
        assert seen(restless)[each.slug]["error"] is None
        answer = restless.chat(f"{each.slug}/{each.sim.simulator.models[0]}")
        assert answer.status_code == 200, answer.text

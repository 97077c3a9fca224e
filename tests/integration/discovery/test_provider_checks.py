"""Tests of unsaved providers against real servers: what a person reads, and what nobody reads."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from services.discovery_worker.discovery import Discovery
from shared import ids
from shared.domain import DiscoveryStatus
from shared.store import checks
from tests.eventually import eventually
from tests.integration.discovery.conftest import Stage
from tests.simulators import (
    Mode,
    Running,
    json_reply,
    litellm,
    llama_cpp,
    no_models_route,
    ollama,
    openrouter,
    refusing,
    running,
    tgi,
    vllm,
)

KEY = "sk-canary-0123456789"
WRONG = "sk-wrong-9876543210"


@dataclass
class Result:
    """A check that is done."""

    text: str
    endpoint: str | None
    models: list[dict[str, Any]]
    steps: dict[str, dict[str, Any]]

    @property
    def verdicts(self) -> str:
        """The first letters: o(k), f(ailed), s(kipped), in the order of the steps."""
        return "".join(step["verdict"][0] for step in self.steps.values())


@dataclass
class Desk:
    """Where a registry would begin checks, and read how they end."""

    stage: Stage
    work: Discovery

    def test(self, endpoint: str, **wanted: Any) -> Result:
        check_id = ids.new(ids.CHECK)
        sealed = self.stage.sealer.seal(
            json.dumps({"endpoint": endpoint, "options": {}, **wanted}).encode(),
            table=checks.TABLE,
            row=check_id,
            column=checks.REQUEST,
        )
        with self.stage.database.write() as tx:
            checks.insert(tx, check_id, key_id="key_1", request_sealed=sealed, now=time.time())
        self.work.check_begun()
        return eventually(lambda: self._end(check_id), 15)

    def _end(self, check_id: str) -> Result | None:
        with self.stage.database.read() as tx:
            found = checks.get(tx, check_id, now=time.time())
        if found is None or not found.done or found.result_sealed is None:
            return None
        place = {"table": checks.TABLE, "row": check_id, "column": checks.RESULT}
        text = self.stage.sealer.open(found.result_sealed, **place).decode()
        document = json.loads(text)
        steps = {step["name"]: step for step in document["steps"]}
        assert len(steps) == 6
        for step in steps.values():
            assert bool(step["remedy"]) == (step["verdict"] == "failed"), step
            assert len(step["message"].split()) >= 2, step
            assert "<" not in step["message"]
        assert KEY not in text
        assert WRONG not in text
        return Result(text, document["endpoint"], document["models"], steps)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One installation at work for all tests of this module; Redis is away throughout."""
    stage = Stage(tmp_path_factory.mktemp("discovery"))
    with stage.discovering() as work:
        yield Desk(stage, work)
    stage.database.dispose()


def bearers(sim: Running) -> list[str | None]:
    return [request.bearer for request in sim.simulator.requests]


def test_a_good_server_and_its_key_pass_and_a_chat_does_when_it_is_asked_for(desk: Desk) -> None:
    with running(vllm(key=KEY, models=["a", "b"])) as sim:
        result = desk.test(sim.url, api_key=KEY)
        assert result.verdicts == "oosoos"
        assert result.endpoint == sim.url
        assert [model["id"] for model in result.models] == ["a", "b"]
        assert result.models[0]["context_length"] == 131072
        assert bearers(sim) == [KEY, None]
        assert desk.test(sim.url, api_key=KEY, chat=True, model="b").verdicts == "oosooo"
        assert sim.simulator.requests[-1].json()["model"] == "b"


@pytest.mark.parametrize(("key", "says"), [(WRONG, "Copy the key"), (None, "give it as api_key")])
def test_a_key_that_is_wrong_or_missing_is_told_by_its_own_step(
    desk: Desk, key: str | None, says: str
) -> None:
    with running(vllm(key=KEY)) as sim:
        result = desk.test(sim.url, api_key=key, chat=True)
        assert result.verdicts == "oossfs"
        assert "401" in result.steps["authenticate"]["message"]
        assert says in result.steps["authenticate"]["remedy"]


def test_a_server_that_lists_without_checking_the_key_needs_a_chat_to_prove_it(desk: Desk) -> None:
    with running(tgi(key=KEY)) as sim:
        unproven = desk.test(sim.url, api_key=WRONG)
        assert unproven.verdicts == "oososs"
        assert "without checking the key" in unproven.steps["authenticate"]["message"]
        refused = desk.test(sim.url, api_key=WRONG, chat=True)
        assert refused.verdicts == "oososf"
        assert "key" in refused.steps["chat"]["remedy"]
        assert desk.test(sim.url, api_key=KEY, chat=True).verdicts == "oosooo"


def test_a_server_that_echoes_the_key_or_speaks_html_makes_nobody_read_it(desk: Desk) -> None:
    echo = f"Incorrect API key provided: {WRONG} <script>alert(1)</script>"
    refused = json_reply({"error": {"message": echo, "code": "invalid_api_key"}}, 401)
    simulator = vllm(key=KEY)
    simulator.dialect = dataclasses.replace(simulator.dialect, unauthorized=refused)
    with running(simulator) as sim:
        assert desk.test(sim.url, api_key=WRONG).verdicts == "oossfs"
    with running(vllm(models=["<img src=x onerror=alert(1)>", f"echo/{WRONG}"])) as sim:
        result = desk.test(sim.url, api_key=WRONG, chat=True)
        assert result.verdicts == "oosooo"
        assert [model["id"] for model in result.models][1] == "echo/***"


def test_servers_of_other_kinds_pass_too(desk: Desk) -> None:
    with running(ollama(models=["llama3:latest"])) as sim:
        assert desk.test(sim.url, chat=True).verdicts == "oososo"
    with running(litellm(key=KEY, models=["m"])) as sim:
        assert desk.test(sim.url, api_key=KEY, chat=True).verdicts == "oosooo"


def test_a_path_without_v1_is_found_and_offered(desk: Desk) -> None:
    with running(openrouter(models=["org/m"])) as sim:
        result = desk.test(f"{sim.url}/api", chat=True)
        assert result.verdicts == "oososo"
        assert result.endpoint == f"{sim.url}/api/v1"
        page = desk.test(f"{sim.url}/somewhere")
        assert page.verdicts == "oossss"
        assert page.endpoint is None


def test_a_server_without_a_models_route_is_proven_by_a_chat(desk: Desk) -> None:
    with running(no_models_route(key=KEY)) as sim:
        result = desk.test(sim.url, api_key=KEY, chat=True, options={"models": ["sonar"]})
        assert result.verdicts == "oossoo"
        assert result.endpoint == sim.url


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        (Mode.HTML, "/v1"),
        (Mode.SERVER_ERROR, "own log"),
        (Mode.RATE_LIMITED, "Wait"),
        (Mode.LOADING, "Wait until the server has loaded"),
    ],
)
def test_a_list_that_cannot_be_had_is_told_with_what_to_do(
    desk: Desk, mode: Mode, says: str
) -> None:
    with running(llama_cpp(key=KEY)) as sim:
        sim.set_mode(mode, "models")
        result = desk.test(sim.url, api_key=KEY)
        assert result.verdicts == "oosfss"
        assert says in result.steps["models"]["remedy"]


def test_nobody_listening_a_forbidden_address_and_an_unknown_name_are_told_apart(
    desk: Desk,
) -> None:
    with refusing() as url:
        refused = desk.test(url)
    assert refused.verdicts == "ofssss"
    assert "Connection refused" in refused.steps["connect"]["message"]
    assert "container" in refused.steps["connect"]["remedy"]
    for forbidden in ("http://169.254.169.254/latest/meta-data", "http://10.0.0.1:11434"):
        result = desk.test(forbidden, api_key=KEY)
        assert result.verdicts == "fsssss"
        assert "DRAGOMAN_OUTBOUND_ALLOW" in result.steps["resolve"]["remedy"]
    assert desk.test("http://no-such-name.invalid:8000").verdicts == "fsssss"


def test_checks_of_a_server_go_on_beside_its_discovery(desk: Desk) -> None:
    with running(vllm(models=["m"])) as sim:
        desk.stage.registry.now = time.time()
        acme = desk.stage.registry.add("beside", sim.url)
        result = desk.test(sim.url)
        assert result.verdicts == "oososs"
        desk.stage.found(acme, lambda v: v.status is DiscoveryStatus.OK)
